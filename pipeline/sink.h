/* Sink: where kept traces go. A sink only writes; queueing, batching, retrying, back-off, limits and accounting are written
 * once for all sinks in pipeline/fanout.c.
 *
 * Threads: all calls of one sink come from one thread (the sink's `thread` says which). `write` may finish at once or later;
 * either way it ends with exactly one sm_sink_done from that same thread. */
#ifndef SM_SINK_H
#define SM_SINK_H

#include "base/base.h"
#include "span/names.h"
#include "span/scope.h"
#include "span/trace.h"

struct sm_loop;

enum sm_sink_result {
    SM_SINK_OK,
    SM_SINK_AGAIN,  /* nothing was taken; the same batch is offered again after a back-off */
    SM_SINK_REJECT, /* refused for good; counted as rejected */
};

/* Traces that are written together. Borrowed by the sink until sm_sink_done. */
struct sm_sink_batch {
    const struct sm_trace **traces;
    uint32_t count;
    uint64_t spans;
    uint64_t bytes;    /* canonical bytes */
    uint32_t attempt;  /* 0 the first time */
    uint64_t sequence; /* the same for every attempt of one batch: identical retries can be recognised */
    void *fanout;      /* fan-out's own */
};

/* Reports the end of a write. rejected_spans: how many of the batch the other side refused although it took the rest
 * (partial success). retry_after_ns: the other side's wish with SM_SINK_AGAIN, 0 for none. */
void sm_sink_done(struct sm_sink_batch *batch, enum sm_sink_result result, uint64_t rejected_spans, int64_t retry_after_ns,
                  const char *why);

enum sm_sink_thread {
    SM_SINK_THREAD_SHARED, /* the I/O thread that all network sinks share */
    SM_SINK_THREAD_OWN,    /* a thread of its own (CPU or disk work) */
};

struct sm_sink_env {
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    struct sm_loop *loop; /* of the sink's thread */
};

struct sm_sink_ops {
    const char *type; /* "store", "otlp_grpc", ... */
    enum sm_sink_thread thread;
    uint32_t batch_spans_max; /* default for batching: a batch closes at this many spans ... */
    int64_t batch_linger_ns;  /* ... or when its oldest trace waited this long */
    uint32_t in_flight_max;   /* batches that may be written at the same time */
    enum sm_rc (*open)(void *sink, const struct sm_sink_env *env, struct sm_err *err);
    void (*write)(void *sink, struct sm_sink_batch *batch);
    /* Makes what was written durable where that means something; called when idle and before close. */
    void (*flush)(void *sink);
    void (*close)(void *sink); /* after the last done; frees the sink */
};

#endif
