/* Policy: what should become of a sealed trace. Proposals are pure: they depend on the trace alone. What needs other traces
 * (limits, budgets) is settled at the tick by the coordinator from the proposals of all shards. */
#ifndef SM_POLICY_H
#define SM_POLICY_H

#include "base/base.h"
#include "pipeline/sample/limiter.h"
#include "span/view.h"

enum sm_proposed {
    SM_PROPOSED_KEEP, /* keep; `threshold` tells with which probability such traces are kept */
    SM_PROPOSED_DROP,
    SM_PROPOSED_LIMIT, /* keep if limiter `limiter` grants `cost` at this tick */
};

struct sm_proposal {
    uint8_t what;            /* enum sm_proposed */
    bool randomness_derived; /* R is our hash of the id: written out as rv */
    bool or_next;            /* LIMIT: when refused, propose again from rule + 1; otherwise drop */
    uint16_t rule;           /* which rule; SM_RULE_DEFAULT when none matched */
    uint16_t limiter;        /* LIMIT only */
    uint32_t cost;           /* LIMIT only: spans */
    uint64_t threshold;      /* 56 bits; SM_THRESHOLD_NEVER with DROP by rule */
    uint64_t next_threshold; /* LIMIT with or_next: the threshold that a refusal would lead to, SM_THRESHOLD_NEVER when that is
                                another limit or a drop. What is granted is published with the smaller of the limit's and
                                this one, since it would have been kept by either */
    uint64_t randomness;     /* R, 56 bits */
};

/* A set of rules, compiled and immutable; shared by all shards. */
struct sm_policy {
    void *rules;
    void *(*scratch_new)(void *rules);
    void (*scratch_free)(void *scratch);
    /* First matching rule at or after `from` (0 at first). No allocation. */
    void (*propose)(void *rules, void *scratch, const struct sm_view *view, const struct sm_view_scratch *names,
                    uint16_t from, struct sm_proposal *out);
    /* Settled at each tick by one thread at a time (the coordinator). */
    struct sm_limiter *limiters;
    uint16_t limiter_count;
    uint16_t rule_count;
    const char *(*rule_name)(void *rules, uint16_t rule);
};

#endif
