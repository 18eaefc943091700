/* The shard: assembly, windows, decisions. See shard.h for the life of a span here. */
#include "pipeline/shard.h"

#include "base/slab.h"
#include "pipeline/decided.h"
#include "pipeline/epochs.h"
#include "pipeline/high_water.h"
#include "pipeline/skeletons.h"
#include "pipeline/trace_map.h"
#include "pipeline/wheel.h"
#include "span/threshold.h"

#include <stdlib.h>

enum {
    GROUP = 128,            /* spans whose traces are looked up together, so that cache misses overlap */
    AHEAD = 8,              /* how many spans ahead the write positions are prefetched */
    CHUNK_GROWTH = 32,      /* a new chunk is at least 1/32 of what the trace holds */
    CHUNK_BYTES_MAX = 16384 - sizeof(struct sm_chunk),
    HEAVY_BYTES = 256 << 10, /* traces above this may be decided early before older ones */
    HEAVY_MAX = 64,
    FIRE_GROUP = 16,       /* traces whose memory is fetched together before they are looked at */
    PREFETCH_STEPS = 32,   /* chunks of a chain */
    PREFETCH_BYTES = 1024, /* of one span */
    SLICE_SPANS = 2000,    /* spans decided before sockets are looked at again ... */
    SLICE_PER_TRACE = 8,   /* ... where a trace counts as so many more */
    EARLY_PER_TEND = 4096, /* traces decided early in one go */
    TRIM_WINDOWS = 10,     /* for which memory is kept that is not needed now */
    NEWS = SM_SPAN_ERROR | SM_SPAN_DEBUG | SM_SPAN_PRIORITY, /* of a dropped trace: asks for a decision of its own */
};

const struct sm_windows sm_windows_default = {
    .after_root_ns = 6 * SM_SEC,
    .idle_ns = 15 * SM_SEC,
    .max_age_ns = 120 * SM_SEC,
    .max_spans = 100000,
    .max_bytes = 64 * SM_MIB,
    .late_ns = 2 * SM_SEC,
};

/* A sealed trace that waits for its limiter. */
struct parked {
    struct sm_trace *trace;
    struct sm_proposal proposal;
};

struct parked_list {
    struct parked *items;
    size_t count, capacity;
};

struct sm_shard {
    struct sm_shard_config config;
    struct sm_trace_map map;
    struct sm_wheel wheel;
    struct sm_slab *slab;
    struct sm_decided *decided;
    struct sm_skeletons *skeletons;
    struct sm_span *context; /* of the late trace at hand */
    uint32_t context_capacity;
    struct sm_epochs *epochs;
    struct sm_view_scratch *scratch;
    void *policy_scratch;
    void **analyzer_states;
    struct sm_trace *over;      /* a limit: the span just copied was its last one */
    uint32_t ids_joined;        /* in the group at hand */
    bool closed_over;           /* a window was closed for its size since figures were published */
    struct parked_list waiting; /* posted with the tick that is being solved */
    struct parked_list asking;  /* will be posted with the next tick */
    bool posted;
    bool firing; /* in the middle of a tick */
    struct sm_trace *heavy[HEAVY_MAX];
    unsigned heavy_count;
    uint64_t spans_open, bytes_open; /* in windows and parked */
    struct sm_high_water high_water;
    struct sm_shard_gauges gauges;
};

static void parked_add(struct parked_list *list, struct sm_trace *trace, const struct sm_proposal *proposal)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 256;
        list->items = sm_xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = (struct parked){trace, *proposal};
}

struct sm_shard *sm_shard_new(const struct sm_shard_config *config, int64_t now_ns)
{
    struct sm_shard *s = sm_xcalloc(1, sizeof *s);
    s->config = *config;
    sm_trace_map_init(&s->map);
    sm_wheel_init(&s->wheel, now_ns);
    s->slab = sm_slab_new();
    s->decided = sm_decided_new(config->kept_decisions_max, config->dropped_decisions_max);
    s->skeletons = sm_skeletons_new(config->skeleton_bytes_max, config->late_grace_ns);
    s->epochs = sm_epochs_new();
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
    sm_slab_free(s->slab);
    sm_trace_map_fini(&s->map);
    free(s->waiting.items);
    free(s->asking.items);
    free(s);
}

/* --- memory of a trace --- */

static struct sm_chunk *chunk_new(struct sm_shard *s, struct sm_trace *t, size_t size)
{
    uint32_t usable;
    struct sm_chunk *chunk = sm_slab_alloc(s->slab, sizeof *chunk + size, &usable);
    if (!chunk)
        return NULL;
    if (SM_UNLIKELY(usable > SM_SLAB_CHUNK_MAX))
        sm_stats_add(s->config.stats, SM_STAT_BIG_CHUNKS, 1);
    chunk->size = usable - (uint32_t)sizeof *chunk;
    t->memory += usable;
    return chunk;
}

