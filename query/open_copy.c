/* Copying open traces into one buffer. */
#include "query/open_copy.h"

#include <stdlib.h>

void sm_open_copy_reset(struct sm_open_copy *copy, uint64_t bytes_max)
{
    sm_buf_clear(&copy->text);
    copy->text.size_max = bytes_max;
    copy->span_count = copy->trace_count = 0;
}

void sm_open_copy_fini(struct sm_open_copy *copy)
{
    sm_buf_fini(&copy->text);
    free(copy->spans);
    free(copy->traces);
    *copy = (struct sm_open_copy){0};
}

/* A text that is in the buffer: its offset stands in for the pointer. */
static struct sm_str put(struct sm_open_copy *copy, struct sm_str text)
{
    struct sm_str at = {(const char *)(uintptr_t)copy->text.size, text.len};
    if (text.len)
        sm_buf_put_str(&copy->text, text);
    return at;
}

static struct sm_str put_whole(struct sm_open_copy *copy, struct sm_trace_id id, const struct sm_span *span, const uint8_t *bytes,
                               const struct sm_names *names)
{
    struct sm_str at = {(const char *)(uintptr_t)copy->text.size, span->size};
    uint8_t lead[SM_LEAD_SIZE_MAX];
    sm_buf_put(&copy->text, lead, (size_t)(sm_lead_put(lead, id, span, names) - lead));
    sm_buf_put_str(&copy->text, sm_lead_rest(span, bytes));
    return at;
}

static void resolve(const struct sm_open_copy *copy, struct sm_str *text)
{
    *text = text->len ? sm_str(copy->text.data + (uintptr_t)text->ptr, text->len) : (struct sm_str){"", 0};
}

/* Scopes that this trace's spans had so far. When there are more, contents are copied again. */
enum { KNOWN_MAX = 64 };
struct known_scopes {
    uint32_t ids[KNOWN_MAX];
    uint32_t spans[KNOWN_MAX]; /* a span that has the copied contents */
    uint32_t count;
};

static void put_scope(struct sm_open_copy *copy, const struct sm_scopes *scopes, uint32_t id, struct known_scopes *known,
                      struct sm_encode_span *span)
{
    for (uint32_t i = 0; i < known->count; i++) {
        if (known->ids[i] == id) {
            *span = copy->spans[known->spans[i]];
            return;
        }
    }
    const struct sm_scope *scope = sm_scopes_get(scopes, id);
    *span = (struct sm_encode_span){.resource = put(copy, scope->resource->bytes),
                                    .resource_schema_url = put(copy, scope->resource->schema_url),
                                    .scope = put(copy, scope->bytes),
                                    .scope_schema_url = put(copy, scope->schema_url)};
    if (known->count < KNOWN_MAX) {
        known->ids[known->count] = id;
        known->spans[known->count++] = copy->span_count;
    }
}

static void make_room(struct sm_open_copy *copy, uint32_t spans)
{
    if (copy->trace_count == copy->trace_capacity) {
        copy->trace_capacity = SM_MAX(copy->trace_capacity * 2, 64u);
        copy->traces = sm_xrealloc(copy->traces, copy->trace_capacity * sizeof *copy->traces);
    }
    if (copy->span_capacity - copy->span_count < spans) {
        copy->span_capacity = SM_MAX(copy->span_capacity * 2, copy->span_count + spans);
        copy->spans = sm_xrealloc(copy->spans, copy->span_capacity * sizeof *copy->spans);
    }
}

bool sm_open_copy_add(struct sm_open_copy *copy, const struct sm_trace *trace, bool in_window, const struct sm_names *names,
                      const struct sm_scopes *scopes)
{
    size_t size_before = copy->text.size;
    uint32_t first = copy->span_count;
    struct known_scopes known = {.count = 0};
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    make_room(copy, trace->span_count);
    while (sm_trace_next(&it, &span, &bytes) && copy->span_count - first < trace->span_count) {
        struct sm_encode_span *e = &copy->spans[copy->span_count];
        put_scope(copy, scopes, span->scope_id, &known, e);
        e->bytes = put_whole(copy, trace->id, span, bytes, names);
        copy->span_count++;
    }
    if (copy->text.overflow) {
        copy->text.size = size_before;
        copy->text.overflow = false;
        copy->span_count = first;
        return false;
    }
    copy->traces[copy->trace_count++] = (struct sm_open_trace){.id = trace->id,
                                                               .start_ns = trace->start_ns == UINT64_MAX ? 0 : trace->start_ns,
                                                               .first = first,
                                                               .count = copy->span_count - first,
                                                               .in_window = in_window};
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct sm_open_trace *x = a, *y = b;
    int order = sm_trace_id_cmp(x->id, y->id);
    return order ? order : (x->first > y->first) - (x->first < y->first);
}

/* Puts a part behind the spans of the trace that it is of. */
static void append_part(struct sm_open_trace *t, const struct sm_open_trace *part)
{
    t->count += part->count;
    t->in_window |= part->in_window;
    t->start_ns = t->start_ns && part->start_ns ? SM_MIN(t->start_ns, part->start_ns) : SM_MAX(t->start_ns, part->start_ns);
}

/* Whether a trace lies in several parts; sorts them by id. Few searches meet one. */
static bool has_parts(struct sm_open_copy *copy)
{
    bool any = false;
    qsort(copy->traces, copy->trace_count, sizeof *copy->traces, by_id);
    for (uint32_t i = 1; i < copy->trace_count && !any; i++)
        any = sm_trace_id_cmp(copy->traces[i - 1].id, copy->traces[i].id) == 0;
    return any;
}

static void join_parts(struct sm_open_copy *copy)
{
    struct sm_encode_span *spans = sm_xmalloc(SM_MAX(copy->span_capacity, 1u) * sizeof *spans);
    uint32_t traces = 0, count = 0;
    for (uint32_t i = 0; i < copy->trace_count; i++) {
        struct sm_open_trace part = copy->traces[i];
        memcpy(spans + count, copy->spans + part.first, part.count * sizeof *spans);
        part.first = count;
        count += part.count;
        if (traces > 0 && sm_trace_id_cmp(copy->traces[traces - 1].id, part.id) == 0)
            append_part(&copy->traces[traces - 1], &part);
        else
            copy->traces[traces++] = part;
    }
    free(copy->spans);
    copy->spans = spans;
    copy->trace_count = traces;
}

void sm_open_copy_finish(struct sm_open_copy *copy)
{
    if (copy->trace_count > 1 && has_parts(copy))
        join_parts(copy);
    for (uint32_t i = 0; i < copy->span_count; i++) {
        struct sm_encode_span *e = &copy->spans[i];
        resolve(copy, &e->resource);
        resolve(copy, &e->resource_schema_url);
        resolve(copy, &e->scope);
        resolve(copy, &e->scope_schema_url);
        resolve(copy, &e->bytes);
    }
}
