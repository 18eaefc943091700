/* The worker's inside, shared by worker.c (the data path) and pipeline.c (the topology). Only tests include it beside them. */
#ifndef SM_WORKER_INTERNAL_H
#define SM_WORKER_INTERNAL_H

#include "base/hash.h"
#include "base/mpsc.h"
#include "base/ring.h"
#include "pipeline/pipeline.h"
#include "pipeline/stats.h"

/* Spans of one batch on their way to one shard. */
struct sm_route {
    struct sm_flight *flight;
    struct sm_shard *shard;
    const uint32_t *indexes;
    uint32_t count;
};

/* A batch with what routing needs; recycled by its worker. Goes home when every target shard has copied its spans. */
struct sm_flight {
    struct sm_mpsc_node home;
    struct sm_batch batch;
    struct sm_worker *worker;
    uint32_t *indexes; /* of all routes, one after the other */
    uint32_t indexes_capacity;
    struct sm_route *routes; /* by shard */
    _Atomic uint32_t refs;
    bool away;      /* other workers have parts of it: it counts in the worker's epochs until it is home */
    uint32_t epoch; /* which it counts in */
    struct sm_flight *next;
};

struct sm_worker {
    struct sm_pipeline *pipeline;
    unsigned index;
    struct sm_loop *loop; /* NULL: inline */
    struct sm_loop_timer *timer;
    struct sm_payload_pool *payloads;
    struct sm_decoder decoder;
    struct sm_shard *shards[SM_PIPELINE_SHARDS_MAX]; /* those it owns */
    unsigned shard_count;
    struct sm_ring *rings; /* rings[i]: routes from worker i to this one */
    struct sm_flight *flights_idle;
    struct sm_epochs *away; /* what is on its way to shards of other workers; only the worker looks at it */
    struct sm_stats stats;
    int64_t now_ns;  /* newest time seen; never goes back */
    uint32_t epoch;
    uint32_t ingested; /* spans assembled since the last turn: sets how much of a tick a turn fires */
    bool closing;    /* draining: windows close at the next turn */
    _Atomic bool quiet;
    _Atomic uint64_t stall_ns_max;
    struct sm_mpsc flights_home; /* pushed by other workers */
};

enum sm_rc sm_worker_init(struct sm_worker *w, struct sm_pipeline *p, unsigned index, struct sm_err *err);
void sm_worker_fini(struct sm_worker *w);

/* One turn: takes in routes, fires due ticks, settles. True when there was work. */
bool sm_worker_turn(struct sm_worker *w, int64_t now_ns);

/* Takes in what other workers have routed here before the call. */
void sm_worker_catch_up(struct sm_worker *w);
/* Housekeeping of its shards, which a turn does when it fires a tick. */
void sm_worker_tend(struct sm_worker *w);

struct sm_pipeline {
    struct sm_pipeline_config config;
    struct sm_worker *workers;
    struct sm_shard *shards[SM_PIPELINE_SHARDS_MAX];
    struct sm_coordinator *coordinator;
    struct sm_budget budget;
    uint64_t route_seed;
    int64_t base_ns;      /* epoch 1 starts here */
    int64_t wall_base_ns; /* wall clock at start; time is this plus the monotonic clock since */
    int64_t mono_base_ns;
    struct sm_worker_thread *threads;
    bool running;
};

/* The clock of the workers' loops. ctx is the pipeline. */
int64_t sm_pipeline_clock(void *ctx);

SM_INLINE unsigned sm_pipeline_shard_of(const struct sm_pipeline *p, struct sm_trace_id id)
{
    if (p->config.shards == 1)
        return 0;
    uint64_t hash = sm_hash_fixed64(id.lo, p->route_seed);
    return (unsigned)((hash >> 32) * p->config.shards >> 32);
}

#endif
