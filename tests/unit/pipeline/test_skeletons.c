#include "pipeline/skeletons.h"
#include "tests/support/trace_maker.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define SECONDS(n) ((n) * SM_SEC)

static struct sm_span spans[1000];
static struct sm_view_span view_spans[1000];
static struct sm_trace trace;

static void add_wide(struct sm_skeletons *s, uint64_t hi, uint64_t id, uint32_t count, int64_t now_ns)
{
    trace.id = (struct sm_trace_id){.hi = hi, .lo = id};
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = (struct sm_span){.span_id = id * 1000 + i, .n_wanted = 3, .flags = SM_SPAN_PRIVATE | SM_SPAN_ERROR};
        view_spans[i] = (struct sm_view_span){.span = &spans[i], .parent = SM_VIEW_NONE};
    }
    struct sm_view view = {.trace = &trace, .spans = view_spans, .count = count};
    sm_skeletons_add(s, &view, now_ns);
}

static void add(struct sm_skeletons *s, uint64_t id, uint32_t count, int64_t now_ns)
{
    add_wide(s, 1, id, count, now_ns);
}

static bool has_wide(const struct sm_skeletons *s, uint64_t hi, uint64_t id, uint32_t count, int64_t now_ns)
{
    uint32_t found = 0;
    const struct sm_skeleton *skeleton = sm_skeletons_find(s, (struct sm_trace_id){.hi = hi, .lo = id}, now_ns, &found);
    static struct sm_span heads[1000];
    if (!skeleton)
        return false;
    cr_assert_eq(found, count);
    sm_skeletons_read(skeleton, heads);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(heads[i].span_id == id * 1000 + i && heads[i].n_wanted == 0 && heads[i].flags == SM_SPAN_ERROR);
    return true;
}

static bool has(const struct sm_skeletons *s, uint64_t id, uint32_t count, int64_t now_ns)
{
    return has_wide(s, 1, id, count, now_ns);
}

Test(skeletons, forms_of_one_id_meet_but_wide_ids_are_told_apart)
{
    struct sm_skeletons *s = sm_skeletons_new(1 << 20, SECONDS(60));
    add_wide(s, 5, 1, 3, 0);
    add_wide(s, 6, 1, 4, 0);
    cr_expect(has_wide(s, 5, 1, 3, 0), "the other one did not replace it");
    cr_expect(has_wide(s, 6, 1, 4, 0));
    cr_expect_not(has_wide(s, 7, 1, 0, 0));
    cr_expect(has_wide(s, 0, 1, 4, 0), "the newest");
    add_wide(s, 0, 1, 5, 0);
    cr_expect(has_wide(s, 6, 1, 5, 0), "replaced by its short form, and stays wide");
    cr_expect(has_wide(s, 5, 1, 3, 0));
    cr_expect_not(has_wide(s, 7, 1, 0, 0));
    sm_skeletons_free(s);
}

Test(skeletons, are_found_within_the_grace)
{
    struct sm_skeletons *s = sm_skeletons_new(1 << 20, SECONDS(60));
    cr_expect_not(has(s, 1, 3, 0));
    add(s, 1, 3, SECONDS(10));
    add(s, 2, 1, SECONDS(10));
    cr_expect(has(s, 1, 3, SECONDS(10)));
    cr_expect(has(s, 2, 1, SECONDS(70)));
    cr_expect_not(has(s, 2, 1, SECONDS(70) + 1));
    cr_expect_not(has(s, 3, 1, SECONDS(10)));
    sm_skeletons_free(s);
}

Test(skeletons, a_newer_one_of_the_same_trace_replaces)
{
    struct sm_skeletons *s = sm_skeletons_new(1 << 20, SECONDS(60));
    add(s, 1, 3, 0);
    add(s, 1, 5, SECONDS(50));
    cr_expect(has(s, 1, 5, SECONDS(110)));
    sm_skeletons_free(s);
}

