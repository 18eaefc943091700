/* A shard's life: ticks, settling, shutdown, housekeeping. Spans come in through assemble.c, windows close through decide.c. */
#include "pipeline/shard.h"

#include "pipeline/assemble.h"
#include "pipeline/decide.h"
#include "pipeline/shard_internal.h"

#include <stdlib.h>

enum {
    FIRE_GROUP = 16,       /* traces whose memory is fetched together before they are looked at */
    PREFETCH_STEPS = 32,   /* chunks of a chain */
    SLICE_SPANS = 2000,    /* spans decided before sockets are looked at again ... */
    SLICE_PER_TRACE = 8,   /* ... where a trace counts as so many more */
    EARLY_PER_TEND = 4096, /* traces decided early in one go */
    TRIM_WINDOWS = 10,     /* for which memory is kept that is not needed now */
};

struct sm_shard *sm_shard_new(const struct sm_shard_config *config, int64_t now_ns)
{
    struct sm_shard *s = sm_xcalloc(1, sizeof *s);
    s->config = *config;
    sm_trace_map_init(&s->map);
    if (config->show_kept)
        sm_trace_map_init(&s->kept);
    sm_wheel_init(&s->wheel, now_ns);
    s->decided = sm_decided_new(config->kept_decisions_max, config->dropped_decisions_max);
    s->skeletons = sm_skeletons_new(config->skeleton_bytes_max, config->late_grace_ns);
    s->epochs = sm_epochs_new();
    sm_trace_memory_init(&s->memory, s->epochs, config->stats);
    s->scratch = sm_view_scratch_new(config->names, config->scopes);
    s->policy_scratch = config->policy->scratch_new(config->policy->rules);
    s->analyzer_states = sm_xcalloc(SM_MAX(config->analyzer_count, 1u), sizeof(void *));
    for (unsigned i = 0; i < config->analyzer_count; i++)
        s->analyzer_states[i] = config->analyzers[i].ops->shard_new(config->analyzers[i].global, config->index);
    return s;
}

void sm_shard_free(struct sm_shard *s)
{
    if (!s)
        return;
    SM_ASSERT(sm_shard_quiet(s));
    for (unsigned i = 0; i < s->config.analyzer_count; i++)
        s->config.analyzers[i].ops->shard_free(s->analyzer_states[i]);
    free(s->analyzer_states);
    s->config.policy->scratch_free(s->policy_scratch);
    sm_view_scratch_free(s->scratch);
    sm_epochs_free(s->epochs);
    sm_skeletons_free(s->skeletons);
    free(s->context);
    sm_decided_free(s->decided);
    sm_trace_memory_fini(&s->memory);
    sm_trace_map_fini(&s->map);
    sm_trace_map_fini(&s->kept);
    free(s->waiting.items);
    free(s->asking.items);
    free(s);
}

static void publish_open(struct sm_shard *s)
{
    atomic_store_explicit(&s->gauges.spans_open, s->spans_open, memory_order_relaxed);
    atomic_store_explicit(&s->gauges.bytes_open, s->bytes_open, memory_order_relaxed);
    atomic_store_explicit(&s->gauges.traces_open, s->map.count, memory_order_relaxed);
    s->closed_over = false;
}

void sm_shard_ingest(struct sm_shard *s, const struct sm_batch *batch, const uint32_t *indexes, uint32_t count)
{
    sm_assemble_batch(s, batch, indexes, count);
    if (SM_UNLIKELY(s->closed_over))
        publish_open(s);
}

/* --- ticks --- */

int64_t sm_shard_next_fire_ns(const struct sm_shard *s)
{
    return s->firing ? INT64_MIN : sm_wheel_next_ns(&s->wheel);
}

/* What closing these windows will write outside of the traces. */
static void prefetch_tables(const struct sm_shard *s, struct sm_trace *const *traces, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        sm_trace_map_prefetch(&s->map, sm_trace_map_hash(traces[i]->id.lo));
        sm_decided_prefetch(s->decided, traces[i]->id);
    }
}

/* Walks the chunk chains of several traces in step, so that their cache misses overlap: closing a window reads every head,
 * and none has been touched for seconds. */
static void prefetch_chains(struct sm_trace *const *traces, unsigned n)
{
    const struct sm_chunk *at[FIRE_GROUP];
    for (unsigned i = 0; i < n; i++) {
        at[i] = traces[i]->chunks;
        __builtin_prefetch(at[i]);
    }
    bool more = true;
    for (unsigned step = 0; more && step < PREFETCH_STEPS; step++) {
        more = false;
        for (unsigned i = 0; i < n; i++) {
            if (!at[i])
                continue;
            __builtin_prefetch((const char *)at[i] + SM_CACHE_LINE);
            __builtin_prefetch((const char *)at[i] + 2 * SM_CACHE_LINE);
            at[i] = at[i]->next;
            __builtin_prefetch(at[i]);
            more |= at[i] != NULL;
        }
    }
}

