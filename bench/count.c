#include "bench/count.h"

/* A position in a protobuf message. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t byte = *r->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return true;
        }
    }
    return false;
}

/* The next field: its number, and its contents when it is length-delimited. False at the end and when malformed (*ok is
 * cleared). */
static bool next_field(struct reader *r, uint32_t *field, struct reader *contents, bool *ok)
{
    uint64_t tag, n;
    if (r->at == r->end)
        return false;
    *ok = false;
    if (!read_varint(r, &tag))
        return false;
    *field = (uint32_t)(tag >> 3);
    *contents = (struct reader){0};
    switch (tag & 7) {
    case 0:
        if (!read_varint(r, &n))
            return false;
        n = 0;
        break;
    case 1:
        n = 8;
        break;
    case 2:
        if (!read_varint(r, &n))
            return false;
        contents->at = r->at;
        break;
    case 5:
        n = 4;
        break;
    default:
        return false;
    }
    if (n > (size_t)(r->end - r->at))
        return false;
    r->at += n;
    if (contents->at)
        contents->end = r->at;
    *ok = true;
    return true;
}

/* Stops when it has both ids: writers differ in the order of fields. */
static bool count_span(struct bench_count *c, struct reader r)
{
    uint32_t field;
    struct reader contents;
    const uint8_t *trace_id = NULL, *span_id = NULL;
    bool ok = true;
    while (!(trace_id && span_id) && next_field(&r, &field, &contents, &ok)) {
        size_t n = (size_t)(contents.end - contents.at);
        if (field == 1 && n == 16)
            trace_id = contents.at;
        else if (field == 2 && n == 8)
            span_id = contents.at;
    }
    if (!trace_id || !span_id)
        return false;
    c->spans++;
    c->ids ^= sm_load_be64(span_id);
    if (c->whole)
        bench_whole_add(c->whole, sm_load_be64(trace_id), sm_load_be64(trace_id + 8));
    return true;
}

static bool count_spans_at_depth(struct bench_count *c, struct reader r, uint32_t depth)
{
    /* The field that leads on from a request, a ResourceSpans, a ScopeSpans. */
    static const uint8_t inner[] = {1, 2, 2};
    uint32_t field;
    struct reader contents;
    bool ok = true;
    while (next_field(&r, &field, &contents, &ok)) {
        if (field != inner[depth] || !contents.at)
            continue;
        if (!(depth == 2 ? count_span(c, contents) : count_spans_at_depth(c, contents, depth + 1)))
            return false;
    }
    return ok;
}

bool bench_count_otlp(struct bench_count *c, const uint8_t *body, size_t n)
{
    return count_spans_at_depth(c, (struct reader){body, body + n}, 0);
}

static uint64_t read_hex64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 16; i++)
        v = v << 4 | (uint64_t)((p[i] & 15) + (p[i] >> 6) * 9);
    return v;
}

static const uint8_t *find(const uint8_t *at, const uint8_t *end, const char *text, size_t n)
{
    return memmem(at, (size_t)(end - at), text, n);
}

bool bench_count_zipkin(struct bench_count *c, const uint8_t *body, size_t n)
{
    static const char id_key[] = "\"id\":\"", trace_key[] = "\"traceId\":\"";
    enum { ID = sizeof id_key - 1, TRACE = sizeof trace_key - 1 };
    const uint8_t *at = body, *end = body + n;
    if (n < 2 || body[0] != '[' || end[-1] != ']')
        return false;
    for (;;) {
        const uint8_t *trace = c->whole ? find(at, end, trace_key, TRACE) : NULL;
        const uint8_t *id = find(at, end, id_key, ID);
        if (!id)
            return true;
        if (end - id < ID + 16)
            return false;
        c->spans++;
        c->ids ^= read_hex64(id + ID);
        if (trace && end - trace >= TRACE + 32)
            bench_whole_add(c->whole, read_hex64(trace + TRACE), read_hex64(trace + TRACE + 16));
        at = id + ID + 16;
    }
}