static void chunks_free(struct sm_shard *s, struct sm_chunk *chunk)
{
    while (chunk) {
        struct sm_chunk *next = chunk->next;
        sm_slab_release(s->slab, chunk, sizeof *chunk + chunk->size);
        chunk = next;
    }
}

static void epochs_release(struct sm_shard *s, struct sm_trace *t)
{
    sm_epochs_drop(s->epochs, t->source, t->epoch);
    for (struct sm_epoch_ref *r = t->more_epochs; r;) {
        struct sm_epoch_ref *next = r->next;
        sm_epochs_drop(s->epochs, r->source, r->epoch);
        sm_slab_release(s->slab, r, sizeof *r);
        r = next;
    }
}

static void trace_free(struct sm_shard *s, struct sm_trace *t)
{
    epochs_release(s, t);
    chunks_free(s, t->chunks);
    sm_slab_release(s->slab, t, sizeof *t);
}

static void heavy_remove(struct sm_shard *s, const struct sm_trace *t)
{
    for (unsigned i = 0; i < s->heavy_count; i++) {
        if (s->heavy[i] == t) {
            s->heavy[i] = s->heavy[--s->heavy_count];
            return;
        }
    }
}

/* Keeps the heaviest open traces at hand. Called when a trace that is heavy gets a chunk. */
static void heavy_note(struct sm_shard *s, struct sm_trace *t)
{
    unsigned lightest = 0;
    for (unsigned i = 0; i < s->heavy_count; i++) {
        if (s->heavy[i] == t)
            return;
        if (s->heavy[i]->memory < s->heavy[lightest]->memory)
            lightest = i;
    }
    if (s->heavy_count < HEAVY_MAX)
        s->heavy[s->heavy_count++] = t;
    else if (s->heavy[lightest]->memory < t->memory)
        s->heavy[lightest] = t;
}

/* A chunk for the spans that the batch being copied has for this trace, larger when the trace is large already. `least` fits
 * in any case. */
static bool add_chunk(struct sm_shard *s, struct sm_trace *t, uint32_t least)
{
    size_t grown = SM_MIN((size_t)t->memory / CHUNK_GROWTH, (size_t)CHUNK_BYTES_MAX);
    size_t size = SM_MIN(SM_MAX((size_t)t->group_size, grown), (size_t)CHUNK_BYTES_MAX);
    struct sm_chunk *chunk = chunk_new(s, t, SM_MAX(size, (size_t)least));
    if (!chunk)
        return false;
    sm_trace_add_chunk(t, chunk);
    if (SM_UNLIKELY(t->memory > HEAVY_BYTES) && !t->parked)
        heavy_note(s, t);
    return true;
}

/* --- assembly --- */

/* When the trace is to be looked at: at its true deadline, but without a root no later than a root that came just now would
 * close it. */
static int64_t look_at_ns(const struct sm_shard *s, const struct sm_trace *t, int64_t now_ns)
{
    const struct sm_windows *w = &s->config.windows;
    if (t->late)
        return SM_MIN(t->last_ns + w->late_ns, t->opened_ns + w->max_age_ns);
    int64_t quiet = t->last_ns + (t->has_root ? w->after_root_ns : w->idle_ns);
    int64_t at = SM_MIN(quiet, t->opened_ns + w->max_age_ns);
    return t->has_root ? at : SM_MIN(at, now_ns + w->after_root_ns);
}

static enum sm_trigger due(const struct sm_shard *s, const struct sm_trace *t, int64_t now_ns)
{
    const struct sm_windows *w = &s->config.windows;
    if (t->late)
        return now_ns >= t->last_ns + w->late_ns || now_ns >= t->opened_ns + w->max_age_ns ? SM_TRIGGER_LATE : SM_TRIGGER_NONE;
    if (t->has_root && now_ns >= t->last_ns + w->after_root_ns)
        return SM_TRIGGER_ROOT;
    if (!t->has_root && now_ns >= t->last_ns + w->idle_ns)
        return SM_TRIGGER_IDLE;
    return now_ns >= t->opened_ns + w->max_age_ns ? SM_TRIGGER_AGE : SM_TRIGGER_NONE;
}

