/* Capturing what sinks are given. */
#include "capture.h"

#include "sinks/otlp_encode.h"
#include "span/attr.h"
#include "span/span.h"

#include <stdlib.h>

#define REQUEST_BYTES_MAX (64 * SM_MIB)

struct capture *capture_new(const char *name)
{
    struct capture *c = sm_xcalloc(1, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

void capture_free(struct capture *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->span_count; i++) {
        free(c->spans[i].name);
        free(c->spans[i].service);
        free(c->spans[i].tracestate);
        free((void *)(uintptr_t)c->spans[i].bytes.ptr);
    }
    free(c->spans);
    free(c->traces);
    free(c->held);
    free(c);
}

/* --- decoding requests --- */

static char *text_of(const struct sm_pb_field *f)
{
    return sm_xstrndup((const char *)f->bytes, f->size);
}

static void replace(char **text, const struct sm_pb_field *f)
{
    free(*text);
    *text = text_of(f);
}

static uint32_t status_code(const struct sm_pb_field *status)
{
    const uint8_t *p = status->bytes, *end = sm_pb_end(p, status->size);
    uint32_t code = 0;
    for (struct sm_pb_field f; sm_pb_next(&p, end, &f);) {
        if (f.number == 3)
            code = (uint32_t)f.value;
    }
    return code;
}

static void take_field(struct captured_span *s, const struct sm_pb_field *f)
{
    switch (f->number) {
    case SM_OTLP_TRACE_ID:
        SM_ASSERT(f->size == 16);
        s->trace = (struct sm_trace_id){sm_load_be64(f->bytes), sm_load_be64(f->bytes + 8)};
        break;
    case SM_OTLP_SPAN_ID:
        SM_ASSERT(f->size == 8);
        s->id = sm_load_be64(f->bytes);
        break;
    case SM_OTLP_PARENT_SPAN_ID:
        s->parent_id = f->size == 8 ? sm_load_be64(f->bytes) : 0;
        break;
    case SM_OTLP_TRACE_STATE:
        replace(&s->tracestate, f);
        break;
    case SM_OTLP_NAME:
        replace(&s->name, f);
        break;
    case SM_OTLP_KIND:
        s->kind = (uint32_t)f->value;
        break;
    case SM_OTLP_STATUS:
        s->status = status_code(f);
        break;
    default:
        break;
    }
}

static void take_span(struct capture *c, const char *service, const struct sm_pb_field *span)
{
    c->spans = sm_xrealloc(c->spans, (c->span_count + 1) * sizeof *c->spans);
    struct captured_span *s = &c->spans[c->span_count++];
    *s = (struct captured_span){.service = sm_xstrndup(service, strlen(service)), .bytes.len = span->size};
    s->bytes.ptr = text_of(span);
    const uint8_t *p = (const uint8_t *)s->bytes.ptr, *end = sm_pb_end(p, span->size);
    for (struct sm_pb_field f; sm_pb_next(&p, end, &f);)
        take_field(s, &f);
    SM_ASSERT(p == end);
}

static void take_scope_spans(struct capture *c, const char *service, const struct sm_pb_field *group)
{
    const uint8_t *p = group->bytes, *end = sm_pb_end(p, group->size);
    for (struct sm_pb_field f; sm_pb_next(&p, end, &f);) {
        if (f.number == 2)
            take_span(c, service, &f);
    }
    SM_ASSERT(p == end);
}

static char *service_of(const struct sm_pb_field *resource)
{
    struct sm_value value;
    bool found = sm_attr_find(resource->bytes, resource->size, 1, SM_STR("service.name"), &value);
    return found ? sm_xstrndup(value.bytes.ptr, value.bytes.len) : sm_xstrndup("", 0);
}

static void take_resource_spans(struct capture *c, const struct sm_pb_field *group)
{
    char *service = sm_xstrndup("", 0);
    const uint8_t *p = group->bytes, *end = sm_pb_end(p, group->size);
    for (struct sm_pb_field f; sm_pb_next(&p, end, &f);) {
        if (f.number == 1) {
            free(service);
            service = service_of(&f);
        } else if (f.number == 2) {
            take_scope_spans(c, service, &f);
        }
    }
    SM_ASSERT(p == end);
    free(service);
}

static void take_request(struct capture *c, const struct sm_buf *request)
{
    const uint8_t *p = request->data, *end = sm_pb_end(p, request->size);
    for (struct sm_pb_field f; sm_pb_next(&p, end, &f);)
        take_resource_spans(c, &f);
    SM_ASSERT(p == end);
}

static void take_batch(struct capture *c, const struct sm_sink_batch *b)
{
    for (uint64_t done = 0; done < b->spans;) {
        struct sm_buf request = {0};
        done += sm_otlp_encode(c->encoder, b, done, REQUEST_BYTES_MAX, &request);
        take_request(c, &request);
        sm_buf_fini(&request);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        const struct sm_trace *t = b->traces[i];
        c->traces = sm_xrealloc(c->traces, (c->trace_count + 1) * sizeof *c->traces);
        c->traces[c->trace_count++] = (struct captured_trace){t->id, t->rule, t->trigger, t->threshold};
    }
    c->batches++;
}

/* --- the sink --- */

static enum sm_rc capture_open(void *sink, const struct sm_sink_env *env, struct sm_err *err)
{
    struct capture *c = sink;
    (void)err;
    c->encoder = sm_otlp_encoder_new(env->names, env->scopes, false);
    return SM_OK;
}

static void deliver(struct capture *c, struct sm_sink_batch *b)
{
    take_batch(c, b);
    sm_sink_done(b, SM_SINK_OK, c->partial, 0, NULL);
}

static void capture_write(void *sink, struct sm_sink_batch *b)
{
    struct capture *c = sink;
    c->attempts++;
    if (c->hold) {
        c->held = sm_xrealloc(c->held, (c->held_count + 1) * sizeof *c->held);
        c->held[c->held_count++] = b;
    } else if (c->refuse) {
        sm_sink_done(b, SM_SINK_REJECT, 0, 0, "refused");
    } else if (c->fail) {
        c->fail--;
        sm_sink_done(b, SM_SINK_AGAIN, 0, c->retry_after_ns, "not now");
    } else {
        deliver(c, b);
    }
}

static void capture_flush(void *sink)
{
    struct capture *c = sink;
    c->flushes++;
}

static void capture_cancel(void *sink)
{
    struct capture *c = sink;
    for (size_t i = 0; i < c->held_count; i++)
        sm_sink_done(c->held[i], SM_SINK_AGAIN, 0, 0, "cancelled");
    c->held_count = 0;
}

static void capture_close(void *sink)
{
    struct capture *c = sink;
    sm_otlp_encoder_free(c->encoder);
    c->encoder = NULL;
    c->closed = true;
}

const struct sm_sink_ops capture_ops = {
    .type = "capture",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 4096,
    .batch_linger_ns = 200 * SM_MS,
    .in_flight_max = 4,
    .open = capture_open,
    .write = capture_write,
    .flush = capture_flush,
    .cancel = capture_cancel,
    .close = capture_close,
};

bool capture_wants_errors(const void *ctx, const struct sm_trace *trace)
{
    (void)ctx;
    return trace->span_flags & SM_SPAN_ERROR;
}

void capture_release(struct capture *c)
{
    c->hold = false;
    for (size_t i = 0; i < c->held_count; i++)
        deliver(c, c->held[i]);
    c->held_count = 0;
}
