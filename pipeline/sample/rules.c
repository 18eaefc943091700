/* Compiling rule specs, proposing, counting. */
#include "pipeline/sample/rules.h"

#include "pipeline/sample/randomness.h"
#include "span/traceql/eval.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LIMITER_NONE UINT16_MAX

struct rule {
    char *name;
    const struct sm_traceql_prog *when; /* NULL: every trace */
    bool priority;                      /* the implicit rule: asks flags instead */
    bool shadow, else_next, of_arriving;
    enum sm_rule_action action;
    double ratio;
    uint64_t threshold; /* RATIO of the original traffic */
    uint16_t limiter;   /* RATE */
};

struct counts {
    _Atomic uint64_t keep, drop, limit;
};

/* One per shard: written by its thread, read by anyone. */
struct scratch {
    struct sm_rules *rules;
    struct sm_traceql_scratch *traceql;
    struct scratch *next;
    _Atomic uint64_t regex_limits;
    struct counts counts[]; /* per rule, then the default */
};

struct sm_rules {
    struct sm_policy policy;
    struct sm_traceql_set *set;
    struct rule *rules;
    uint16_t n_rules;
    pthread_mutex_t mutex; /* guards the list and what freed scratches counted; cold */
    struct scratch *scratches;
    struct scratch *gone; /* sums of scratches that were freed */
};

/* ---- counting ---- */

