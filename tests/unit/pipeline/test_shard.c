#include "pipeline/wheel.h"
#include "tests/support/pipeline_rig.h"

#include <stdlib.h>

#define T0 RIG_START_NS
#define MS(n) ((n) * SM_MS)

static struct rig r;

static const struct rig_seen *only_seen(void)
{
    cr_assert_eq(r.seen_count, 1, "%u traces", r.seen_count);
    return &r.seen[0];
}

/* The trace is open before closes_ns and has closed with the tick after it. */
static void expect_closes(int64_t closes_ns, enum sm_trigger trigger)
{
    unsigned before = r.seen_count;
    rig_advance(&r, closes_ns - 1);
    cr_assert_eq(r.seen_count, before, "closed too early");
    rig_advance(&r, closes_ns + 2 * SM_TICK_NS);
    cr_assert_eq(r.seen_count, before + 1, "still open");
    const struct rig_seen *s = &r.seen[before];
    cr_expect_eq(s->trigger, trigger, "%s", sm_trigger_name((enum sm_trigger)s->trigger));
    cr_expect(s->closed_ns >= closes_ns && s->closed_ns <= closes_ns + SM_TICK_NS, "%ld ns late", (long)(s->closed_ns - closes_ns));
}

/* --- windows and triggers --- */

Test(shard, with_a_root_it_closes_after_quiet)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + MS(5000));
    rig_span(&r, T0 + MS(5000), (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + MS(9000));
    rig_span(&r, T0 + MS(9050), (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    expect_closes(T0 + MS(15050), SM_TRIGGER_ROOT);
    cr_expect_eq(r.seen[0].spans, 3);
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_ROOT), 1);
    rig_close(&r);
}

Test(shard, without_a_root_it_closes_when_idle)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_span(&r, T0 + MS(4000), (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    expect_closes(T0 + MS(19000), SM_TRIGGER_IDLE);
    rig_close(&r);
}

Test(shard, a_root_that_comes_late_shortens_the_wait)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + MS(8000));
    rig_span(&r, T0 + MS(8000), (struct rig_span){.trace = 1, .id = 1});
    expect_closes(T0 + MS(14000), SM_TRIGGER_ROOT);
    rig_close(&r);
}

Test(shard, a_trace_that_never_rests_closes_by_age)
{
    rig_open(&r);
    for (int64_t at = 0; at < 120; at++) {
        rig_advance(&r, T0 + at * SM_SEC);
        rig_span(&r, T0 + at * SM_SEC, (struct rig_span){.trace = 1, .id = (uint64_t)at + 1});
    }
    expect_closes(T0 + 120 * SM_SEC, SM_TRIGGER_AGE);
    cr_expect_eq(only_seen()->spans, 120);
    rig_close(&r);
}

Test(shard, windows_longer_than_the_wheel)
{
    r.windows = sm_windows_default;
    r.windows.idle_ns = 600 * SM_SEC;
    r.windows.max_age_ns = 3600 * SM_SEC;
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    expect_closes(T0 + 600 * SM_SEC, SM_TRIGGER_IDLE);
    rig_close(&r);
}

Test(shard, windows_shorter_than_a_tick)
{
    r.windows = sm_windows_default;
    r.windows.after_root_ns = r.windows.idle_ns = 1;
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 2 * SM_TICK_NS);
    cr_expect_eq(only_seen()->trigger, SM_TRIGGER_ROOT);
    rig_close(&r);
}

/* A trace closes at the span that reaches the limit, also in the middle of a batch; what follows is late. */
Test(shard, too_many_spans_close_at_once_and_none_is_lost)
{
    r.windows = sm_windows_default;
    r.windows.max_spans = 100;
    rig_open(&r);
    struct rig_span spans[300];
    for (unsigned i = 0; i < 300; i++)
        spans[i] = (struct rig_span){.trace = 1, .id = i + 1};
    cr_assert_eq(rig_submit(&r, T0, spans, 300).accepted, 300);
    rig_advance(&r, T0 + SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_SPANS), 3, "late parts have the same limit");
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_assert_eq(r.seen_count, 3, "%u", r.seen_count);
    cr_expect(r.seen[0].trigger == SM_TRIGGER_SPANS && r.seen[0].spans == 100 && !r.seen[0].late);
    uint32_t sum = 0;
    for (unsigned i = 0; i < r.seen_count; i++) {
        sum += r.seen[i].spans;
        cr_expect_eq(r.seen[i].late, i > 0);
    }
    cr_expect_eq(sum, 300);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_KEPT), 200);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_KEPT), 1);
    rig_close(&r);
}

