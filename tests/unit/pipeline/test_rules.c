/* Which rule decides, with which threshold; what comes out of the tracestate. */
#include "pipeline/sample/rules.h"

#include "base/hash.h"
#include "pipeline/sample/randomness.h"
#include "span/tracestate.h"
#include "tests/support/trace_maker.h"

struct fixture {
    struct sm_wanted *wanted;
    struct sm_rules *rules;
    const struct sm_policy *policy;
    void *scratch;
    struct maker m;
};

static void start(struct fixture *f, struct sm_rules_config config)
{
    struct sm_rules_error error;
    f->wanted = sm_wanted_new(1);
    enum sm_rc rc = sm_rules_new(&config, f->wanted, &f->rules, &error);
    cr_assert_eq(rc, SM_OK, "rule %zu %s: %s", error.rule, error.part, error.text);
    f->policy = sm_rules_policy(f->rules);
    f->scratch = f->policy->scratch_new(f->policy->rules);
    maker_init(&f->m, f->wanted);
}

static void finish(struct fixture *f)
{
    f->policy->scratch_free(f->scratch);
    maker_fini(&f->m);
    sm_rules_free(f->rules);
    sm_wanted_free(f->wanted);
}

static struct sm_proposal propose_from(struct fixture *f, uint16_t from)
{
    struct sm_proposal p;
    memset(&p, 0xff, sizeof p);
    f->policy->propose(f->policy->rules, f->scratch, maker_view(&f->m), f->m.names, from, &p);
    return p;
}

static const char *rule_of(struct fixture *f, const struct sm_proposal *p)
{
    return f->policy->rule_name(f->policy->rules, p->rule);
}

/* One span, root, of the given status; low 56 bits of the id are `randomness`, said to be random. */
static struct sm_proposal propose_one(struct fixture *f, enum sm_status status, uint64_t randomness)
{
    maker_restart(&f->m, (struct sm_trace_id){.hi = 1, .lo = UINT64_C(0xaa) << 56 | randomness});
    maker_resource(&f->m);
    maker_str(&f->m.resource, 1, "service.name", "shop");
    maker_span(&f->m, (struct maker_span){.id = 1, .name = "n", .status = status, .duration_ms = 10, .flags = 0x2});
    return propose_from(f, 0);
}

#define RULES(...) .rules = (const struct sm_rule_spec[]){__VA_ARGS__}, .count = SM_ARRAY_LEN(((const struct sm_rule_spec[]){__VA_ARGS__}))
#define HALF UINT64_C(0x80000000000000)

Test(rules, no_rules_keep_everything)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){0});
    struct sm_proposal p = propose_one(&f, SM_STATUS_UNSET, 7);
    cr_expect_eq(p.what, SM_PROPOSED_KEEP);
    cr_expect_eq(p.rule, SM_RULE_DEFAULT);
    cr_expect_eq(p.threshold, SM_THRESHOLD_ALWAYS);
    cr_expect_eq(p.randomness, 7);
    cr_expect_str_eq(rule_of(&f, &p), "default");
    cr_expect_eq(f.policy->limiter_count, 0);
    cr_expect_eq(sm_rules_counts(f.rules, SM_RULE_DEFAULT).keep, 1);
    finish(&f);
}

Test(rules, the_first_match_decides)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){RULES({.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
                                             {.name = "fine", .when = "{ status = ok }", .action = SM_RULE_DROP},
                                             {.name = "rest", .action = SM_RULE_RATIO, .ratio = 0.5})});
    struct sm_proposal p = propose_one(&f, SM_STATUS_ERROR, 0);
    cr_expect(p.what == SM_PROPOSED_KEEP && p.threshold == SM_THRESHOLD_ALWAYS);
    cr_expect_str_eq(rule_of(&f, &p), "errors");
    p = propose_one(&f, SM_STATUS_OK, SM_RANDOMNESS_MASK);
    cr_expect(p.what == SM_PROPOSED_DROP && p.threshold == SM_THRESHOLD_NEVER);
    cr_expect_str_eq(rule_of(&f, &p), "fine");
    p = propose_one(&f, SM_STATUS_UNSET, HALF);
    cr_expect(p.what == SM_PROPOSED_KEEP && p.threshold == HALF);
    cr_expect_str_eq(rule_of(&f, &p), "rest");
    p = propose_one(&f, SM_STATUS_UNSET, HALF - 1);
    cr_expect(p.what == SM_PROPOSED_DROP && p.threshold == HALF);
    cr_expect_eq(sm_rules_counts(f.rules, p.rule).matched, 2);
    cr_expect_eq(sm_rules_counts(f.rules, p.rule).keep, 1);
    cr_expect_eq(sm_rules_counts(f.rules, p.rule).drop, 1);
    finish(&f);
}

