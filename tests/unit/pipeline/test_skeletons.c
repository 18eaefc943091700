#include "pipeline/skeletons.h"
#include "tests/support/trace_maker.h"

#include <criterion/criterion.h>

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

Test(skeletons, are_found_for_the_grace)
{
    make_trace(1, 5);
    sm_skeletons_add(skeletons, maker_view(&m), SM_SEC);
    cr_expect_eq(count_at(1, SM_SEC + GRACE_NS), 1);
    cr_expect_eq(count_at(1, SM_SEC + GRACE_NS + 1), 0);
    cr_expect_eq(count_at(2, SM_SEC), 0);
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
    context = *sm_skeletons_find(skeletons, id_of(1), GRACE_NS - 1, &count);
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
    struct sm_span head = *sm_skeletons_find(skeletons, id_of(1), 0, &count);
    struct sm_span context[2] = {head, head};
    make_trace(1, 6);
    maker_trace(&m);
    const struct sm_view *v = sm_view_build_late(m.names, &m.trace, context, 2);
    cr_expect_eq(v->duplicates, 0);
    cr_expect_eq(v->duplicate_bytes, 0);
    cr_expect_eq(v->count - v->context, 1);
}
