/* Groups of spans, from looking up their traces to copying them. */
#include "pipeline/assemble.h"

#include "pipeline/decide.h"
#include "pipeline/open.h"
#include "pipeline/shard_internal.h"

enum {
    GROUP = 128,           /* spans whose traces are looked up together, so that cache misses overlap */
    AHEAD = 8,             /* how many spans ahead the write positions are prefetched */
    PREFETCH_BYTES = 1024, /* of one span */
};

/* A group of spans on their way into their traces. */
struct group {
    const struct sm_batch *batch;
    const uint32_t *indexes; /* which of the batch's spans */
    uint32_t count;
    uint32_t at;                    /* the one that is being copied */
    struct sm_trace *traces[GROUP]; /* NULL: the span needs none */
};

/* Stands for the trace of a span that is to be found again, because what was found is closed or has another id by now. */
static struct sm_trace again;

SM_INLINE const struct sm_span *span_at(const struct group *g, uint32_t i)
{
    return sm_batch_span(g->batch, g->indexes[i]);
}

SM_INLINE struct sm_trace_id id_at(const struct group *g, uint32_t i)
{
    return g->batch->items[g->indexes[i]].trace;
}

/* --- finding traces --- */

static void prefetch_trace(const struct sm_trace *t)
{
    __builtin_prefetch(t, 1);
    __builtin_prefetch((const char *)t + SM_CACHE_LINE, 1);
}

/* The wider id wins, so that a joined trace has its 128 bits. */
static void widen_id(struct sm_shard *s, struct sm_trace *t, struct sm_trace_id id)
{
    if (t->id.hi == 0)
        sm_trace_map_widen(&s->map, t, id.hi);
}