Test(rules, a_rate_asks_for_the_spans_of_the_trace)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){
                  .priority = SM_RULES_PRIORITY_OFF,
                  RULES({.name = "a", .when = "{ status = error }", .action = SM_RULE_RATE, .spans_per_second = 10, .else_next = true},
                        {.name = "b", .action = SM_RULE_RATE, .spans_per_second = 5, .burst_spans = 7})});
    cr_assert_eq(f.policy->limiter_count, 2);
    cr_expect_eq(f.policy->limiters[0].burst_nano, 20000000000);
    cr_expect_eq(f.policy->limiters[1].burst_nano, 7000000000);
    struct sm_proposal p = propose_one(&f, SM_STATUS_ERROR, 5);
    cr_expect(p.what == SM_PROPOSED_LIMIT && p.limiter == 0 && p.cost == 1 && p.or_next && p.rule == 0 && p.randomness == 5);
    cr_expect_eq(p.next_threshold, SM_THRESHOLD_NEVER, "the next one is a limit");
    p = propose_from(&f, 1);
    cr_expect(p.what == SM_PROPOSED_LIMIT && p.limiter == 1 && p.cost == 1 && !p.or_next && p.rule == 1);
    p = propose_from(&f, 2);
    cr_expect(p.what == SM_PROPOSED_KEEP && p.rule == SM_RULE_DEFAULT);
    finish(&f);
}

Test(rules, shadow_rules_only_count)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){.priority = SM_RULES_PRIORITY_OFF,
                                       RULES({.name = "try", .action = SM_RULE_DROP, .shadow = true},
                                             {.name = "try rate", .action = SM_RULE_RATE, .spans_per_second = 1, .shadow = true},
                                             {.name = "real", .action = SM_RULE_KEEP})});
    struct sm_proposal p = propose_one(&f, SM_STATUS_UNSET, 5);
    cr_expect(p.what == SM_PROPOSED_KEEP && p.rule == 2);
    cr_expect_eq(sm_rules_counts(f.rules, 0).drop, 1);
    cr_expect_eq(sm_rules_counts(f.rules, 1).limit, 1);
    cr_expect_eq(f.policy->limiter_count, 0);
    finish(&f);
}

Test(rules, priority_comes_first)
{
    const struct sm_rule_spec drop[] = {{.name = "drop", .action = SM_RULE_DROP}};
    for (int mode = SM_RULES_PRIORITY_KEEP; mode <= SM_RULES_PRIORITY_OFF; mode++) {
        struct fixture f;
        start(&f, (struct sm_rules_config){.rules = drop, .count = 1, .priority = (enum sm_rules_priority)mode,
                                           .priority_spans_per_second = 3});
        maker_span(&f.m, (struct maker_span){.id = 1, .name = "n"});
        maker_int(&f.m.span, 9, "sampling.priority", 1);
        struct sm_proposal p = propose_from(&f, 0);
        static const enum sm_proposed expected[] = {SM_PROPOSED_KEEP, SM_PROPOSED_LIMIT, SM_PROPOSED_DROP};
        cr_expect_eq(p.what, expected[mode], "mode %d", mode);
        if (mode != SM_RULES_PRIORITY_OFF)
            cr_expect_str_eq(rule_of(&f, &p), "priority");
        p = propose_one(&f, SM_STATUS_UNSET, 5);
        cr_expect_eq(p.what, SM_PROPOSED_DROP);
        finish(&f);
    }
}

