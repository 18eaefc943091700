/* The topology: building it, running it in threads or inline, figures over all workers. */
#include "pipeline/pipeline.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/net/loop.h"
#include "pipeline/epochs.h"
#include "pipeline/wheel.h"
#include "pipeline/worker_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { RECLAIM_MARGIN_TICKS = 300 };

struct sm_worker_thread {
    pthread_t id;
    bool started;
};

/* The wall clock at start plus what the monotonic clock has passed since: steps of the wall clock do not close windows. */
int64_t sm_pipeline_clock(void *ctx)
{
    const struct sm_pipeline *p = ctx;
    return p->wall_base_ns + (sm_clock_mono_ns() - p->mono_base_ns);
}

static void make_shards(struct sm_pipeline *p)
{
    const struct sm_pipeline_config *c = &p->config;
    for (unsigned i = 0; i < c->shards; i++) {
        struct sm_worker *w = &p->workers[i % c->workers];
        struct sm_shard_config shard = {
            .index = i,
            .windows = c->windows,
            .kept_decisions_max = c->kept_decisions_max / c->shards,
            .dropped_decisions_max = c->dropped_decisions_max / c->shards,
            .skeleton_bytes_max = c->skeleton_bytes_max / c->shards,
            .late_grace_ns = c->late_grace_ns,
            .names = c->names,
            .scopes = c->scopes,
            .policy = c->policy,
            .analyzers = c->analyzers,
            .analyzer_count = c->analyzer_count,
            .fanout = c->fanout,
            .coordinator = p->coordinator,
            .budget = c->memory_bytes ? &p->budget : NULL,
            .show_kept = c->show_kept,
            .stats = &w->stats,
        };
        p->shards[i] = sm_shard_new(&shard, p->base_ns);
        w->shards[w->shard_count++] = p->shards[i];
    }
}

static void copy_analyzers(struct sm_pipeline *p)
{
    struct sm_analyzer *copy = sm_xcalloc(SM_MAX(p->config.analyzer_count, 1u), sizeof *copy);
    if (p->config.analyzer_count)
        memcpy(copy, p->config.analyzers, p->config.analyzer_count * sizeof *copy);
    p->config.analyzers = copy;
}

struct sm_pipeline *sm_pipeline_new(const struct sm_pipeline_config *config, struct sm_err *err)
{
    SM_ASSERT(config->workers >= 1 && config->workers <= SM_PIPELINE_WORKERS_MAX);
    SM_ASSERT(config->shards >= 1 && config->shards <= SM_PIPELINE_SHARDS_MAX && config->shards % config->workers == 0);
    struct sm_pipeline *p = aligned_alloc(SM_CACHE_LINE, (sizeof *p + SM_CACHE_LINE - 1) & ~(size_t)(SM_CACHE_LINE - 1));
    SM_ASSERT(p);
    memset(p, 0, sizeof *p);
    p->config = *config;
    copy_analyzers(p);
    p->wall_base_ns = sm_clock_wall_ns();
    p->mono_base_ns = sm_clock_mono_ns();
    p->base_ns = config->placement == SM_PLACEMENT_INLINE ? config->start_ns : p->wall_base_ns;
    p->route_seed = sm_hash_seed;
    p->budget.shards = config->shards;
    p->budget.soft_bytes = (uint64_t)((double)config->memory_bytes * config->memory_soft);
    p->budget.hard_bytes = (uint64_t)((double)config->memory_bytes * config->memory_hard);
    p->coordinator = sm_coordinator_new(config->policy, config->shards);
    p->threads = sm_xcalloc(config->workers, sizeof *p->threads);
    size_t size = config->workers * sizeof *p->workers;
    p->workers = aligned_alloc(SM_CACHE_LINE, (size + SM_CACHE_LINE - 1) & ~(size_t)(SM_CACHE_LINE - 1));
    SM_ASSERT(p->workers);
    memset(p->workers, 0, size);
    for (unsigned i = 0; i < config->workers; i++) {
        if (sm_worker_init(&p->workers[i], p, i, err) != SM_OK) {
            sm_pipeline_free(p);
            return NULL;
        }
    }
    make_shards(p);
    return p;
}

