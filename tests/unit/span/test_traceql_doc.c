/* The examples of docs/traceql.md: those marked as queries compile, those marked as errors do not. */
#include "span/traceql/compile.h"

#include <criterion/criterion.h>

static void check_line(const char *line, bool good)
{
    struct sm_traceql_set *set = sm_traceql_set_new(NULL);
    struct sm_traceql_error err = {0};
    const struct sm_traceql_prog *prog;
    enum sm_rc rc = sm_traceql_compile(set, sm_str_c(line), &prog, &err);
    cr_expect_eq(rc == SM_OK, good, "%s: %u: %s", line, err.column, err.text);
    sm_traceql_set_free(set);
}

Test(traceql_doc, examples)
{
    FILE *f = fopen(SM_SOURCE_DIR "/docs/traceql.md", "r");
    cr_assert_not_null(f);
    enum { TEXT, GOOD, BAD, OTHER } block = TEXT;
    unsigned good = 0, bad = 0;
    char line[512];
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0) {
            if (block != TEXT)
                block = TEXT;
            else
                block = strcmp(line, "```traceql") == 0 ? GOOD : strcmp(line, "```traceql-error") == 0 ? BAD : OTHER;
            continue;
        }
        if (block == GOOD || block == BAD)
            check_line(line, block == GOOD);
        good += block == GOOD;
        bad += block == BAD;
    }
    fclose(f);
    cr_assert(good > 10 && bad > 10, "%u and %u examples found", good, bad);
}
