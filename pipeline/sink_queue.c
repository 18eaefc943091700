/* One sink's batches: filling, writing, backing off, giving up; each trace is released exactly once. */
#include "pipeline/sink_queue.h"
#include "base/hash.h"
#include "base/log.h"

#include <stdlib.h>

enum { TRACES_INITIAL = 64 };
#define FLUSH_AFTER_NS SM_SEC /* a write is followed by a flush within this time */

struct batch {
    struct sm_sink_batch shown; /* what the sink sees */
    struct sm_sink_queue *queue;
    struct batch *next;
    uint32_t capacity;        /* of shown.traces */
    int64_t opened_ns;        /* when its first trace was added */
    int64_t first_attempt_ns; /* when it was first given to the sink */
    int64_t not_before_ns;    /* of the next attempt */
    int64_t backoff_ns;       /* before jitter, of the next failure */
    int64_t retry_after_ns;   /* what the other side asked for at the last failure; 0: nothing */
};

struct batch_list {
    struct batch *first, *last;
};

struct sm_sink_queue {
    struct sm_sink_queue_config config;
    struct batch *filling;     /* NULL or at least one trace */
    struct batch_list closed;  /* never given to the sink yet, oldest first */
    struct batch_list failed;  /* came back with AGAIN since the last step: only a step knows the time */
    struct batch_list waiting; /* between two attempts, in no order */
    struct batch *idle;        /* for reuse */
    uint32_t writing;          /* batches at the sink */
    uint32_t in_flight;        /* writing, failed or waiting */
    uint64_t traces_held;
    uint64_t sequence;
    uint64_t random_state;
    int64_t now_ns;
    int64_t paused_until_ns; /* the other side asked for a pause */
    int64_t unflushed_since_ns;
    bool unflushed;
    bool draining;
    struct sm_sink_queue_stats stats;
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void list_append(struct batch_list *list, struct batch *b)
{
    b->next = NULL;
    if (list->last)
        list->last->next = b;
    else
        list->first = b;
    list->last = b;
}

static struct batch *list_take_first(struct batch_list *list)
{
    struct batch *b = list->first;
    if (b) {
        list->first = b->next;
        if (!list->first)
            list->last = NULL;
    }
    return b;
}

/* Uniform in [0, 1). */
static double random_unit(struct sm_sink_queue *q)
{
    q->random_state += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(sm_hash_fixed64(q->random_state, q->config.seed) >> 11) * 0x1p-53;
}

struct sm_sink_queue *sm_sink_queue_new(const struct sm_sink_queue_config *config)
{
    struct sm_sink_queue *q = sm_xcalloc(1, sizeof *q);
    q->config = *config;
    q->paused_until_ns = INT64_MIN;
    return q;
}

void sm_sink_queue_free(struct sm_sink_queue *q)
{
    if (!q)
        return;
    SM_ASSERT(sm_sink_queue_idle(q));
    while (q->idle) {
        struct batch *b = q->idle;
        q->idle = b->next;
        free(b->shown.traces);
        free(b);
    }
    free(q);
}

static void on_done(struct sm_sink_batch *shown, enum sm_sink_result result, uint64_t rejected_spans,
                    int64_t retry_after_ns, const char *why);

static struct batch *batch_take_idle(struct sm_sink_queue *q)
{
    struct batch *b = q->idle;
    if (b) {
        q->idle = b->next;
        return b;
    }
    b = sm_xcalloc(1, sizeof *b);
    b->queue = q;
    b->capacity = TRACES_INITIAL;
    b->shown.traces = sm_xmalloc(b->capacity * sizeof *b->shown.traces);
    return b;
}

static struct batch *batch_open(struct sm_sink_queue *q)
{
    struct batch *b = batch_take_idle(q);
    const struct sm_trace **traces = b->shown.traces;
    b->shown = (struct sm_sink_batch){.traces = traces, .sequence = q->sequence++, .done = on_done};
    b->opened_ns = q->now_ns;
    b->backoff_ns = q->config.retry.initial_ns;
    return b;
}

static void batch_append(struct batch *b, const struct sm_trace *trace)
{
    if (b->shown.count == b->capacity) {
        b->capacity *= 2;
        b->shown.traces = sm_xrealloc(b->shown.traces, b->capacity * sizeof *b->shown.traces);
    }
    b->shown.traces[b->shown.count++] = trace;
    b->shown.spans += trace->span_count;
    b->shown.bytes += trace->bytes;
}

/* Gives the traces back and keeps the batch for reuse. */
static void batch_end(struct batch *b)
{
    struct sm_sink_queue *q = b->queue;
    for (uint32_t i = 0; i < b->shown.count; i++)
        q->config.release(q->config.release_ctx, b->shown.traces[i]);
    q->traces_held -= b->shown.count;
    count(&q->stats.batches, 1);
    b->next = q->idle;
    q->idle = b;
}

/* Ends a batch of which only a part, or nothing, was written: `outcome` gets the rest. */
static void batch_end_unwritten(struct batch *b, _Atomic uint64_t *outcome)
{
    uint64_t done = SM_MIN(b->shown.spans_done, b->shown.spans);
    uint64_t rejected = SM_MIN(b->shown.spans_rejected, done);
    count(&b->queue->stats.delivered, done - rejected);
    count(&b->queue->stats.rejected, rejected);
    count(outcome, b->shown.spans - done);
    batch_end(b);
}

static void in_flight_change(struct sm_sink_queue *q, int by)
{
    q->in_flight += (uint32_t)by;
    atomic_store_explicit(&q->stats.in_flight, q->in_flight, memory_order_relaxed);
}

static void close_filling(struct sm_sink_queue *q)
{
    if (q->filling)
        list_append(&q->closed, q->filling);
    q->filling = NULL;
}

static bool would_overfill(const struct sm_sink_queue *q, const struct sm_trace *trace)
{
    const struct sm_sink_batch *b = &q->filling->shown;
    return b->spans + trace->span_count > q->config.batch_spans_max ||
           b->bytes + trace->bytes > q->config.batch_bytes_max;
}

void sm_sink_queue_add(struct sm_sink_queue *q, const struct sm_trace *trace, int64_t now_ns)
{
    q->now_ns = now_ns;
    if (q->filling && would_overfill(q, trace))
        close_filling(q);
    if (!q->filling)
        q->filling = batch_open(q);
    batch_append(q->filling, trace);
    q->traces_held++;
    if (q->filling->shown.spans >= q->config.batch_spans_max || q->filling->shown.bytes >= q->config.batch_bytes_max)
        close_filling(q);
}

static void batch_write(struct batch *b)
{
    struct sm_sink_queue *q = b->queue;
    q->writing++;
    if (!q->unflushed)
        q->unflushed_since_ns = q->now_ns;
    q->unflushed = true;
    q->config.ops->write(q->config.sink, &b->shown);
}

static void log_trouble(const struct batch *b, enum sm_sink_result result, uint64_t rejected_spans, const char *why)
{
    const char *name = b->queue->config.name;
    if (result == SM_SINK_AGAIN)
        sm_log(SM_LOG_WARN, "sink_write_failed", sm_kv("sink", name), sm_kv("why", why), sm_kv("spans", b->shown.spans),
               sm_kv("attempt", b->shown.attempt + 1));
    else if (result == SM_SINK_REJECT || rejected_spans)
        sm_log(SM_LOG_WARN, "sink_rejected_spans", sm_kv("sink", name), sm_kv("why", why), sm_kv("spans", b->shown.spans),
               sm_kv("rejected", result == SM_SINK_REJECT ? b->shown.spans : rejected_spans));
    else
        sm_log(SM_LOG_INFO, "sink_says", sm_kv("sink", name), sm_kv("text", why));
}

/* The end of a write, called by the sink, perhaps from within batch_write. */
static void on_done(struct sm_sink_batch *shown, enum sm_sink_result result, uint64_t rejected_spans,
                    int64_t retry_after_ns, const char *why)
{
    struct batch *b = SM_CONTAINER_OF(shown, struct batch, shown);
    struct sm_sink_queue *q = b->queue;
    SM_ASSERT(q->writing > 0);
    q->writing--;
    if (rejected_spans || (why && why[0]))
        log_trouble(b, result, rejected_spans, why ? why : "");
    if (result == SM_SINK_AGAIN) {
        b->retry_after_ns = retry_after_ns;
        list_append(&q->failed, b);
        return;
    }
    in_flight_change(q, -1);
    if (result == SM_SINK_REJECT) {
        batch_end_unwritten(b, &q->stats.rejected);
        return;
    }
    rejected_spans = SM_MIN(rejected_spans, shown->spans);
    count(&q->stats.delivered, shown->spans - rejected_spans);
    count(&q->stats.rejected, rejected_spans);
    batch_end(b);
}

/* The delay before the next attempt. What the other side wishes holds for all batches of this sink. */
static int64_t next_delay(struct batch *b)
{
    struct sm_sink_queue *q = b->queue;
    double jitter = random_unit(q);
    int64_t backoff_ns = b->backoff_ns;
    b->backoff_ns = SM_MIN(backoff_ns + backoff_ns / 2, q->config.retry.max_ns);
    if (b->retry_after_ns <= 0)
        return (int64_t)((double)backoff_ns * (0.5 + jitter));
    int64_t wish_ns = SM_MIN(b->retry_after_ns, SM_SINK_RETRY_AFTER_MAX_NS);
    int64_t delay_ns = (int64_t)((double)wish_ns * (1.0 + 0.1 * jitter));
    q->paused_until_ns = SM_MAX(q->paused_until_ns, q->now_ns + delay_ns);
    return delay_ns;
}

static void batch_retry_or_give_up(struct batch *b)
{
    struct sm_sink_queue *q = b->queue;
    b->not_before_ns = q->now_ns + next_delay(b);
    if (b->not_before_ns - b->first_attempt_ns > q->config.retry.give_up_ns) {
        in_flight_change(q, -1);
        sm_log(SM_LOG_ERROR, "sink_gave_up", sm_kv("sink", q->config.name), sm_kv("spans", b->shown.spans),
               sm_kv("attempts", b->shown.attempt + 1));
        batch_end_unwritten(b, &q->stats.dropped_retries);
        return;
    }
    count(&q->stats.retries, 1);
    b->shown.attempt++;
    list_append(&q->waiting, b);
}

static void schedule_failed(struct sm_sink_queue *q)
{
    for (struct batch *b; (b = list_take_first(&q->failed));)
        batch_retry_or_give_up(b);
}

/* The waiting batch whose turn comes first and what links to it; NULL when none waits. */
static struct batch *waiting_next(const struct sm_sink_queue *q, struct batch **before)
{
    struct batch *best = NULL, *previous = NULL;
    *before = NULL;
    for (struct batch *b = q->waiting.first; b; previous = b, b = b->next) {
        if (!best || b->not_before_ns < best->not_before_ns) {
            best = b;
            *before = previous;
        }
    }
    return best;
}

static void waiting_remove(struct sm_sink_queue *q, struct batch *b, struct batch *before)
{
    if (before)
        before->next = b->next;
    else
        q->waiting.first = b->next;
    if (q->waiting.last == b)
        q->waiting.last = before;
}

/* Takes the batch that may be written now: a retry that is due, else the oldest closed one if there is a place for it. */
static struct batch *take_startable(struct sm_sink_queue *q)
{
    if (q->now_ns < q->paused_until_ns)
        return NULL;
    struct batch *before;
    struct batch *b = waiting_next(q, &before);
    if (b && b->not_before_ns <= q->now_ns) {
        waiting_remove(q, b, before);
        return b;
    }
    if (!q->closed.first || q->in_flight >= q->config.in_flight_max)
        return NULL;
    b = list_take_first(&q->closed);
    b->first_attempt_ns = q->now_ns;
    in_flight_change(q, 1);
    return b;
}

static bool lingers(const struct sm_sink_queue *q)
{
    return q->config.batch_linger_ns != SM_SINK_LINGER_FOREVER;
}

static void flush(struct sm_sink_queue *q)
{
    if (q->unflushed && q->config.ops->flush)
        q->config.ops->flush(q->config.sink);
    q->unflushed = false;
}

void sm_sink_queue_step(struct sm_sink_queue *q, int64_t now_ns)
{
    q->now_ns = now_ns;
    if (q->filling && (q->draining || (lingers(q) && now_ns - q->filling->opened_ns >= q->config.batch_linger_ns)))
        close_filling(q);
    struct batch *b;
    do {
        schedule_failed(q);
        b = take_startable(q);
        if (b)
            batch_write(b);
    } while (b);
    if (lingers(q) && now_ns - q->unflushed_since_ns >= FLUSH_AFTER_NS)
        flush(q);
}

int64_t sm_sink_queue_due_ns(const struct sm_sink_queue *q)
{
    int64_t due = INT64_MAX;
    struct batch *before;
    const struct batch *b = waiting_next(q, &before);
    if (q->failed.first)
        return q->now_ns;
    if (b)
        due = SM_MAX(b->not_before_ns, q->paused_until_ns);
    if (q->closed.first && q->in_flight < q->config.in_flight_max)
        due = SM_MIN(due, SM_MAX(q->paused_until_ns, q->now_ns));
    if (q->filling && q->draining)
        return q->now_ns;
    if (q->filling && lingers(q))
        due = SM_MIN(due, q->filling->opened_ns + q->config.batch_linger_ns);
    if (q->unflushed && lingers(q))
        due = SM_MIN(due, q->unflushed_since_ns + FLUSH_AFTER_NS);
    return due;
}

void sm_sink_queue_drain(struct sm_sink_queue *q)
{
    q->draining = true;
}

static void drop_all(struct sm_sink_queue *q, struct batch_list *list, bool in_flight)
{
    for (struct batch *b; (b = list_take_first(list));) {
        if (in_flight)
            in_flight_change(q, -1);
        batch_end_unwritten(b, &q->stats.dropped_shutdown);
    }
}

void sm_sink_queue_abandon(struct sm_sink_queue *q, int64_t now_ns)
{
    q->now_ns = now_ns;
    if (q->writing && q->config.ops->cancel)
        q->config.ops->cancel(q->config.sink);
    SM_ASSERT(q->writing == 0);
    close_filling(q);
    drop_all(q, &q->failed, true);
    drop_all(q, &q->waiting, true);
    drop_all(q, &q->closed, false);
    flush(q);
}

bool sm_sink_queue_idle(const struct sm_sink_queue *q)
{
    return q->traces_held == 0;
}

const struct sm_sink_queue_stats *sm_sink_queue_stats(const struct sm_sink_queue *q)
{
    return &q->stats;
}
