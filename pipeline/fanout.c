/* Fan-out: the shards' side (offer, order, collect), the sinks' threads, and what they count. */
#include "pipeline/fanout.h"
#include "base/clock.h"
#include "base/net/loop.h"
#include "base/ring.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { RING_CAPACITY_DEFAULT = 16384, POP_MAX = 256 };
#define BATCH_BYTES_DEFAULT (4 * SM_MIB)

/* From one shard to one sink. Counters are written by the shard's thread only (ordered: by the releasing one). */
struct lane {
    struct sm_ring ring;
    _Atomic uint64_t kept;
    _Atomic uint64_t filtered;
    _Atomic uint64_t queue_full;
    _Atomic uint64_t lost; /* ordered: never released to the sink */
    _Atomic uint64_t pushed_spans;
    _Atomic uint64_t pushed_bytes; /* memory of traces */
    uint64_t unannounced_spans;    /* since the sink was last woken */
} SM_ALIGNED_LINE;

struct sink {
    char *name;
    const struct sm_sink_ops *ops;
    void *sink;
    bool (*wants)(const void *ctx, const struct sm_trace *trace);
    const void *wants_ctx;
    uint64_t queue_bytes_max;
    bool required;
    uint64_t wake_spans; /* unannounced spans that are worth a wake-up */
    struct lane *lanes;  /* one per shard */
    struct group *group;
    struct sm_fanout *fanout;
    struct sm_sink_queue *queue;
    _Atomic uint64_t released_spans SM_ALIGNED_LINE; /* written by the sink's thread */
    _Atomic uint64_t released_bytes;
};

/* Sinks that share a thread and its event loop. */
struct group {
    struct sm_fanout *fanout;
    struct sm_loop *loop;
    struct sink *sinks[SM_FANOUT_SINKS_MAX];
    unsigned sink_count;
    struct sm_loop_timer *timer;
    int64_t timer_due_ns;
    pthread_t thread;
    bool running;
};

/* What concerns one shard. */
struct home {
    struct sm_mpsc returned;
    struct sm_trace *staged, *staged_last; /* ordered: offered since the last release; else: wait for room in a ring */
    atomic_bool waiting;                   /* not ordered: some are staged */
} SM_ALIGNED_LINE;

struct ordered_trace {
    struct sm_trace *trace;
    size_t position; /* in the order of shards and offers, so that the sort is stable */
};

struct sm_fanout {
    struct sink *sinks;
    unsigned sink_count;
    unsigned shards;
    struct group groups[SM_FANOUT_SINKS_MAX];
    unsigned group_count;
    struct home *homes;
    bool threads;
    bool ordered;
    atomic_bool stopped;
    int64_t now_ns; /* INLINE: of the last poll */
    struct ordered_trace *sorted;
    size_t sorted_at, sorted_count, sorted_capacity;
    atomic_bool draining;
    _Atomic int64_t stop_at_ns; /* INT64_MAX: not stopping */
};

const struct sm_fanout_stat_info sm_fanout_stat_infos[SM_FANOUT_STAT_COUNT] = {
#define SM_FANOUT_STAT(id, type, metric, labels, help) {#type, metric, labels, help},
#include "pipeline/fanout.def"
#undef SM_FANOUT_STAT
};

static void *aligned_zeroed(size_t count, size_t size)
{
    void *p = aligned_alloc(SM_CACHE_LINE, count * size);
    SM_ASSERT(p);
    memset(p, 0, count * size);
    return p;
}

static int64_t fanout_now_ns(const struct sm_fanout *f)
{
    return f->threads ? sm_clock_mono_ns() : f->now_ns;
}

/* One writer; readers that acquire it see what the writer did before. */
static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_release);
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_acquire);
}

/* --- sinks' side ------------------------------------------------------------------------------------------------- */

/* The trace is through at this sink; the last one sends it home. */
static void on_release(void *ctx, const struct sm_trace *borrowed)
{
    struct sink *s = ctx;
    struct sm_trace *trace = (struct sm_trace *)borrowed;
    count(&s->released_spans, trace->span_count);
    count(&s->released_bytes, trace->memory);
    if (atomic_fetch_sub_explicit(&trace->refs, 1, memory_order_acq_rel) == 1)
        sm_mpsc_push(&s->fanout->homes[trace->shard].returned, &trace->home);
}