Test(skeletons, large_traces_leave_none)
{
    size_t bytes = 100 * 64; /* what heads are packed into at most */
    struct sm_skeletons *s = sm_skeletons_new(bytes, SECONDS(60));
    add(s, 1, 51, 0);
    cr_expect_not(has(s, 1, 51, 0), "might take more than half");
    add(s, 2, 48, 0);
    cr_expect(has(s, 2, 48, 0));
    sm_skeletons_free(s);
}

/* Memory is fixed: whatever is found is whole and right, the newest is always there, the oldest is gone. */
Test(skeletons, the_oldest_makes_room)
{
    static const size_t sizes[] = {4096, 4096 + 16, 10000, 65536 - 8};
    for (size_t k = 0; k < SM_ARRAY_LEN(sizes); k++) {
        struct sm_skeletons *s = sm_skeletons_new(sizes[k], SECONDS(60));
        for (uint64_t id = 1; id <= 2000; id++) {
            uint32_t count = 1 + (uint32_t)(id * 7 % 9);
            add(s, id, count, 0);
            cr_assert(has(s, id, count, 0), "size %zu, id %lu", sizes[k], (unsigned long)id);
            for (uint64_t back = 1; back < 300 && back < id; back++)
                has(s, id - back, 1 + (uint32_t)((id - back) * 7 % 9), 0);
        }
        cr_expect_not(has(s, 1, 8, 0));
        sm_skeletons_free(s);
    }
}

Test(skeletons, can_be_off)
{
    struct sm_skeletons *s = sm_skeletons_new(0, SECONDS(60));
    add(s, 1, 1, 0);
    cr_expect_not(has(s, 1, 1, 0));
    sm_skeletons_free(s);
    s = sm_skeletons_new(1 << 20, 0);
    add(s, 1, 1, 0);
    cr_expect_not(has(s, 1, 1, 0));
    sm_skeletons_free(s);
}

/* --- traces as they come --- */

#define GRACE_NS (60 * SM_SEC)

static struct maker m;
static struct sm_skeletons *skeletons;

static void setup(void)
{
    maker_init(&m, NULL);
    skeletons = sm_skeletons_new(1 << 20, GRACE_NS);
}

static void teardown(void)
{
    sm_skeletons_free(skeletons);
    maker_fini(&m);
}

TestSuite(skeletons, .init = setup, .fini = teardown);

static struct sm_trace_id id_of(uint64_t n)
{
    return (struct sm_trace_id){.hi = 1, .lo = n};
}

static void make_trace(uint64_t n, uint64_t span)
{
    maker_restart(&m, id_of(n));
    maker_resource(&m);
    maker_span(&m, (struct maker_span){.id = span, .name = "a", .start_ms = 1, .duration_ms = 1});
}

static uint32_t count_at(uint64_t n, int64_t now_ns)
{
    uint32_t count = 0;
    return sm_skeletons_find(skeletons, id_of(n), now_ns, &count) ? count : 0;
}

/* 1 MiB has 4,096 slots: with as many traces most slots have more than one. */
Test(skeletons, are_found_when_they_share_a_slot)
{
    for (uint64_t n = 1; n <= 4096; n++) {
        make_trace(n, n);
        sm_skeletons_add(skeletons, maker_view(&m), 0);
    }
    for (uint64_t n = 1; n <= 4096; n++)
        cr_assert_eq(count_at(n, 0), 1, "%llu", (unsigned long long)n);
}

/* Two traces in one slot, of which one leaves many. */
Test(skeletons, a_newer_one_of_a_trace_takes_the_place_of_the_older)
{
    for (uint64_t n = 1; n <= 1000; n++) {
        make_trace(n, n);
        sm_skeletons_add(skeletons, maker_view(&m), 0);
    }
    for (uint64_t i = 0; i < 80; i++) {
        for (uint64_t n = 1; n <= 100; n++) {
            make_trace(n, i + 1);
            sm_skeletons_add(skeletons, maker_view(&m), 0);
        }
    }
    for (uint64_t n = 1; n <= 1000; n++)
        cr_assert_eq(count_at(n, 0), 1, "%llu", (unsigned long long)n);
}

