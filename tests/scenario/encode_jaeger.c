/* Described spans as a Jaeger PostSpansRequest, each with its own process. */
#include "base/pb.h"
#include "spans.h"

#include <stdlib.h>

enum { TYPE_STRING = 0, TYPE_BOOL = 1, TYPE_INT64 = 2 }; /* model.proto ValueType */
enum { CHILD_OF = 0, FOLLOWS_FROM = 1 };

static void put_bytes(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    sm_buf_reserve(out, sm_pb_bytes_size(field, size));
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static void put_uint(struct sm_buf *out, uint32_t field, uint64_t v)
{
    sm_buf_reserve(out, 2 * SM_PB_VARINT_SIZE_MAX);
    out->size = (size_t)(sm_pb_put_uint(out->data + out->size, field, v) - out->data);
}

/* As field `field`; `inner` is emptied. */
static void put_message(struct sm_buf *out, uint32_t field, struct sm_buf *inner)
{
    put_bytes(out, field, inner->data, inner->size);
    sm_buf_fini(inner);
    *inner = (struct sm_buf){0};
}

static void put_tag(struct sm_buf *out, uint32_t field, const char *key, unsigned type, const char *text, uint64_t number)
{
    struct sm_buf tag = {0};
    put_bytes(&tag, 1, key, strlen(key));
    put_uint(&tag, 2, type);
    if (type == TYPE_STRING)
        put_bytes(&tag, 3, text, strlen(text));
    else
        put_uint(&tag, type == TYPE_BOOL ? 4 : 5, number);
    put_message(out, field, &tag);
}

static void put_attrs(struct sm_buf *out, uint32_t field, const struct span_attrs *attrs)
{
    for (unsigned i = 0; i < attrs->count; i++) {
        const struct span_attr *a = &attrs->items[i];
        bool is_int = a->is_int;
        put_tag(out, field, a->key, is_int ? TYPE_INT64 : TYPE_STRING, a->value,
                is_int ? (uint64_t)strtoll(a->value, NULL, 10) : 0);
    }
}

/* A 64-bit id has 16 bytes on this wire too. */
static void put_trace_id(struct sm_buf *out, const struct span_id *id)
{
    uint8_t wide[16] = {0};
    if (id->size == 8)
        memcpy(wide + 8, id->bytes, 8);
    put_bytes(out, 1, id->size == 8 ? wide : id->bytes, id->size == 8 ? 16 : id->size);
}

static void put_reference(struct sm_buf *out, const struct span_id *trace, const struct span_id *span, unsigned type)
{
    struct sm_buf ref = {0};
    put_trace_id(&ref, trace);
    put_bytes(&ref, 2, span->bytes, span->size);
    put_uint(&ref, 3, type);
    put_message(out, 4, &ref);
}

static void put_time(struct sm_buf *out, uint32_t field, int64_t ns)
{
    struct sm_buf time = {0};
    put_uint(&time, 1, (uint64_t)(ns / SM_SEC));
    put_uint(&time, 2, (uint64_t)(ns % SM_SEC));
    put_message(out, field, &time);
}

static void put_tags(struct sm_buf *out, const struct span_desc *s)
{
    put_attrs(out, 8, &s->attrs);
    if (s->kind)
        put_tag(out, 8, "span.kind", TYPE_STRING, sm_kind_name(s->kind), 0);
    if (s->remote)
        put_tag(out, 8, "peer.service", TYPE_STRING, s->remote, 0);
    if (s->status == SM_STATUS_ERROR)
        put_tag(out, 8, "error", TYPE_BOOL, NULL, true);
    else if (s->status == SM_STATUS_OK)
        put_tag(out, 8, "otel.status_code", TYPE_STRING, "OK", 0);
    if (s->message)
        put_tag(out, 8, "otel.status_description", TYPE_STRING, s->message, 0);
}

static void put_process(struct sm_buf *out, const struct span_desc *s)
{
    struct sm_buf process = {0};
    if (s->service)
        put_bytes(&process, 1, s->service, strlen(s->service));
    put_attrs(&process, 2, &s->resource);
    put_message(out, 10, &process);
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    put_trace_id(out, &s->trace);
    put_bytes(out, 2, s->id.bytes, s->id.size);
    put_bytes(out, 3, s->name, strlen(s->name));
    if (s->parent.size)
        put_reference(out, &s->trace, &s->parent, CHILD_OF);
    if (s->link_id.size)
        put_reference(out, &s->link_trace, &s->link_id, FOLLOWS_FROM);
    put_uint(out, 5, s->debug ? 3 : 1);
    if (s->start_ns >= 0)
        put_time(out, 6, s->start_ns);
    if (s->duration_ns >= 0)
        put_time(out, 7, s->duration_ns);
    put_tags(out, s);
    put_process(out, s);
}

void span_encode_jaeger(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    struct sm_buf batch = {0}, span = {0};
    for (size_t i = 0; i < count; i++) {
        put_span(&span, &spans[i]);
        put_message(&batch, 1, &span);
    }
    put_message(out, 1, &batch);
}