static uint32_t look_at(struct sm_shard *s, struct sm_trace *t, int64_t tick_ns)
{
    uint32_t spans = t->span_count;
    enum sm_trigger trigger = sm_windows_due(&s->config.windows, t, tick_ns);
    if (trigger == SM_TRIGGER_NONE) {
        sm_wheel_add(&s->wheel, t, sm_windows_look_at_ns(&s->config.windows, t, tick_ns));
        return SLICE_PER_TRACE;
    }
    sm_decide_seal(s, t, trigger, tick_ns);
    return SLICE_PER_TRACE + spans;
}

/* Looks at traces of the present tick until the slice is used up; true when none is left. */
static bool fire_slice(struct sm_shard *s, int64_t tick_ns)
{
    for (uint32_t spans = 0; spans < SLICE_SPANS;) {
        struct sm_trace *group[FIRE_GROUP];
        unsigned n = 0;
        while (n < FIRE_GROUP && (group[n] = sm_wheel_pop(&s->wheel)))
            n++;
        prefetch_tables(s, group, n);
        prefetch_chains(group, n);
        for (unsigned i = 0; i < n; i++)
            spans += look_at(s, group[i], tick_ns);
        if (n < FIRE_GROUP)
            return true;
    }
    return false;
}

static void ship(struct sm_shard *s)
{
    for (unsigned i = 0; i < s->config.analyzer_count; i++)
        s->config.analyzers[i].ops->ship(s->analyzer_states[i]);
}

enum sm_shard_fired sm_shard_fire(struct sm_shard *s, int64_t now_ns)
{
    if (!s->firing) {
        if (now_ns < sm_wheel_next_ns(&s->wheel) || s->posted)
            return SM_SHARD_IDLE;
        sm_wheel_advance(&s->wheel);
        s->firing = true;
    }
    int64_t tick_ns = s->wheel.tick * SM_TICK_NS;
    if (!fire_slice(s, tick_ns))
        return SM_SHARD_SLICE;
    s->firing = false;
    sm_decide_post(s, tick_ns);
    ship(s);
    return SM_SHARD_TICK;
}

bool sm_shard_settle(struct sm_shard *s)
{
    if (!sm_decide_settle(s))
        return false;
    publish_open(s);
    return true;
}

/* --- the end --- */

void sm_shard_close_all(struct sm_shard *s, int64_t now_ns)
{
    uint32_t from = 0;
    for (struct sm_trace *t; (t = sm_wheel_oldest(&s->wheel, &from));) {
        sm_wheel_remove(&s->wheel, t);
        sm_decide_seal(s, t, t->late ? SM_TRIGGER_LATE : SM_TRIGGER_SHUTDOWN, now_ns);
    }
}

bool sm_shard_quiet(const struct sm_shard *s)
{
    return s->map.count == 0 && s->asking.count == 0 && s->waiting.count == 0 &&
           !sm_fanout_waiting(s->config.fanout, s->config.index);
}

void sm_shard_skip(struct sm_shard *s, int64_t now_ns)
{
    sm_wheel_skip(&s->wheel, now_ns);
}

static void drop_for_shutdown(struct sm_shard *s, struct sm_trace *t)
{
    sm_trace_map_remove(&s->map, t);
    sm_stats_add(s->config.stats, SM_STAT_SPANS_DROPPED_SHUTDOWN, t->span_count);
    s->spans_open -= t->span_count;
    s->bytes_open -= t->bytes;
    sm_trace_memory_free(&s->memory, t);
}

static void drop_parked(struct sm_shard *s, struct sm_parked_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        drop_for_shutdown(s, list->items[i].trace);
    list->count = 0;
}

void sm_shard_abandon(struct sm_shard *s)
{
    uint32_t from = 0;
    for (struct sm_trace *t; (t = sm_wheel_oldest(&s->wheel, &from));) {
        sm_wheel_remove(&s->wheel, t);
        sm_trace_settle(t);
        drop_for_shutdown(s, t);
    }
    drop_parked(s, &s->asking);
    drop_parked(s, &s->waiting);
}

/* --- housekeeping --- */