/* The trace of span i, given how its id was found. */
static struct sm_trace *found_or_opened(struct sm_shard *s, const struct group *g, uint32_t i, uint64_t hash,
                                        struct sm_trace *found, enum sm_trace_match match)
{
    if (!found)
        return sm_open_window(s, hash, id_at(g, i), span_at(g, i), g->batch);
    if (match == SM_TRACE_MATCH_JOINED) {
        s->ids_joined++;
        widen_id(s, found, id_at(g, i));
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
 * fetched for all of them first. Makes the group shorter where it must: the outcome must not depend on how spans are grouped,
 * so a span that sways others makes a group by itself. */
static void find_traces(struct sm_shard *s, struct group *g)
{
    uint64_t hashes[GROUP];
    uint8_t others[GROUP];
    unsigned other_count = 0;
    enum sm_trace_match match;
    for (uint32_t i = 0; i < g->count; i++) {
        hashes[i] = sm_trace_map_hash(id_at(g, i).lo);
        sm_trace_map_prefetch(&s->map, hashes[i]);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct sm_trace_id id = id_at(g, i);
        g->traces[i] = sm_trace_map_find(&s->map, hashes[i], id, &match);
        if (SM_LIKELY(g->traces[i] && match == SM_TRACE_MATCH_EXACT)) {
            prefetch_trace(g->traces[i]);
            continue;
        }
        if (SM_UNLIKELY(sways_others(id, match))) {
            g->count = SM_MAX(i, 1u);
            if (i > 0)
                break;
        }
        others[other_count++] = (uint8_t)i;
        sm_decided_prefetch(s->decided, id);
    }
    for (unsigned k = 0; k < other_count; k++) {
        uint32_t i = others[k];
        struct sm_trace *t = sm_trace_map_find(&s->map, hashes[i], id_at(g, i), &match);
        if (SM_UNLIKELY(i > 0 && sways_others(id_at(g, i), match))) {
            g->count = i;
            return;
        }
        g->traces[i] = found_or_opened(s, g, i, hashes[i], t, match);
    }
}

/* Spans of the group that are still to come find this trace again, or another. */
static void find_anew(struct sm_shard *s, struct group *g, struct sm_trace *t)
{
    for (uint32_t i = g->at + 1; i < g->count; i++) {
        if (g->traces[i] != t)
            continue;
        g->traces[i] = &again;
        t->group_size -= sm_trace_span_size(span_at(g, i));
        s->ids_joined -= id_at(g, i).hi != t->id.hi;
    }
}

static SM_COLD struct sm_trace *find_again(struct sm_shard *s, struct group *g)
{
    enum sm_trace_match match;
    struct sm_trace_id id = id_at(g, g->at);
    uint64_t hash = sm_trace_map_hash(id.lo);
    struct sm_trace *t = sm_trace_map_find(&s->map, hash, id, &match);
    if (t && sways_others(id, match))
        find_anew(s, g, t);
    t = found_or_opened(s, g, g->at, hash, t, match);
    if (t)
        t->group_size += sm_trace_span_size(span_at(g, g->at));
    return t;
}

/* --- copying --- */

/* Gives traces that have no room a chunk, and fetches the places that will be written. What cannot be had is seen to when the
 * span is copied. */
static void make_room(struct sm_shard *s, const struct group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (SM_LIKELY(g->traces[i] != NULL))
            g->traces[i]->group_size += sm_trace_span_size(span_at(g, i));
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct sm_trace *t = g->traces[i];
        if (SM_UNLIKELY(!t))
            continue;
        uint32_t size = sm_trace_span_size(span_at(g, i));
        if (sm_trace_room(t) < size && !sm_trace_memory_grow(&s->memory, t, size))
            continue;
        __builtin_prefetch(t->head_at, 1);
        __builtin_prefetch(t->data_at - 1, 1);
    }
}

/* Where the bytes of a span will go. */
SM_INLINE void prefetch_bytes(const struct sm_trace *t, const struct sm_span *span)
{
    uintptr_t end = (uintptr_t)t->data_at; /* as a number: it may be NULL */
    for (uintptr_t at = end - SM_MIN(span->size, (uint32_t)PREFETCH_BYTES); at < end; at += SM_CACHE_LINE)
        __builtin_prefetch((const void *)at, 1);
}

SM_INLINE void append(struct sm_shard *s, struct sm_trace *t, const struct sm_span *span, const uint8_t *bytes,
                      const struct sm_batch *b)
{
    uint32_t size = sm_trace_span_size(span);
    bool fits = sm_trace_room(t) >= size || sm_trace_memory_grow(&s->memory, t, size);
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
        sm_trace_memory_hold(&s->memory, t, b->source, b->epoch);
    if (SM_UNLIKELY(t->span_count >= s->config.windows.max_spans || t->bytes >= s->config.windows.max_bytes) && !t->parked)
        s->over = t;
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
    enum sm_trigger trigger = t->span_count >= s->config.windows.max_spans ? SM_TRIGGER_SPANS : SM_TRIGGER_BYTES;
    sm_decide_seal(s, t, trigger, g->batch->arrived_ns);
}

/* Takes `count` spans, at most GROUP, or fewer; returns how many, at least one. */
static uint32_t take_group(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t count)
{
    struct group g;
    g.batch = b;
    g.indexes = indexes;
    g.count = count;
    find_traces(s, &g);
    make_room(s, &g);
    for (uint32_t i = 0; i < g.count; i++) {
        if (i + AHEAD < g.count && g.traces[i + AHEAD])
            prefetch_bytes(g.traces[i + AHEAD], sm_batch_span(b, indexes[i + AHEAD]));
        g.at = i;
        struct sm_trace *t = SM_LIKELY(g.traces[i] != &again) ? g.traces[i] : find_again(s, &g);
        if (SM_UNLIKELY(t == NULL))
            continue;
        append(s, t, sm_batch_span(b, indexes[i]), sm_batch_bytes(b, indexes[i]), b);
        if (SM_UNLIKELY(s->over != NULL))
            close_over(s, &g);
    }
    sm_stats_add(s->config.stats, SM_STAT_IDS_JOINED, s->ids_joined);
    s->ids_joined = 0;
    return g.count;
}

void sm_assemble_batch(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t count)
{
    uint32_t all[GROUP];
    for (uint32_t at = 0; at < count;) {
        uint32_t n = SM_MIN(count - at, (uint32_t)GROUP);
        for (uint32_t i = 0; !indexes && i < n; i++)
            all[i] = at + i;
        at += take_group(s, b, indexes ? indexes + at : all, n);
    }
}