static void bump(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void add(_Atomic uint64_t *sum, const _Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(sum, atomic_load_explicit(counter, memory_order_relaxed), memory_order_relaxed);
}

static struct scratch *scratch_alloc(struct sm_rules *rules)
{
    struct scratch *s = sm_xcalloc(1, sizeof *s + (rules->n_rules + 1u) * sizeof s->counts[0]);
    s->rules = rules;
    return s;
}

static void *scratch_new(void *rules_)
{
    struct sm_rules *rules = rules_;
    struct scratch *s = scratch_alloc(rules);
    s->traceql = sm_traceql_scratch_new(rules->set);
    pthread_mutex_lock(&rules->mutex);
    s->next = rules->scratches;
    rules->scratches = s;
    pthread_mutex_unlock(&rules->mutex);
    return s;
}

static void scratch_free(void *scratch)
{
    struct scratch *s = scratch;
    struct sm_rules *rules = s->rules;
    pthread_mutex_lock(&rules->mutex);
    struct scratch **link = &rules->scratches;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    add(&rules->gone->regex_limits, &s->regex_limits);
    for (uint32_t i = 0; i <= rules->n_rules; i++) {
        add(&rules->gone->counts[i].keep, &s->counts[i].keep);
        add(&rules->gone->counts[i].drop, &s->counts[i].drop);
        add(&rules->gone->counts[i].limit, &s->counts[i].limit);
    }
    pthread_mutex_unlock(&rules->mutex);
    sm_traceql_scratch_free(s->traceql);
    free(s);
}

static uint64_t read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void sum_counts(const struct counts *c, struct sm_rule_counts *sum)
{
    sum->keep += read(&c->keep);
    sum->drop += read(&c->drop);
    sum->limit += read(&c->limit);
}

struct sm_rule_counts sm_rules_counts(struct sm_rules *rules, uint16_t rule)
{
    struct sm_rule_counts sum = {0};
    uint16_t at = rule < rules->n_rules ? rule : rules->n_rules;
    pthread_mutex_lock(&rules->mutex);
    sum_counts(&rules->gone->counts[at], &sum);
    for (const struct scratch *s = rules->scratches; s; s = s->next)
        sum_counts(&s->counts[at], &sum);
    pthread_mutex_unlock(&rules->mutex);
    sum.matched = sum.keep + sum.drop + sum.limit;
    return sum;
}

uint64_t sm_rules_regex_limits(struct sm_rules *rules)
{
    pthread_mutex_lock(&rules->mutex);
    uint64_t sum = read(&rules->gone->regex_limits);
    for (const struct scratch *s = rules->scratches; s; s = s->next)
        sum += read(&s->regex_limits);
    pthread_mutex_unlock(&rules->mutex);
    return sum;
}

/* ---- proposing ---- */

static bool matches(const struct rule *rule, struct scratch *s, const struct sm_view *view,
                    const struct sm_view_scratch *names)
{
    if (rule->priority)
        return view->trace->span_flags & (SM_SPAN_DEBUG | SM_SPAN_PRIORITY);
    return !rule->when || sm_traceql_match_trace(rule->when, view, names, s->traceql);
}

static uint64_t ratio_threshold(const struct rule *rule, const struct sm_randomness *r)
{
    return rule->of_arriving ? sm_threshold_multiply(r->arriving, rule->ratio) : rule->threshold;
}

static void propose_ratio(const struct rule *rule, const struct sm_randomness *r, struct sm_proposal *out)
{
    out->threshold = ratio_threshold(rule, r);
    out->what = sm_threshold_keeps(out->threshold, r->value) ? SM_PROPOSED_KEEP : SM_PROPOSED_DROP;
}

static void apply(const struct rule *rule, const struct sm_view *view, const struct sm_randomness *r,
                  struct sm_proposal *out)
{
    switch (rule->action) {
    case SM_RULE_KEEP:
        out->what = SM_PROPOSED_KEEP;
        out->threshold = SM_THRESHOLD_ALWAYS;
        break;
    case SM_RULE_DROP:
        out->what = SM_PROPOSED_DROP;
        out->threshold = SM_THRESHOLD_NEVER;
        break;
    case SM_RULE_RATIO:
        propose_ratio(rule, r, out);
        break;
    case SM_RULE_RATE:
        out->what = SM_PROPOSED_LIMIT;
        out->threshold = SM_THRESHOLD_ALWAYS;
        out->limiter = rule->limiter;
        out->or_next = rule->else_next;
        out->cost = view->trace->span_count;
        break;
    }
}

static void count(struct counts *c, uint8_t what)
{
    bump(what == SM_PROPOSED_KEEP ? &c->keep : what == SM_PROPOSED_DROP ? &c->drop : &c->limit);
}

static void note_regex_limits(struct scratch *s)
{
    atomic_store_explicit(&s->regex_limits, sm_traceql_regex_limits(s->traceql), memory_order_relaxed);
}

/* The threshold that the rules from `from` on would apply, for a trace that a limit may refuse. */
static uint64_t threshold_from(const struct sm_rules *rules, struct scratch *s, const struct sm_view *view,
                               const struct sm_view_scratch *names, const struct sm_randomness *r, uint16_t from)
{
    for (uint16_t i = from; i < rules->n_rules; i++) {
        const struct rule *rule = &rules->rules[i];
        if (rule->shadow || !matches(rule, s, view, names))
            continue;
        if (rule->action == SM_RULE_RATIO)
            return ratio_threshold(rule, r);
        return rule->action == SM_RULE_KEEP ? SM_THRESHOLD_ALWAYS : SM_THRESHOLD_NEVER;
    }
    return SM_THRESHOLD_ALWAYS;
}

static void propose(void *rules_, void *scratch, const struct sm_view *view, const struct sm_view_scratch *names,
                    uint16_t from, struct sm_proposal *out)
{
    const struct sm_rules *rules = rules_;
    struct scratch *s = scratch;
    struct sm_randomness r = sm_randomness_of(view);
    for (uint16_t i = from; i < rules->n_rules; i++) {
        const struct rule *rule = &rules->rules[i];
        if (!matches(rule, s, view, names))
            continue;
        *out = (struct sm_proposal){.rule = i, .randomness = r.value, .randomness_derived = r.derived};
        apply(rule, view, &r, out);
        count(&s->counts[i], out->what);
        if (rule->shadow)
            continue;
        if (out->what == SM_PROPOSED_LIMIT && out->or_next)
            out->next_threshold = threshold_from(rules, s, view, names, &r, (uint16_t)(i + 1));
        note_regex_limits(s);
        return;
    }
    *out = (struct sm_proposal){.what = SM_PROPOSED_KEEP, .rule = SM_RULE_DEFAULT, .threshold = SM_THRESHOLD_ALWAYS,
                                .randomness = r.value, .randomness_derived = r.derived};
    count(&s->counts[rules->n_rules], out->what);
    note_regex_limits(s);
}

bool sm_rules_matches(struct sm_rules *rules, void *scratch, uint16_t rule, const struct sm_view *view,
                      const struct sm_view_scratch *names)
{
    return rule < rules->n_rules && matches(&rules->rules[rule], scratch, view, names);
}

/* ---- compiling ---- */

static enum sm_rc fail(struct sm_rules_error *error, enum sm_rc rc, size_t rule, const char *part, const char *format, ...)
    SM_PRINTF(5, 6);

static enum sm_rc fail(struct sm_rules_error *error, enum sm_rc rc, size_t rule, const char *part, const char *format, ...)
{
    *error = (struct sm_rules_error){.rule = rule, .part = part};
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return rc;
}

static enum sm_rc check_name(const struct sm_rules *rules, const struct sm_rule_spec *spec, size_t index,
                             struct sm_rules_error *error)
{
    if (!spec->name || !spec->name[0])
        return fail(error, SM_E_INVALID, index, "name", "a rule needs a name");
    if (strcmp(spec->name, SM_RULE_PRIORITY) == 0 || strcmp(spec->name, SM_RULE_DEFAULT_NAME) == 0)
        return fail(error, SM_E_INVALID, index, "name", "the name \"%.64s\" is reserved", spec->name);
    for (uint16_t i = 0; i < rules->n_rules; i++)
        if (strcmp(rules->rules[i].name, spec->name) == 0)
            return fail(error, SM_E_INVALID, index, "name", "the name \"%.64s\" is taken", spec->name);
    return SM_OK;
}

static enum sm_rc check_action(const struct sm_rule_spec *spec, size_t index, struct sm_rules_error *error)
{
    if (spec->action == SM_RULE_RATIO && !(spec->ratio >= 0 && spec->ratio <= 1))
        return fail(error, SM_E_INVALID, index, "ratio", "the ratio must be between 0 and 1");
    if (spec->action == SM_RULE_RATE && !(spec->spans_per_second > 0 && spec->spans_per_second <= SM_LIMITER_RATE_MAX))
        return fail(error, SM_E_INVALID, index, "rate", "the rate must be above 0 and at most %.0f spans per second",
                    SM_LIMITER_RATE_MAX);
    if (spec->action == SM_RULE_RATE && spec->burst_spans != 0 &&
        !(spec->burst_spans >= 1 && spec->burst_spans <= SM_LIMITER_RATE_MAX))
        return fail(error, SM_E_INVALID, index, "rate", "the burst must be between 1 and %.0f spans", SM_LIMITER_RATE_MAX);
    if (spec->else_next && spec->action != SM_RULE_RATE)
        return fail(error, SM_E_INVALID, index, "else", "else is for rules with a rate");
    return SM_OK;
}

static enum sm_rc compile_when(struct sm_rules *rules, const struct sm_rule_spec *spec, size_t index,
                               const struct sm_traceql_prog **when, struct sm_rules_error *error)
{
    struct sm_traceql_error query;
    *when = NULL;
    if (!spec->when || !spec->when[0])
        return SM_OK;
    enum sm_rc rc = sm_traceql_compile(rules->set, sm_str_c(spec->when), when, &query);
    if (rc) {
        (void)fail(error, rc, index, "when", "%s", query.text);
        error->query = query;
    }
    return rc;
}

static uint16_t add_limiter(struct sm_rules *rules, double spans_per_second, double burst_spans)
{
    struct sm_policy *policy = &rules->policy;
    double burst = burst_spans > 0 ? burst_spans : spans_per_second * SM_LIMITER_BURST_FACTOR;
    /* full, and so it stays when the first tick brings the real time */
    sm_limiter_init(&policy->limiters[policy->limiter_count], spans_per_second, burst, 0);
    return policy->limiter_count++;
}

static void add_priority(struct sm_rules *rules, const struct sm_rules_config *config)
{
    if (config->priority == SM_RULES_PRIORITY_OFF)
        return;
    struct rule *rule = &rules->rules[rules->n_rules++];
    *rule = (struct rule){.priority = true, .limiter = LIMITER_NONE, .action = SM_RULE_KEEP};
    rule->name = sm_xstrndup(SM_RULE_PRIORITY, strlen(SM_RULE_PRIORITY));
    if (config->priority == SM_RULES_PRIORITY_RATE) {
        rule->action = SM_RULE_RATE;
        rule->else_next = true;
        rule->limiter = add_limiter(rules, config->priority_spans_per_second, 0);
    }
}

static enum sm_rc add_rule(struct sm_rules *rules, const struct sm_rule_spec *spec, size_t index,
                           struct sm_rules_error *error)
{
    const struct sm_traceql_prog *when;
    enum sm_rc rc = check_name(rules, spec, index, error);
    if (!rc)
        rc = check_action(spec, index, error);
    if (!rc)
        rc = compile_when(rules, spec, index, &when, error);
    if (rc)
        return rc;
    struct rule *rule = &rules->rules[rules->n_rules++];
    *rule = (struct rule){.when = when, .shadow = spec->shadow, .else_next = spec->else_next, .action = spec->action,
                          .of_arriving = spec->of_arriving, .ratio = spec->ratio, .limiter = LIMITER_NONE};
    rule->name = sm_xstrndup(spec->name, strlen(spec->name));
    if (spec->action == SM_RULE_RATIO)
        rule->threshold = sm_threshold_from_ratio(spec->ratio, SM_THRESHOLD_PRECISION);
    if (spec->action == SM_RULE_RATE && !spec->shadow)
        rule->limiter = add_limiter(rules, spec->spans_per_second, spec->burst_spans);
    return SM_OK;
}

static const char *rule_name(void *rules_, uint16_t rule)
{
    const struct sm_rules *rules = rules_;
    return rule < rules->n_rules ? rules->rules[rule].name : SM_RULE_DEFAULT_NAME;
}

enum sm_rc sm_rules_new(const struct sm_rules_config *config, struct sm_wanted *wanted, struct sm_rules **out,
                        struct sm_rules_error *error)
{
    *out = NULL;
    if (config->count > SM_RULES_MAX)
        return fail(error, SM_E_LIMIT, SM_RULES_MAX, "name", "there are more than %d rules", SM_RULES_MAX);
    struct sm_rules *rules = sm_xcalloc(1, sizeof *rules);
    pthread_mutex_init(&rules->mutex, NULL);
    rules->set = sm_traceql_set_new(wanted);
    rules->rules = sm_xcalloc(config->count + 1, sizeof *rules->rules);
    rules->policy = (struct sm_policy){.rules = rules, .scratch_new = scratch_new, .scratch_free = scratch_free,
                                       .propose = propose, .rule_name = rule_name};
    rules->policy.limiters = sm_xcalloc(config->count + 1, sizeof *rules->policy.limiters);
    add_priority(rules, config);
    for (size_t i = 0; i < config->count; i++) {
        enum sm_rc rc = add_rule(rules, &config->rules[i], i, error);
        if (rc) {
            sm_rules_free(rules);
            return rc;
        }
    }
    rules->policy.rule_count = rules->n_rules;
    rules->gone = scratch_alloc(rules);
    *out = rules;
    return SM_OK;
}

void sm_rules_free(struct sm_rules *rules)
{
    if (!rules)
        return;
    SM_ASSERT(!rules->scratches);
    for (uint16_t i = 0; i < rules->n_rules; i++)
        free(rules->rules[i].name);
    free(rules->rules);
    free(rules->policy.limiters);
    free(rules->gone);
    sm_traceql_set_free(rules->set);
    pthread_mutex_destroy(&rules->mutex);
    free(rules);
}

const struct sm_policy *sm_rules_policy(struct sm_rules *rules)
{
    return &rules->policy;
}

static const struct rule *find_limited(const struct sm_rules *rules, const char *name)
{
    for (uint16_t i = 0; i < rules->n_rules; i++)
        if (rules->rules[i].limiter != LIMITER_NONE && strcmp(rules->rules[i].name, name) == 0)
            return &rules->rules[i];
    return NULL;
}

void sm_rules_inherit(struct sm_rules *rules, const struct sm_rules *before)
{
    for (uint16_t i = 0; i < rules->n_rules; i++) {
        const struct rule *rule = &rules->rules[i];
        const struct rule *old = rule->limiter == LIMITER_NONE ? NULL : find_limited(before, rule->name);
        if (old)
            sm_limiter_inherit(&rules->policy.limiters[rule->limiter], &before->policy.limiters[old->limiter]);
    }
}

const char *sm_rules_query(const struct sm_rules *rules, uint16_t rule)
{
    if (rule >= rules->n_rules || rules->rules[rule].priority)
        return NULL;
    return rules->rules[rule].when ? sm_traceql_prog_text(rules->rules[rule].when) : "{ true }";
}
