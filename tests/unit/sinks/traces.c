#include "traces.h"
#include "base/pb.h"
#include "span/attr.h"

#include <stdlib.h>

void traces_init(struct traces *t)
{
    t->names = sm_names_new(1000, 1 << 20);
    t->scopes = sm_scopes_new(t->names, 1000, 64 << 20);
    t->names_cache = sm_names_cache_new(t->names);
    t->cache = sm_scopes_cache_new(t->scopes, t->names_cache);
}

void traces_fini(struct traces *t)
{
    sm_scopes_cache_free(t->cache);
    sm_names_cache_free(t->names_cache);
    sm_scopes_free(t->scopes);
    sm_names_free(t->names);
}

static size_t string_attribute(uint8_t *out, const char *key, const char *text)
{
    uint8_t value[256], kv[600];
    uint8_t *v = sm_pb_put_bytes(value, 1, text, strlen(text));
    uint8_t *p = sm_pb_put_bytes(kv, 1, key, strlen(key));
    p = sm_pb_put_bytes(p, 2, value, (size_t)(v - value));
    return (size_t)(sm_pb_put_bytes(out, 1, kv, (size_t)(p - kv)) - out);
}

uint32_t traces_scope(struct traces *t, const char *service, const char *scope)
{
    uint8_t resource_bytes[700], scope_bytes[300];
    size_t n = string_attribute(resource_bytes, "service.name", service);
    const struct sm_resource *r =
        sm_scopes_cache_resource(t->cache, sm_str(resource_bytes, n), SM_STR("https://example.org/r"), 1);
    size_t m = (size_t)(sm_pb_put_bytes(scope_bytes, 1, scope, strlen(scope)) - scope_bytes);
    return sm_scopes_cache_scope(t->cache, r, sm_str(scope_bytes, m), SM_STR(""), 1)->id;
}

static struct sm_chunk *chunk_new(uint32_t size)
{
    struct sm_chunk *c = calloc(1, sizeof *c + size);
    c->size = size;
    return c;
}

struct sm_trace *trace_new(uint64_t id)
{
    struct sm_trace *t = calloc(1, sizeof *t);
    t->id = (struct sm_trace_id){UINT64_C(0x0102030405060708), id};
    sm_trace_add_chunk(t, chunk_new(1024));
    t->memory = sizeof *t;
    return t;
}

void trace_add(struct sm_trace *trace, uint32_t scope_id, uint64_t span_id, const char *name, const char *tracestate,
               struct sm_str private)
{
    uint8_t bytes[2048], id[16];
    sm_store_be64(id, trace->id.hi);
    sm_store_be64(id + 8, trace->id.lo);
    uint8_t *p = sm_pb_put_bytes(bytes, SM_OTLP_TRACE_ID, id, 16);
    sm_store_be64(id, span_id);
    p = sm_pb_put_bytes(p, SM_OTLP_SPAN_ID, id, 8);
    if (tracestate)
        p = sm_pb_put_bytes(p, SM_OTLP_TRACE_STATE, tracestate, strlen(tracestate));
    p = sm_pb_put_bytes(p, SM_OTLP_NAME, name, strlen(name));
    p = sm_pb_put_uint(p, SM_OTLP_KIND, SM_KIND_SERVER);
    p = sm_pb_put_fixed64(p, SM_OTLP_START, 1000);
    p = sm_pb_put_fixed64(p, SM_OTLP_END, 2000);
    if (private.len)
        memcpy(p, private.ptr, private.len);
    uint32_t size = (uint32_t)(p - bytes + (ptrdiff_t)private.len);
    struct sm_span span = {.span_id = span_id,
                           .start_ns = 1000,
                           .duration_ns = 1000,
                           .scope_id = scope_id,
                           .size = size,
                           .kind_status = SM_KIND_SERVER};
    span.flags = (uint16_t)((tracestate ? SM_SPAN_TRACESTATE : 0) | (private.len ? SM_SPAN_PRIVATE : 0));
    if (sm_trace_room(trace) < sizeof span + size)
        sm_trace_add_chunk(trace, chunk_new(sizeof span + size));
    sm_trace_put(trace, &span, bytes);
    sm_trace_settle(trace);
    trace->span_count++;
    trace->bytes += size;
    trace->memory += size + (uint32_t)sizeof span;
}

static void chunks_free(struct sm_chunk *c)
{
    while (c) {
        struct sm_chunk *next = c->next;
        free(c);
        c = next;
    }
}

void trace_free(struct sm_trace *trace)
{
    chunks_free(trace->chunks);
    free(trace);
}

struct sm_sink_batch batch_of(const struct sm_trace **traces, uint32_t count)
{
    struct sm_sink_batch b = {.traces = traces, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        b.spans += traces[i]->span_count;
        b.bytes += traces[i]->bytes;
    }
    return b;
}
