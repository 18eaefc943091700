/* Fan-out: hands every kept trace to every sink, without copying it, and brings it home when the last sink is through.
 *
 *   shard thread      sm_fanout_offer --> one ring per (shard, sink) --> sink's thread: batches, writes, retries
 *                     sm_fanout_collect <-- return stack per shard <---- (pipeline/sink_queue.h)
 *
 * Ownership. A trace that sm_fanout_offer took is immutable and belongs to the fan-out until sm_fanout_collect returns it to
 * its shard (trace->shard), which alone releases its memory. trace->refs counts the sinks that still hold it.
 *
 * Limits. Each sink may hold traces of up to its share of queue_bytes_max (memory of the trace, trace->memory; a trace that
 * several sinks hold is charged to each of them). A trace that would go beyond is dropped for that sink (the newest is
 * dropped, reason queue_full) and the others are not disturbed; one that is larger than the whole share still passes when
 * nothing else is queued. The check reads other shards' counters without a lock and may overshoot by one trace per shard.
 *
 * Sources that acknowledge (Kafka) must not lose a trace at a sink that it would have to be read back from, the required ones: such
 * traces go beyond the share there, and wait where a ring is full. In exchange whoever reads such a source stops while
 * sm_fanout_behind is true; what is open then still finds its place, within the memory budget.
 *
 * Threads. SM_FANOUT_THREADS: sinks of SM_SINK_THREAD_SHARED share one I/O thread, others have one each; time is the
 * monotonic clock. SM_FANOUT_INLINE: the same code without threads; nothing happens outside sm_fanout_poll, whose argument is
 * the time. For tests, scenarios and simulation.
 *
 * Ordered (replay). Offered traces are held back until sm_fanout_release, which sorts them by (deadline, trace id) across
 * all shards; nothing is dropped for want of room (it is waited for) and batches close only when they are full. What sinks
 * see then depends neither on the number of shards nor on speed. Shares are raised to hold a few batches at least.
 * Retries follow the real clock even INLINE, since virtual time stands still while a sink is waited for.
 *
 * Accounting, in spans and per sink: kept = delivered + filtered + rejected + dropped{reason} + queued at any quiet moment. */
#ifndef SM_FANOUT_H
#define SM_FANOUT_H

#include "base/base.h"
#include "pipeline/sink.h"
#include "pipeline/sink_queue.h"

#define SM_FANOUT_SINKS_MAX 16

struct sm_fanout;

/* How one sink is used. Zeros mean the default. */
struct sm_fanout_sink {
    const char *name; /* the `sink` label; copied */
    const struct sm_sink_ops *ops;
    void *sink; /* taken: closed when the fan-out stops, also when sm_fanout_new fails */
    uint32_t batch_spans_max;    /* ops->batch_spans_max */
    uint64_t batch_bytes_max;    /* 4 MiB */
    int64_t batch_linger_ns;     /* ops->batch_linger_ns */
    uint32_t in_flight_max;      /* ops->in_flight_max */
    struct sm_sink_retry retry;  /* SM_SINK_RETRY_DEFAULT when initial_ns is 0 */
    uint64_t queue_bytes_max;    /* an equal share of the fan-out's */
    bool required;               /* traces of sources that acknowledge are not dropped for want of room */
    /* Asked on the shard's thread (in ordered use: by sm_fanout_release) for each trace; false counts as filtered. NULL: all. */
    bool (*wants)(const void *ctx, const struct sm_trace *trace);
    const void *wants_ctx;
};

enum sm_fanout_placement { SM_FANOUT_THREADS, SM_FANOUT_INLINE };

struct sm_fanout_config {
    const struct sm_fanout_sink *sinks;
    unsigned sink_count; /* 0 to SM_FANOUT_SINKS_MAX */
    unsigned shards;     /* producers: 1 or more */
    enum sm_fanout_placement placement;
    bool ordered;
    uint64_t queue_bytes_max; /* of all sinks together: a quarter of the memory budget */
    uint32_t ring_capacity;   /* traces between one shard and one sink; 0: 16,384 */
    uint64_t seed;            /* of the retry jitter */
    const struct sm_names *names;
    const struct sm_scopes *scopes;
};