Test(skeletons, late_spans_join_but_do_not_lengthen_the_grace)
{
    uint32_t count;
    struct sm_span context;
    make_trace(1, 5);
    sm_skeletons_add(skeletons, maker_view(&m), 0);
    sm_skeletons_read(sm_skeletons_find(skeletons, id_of(1), GRACE_NS - 1, &count), &context);
    make_trace(1, 6);
    maker_trace(&m);
    sm_skeletons_add(skeletons, sm_view_build_late(m.names, &m.trace, &context, 1), GRACE_NS - 1);
    cr_expect_eq(count_at(1, GRACE_NS), 2);
    cr_expect_eq(count_at(1, GRACE_NS + 1), 0);
}

Test(skeletons, context_that_is_alike_is_no_duplicate_of_the_late_trace)
{
    uint32_t count;
    make_trace(1, 5);
    sm_skeletons_add(skeletons, maker_view(&m), 0);
    struct sm_span head;
    sm_skeletons_read(sm_skeletons_find(skeletons, id_of(1), 0, &count), &head);
    struct sm_span context[2] = {head, head};
    make_trace(1, 6);
    maker_trace(&m);
    const struct sm_view *v = sm_view_build_late(m.names, &m.trace, context, 2);
    cr_expect_eq(v->duplicates, 0);
    cr_expect_eq(v->duplicate_bytes, 0);
    cr_expect_eq(v->count - v->context, 1);
}

Test(skeletons, heads_come_back_as_they_were)
{
    static const struct sm_span heads[] = {
        {.span_id = 5, .start_ns = 1000, .duration_ns = 7, .name_id = 3, .scope_id = 2, .size = 300, .kind_status = 0x12},
        {.span_id = UINT64_MAX, .parent_id = 9, .start_ns = 900, .size = SM_SPAN_SIZE_MAX, .flags = SM_SPAN_ERROR | SM_SPAN_LINKS},
        {.span_id = 9, .parent_id = 5, .start_ns = 0, .flags = SM_SPAN_NO_START, .name_id = UINT32_MAX, .scope_id = UINT32_MAX},
        {.span_id = 11, .parent_id = UINT64_MAX - 1, .start_ns = UINT64_MAX, .duration_ns = UINT64_MAX, .kind_status = 0x25},
        {.span_id = 12, .parent_id = 7, .start_ns = 1001}, /* hangs below the client half with another id */
    };
    static const uint32_t parents[] = {SM_VIEW_NONE, 2, 0, SM_VIEW_NONE, 0};
    struct sm_view_span of[SM_ARRAY_LEN(heads)];
    for (unsigned i = 0; i < SM_ARRAY_LEN(heads); i++)
        of[i] = (struct sm_view_span){.span = &heads[i], .parent = parents[i]};
    trace.id = (struct sm_trace_id){1, 2};
    struct sm_view view = {.trace = &trace, .spans = of, .count = SM_ARRAY_LEN(heads), .start_ns = 900};
    struct sm_skeletons *s = sm_skeletons_new(1 << 16, SECONDS(60));
    for (unsigned round = 0; round < 2000; round++) { /* at any place of the ring, its end too */
        sm_skeletons_add(s, &view, 0);
        uint32_t count = 0;
        struct sm_span back[SM_ARRAY_LEN(heads)];
        const struct sm_skeleton *k = sm_skeletons_find(s, trace.id, 0, &count);
        cr_assert_eq(count, SM_ARRAY_LEN(heads));
        sm_skeletons_read(k, back);
        cr_assert_eq(memcmp(back, heads, sizeof heads), 0, "round %u", round);
    }
    sm_skeletons_free(s);
}
