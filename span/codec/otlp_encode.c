/* OTLP protobuf encoder. Enclosing lengths are summed up before anything is written. */
#include "span/codec/otlp_encode.h"

#include "base/buf.h"
#include "base/pb.h"

/* ResourceSpans{resource=1, scope_spans=2, schema_url=3}; ScopeSpans{scope=1, spans=2, schema_url=3}. */
enum { HEAD = 1, MEMBERS = 2, SCHEMA_URL = 3 };
enum { RESOURCE_SPANS = 1 };

/* Interned contents have one address. */
static bool same(struct sm_str a, struct sm_str b)
{
    return a.len == b.len && (a.ptr == b.ptr || sm_str_eq(a, b));
}

size_t sm_otlp_resource_run(const struct sm_encode_span *spans, size_t count)
{
    size_t n = 1;
    while (n < count && same(spans[n].resource, spans[0].resource) &&
           same(spans[n].resource_schema_url, spans[0].resource_schema_url))
        n++;
    return n;
}

size_t sm_otlp_scope_run(const struct sm_encode_span *spans, size_t count)
{
    size_t n = 1;
    while (n < count && same(spans[n].scope, spans[0].scope) && same(spans[n].scope_schema_url, spans[0].scope_schema_url))
        n++;
    return n;
}

/* Of a field that is left out when it is empty. */
static size_t optional_size(uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_bytes_size(field, s.len) : 0;
}

static size_t scope_spans_size(const struct sm_encode_span *spans, size_t count)
{
    size_t size = optional_size(HEAD, spans[0].scope) + optional_size(SCHEMA_URL, spans[0].scope_schema_url);
    for (size_t i = 0; i < count; i++)
        size += sm_pb_bytes_size(MEMBERS, spans[i].bytes.len);
    return size;
}

static size_t resource_spans_size(const struct sm_encode_span *spans, size_t count)
{
    size_t size = optional_size(HEAD, spans[0].resource) + optional_size(SCHEMA_URL, spans[0].resource_schema_url);
    for (size_t i = 0, n; i < count; i += n) {
        n = sm_otlp_scope_run(spans + i, count - i);
        size += sm_pb_bytes_size(MEMBERS, scope_spans_size(spans + i, n));
    }
    return size;
}

static uint8_t *put_optional(uint8_t *p, uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_put_bytes(p, field, s.ptr, s.len) : p;
}

static uint8_t *put_length(uint8_t *p, uint32_t field, size_t size)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_BYTES));
    return sm_pb_put_varint(p, size);
}

static uint8_t *put_scope_spans(uint8_t *p, const struct sm_encode_span *spans, size_t count)
{
    p = put_length(p, MEMBERS, scope_spans_size(spans, count));
    p = put_optional(p, HEAD, spans[0].scope);
    for (size_t i = 0; i < count; i++)
        p = sm_pb_put_bytes(p, MEMBERS, spans[i].bytes.ptr, spans[i].bytes.len);
    return put_optional(p, SCHEMA_URL, spans[0].scope_schema_url);
}

static void put_resource_spans(const struct sm_encode_span *spans, size_t count, struct sm_buf *out)
{
    size_t size = resource_spans_size(spans, count);
    if (!sm_buf_reserve(out, sm_pb_bytes_size(RESOURCE_SPANS, size)))
        return;
    uint8_t *p = put_length(out->data + out->size, RESOURCE_SPANS, size);
    p = put_optional(p, HEAD, spans[0].resource);
    for (size_t i = 0, n; i < count; i += n) {
        n = sm_otlp_scope_run(spans + i, count - i);
        p = put_scope_spans(p, spans + i, n);
    }
    p = put_optional(p, SCHEMA_URL, spans[0].resource_schema_url);
    out->size = (size_t)(p - out->data);
}

void sm_codec_otlp_proto_encode(const struct sm_encode_span *spans, size_t count, struct sm_buf *out)
{
    for (size_t i = 0, n; i < count; i += n) {
        n = sm_otlp_resource_run(spans + i, count - i);
        put_resource_spans(spans + i, n, out);
    }
}
