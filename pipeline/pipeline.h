/* The topology: workers, shards, rings between workers, coordinator, fan-out. Placement is data.
 *
 *   payload -> worker: decode -> route -> shard (same worker: direct call; other worker: ring) -> fan-out -> sinks
 *
 * SM_PLACEMENT_THREADS: one thread per worker with an event loop; receivers live on the loops. SM_PLACEMENT_INLINE: one worker
 * without a thread that owns every shard; nothing happens outside sm_pipeline_* calls, time is what the caller says (replay,
 * scenarios, simulation). The code below is the same. */
#ifndef SM_PIPELINE_H
#define SM_PIPELINE_H

#include "base/base.h"
#include "pipeline/analyzer.h"
#include "pipeline/fanout.h"
#include "pipeline/policy.h"
#include "pipeline/shard.h"
#include "pipeline/worker.h"
#include "span/wanted.h"

#define SM_PIPELINE_WORKERS_MAX 128
#define SM_PIPELINE_SHARDS_MAX  256

enum sm_placement { SM_PLACEMENT_THREADS, SM_PLACEMENT_INLINE };

struct sm_pipeline_config {
    enum sm_placement placement;
    unsigned workers; /* INLINE: 1 */
    unsigned shards;  /* a multiple of workers */
    struct sm_windows windows;
    struct sm_codec_limits limits;
    uint32_t kept_decisions_max, dropped_decisions_max; /* over all shards */
    uint64_t skeleton_bytes_max;                        /* over all shards: heads kept for late spans ... */
    int64_t late_grace_ns;                              /* ... at most so long */
    uint64_t memory_bytes;                              /* the budget; 0: no memory triggers */
    double memory_soft, memory_hard;                    /* shares of it: back-pressure, early decisions */
    int64_t start_ns;                                   /* INLINE: where time starts */
    bool show_kept;                                     /* for sm_pipeline_visit_kept */
    struct sm_names *names;
    struct sm_scopes *scopes;
    const struct sm_wanted *wanted;
    const struct sm_policy *policy;
    const struct sm_analyzer *analyzers; /* copied */
    unsigned analyzer_count;
    struct sm_fanout *fanout; /* made for the same number of shards; not owned */
};

struct sm_pipeline;

struct sm_pipeline *sm_pipeline_new(const struct sm_pipeline_config *config, struct sm_err *err) SM_MUST_USE;
/* After sm_pipeline_stop (INLINE: sm_pipeline_close_all). */
void sm_pipeline_free(struct sm_pipeline *p);

unsigned sm_pipeline_worker_count(const struct sm_pipeline *p);
struct sm_worker *sm_pipeline_worker(struct sm_pipeline *p, unsigned i);

/* THREADS: receivers are set up on the workers' loops before start. */
enum sm_rc sm_pipeline_start(struct sm_pipeline *p, struct sm_err *err) SM_MUST_USE;

/* THREADS, any thread, after receivers have stopped: closes every window with a real decision and waits until nothing is open
 * or timeout_ns has passed (what is still open then is counted dropped{shutdown} by sm_pipeline_stop). */
bool sm_pipeline_drain(struct sm_pipeline *p, int64_t timeout_ns);

/* THREADS: ends the threads and merges what analyzers hold. The fan-out must have been stopped, so that every trace is home or on
 * its way. */
void sm_pipeline_stop(struct sm_pipeline *p);

/* INLINE: takes time forward, firing every tick on the way; the fan-out, which is an ordered one, is released and polled at each. */
void sm_pipeline_advance(struct sm_pipeline *p, int64_t now_ns);
/* INLINE: closes every window at the present time and settles everything; analyzers have then shipped and merged all. */
void sm_pipeline_close_all(struct sm_pipeline *p);

/* Control thread: merges what shards shipped into the analyzers' global states, reclaims unused resources and scopes. INLINE:
 * everything that they have learnt, shipped or not. */
void sm_pipeline_tend(struct sm_pipeline *p);

/* Any thread but a worker's: calls visit on the shard's own thread for the open trace with this id, or for every open trace
 * when id is NULL, and waits until that is done. Spans of payloads whose submission ended before the call are among them. The
 * trace is settled; visit must only read and copy. */
void sm_pipeline_visit_open(struct sm_pipeline *p, const struct sm_trace_id *id,
                            void (*visit)(void *ctx, const struct sm_trace *trace), void *ctx);

/* The same for kept traces that are on their way through the sinks, which have them for a moment when their window is no longer there and
 * the store does not hold them yet: visit open traces first, then these, then look into the store. There may be several of one id. Nothing
 * without config.show_kept. */
void sm_pipeline_visit_kept(struct sm_pipeline *p, const struct sm_trace_id *id,
                            void (*visit)(void *ctx, const struct sm_trace *trace), void *ctx);

/* Figures, any thread: sums over workers. */
uint64_t sm_pipeline_stat(const struct sm_pipeline *p, enum sm_stat stat);
uint64_t sm_pipeline_rejected(const struct sm_pipeline *p, enum sm_reject reason);

struct sm_pipeline_gauges {
    uint64_t spans_open, bytes_open, traces_open;
    uint64_t memory_bytes;  /* slabs and payloads */
    uint64_t memory_limit_bytes;
    uint64_t stall_ns_max;  /* since start */
};
struct sm_pipeline_gauges sm_pipeline_gauges(const struct sm_pipeline *p);

#endif