void sm_pipeline_free(struct sm_pipeline *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->config.shards; i++) {
        if (p->shards[i])
            sm_shard_collect(p->shards[i]);
        sm_shard_free(p->shards[i]);
    }
    for (unsigned i = 0; i < p->config.workers; i++) {
        if (p->workers[i].pipeline)
            sm_worker_fini(&p->workers[i]);
    }
    sm_coordinator_free(p->coordinator);
    free((void *)(uintptr_t)p->config.analyzers);
    free(p->workers);
    free(p->threads);
    free(p);
}

unsigned sm_pipeline_worker_count(const struct sm_pipeline *p)
{
    return p->config.workers;
}

struct sm_worker *sm_pipeline_worker(struct sm_pipeline *p, unsigned i)
{
    return &p->workers[i];
}

/* --- threads --- */

static bool turn_hook(void *arg)
{
    struct sm_worker *w = arg;
    return sm_worker_turn(w, sm_loop_wall_ns(w->loop));
}

/* Makes the loop take a turn at each tick even when nothing arrives; the work is done in the hook. */
static void tick(void *arg)
{
    (void)arg;
}

static void *worker_main(void *arg)
{
    struct sm_worker *w = arg;
    sm_loop_run(w->loop);
    return NULL;
}

enum sm_rc sm_pipeline_start(struct sm_pipeline *p, struct sm_err *err)
{
    for (unsigned i = 0; i < p->config.workers; i++) {
        struct sm_worker *w = &p->workers[i];
        sm_loop_set_hook(w->loop, turn_hook, w);
        w->timer = sm_loop_timer_new(w->loop, SM_TICK_NS, tick, w);
    }
    p->running = true;
    for (unsigned i = 0; i < p->config.workers; i++) {
        int rc = pthread_create(&p->threads[i].id, NULL, worker_main, &p->workers[i]);
        if (rc) {
            sm_pipeline_stop(p);
            return sm_err_set(err, SM_E_IO, "cannot start worker thread %u: %s", i, strerror(rc));
        }
        p->threads[i].started = true;
        char name[16]; /* what the kernel takes */
        snprintf(name, sizeof name, "worker-%hhu", (uint8_t)i);
        pthread_setname_np(p->threads[i].id, name);
    }
    return SM_OK;
}

/* A call that runs on a worker's thread while another thread waits for it. */
struct errand {
    pthread_mutex_t mutex;
    pthread_cond_t done_changed;
    bool done;
    struct sm_worker *worker;
    void (*fn)(struct errand *e);
    const struct sm_trace_id *id;
    void (*visit)(void *ctx, const struct sm_trace *trace);
    void *ctx;
};

static void errand_run(void *arg)
{
    struct errand *e = arg;
    e->fn(e);
    pthread_mutex_lock(&e->mutex);
    e->done = true;
    pthread_cond_signal(&e->done_changed);
    pthread_mutex_unlock(&e->mutex);
}

static void errand_send(struct errand *e, struct sm_worker *w, bool running)
{
    e->worker = w;
    e->done = false;
    if (!running) {
        e->fn(e);
        return;
    }
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->done_changed, NULL);
    sm_loop_post(w->loop, errand_run, e);
    pthread_mutex_lock(&e->mutex);
    while (!e->done)
        pthread_cond_wait(&e->done_changed, &e->mutex);
    pthread_mutex_unlock(&e->mutex);
    pthread_cond_destroy(&e->done_changed);
    pthread_mutex_destroy(&e->mutex);
}

static void start_closing(struct errand *e)
{
    e->worker->closing = true;
}

bool sm_pipeline_drain(struct sm_pipeline *p, int64_t timeout_ns)
{
    for (unsigned i = 0; i < p->config.workers; i++)
        errand_send(&(struct errand){.fn = start_closing}, &p->workers[i], p->running);
    int64_t give_up_ns = sm_clock_mono_ns() + timeout_ns;
    for (unsigned i = 0; i < p->config.workers;) {
        if (atomic_load_explicit(&p->workers[i].quiet, memory_order_acquire)) {
            i++;
            continue;
        }
        if (sm_clock_mono_ns() > give_up_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 5 * SM_MS}, NULL);
    }
    return true;
}

