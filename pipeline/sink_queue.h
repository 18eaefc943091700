/* One sink's queue, the sink's side of the fan-out: traces become batches, batches are written, retried or given up.
 *
 * Knows nothing of threads and clocks: everything happens inside the calls below, all from the sink's thread, with the time
 * as an argument. A batch closes when it is full or when its oldest trace has waited for the linger time. At most
 * in_flight_max batches are at the sink or wait for their next attempt; a batch in back-off keeps its place, so that a server
 * in trouble meets a bounded number of requests.
 *
 * Back-off: the first delay is initial_ns, each further one 1.5 times the last up to max_ns, each spread evenly by +-50 %.
 * What the other side asks for (Retry-After, RetryInfo) replaces the computed delay, lengthened by up to 10 % so that many
 * clients do not come back in one moment, and holds for the whole sink. A batch is given up when its next attempt would
 * start later than give_up_ns after its first.
 *
 * A sink that wrote something is flushed within a second. A queue that does not linger (ordered use) flushes only at the
 * end, so that nothing depends on speed. */
#ifndef SM_SINK_QUEUE_H
#define SM_SINK_QUEUE_H

#include "base/base.h"
#include "pipeline/sink.h"

#include <stdatomic.h>

struct sm_sink_retry {
    int64_t initial_ns; /* 5 s */
    int64_t max_ns;     /* 30 s */
    int64_t give_up_ns; /* 300 s; SM_SINK_RETRY_FOREVER: never */
};

#define SM_SINK_RETRY_FOREVER INT64_MAX
#define SM_SINK_RETRY_DEFAULT ((struct sm_sink_retry){5 * SM_SEC, 30 * SM_SEC, 300 * SM_SEC})
/* A longer wish of the other side is cut to this. */
#define SM_SINK_RETRY_AFTER_MAX_NS (300 * SM_SEC)

struct sm_sink_queue_config {
    const char *name; /* in the log; borrowed */
    const struct sm_sink_ops *ops;
    void *sink;
    uint32_t batch_spans_max; /* a batch is closed before it would hold more, unless one trace alone does */
    uint64_t batch_bytes_max; /* of canonical bytes, likewise */
    int64_t batch_linger_ns;  /* SM_SINK_LINGER_FOREVER: only full batches, until draining */
    uint32_t in_flight_max;
    struct sm_sink_retry retry;
    uint64_t seed; /* of the jitter */
    /* Called once for every trace that was added, when the queue is through with it, whatever the outcome. */
    void (*release)(void *ctx, const struct sm_trace *trace);
    void *release_ctx;
};

#define SM_SINK_LINGER_FOREVER INT64_MAX

/* Spans by outcome, and what else is counted. Written by the sink's thread only, readable by any. */
struct sm_sink_queue_stats {
    _Atomic uint64_t delivered;
    _Atomic uint64_t rejected;
    _Atomic uint64_t dropped_retries;
    _Atomic uint64_t dropped_shutdown;
    _Atomic uint64_t batches;
    _Atomic uint64_t retries;
    _Atomic uint64_t in_flight;
};

struct sm_sink_queue;

struct sm_sink_queue *sm_sink_queue_new(const struct sm_sink_queue_config *config);
/* Nothing may be queued or in flight (sm_sink_queue_abandon sees to it). Does not close the sink. */
void sm_sink_queue_free(struct sm_sink_queue *q);

/* Takes a trace. */
void sm_sink_queue_add(struct sm_sink_queue *q, const struct sm_trace *trace, int64_t now_ns);

/* Closes what lingered long enough and starts every write that may start. Call it after adding, after sm_sink_done may have
 * been called, and at sm_sink_queue_due_ns. */
void sm_sink_queue_step(struct sm_sink_queue *q, int64_t now_ns);

/* When the next step is due although nothing happens; INT64_MAX when there is nothing to wait for but the sink. */
int64_t sm_sink_queue_due_ns(const struct sm_sink_queue *q);

/* From now on nothing lingers. */
void sm_sink_queue_drain(struct sm_sink_queue *q);

/* Ends: cancels writes in flight, counts what is left as dropped{shutdown}, flushes. */
void sm_sink_queue_abandon(struct sm_sink_queue *q, int64_t now_ns);

/* True when every trace that was added has been released. */
bool sm_sink_queue_idle(const struct sm_sink_queue *q);

const struct sm_sink_queue_stats *sm_sink_queue_stats(const struct sm_sink_queue *q);

#endif
