/* Windows and decisions of an inline pipeline with one shard, seen through its counters. */
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "pipeline/shard.h"
#include "pipeline/worker.h"
#include "tests/support/trace_maker.h"

#include <criterion/criterion.h>

#define START_NS (1000 * SM_SEC)

static struct sm_names *names;
static struct sm_scopes *scopes;
static struct sm_wanted *wanted;
static struct sm_rules *rules;
static struct sm_fanout *fanout;
static struct sm_pipeline *pipeline;
static struct sm_windows windows;
static struct maker m;

static void setup(void)
{
    names = sm_names_new(1000, 1 << 20);
    scopes = sm_scopes_new(names, 1000, 1 << 20);
    wanted = sm_wanted_new(1);
    windows = sm_windows_default;
    maker_init(&m, NULL);
}

static void teardown(void)
{
    sm_pipeline_close_all(pipeline);
    sm_fanout_stop(fanout, 0);
    sm_pipeline_free(pipeline);
    sm_fanout_free(fanout);
    sm_rules_free(rules);
    sm_wanted_free(wanted);
    sm_scopes_free(scopes);
    sm_names_free(names);
    maker_fini(&m);
}

TestSuite(windows, .init = setup, .fini = teardown);

/* `rule` may be NULL: everything is kept. */
static void start(const struct sm_rule_spec *rule)
{
    struct sm_err err;
    struct sm_rules_error error;
    struct sm_rules_config config = {.rules = rule, .count = rule != NULL};
    cr_assert_eq(sm_rules_new(&config, wanted, &rules, &error), SM_OK, "%s", error.text);
    fanout = sm_fanout_new(&(struct sm_fanout_config){.shards = 1, .placement = SM_FANOUT_INLINE, .names = names, .scopes = scopes},
                           &err);
    cr_assert_not_null(fanout, "%s", err.text);
    struct sm_pipeline_config p = {
        .placement = SM_PLACEMENT_INLINE,
        .workers = 1,
        .shards = 1,
        .windows = windows,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = 100,
        .dropped_decisions_max = 100,
        .skeleton_bytes_max = 1 << 20,
        .late_grace_ns = 60 * SM_SEC,
        .start_ns = START_NS,
        .names = names,
        .scopes = scopes,
        .wanted = wanted,
        .policy = sm_rules_policy(rules),
        .fanout = fanout,
    };
    pipeline = sm_pipeline_new(&p, &err);
    cr_assert_not_null(pipeline, "%s", err.text);
}

/* Spans first..last of the one trace arrive in one payload, so many milliseconds after the start. Without a parent: roots. */
static void arrive(int64_t ms, uint64_t first, uint64_t last, uint64_t parent)
{
    struct sm_worker *w = sm_pipeline_worker(pipeline, 0);
    struct sm_submit result;
    sm_buf_clear(&m.request);
    maker_resource(&m);
    for (uint64_t id = first; id <= last; id++)
        maker_span(&m, (struct maker_span){.id = id, .parent = parent, .name = "a", .start_ms = 1, .duration_ms = 1});
    maker_end_resource(&m);
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(w), m.request.size);
    memcpy(p->data, m.request.data, m.request.size);
    p->size = m.request.size;
    p->arrived_ns = START_NS + ms * SM_MS;
    sm_pipeline_advance(pipeline, p->arrived_ns);
    sm_worker_submit(w, &sm_codec_otlp_proto, SM_SOURCE_LIVE, &p, &result);
    cr_assert_eq(result.accepted, last - first + 1);
}

static void pass(int64_t ms)
{
    sm_pipeline_advance(pipeline, START_NS + ms * SM_MS);
}

static uint64_t stat(enum sm_stat id)
{
    return sm_pipeline_stat(pipeline, id);
}

Test(windows, a_window_is_cut_at_its_last_span)
{
    windows.max_spans = 3;
    start(NULL);
    arrive(0, 1, 8, 100);
    cr_expect_eq(stat(SM_STAT_CLOSED_SPANS), 2);
    cr_expect_eq(stat(SM_STAT_SPANS_KEPT), 6);
    cr_expect_eq(stat(SM_STAT_SPANS_LATE_KEPT), 3);
    pass(5000);
    cr_expect_eq(stat(SM_STAT_SPANS_KEPT), 8);
    cr_expect_eq(stat(SM_STAT_TRACES_KEPT), 1);
}

Test(windows, spans_join_a_trace_that_waits_for_its_limiter)
{
    windows.max_spans = 2;
    start(&(struct sm_rule_spec){.name = "r", .action = SM_RULE_RATE, .spans_per_second = 1, .burst_spans = 2});
    arrive(10, 1, 2, 100);
    arrive(20, 3, 5, 100);
    cr_expect_eq(stat(SM_STAT_TRACES_OPENED), 1);
    cr_expect_eq(stat(SM_STAT_SPANS_KEPT), 0);
    pass(100);
    cr_expect_eq(stat(SM_STAT_SPANS_KEPT), 5);
    cr_expect_eq(stat(SM_STAT_TRACES_KEPT), 1);
}

Test(windows, idle_is_for_windows_without_a_root)
{
    windows.idle_ns = 4600 * SM_MS;
    windows.after_root_ns = 5 * SM_SEC;
    start(NULL);
    arrive(0, 1, 1, 100);
    arrive(300, 2, 2, 0);
    pass(5200);
    cr_expect_eq(stat(SM_STAT_TRACES_KEPT), 0);
    pass(5300);
    cr_expect_eq(stat(SM_STAT_CLOSED_ROOT), 1);
}

Test(windows, a_short_idle_is_kept)
{
    windows.idle_ns = 200 * SM_MS;
    windows.after_root_ns = 5 * SM_SEC;
    start(NULL);
    arrive(0, 1, 1, 100);
    pass(200);
    cr_expect_eq(stat(SM_STAT_CLOSED_IDLE), 1);
}