/* Opens every sink; in placement THREADS also starts the threads. NULL when a sink cannot be opened or a thread not started;
 * *err says which and why, and all sinks are closed. */
struct sm_fanout *sm_fanout_new(const struct sm_fanout_config *config, struct sm_err *err) SM_MUST_USE;

/* After sm_fanout_stop, with every trace collected. */
void sm_fanout_free(struct sm_fanout *f);

/* Shard thread. True: taken. False: no sink wants the trace or has room for it (already counted), it stays the caller's. */
bool sm_fanout_offer(struct sm_fanout *f, unsigned shard, struct sm_trace *trace) SM_MUST_USE;

/* Shard thread, at its tick (about every 100 ms) and when it goes idle: makes sure that sinks learn of what was offered.
 * Between ticks sinks are woken only when about half a batch has come together. */
void sm_fanout_tick(struct sm_fanout *f, unsigned shard);

/* Shard thread: true when offered traces still wait for room in a ring. */
bool sm_fanout_waiting(const struct sm_fanout *f, unsigned shard);

/* Any thread: a required sink holds more than half its share, or traces wait for room. */
bool sm_fanout_behind(const struct sm_fanout *f);

/* Shard thread: traces that came home since the last call, linked by ->next (NULL: none). They belong to the caller. */
struct sm_trace *sm_fanout_collect(struct sm_fanout *f, unsigned shard);

/* Ordered use: at the end of each tick of the virtual clock, when no shard is running (the caller orders these threads, and
 * always makes this call from one thread). Sorts what was offered since the last call and passes it to the sinks. False: a
 * sink is full; call again (INLINE: after sm_fanout_poll) until it is true. Sleeps for a moment when nothing moves. Without
 * ordering nothing is held back: always true. */
bool sm_fanout_release(struct sm_fanout *f) SM_MUST_USE;

/* INLINE: everything that can be done at this time is done. Times never go back. Ordered, now_ns is not looked at. */
void sm_fanout_poll(struct sm_fanout *f, int64_t now_ns);

/* Any thread. From now on sinks write what they have without waiting for more. Offers are still taken. */
void sm_fanout_drain(struct sm_fanout *f);

/* Any thread. True when no trace is queued or in flight at any sink. */
bool sm_fanout_idle(const struct sm_fanout *f);

/* When no shard offers any more: drains, waits until all is written or timeout_ns of real time has passed, counts the rest as
 * dropped{shutdown}, flushes and closes the sinks. With timeout 0 only sinks that write at once get what was left. Traces
 * come home as ever. */
void sm_fanout_stop(struct sm_fanout *f, int64_t timeout_ns);

enum sm_fanout_stat {
#define SM_FANOUT_STAT(id, type, metric, labels, help) SM_FANOUT_##id,
#include "pipeline/fanout.def"
#undef SM_FANOUT_STAT
    SM_FANOUT_STAT_COUNT
};

struct sm_fanout_stat_info {
    const char *type; /* "counter" or "gauge" */
    const char *metric;
    const char *labels; /* Prometheus label pairs without braces and without the sink's name, may be empty */
    const char *help;
};

extern const struct sm_fanout_stat_info sm_fanout_stat_infos[SM_FANOUT_STAT_COUNT];

/* Any thread, until sm_fanout_free. */
unsigned sm_fanout_sink_count(const struct sm_fanout *f);
const char *sm_fanout_sink_name(const struct sm_fanout *f, unsigned sink);
bool sm_fanout_sink_required(const struct sm_fanout *f, unsigned sink);
uint64_t sm_fanout_stat(const struct sm_fanout *f, unsigned sink, enum sm_fanout_stat stat);

#endif
