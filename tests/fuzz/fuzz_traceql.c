/* Any text as a query, any bytes as the span and resource it runs on. The input is split at its first NUL byte.
 *
 * Beyond not crashing: what parses prints to text that parses to the same print; the printed query matches what the query
 * matches; a query that can never match does not; requirements hold for what matched. */
#include "span/traceql/eval.h"
#include "span/traceql/print.h"
#include "span/view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sm_names *names;
static struct sm_view_scratch *name_texts;

static void start(void)
{
    if (names)
        return;
    names = sm_names_new(100, 10000);
    name_texts = sm_view_scratch_new(names, NULL);
}

/* The span's header with side records, as a decoder would leave it, taken from the first bytes. */
struct subject {
    struct {
        struct sm_span span;
        uint32_t records[4];
    } head;
    struct sm_resource resource;
    struct sm_view_span view_span;
    struct sm_trace trace;
    struct sm_view view;
};

static void fill_subject(struct subject *s, const uint8_t *bytes, size_t size)
{
    memset(s, 0, sizeof *s);
    uint32_t seed = size >= 4 ? sm_load_le32(bytes) : 0;
    s->head.span = (struct sm_span){.span_id = 1, .name_id = seed & 1, .size = (uint32_t)size, .n_wanted = 4};
    s->head.span.kind_status = (uint8_t)(seed >> 8) & 0x2f;
    s->head.span.duration_ns = seed;
    for (uint32_t i = 0; i < 4; i++)
        s->head.records[i] = SM_WANTED_RECORD(SM_SLOT_FIXED_COUNT + i, (seed >> (4 * i)) & 0x3f);
    s->resource.bytes = sm_str(bytes, size);
    s->resource.hash = seed;
    s->resource.service_id = seed >> 1 & 1;
    s->view_span = (struct sm_view_span){.span = &s->head.span, .bytes = bytes, .resource = &s->resource,
                                         .parent = SM_VIEW_NONE, .next_same_id = SM_VIEW_NONE};
    s->view = (struct sm_view){.trace = &s->trace, .spans = &s->view_span, .count = 1, .duration_ns = seed, .error = true};
}

static bool matches(const struct sm_traceql_set *set, const struct sm_traceql_prog *prog, const struct subject *s)
{
    struct sm_traceql_scratch *scratch = sm_traceql_scratch_new(set);
    bool first = sm_traceql_match_span(prog, &s->view, 0, name_texts, scratch);
    SM_ASSERT(first == sm_traceql_match_span(prog, &s->view, 0, name_texts, scratch));
    SM_ASSERT(first == sm_traceql_match_trace(prog, &s->view, name_texts, scratch));
    sm_traceql_scratch_free(scratch);
    return first;
}

static void check(struct sm_traceql_set *set, const struct sm_traceql_prog *prog, const struct subject *s)
{
    struct sm_traceql_error err;
    const struct sm_traceql_prog *again;
    struct sm_traceql_requirement required[4];
    bool matched = matches(set, prog, s);
    SM_ASSERT(!matched || !sm_traceql_never(prog));
    (void)sm_traceql_requirements(prog, required, 4);
    const char *text = sm_traceql_prog_text(prog);
    enum sm_rc rc = sm_traceql_compile(set, sm_str_c(text), &again, &err);
    SM_ASSERT(rc == SM_OK || rc == SM_E_LIMIT); /* parentheses made explicit may be too deep or too long */
    if (rc == SM_OK)
        SM_ASSERT(strcmp(text, sm_traceql_prog_text(again)) == 0);
    if (rc == SM_OK)
        SM_ASSERT(matched == matches(set, again, s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    start();
    const uint8_t *end = memchr(data, 0, size);
    size_t query_size = end ? (size_t)(end - data) : size;
    /* exact copies, so that every byte beyond is out of bounds */
    size_t rest = end ? size - query_size - 1 : 0;
    char *query = sm_xmalloc(query_size + 1);
    uint8_t *bytes = sm_xmalloc(rest + 1);
    memcpy(query, data, query_size);
    if (rest)
        memcpy(bytes, end + 1, rest);
    struct subject subject;
    fill_subject(&subject, bytes, SM_MIN(rest, (size_t)SM_SPAN_SIZE_MAX));
    for (int slots = 0; slots < 2; slots++) {
        struct sm_wanted *wanted = slots ? sm_wanted_new(1) : NULL;
        struct sm_traceql_set *set = sm_traceql_set_new(wanted);
        const struct sm_traceql_prog *prog;
        struct sm_traceql_error err;
        if (sm_traceql_compile(set, sm_str(query, query_size), &prog, &err) == SM_OK)
            check(set, prog, &subject);
        sm_traceql_set_free(set);
        if (wanted)
            sm_wanted_free(wanted);
    }
    free(query);
    free(bytes);
    return 0;
}