static struct sm_trace *trace_open(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_batch *b)
{
    uint32_t usable;
    struct sm_trace *t = sm_slab_alloc(s->slab, sizeof *t, &usable);
    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->id = id;
    t->memory = usable;
    t->start_ns = UINT64_MAX;
    t->opened_ns = t->last_ns = b->arrived_ns;
    t->source = b->source;
    t->shard = (uint16_t)s->config.index;
    t->epoch = sm_epochs_hold(s->epochs, b->source, b->epoch);
    sm_trace_map_add(&s->map, hash, t);
    sm_wheel_add(&s->wheel, t, look_at_ns(s, t, b->arrived_ns));
    sm_stats_add(s->config.stats, SM_STAT_TRACES_OPENED, 1);
    return t;
}

/* A window for spans that follow a decision already made. */
static struct sm_trace *trace_open_late(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_batch *b,
                                        enum sm_verdict verdict, const struct sm_decision *d)
{
    if (!id.hi)
        id.hi = d->id_hi;
    struct sm_trace *t = trace_open(s, hash, id, b);
    if (!t)
        return NULL;
    t->late = true;
    t->verdict = (uint8_t)verdict;
    t->rule = d->rule;
    t->threshold = d->threshold;
    t->randomness = d->randomness;
    t->randomness_derived = d->randomness_derived;
    t->counted_out = d->counted_out;
    sm_wheel_remove(&s->wheel, t);
    sm_wheel_add(&s->wheel, t, look_at_ns(s, t, b->arrived_ns));
    return t;
}

static bool has_span(const struct sm_span *heads, uint32_t count, uint64_t span_id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (heads[i].span_id == span_id)
            return true;
    }
    return false;
}

/* The spans of a sealed trace whose skeleton is still there, in s->context; false when it is not. */
static bool read_context(struct sm_shard *s, struct sm_trace_id id, int64_t now_ns, uint32_t *count)
{
    const struct sm_skeleton *skeleton = sm_skeletons_find(s->skeletons, id, now_ns, count);
    if (!skeleton)
        return false;
    if (*count > s->context_capacity) {
        free(s->context);
        s->context = sm_xmalloc(*count * sizeof *s->context);
        s->context_capacity = *count;
    }
    sm_skeletons_read(skeleton, s->context);
    return true;
}

/* A span of a dropped trace. While its skeleton is there the span still enters graph and metrics; after that it is only
 * counted. A span that must be kept (an error, debug) and is news opens a window with a decision of its own: it changes what
 * is known of the trace, or the filter took it for another's. NULL: the span needs no trace. */
static struct sm_trace *trace_for_dropped(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_span *span,
                                          const struct sm_batch *b, bool *no_memory)
{
    static const struct sm_decision dropped = {.threshold = SM_THRESHOLD_NEVER, .rule = SM_RULE_DEFAULT};
    uint32_t count = 0;
    bool skeleton = read_context(s, id, b->arrived_ns, &count);
    struct sm_trace *t;
    if ((span->flags & NEWS) && !has_span(s->context, count, span->span_id)) {
        t = trace_open(s, hash, id, b);
        if (t)
            t->reopened = true;
    } else if (skeleton) {
        t = trace_open_late(s, hash, id, b, SM_VERDICT_DROPPED, &dropped);
    } else {
        sm_stats_add(s->config.stats, SM_STAT_SPANS_LATE_DROPPED, 1);
        sm_stats_add(s->config.stats, SM_STAT_SPANS_LATE_UNLINKED, 1);
        sm_stats_add(s->config.stats, SM_STAT_SPANS_SAMPLED_OUT, 1);
        return NULL;
    }
    *no_memory = t == NULL;
    return t;
}

/* The trace of a span whose id is not open. NULL: the span needs none (it is late and was dropped) or there is no memory. */
static SM_COLD struct sm_trace *trace_for_new_id(struct sm_shard *s, uint64_t hash, struct sm_trace_id id,
                                                 const struct sm_span *span, const struct sm_batch *b)
{
    struct sm_decision decision;
    struct sm_trace *t;
    bool no_memory = false;
    switch (sm_decided_find(s->decided, id, &decision)) {
    case SM_DECIDED_KEPT:
        t = trace_open_late(s, hash, id, b, SM_VERDICT_KEPT, &decision);
        no_memory = t == NULL;
        break;
    case SM_DECIDED_DROPPED:
        t = trace_for_dropped(s, hash, id, span, b, &no_memory);
        break;
    default:
        t = trace_open(s, hash, id, b);
        no_memory = t == NULL;
        break;
    }
    if (no_memory)
        sm_stats_add(s->config.stats, SM_STAT_SPANS_DROPPED_NOMEM, 1);
    return t;
}

/* The wider id wins, so that a joined trace has its 128 bits. */
static void widen_id(struct sm_shard *s, struct sm_trace *t, struct sm_trace_id id)
{
    if (t->id.hi == 0)
        sm_trace_map_widen(&s->map, t, id.hi);
}

