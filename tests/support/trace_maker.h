/* Makes sealed traces for unit tests from OTLP bytes written by hand, through the real decoder and view builder.
 *
 *   struct maker m;
 *   maker_init(&m, wanted);                       // wanted may be NULL: the built-in keys
 *   maker_resource(&m);                           // begins a resource; attributes go to m.resource
 *   maker_str(&m.resource, 1, "service.name", "shop");
 *   maker_span(&m, (struct maker_span){.id = 1, .name = "GET /", ...});   // begins a span ...
 *   maker_str(&m.span, 9, "http.method", "GET");                          // ... attributes go to m.span
 *   const struct sm_view *view = maker_view(&m);  // the trace so far; valid until the next call
 *   maker_fini(&m);
 */
#ifndef SM_TEST_TRACE_MAKER_H
#define SM_TEST_TRACE_MAKER_H

#include "base/buf.h"
#include "base/pb.h"
#include "span/codec/codec.h"
#include "span/view.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct maker_span {
    uint64_t id, parent;
    const char *name;
    enum sm_kind kind;
    enum sm_status status;
    const char *message; /* of the status */
    uint64_t start_ms, duration_ms;
    const char *tracestate;
    uint32_t flags; /* as in OTLP */
};

struct maker {
    struct sm_decoder decoder;
    struct sm_wanted *own_wanted;
    struct sm_scopes *scopes;
    struct sm_view_scratch *names;
    struct sm_batch batch;
    bool names_overflow; /* as if the table of names had been full */
    struct sm_trace trace;
    struct sm_trace_id trace_id;
    struct sm_buf request, resource, spans, span;
};

static inline void maker_init(struct maker *m, struct sm_wanted *wanted)
{
    memset(m, 0, sizeof *m);
    m->own_wanted = wanted ? NULL : sm_wanted_new(1);
    m->decoder.wanted = wanted ? wanted : m->own_wanted;
    m->decoder.names = sm_names_new(1000, 1 << 20);
    m->decoder.names_cache = sm_names_cache_new(m->decoder.names);
    m->scopes = sm_scopes_new(m->decoder.names, 1000, 1 << 20);
    m->decoder.scopes = sm_scopes_cache_new(m->scopes, m->decoder.names_cache);
    m->decoder.limits = sm_codec_limits_default;
    m->decoder.pool = sm_payload_pool_new(1 << 20);
    m->names = sm_view_scratch_new(m->decoder.names, m->scopes);
    m->trace_id = (struct sm_trace_id){.hi = 0x0001020304050607, .lo = 0x08090a0b0c0d0e0f};
}

static inline void maker_free_trace(struct maker *m)
{
    free(m->trace.chunks);
    memset(&m->trace, 0, sizeof m->trace);
}

static inline void maker_fini(struct maker *m)
{
    maker_free_trace(m);
    sm_batch_fini(&m->batch);
    sm_view_scratch_free(m->names);
    sm_payload_pool_free(m->decoder.pool);
    sm_scopes_cache_free(m->decoder.scopes);
    sm_scopes_free(m->scopes);
    sm_names_cache_free(m->decoder.names_cache);
    sm_names_free(m->decoder.names);
    sm_wanted_free(m->own_wanted);
    sm_buf_fini(&m->request);
    sm_buf_fini(&m->resource);
    sm_buf_fini(&m->spans);
    sm_buf_fini(&m->span);
}