static void merge_shipped(struct sm_pipeline *p, bool ship)
{
    for (unsigned k = 0; k < p->config.analyzer_count; k++) {
        const struct sm_analyzer *a = &p->config.analyzers[k];
        for (unsigned i = 0; i < p->config.shards; i++) {
            void *state = sm_shard_analyzer_state(p->shards[i], k);
            if (ship)
                a->ops->ship(state);
            a->ops->merge(a->global, state);
        }
    }
}

/* No shard runs any more. Twice, because what was shipped before may still be away in the first round. */
static void merge_all(struct sm_pipeline *p)
{
    merge_shipped(p, true);
    merge_shipped(p, true);
}

static void abandon_open(struct sm_pipeline *p)
{
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_abandon(p->shards[i]);
}

void sm_pipeline_stop(struct sm_pipeline *p)
{
    for (unsigned i = 0; i < p->config.workers; i++)
        sm_loop_stop(p->workers[i].loop);
    for (unsigned i = 0; i < p->config.workers; i++) {
        if (p->threads[i].started)
            pthread_join(p->threads[i].id, NULL);
        p->threads[i].started = false;
    }
    p->running = false;
    for (unsigned i = 0; i < p->config.workers; i++) {
        struct sm_worker *w = &p->workers[i];
        if (w->timer)
            sm_loop_timer_free(w->timer);
        w->timer = NULL;
        sm_loop_set_hook(w->loop, NULL, NULL);
    }
    abandon_open(p);
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_collect(p->shards[i]);
    merge_all(p);
}

/* --- inline --- */

static bool all_fired(const struct sm_pipeline *p, int64_t tick_ns)
{
    for (unsigned i = 0; i < p->config.shards; i++) {
        if (sm_shard_next_fire_ns(p->shards[i]) <= tick_ns)
            return false;
    }
    return true;
}

/* Sinks see what was decided since the last time, in its final order; what they are through with comes home. */
static void hand_out(struct sm_pipeline *p, int64_t now_ns)
{
    while (!sm_fanout_release(p->config.fanout))
        sm_fanout_poll(p->config.fanout, now_ns);
    sm_fanout_poll(p->config.fanout, now_ns);
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_collect(p->shards[i]);
}

/* Fires one tick on every shard and settles it. */
static void inline_tick(struct sm_pipeline *p, struct sm_worker *w, int64_t tick_ns)
{
    do
        sm_worker_turn(w, tick_ns);
    while (!all_fired(p, tick_ns));
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_settle(p->shards[i]);
    hand_out(p, tick_ns);
}

static bool all_quiet(const struct sm_pipeline *p)
{
    for (unsigned i = 0; i < p->config.shards; i++) {
        if (!sm_shard_quiet(p->shards[i]))
            return false;
    }
    return true;
}

/* Nothing is open, but windows may have closed over a limit since the last tick. What came home leaves the figures and the
 * budget. */
static void skip_to(struct sm_pipeline *p, struct sm_worker *w, int64_t now_ns)
{
    hand_out(p, now_ns);
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_skip(p->shards[i], now_ns);
    sm_worker_tend(w);
}

void sm_pipeline_advance(struct sm_pipeline *p, int64_t now_ns)
{
    struct sm_worker *w = &p->workers[0];
    for (int64_t next; (next = sm_shard_next_fire_ns(p->shards[0])) <= now_ns;) {
        if (all_quiet(p))
            skip_to(p, w, now_ns); /* a gap in a recording costs nothing */
        else
            inline_tick(p, w, next);
    }
    sm_worker_turn(w, now_ns);
}

void sm_pipeline_close_all(struct sm_pipeline *p)
{
    struct sm_worker *w = &p->workers[0];
    for (unsigned i = 0; i < p->config.shards; i++)
        sm_shard_close_all(p->shards[i], w->now_ns);
    do
        inline_tick(p, w, sm_shard_next_fire_ns(p->shards[0]));
    while (!all_quiet(p));
    merge_all(p);
}

/* --- control and figures --- */

