/* From traces of the pipeline to records of the store. */
#include "sinks/store_sink.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/net/loop.h"
#include "span/attr.h"
#include "span/wanted.h"

#include <stdlib.h>

enum { RESOURCE_ATTRIBUTES = 1 };
#define TICK_NS_MIN (10 * SM_MS)
#define TICK_NS_MAX SM_SEC

/* What became of a trace of the batch in this attempt. */
struct mark {
    uint64_t sequence; /* it is in the file when the store has written up to here */
    bool refused;
};

struct sm_store_sink {
    struct sm_store_sink_options options;
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    struct sm_loop_timer *timer;
    int64_t recorded_ns; /* newest time of a trace so far */
    struct sm_store_span *spans; /* of the trace at hand; grows to the largest one */
    uint32_t span_capacity;
    struct sm_buf whole; /* its spans with their leads */
    struct mark *marks;
    uint32_t mark_capacity;
};

void *sm_store_sink_new(const struct sm_store_sink_options *options)
{
    struct sm_store_sink *s = sm_xcalloc(1, sizeof *s);
    s->options = *options;
    return s;
}

/* How often the timer looks after the store. */
static int64_t tick_ns(int64_t sync_ns)
{
    return SM_MIN(SM_MAX(sync_ns / 4, TICK_NS_MIN), TICK_NS_MAX);
}

int64_t sm_store_sink_linger_ns(int64_t sync_ns)
{
    return SM_MAX(sync_ns - tick_ns(sync_ns), INT64_C(1));
}

static void tick(void *arg)
{
    struct sm_store_sink *s = arg;
    sm_store_tick(s->options.store, s->options.recorded_time ? s->recorded_ns : sm_clock_wall_ns());
}

static void on_timer(void *arg)
{
    struct sm_store_sink *s = arg;
    tick(s);
    if (s->options.tend)
        s->options.tend(s->options.tend_ctx, sm_clock_wall_ns());
}

static enum sm_rc sink_open(void *sink, const struct sm_sink_env *env, struct sm_err *err)
{
    struct sm_store_sink *s = sink;
    (void)err;
    s->names = env->names;
    s->scopes = env->scopes;
    if (env->loop && !s->options.recorded_time)
        s->timer = sm_loop_timer_new(env->loop, tick_ns(s->options.sync_ns), on_timer, s);
    tick(s);
    return SM_OK;
}

/* ---- describing a trace ---- */

static struct sm_str string_value(const struct sm_span *span, const uint8_t *bytes, uint32_t slot)
{
    struct sm_value value;
    bool found = sm_span_value(span, bytes, slot, &value) && value.type == SM_VALUE_STRING;
    return found ? value.bytes : (struct sm_str){NULL, 0};
}

static struct sm_str remote_service(const struct sm_span *span, const uint8_t *bytes)
{
    struct sm_str name = string_value(span, bytes, SM_SLOT_SERVICE_PEER_NAME);
    return name.len ? name : string_value(span, bytes, SM_SLOT_PEER_SERVICE);
}

/* The service's name, also when the table of names overflowed. */
static struct sm_str service_of(const struct sm_store_sink *s, const struct sm_resource *resource)
{
    struct sm_value value;
    if (SM_LIKELY(resource->service_id != SM_NAME_OVERFLOW))
        return sm_names_get(s->names, resource->service_id);
    bool found = sm_attr_find(resource->bytes.ptr, resource->bytes.len, RESOURCE_ATTRIBUTES, SM_STR("service.name"), &value);
    return found && value.type == SM_VALUE_STRING ? value.bytes : (struct sm_str){NULL, 0};
}

static struct sm_str name_of(const struct sm_store_sink *s, const struct sm_span *span, const uint8_t *bytes)
{
    return span->name_id == SM_NAME_OVERFLOW ? sm_span_name_bytes(span, bytes) : sm_names_get(s->names, span->name_id);
}

static void describe_span(const struct sm_store_sink *s, const struct sm_span *span, const uint8_t *bytes,
                          struct sm_str whole, struct sm_store_span *out)
{
    const struct sm_scope *scope = sm_scopes_get(s->scopes, span->scope_id);
    *out = (struct sm_store_span){
        .encode = {.resource = scope->resource->bytes,
                   .resource_schema_url = scope->resource->schema_url,
                   .scope = scope->bytes,
                   .scope_schema_url = scope->schema_url,
                   .bytes = whole},
        .service = service_of(s, scope->resource),
        .name = name_of(s, span, bytes),
        .remote_service = remote_service(span, bytes),
        .parent_id = span->parent_id,
        .start_ns = span->start_ns,
        .duration_ns = span->duration_ns,
        .kind = (uint8_t)sm_span_kind(span),
        .error = span->flags & SM_SPAN_ERROR,
    };
}

/* Windows that closed because of a limit or the end: more of the trace may have been on its way. */
static bool is_partial(const struct sm_trace *t)
{
    return t->trigger == SM_TRIGGER_SPANS || t->trigger == SM_TRIGGER_BYTES || t->trigger == SM_TRIGGER_MEMORY ||
           t->trigger == SM_TRIGGER_SHUTDOWN;
}