static SM_COLD void hold_other_source(struct sm_shard *s, struct sm_trace *t, const struct sm_batch *b)
{
    for (struct sm_epoch_ref *r = t->more_epochs; r; r = r->next) {
        if (r->source == b->source)
            return;
    }
    uint32_t usable;
    struct sm_epoch_ref *r = sm_slab_alloc(s->slab, sizeof *r, &usable);
    if (!r)
        return;
    r->source = b->source;
    r->epoch = sm_epochs_hold(s->epochs, b->source, b->epoch);
    r->next = t->more_epochs;
    t->more_epochs = r;
}

SM_INLINE void append(struct sm_shard *s, struct sm_trace *t, const struct sm_span *span, const uint8_t *bytes,
                      const struct sm_batch *b)
{
    uint32_t size = sm_trace_span_size(span);
    bool fits = sm_trace_room(t) >= size || add_chunk(s, t, size);
    t->group_size -= size;
    if (SM_UNLIKELY(!fits)) {
        sm_stats_add(s->config.stats, SM_STAT_SPANS_DROPPED_NOMEM, 1);
        return;
    }
    sm_trace_put(t, span, bytes);
    t->bytes += span->size;
    t->span_count++;
    t->span_flags |= span->flags;
    t->has_root |= span->parent_id == 0;
    t->last_ns = SM_MAX(t->last_ns, b->arrived_ns);
    if (SM_LIKELY(span->start_ns)) {
        t->start_ns = SM_MIN(t->start_ns, span->start_ns);
        t->end_ns = SM_MAX(t->end_ns, sm_span_end_ns(span));
    }
    s->spans_open++;
    s->bytes_open += span->size;
    if (SM_UNLIKELY(t->source != b->source))
        hold_other_source(s, t, b);
    if (SM_UNLIKELY(t->span_count >= s->config.windows.max_spans || t->bytes >= s->config.windows.max_bytes) && !t->parked)
        s->over = t;
}

SM_INLINE uint32_t index_at(const uint32_t *indexes, uint32_t i)
{
    return indexes ? indexes[i] : i;
}

static void prefetch_trace(const struct sm_trace *t)
{
    __builtin_prefetch(t, 1);
    __builtin_prefetch((const char *)t + SM_CACHE_LINE, 1);
}

/* The trace of a span, given how its id was found. */
static struct sm_trace *found_or_opened(struct sm_shard *s, uint64_t hash, const struct sm_batch *b, uint32_t k,
                                        struct sm_trace *found, enum sm_trace_match match)
{
    struct sm_trace_id id = b->items[k].trace;
    if (!found)
        return trace_for_new_id(s, hash, id, sm_batch_span(b, k), b);
    if (match == SM_TRACE_MATCH_JOINED) {
        s->ids_joined++;
        widen_id(s, found, id);
    }
    return found;
}

/* Where this span goes changes where others go, or depends on whether windows close in between: a trace gets its high half,
 * or several with one low half are open. */
SM_INLINE bool sways_others(struct sm_trace_id id, enum sm_trace_match match)
{
    return match == SM_TRACE_MATCH_CLASH || (match == SM_TRACE_MATCH_JOINED && id.hi);
}

/* Finds or opens the traces of a group of spans; ids that are not open are looked for among past decisions, whose memory is
 * fetched for all of them first. Returns for how many spans it did: the outcome must not depend on how spans are grouped, so
 * a span that sways others makes a group by itself. */
static uint32_t find_traces(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t n,
                            struct sm_trace **traces)
{
    uint64_t hashes[GROUP];
    uint8_t others[GROUP];
    unsigned other_count = 0;
    enum sm_trace_match match;
    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = sm_trace_map_hash(b->items[index_at(indexes, i)].trace.lo);
        sm_trace_map_prefetch(&s->map, hashes[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct sm_trace_id id = b->items[index_at(indexes, i)].trace;
        traces[i] = sm_trace_map_find(&s->map, hashes[i], id, &match);
        if (SM_LIKELY(traces[i] && match == SM_TRACE_MATCH_EXACT)) {
            prefetch_trace(traces[i]);
            continue;
        }
        if (SM_UNLIKELY(sways_others(id, match))) {
            n = SM_MAX(i, 1u);
            if (i > 0)
                break;
        }
        others[other_count++] = (uint8_t)i;
        sm_decided_prefetch(s->decided, id);
    }
    for (unsigned i = 0; i < other_count; i++) {
        uint32_t at = others[i], k = index_at(indexes, at);
        struct sm_trace *t = sm_trace_map_find(&s->map, hashes[at], b->items[k].trace, &match);
        if (SM_UNLIKELY(at > 0 && sways_others(b->items[k].trace, match)))
            return at;
        traces[at] = found_or_opened(s, hashes[at], b, k, t, match);
    }
    return n;
}

/* Gives traces that have no room a chunk, and fetches the places that will be written. What cannot be had is seen to when the
 * span is copied. */
static void make_room(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t n,
                      struct sm_trace *const *traces)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct sm_span *span = sm_batch_span(b, index_at(indexes, i));
        if (SM_LIKELY(traces[i] != NULL))
            traces[i]->group_size += sm_trace_span_size(span);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct sm_span *span = sm_batch_span(b, index_at(indexes, i));
        uint32_t size = sm_trace_span_size(span);
        if (SM_UNLIKELY(!traces[i]))
            continue;
        if (sm_trace_room(traces[i]) < size && !add_chunk(s, traces[i], size))
            continue;
        __builtin_prefetch(traces[i]->head_at, 1);
        __builtin_prefetch(traces[i]->data_at - 1, 1);
    }
}