static const struct {
    struct sm_rule_spec spec;
    enum sm_rc rc;
    const char *part, *says;
} bad[] = {
    {{.name = ""}, SM_E_INVALID, "name", "needs a name"},
    {{.name = "first"}, SM_E_INVALID, "name", "taken"},
    {{.name = "default"}, SM_E_INVALID, "name", "reserved"},
    {{.name = "priority"}, SM_E_INVALID, "name", "reserved"},
    {{.name = "x", .when = "{ statsu = error }"}, SM_E_INVALID, "when", "did you mean status"},
    {{.name = "x", .when = "{} | count() > 1"}, SM_E_UNSUPPORTED, "when", "pipelines"},
    {{.name = "x", .action = SM_RULE_RATIO, .ratio = 1.5}, SM_E_INVALID, "ratio", "between 0 and 1"},
    {{.name = "x", .action = SM_RULE_RATE}, SM_E_INVALID, "rate", "above 0"},
    {{.name = "x", .action = SM_RULE_RATE, .spans_per_second = 1, .burst_spans = 0.5}, SM_E_INVALID, "rate", "burst"},
    {{.name = "x", .else_next = true}, SM_E_INVALID, "else", "with a rate"},
};

Test(rules, errors_name_the_rule_and_the_part)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_rule_spec specs[] = {{.name = "first"}, bad[i].spec};
        struct sm_rules_config config = {.rules = specs, .count = 2};
        struct sm_wanted *wanted = sm_wanted_new(1);
        struct sm_rules *rules;
        struct sm_rules_error error;
        cr_expect_eq(sm_rules_new(&config, wanted, &rules, &error), bad[i].rc, "%zu", i);
        cr_expect_null(rules);
        cr_expect_eq(error.rule, 1);
        cr_expect_str_eq(error.part, bad[i].part);
        cr_expect(strstr(error.text, bad[i].says), "%s", error.text);
        cr_expect_eq(error.query.column != 0, strcmp(bad[i].part, "when") == 0);
        sm_wanted_free(wanted);
    }
}

Test(rules, a_reload_keeps_buckets_by_name)
{
    struct sm_wanted *wanted = sm_wanted_new(1);
    struct sm_rules *before, *after;
    struct sm_rules_error error;
    struct sm_rules_config config = {RULES({.name = "a", .action = SM_RULE_RATE, .spans_per_second = 10},
                                           {.name = "b", .action = SM_RULE_RATE, .spans_per_second = 10})};
    cr_assert_eq(sm_rules_new(&config, wanted, &before, &error), SM_OK);
    sm_rules_policy(before)->limiters[1].tokens_nano = 5;
    config = (struct sm_rules_config){RULES({.name = "b", .action = SM_RULE_RATE, .spans_per_second = 20},
                                            {.name = "c", .action = SM_RULE_RATE, .spans_per_second = 10})};
    cr_assert_eq(sm_rules_new(&config, wanted, &after, &error), SM_OK);
    sm_rules_inherit(after, before);
    sm_rules_free(before);
    cr_expect_eq(sm_rules_policy(after)->limiters[0].tokens_nano, 5);
    cr_expect_eq(sm_rules_policy(after)->limiters[0].rate_micro, 20000000);
    cr_expect_eq(sm_rules_policy(after)->limiters[1].tokens_nano, 20000000000);
    sm_rules_free(after);
    sm_wanted_free(wanted);
}

Test(rules, explaining)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){RULES({.name = "all", .action = SM_RULE_KEEP},
                                             {.name = "errors", .when = "{status=error}", .action = SM_RULE_KEEP})});
    (void)propose_one(&f, SM_STATUS_ERROR, 0);
    const struct sm_view *v = maker_view(&f.m);
    cr_expect_not(sm_rules_matches(f.rules, f.scratch, 0, v, f.m.names));
    cr_expect(sm_rules_matches(f.rules, f.scratch, 1, v, f.m.names));
    cr_expect(sm_rules_matches(f.rules, f.scratch, 2, v, f.m.names));
    cr_expect_null(sm_rules_query(f.rules, 0));
    cr_expect_str_eq(sm_rules_query(f.rules, 1), "{ true }");
    cr_expect_str_eq(sm_rules_query(f.rules, 2), "{ (status = error) }");
    cr_expect_null(sm_rules_query(f.rules, SM_RULE_DEFAULT));
    finish(&f);
}