Test(shard, too_many_bytes_close_at_once)
{
    r.windows = sm_windows_default;
    r.windows.max_bytes = 100000;
    rig_open(&r);
    for (unsigned i = 0; i < 2; i++)
        rig_span(&r, T0, (struct rig_span){.trace = 1, .id = i + 1, .padding = 60000});
    rig_span(&r, T0, (struct rig_span){.trace = 2, .id = 1}); /* stays open, so that ticks are fired */
    rig_advance(&r, T0 + SM_SEC);
    cr_expect_eq(only_seen()->trigger, SM_TRIGGER_BYTES);
    cr_expect_eq(only_seen()->spans, 2);
    rig_close(&r);
}

Test(shard, large_spans_survive_whole)
{
    rig_open(&r);
    static const uint32_t sizes[] = {1, 1000, 16000, 16384, 17000, 60000, 65536};
    for (unsigned i = 0; i < SM_ARRAY_LEN(sizes); i++)
        rig_span(&r, T0, (struct rig_span){.trace = 1, .id = i + 1, .padding = sizes[i]});
    rig_advance(&r, T0 + 7 * SM_SEC);
    cr_expect_eq(only_seen()->spans, SM_ARRAY_LEN(sizes));
    rig_close(&r);
}

/* --- identity --- */

Test(shard, a_64_bit_id_joins_the_only_128_bit_one)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .trace_hi = 5, .id = 2, .parent = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 3, .parent = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(only_seen()->spans, 3);
    cr_expect(only_seen()->id.hi == 5 && only_seen()->id.lo == 7, "the wider id wins");
    cr_expect_eq(rig_stat(&r, SM_STAT_IDS_JOINED), 2);
    rig_close(&r);
}

Test(shard, two_128_bit_ids_never_join)
{
    r.no_late = true;
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 7, .trace_hi = 5, .id = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .trace_hi = 6, .id = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 2});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_assert_eq(r.seen_count, 3, "with two of them open the 64-bit one stands alone");
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(r.seen[i].spans, 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_IDS_JOINED), 0);
    rig_close(&r);
}

/* A batch of spans of few ids in several widths, errors among them, and windows that overflow in its middle. */
static void random_spans(unsigned seed, struct rig_span *spans, unsigned n)
{
    uint64_t x = seed + 1;
    for (unsigned i = 0; i < n; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        spans[i] = (struct rig_span){.trace = 7 + (x >> 33) % 2, .trace_hi = (x >> 40) % 4, .id = i + 1, .parent = 1,
                                     .error = (x >> 50) % 8 == 0};
    }
}

static void expect_same(const struct rig *a, const struct rig *b, unsigned seed)
{
    for (unsigned i = 0; i < SM_STAT_COUNT; i++) {
        if (i != SM_STAT_PAYLOADS && i != SM_STAT_PAYLOAD_BYTES && i != SM_STAT_BIG_CHUNKS)
            cr_assert_eq(rig_stat(a, i), rig_stat(b, i), "seed %u: %s{%s} %lu, one by one %lu", seed, sm_stat_infos[i].metric,
                         sm_stat_infos[i].labels, (unsigned long)rig_stat(a, i), (unsigned long)rig_stat(b, i));
    }
    cr_assert_eq(a->seen_count, b->seen_count);
    for (unsigned i = 0; i < a->seen_count; i++) {
        const struct rig_seen *p = &a->seen[i], *q = &b->seen[i];
        cr_assert(p->id.hi == q->id.hi && p->id.lo == q->id.lo && p->spans == q->spans && p->late == q->late &&
                      p->trigger == q->trigger, "seed %u, trace %u", seed, i);
    }
}

