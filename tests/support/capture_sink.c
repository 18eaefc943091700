#include "capture_sink.h"

#include "sinks/otlp_encode.h"

#include <stdlib.h>

static enum sm_rc capture_open(void *sink, const struct sm_sink_env *env, struct sm_err *err)
{
    (void)err;
    struct capture_sink *c = sink;
    c->env = *env;
    c->encoder = sm_otlp_encoder_new(env->names, env->scopes, true);
    return SM_OK;
}

static struct capture_trace *next_slot(struct capture_sink *c)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 256;
        c->traces = sm_xrealloc(c->traces, c->capacity * sizeof *c->traces);
    }
    return &c->traces[c->count++];
}

static void copy_spans(struct capture_sink *c, struct capture_trace *to, const struct sm_trace *t)
{
    uint8_t *bytes = sm_xmalloc(t->bytes + 1);
    const struct sm_span *span;
    const uint8_t *from;
    to->spans = sm_xcalloc(t->span_count + 1, sizeof *to->spans);
    struct sm_trace_iter it = sm_trace_iter(t);
    size_t at = 0;
    while (sm_trace_next(&it, &span, &from)) {
        SM_ASSERT(to->span_count < t->span_count && at + span->size <= t->bytes);
        const struct sm_resource *resource = sm_scopes_get(c->env.scopes, span->scope_id)->resource;
        struct capture_span *s = &to->spans[to->span_count++];
        *s = (struct capture_span){*span, bytes + at, sm_names_get(c->env.names, resource->service_id)};
        sm_lead_restore(bytes + at, t->id, span, from, c->env.names);
        at += span->size;
    }
    if (!to->span_count)
        free(bytes);
}

static void capture(struct capture_sink *c, const struct sm_trace *t)
{
    struct capture_trace *to = next_slot(c);
    *to = (struct capture_trace){
        .id = t->id,
        .late = t->late,
        .counted_out = t->counted_out,
        .randomness_derived = t->randomness_derived,
        .trigger = t->trigger,
        .rule = t->rule,
        .threshold = t->threshold,
        .randomness = t->randomness,
        .opened_ns = t->opened_ns,
        .last_ns = t->last_ns,
        .deadline_ns = t->deadline_ns,
        .claimed = t->span_count,
    };
    copy_spans(c, to, t);
    struct sm_buf out = {0};
    struct sm_sink_batch alone = {.traces = &t, .count = 1, .spans = t->span_count, .bytes = t->bytes};
    uint64_t encoded = sm_otlp_encode(c->encoder, &alone, 0, SIZE_MAX, &out);
    SM_ASSERT(encoded == to->span_count);
    to->request = sm_buf_str(&out);
    c->spans += to->span_count;
}

static void capture_write(void *sink, struct sm_sink_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        capture(sink, batch->traces[i]);
    sm_sink_done(batch, SM_SINK_OK, 0, 0, NULL);
}

static void capture_close(void *sink)
{
    struct capture_sink *c = sink;
    sm_otlp_encoder_free(c->encoder);
    c->encoder = NULL;
}

const struct sm_sink_ops capture_sink_ops = {
    .type = "capture",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 1,
    .batch_linger_ns = 1,
    .in_flight_max = 1,
    .open = capture_open,
    .write = capture_write,
    .close = capture_close,
};

void capture_sink_fini(struct capture_sink *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct capture_trace *t = &c->traces[i];
        if (t->span_count)
            free((void *)(uintptr_t)t->spans[0].bytes);
        free(t->spans);
        free((void *)(uintptr_t)t->request.ptr);
    }
    free(c->traces);
    *c = (struct capture_sink){0};
}