Test(rules, counts_outlive_their_scratch)
{
    struct fixture f;
    start(&f, (struct sm_rules_config){RULES({.name = "slow regex", .when = "{ span.a =~ `(x+x+)+[yz]` }", .action = SM_RULE_DROP})});
    maker_span(&f.m, (struct maker_span){.id = 1, .name = "n"});
    maker_str(&f.m.span, 9, "a", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    struct sm_proposal p = propose_from(&f, 0);
    cr_expect_eq(p.what, SM_PROPOSED_KEEP);
    f.policy->scratch_free(f.scratch);
    cr_expect_eq(sm_rules_counts(f.rules, SM_RULE_DEFAULT).keep, 1);
    cr_expect_eq(sm_rules_regex_limits(f.rules), 1);
    f.scratch = f.policy->scratch_new(f.policy->rules);
    finish(&f);
}

/* ---- randomness ---- */

struct span_state {
    const char *tracestate; /* NULL: none */
    uint32_t flags;
};

static struct sm_randomness randomness_of(struct sm_trace_id id, const struct span_state *states, size_t n, bool reversed)
{
    struct maker m;
    maker_init(&m, NULL);
    maker_restart(&m, id);
    maker_resource(&m);
    for (size_t k = 0; k < n; k++) {
        size_t i = reversed ? n - 1 - k : k;
        maker_span(&m, (struct maker_span){.id = i + 1, .parent = i, .name = "n", .start_ms = 10 + i,
                                           .tracestate = states[i].tracestate, .flags = states[i].flags});
    }
    struct sm_randomness r = sm_randomness_of(maker_view(&m));
    maker_fini(&m);
    return r;
}

static const struct sm_trace_id some_id = {.hi = 0x0001020304050607, .lo = 0x08090a0b0c0d0e0f};
#define ID_BITS   UINT64_C(0x090a0b0c0d0e0f)
#define HASH_BITS UINT64_C(0x3eeb3fcdd91755)

static const struct {
    struct span_state states[3];
    struct sm_randomness expected;
} randomness_table[] = {
    {{{NULL, 0}, {NULL, 0}, {NULL, 0}}, {HASH_BITS, 0, true}},
    {{{NULL, 1}, {NULL, 0}, {NULL, 0}}, {HASH_BITS, 0, true}},
    {{{NULL, 0}, {NULL, 3}, {NULL, 0}}, {ID_BITS, 0, false}},
    {{{"x=y", 0}, {NULL, 0}, {NULL, 0}}, {HASH_BITS, 0, true}},
    {{{"ot=th:0", 0}, {NULL, 0}, {NULL, 0}}, {ID_BITS, 0, false}},
    {{{"ot=th:08", 0}, {NULL, 0}, {NULL, 0}}, {ID_BITS, UINT64_C(0x08000000000000), false}},
    /* T > R: contradicts itself */
    {{{"ot=th:8", 0}, {NULL, 0}, {NULL, 0}}, {ID_BITS, 0, false}},
    {{{"ot=rv:ffffffffffffff;th:8", 0}, {NULL, 0}, {NULL, 0}}, {SM_RANDOMNESS_MASK, HALF, false}},
    {{{"ot=rv:00000000000001", 0}, {NULL, 0}, {NULL, 0}}, {1, 0, false}},
    {{{"ot=rv:bad", 0}, {NULL, 0}, {NULL, 0}}, {HASH_BITS, 0, true}},
    /* the root's word counts, then the smallest */
    {{{"ot=rv:00000000000005", 0}, {"ot=rv:00000000000001", 0}, {NULL, 0}}, {5, 0, false}},
    {{{NULL, 0}, {"ot=rv:00000000000009;th:c", 0}, {"ot=rv:00000000000004", 0}}, {4, 0, false}},
};

Test(randomness, of_a_trace)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(randomness_table); i++)
        for (int reversed = 0; reversed < 2; reversed++) {
            struct sm_randomness r = randomness_of(some_id, randomness_table[i].states, 3, reversed);
            const struct sm_randomness *e = &randomness_table[i].expected;
            cr_expect(r.value == e->value && r.arriving == e->arriving && r.derived == e->derived,
                      "%zu: R %lx arriving %lx derived %d", i, (unsigned long)r.value, (unsigned long)r.arriving, r.derived);
        }
}