static const struct rig_span narrow_first[] = {
    {.trace = 7, .id = 1},
    {.trace = 7, .trace_hi = 1, .id = 2},
    {.trace = 7, .trace_hi = 2, .id = 3},
    {.trace = 7, .id = 4}, /* the first trace is wide by now, and two could be meant */
};

static const struct sm_rule_spec drop_fine[] = {{.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
                                                {.name = "rest", .action = SM_RULE_DROP}};

/* How spans are grouped depends on the number of shards and on what else is in a payload. */
static void expect_grouping_does_not_matter(const struct rig_span *spans, unsigned n, unsigned seed, bool with_rules)
{
    static struct rig batch, single;
    struct rig *both[] = {&batch, &single};
    for (unsigned k = 0; k < 2; k++) {
        *both[k] = (struct rig){.windows = sm_windows_default};
        both[k]->windows.max_spans = seed % 2 ? 5 : 1000;
        if (with_rules)
            both[k]->rules = (struct sm_rules_config){.rules = drop_fine, .count = 2};
        rig_open(both[k]);
    }
    rig_span(&batch, T0, spans[0]);
    rig_submit(&batch, T0, spans + 1, n - 1);
    for (unsigned i = 0; i < n; i++)
        rig_span(&single, T0, spans[i]);
    rig_advance(&batch, T0 + 60 * SM_SEC);
    rig_advance(&single, T0 + 60 * SM_SEC);
    expect_same(&batch, &single, seed);
    rig_close(&batch);
    rig_close(&single);
}

Test(shard, how_spans_are_grouped_does_not_matter)
{
    expect_grouping_does_not_matter(narrow_first, SM_ARRAY_LEN(narrow_first), 0, false);
    for (unsigned seed = 0; seed < 100; seed++) {
        struct rig_span spans[200];
        random_spans(seed, spans, SM_ARRAY_LEN(spans));
        expect_grouping_does_not_matter(spans, SM_ARRAY_LEN(spans), seed, seed / 2 % 2);
    }
}

Test(shard, duplicates_are_counted_once)
{
    rig_open(&r);
    struct rig_span spans[] = {{.trace = 1, .id = 1}, {.trace = 1, .id = 2, .parent = 1}, {.trace = 1, .id = 1}};
    rig_submit(&r, T0, spans, 3);
    rig_submit(&r, T0 + SM_SEC, spans, 2);
    rig_span(&r, T0 + SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1, .error = true});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(only_seen()->spans, 3, "same key with other content is its own record");
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DUPLICATE), 3);
    rig_close(&r);
}

/* --- late spans --- */

Test(shard, late_spans_of_a_kept_trace_follow_it)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_assert_eq(r.seen_count, 1);
    rig_span(&r, T0 + 10 * SM_SEC, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_span(&r, T0 + 11 * SM_SEC, (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    rig_span(&r, T0 + 11 * SM_SEC, (struct rig_span){.trace = 1, .id = 1});
    expect_closes(T0 + 13 * SM_SEC, SM_TRIGGER_LATE);
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

Test(shard, after_the_grace_late_spans_are_unlinked)
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

Test(shard, late_spans_of_a_dropped_trace_follow_it_but_news_of_an_error_opens_a_window)
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
    cr_expect_eq(only_seen()->spans, 1);
    cr_expect_not(only_seen()->late);
    rig_close(&r);
}

Test(shard, of_a_dropped_trace_without_skeleton_late_spans_are_only_counted)
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
Test(shard, a_reopened_window_of_nothing_but_duplicates_is_not_decided)
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
Test(shard, a_reopened_window_is_decided_without_its_duplicates)
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

Test(shard, a_limit_is_settled_over_all_shards_alike)
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
Test(shard, refused_traces_ask_the_next_rules)
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

Test(shard, parked_traces_count_as_open_until_they_are_settled)
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
