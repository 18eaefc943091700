/* Sink: where kept traces go. A sink only writes; queueing, batching, retrying, back-off, limits and accounting are written
 * once for all sinks in pipeline/fanout.c and pipeline/sink_queue.c.
 *
 * Threads: `open` is called by the thread that builds the fan-out, before the sink's thread starts; everything else comes
 * from the sink's own thread (`thread` in the operations says which). `write` may finish at once or later; either way it
 * ends with exactly one sm_sink_done from that same thread. */
#ifndef SM_SINK_H
#define SM_SINK_H

#include "base/base.h"
#include "span/names.h"
#include "span/scope.h"
#include "span/trace.h"

struct sm_loop;

enum sm_sink_result {
    SM_SINK_OK,
    SM_SINK_AGAIN,  /* not finished; the same batch is offered again after a back-off */
    SM_SINK_REJECT, /* refused for good; counted as rejected */
};

/* Traces that are written together. Borrowed by the sink until sm_sink_done. */
struct sm_sink_batch {
    const struct sm_trace **traces;
    uint32_t count;
    uint32_t attempt;  /* 0 the first time */
    uint64_t spans;
    uint64_t bytes;    /* canonical bytes */
    uint64_t sequence; /* the same for every attempt of one batch: identical retries can be recognised */
    /* The sink's own, zero at the first attempt and kept from one attempt to the next. A sink that writes a batch in parts
     * notes here how far it came, so that a retry does not write the first parts twice and a batch that is given up in the
     * middle is counted right. */
    uint64_t spans_done;     /* dealt with: written or refused */
    uint64_t spans_rejected; /* refused ones among them */
    /* Set by whoever offers the batch; use sm_sink_done. */
    void (*done)(struct sm_sink_batch *batch, enum sm_sink_result result, uint64_t rejected_spans,
                 int64_t retry_after_ns, const char *why);
};

/* Reports the end of a write; the batch must not be touched afterwards. rejected_spans: how many of the whole batch the
 * other side refused although it took the rest (partial success, with SM_SINK_OK). retry_after_ns: the other side's wish
 * with SM_SINK_AGAIN, 0 for none. why: a short text for a person, NULL for none; borrowed during the call. */
static inline void sm_sink_done(struct sm_sink_batch *batch, enum sm_sink_result result, uint64_t rejected_spans,
                                int64_t retry_after_ns, const char *why)
{
    batch->done(batch, result, rejected_spans, retry_after_ns, why);
}

enum sm_sink_thread {
    SM_SINK_THREAD_SHARED, /* the I/O thread that all network sinks share */
    SM_SINK_THREAD_OWN,    /* a thread of its own (CPU or disk work) */
};

struct sm_sink_env {
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    struct sm_loop *loop; /* of the sink's thread; NULL for SM_SINK_THREAD_OWN when everything runs inline */
};

struct sm_sink_ops {
    const char *type; /* "store", "otlp_grpc", ... */
    enum sm_sink_thread thread;
    uint32_t batch_spans_max; /* default for batching: a batch closes at this many spans ... */
    int64_t batch_linger_ns;  /* ... or when its oldest trace waited this long */
    uint32_t in_flight_max;   /* batches that may be written at the same time */
    enum sm_rc (*open)(void *sink, const struct sm_sink_env *env, struct sm_err *err);
    void (*write)(void *sink, struct sm_sink_batch *batch);
    /* Makes what was written durable where that means something; called within a second after a write and before close.
     * Other batches may be in flight. May be NULL. */
    void (*flush)(void *sink);
    /* Ends every write in flight: calls sm_sink_done for each before it returns. Called when shutting down took too long.
     * May be NULL when write always finishes at once. */
    void (*cancel)(void *sink);
    void (*close)(void *sink); /* after the last done; frees the sink. Also called when open failed or was never called */
};

#endif