/* Where the bytes of a span will go. */
SM_INLINE void prefetch_bytes(const struct sm_trace *t, const struct sm_span *span)
{
    uintptr_t end = (uintptr_t)t->data_at; /* as a number: it may be NULL */
    for (uintptr_t at = end - SM_MIN(span->size, (uint32_t)PREFETCH_BYTES); at < end; at += SM_CACHE_LINE)
        __builtin_prefetch((const void *)at, 1);
}

/* --- decisions --- */

/* Duplicates are marked in the trace; here they leave its counts. */
static void take_out_duplicates(struct sm_shard *s, struct sm_trace *t, const struct sm_view *v)
{
    sm_stats_add(s->config.stats, SM_STAT_SPANS_DUPLICATE, v->duplicates);
    s->spans_open -= v->duplicates;
    s->bytes_open -= v->duplicate_bytes;
    t->span_count -= v->duplicates;
    t->bytes -= v->duplicate_bytes;
}

static const struct sm_view *lay_out(struct sm_shard *s, struct sm_trace *t, bool with_context)
{
    uint32_t context_count = 0;
    if (with_context)
        (void)read_context(s, t->id, t->opened_ns, &context_count);
    const struct sm_view *v = sm_view_build_late(s->scratch, t, s->context, context_count);
    if (SM_UNLIKELY(v->duplicates))
        take_out_duplicates(s, t, v);
    return v;
}

/* What reopened a trace is decided by itself, without what was there before. */
static const struct sm_view *lay_out_for_decision(struct sm_shard *s, struct sm_trace *t)
{
    if (SM_UNLIKELY(t->reopened))
        lay_out(s, t, true);
    return lay_out(s, t, false);
}

static void remember(struct sm_shard *s, const struct sm_trace *t)
{
    if (t->late || t->span_count == 0)
        return;
    if (t->verdict == SM_VERDICT_DROPPED) {
        sm_decided_add_dropped(s->decided, t->id);
        return;
    }
    struct sm_decision d = {.threshold = t->threshold,
                            .randomness = t->randomness,
                            .rule = t->rule,
                            .counted_out = t->counted_out,
                            .randomness_derived = t->randomness_derived};
    sm_decided_add_kept(s->decided, t->id, &d);
}

/* The verdict is final, or there is nothing to decide about: analyse, then hand on or free. The view is of this trace. What
 * reopened a trace is analysed together with what went before. */
static void finish(struct sm_shard *s, struct sm_trace *t, const struct sm_view *v)
{
    sm_trace_map_remove(&s->map, t);
    if (SM_UNLIKELY(t->reopened))
        v = lay_out(s, t, true);
    if (t->late && !v->context)
        sm_stats_add(s->config.stats, SM_STAT_SPANS_LATE_UNLINKED, t->span_count);
    for (unsigned i = 0; i < s->config.analyzer_count; i++)
        s->config.analyzers[i].ops->observe(s->analyzer_states[i], v, s->scratch);
    remember(s, t);
    sm_skeletons_add(s->skeletons, v, t->deadline_ns);
    s->spans_open -= t->span_count;
    s->bytes_open -= t->bytes;
    if (t->late)
        sm_stats_add(s->config.stats, t->verdict == SM_VERDICT_KEPT ? SM_STAT_SPANS_LATE_KEPT : SM_STAT_SPANS_LATE_DROPPED,
                     t->span_count);
    if (t->span_count == 0) { /* nothing but duplicates */
        trace_free(s, t);
        return;
    }
    if (t->verdict == SM_VERDICT_DROPPED) {
        sm_stats_add(s->config.stats, SM_STAT_SPANS_SAMPLED_OUT, t->span_count);
        sm_stats_add(s->config.stats, SM_STAT_TRACES_SAMPLED_OUT, !t->late);
        trace_free(s, t);
        return;
    }
    sm_stats_add(s->config.stats, SM_STAT_SPANS_KEPT, t->span_count);
    sm_stats_add(s->config.stats, SM_STAT_TRACES_KEPT, !t->late);
    if (!sm_fanout_offer(s->config.fanout, s->config.index, t))
        trace_free(s, t);
}