/* Moves traces from the rings to the sink's queue; true when there may be more. */
static bool sink_take(struct sink *s, int64_t now_ns)
{
    bool more = false;
    for (unsigned i = 0; i < s->fanout->shards; i++) {
        void *traces[POP_MAX];
        uint32_t n = sm_ring_pop_n(&s->lanes[i].ring, traces, POP_MAX);
        for (uint32_t k = 0; k < n; k++)
            sm_sink_queue_add(s->queue, traces[k], now_ns);
        more |= n > 0;
    }
    return more;
}

static bool group_idle(const struct group *g)
{
    for (unsigned i = 0; i < g->sink_count; i++) {
        if (!sm_sink_queue_idle(g->sinks[i]->queue))
            return false;
    }
    return true;
}

static void on_timer(void *arg)
{
    struct group *g = arg; /* the loop's hook, which runs next, does the work */
    sm_loop_timer_free(g->timer);
    g->timer = NULL;
}

static void group_set_timer(struct group *g, int64_t due_ns, int64_t now_ns)
{
    if (due_ns == INT64_MAX || (g->timer && g->timer_due_ns <= due_ns))
        return;
    sm_loop_timer_free(g->timer);
    g->timer = sm_loop_timer_new(g->loop, SM_MAX(due_ns - now_ns, 1), on_timer, g);
    g->timer_due_ns = due_ns;
}

/* One round over the group's sinks; true when more work may be waiting. */
static bool group_round(struct group *g, int64_t now_ns)
{
    bool draining = atomic_load_explicit(&g->fanout->draining, memory_order_acquire);
    bool more = false;
    for (unsigned i = 0; i < g->sink_count; i++) {
        struct sink *s = g->sinks[i];
        more |= sink_take(s, now_ns);
        if (draining)
            sm_sink_queue_drain(s->queue);
        sm_sink_queue_step(s->queue, now_ns);
    }
    return more;
}

static int64_t group_due_ns(const struct group *g)
{
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < g->sink_count; i++) {
        int64_t sink_due = sm_sink_queue_due_ns(g->sinks[i]->queue);
        due = SM_MIN(due, sink_due);
    }
    return due;
}

/* The hook of the group's loop. */
static bool on_turn(void *arg)
{
    struct group *g = arg;
    int64_t now_ns = sm_clock_mono_ns();
    bool more = group_round(g, now_ns);
    int64_t stop_at_ns = atomic_load_explicit(&g->fanout->stop_at_ns, memory_order_acquire);
    if (stop_at_ns != INT64_MAX && ((!more && group_idle(g)) || now_ns >= stop_at_ns))
        sm_loop_stop(g->loop);
    int64_t due_ns = group_due_ns(g);
    group_set_timer(g, SM_MIN(due_ns, stop_at_ns), now_ns);
    return more;
}

/* Ends the group's sinks; what is left is lost and counted. */
static void group_end(struct group *g)
{
    int64_t now_ns = fanout_now_ns(g->fanout);
    for (unsigned i = 0; i < g->sink_count; i++) {
        struct sink *s = g->sinks[i];
        while (sink_take(s, now_ns))
            ;
        sm_sink_queue_abandon(s->queue, now_ns);
        s->ops->close(s->sink);
    }
}

static void *group_main(void *arg)
{
    struct group *g = arg;
    sm_loop_run(g->loop);
    group_end(g);
    return NULL;
}

/* --- construction ------------------------------------------------------------------------------------------------ */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value ? value : otherwise;
}

static int64_t linger_ns(const struct sm_fanout_config *config, const struct sm_fanout_sink *use)
{
    if (config->ordered)
        return SM_SINK_LINGER_FOREVER;
    return use->batch_linger_ns ? use->batch_linger_ns : use->ops->batch_linger_ns;
}

/* Ordered, the releasing thread waits for room while the batch that fills waits for more: a share must hold well more than
 * one batch, whatever the budget says. A kilobyte a span covers traces of one tiny span. */
static uint64_t share_min(const struct sm_fanout_config *config, const struct sm_sink_queue_config *q)
{
    return config->ordered ? 4 * q->batch_bytes_max + q->batch_spans_max * SM_KIB : 0;
}

