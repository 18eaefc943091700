#include "pipeline/shard.h"

#include "tests/support/pipeline_rig.h"

#define T0 RIG_START_NS
#define MS(n) ((n) * SM_MS)

static struct rig r;

static const struct sm_rule_spec drop_fine[] = {{.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
                                                {.name = "rest", .action = SM_RULE_DROP}};

/* --- figures and reading --- */

Test(shard, gauges_follow_what_is_open)
{
    r.shards = 4;
    rig_open(&r);
    for (uint64_t i = 1; i <= 40; i++) {
        rig_span(&r, T0, (struct rig_span){.trace = i, .id = 1, .padding = 1000});
        rig_span(&r, T0, (struct rig_span){.trace = i, .id = 2, .parent = 1});
    }
    rig_advance(&r, T0 + SM_SEC);
    struct sm_pipeline_gauges g = sm_pipeline_gauges(r.pipeline);
    cr_expect_eq(g.spans_open, 80);
    cr_expect_eq(g.traces_open, 40);
    cr_expect_geq(g.bytes_open, 40 * 1000);
    cr_expect_geq(g.memory_bytes, g.bytes_open);
    rig_check_balance(&r, g.spans_open);
    rig_advance(&r, T0 + 7 * SM_SEC);
    g = sm_pipeline_gauges(r.pipeline);
    cr_expect(g.spans_open == 0 && g.traces_open == 0 && g.bytes_open == 0);
    rig_close(&r);
}

static uint32_t visited_spans, visited_traces;

static void visit(void *ctx, const struct sm_trace *t)
{
    struct sm_trace_iter it = sm_trace_iter(t);
    const struct sm_span *span;
    const uint8_t *bytes;
    cr_assert_eq(ctx, &visited_spans);
    visited_traces++;
    while (sm_trace_next(&it, &span, &bytes))
        visited_spans++;
}

Test(shard, open_traces_can_be_read)
{
    r.shards = 4;
    rig_open(&r);
    struct rig_span spans[200];
    for (unsigned i = 0; i < 200; i++)
        spans[i] = (struct rig_span){.trace = 1 + i % 20, .id = i + 1};
    rig_submit(&r, T0, spans, 200);
    struct sm_trace_id id = {.lo = 3};
    sm_pipeline_visit_open(r.pipeline, &id, visit, &visited_spans);
    cr_expect(visited_traces == 1 && visited_spans == 10);
    id.hi = 99;
    sm_pipeline_visit_open(r.pipeline, &id, visit, &visited_spans);
    cr_expect_eq(visited_traces, 2, "the 128-bit form finds the 64-bit one");
    id.lo = 999;
    sm_pipeline_visit_open(r.pipeline, &id, visit, &visited_spans);
    cr_expect_eq(visited_traces, 2);
    visited_traces = visited_spans = 0;
    sm_pipeline_visit_open(r.pipeline, NULL, visit, &visited_spans);
    cr_expect(visited_traces == 20 && visited_spans == 200);
    rig_span(&r, T0, (struct rig_span){.trace = 3, .id = 1000}); /* goes on after it was settled for reading */
    rig_advance(&r, T0 + 7 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 201);
    rig_close(&r);
}

static void visit_kept(const struct sm_trace_id *id)
{
    visited_traces = visited_spans = 0;
    sm_pipeline_visit_kept(r.pipeline, id, visit, &visited_spans);
}

Test(shard, kept_traces_can_be_read_until_the_sinks_are_through)
{
    struct sm_trace_id id = {.lo = 7}, other = {.lo = 8};
    r.show_kept = r.sink_stuck = true;
    r.shards = 2;
    rig_open(&r);
    for (unsigned i = 0; i < 20; i++)
        rig_span(&r, T0, (struct rig_span){.trace = 1 + i % 10, .id = i + 1});
    visit_kept(NULL);
    cr_expect_eq(visited_traces, 0, "they are open");
    rig_advance(&r, T0 + 7 * SM_SEC);
    visit_kept(NULL);
    cr_expect(visited_traces == 10 && visited_spans == 20);
    visit_kept(&id);
    cr_expect(visited_traces == 1 && visited_spans == 2);
    rig_span(&r, T0 + 8 * SM_SEC, (struct rig_span){.trace = 7, .id = 100, .parent = 1}); /* late */
    rig_advance(&r, T0 + 12 * SM_SEC);
    visit_kept(&id);
    cr_expect(visited_traces == 2 && visited_spans == 3);
    visit_kept(&other);
    cr_expect(visited_traces == 1 && visited_spans == 2);
    r.sink_stuck = false;
    while (r.held_count)
        rig_sink_take(&r, r.held[--r.held_count]);
    rig_advance(&r, T0 + 13 * SM_SEC);
    cr_expect_eq(r.seen_count, 11);
    visit_kept(NULL);
    cr_expect_eq(visited_traces, 0, "the sink has them");
    rig_close(&r);
}

Test(shard, kept_traces_are_not_shown_unasked)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 7 * SM_SEC);
    visit_kept(NULL);
    cr_expect_eq(visited_traces, 0);
    rig_close(&r);
}

