/* Sampling rules: an ordered list of TraceQL queries with actions, as a policy (pipeline/policy.h).
 *
 * The first rule whose query matches a span of the trace decides, and that is final; a trace that no rule matches is kept.
 *   keep, drop   threshold 0; never.
 *   ratio        of the original traffic: keep iff T <= R. With of_arriving the share of what earlier samplers let through:
 *                T is computed on top of the threshold the trace arrived with.
 *   rate         spans per second over all shards, granted at the tick (pipeline/sample/limiter.h). Refused traces are
 *                dropped, or go on to the next rule with else_next.
 *   shadow       the rule is only counted, and the next one asked.
 * An implicit first rule, "priority", keeps traces with a debug span or sampling.priority > 0; it can be capped or turned off.
 * What R is: span/threshold.h and design notes in README.md.
 *
 * Rules are compiled once and immutable. Proposals run on shard threads, each with its own scratch, and allocate nothing.
 * Limiters belong to the coordinator. Counters may be read from any thread. */
#ifndef SM_RULES_H
#define SM_RULES_H

#include "base/base.h"
#include "pipeline/policy.h"
#include "span/traceql/parse.h"
#include "span/wanted.h"

#define SM_RULES_MAX         1000
#define SM_RULE_PRIORITY     "priority" /* name of the implicit rule */
#define SM_RULE_DEFAULT_NAME "default"  /* what SM_RULE_DEFAULT is called */

enum sm_rule_action { SM_RULE_KEEP, SM_RULE_DROP, SM_RULE_RATIO, SM_RULE_RATE };

struct sm_rule_spec {
    const char *name; /* unique, not empty */
    const char *when; /* TraceQL; NULL or empty: every trace */
    enum sm_rule_action action;
    double ratio;            /* RATIO: 0..1 */
    bool of_arriving;        /* RATIO */
    double spans_per_second; /* RATE: above 0 */
    double burst_spans;      /* RATE: 0 for SM_LIMITER_BURST_FACTOR seconds of the rate */
    bool else_next;          /* RATE */
    bool shadow;
};

enum sm_rules_priority {
    SM_RULES_PRIORITY_KEEP, /* what asks for it is kept */
    SM_RULES_PRIORITY_RATE, /* as long as the rate allows; refused traces go on to the rules */
    SM_RULES_PRIORITY_OFF,
};

struct sm_rules_config {
    const struct sm_rule_spec *rules; /* read during sm_rules_new only */
    size_t count;
    enum sm_rules_priority priority;
    double priority_spans_per_second; /* PRIORITY_RATE */
};

/* Which part of which rule is wrong. */
struct sm_rules_error {
    size_t rule;      /* index in the config */
    const char *part; /* "name", "when", "ratio", "rate", "else": static text */
    char text[256];   /* a sentence, without position */
    struct sm_traceql_error query; /* part "when": where in the query; else all zero */
};

struct sm_rules;

/* Adds attribute keys of the queries to `wanted`, which is frozen afterwards. SM_OK or SM_E_INVALID, SM_E_LIMIT,
 * SM_E_UNSUPPORTED with *error (never NULL) filled. */
enum sm_rc sm_rules_new(const struct sm_rules_config *config, struct sm_wanted *wanted, struct sm_rules **rules,
                        struct sm_rules_error *error) SM_MUST_USE;
/* All scratches must have been freed. */
void sm_rules_free(struct sm_rules *rules);

/* The policy that shards and the coordinator use; valid as long as the rules. Rule indexes in proposals count the implicit
 * rule as the first when it is on. */
const struct sm_policy *sm_rules_policy(struct sm_rules *rules);

/* Reload, while neither side settles a tick: limiters of rules with the same name keep what is in their buckets. */
void sm_rules_inherit(struct sm_rules *rules, const struct sm_rules *before);

/* Any thread. What the rule was asked; of a rule with `shadow` what it would have done. SM_RULE_DEFAULT: traces that no rule
 * matched. */
struct sm_rule_counts {
    uint64_t matched; /* traces; the sum of the three below */
    uint64_t keep, drop;
    uint64_t limit; /* left to the rate */
};
struct sm_rule_counts sm_rules_counts(struct sm_rules *rules, uint16_t rule);
/* Any thread: regular expressions given up because they backtracked too long; that comparison was false. */
uint64_t sm_rules_regex_limits(struct sm_rules *rules);

/* For explain, with a scratch of the caller's (policy->scratch_new): does this one rule match, whatever comes before it? */
bool sm_rules_matches(struct sm_rules *rules, void *scratch, uint16_t rule, const struct sm_view *view,
                      const struct sm_view_scratch *names);
/* The rule's query as understood, "{ true }" for every trace; NULL for the implicit rule and SM_RULE_DEFAULT. */
const char *sm_rules_query(const struct sm_rules *rules, uint16_t rule);

#endif
