/* Described spans as Zipkin v2 protobuf. */
#include "base/pb.h"
#include "spans.h"

static void put(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    if (!sm_buf_reserve(out, size + 16))
        return;
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static void put_text(struct sm_buf *out, uint32_t field, const char *text)
{
    put(out, field, text, strlen(text));
}

static void put_uint(struct sm_buf *out, uint32_t field, uint64_t v)
{
    uint8_t bytes[16];
    sm_buf_put(out, bytes, (size_t)(sm_pb_put_uint(bytes, field, v) - bytes));
}

static void put_endpoint(struct sm_buf *out, uint32_t field, const char *service)
{
    struct sm_buf endpoint = {0};
    if (!service)
        return;
    put_text(&endpoint, 1, service);
    put(out, field, endpoint.data, endpoint.size);
    sm_buf_fini(&endpoint);
}

static void put_tag(struct sm_buf *out, const char *key, const char *value)
{
    struct sm_buf entry = {0};
    put_text(&entry, 1, key);
    put_text(&entry, 2, value);
    put(out, 11, entry.data, entry.size);
    sm_buf_fini(&entry);
}

static void put_span(struct sm_buf *out, const struct span_desc *s)
{
    static const uint8_t kinds[] = {0, 0, 2, 1, 3, 4};
    uint8_t time[16];
    bool narrow = s->trace64 && s->trace.size == 16;
    put(out, 1, s->trace.bytes + (narrow ? 8 : 0), narrow ? 8 : s->trace.size);
    if (s->parent.size)
        put(out, 2, s->parent.bytes, s->parent.size);
    put(out, 3, s->id.bytes, s->id.size);
    put_uint(out, 4, kinds[s->kind]);
    put_text(out, 5, s->name);
    if (s->start_ns >= 0)
        sm_buf_put(out, time, (size_t)(sm_pb_put_fixed64(time, 6, (uint64_t)s->start_ns / 1000) - time));
    if (s->duration_ns >= 0)
        put_uint(out, 7, (uint64_t)s->duration_ns / 1000);
    put_endpoint(out, 8, s->service);
    put_endpoint(out, 9, s->remote);
    for (unsigned i = 0; i < s->attrs.count; i++)
        put_tag(out, s->attrs.items[i].key, s->attrs.items[i].value);
    if (s->status == SM_STATUS_ERROR)
        put_tag(out, "error", s->message ? s->message : "true");
    put_uint(out, 12, s->debug);
    put_uint(out, 13, s->shared);
}

void span_encode_zipkin_proto(const struct span_desc *spans, size_t count, struct sm_buf *out)
{
    struct sm_buf span = {0};
    for (size_t i = 0; i < count; i++) {
        sm_buf_clear(&span);
        put_span(&span, &spans[i]);
        put(out, 1, span.data, span.size);
    }
    sm_buf_fini(&span);
}
