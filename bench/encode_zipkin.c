/* Zipkin's binary formats. */
#include "bench/encode_zipkin.h"

#include "base/pb.h"
#include "bench/attrs.h"
#include "bench/encode.h"

/* Both formats say attributes as texts. */
static const char *attr_text(const struct bench_attr *a, char text[32])
{
    switch (a->type) {
    case BENCH_ATTR_STRING:
        return a->string;
    case BENCH_ATTR_INT:
        snprintf(text, 32, "%lld", (long long)a->integer);
        return text;
    case BENCH_ATTR_BOOL:
        return a->integer ? "true" : "false";
    default:
        snprintf(text, 32, "%.17g", a->real);
        return text;
    }
}

static uint64_t micros(int64_t virtual_ns)
{
    return (uint64_t)(BENCH_ENCODE_EPOCH_NS + virtual_ns) / 1000;
}

/* --- protobuf --- */

static void pb_bytes(struct bench_buf *b, uint32_t field, const void *bytes, size_t n)
{
    uint8_t *p = bench_buf_room(b, n + 16);
    b->len += (size_t)(sm_pb_put_bytes(p, field, bytes, n) - p);
}

static void pb_text(struct bench_buf *b, uint32_t field, const char *text)
{
    pb_bytes(b, field, text, strlen(text));
}

static void pb_uint(struct bench_buf *b, uint32_t field, uint64_t v)
{
    uint8_t *p = bench_buf_room(b, 16);
    b->len += (size_t)(sm_pb_put_uint(p, field, v) - p);
}

static void pb_time(struct bench_buf *b, uint32_t field, int64_t virtual_ns, struct bench_fields *fields)
{
    uint8_t *p = bench_buf_room(b, 16);
    b->len += (size_t)(sm_pb_put_fixed64(p, field, micros(virtual_ns)) - p);
    bench_fields_add(fields, BENCH_FIELD_TIME_US, b->len - 8);
}

static void pb_span_id(struct bench_buf *b, uint32_t field, uint64_t id, struct bench_fields *fields)
{
    uint8_t bytes[8];
    sm_store_be64(bytes, id);
    pb_bytes(b, field, bytes, 8);
    bench_fields_add(fields, BENCH_FIELD_SPAN_ID, b->len - 8);
}

static void pb_endpoint(struct bench_buf *b, uint32_t field, const char *service, uint32_t number)
{
    struct bench_buf inner = {0};
    const uint8_t ipv4[4] = {10, 16, (uint8_t)number, 2};
    pb_text(&inner, 1, service);
    pb_bytes(&inner, 2, ipv4, 4);
    pb_uint(&inner, 4, 8080);
    pb_bytes(b, field, inner.ptr, inner.len);
    free(inner.ptr);
}

static void pb_tag(struct bench_buf *b, const char *key, const char *value)
{
    struct bench_buf inner = {0};
    pb_text(&inner, 1, key);
    pb_text(&inner, 2, value);
    pb_bytes(b, 11, inner.ptr, inner.len);
    free(inner.ptr);
}

static void pb_span(struct bench_buf *b, const struct bench_span *s, struct bench_words *words, struct bench_fields *fields)
{
    static const uint8_t kinds[] = {0, 0, 2, 1, 3, 4};
    uint8_t trace[16];
    char text[32];
    sm_store_be64(trace, s->trace_hi);
    sm_store_be64(trace + 8, s->trace_lo);
    pb_bytes(b, 1, trace, 16);
    bench_fields_add(fields, BENCH_FIELD_TRACE_ID, b->len - 16);
    if (s->parent)
        pb_span_id(b, 2, s->parent, fields);
    pb_span_id(b, 3, s->id, fields);
    if (kinds[words->kind])
        pb_uint(b, 4, kinds[words->kind]);
    pb_text(b, 5, words->name);
    pb_time(b, 6, s->start_ns, fields);
    pb_uint(b, 7, (uint64_t)SM_MAX(1, (s->end_ns - s->start_ns) / SM_US));
    pb_endpoint(b, 8, bench_topology_services[s->service].name, s->service);
    if (words->remote_service)
        pb_endpoint(b, 9, words->remote_service, s->peer);
    for (uint32_t i = 0; i < words->attrs.n; i++)
        pb_tag(b, words->attrs.at[i].key, attr_text(&words->attrs.at[i], text));
    if (s->error)
        pb_tag(b, "error", words->status_message[0] ? words->status_message : "true");
}

void bench_encode_zipkin_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                               struct bench_fields *fields)
{
    struct bench_buf span = {0};
    struct bench_fields span_fields = {0};
    struct bench_words words;
    for (uint32_t i = 0; i < request->n; i++) {
        const struct bench_span *s = &gen->spans[gen->order[request->first + i]];
        bench_attrs_describe(s, &words);
        pb_span(&span, s, &words, &span_fields);
        pb_bytes(out, 1, span.ptr, span.len);
        bench_fields_append(fields, &span_fields, out->len - span.len);
        bench_buf_clear(&span);
        span_fields.n = 0;
    }
    free(span.ptr);
    bench_fields_free(&span_fields);
}