/* `of: arriving` applies its share on top of an earlier sampler's; over many traces the adjusted counts come out true. */
Test(randomness, ratios_of_original_and_of_arriving_traffic_stay_unbiased)
{
    enum { N = 20000 };
    struct fixture f;
    for (int arriving = 0; arriving < 2; arriving++) {
        start(&f, (struct sm_rules_config){
                      RULES({.name = "r", .action = SM_RULE_RATIO, .ratio = 0.2, .of_arriving = arriving})});
        double estimate = 0;
        unsigned kept = 0;
        for (uint64_t i = 0; i < N; i++) {
            uint64_t randomness = sm_hash_fixed64(i, 99) & SM_RANDOMNESS_MASK;
            if (randomness < HALF)
                continue; /* the head sampler took half */
            maker_restart(&f.m, (struct sm_trace_id){.hi = 1, .lo = randomness});
            maker_span(&f.m, (struct maker_span){.id = 1, .name = "n", .tracestate = "ot=th:8"});
            struct sm_proposal p = propose_from(&f, 0);
            if (p.what != SM_PROPOSED_KEEP)
                continue;
            kept++;
            estimate += sm_threshold_adjusted_count(SM_MAX(p.threshold, HALF));
        }
        cr_expect_float_eq(kept / (double)N, arriving ? 0.1 : 0.2, 0.01);
        cr_expect_float_eq(estimate / N, 1, 0.05, "%f", estimate / N);
        finish(&f);
    }
}

/* A limit with else: next in front of a ratio: what the limit grants is published with the smaller threshold of both, so
 * that adjusted counts stay true although refused traces get a second chance. */
Test(rules, a_second_chance_leaves_counts_unbiased)
{
    enum { TICKS = 400, N = 40 };
    struct fixture f;
    start(&f, (struct sm_rules_config){.priority = SM_RULES_PRIORITY_OFF,
                                       RULES({.name = "rate", .action = SM_RULE_RATE, .spans_per_second = 100, .burst_spans = 20, .else_next = true},
                                             {.name = "rest", .action = SM_RULE_RATIO, .ratio = 0.5})});
    double estimate = 0;
    for (uint64_t tick = 1; tick <= TICKS; tick++) {
        struct sm_limiter_candidate c[N];
        for (uint32_t i = 0; i < N; i++) {
            struct sm_proposal p = propose_one(&f, SM_STATUS_UNSET, sm_hash_fixed64(tick * N + i, 5) & SM_RANDOMNESS_MASK);
            cr_assert_eq(p.next_threshold, HALF);
            c[i] = (struct sm_limiter_candidate){.randomness = p.randomness, .cost = p.cost, .trace = {.lo = i}};
        }
        uint64_t cut = sm_limiter_cut(&f.policy->limiters[0], c, N, (int64_t)tick * 100 * SM_MS);
        for (uint32_t i = 0; i < N; i++) {
            if (sm_limiter_keeps(&f.policy->limiters[0], cut, &c[i]))
                estimate += sm_threshold_adjusted_count(SM_MIN(cut, HALF));
            else if (sm_threshold_keeps(HALF, c[i].randomness))
                estimate += sm_threshold_adjusted_count(HALF);
        }
    }
    cr_expect_float_eq(estimate / (TICKS * N), 1, 0.05, "%f", estimate / (TICKS * N));
    finish(&f);
}