static void apply(struct sm_trace *t, const struct sm_proposal *p, bool keep, uint64_t threshold)
{
    t->verdict = keep ? SM_VERDICT_KEPT : SM_VERDICT_DROPPED;
    t->rule = p->rule;
    t->threshold = threshold;
    t->randomness = p->randomness;
    t->randomness_derived = p->randomness_derived;
}

/* Proposes from rule `from` on; finishes or parks. A parked trace stays in the map: spans that come before its decision are
 * part of it, though not of its cost. */
static void propose(struct sm_shard *s, struct sm_trace *t, const struct sm_view *v, uint16_t from)
{
    const struct sm_policy *policy = s->config.policy;
    struct sm_proposal p;
    policy->propose(policy->rules, s->policy_scratch, v, s->scratch, from, &p);
    if (p.what == SM_PROPOSED_LIMIT) {
        t->parked = true;
        parked_add(&s->asking, t, &p);
        return;
    }
    apply(t, &p, p.what == SM_PROPOSED_KEEP, p.threshold);
    finish(s, t, v);
}

static void count_closed(struct sm_shard *s, enum sm_trigger trigger)
{
    static const enum sm_stat stats[SM_TRIGGER_COUNT] = {
        [SM_TRIGGER_ROOT] = SM_STAT_CLOSED_ROOT,       [SM_TRIGGER_IDLE] = SM_STAT_CLOSED_IDLE,
        [SM_TRIGGER_AGE] = SM_STAT_CLOSED_AGE,         [SM_TRIGGER_SPANS] = SM_STAT_CLOSED_SPANS,
        [SM_TRIGGER_BYTES] = SM_STAT_CLOSED_BYTES,     [SM_TRIGGER_MEMORY] = SM_STAT_CLOSED_MEMORY,
        [SM_TRIGGER_SHUTDOWN] = SM_STAT_CLOSED_SHUTDOWN, [SM_TRIGGER_LATE] = SM_STAT_CLOSED_LATE,
    };
    SM_ASSERT(stats[trigger]);
    sm_stats_add(s->config.stats, stats[trigger], 1);
}

/* Late spans follow a drop, unless one among them would have opened a window of its own, had it come first. */
static bool has_news(const struct sm_shard *s, const struct sm_trace *t, const struct sm_view *v)
{
    if (t->verdict != SM_VERDICT_DROPPED || !(t->span_flags & NEWS))
        return false;
    for (uint32_t i = v->context; i < v->count; i++) {
        const struct sm_span *span = v->spans[i].span;
        if ((span->flags & NEWS) && sm_view_find(s->scratch, span->span_id) >= v->context)
            return true;
    }
    return false;
}

/* Closes a window that is out of the wheel. */
static void seal(struct sm_shard *s, struct sm_trace *t, enum sm_trigger trigger, int64_t now_ns)
{
    if (SM_UNLIKELY(t->memory > HEAVY_BYTES))
        heavy_remove(s, t);
    t->group_size = 0;
    sm_trace_settle(t);
    t->trigger = (uint8_t)trigger;
    t->deadline_ns = now_ns;
    count_closed(s, trigger);
    const struct sm_view *v = lay_out(s, t, t->late || t->reopened);
    if (SM_UNLIKELY(t->late && has_news(s, t, v))) {
        t->late = false;
        t->reopened = true;
    }
    if (SM_UNLIKELY(t->reopened))
        v = lay_out(s, t, false);
    if (t->late || t->span_count == 0)
        finish(s, t, v);
    else
        propose(s, t, v, 0);
}

/* A group of spans that is being copied. */
struct group {
    const struct sm_batch *batch;
    const uint32_t *indexes;
    uint32_t at, count;
    struct sm_trace *traces[GROUP];
};

/* Stands for the trace of a span that is to be found again, because what was found is closed or has another id by now. */
static struct sm_trace again;

/* Spans of the group that are still to come find this trace again, or another. */
static void find_anew(struct sm_shard *s, struct group *g, struct sm_trace *t)
{
    for (uint32_t i = g->at + 1; i < g->count; i++) {
        if (g->traces[i] != t)
            continue;
        uint32_t k = index_at(g->indexes, i);
        const struct sm_span *span = sm_batch_span(g->batch, k);
        g->traces[i] = &again;
        t->group_size -= sm_trace_span_size(span);
        s->ids_joined -= g->batch->items[k].trace.hi != t->id.hi;
    }
}