/* --- thrift --- */

enum { I16 = 6, I32 = 8, I64 = 10, STRING = 11, STRUCT = 12, LIST = 15 };

static void be(struct bench_buf *b, uint64_t v, unsigned size)
{
    while (size--)
        bench_buf_add_byte(b, (uint8_t)(v >> (8 * size)));
}

static void field(struct bench_buf *b, uint8_t type, uint16_t id)
{
    bench_buf_add_byte(b, type);
    be(b, id, 2);
}

static void number(struct bench_buf *b, uint8_t type, uint16_t id, uint64_t v)
{
    field(b, type, id);
    be(b, v, type == I64 ? 8 : type == I32 ? 4 : type == I16 ? 2 : 1);
}

static void text_field(struct bench_buf *b, uint16_t id, const char *text)
{
    size_t n = strlen(text);
    field(b, STRING, id);
    be(b, n, 4);
    bench_buf_add(b, text, n);
}

static void id_field(struct bench_buf *b, uint16_t id, uint64_t v, struct bench_fields *fields)
{
    number(b, I64, id, v);
    bench_fields_add(fields, BENCH_FIELD_SPAN_ID, b->len - 8);
}

static void time_field(struct bench_buf *b, uint16_t id, int64_t virtual_ns, struct bench_fields *fields)
{
    number(b, I64, id, micros(virtual_ns));
    bench_fields_add(fields, BENCH_FIELD_TIME_US_BE, b->len - 8);
}

static void host(struct bench_buf *b, uint16_t id, const char *service, uint32_t n)
{
    field(b, STRUCT, id);
    number(b, I32, 1, 10u << 24 | 16u << 16 | (n & 255) << 8 | 2);
    number(b, I16, 2, 8080);
    text_field(b, 3, service);
    bench_buf_add_byte(b, 0);
}

static void annotation(struct bench_buf *b, int64_t virtual_ns, const char *value, const struct bench_span *s,
                       struct bench_fields *fields)
{
    time_field(b, 1, virtual_ns, fields);
    text_field(b, 2, value);
    host(b, 3, bench_topology_services[s->service].name, s->service);
    bench_buf_add_byte(b, 0);
}

static void annotations(struct bench_buf *b, const struct bench_span *s, unsigned kind, struct bench_fields *fields)
{
    static const char *const values[][2] = {{0}, {0}, {"sr", "ss"}, {"cs", "cr"}, {"ms", "ws"}, {"wr", "mr"}};
    if (!values[kind][0])
        return;
    field(b, LIST, 6);
    bench_buf_add_byte(b, STRUCT);
    be(b, 2, 4);
    annotation(b, s->start_ns, values[kind][0], s, fields);
    annotation(b, s->end_ns, values[kind][1], s, fields);
}

static void binary_annotation(struct bench_buf *b, const struct bench_span *s, const char *key, const char *value)
{
    text_field(b, 1, key);
    text_field(b, 2, value);
    number(b, I32, 3, 6);
    host(b, 4, bench_topology_services[s->service].name, s->service);
    bench_buf_add_byte(b, 0);
}

static void thrift_span(struct bench_buf *b, const struct bench_span *s, const struct bench_words *words, struct bench_fields *fields)
{
    char text[32];
    number(b, I64, 1, s->trace_lo);
    bench_fields_add(fields, BENCH_FIELD_TRACE_ID_LO, b->len - 8);
    text_field(b, 3, words->name);
    id_field(b, 4, s->id, fields);
    if (s->parent)
        id_field(b, 5, s->parent, fields);
    annotations(b, s, words->kind, fields);
    field(b, LIST, 8);
    bench_buf_add_byte(b, STRUCT);
    be(b, words->attrs.n + (s->error ? 1 : 0), 4);
    for (uint32_t i = 0; i < words->attrs.n; i++)
        binary_annotation(b, s, words->attrs.at[i].key, attr_text(&words->attrs.at[i], text));
    if (s->error)
        binary_annotation(b, s, "error", words->status_message[0] ? words->status_message : "true");
    time_field(b, 10, s->start_ns, fields);
    number(b, I64, 11, (uint64_t)SM_MAX(1, (s->end_ns - s->start_ns) / SM_US));
    number(b, I64, 12, s->trace_hi);
    bench_fields_add(fields, BENCH_FIELD_TRACE_ID_HI, b->len - 8);
    bench_buf_add_byte(b, 0);
}

void bench_encode_zipkin_thrift(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                                struct bench_fields *fields)
{
    struct bench_words words;
    bench_buf_add_byte(out, STRUCT);
    be(out, request->n, 4);
    for (uint32_t i = 0; i < request->n; i++) {
        const struct bench_span *s = &gen->spans[gen->order[request->first + i]];
        bench_attrs_describe(s, &words);
        thrift_span(out, s, &words, fields);
    }
}