static struct sm_sink_queue *sink_queue_new(struct sink *s, const struct sm_fanout_config *config, unsigned index)
{
    const struct sm_fanout_sink *use = &config->sinks[index];
    struct sm_sink_queue_config q = {
        .name = s->name,
        .ops = use->ops,
        .sink = use->sink,
        .batch_spans_max = (uint32_t)or_default(use->batch_spans_max, use->ops->batch_spans_max),
        .batch_bytes_max = or_default(use->batch_bytes_max, BATCH_BYTES_DEFAULT),
        .batch_linger_ns = linger_ns(config, use),
        .in_flight_max = (uint32_t)or_default(use->in_flight_max, use->ops->in_flight_max),
        .retry = use->retry.initial_ns ? use->retry : SM_SINK_RETRY_DEFAULT,
        .seed = config->seed + index,
        .release = on_release,
        .release_ctx = s,
    };
    s->wake_spans = SM_MAX(q.batch_spans_max / 2, 1);
    s->queue_bytes_max = or_default(use->queue_bytes_max, config->queue_bytes_max / config->sink_count);
    s->queue_bytes_max = SM_MAX(s->queue_bytes_max, share_min(config, &q));
    return sm_sink_queue_new(&q);
}

static void sink_init(struct sm_fanout *f, const struct sm_fanout_config *config, unsigned index)
{
    const struct sm_fanout_sink *use = &config->sinks[index];
    struct sink *s = &f->sinks[index];
    s->name = sm_xstrndup(use->name, strlen(use->name));
    s->ops = use->ops;
    s->sink = use->sink;
    s->wants = use->wants;
    s->wants_ctx = use->wants_ctx;
    s->required = use->required;
    s->fanout = f;
    s->lanes = aligned_zeroed(f->shards, sizeof *s->lanes);
    for (unsigned i = 0; i < f->shards; i++)
        sm_ring_init(&s->lanes[i].ring, (uint32_t)or_default(config->ring_capacity, RING_CAPACITY_DEFAULT));
    s->queue = sink_queue_new(s, config, index);
}

static struct group *group_add(struct sm_fanout *f)
{
    struct group *g = &f->groups[f->group_count++];
    g->fanout = f;
    return g;
}

/* Which sinks share a thread: all network sinks one, each other sink has its own; inline there is one group. */
static void assign_groups(struct sm_fanout *f)
{
    struct group *shared = NULL;
    for (unsigned i = 0; i < f->sink_count; i++) {
        struct sink *s = &f->sinks[i];
        bool own = f->threads && s->ops->thread == SM_SINK_THREAD_OWN;
        if (!own && !shared)
            shared = group_add(f);
        s->group = own ? group_add(f) : shared;
        s->group->sinks[s->group->sink_count++] = s;
    }
}

static bool group_needs_loop(const struct group *g)
{
    for (unsigned i = 0; i < g->sink_count; i++) {
        if (g->fanout->threads || g->sinks[i]->ops->thread == SM_SINK_THREAD_SHARED)
            return true;
    }
    return false;
}

static enum sm_rc group_open(struct group *g, const struct sm_fanout_config *config, struct sm_err *err)
{
    if (group_needs_loop(g)) {
        g->loop = sm_loop_new(NULL, err);
        if (!g->loop)
            return err ? err->rc : SM_E_IO;
    }
    struct sm_sink_env env = {.names = config->names, .scopes = config->scopes, .loop = g->loop};
    for (unsigned i = 0; i < g->sink_count; i++) {
        struct sink *s = g->sinks[i];
        struct sm_err why = {.rc = SM_OK};
        enum sm_rc rc = s->ops->open(s->sink, &env, &why);
        if (rc != SM_OK)
            return sm_err_set(err, rc, "sink %s: %.200s", s->name, why.text);
    }
    return SM_OK;
}

