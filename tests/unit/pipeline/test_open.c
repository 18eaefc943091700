#include "tests/support/pipeline_rig.h"

#define T0 RIG_START_NS

static struct rig r;

static const struct sm_rule_spec drop_fine[] = {{.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
                                                {.name = "rest", .action = SM_RULE_DROP}};

Test(open, late_spans_of_a_kept_trace_follow_it)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_assert_eq(r.seen_count, 1);
    rig_span(&r, T0 + 10 * SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_span(&r, T0 + 11 * SM_SEC, (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    rig_span(&r, T0 + 11 * SM_SEC, (struct rig_span){.trace = 1, .id = 1});
    rig_expect_closes(&r, T0 + 13 * SM_SEC, SM_TRIGGER_LATE);
    cr_expect(r.seen[1].late && r.seen[1].spans == 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 1, "known from the skeleton");
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_KEPT), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_UNLINKED), 0);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_KEPT), 1);
    rig_span(&r, T0 + 14 * SM_SEC, (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    rig_advance(&r, T0 + 20 * SM_SEC);
    cr_expect_eq(r.seen_count, 2, "nothing but a duplicate of a late span");
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 2);
    rig_close(&r);
}

Test(open, after_the_grace_late_spans_are_unlinked)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    rig_span(&r, T0 + 100 * SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + 110 * SM_SEC);
    cr_expect_eq(r.seen_count, 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_UNLINKED), 1);
    rig_close(&r);
}

Test(open, late_spans_of_a_dropped_trace_follow_it_but_news_of_an_error_opens_a_window)
{
    r.rules = (struct sm_rules_config){.rules = drop_fine, .count = 2};
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), 1);
    rig_span(&r, T0 + 10 * SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + 20 * SM_SEC);
    cr_expect_eq(r.seen_count, 0);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_DROPPED), 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_SAMPLED_OUT), 1);
    rig_span(&r, T0 + 20 * SM_SEC, (struct rig_span){.trace = 1, .id = 3, .parent = 1, .error = true});
    rig_advance(&r, T0 + 60 * SM_SEC);
    cr_expect_eq(rig_only_seen(&r)->spans, 1);
    cr_expect_not(rig_only_seen(&r)->late);
    rig_close(&r);
}

Test(open, of_a_dropped_trace_without_skeleton_late_spans_are_only_counted)
{
    r.rules = (struct sm_rules_config){.rules = drop_fine, .count = 2};
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    rig_span(&r, T0 + 200 * SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), 2, "at once, without a window");
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_UNLINKED), 1);
    rig_close(&r);
}

/* What reopened a trace turns out to be known when its window closes: there is nothing to decide, and nothing is. */
Test(open, a_reopened_window_of_nothing_but_duplicates_is_not_decided)
{
    static const struct sm_rule_spec limit[] = {
        {.name = "fine", .when = "{ status != error }", .action = SM_RULE_DROP},
        {.name = "errors", .action = SM_RULE_RATE, .spans_per_second = 0.001, .burst_spans = 2, .else_next = false}};
    r.rules = (struct sm_rules_config){.rules = limit, .count = 2};
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    struct rig_span news = {.trace = 7, .trace_hi = 5, .id = 2, .parent = 1, .error = true};
    struct rig_span other = {.trace = 7, .trace_hi = 6, .id = 3, .parent = 1, .error = true};
    rig_span(&r, T0 + 10 * SM_SEC, other);
    rig_span(&r, T0 + 11 * SM_SEC, news);
    news.trace_hi = 0; /* one of two: a window of its own */
    rig_span(&r, T0 + 12 * SM_SEC, news);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_OPENED), 4);
    rig_advance(&r, T0 + 40 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_KEPT), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_SAMPLED_OUT), 1);
    cr_expect_eq(sm_rules_counts(r.compiled, 2).matched, 2, "rules were not asked about it");
    rig_check_balance(&r, 0);
    rig_close(&r);
}

/* A rate is not charged for spans that are duplicates of what went before. */
Test(open, a_reopened_window_is_decided_without_its_duplicates)
{
    static const struct sm_rule_spec rules[] = {
        {.name = "errors", .when = "{ status = error }", .action = SM_RULE_RATE, .spans_per_second = 0.001, .burst_spans = 2},
        {.name = "rest", .action = SM_RULE_DROP}};
    r.rules = (struct sm_rules_config){.rules = rules, .count = 2};
    rig_open(&r);
    struct rig_span old[] = {{.trace = 7, .id = 1}, {.trace = 7, .id = 2, .parent = 1}, {.trace = 7, .id = 3, .parent = 1}};
    rig_submit(&r, T0, old, 3);
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), 3);
    rig_span(&r, T0 + 10 * SM_SEC, (struct rig_span){.trace = 7, .id = 4, .parent = 1, .error = true});
    rig_submit(&r, T0 + 10 * SM_SEC, old, 3);
    rig_advance(&r, T0 + 40 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 3);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 1, "four spans would not pass");
    rig_close(&r);
}