static inline void maker_bytes(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    cr_assert(sm_buf_reserve(out, sm_pb_bytes_size(field, size)));
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static inline void maker_uint(struct sm_buf *out, uint32_t field, uint64_t v)
{
    cr_assert(sm_buf_reserve(out, 2 * SM_PB_VARINT_SIZE_MAX));
    out->size = (size_t)(sm_pb_put_uint(out->data + out->size, field, v) - out->data);
}

static inline void maker_fixed64(struct sm_buf *out, uint32_t field, uint64_t v)
{
    cr_assert(sm_buf_reserve(out, SM_PB_VARINT_SIZE_MAX + 8));
    out->size = (size_t)(sm_pb_put_fixed64(out->data + out->size, field, v) - out->data);
}

/* Appends a KeyValue as field `field` (span attributes: 9, resource attributes: 1) whose value is the AnyValue `any`. */
static inline void maker_attr(struct sm_buf *out, uint32_t field, const char *key, const void *any, size_t size)
{
    struct sm_buf kv = {0};
    maker_bytes(&kv, 1, key, strlen(key));
    maker_bytes(&kv, 2, any, size);
    maker_bytes(out, field, kv.data, kv.size);
    sm_buf_fini(&kv);
}

static inline void maker_any(struct sm_buf *out, uint32_t field, const char *key, struct sm_buf *any)
{
    maker_attr(out, field, key, any->data, any->size);
    sm_buf_fini(any);
}

static inline void maker_str(struct sm_buf *out, uint32_t field, const char *key, const char *value)
{
    struct sm_buf any = {0};
    maker_bytes(&any, 1, value, strlen(value));
    maker_any(out, field, key, &any);
}

static inline void maker_bool(struct sm_buf *out, uint32_t field, const char *key, bool value)
{
    struct sm_buf any = {0};
    maker_uint(&any, 2, value);
    maker_any(out, field, key, &any);
}

static inline void maker_int(struct sm_buf *out, uint32_t field, const char *key, int64_t value)
{
    struct sm_buf any = {0};
    maker_uint(&any, 3, (uint64_t)value);
    maker_any(out, field, key, &any);
}

static inline void maker_double(struct sm_buf *out, uint32_t field, const char *key, double value)
{
    struct sm_buf any = {0};
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    maker_fixed64(&any, 4, bits);
    maker_any(out, field, key, &any);
}

static inline void maker_end_span(struct maker *m)
{
    if (m->span.size)
        maker_bytes(&m->spans, 2, m->span.data, m->span.size);
    sm_buf_clear(&m->span);
}

static inline void maker_end_resource(struct maker *m)
{
    maker_end_span(m);
    if (m->spans.size) {
        struct sm_buf group = {0};
        maker_bytes(&group, 1, m->resource.data, m->resource.size);
        maker_bytes(&group, 2, m->spans.data, m->spans.size);
        maker_bytes(&m->request, 1, group.data, group.size);
        sm_buf_fini(&group);
    }
    sm_buf_clear(&m->resource);
    sm_buf_clear(&m->spans);
}

static inline void maker_resource(struct maker *m)
{
    maker_end_resource(m);
}

static inline void maker_status(struct maker *m, const struct maker_span *s)
{
    struct sm_buf status = {0};
    if (s->message)
        maker_bytes(&status, 2, s->message, strlen(s->message));
    maker_uint(&status, 3, s->status);
    maker_bytes(&m->span, 15, status.data, status.size);
    sm_buf_fini(&status);
}

static inline void maker_span(struct maker *m, struct maker_span s)
{
    uint8_t id[16];
    maker_end_span(m);
    sm_store_be64(id, m->trace_id.hi);
    sm_store_be64(id + 8, m->trace_id.lo);
    maker_bytes(&m->span, 1, id, 16);
    sm_store_be64(id, s.id);
    maker_bytes(&m->span, 2, id, 8);
    if (s.tracestate)
        maker_bytes(&m->span, 3, s.tracestate, strlen(s.tracestate));
    if (s.parent) {
        sm_store_be64(id, s.parent);
        maker_bytes(&m->span, 4, id, 8);
    }
    if (s.name)
        maker_bytes(&m->span, 5, s.name, strlen(s.name));
    if (s.kind)
        maker_uint(&m->span, 6, s.kind);
    maker_fixed64(&m->span, 7, s.start_ms * 1000000);
    maker_fixed64(&m->span, 8, (s.start_ms + s.duration_ms) * 1000000);
    if (s.status || s.message)
        maker_status(m, &s);
    if (s.flags) {
        cr_assert(sm_buf_reserve(&m->span, SM_PB_VARINT_SIZE_MAX + 4));
        m->span.size = (size_t)(sm_pb_put_fixed32(m->span.data + m->span.size, 16, s.flags) - m->span.data);
    }
}

static inline void maker_decode(struct maker *m)
{
    struct sm_err err;
    struct sm_payload *p = sm_payload_new(m->decoder.pool, m->request.size + 1);
    if (m->request.size)
        memcpy(p->data, m->request.data, m->request.size);
    p->size = m->request.size;
    sm_batch_clear(&m->batch);
    cr_assert_eq(sm_codec_otlp_proto.decode(&m->decoder, p, &m->batch, &err), SM_OK);
    cr_assert_eq(m->batch.rejected_total, 0, "%s", m->batch.reject_text);
    sm_payload_put(p);
}

static inline struct sm_chunk *maker_chunk(size_t size)
{
    struct sm_chunk *chunk = calloc(1, sizeof *chunk + size);
    cr_assert_not_null(chunk);
    chunk->size = (uint32_t)size;
    return chunk;
}

static inline void maker_take_span(struct maker *m, uint32_t i)
{
    struct sm_trace *t = &m->trace;
    struct sm_span *s = sm_batch_span(&m->batch, i);
    if (m->names_overflow) {
        s->name_id = SM_NAME_OVERFLOW;
        sm_lead_mark(s, m->batch.items[i].trace, sm_str(NULL, 0), sm_batch_bytes(&m->batch, i));
    }
    sm_trace_put(t, s, sm_batch_bytes(&m->batch, i));
    t->span_count++;
    t->bytes += s->size;
    t->span_flags |= s->flags;
    t->has_root |= s->parent_id == 0;
    if (s->start_ns)
        t->start_ns = SM_MIN(t->start_ns, s->start_ns);
    t->end_ns = SM_MAX(t->end_ns, sm_span_end_ns(s));
}

/* Decodes what was written into m->trace; its heads may be changed before sm_view_build. */
static inline void maker_trace(struct maker *m)
{
    maker_end_resource(m);
    maker_decode(m);
    maker_free_trace(m);
    m->trace.id = m->trace_id;
    m->trace.start_ns = UINT64_MAX;
    sm_trace_add_chunk(&m->trace, maker_chunk(m->batch.heads_size + m->request.size + 8));
    for (uint32_t i = 0; i < m->batch.count; i++)
        maker_take_span(m, i);
    sm_trace_settle(&m->trace);
    sm_batch_clear(&m->batch);
}

static inline const struct sm_view *maker_view(struct maker *m)
{
    maker_trace(m);
    return sm_view_build(m->names, &m->trace);
}

/* Begins another trace with nothing written yet. */
static inline void maker_restart(struct maker *m, struct sm_trace_id id)
{
    maker_free_trace(m);
    sm_buf_clear(&m->request);
    sm_buf_clear(&m->resource);
    sm_buf_clear(&m->spans);
    sm_buf_clear(&m->span);
    m->trace_id = id;
}

#endif