/* Signals are for the main thread; a broken connection must not kill the process either. */
static int thread_create_without_signals(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static enum sm_rc group_start(struct group *g, struct sm_err *err)
{
    sm_loop_set_hook(g->loop, on_turn, g);
    int rc = thread_create_without_signals(&g->thread, group_main, g);
    if (rc)
        return sm_err_set(err, SM_E_IO, "sink %s: thread: %s", g->sinks[0]->name, strerror(rc));
    g->running = true;
    pthread_setname_np(g->thread, g->sinks[0]->ops->thread == SM_SINK_THREAD_OWN ? "sink" : "sinks-io");
    return SM_OK;
}

static enum sm_rc start_groups(struct sm_fanout *f, const struct sm_fanout_config *config, struct sm_err *err)
{
    for (unsigned i = 0; i < f->group_count; i++) {
        enum sm_rc rc = group_open(&f->groups[i], config, err);
        if (rc != SM_OK)
            return rc;
    }
    for (unsigned i = 0; f->threads && i < f->group_count; i++) {
        enum sm_rc rc = group_start(&f->groups[i], err);
        if (rc != SM_OK)
            return rc;
    }
    return SM_OK;
}

struct sm_fanout *sm_fanout_new(const struct sm_fanout_config *config, struct sm_err *err)
{
    SM_ASSERT(config->sink_count <= SM_FANOUT_SINKS_MAX && config->shards > 0);
    struct sm_fanout *f = sm_xcalloc(1, sizeof *f);
    f->sink_count = config->sink_count;
    f->shards = config->shards;
    f->threads = config->placement == SM_FANOUT_THREADS;
    f->ordered = config->ordered;
    atomic_init(&f->stop_at_ns, INT64_MAX);
    f->homes = aligned_zeroed(f->shards, sizeof *f->homes);
    if (f->sink_count)
        f->sinks = aligned_zeroed(f->sink_count, sizeof *f->sinks);
    for (unsigned i = 0; i < f->sink_count; i++)
        sink_init(f, config, i);
    assign_groups(f);
    if (start_groups(f, config, err) != SM_OK) {
        sm_fanout_stop(f, 0);
        sm_fanout_free(f);
        return NULL;
    }
    return f;
}

static void sink_fini(struct sink *s, unsigned shards)
{
    sm_sink_queue_free(s->queue);
    for (unsigned i = 0; i < shards; i++)
        sm_ring_fini(&s->lanes[i].ring);
    free(s->lanes);
    free(s->name);
}

void sm_fanout_free(struct sm_fanout *f)
{
    if (!f)
        return;
    SM_ASSERT(f->stopped);
    for (unsigned i = 0; i < f->shards; i++)
        SM_ASSERT(!sm_mpsc_take(&f->homes[i].returned) && !f->homes[i].staged);
    for (unsigned i = 0; i < f->group_count; i++)
        sm_loop_free(f->groups[i].loop); /* not when sinks stop: workers that still tick wake them */
    for (unsigned i = 0; i < f->sink_count; i++)
        sink_fini(&f->sinks[i], f->shards);
    free(f->sinks);
    free(f->homes);
    free(f->sorted);
    free(f);
}

/* --- shards' side ------------------------------------------------------------------------------------------------ */

/* Memory of traces that wait for the sink. What was released is read first, so that the difference is never negative. */
static uint64_t sink_queued_bytes(const struct sm_fanout *f, const struct sink *s)
{
    uint64_t released = counted(&s->released_bytes), pushed = 0;
    for (unsigned i = 0; i < f->shards; i++)
        pushed += counted(&s->lanes[i].pushed_bytes);
    return pushed - released;
}

static bool is_acknowledged(const struct sm_trace *trace)
{
    return trace->source != 0 || trace->more_epochs; /* 0 is live traffic, whose senders have their answer */
}

static bool sink_has_room(const struct sm_fanout *f, const struct sink *s, struct lane *lane, const struct sm_trace *trace)
{
    if (sm_ring_free_slots(&lane->ring, 1) == 0)
        return false;
    if (s->required && is_acknowledged(trace) && !f->ordered)
        return true;
    uint64_t queued = sink_queued_bytes(f, s);
    if (f->ordered)
        return queued < s->queue_bytes_max;
    return queued == 0 || queued + trace->memory <= s->queue_bytes_max;
}

static bool sink_wants(const struct sink *s, const struct sm_trace *trace)
{
    return !s->wants || s->wants(s->wants_ctx, trace);
}

static void wake(const struct sink *s, struct lane *lane)
{
    lane->unannounced_spans = 0;
    if (s->group->running)
        sm_loop_wake(s->group->loop);
}

static void lane_push(const struct sink *s, struct lane *lane, struct sm_trace *trace)
{
    uint32_t spans = trace->span_count; /* the trace may be gone once it is pushed */
    count(&lane->pushed_spans, spans);
    count(&lane->pushed_bytes, trace->memory);
    bool pushed = sm_ring_push(&lane->ring, trace);
    SM_ASSERT(pushed);
    lane->unannounced_spans += spans;
    if (lane->unannounced_spans >= s->wake_spans)
        wake(s, lane);
}

/* Hands the trace to every sink that wants it and has room; false when none does. All references are counted before the
 * first push, because a sink may be through with the trace before the next one gets it. */
static bool distribute(struct sm_fanout *f, unsigned shard, struct sm_trace *trace)
{
    struct sink *takers[SM_FANOUT_SINKS_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < f->sink_count; i++) {
        struct sink *s = &f->sinks[i];
        struct lane *lane = &s->lanes[shard];
        count(&lane->kept, trace->span_count);
        if (!sink_wants(s, trace))
            count(&lane->filtered, trace->span_count);
        else if (!sink_has_room(f, s, lane, trace))
            count(&lane->queue_full, trace->span_count);
        else
            takers[n++] = s;
    }
    atomic_store_explicit(&trace->refs, n, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        lane_push(takers[i], &takers[i]->lanes[shard], trace);
    return n > 0;
}

static bool must_wait(struct sm_fanout *f, unsigned shard, const struct sm_trace *trace)
{
    if (SM_LIKELY(!is_acknowledged(trace)))
        return false;
    for (unsigned i = 0; i < f->sink_count; i++) {
        struct sink *s = &f->sinks[i];
        if (s->required && sink_wants(s, trace) && sm_ring_free_slots(&s->lanes[shard].ring, 1) == 0)
            return true;
    }
    return false;
}

static void stage(struct home *home, struct sm_trace *trace)
{
    trace->next = NULL;
    if (home->staged)
        home->staged_last->next = trace;
    else
        home->staged = trace;
    home->staged_last = trace;
}

bool sm_fanout_offer(struct sm_fanout *f, unsigned shard, struct sm_trace *trace)
{
    if (f->sink_count == 0)
        return false;
    struct home *home = &f->homes[shard];
    if (!f->ordered && !must_wait(f, shard, trace))
        return distribute(f, shard, trace);
    stage(home, trace);
    if (!f->ordered)
        atomic_store_explicit(&home->waiting, true, memory_order_relaxed);
    return true;
}

/* Not ordered: what waits goes out as far as there is room. */
static void unstage(struct sm_fanout *f, unsigned shard)
{
    struct home *home = &f->homes[shard];
    if (SM_LIKELY(!home->staged) || atomic_load_explicit(&f->stop_at_ns, memory_order_acquire) != INT64_MAX)
        return;
    while (home->staged && !must_wait(f, shard, home->staged)) {
        struct sm_trace *trace = home->staged;
        home->staged = trace->next;
        if (!distribute(f, shard, trace))
            sm_mpsc_push(&home->returned, &trace->home);
    }
    if (!home->staged)
        atomic_store_explicit(&home->waiting, false, memory_order_relaxed);
}

bool sm_fanout_waiting(const struct sm_fanout *f, unsigned shard)
{
    return atomic_load_explicit(&f->homes[shard].waiting, memory_order_relaxed);
}

bool sm_fanout_behind(const struct sm_fanout *f)
{
    for (unsigned i = 0; i < f->shards; i++) {
        if (sm_fanout_waiting(f, i))
            return true;
    }
    for (unsigned i = 0; i < f->sink_count; i++) {
        const struct sink *s = &f->sinks[i];
        if (s->required && sink_queued_bytes(f, s) > s->queue_bytes_max / 2)
            return true;
    }
    return false;
}

void sm_fanout_tick(struct sm_fanout *f, unsigned shard)
{
    if (!f->ordered)
        unstage(f, shard);
    for (unsigned i = 0; i < f->sink_count; i++) {
        struct lane *lane = &f->sinks[i].lanes[shard];
        if (lane->unannounced_spans)
            wake(&f->sinks[i], lane);
    }
}

/* After the end of the sinks: what still waited for room in a ring. */
static struct sm_trace *lose_waiting(struct sm_fanout *f, unsigned shard)
{
    struct home *home = &f->homes[shard];
    struct sm_trace *list = home->staged;
    for (struct sm_trace *t = list; t; t = t->next) {
        for (unsigned i = 0; i < f->sink_count; i++) {
            count(&f->sinks[i].lanes[shard].kept, t->span_count);
            count(&f->sinks[i].lanes[shard].lost, t->span_count);
        }
    }
    home->staged = home->staged_last = NULL;
    atomic_store_explicit(&home->waiting, false, memory_order_relaxed);
    return list;
}

struct sm_trace *sm_fanout_collect(struct sm_fanout *f, unsigned shard)
{
    struct sm_trace *list = NULL;
    if (SM_UNLIKELY(f->homes[shard].staged && !f->ordered && atomic_load_explicit(&f->stopped, memory_order_acquire)))
        list = lose_waiting(f, shard);
    for (struct sm_mpsc_node *n = sm_mpsc_reverse(sm_mpsc_take(&f->homes[shard].returned)); n;) {
        struct sm_mpsc_node *next = n->next;
        struct sm_trace *trace = SM_CONTAINER_OF(n, struct sm_trace, home);
        trace->next = list;
        list = trace;
        n = next;
    }
    return list;
}

/* --- ordered use ------------------------------------------------------------------------------------------------- */

static int compare_ordered(const void *left, const void *right)
{
    const struct ordered_trace *a = left, *b = right;
    if (a->trace->deadline_ns != b->trace->deadline_ns)
        return a->trace->deadline_ns < b->trace->deadline_ns ? -1 : 1;
    int c = sm_trace_id_cmp(a->trace->id, b->trace->id);
    return c ? c : (a->position > b->position) - (a->position < b->position);
}

static void sorted_append(struct sm_fanout *f, struct sm_trace *trace)
{
    if (f->sorted_count == f->sorted_capacity) {
        f->sorted_capacity = SM_MAX(f->sorted_capacity * 2, 1024);
        f->sorted = sm_xrealloc(f->sorted, f->sorted_capacity * sizeof *f->sorted);
    }
    f->sorted[f->sorted_count] = (struct ordered_trace){trace, f->sorted_count};
    f->sorted_count++;
}

static void take_staged(struct sm_fanout *f)
{
    for (unsigned i = 0; i < f->shards; i++) {
        struct home *home = &f->homes[i];
        for (struct sm_trace *t = home->staged; t; t = t->next)
            sorted_append(f, t);
        home->staged = home->staged_last = NULL;
    }
}

static void sort_staged(struct sm_fanout *f)
{
    f->sorted_at = f->sorted_count = 0;
    take_staged(f);
    if (f->sorted_count)
        qsort(f->sorted, f->sorted_count, sizeof *f->sorted, compare_ordered);
}

static bool all_have_room(struct sm_fanout *f, const struct sm_trace *trace)
{
    for (unsigned i = 0; i < f->sink_count; i++) {
        struct sink *s = &f->sinks[i];
        if (sink_wants(s, trace) && !sink_has_room(f, s, &s->lanes[0], trace))
            return false;
    }
    return true;
}

/* For real-time waiting outside the sinks' threads: on their progress, on a server's reply. */
static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = SM_MS}, NULL);
}

