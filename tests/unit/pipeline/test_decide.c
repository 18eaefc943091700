#include "pipeline/shard.h"

#include "tests/support/pipeline_rig.h"

#define T0 RIG_START_NS
#define MS(n) ((n) * SM_MS)

static struct rig r;

Test(decide, duplicates_are_counted_once)
{
    rig_open(&r);
    struct rig_span spans[] = {{.trace = 1, .id = 1}, {.trace = 1, .id = 2, .parent = 1}, {.trace = 1, .id = 1}};
    rig_submit(&r, T0, spans, 3);
    rig_submit(&r, T0 + SM_SEC, spans, 2);
    rig_span(&r, T0 + SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1, .error = true});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(rig_only_seen(&r)->spans, 3, "same key with other content is its own record");
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 3);
    rig_close(&r);
}

/* --- parking --- */

static const struct sm_rule_spec ten_per_second[] = {
    {.name = "some", .action = SM_RULE_RATE, .spans_per_second = 10, .burst_spans = 10}};

/* A hundred traces of one span close in one tick; how many the limit keeps, and which, is the same for any number of shards. */
static unsigned kept_under_limit(unsigned shards, uint64_t *sum_of_ids)
{
    static struct rig many;
    many = (struct rig){.shards = shards, .rules = {.rules = ten_per_second, .count = 1}};
    rig_open(&many);
    for (uint64_t i = 1; i <= 100; i++)
        rig_span(&many, T0, (struct rig_span){.trace = i * 7919, .id = i});
    rig_advance(&many, T0 + 6 * SM_SEC - 1);
    cr_assert_eq(many.seen_count, 0);
    rig_advance(&many, T0 + 7 * SM_SEC);
    unsigned kept = many.seen_count;
    *sum_of_ids = 0;
    for (unsigned i = 0; i < kept; i++)
        *sum_of_ids += many.seen[i].id.lo;
    cr_expect_eq(rig_stat(&many, SM_STAT_SPANS_KEPT), kept);
    cr_expect_eq(rig_stat(&many, SM_STAT_SPANS_SAMPLED_OUT), 100 - kept);
    rig_check_balance(&many, 0);
    rig_close(&many);
    return kept;
}

Test(decide, a_limit_is_settled_over_all_shards_alike)
{
    uint64_t one, eight;
    unsigned kept = kept_under_limit(1, &one);
    cr_expect(kept >= 9 && kept <= 11, "%u kept", kept);
    cr_expect_eq(kept_under_limit(8, &eight), kept);
    cr_expect_eq(one, eight, "the same traces");
}

static const struct sm_rule_spec limit_then_keep[] = {
    {.name = "some", .action = SM_RULE_RATE, .spans_per_second = 10, .burst_spans = 10, .else_next = true},
    {.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
    {.name = "few", .action = SM_RULE_RATE, .spans_per_second = 5, .burst_spans = 5}};

/* What the first limit refuses asks the second one a tick later. */
Test(decide, refused_traces_ask_the_next_rules)
{
    r.rules = (struct sm_rules_config){.rules = limit_then_keep, .count = 3};
    rig_open(&r);
    for (uint64_t i = 1; i <= 100; i++)
        rig_span(&r, T0, (struct rig_span){.trace = i * 7919, .id = i, .error = i % 2});
    rig_advance(&r, T0 + 8 * SM_SEC);
    uint64_t kept = rig_stat(&r, SM_STAT_SPANS_KEPT);
    cr_expect(kept >= 50 + 5 + 4 && kept <= 50 + 11 + 6, "%lu kept", (unsigned long)kept);
    cr_expect_eq(kept + rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), 100);
    rig_close(&r);
}

Test(decide, parked_traces_count_as_open_until_they_are_settled)
{
    r.rules = (struct sm_rules_config){.rules = ten_per_second, .count = 1};
    r.windows = sm_windows_default;
    r.windows.max_spans = 1;
    rig_open(&r);
    rig_span(&r, T0 + MS(10), (struct rig_span){.trace = 1, .id = 1}); /* closes at once and is parked until the tick */
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_SPANS), 1);
    cr_expect_not(sm_shard_quiet(r.pipeline->shards[0]));
    sm_shard_tend(r.pipeline->shards[0], T0 + MS(10), 1, 0);
    struct sm_pipeline_gauges g = sm_pipeline_gauges(r.pipeline);
    cr_expect_eq(g.spans_open, 1);
    cr_expect_eq(g.traces_open, 1, "spans that come now still belong to it");
    rig_check_balance(&r, g.spans_open);
    rig_advance(&r, T0 + MS(300));
    cr_expect_eq(r.seen_count, 1);
    sm_shard_tend(r.pipeline->shards[0], T0 + MS(300), 4, 0);
    cr_expect_eq(sm_pipeline_gauges(r.pipeline).spans_open, 0);
    rig_close(&r);
}

Test(decide, spans_join_a_trace_that_waits_for_its_limiter)
{
    static const struct sm_rule_spec rate = {.name = "r", .action = SM_RULE_RATE, .spans_per_second = 1, .burst_spans = 2};
    r.rules = (struct sm_rules_config){.rules = &rate, .count = 1};
    r.windows = sm_windows_default;
    r.windows.max_spans = 2;
    rig_open(&r);
    struct rig_span spans[5];
    for (unsigned i = 0; i < 5; i++)
        spans[i] = (struct rig_span){.trace = 1, .id = i + 1, .parent = 100};
    rig_submit(&r, T0 + MS(10), spans, 2);
    rig_submit(&r, T0 + MS(20), spans + 2, 3);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_OPENED), 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 0);
    rig_advance(&r, T0 + MS(100));
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 5);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_KEPT), 1);
    rig_close(&r);
}