bool sm_shard_collect(struct sm_shard *s)
{
    struct sm_trace *home = sm_fanout_collect(s->config.fanout, s->config.index);
    if (!home)
        return false;
    while (home) {
        struct sm_trace *t = home;
        home = t->next;
        if (s->config.show_kept)
            sm_trace_map_remove(&s->kept, t);
        sm_trace_memory_free(&s->memory, t);
    }
    return true;
}

/* Above the hard mark: the heaviest traces first, then those whose window would close next, until this shard is back at its
 * part of the soft mark. Each gets a real decision. Memory of kept traces counts as gone here, though it comes home only when
 * the sinks are through: otherwise every window would close for one that is too large. */
static void decide_early(struct sm_shard *s, int64_t now_ns)
{
    const struct sm_budget *budget = s->config.budget;
    uint64_t goal = budget->soft_bytes / budget->shards, used = sm_slab_bytes_used(s->memory.slab);
    uint32_t from = 0;
    for (unsigned n = 0; n < EARLY_PER_TEND && used > goal; n++) {
        struct sm_trace *t = sm_trace_memory_heaviest(&s->memory);
        if (!t)
            t = sm_wheel_oldest(&s->wheel, &from);
        if (!t)
            return;
        used -= SM_MIN(used, (uint64_t)t->memory);
        sm_wheel_remove(&s->wheel, t);
        sm_decide_seal(s, t, SM_TRIGGER_MEMORY, now_ns);
    }
}

static void publish(struct sm_shard *s, uint32_t epoch)
{
    publish_open(s);
    atomic_store_explicit(&s->gauges.memory_bytes, sm_slab_bytes_held(s->memory.slab), memory_order_relaxed);
    sm_epochs_publish(s->epochs, epoch);
}

/* Empty memory is kept for as much as was in use within ten windows: memory that is touched anew costs more than a span. */
static void trim(struct sm_shard *s, int64_t now_ns)
{
    const struct sm_windows *w = &s->config.windows;
    uint64_t used = sm_slab_bytes_used(s->memory.slab);
    uint64_t mark = sm_high_water(&s->high_water, used, now_ns, TRIM_WINDOWS * SM_MAX(w->idle_ns, w->after_root_ns));
    sm_slab_trim(s->memory.slab, (size_t)(mark - used));
}

void sm_shard_tend(struct sm_shard *s, int64_t now_ns, uint32_t epoch, uint64_t other_bytes)
{
    sm_shard_collect(s);
    trim(s, now_ns);
    if (s->config.budget) {
        sm_budget_publish(s->config.budget, s->config.index, sm_slab_bytes_used(s->memory.slab) + other_bytes);
        if (sm_budget_used(s->config.budget) > s->config.budget->hard_bytes)
            decide_early(s, now_ns);
    }
    publish(s, epoch);
}

/* --- for others --- */

struct sm_trace *sm_shard_find(struct sm_shard *s, struct sm_trace_id id)
{
    enum sm_trace_match match;
    struct sm_trace *t = sm_trace_map_find(&s->map, sm_trace_map_hash(id.lo), id, &match);
    if (t)
        sm_trace_settle(t);
    return t;
}

struct each {
    void (*fn)(void *ctx, const struct sm_trace *trace);
    void *ctx;
};

static void settle_then_call(void *ctx, struct sm_trace *t)
{
    struct each *e = ctx;
    sm_trace_settle(t);
    e->fn(e->ctx, t);
}

void sm_shard_each(struct sm_shard *s, void (*fn)(void *ctx, const struct sm_trace *trace), void *ctx)
{
    struct each e = {fn, ctx};
    sm_trace_map_each(&s->map, settle_then_call, &e);
}

static void call(void *ctx, struct sm_trace *t)
{
    struct each *e = ctx;
    e->fn(e->ctx, t);
}

void sm_shard_each_kept(struct sm_shard *s, const struct sm_trace_id *id, void (*fn)(void *ctx, const struct sm_trace *trace), void *ctx)
{
    struct each e = {fn, ctx};
    if (s->config.show_kept && id)
        sm_trace_map_each_of(&s->kept, *id, call, &e);
    else if (s->config.show_kept)
        sm_trace_map_each(&s->kept, call, &e);
}

const struct sm_shard_gauges *sm_shard_gauges(const struct sm_shard *s)
{
    return &s->gauges;
}

const struct sm_epochs *sm_shard_epochs(const struct sm_shard *s)
{
    return s->epochs;
}

void *sm_shard_analyzer_state(const struct sm_shard *s, unsigned i)
{
    return s->analyzer_states[i];
}

unsigned sm_shard_index(const struct sm_shard *s)
{
    return s->config.index;
}