static SM_COLD struct sm_trace *find_again(struct sm_shard *s, struct group *g)
{
    uint32_t k = index_at(g->indexes, g->at);
    enum sm_trace_match match;
    struct sm_trace_id id = g->batch->items[k].trace;
    const struct sm_span *span = sm_batch_span(g->batch, k);
    uint64_t hash = sm_trace_map_hash(id.lo);
    struct sm_trace *t = sm_trace_map_find(&s->map, hash, id, &match);
    if (t && sways_others(id, match))
        find_anew(s, g, t);
    t = found_or_opened(s, hash, g->batch, k, t, match);
    if (t)
        t->group_size += sm_trace_span_size(span);
    return t;
}

/* Closes what is over a limit: where a trace is cut depends on its own spans only, not on what else is in the batch or on the
 * number of shards. */
static SM_COLD void close_over(struct sm_shard *s, struct group *g)
{
    struct sm_trace *t = s->over;
    s->over = NULL;
    s->closed_over = true;
    find_anew(s, g, t);
    sm_wheel_remove(&s->wheel, t);
    seal(s, t, t->span_count >= s->config.windows.max_spans ? SM_TRIGGER_SPANS : SM_TRIGGER_BYTES, g->batch->arrived_ns);
}

/* Returns how many spans of the group were taken, at least one. */
static uint32_t ingest_group(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t n)
{
    struct group g;
    struct sm_trace **traces = g.traces;
    g.batch = b;
    g.indexes = indexes;
    g.count = n = find_traces(s, b, indexes, n, traces);
    make_room(s, b, indexes, n, traces);
    for (uint32_t i = 0; i < n; i++) {
        if (i + AHEAD < n && traces[i + AHEAD])
            prefetch_bytes(traces[i + AHEAD], sm_batch_span(b, index_at(indexes, i + AHEAD)));
        uint32_t k = index_at(indexes, i);
        g.at = i;
        struct sm_trace *t = SM_LIKELY(traces[i] != &again) ? traces[i] : find_again(s, &g);
        if (SM_UNLIKELY(t == NULL))
            continue;
        append(s, t, sm_batch_span(b, k), sm_batch_bytes(b, k), b);
        if (SM_UNLIKELY(s->over != NULL))
            close_over(s, &g);
    }
    sm_stats_add(s->config.stats, SM_STAT_IDS_JOINED, s->ids_joined);
    s->ids_joined = 0;
    return n;
}

static void publish_open(struct sm_shard *s)
{
    atomic_store_explicit(&s->gauges.spans_open, s->spans_open, memory_order_relaxed);
    atomic_store_explicit(&s->gauges.bytes_open, s->bytes_open, memory_order_relaxed);
    atomic_store_explicit(&s->gauges.traces_open, s->map.count, memory_order_relaxed);
    s->closed_over = false;
}

void sm_shard_ingest(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t count)
{
    for (uint32_t at = 0; at < count;) {
        uint32_t n = SM_MIN(count - at, (uint32_t)GROUP);
        if (indexes) {
            at += ingest_group(s, b, indexes + at, n);
        } else {
            uint32_t all[GROUP];
            for (uint32_t i = 0; i < n; i++)
                all[i] = at + i;
            at += ingest_group(s, b, all, n);
        }
    }
    if (SM_UNLIKELY(s->closed_over))
        publish_open(s);
}

/* --- ticks --- */

/* Candidates of the traces that parked since the last tick go to the coordinator. */
static void post(struct sm_shard *s, int64_t now_ns)
{
    if (s->config.policy->limiter_count == 0)
        return;
    SM_ASSERT(s->waiting.count == 0);
    struct parked_list swap = s->waiting;
    s->waiting = s->asking;
    s->asking = swap;
    for (size_t i = 0; i < s->waiting.count; i++) {
        const struct parked *p = &s->waiting.items[i];
        struct sm_limiter_candidate c = {p->proposal.randomness, p->trace->id, p->proposal.cost, 0};
        sm_coordinator_ask(s->config.coordinator, s->config.index, p->proposal.limiter, &c);
    }
    sm_coordinator_post(s->config.coordinator, s->config.index, now_ns);
    s->posted = true;
}

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
    enum sm_trigger trigger = due(s, t, tick_ns);
    if (trigger == SM_TRIGGER_NONE) {
        sm_wheel_add(&s->wheel, t, look_at_ns(s, t, tick_ns));
        return SLICE_PER_TRACE;
    }
    seal(s, t, trigger, tick_ns);
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
    post(s, tick_ns);
    ship(s);
    return SM_SHARD_TICK;
}

