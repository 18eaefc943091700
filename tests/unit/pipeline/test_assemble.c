#include "tests/support/pipeline_rig.h"

#define T0 RIG_START_NS

static struct rig r;

/* A trace closes at the span that reaches the limit, also in the middle of a batch; what follows is late. */
Test(assemble, too_many_spans_close_at_once_and_none_is_lost)
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

Test(assemble, a_window_is_cut_at_its_last_span)
{
    r.windows = sm_windows_default;
    r.windows.max_spans = 3;
    rig_open(&r);
    struct rig_span spans[8];
    for (unsigned i = 0; i < 8; i++)
        spans[i] = (struct rig_span){.trace = 1, .id = i + 1, .parent = 100};
    rig_submit(&r, T0, spans, 8);
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_SPANS), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 6);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_LATE_KEPT), 3);
    rig_advance(&r, T0 + 5 * SM_SEC);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_KEPT), 8);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_KEPT), 1);
    rig_close(&r);
}

Test(assemble, too_many_bytes_close_at_once)
{
    r.windows = sm_windows_default;
    r.windows.max_bytes = 100000;
    rig_open(&r);
    for (unsigned i = 0; i < 2; i++)
        rig_span(&r, T0, (struct rig_span){.trace = 1, .id = i + 1, .padding = 60000});
    rig_span(&r, T0, (struct rig_span){.trace = 2, .id = 1}); /* stays open, so that ticks are fired */
    rig_advance(&r, T0 + SM_SEC);
    cr_expect_eq(rig_only_seen(&r)->trigger, SM_TRIGGER_BYTES);
    cr_expect_eq(rig_only_seen(&r)->spans, 2);
    rig_close(&r);
}

Test(assemble, large_spans_survive_whole)
{
    rig_open(&r);
    static const uint32_t sizes[] = {1, 1000, 16000, 16384, 17000, 60000, 65536};
    for (unsigned i = 0; i < SM_ARRAY_LEN(sizes); i++)
        rig_span(&r, T0, (struct rig_span){.trace = 1, .id = i + 1, .padding = sizes[i]});
    rig_advance(&r, T0 + 7 * SM_SEC);
    cr_expect_eq(rig_only_seen(&r)->spans, SM_ARRAY_LEN(sizes));
    rig_close(&r);
}

/* --- identity --- */

Test(assemble, a_64_bit_id_joins_the_only_128_bit_one)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .trace_hi = 5, .id = 2, .parent = 1});
    rig_span(&r, T0, (struct rig_span){.trace = 7, .id = 3, .parent = 1});
    rig_advance(&r, T0 + 10 * SM_SEC);
    cr_expect_eq(rig_only_seen(&r)->spans, 3);
    cr_expect(rig_only_seen(&r)->id.hi == 5 && rig_only_seen(&r)->id.lo == 7, "the wider id wins");
    cr_expect_eq(rig_stat(&r, SM_STAT_IDS_JOINED), 2);
    rig_close(&r);
}

Test(assemble, two_128_bit_ids_never_join)
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

/* --- grouping --- */

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

Test(assemble, how_spans_are_grouped_does_not_matter)
{
    expect_grouping_does_not_matter(narrow_first, SM_ARRAY_LEN(narrow_first), 0, false);
    for (unsigned seed = 0; seed < 100; seed++) {
        struct rig_span spans[200];
        random_spans(seed, spans, SM_ARRAY_LEN(spans));
        expect_grouping_does_not_matter(spans, SM_ARRAY_LEN(spans), seed, seed / 2 % 2);
    }
}
