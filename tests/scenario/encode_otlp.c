/* Described spans as an OTLP ExportTraceServiceRequest in protobuf. */
#include "base/pb.h"
#include "span/attr.h"
#include "spans.h"

#include <stdlib.h>

static void put_bytes(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    sm_buf_reserve(out, sm_pb_bytes_size(field, size));
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static void put_text(struct sm_buf *out, uint32_t field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

static void put_uint(struct sm_buf *out, uint32_t field, uint64_t v)
{
    sm_buf_reserve(out, 2 * SM_PB_VARINT_SIZE_MAX);
    out->size = (size_t)(sm_pb_put_uint(out->data + out->size, field, v) - out->data);
}

static void put_fixed64(struct sm_buf *out, uint32_t field, uint64_t v)
{
    sm_buf_reserve(out, SM_PB_VARINT_SIZE_MAX + 8);
    out->size = (size_t)(sm_pb_put_fixed64(out->data + out->size, field, v) - out->data);
}

/* A message as field `field`; `inner` is emptied. */
static void put_message(struct sm_buf *out, uint32_t field, struct sm_buf *inner)
{
    put_bytes(out, field, inner->data, inner->size);
    sm_buf_fini(inner);
    *inner = (struct sm_buf){0};
}

static void put_attr(struct sm_buf *out, uint32_t field, const struct span_attr *a)
{
    struct sm_buf value = {0}, kv = {0};
    if (a->is_int)
        put_uint(&value, 3, (uint64_t)strtoll(a->value, NULL, 10));
    else
        put_text(&value, 1, a->value);
    put_text(&kv, 1, a->key);
    put_message(&kv, 2, &value);
    put_message(out, field, &kv);
}

static void put_plain_attr(struct sm_buf *out, uint32_t field, char *key, char *value)
{
    put_attr(out, field, &(struct span_attr){key, value, false});
}

static void put_pad(struct sm_buf *out, size_t size)
{
    char *text = sm_xmalloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    put_plain_attr(out, SM_OTLP_ATTRIBUTES, "pad", text);
    free(text);
}

static void put_status(struct sm_buf *out, const struct span_desc *s)
{
    struct sm_buf status = {0};
    if (s->message)
        put_text(&status, 2, s->message);
    put_uint(&status, 3, s->status);
    put_message(out, SM_OTLP_STATUS, &status);
}

static void put_link(struct sm_buf *out, const struct span_desc *s)
{
    struct sm_buf link = {0};
    put_bytes(&link, 1, s->link_trace.bytes, s->link_trace.size);
    put_bytes(&link, 2, s->link_id.bytes, s->link_id.size);
    put_message(out, SM_OTLP_LINKS, &link);
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    put_bytes(out, SM_OTLP_TRACE_ID, s->trace.bytes, s->trace.size);
    put_bytes(out, SM_OTLP_SPAN_ID, s->id.bytes, s->id.size);
    if (s->tracestate)
        put_text(out, SM_OTLP_TRACE_STATE, s->tracestate);
    if (s->parent.size)
        put_bytes(out, SM_OTLP_PARENT_SPAN_ID, s->parent.bytes, s->parent.size);
    put_text(out, SM_OTLP_NAME, s->name);
    if (s->kind)
        put_uint(out, SM_OTLP_KIND, s->kind);
    if (s->start_ns >= 0) {
        put_fixed64(out, SM_OTLP_START, (uint64_t)s->start_ns);
        put_fixed64(out, SM_OTLP_END, (uint64_t)(s->start_ns + s->duration_ns));
    }
    for (unsigned i = 0; i < s->attrs.count; i++)
        put_attr(out, SM_OTLP_ATTRIBUTES, &s->attrs.items[i]);
    if (s->remote)
        put_plain_attr(out, SM_OTLP_ATTRIBUTES, "peer.service", s->remote);
    if (s->debug)
        put_attr(out, SM_OTLP_ATTRIBUTES, &(struct span_attr){"sampling.priority", "1", true});
    if (s->pad)
        put_pad(out, s->pad);
    if (s->link_id.size)
        put_link(out, s);
    if (s->status || s->message)
        put_status(out, s);
    if (s->flags) {
        sm_buf_reserve(out, SM_PB_VARINT_SIZE_MAX + 4);
        out->size = (size_t)(sm_pb_put_fixed32(out->data + out->size, SM_OTLP_FLAGS, s->flags) - out->data);
    }
}

static void put_resource(struct sm_buf *out, const struct span_desc *s)
{
    struct sm_buf resource = {0};
    if (s->service)
        put_plain_attr(&resource, 1, "service.name", s->service);
    for (unsigned i = 0; i < s->resource.count; i++)
        put_attr(&resource, 1, &s->resource.items[i]);
    put_message(out, 1, &resource);
}

void span_encode_otlp(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    for (size_t at = 0; at < count;) {
        struct sm_buf group = {0}, scope_spans = {0}, span = {0};
        size_t end = at + span_resource_run(spans + at, count - at);
        put_resource(&group, &spans[at]);
        for (; at < end; at++) {
            put_span(&span, &spans[at]);
            put_message(&scope_spans, 2, &span);
        }
        put_message(&group, 2, &scope_spans);
        put_message(out, 1, &group);
    }
}