/* Room for all spans of the trace is reserved: what was put stays where it is. */
static struct sm_str put_whole(struct sm_store_sink *s, const struct sm_trace *t, const struct sm_span *span, const uint8_t *bytes)
{
    uint8_t *whole = s->whole.data + s->whole.size;
    SM_ASSERT(s->whole.capacity - s->whole.size >= span->size);
    s->whole.size = (size_t)(sm_lead_restore(whole, t->id, span, bytes, s->names) - s->whole.data);
    return sm_str(whole, span->size);
}

static uint32_t describe_spans(struct sm_store_sink *s, const struct sm_trace *t)
{
    uint32_t count = 0;
    const struct sm_span *span;
    const uint8_t *bytes;
    if (t->span_count > s->span_capacity) {
        free(s->spans);
        s->span_capacity = SM_MAX(t->span_count, 2 * s->span_capacity);
        s->spans = sm_xmalloc(s->span_capacity * sizeof *s->spans);
    }
    sm_buf_clear(&s->whole);
    sm_buf_reserve(&s->whole, t->bytes);
    struct sm_trace_iter it = sm_trace_iter(t);
    while (count < t->span_count && sm_trace_next(&it, &span, &bytes))
        describe_span(s, span, bytes, put_whole(s, t, span, bytes), &s->spans[count++]);
    return count;
}

static struct sm_store_trace describe(struct sm_store_sink *s, const struct sm_trace *t)
{
    struct sm_store_trace out = {
        .meta = {.id = t->id,
                 .stored_ns = t->deadline_ns,
                 .threshold = t->threshold,
                 .randomness = t->randomness,
                 .verdict = t->verdict,
                 .trigger = t->trigger,
                 .rule = sm_str_c(s->options.rule_name(s->options.rule_ctx, t->rule))},
        .spans = NULL,
    };
    out.meta.marks = (uint16_t)((is_partial(t) ? SM_STORE_PARTIAL : 0) | (t->counted_out ? SM_STORE_COUNTED_OUT : 0));
    uint32_t count = describe_spans(s, t); /* before s->spans is read: it may move */
    sm_store_summarise(s->spans, count, &out.meta);
    out.spans = s->spans;
    return out;
}

/* ---- writing a batch ---- */

/* Index of the first trace that an earlier attempt has not dealt with. */
static uint32_t first_left(const struct sm_sink_batch *batch)
{
    uint64_t spans = 0;
    uint32_t i = 0;
    while (i < batch->count && spans < batch->spans_done)
        spans += batch->traces[i++]->span_count;
    return i;
}

static void reserve_marks(struct sm_store_sink *s, uint32_t count)
{
    if (count <= s->mark_capacity)
        return;
    free(s->marks);
    s->mark_capacity = SM_MAX(count, 2 * s->mark_capacity);
    s->marks = sm_xmalloc(s->mark_capacity * sizeof *s->marks);
}

/* Appends the traces from `first` on; *reached is the first that was not taken. A refused one leaves its reason in *err. */
static enum sm_rc append_traces(struct sm_store_sink *s, const struct sm_sink_batch *batch, uint32_t first, uint32_t *reached,
                                struct sm_err *err)
{
    reserve_marks(s, batch->count);
    for (*reached = first; *reached < batch->count; ++*reached) {
        const struct sm_trace *t = batch->traces[*reached];
        struct sm_store_trace trace = describe(s, t);
        enum sm_rc rc = sm_store_append(s->options.store, &trace, err);
        if (rc != SM_OK && rc != SM_E_LIMIT)
            return rc;
        s->marks[*reached] = (struct mark){sm_store_appended(s->options.store), rc == SM_E_LIMIT};
        s->recorded_ns = SM_MAX(s->recorded_ns, t->deadline_ns);
    }
    return SM_OK;
}

/* Counts what the file holds now, up to the first trace that it does not hold. */
static void note_written(const struct sm_store_sink *s, struct sm_sink_batch *batch, uint32_t first, uint32_t reached)
{
    uint64_t written = sm_store_written(s->options.store);
    for (uint32_t i = first; i < reached && s->marks[i].sequence <= written; i++) {
        batch->spans_done += batch->traces[i]->span_count;
        batch->spans_rejected += s->marks[i].refused ? batch->traces[i]->span_count : 0;
    }
}

static void sink_write(void *sink, struct sm_sink_batch *batch)
{
    struct sm_store_sink *s = sink;
    struct sm_err err = {.rc = SM_OK};
    uint32_t first = first_left(batch), reached;
    enum sm_rc rc = append_traces(s, batch, first, &reached, &err);
    if (rc == SM_OK && (s->options.sync_ns || s->options.recorded_time))
        rc = sm_store_commit(s->options.store, &err);
    else if (rc == SM_OK)
        rc = sm_store_sync(s->options.store, NULL, &err);
    note_written(s, batch, first, reached);
    tick(s);
    sm_sink_done(batch, rc == SM_OK ? SM_SINK_OK : SM_SINK_AGAIN, rc == SM_OK ? batch->spans_rejected : 0, 0,
                 err.rc == SM_OK ? NULL : err.text);
}

static void sink_close(void *sink)
{
    struct sm_store_sink *s = sink;
    sm_loop_timer_free(s->timer);
    sm_buf_fini(&s->whole);
    free(s->spans);
    free(s->marks);
    free(s);
}

const struct sm_sink_ops sm_store_sink_ops = {
    .type = "store",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 8192,
    .batch_linger_ns = 100 * SM_MS,
    .in_flight_max = 1,
    .open = sink_open,
    .write = sink_write,
    .close = sink_close,
};