void sm_pipeline_tend(struct sm_pipeline *p)
{
    uint32_t oldest = SM_EPOCH_NONE;
    for (unsigned i = 0; i < p->config.shards; i++)
        oldest = SM_MIN(oldest, sm_epochs_low_all(sm_shard_epochs(p->shards[i])));
    if (p->config.placement == SM_PLACEMENT_INLINE)
        merge_all(p); /* no tick need come any more that ships what was learnt since the last */
    else
        merge_shipped(p, false);
    /* Skeletons refer for the grace to scopes that were last seen when the window opened; a batch may be between its decoder
     * and its shard for a moment. */
    uint32_t margin =
        (uint32_t)((p->config.late_grace_ns + p->config.windows.max_age_ns) / SM_TICK_NS) + RECLAIM_MARGIN_TICKS;
    if (oldest != SM_EPOCH_NONE && oldest > margin)
        sm_scopes_reclaim(p->config.scopes, oldest - margin);
}

/* A span whose sender has been told that it was taken may still be on its way from the worker that received it. */
static void visit_on_thread(struct errand *e)
{
    struct sm_worker *w = e->worker;
    sm_worker_catch_up(w);
    for (unsigned i = 0; i < w->shard_count; i++) {
        if (!e->id) {
            sm_shard_each(w->shards[i], e->visit, e->ctx);
            continue;
        }
        const struct sm_trace *t = sm_shard_find(w->shards[i], *e->id);
        if (t)
            e->visit(e->ctx, t);
    }
}

static void visit_kept_on_thread(struct errand *e)
{
    for (unsigned i = 0; i < e->worker->shard_count; i++)
        sm_shard_each_kept(e->worker->shards[i], e->id, e->visit, e->ctx);
}

/* To the worker that has the traces with this id, or to all. */
static void visit_shards(struct sm_pipeline *p, const struct errand *errand)
{
    unsigned only = errand->id ? sm_pipeline_shard_of(p, *errand->id) % p->config.workers : UINT32_MAX;
    for (unsigned i = 0; i < p->config.workers; i++) {
        struct errand e = *errand;
        if (!e.id || i == only)
            errand_send(&e, &p->workers[i], p->running);
    }
}

void sm_pipeline_visit_open(struct sm_pipeline *p, const struct sm_trace_id *id,
                            void (*visit)(void *ctx, const struct sm_trace *trace), void *ctx)
{
    visit_shards(p, &(struct errand){.fn = visit_on_thread, .id = id, .visit = visit, .ctx = ctx});
}

void sm_pipeline_visit_kept(struct sm_pipeline *p, const struct sm_trace_id *id,
                            void (*visit)(void *ctx, const struct sm_trace *trace), void *ctx)
{
    if (p->config.show_kept)
        visit_shards(p, &(struct errand){.fn = visit_kept_on_thread, .id = id, .visit = visit, .ctx = ctx});
}

uint64_t sm_pipeline_stat(const struct sm_pipeline *p, enum sm_stat stat)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->config.workers; i++)
        sum += sm_stats_get(&p->workers[i].stats, stat);
    return sum;
}

uint64_t sm_pipeline_rejected(const struct sm_pipeline *p, enum sm_reject reason)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->config.workers; i++)
        sum += atomic_load_explicit(&p->workers[i].stats.rejected[reason], memory_order_relaxed);
    return sum;
}

struct sm_pipeline_gauges sm_pipeline_gauges(const struct sm_pipeline *p)
{
    struct sm_pipeline_gauges sum = {.memory_limit_bytes = p->config.memory_bytes};
    for (unsigned i = 0; i < p->config.shards; i++) {
        const struct sm_shard_gauges *g = sm_shard_gauges(p->shards[i]);
        sum.spans_open += atomic_load_explicit(&g->spans_open, memory_order_relaxed);
        sum.bytes_open += atomic_load_explicit(&g->bytes_open, memory_order_relaxed);
        sum.traces_open += atomic_load_explicit(&g->traces_open, memory_order_relaxed);
        sum.memory_bytes += atomic_load_explicit(&g->memory_bytes, memory_order_relaxed);
    }
    for (unsigned i = 0; i < p->config.workers; i++)
        sum.stall_ns_max =
            SM_MAX(sum.stall_ns_max, atomic_load_explicit(&p->workers[i].stall_ns_max, memory_order_relaxed));
    return sum;
}
