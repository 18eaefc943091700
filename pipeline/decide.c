/* From a window that closes to a verdict and what follows from it. */
#include "pipeline/decide.h"

#include "pipeline/open.h"
#include "pipeline/shard_internal.h"

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
        (void)sm_open_context(s, t->id, t->opened_ns, &context_count);
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

/* What is analysed goes to the sinks when it is kept, else its memory is free. */
static void hand_on(struct sm_shard *s, struct sm_trace *t)
{
    bool kept = t->verdict == SM_VERDICT_KEPT;
    if (t->late)
        sm_stats_add(s->config.stats, kept ? SM_STAT_SPANS_LATE_KEPT : SM_STAT_SPANS_LATE_DROPPED, t->span_count);
    if (t->span_count == 0) { /* nothing but duplicates */
        sm_trace_memory_free(&s->memory, t);
        return;
    }
    sm_stats_add(s->config.stats, kept ? SM_STAT_SPANS_KEPT : SM_STAT_SPANS_SAMPLED_OUT, t->span_count);
    sm_stats_add(s->config.stats, kept ? SM_STAT_TRACES_KEPT : SM_STAT_TRACES_SAMPLED_OUT, !t->late);
    if (!kept || !sm_fanout_offer(s->config.fanout, s->config.index, t))
        sm_trace_memory_free(&s->memory, t);
    else if (s->config.show_kept)
        sm_trace_map_add(&s->kept, sm_trace_map_hash(t->id.lo), t);
}

/* The verdict is final, or there is nothing to decide about. The view is of this trace. What reopened a trace is analysed
 * together with what went before. */
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
    hand_on(s, t);
}

static void apply(struct sm_trace *t, const struct sm_proposal *p, bool keep, uint64_t threshold)
{
    t->verdict = keep ? SM_VERDICT_KEPT : SM_VERDICT_DROPPED;
    t->rule = p->rule;
    t->threshold = threshold;
    t->randomness = p->randomness;
    t->randomness_derived = p->randomness_derived;
}

static void parked_add(struct sm_parked_list *list, struct sm_trace *trace, const struct sm_proposal *proposal)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 256;
        list->items = sm_xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = (struct sm_parked){trace, *proposal};
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

void sm_decide_seal(struct sm_shard *s, struct sm_trace *t, enum sm_trigger trigger, int64_t now_ns)
{
    sm_trace_memory_close(&s->memory, t);
    t->group_size = 0;
    sm_trace_settle(t);
    t->trigger = (uint8_t)trigger;
    t->deadline_ns = now_ns;
    count_closed(s, trigger);
    const struct sm_view *v = lay_out(s, t, t->late || t->reopened);
    if (SM_UNLIKELY(t->late && sm_open_has_news(s, t, v))) {
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

void sm_decide_post(struct sm_shard *s, int64_t now_ns)
{
    if (s->config.policy->limiter_count == 0)
        return;
    SM_ASSERT(s->waiting.count == 0);
    struct sm_parked_list swap = s->waiting;
    s->waiting = s->asking;
    s->asking = swap;
    for (size_t i = 0; i < s->waiting.count; i++) {
        const struct sm_parked *p = &s->waiting.items[i];
        struct sm_limiter_candidate c = {p->proposal.randomness, p->trace->id, p->proposal.cost, 0};
        sm_coordinator_ask(s->config.coordinator, s->config.index, p->proposal.limiter, &c);
    }
    sm_coordinator_post(s->config.coordinator, s->config.index, now_ns);
    s->posted = true;
}

static void settle_one(struct sm_shard *s, const struct sm_parked *p)
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

bool sm_decide_settle(struct sm_shard *s)
{
    if (!s->posted || !sm_coordinator_solved(s->config.coordinator, s->config.index))
        return false;
    s->posted = false;
    for (size_t i = 0; i < s->waiting.count; i++)
        settle_one(s, &s->waiting.items[i]);
    s->waiting.count = 0;
    return true;
}
