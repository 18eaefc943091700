/* New windows, and those of late spans. */
#include "pipeline/open.h"

#include "pipeline/shard_internal.h"
#include "span/threshold.h"

#include <stdlib.h>

/* Flags of a dropped trace's late span that ask for a decision of its own. */
enum { NEWS = SM_SPAN_ERROR | SM_SPAN_DEBUG | SM_SPAN_PRIORITY };

static struct sm_trace *trace_open(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_batch *b)
{
    struct sm_trace *t = sm_trace_memory_new(&s->memory, b->source, b->epoch);
    if (!t)
        return NULL;
    t->id = id;
    t->opened_ns = t->last_ns = b->arrived_ns;
    t->shard = (uint16_t)s->config.index;
    sm_trace_map_add(&s->map, hash, t);
    sm_wheel_add(&s->wheel, t, sm_windows_look_at_ns(&s->config.windows, t, b->arrived_ns));
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
    sm_wheel_add(&s->wheel, t, sm_windows_look_at_ns(&s->config.windows, t, b->arrived_ns));
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

bool sm_open_context(struct sm_shard *s, struct sm_trace_id id, int64_t now_ns, uint32_t *count)
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
    bool skeleton = sm_open_context(s, id, b->arrived_ns, &count);
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

struct sm_trace *sm_open_window(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_span *span,
                                const struct sm_batch *b)
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

bool sm_open_has_news(const struct sm_shard *s, const struct sm_trace *t, const struct sm_view *v)
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