/* What a trace holds of a source is held until the last sink is through with it. */
Test(shard, epochs_are_held_until_the_sinks_are_through)
{
    r.sink_stuck = true;
    rig_open(&r);
    const struct sm_epochs *e = sm_shard_epochs(r.pipeline->shards[0]);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + SM_SEC);
    cr_expect_eq(sm_epochs_low(e, SM_SOURCE_LIVE), 1);
    rig_advance(&r, T0 + 9 * SM_SEC);
    cr_expect_eq(r.held_count, 1);
    rig_span(&r, T0 + 9 * SM_SEC, (struct rig_span){.trace = 2, .id = 1}); /* so that ticks are fired and not skipped */
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(sm_epochs_low(e, SM_SOURCE_LIVE), 1, "kept, but not yet written");
    r.sink_stuck = false;
    rig_sink_take(&r, r.held[--r.held_count]);
    rig_advance(&r, T0 + 11 * SM_SEC);
    cr_expect_eq(sm_epochs_low(e, SM_SOURCE_LIVE), 91, "the second trace's");
    rig_close(&r);
}

/* --- memory --- */

Test(shard, above_the_hard_mark_the_heaviest_goes_first)
{
    r.memory_bytes = 4 * SM_MIB;
    rig_open(&r);
    for (unsigned i = 0; i < 40; i++)
        rig_span(&r, T0, (struct rig_span){.trace = 100 + i, .id = 1, .padding = 1000});
    for (unsigned i = 0; i < 64; i++) /* 4 MiB in one trace; back-pressure only knows what was published at a tick */
        rig_span(&r, T0, (struct rig_span){.trace = 7, .id = i + 1, .padding = 65000});
    rig_span(&r, T0, (struct rig_span){.trace = 8, .id = 1, .padding = 10});
    rig_advance(&r, T0 + SM_SEC);
    cr_assert_geq(r.seen_count, 1);
    cr_expect(r.seen[0].id.lo == 7 && r.seen[0].trigger == SM_TRIGGER_MEMORY && r.seen[0].spans == 64);
    cr_expect_eq(r.seen_count, 1, "that was enough");
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_MEMORY), 1);
    cr_expect_eq(sm_pipeline_gauges(r.pipeline).traces_open, 41);
    rig_close(&r);
}

Test(shard, many_small_traces_above_the_hard_mark_go_oldest_first)
{
    r.memory_bytes = SM_MIB;
    rig_open(&r);
    for (unsigned i = 0; i < 400; i++)
        rig_span(&r, T0 + MS(i), (struct rig_span){.trace = 1000 + i, .id = 1, .padding = 4000});
    rig_advance(&r, T0 + SM_SEC);
    cr_assert_geq(r.seen_count, 100);
    cr_assert_lt(r.seen_count, 400);
    uint64_t oldest_left = 1000 + r.seen_count, misplaced = 0;
    for (unsigned i = 0; i < r.seen_count; i++)
        misplaced += r.seen[i].id.lo >= oldest_left + 100; /* within one tick of each other the order is open */
    cr_expect_eq(misplaced, 0);
    rig_close(&r);
}

/* --- the end --- */

Test(shard, shutdown_closes_every_window_with_a_decision)
{
    r.rules = (struct sm_rules_config){.rules = drop_fine, .count = 2};
    rig_open(&r);
    for (unsigned i = 1; i <= 10; i++)
        rig_span(&r, T0, (struct rig_span){.trace = i, .id = 1, .error = i > 5});
    rig_close(&r); /* checks the balance */
    cr_expect_eq(r.seen_count, 5);
    for (unsigned i = 0; i < 5; i++)
        cr_expect(r.seen[i].trigger == SM_TRIGGER_SHUTDOWN && r.seen[i].id.lo > 5);
}

static const struct sm_rule_spec ten_per_second[] = {
    {.name = "some", .action = SM_RULE_RATE, .spans_per_second = 10, .burst_spans = 10}};

Test(shard, what_is_abandoned_is_counted)
{
    r.threads = true;
    r.rules = (struct sm_rules_config){.rules = ten_per_second, .count = 1};
    r.windows = sm_windows_default;
    r.windows.max_spans = 3;
    rig_open(&r);
    for (unsigned i = 1; i <= 10; i++)
        rig_span(&r, T0, (struct rig_span){.trace = i, .id = 1});
    struct rig_span parked[] = {{.trace = 99, .id = 1}, {.trace = 99, .id = 2}, {.trace = 99, .id = 3}};
    rig_submit(&r, T0, parked, 3);
    sm_pipeline_stop(r.pipeline);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DROPPED_SHUTDOWN), 13, "open ones and the parked one");
    cr_expect_eq(r.seen_count, 0);
    rig_close(&r);
}
