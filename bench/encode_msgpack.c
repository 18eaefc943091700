/* Batches of the agent protocol. */
#include "bench/encode_msgpack.h"

#include "bench/attrs.h"
#include "bench/encode.h"

#include <msgpack/pack.h>

struct writer {
    msgpack_packer to;
    struct bench_words words;
};

static int append(void *out, const char *bytes, size_t n)
{
    bench_buf_add(out, bytes, n);
    return 0;
}

static void put_text(struct writer *w, const char *text)
{
    size_t n = strlen(text);
    msgpack_pack_str(&w->to, n);
    msgpack_pack_str_body(&w->to, text, n);
}

static void put_id(struct writer *w, const char *key, uint64_t hi, uint64_t lo, size_t size)
{
    uint8_t bytes[16];
    sm_store_be64(bytes, hi);
    sm_store_be64(bytes + 8, lo);
    put_text(w, key);
    msgpack_pack_bin(&w->to, size);
    msgpack_pack_bin_body(&w->to, bytes + 16 - size, size);
}

static void put_uint(struct writer *w, const char *key, uint64_t v)
{
    put_text(w, key);
    msgpack_pack_uint64(&w->to, v);
}

static void put_attr(struct writer *w, const struct bench_attr *a)
{
    put_text(w, a->key);
    if (a->type == BENCH_ATTR_STRING)
        put_text(w, a->string);
    else if (a->type == BENCH_ATTR_DOUBLE)
        msgpack_pack_double(&w->to, a->real);
    else if (a->type == BENCH_ATTR_INT)
        msgpack_pack_int64(&w->to, a->integer);
    else
        a->integer ? msgpack_pack_true(&w->to) : msgpack_pack_false(&w->to);
}

static void put_attrs(struct writer *w, const char *key, const struct bench_attrs *attrs)
{
    put_text(w, key);
    msgpack_pack_map(&w->to, attrs->n);
    for (uint32_t i = 0; i < attrs->n; i++)
        put_attr(w, &attrs->at[i]);
}

static void put_event(struct writer *w, const struct bench_event *event)
{
    put_text(w, "events");
    msgpack_pack_array(&w->to, 1);
    msgpack_pack_map(&w->to, 3);
    put_uint(w, "time", (uint64_t)(BENCH_ENCODE_EPOCH_NS + event->time_ns));
    put_text(w, "name");
    put_text(w, event->name);
    put_attrs(w, "attrs", &event->attrs);
}

static void put_link(struct writer *w, const struct bench_span *s)
{
    put_text(w, "links");
    msgpack_pack_array(&w->to, 1);
    msgpack_pack_map(&w->to, 3);
    put_id(w, "trace", s->trace_hi, s->trace_lo, 16);
    put_id(w, "id", 0, s->parent, 8);
    put_uint(w, "flags", 769);
}

static void put_span(struct writer *w, const struct bench_span *s)
{
    bench_attrs_describe(s, &w->words);
    bool message = s->error && w->words.status_message[0];
    msgpack_pack_map(&w->to, 8u + (s->parent != 0) + (w->words.event.name != NULL) + s->linked + s->error + message);
    put_id(w, "trace", s->trace_hi, s->trace_lo, 16);
    put_id(w, "id", 0, s->id, 8);
    if (s->parent)
        put_id(w, "parent", 0, s->parent, 8);
    put_text(w, "name");
    put_text(w, w->words.name);
    put_uint(w, "kind", w->words.kind);
    put_uint(w, "start", (uint64_t)(BENCH_ENCODE_EPOCH_NS + s->start_ns));
    put_uint(w, "end", (uint64_t)(BENCH_ENCODE_EPOCH_NS + s->end_ns));
    put_uint(w, "flags", w->words.flags);
    put_attrs(w, "attrs", &w->words.attrs);
    if (w->words.event.name)
        put_event(w, &w->words.event);
    if (s->linked)
        put_link(w, s);
    if (s->error)
        put_uint(w, "status", 2);
    if (message) {
        put_text(w, "message");
        put_text(w, w->words.status_message);
    }
}

static const struct bench_span *span_of(const struct bench_gen *gen, const struct bench_request *request, uint32_t i)
{
    return &gen->spans[gen->order[request->first + i]];
}

/* The spans of one scope; none: no batch. */
static void put_batch(struct writer *w, const struct bench_gen *gen, const struct bench_request *request, uint32_t scope,
                      const struct bench_attrs *resource)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < request->n; i++)
        n += bench_attrs_scope_of(span_of(gen, request, i)) == scope;
    if (n == 0)
        return;
    msgpack_pack_map(&w->to, 4);
    put_uint(w, "v", 1);
    put_attrs(w, "resource", resource);
    put_text(w, "scope");
    msgpack_pack_map(&w->to, 2);
    put_text(w, "name");
    put_text(w, bench_attrs_scopes[scope].name);
    put_text(w, "version");
    put_text(w, bench_attrs_scopes[scope].version);
    put_text(w, "spans");
    msgpack_pack_array(&w->to, n);
    for (uint32_t i = 0; i < request->n; i++) {
        if (bench_attrs_scope_of(span_of(gen, request, i)) == scope)
            put_span(w, span_of(gen, request, i));
    }
}

void bench_encode_msgpack(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out)
{
    struct writer *w = sm_xmalloc(sizeof *w);
    struct bench_attrs resource;
    msgpack_packer_init(&w->to, out, append);
    bench_attrs_resource(request->service, request->instance, &resource);
    for (uint32_t scope = 0; scope < BENCH_SCOPES; scope++)
        put_batch(w, gen, request, scope, &resource);
    free(w);
}