bool sm_fanout_release(struct sm_fanout *f)
{
    if (!f->ordered)
        return true;
    if (f->sorted_at == f->sorted_count)
        sort_staged(f);
    size_t before = f->sorted_at;
    while (f->sorted_at < f->sorted_count) {
        struct sm_trace *trace = f->sorted[f->sorted_at].trace;
        if (!all_have_room(f, trace))
            break;
        f->sorted_at++;
        if (!distribute(f, 0, trace))
            sm_mpsc_push(&f->homes[trace->shard].returned, &trace->home);
    }
    sm_fanout_tick(f, 0);
    if (f->sorted_at == f->sorted_count)
        return true;
    if (f->sorted_at == before)
        pause_briefly();
    return false;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

void sm_fanout_poll(struct sm_fanout *f, int64_t now_ns)
{
    SM_ASSERT(!f->threads && !f->stopped);
    f->now_ns = f->ordered ? sm_clock_mono_ns() : now_ns;
    for (unsigned i = 0; i < f->group_count; i++) {
        struct group *g = &f->groups[i];
        if (g->loop)
            sm_loop_poll(g->loop);
        while (group_round(g, f->now_ns))
            ;
    }
}

void sm_fanout_drain(struct sm_fanout *f)
{
    atomic_store_explicit(&f->draining, true, memory_order_release);
    for (unsigned i = 0; i < f->group_count; i++) {
        if (f->groups[i].running)
            sm_loop_wake(f->groups[i].loop);
    }
}

bool sm_fanout_idle(const struct sm_fanout *f)
{
    for (unsigned i = 0; i < f->sink_count; i++) {
        if (sink_queued_bytes(f, &f->sinks[i]))
            return false;
    }
    return true;
}

/* Ordered use: what was held back and never released to the sinks. */
static void lose_unreleased(struct sm_fanout *f)
{
    if (!f->ordered)
        return;
    take_staged(f);
    for (; f->sorted_at < f->sorted_count; f->sorted_at++) {
        struct sm_trace *trace = f->sorted[f->sorted_at].trace;
        for (unsigned i = 0; i < f->sink_count; i++) {
            count(&f->sinks[i].lanes[0].kept, trace->span_count);
            count(&f->sinks[i].lanes[0].lost, trace->span_count);
        }
        sm_mpsc_push(&f->homes[trace->shard].returned, &trace->home);
    }
}

/* INLINE: what the threads' loops do otherwise. Time goes on by the real clock. */
static void drain_inline(struct sm_fanout *f, int64_t timeout_ns)
{
    int64_t start_ns = f->now_ns, real_start_ns = sm_clock_mono_ns(), passed_ns = 0;
    sm_fanout_poll(f, start_ns);
    while (!sm_fanout_idle(f) && passed_ns < timeout_ns) {
        pause_briefly();
        passed_ns = sm_clock_mono_ns() - real_start_ns;
        sm_fanout_poll(f, start_ns + passed_ns);
    }
}

void sm_fanout_stop(struct sm_fanout *f, int64_t timeout_ns)
{
    if (f->stopped)
        return;
    atomic_store_explicit(&f->stop_at_ns, fanout_now_ns(f) + timeout_ns, memory_order_release);
    sm_fanout_drain(f);
    if (!f->threads)
        drain_inline(f, timeout_ns);
    for (unsigned i = 0; i < f->group_count; i++) {
        struct group *g = &f->groups[i];
        if (g->running)
            pthread_join(g->thread, NULL);
        else
            group_end(g);
    }
    lose_unreleased(f);
    f->stopped = true;
}

/* --- what is counted --------------------------------------------------------------------------------------------- */

unsigned sm_fanout_sink_count(const struct sm_fanout *f)
{
    return f->sink_count;
}

const char *sm_fanout_sink_name(const struct sm_fanout *f, unsigned sink)
{
    return f->sinks[sink].name;
}

bool sm_fanout_sink_required(const struct sm_fanout *f, unsigned sink)
{
    return f->sinks[sink].required;
}

static uint64_t sum_lanes(const struct sm_fanout *f, const struct sink *s, size_t counter_offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < f->shards; i++)
        sum += counted((const _Atomic uint64_t *)((const char *)&s->lanes[i] + counter_offset));
    return sum;
}

