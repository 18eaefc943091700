/* The segment store (store/store.h) as a sink: the first one of the daemon, and what `spanmill replay --into` writes to.
 *
 * The sink's thread is the store's writer; whoever opened the store closes it after the sink, and others may read meanwhile.
 * A batch is written in order and ends when all of it is in the segment file, so that a trace counts as delivered, and is
 * released, only when it can be read and survives a crash of the process. When writing fails (disk full, I/O error) the batch
 * is offered again; what of it was written before the failure is not written twice. A trace with a span that is too large for
 * the store is refused.
 *
 * One batch at a time (in_flight_max 1). */
#ifndef SM_STORE_SINK_H
#define SM_STORE_SINK_H

#include "base/base.h"
#include "pipeline/sink.h"
#include "store/store.h"

struct sm_store_sink_options {
    struct sm_store *store; /* borrowed */
    /* What was written is made durable after at most this long, by a timer on the sink's loop; 0: before it counts as
     * delivered. */
    int64_t sync_ns;
    /* The store's time is that of the traces instead of the wall clock, and what is written is made durable at the end: the same
     * input makes the same files (replay). */
    bool recorded_time;
    /* Called by that timer too, on the sink's thread: what else writes to the store's directory. NULL: nothing. */
    void (*tend)(void *ctx, int64_t now_ns);
    void *tend_ctx;
    /* Names the rule that decided (SM_RULE_DEFAULT too); the text is copied. */
    const char *(*rule_name)(void *ctx, uint16_t rule);
    void *rule_ctx;
};

extern const struct sm_sink_ops sm_store_sink_ops;

/* The sink to use with the operations above. */
void *sm_store_sink_new(const struct sm_store_sink_options *options) SM_MUST_USE;

/* For struct sm_store_options.sync_linger_ns: the store's own waiting time that goes with sync_ns. */
int64_t sm_store_sink_linger_ns(int64_t sync_ns);

#endif
