/* Configuration: any bytes as a file; what loads is validated, asked for places, and loads again to the same. After a NUL
 * byte follows an assignment as for --set. */
#include "app/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a buffer for some long quoted scalars; ours would show through other frames. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so\n";
}

static void check_places(const struct sm_config *c)
{
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct sm_config_query *when = &c->rules.items[i].when;
        for (size_t at = 0; when->text && at <= strlen(when->text); at++) {
            struct sm_config_pos pos = sm_config_query_pos(when, at);
            SM_ASSERT(pos.file);
        }
    }
}

/* Returns the number of problems. */
static unsigned load(struct sm_str yaml, const char *assignment)
{
    struct sm_config *c = sm_config_new();
    struct sm_config_report report = {0};
    bool ok = sm_config_load_text(c, "fuzz", yaml, &report);
    if (assignment)
        ok = sm_config_set(c, assignment, &report) && ok;
    SM_ASSERT(ok == (report.count == 0));
    if (ok && !sm_config_validate(c, &report))
        SM_ASSERT(report.count > 0);
    SM_ASSERT((report.count == 0) == (*sm_config_report_text(&report) == '\0'));
    check_places(c);
    unsigned count = report.count;
    sm_config_report_fini(&report);
    sm_config_free(c);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct sm_str yaml = sm_str(data, nul ? (size_t)(nul - data) : size);
    char *assignment = nul ? sm_xstrndup((const char *)nul + 1, size - yaml.len - 1) : NULL;
    SM_ASSERT(load(yaml, assignment) == load(yaml, assignment));
    free(assignment);
    return 0;
}