static uint64_t sink_queued_spans(const struct sm_fanout *f, const struct sink *s)
{
    uint64_t released = counted(&s->released_spans);
    return sum_lanes(f, s, offsetof(struct lane, pushed_spans)) - released;
}

uint64_t sm_fanout_stat(const struct sm_fanout *f, unsigned sink, enum sm_fanout_stat stat)
{
    const struct sink *s = &f->sinks[sink];
    const struct sm_sink_queue_stats *q = sm_sink_queue_stats(s->queue);
    switch (stat) {
    case SM_FANOUT_KEPT:
        return sum_lanes(f, s, offsetof(struct lane, kept));
    case SM_FANOUT_FILTERED:
        return sum_lanes(f, s, offsetof(struct lane, filtered));
    case SM_FANOUT_DROPPED_QUEUE_FULL:
        return sum_lanes(f, s, offsetof(struct lane, queue_full));
    case SM_FANOUT_DELIVERED:
        return counted(&q->delivered);
    case SM_FANOUT_REJECTED:
        return counted(&q->rejected);
    case SM_FANOUT_DROPPED_RETRIES:
        return counted(&q->dropped_retries);
    case SM_FANOUT_DROPPED_SHUTDOWN:
        return counted(&q->dropped_shutdown) + sum_lanes(f, s, offsetof(struct lane, lost));
    case SM_FANOUT_QUEUED:
        return sink_queued_spans(f, s);
    case SM_FANOUT_QUEUE_BYTES:
        return sink_queued_bytes(f, s);
    case SM_FANOUT_QUEUE_BYTES_MAX:
        return s->queue_bytes_max;
    case SM_FANOUT_BATCHES:
        return counted(&q->batches);
    case SM_FANOUT_RETRIES:
        return counted(&q->retries);
    case SM_FANOUT_IN_FLIGHT:
        return counted(&q->in_flight);
    case SM_FANOUT_STAT_COUNT:
        break;
    }
    return 0;
}