static void settle_one(struct sm_shard *s, const struct parked *p)
{
    struct sm_limiter_candidate c = {p->proposal.randomness, p->trace->id, p->proposal.cost, 0};
    uint64_t threshold;
    bool granted = sm_coordinator_granted(s->config.coordinator, p->proposal.limiter, &c, &threshold);
    sm_trace_settle(p->trace);
    const struct sm_view *v = lay_out_for_decision(s, p->trace);
    if (!granted && p->proposal.or_next) {
        propose(s, p->trace, v, (uint16_t)(p->proposal.rule + 1));
        return;
    }
    threshold = SM_MAX(threshold, p->proposal.threshold);
    if (p->proposal.or_next)
        threshold = SM_MIN(threshold, p->proposal.next_threshold);
    apply(p->trace, &p->proposal, granted, granted ? threshold : SM_THRESHOLD_NEVER);
    finish(s, p->trace, v);
}

bool sm_shard_settle(struct sm_shard *s)
{
    if (!s->posted || !sm_coordinator_solved(s->config.coordinator, s->config.index))
        return false;
    s->posted = false;
    for (size_t i = 0; i < s->waiting.count; i++)
        settle_one(s, &s->waiting.items[i]);
    if (s->waiting.count)
        publish_open(s);
    s->waiting.count = 0;
    return true;
}

void sm_shard_close_all(struct sm_shard *s, int64_t now_ns)
{
    uint32_t from = 0;
    for (struct sm_trace *t; (t = sm_wheel_oldest(&s->wheel, &from));) {
        sm_wheel_remove(&s->wheel, t);
        seal(s, t, t->late ? SM_TRIGGER_LATE : SM_TRIGGER_SHUTDOWN, now_ns);
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
    trace_free(s, t);
}

static void drop_parked(struct sm_shard *s, struct parked_list *list)
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

bool sm_shard_collect(struct sm_shard *s)
{
    struct sm_trace *home = sm_fanout_collect(s->config.fanout, s->config.index);
    if (!home)
        return false;
    while (home) {
        struct sm_trace *t = home;
        home = t->next;
        trace_free(s, t);
    }
    return true;
}

/* --- housekeeping --- */

static struct sm_trace *heaviest(const struct sm_shard *s)
{
    struct sm_trace *t = NULL;
    for (unsigned i = 0; i < s->heavy_count; i++) {
        if (!t || s->heavy[i]->memory > t->memory)
            t = s->heavy[i];
    }
    return t;
}

/* Above the hard mark: the heaviest traces first, then those whose window would close next, until this shard is back at its
 * part of the soft mark. Each gets a real decision. Memory of kept traces counts as gone here, though it comes home only when
 * the sinks are through: otherwise every window would close for one that is too large. */
static void decide_early(struct sm_shard *s, int64_t now_ns)
{
    const struct sm_budget *budget = s->config.budget;
    uint64_t goal = budget->soft_bytes / budget->shards, used = sm_slab_bytes_used(s->slab);
    uint32_t from = 0;
    for (unsigned n = 0; n < EARLY_PER_TEND && used > goal; n++) {
        struct sm_trace *t = heaviest(s);
        if (!t)
            t = sm_wheel_oldest(&s->wheel, &from);
        if (!t)
            return;
        used -= SM_MIN(used, (uint64_t)t->memory);
        sm_wheel_remove(&s->wheel, t);
        seal(s, t, SM_TRIGGER_MEMORY, now_ns);
    }
}

static void publish(struct sm_shard *s, uint32_t epoch)
{
    publish_open(s);
    atomic_store_explicit(&s->gauges.memory_bytes, sm_slab_bytes_held(s->slab), memory_order_relaxed);
    sm_epochs_publish(s->epochs, epoch);
}

/* Empty memory is kept for as much as was in use within ten windows: memory that is touched anew costs more than a span. */
static void trim(struct sm_shard *s, int64_t now_ns)
{
    const struct sm_windows *w = &s->config.windows;
    uint64_t used = sm_slab_bytes_used(s->slab);
    uint64_t mark = sm_high_water(&s->high_water, used, now_ns, TRIM_WINDOWS * SM_MAX(w->idle_ns, w->after_root_ns));
    sm_slab_trim(s->slab, (size_t)(mark - used));
}

void sm_shard_tend(struct sm_shard *s, int64_t now_ns, uint32_t epoch, uint64_t other_bytes)
{
    sm_shard_collect(s);
    trim(s, now_ns);
    if (s->config.budget) {
        sm_budget_publish(s->config.budget, s->config.index, sm_slab_bytes_used(s->slab) + other_bytes);
        if (sm_budget_used(s->config.budget) > s->config.budget->hard_bytes)
            decide_early(s, now_ns);
    }
    publish(s, epoch);
}

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
