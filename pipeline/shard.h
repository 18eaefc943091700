/* Shard: owns the open traces of its part of the id space; assembles, closes windows, decides, analyses, hands on.
 *
 * One thread at a time. Time is an argument: `arrived_ns` of what is ingested, `now_ns` of sm_shard_fire. The life of a span
 * here: sm_shard_ingest copies it into its trace; when the window closes the trace is laid out flat (span/view.h), the policy
 * proposes, a proposal that needs the other shards is parked until the tick is settled, analyzers observe the trace with its
 * verdict, and it is either freed or offered to the fan-out, which brings it back later (sm_shard_collect). */
#ifndef SM_SHARD_H
#define SM_SHARD_H

#include "base/base.h"
#include "pipeline/analyzer.h"
#include "pipeline/budget.h"
#include "pipeline/coordinator.h"
#include "pipeline/epochs.h"
#include "pipeline/fanout.h"
#include "pipeline/policy.h"
#include "pipeline/stats.h"
#include "pipeline/windows.h"
#include "span/batch.h"

struct sm_shard_config {
    unsigned index;
    struct sm_windows windows;
    uint32_t kept_decisions_max;    /* cache of past decisions, this shard's part */
    uint32_t dropped_decisions_max;
    uint64_t skeleton_bytes_max;    /* memory for linking late spans, this shard's part */
    int64_t late_grace_ns;          /* late spans are linked for so long */
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    const struct sm_policy *policy;
    const struct sm_analyzer *analyzers;
    unsigned analyzer_count;
    struct sm_fanout *fanout;
    struct sm_coordinator *coordinator;
    struct sm_budget *budget; /* NULL: no memory triggers (replay) */
    bool show_kept;           /* kept traces can be read until every sink is through with them: sm_shard_each_kept */
    struct sm_stats *stats;
};

struct sm_shard;

struct sm_shard *sm_shard_new(const struct sm_shard_config *config, int64_t now_ns);
/* Nothing may be open and every trace must be home. */
void sm_shard_free(struct sm_shard *s);

/* Copies spans of a batch into their traces: those with the given indexes, or all when indexes is NULL. */
void sm_shard_ingest(struct sm_shard *s, const struct sm_batch *batch, const uint32_t *indexes, uint32_t count);

/* Fires the wheel's next tick if now_ns has reached its end and the tick before is settled. A tick is fired in slices of about
 * a millisecond, one per call, so that sockets are served between them. */
enum sm_shard_fired {
    SM_SHARD_IDLE,  /* nothing was due */
    SM_SHARD_SLICE, /* call again for the rest of the tick */
    SM_SHARD_TICK,  /* the tick is through */
};
enum sm_shard_fired sm_shard_fire(struct sm_shard *s, int64_t now_ns);
/* When the shard can fire next; the past while a tick is under way. */
int64_t sm_shard_next_fire_ns(const struct sm_shard *s);

/* Finishes parked traces once the coordinator has solved their tick; true when something was done. */
bool sm_shard_settle(struct sm_shard *s);

/* Closes every window now (shutdown, end of replay). Fire and settle afterwards until sm_shard_quiet. */
void sm_shard_close_all(struct sm_shard *s, int64_t now_ns);
bool sm_shard_quiet(const struct sm_shard *s); /* nothing open, nothing parked, nothing waits for room at a sink */

/* Nothing is open: jumps to now_ns without firing the ticks between. */
void sm_shard_skip(struct sm_shard *s, int64_t now_ns);
/* After the thread has ended: what is still open or parked is counted dropped{shutdown} and freed. */
void sm_shard_abandon(struct sm_shard *s);

/* Frees traces that the fan-out brought home; true when there were any. */
bool sm_shard_collect(struct sm_shard *s);

/* Housekeeping, once a tick: publishes figures, gives memory back, decides early above the hard mark. other_bytes: memory of the
 * worker that is charged to this shard. */
void sm_shard_tend(struct sm_shard *s, int64_t now_ns, uint32_t epoch, uint64_t other_bytes);

/* Open traces. */
struct sm_trace *sm_shard_find(struct sm_shard *s, struct sm_trace_id id); /* settled for reading; NULL when not open */
void sm_shard_each(struct sm_shard *s, void (*fn)(void *ctx, const struct sm_trace *trace), void *ctx);

/* Kept traces that sinks still have: all, or those of one id (exactly this one). There may be several of an id, when late spans followed.
 * Nothing without config.show_kept. */
void sm_shard_each_kept(struct sm_shard *s, const struct sm_trace_id *id, void (*fn)(void *ctx, const struct sm_trace *trace), void *ctx);

/* Figures that other threads may read. What is open is published at ticks, and when spans left without one (a window closed for
 * its size, a limit was settled); what only came in since then is not in it yet. */
struct sm_shard_gauges {
    _Atomic uint64_t spans_open;
    _Atomic uint64_t bytes_open;
    _Atomic uint64_t traces_open;
    _Atomic uint64_t memory_bytes;   /* held from the allocator for traces */
};
const struct sm_shard_gauges *sm_shard_gauges(const struct sm_shard *s);
const struct sm_epochs *sm_shard_epochs(const struct sm_shard *s);
/* The shard's state of analyzer i, for its merge. */
void *sm_shard_analyzer_state(const struct sm_shard *s, unsigned i);
unsigned sm_shard_index(const struct sm_shard *s);

#endif
