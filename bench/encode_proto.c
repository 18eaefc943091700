/* OTLP protobuf. Messages are built inside out: a scratch buffer holds the inner one until its length is known. */
#include "bench/encode_proto.h"

#include "bench/attrs.h"
#include "bench/encode.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void put_varint(struct bench_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        bench_buf_add_byte(b, (uint8_t)(v | 0x80));
    bench_buf_add_byte(b, (uint8_t)v);
}

static void put_tag(struct bench_buf *b, uint32_t field, uint32_t wire)
{
    put_varint(b, (uint64_t)field << 3 | wire);
}

static void put_bytes(struct bench_buf *b, uint32_t field, const void *bytes, size_t n)
{
    put_tag(b, field, WIRE_BYTES);
    put_varint(b, n);
    bench_buf_add(b, bytes, n);
}

static void put_text(struct bench_buf *b, uint32_t field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_uint(struct bench_buf *b, uint32_t field, uint64_t v)
{
    put_tag(b, field, WIRE_VARINT);
    put_varint(b, v);
}

static void put_fixed64(struct bench_buf *b, uint32_t field, uint64_t v)
{
    put_tag(b, field, WIRE_FIXED64);
    sm_store_le64(bench_buf_room(b, 8), v);
    b->len += 8;
}

static void put_fixed32(struct bench_buf *b, uint32_t field, uint32_t v)
{
    put_tag(b, field, WIRE_FIXED32);
    bench_buf_add(b, &v, 4);
}

static void put_attr(struct bench_buf *b, uint32_t field, const struct bench_attr *attr)
{
    uint8_t value_bytes[16];
    struct bench_buf value = {.ptr = value_bytes, .capacity = sizeof value_bytes};
    size_t key_n = strlen(attr->key), string_n = 0;
    switch (attr->type) {
    case BENCH_ATTR_STRING:
        string_n = strlen(attr->string);
        put_tag(&value, 1, WIRE_BYTES);
        put_varint(&value, string_n);
        break;
    case BENCH_ATTR_BOOL:
        put_uint(&value, 2, (uint64_t)attr->integer);
        break;
    case BENCH_ATTR_INT:
        put_uint(&value, 3, (uint64_t)attr->integer);
        break;
    case BENCH_ATTR_DOUBLE: {
        uint64_t bits;
        memcpy(&bits, &attr->real, 8);
        put_fixed64(&value, 4, bits);
        break;
    }
    }
    size_t value_n = value.len + string_n;
    put_tag(b, field, WIRE_BYTES);
    put_varint(b, 2 + key_n + 1 + (value_n < 128 ? 1 : 2) + value_n);
    put_bytes(b, 1, attr->key, key_n);
    put_tag(b, 2, WIRE_BYTES);
    put_varint(b, value_n);
    bench_buf_add(b, value.ptr, value.len);
    bench_buf_add(b, attr->string, string_n);
}

static void put_attrs(struct bench_buf *b, uint32_t field, const struct bench_attrs *attrs)
{
    for (uint32_t i = 0; i < attrs->n; i++)
        put_attr(b, field, &attrs->at[i]);
}

static void put_trace_id(struct bench_buf *b, uint32_t field, const struct bench_span *s, struct bench_fields *fields)
{
    uint8_t id[16];
    sm_store_be64(id, s->trace_hi);
    sm_store_be64(id + 8, s->trace_lo);
    put_bytes(b, field, id, 16);
    bench_fields_add(fields, BENCH_FIELD_TRACE_ID, b->len - 16);
}

static void put_span_id(struct bench_buf *b, uint32_t field, uint64_t span_id, struct bench_fields *fields)
{
    uint8_t id[8];
    sm_store_be64(id, span_id);
    put_bytes(b, field, id, 8);
    bench_fields_add(fields, BENCH_FIELD_SPAN_ID, b->len - 8);
}

static void put_time(struct bench_buf *b, uint32_t field, int64_t virtual_ns, struct bench_fields *fields)
{
    put_fixed64(b, field, (uint64_t)(BENCH_ENCODE_EPOCH_NS + virtual_ns));
    bench_fields_add(fields, BENCH_FIELD_TIME_NS, b->len - 8);
}

/* Appends `inner` as a message field and its fields at their new place; empties `inner`. */
static void put_message(struct bench_buf *b, uint32_t field, struct bench_buf *inner, struct bench_fields *fields,
                        struct bench_fields *inner_fields)
{
    put_bytes(b, field, inner->ptr, inner->len);
    bench_fields_append(fields, inner_fields, b->len - inner->len);
    bench_buf_clear(inner);
    inner_fields->n = 0;
}

/* Buffers of one request, reused for all its spans. */
struct scratch {
    struct bench_words words;
    struct bench_buf inner, span, scope, resource;
    struct bench_fields inner_fields, span_fields, scope_fields, resource_fields;
};

static void put_event(struct scratch *x)
{
    struct bench_buf *b = &x->inner;
    put_time(b, 1, x->words.event.time_ns, &x->inner_fields);
    put_text(b, 2, x->words.event.name);
    put_attrs(b, 3, &x->words.event.attrs);
    put_message(&x->span, 11, b, &x->span_fields, &x->inner_fields);
}

static void put_link(struct scratch *x, const struct bench_span *s)
{
    put_trace_id(&x->inner, 1, s, &x->inner_fields);
    put_span_id(&x->inner, 2, s->parent, &x->inner_fields);
    put_fixed32(&x->inner, 6, 0x301);
    put_message(&x->span, 13, &x->inner, &x->span_fields, &x->inner_fields);
}

static void put_error_status(struct scratch *x)
{
    if (x->words.status_message[0])
        put_text(&x->inner, 2, x->words.status_message);
    put_uint(&x->inner, 3, 2);
    put_message(&x->span, 15, &x->inner, &x->span_fields, &x->inner_fields);
}

static void put_span(struct scratch *x, const struct bench_span *s)
{
    struct bench_buf *b = &x->span;
    bench_attrs_describe(s, &x->words);
    put_trace_id(b, 1, s, &x->span_fields);
    put_span_id(b, 2, s->id, &x->span_fields);
    if (s->parent)
        put_span_id(b, 4, s->parent, &x->span_fields);
    put_text(b, 5, x->words.name);
    put_uint(b, 6, x->words.kind);
    put_time(b, 7, s->start_ns, &x->span_fields);
    put_time(b, 8, s->end_ns, &x->span_fields);
    put_attrs(b, 9, &x->words.attrs);
    if (x->words.event.name)
        put_event(x);
    if (s->linked)
        put_link(x, s);
    if (s->error)
        put_error_status(x);
    put_fixed32(b, 16, x->words.flags);
    put_message(&x->scope, 2, b, &x->scope_fields, &x->span_fields);
}

static void put_scope_spans(struct scratch *x, const struct bench_gen *gen, const struct bench_request *request,
                            uint32_t scope)
{
    for (uint32_t i = 0; i < request->n; i++) {
        const struct bench_span *s = &gen->spans[gen->order[request->first + i]];
        if (bench_attrs_scope_of(s) != scope)
            continue;
        if (x->scope.len == 0) {
            put_text(&x->inner, 1, bench_attrs_scopes[scope].name);
            put_text(&x->inner, 2, bench_attrs_scopes[scope].version);
            put_message(&x->scope, 1, &x->inner, &x->scope_fields, &x->inner_fields);
        }
        put_span(x, s);
    }
    if (x->scope.len)
        put_message(&x->resource, 2, &x->scope, &x->resource_fields, &x->scope_fields);
}

void bench_encode_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                        struct bench_fields *fields)
{
    struct scratch *x = sm_xcalloc(1, sizeof *x);
    struct bench_attrs resource;
    bench_attrs_resource(request->service, request->instance, &resource);
    put_attrs(&x->inner, 1, &resource);
    put_message(&x->resource, 1, &x->inner, &x->resource_fields, &x->inner_fields);
    for (uint32_t scope = 0; scope < BENCH_SCOPES; scope++)
        put_scope_spans(x, gen, request, scope);
    put_text(&x->resource, 3, "https://opentelemetry.io/schemas/1.37.0");
    put_message(out, 1, &x->resource, fields, &x->resource_fields);

    bench_buf_free(&x->inner);
    bench_buf_free(&x->span);
    bench_buf_free(&x->scope);
    bench_buf_free(&x->resource);
    bench_fields_free(&x->inner_fields);
    bench_fields_free(&x->span_fields);
    bench_fields_free(&x->scope_fields);
    bench_fields_free(&x->resource_fields);
    free(x);
}
