/* A rate limit in spans per second whose decisions stay unbiased: a token bucket spent once a tick, from the top.
 *
 * At each tick the coordinator hands over the candidates of all shards. They are taken in order of falling randomness R until
 * one does not fit; all at and below that R are refused, and the threshold that says so, T = R(first refused) + 1, is
 * published with the kept ones. Which traces are kept then depends neither on who they are nor on the order or shard they
 * came from, and each kept trace stands for 2^56 / (2^56 - T): adjusted counts stay true under the limit. A trace that costs
 * more than the burst can never pass: it is refused and does not count for the cut.
 *
 * Owned by one thread (the coordinator). Time is an argument; all sums are integers. No allocation. */
#ifndef SM_LIMITER_H
#define SM_LIMITER_H

#include "base/base.h"
#include "span/threshold.h"

#define SM_LIMITER_RATE_MAX     1e9 /* spans per second, and spans of burst */
#define SM_LIMITER_BURST_FACTOR 2.0 /* default burst, in seconds of the rate */

struct sm_limiter {
    uint64_t rate_micro;  /* millionths of a span per second */
    uint64_t burst_nano;  /* what the bucket holds at most, in billionths of a span */
    uint64_t tokens_nano; /* what it holds now */
    uint64_t carry;       /* refill too small for a token yet, in 1e-15 of a span */
    int64_t refilled_ns;  /* when it was last refilled */
};

/* What a trace asks for. */
struct sm_limiter_candidate {
    uint64_t randomness; /* R, 56 bits */
    struct sm_trace_id trace;
    uint32_t cost; /* spans */
    uint32_t tag;  /* the caller's */
};

/* A full bucket at `now_ns`. Both figures are cut to 0..SM_LIMITER_RATE_MAX; a burst below one span becomes one. */
void sm_limiter_init(struct sm_limiter *limiter, double spans_per_second, double burst_spans, int64_t now_ns);

/* Reload: takes over what is in the bucket of the limiter it replaces, up to its own burst. */
void sm_limiter_inherit(struct sm_limiter *limiter, const struct sm_limiter *before);

/* Refills up to `now_ns` (earlier than before: no refill), decides the tick and charges the bucket. Reorders the
 * candidates. Returns T; sm_limiter_keeps tells which candidates pass. Does not depend on their order. */
uint64_t sm_limiter_cut(struct sm_limiter *limiter, struct sm_limiter_candidate *candidates, size_t n, int64_t now_ns);

SM_INLINE bool sm_limiter_can_pay(const struct sm_limiter *limiter, uint32_t cost)
{
    return cost <= limiter->burst_nano / 1000000000;
}

SM_INLINE bool sm_limiter_keeps(const struct sm_limiter *limiter, uint64_t threshold, const struct sm_limiter_candidate *c)
{
    return sm_threshold_keeps(threshold, c->randomness) && sm_limiter_can_pay(limiter, c->cost);
}

#endif
