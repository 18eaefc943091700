#include "pipeline/wheel.h"

#include <criterion/criterion.h>

static struct sm_wheel w;
static struct sm_trace traces[8];

/* Advances tick by tick until the trace comes out; the time of that tick. */
static int64_t fires_ns(const struct sm_trace *t)
{
    for (unsigned i = 0; i < 2 * SM_WHEEL_BUCKETS; i++) {
        sm_wheel_advance(&w);
        if (sm_wheel_pop(&w) == t)
            return w.tick * SM_TICK_NS;
    }
    return -1;
}

Test(wheel, fires_at_the_first_tick_at_or_after_the_deadline)
{
    static const struct {
        int64_t now, deadline, fires;
    } cases[] = {
        {0, 1, 100},           {0, 100, 100},       {0, 101, 200},     {0, 99, 100},
        {1050, 1500, 1500},    {1050, 1501, 1600},  {1000, 1000, 1100}, /* due now: the next tick */
        {1000, 1, 1100},                                                /* long due */
        {1000, 300000, 1000 + (SM_WHEEL_BUCKETS - 1) * 100},            /* beyond the horizon: the last bucket */
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        sm_wheel_init(&w, cases[i].now * SM_MS);
        sm_wheel_add(&w, &traces[0], cases[i].deadline * SM_MS);
        cr_expect_eq(fires_ns(&traces[0]), cases[i].fires * SM_MS, "case %zu", i);
        cr_expect_eq(w.count, 0);
    }
}

Test(wheel, removes_from_any_place_of_a_bucket)
{
    for (unsigned gone = 0; gone < 3; gone++) {
        sm_wheel_init(&w, 0);
        for (unsigned i = 0; i < 3; i++)
            sm_wheel_add(&w, &traces[i], SM_SEC);
        sm_wheel_remove(&w, &traces[gone]);
        cr_expect_eq(w.count, 2);
        unsigned seen = 0;
        for (unsigned tick = 0; tick < 20; tick++) {
            sm_wheel_advance(&w);
            for (struct sm_trace *t; (t = sm_wheel_pop(&w)); seen++)
                cr_expect_neq(t, &traces[gone]);
        }
        cr_expect_eq(seen, 2);
    }
}

Test(wheel, traces_put_back_while_firing_wait_for_a_later_tick)
{
    sm_wheel_init(&w, 0);
    sm_wheel_add(&w, &traces[0], SM_TICK_NS);
    sm_wheel_advance(&w);
    cr_assert_eq(sm_wheel_pop(&w), &traces[0]);
    sm_wheel_add(&w, &traces[0], 0);
    cr_expect_null(sm_wheel_pop(&w));
    cr_expect_eq(sm_wheel_next_ns(&w), 2 * SM_TICK_NS);
    sm_wheel_advance(&w);
    cr_expect_eq(sm_wheel_pop(&w), &traces[0]);
}

Test(wheel, oldest_goes_by_what_would_fire_first)
{
    uint32_t from = 0;
    sm_wheel_init(&w, 1000 * SM_SEC);
    cr_expect_null(sm_wheel_oldest(&w, &from));
    from = 0;
    static const int64_t deadlines_s[] = {1050, 1003, 1200, 1001};
    for (unsigned i = 0; i < 4; i++)
        sm_wheel_add(&w, &traces[i], deadlines_s[i] * SM_SEC);
    static const unsigned order[] = {3, 1, 0, 2};
    for (unsigned i = 0; i < 4; i++) {
        struct sm_trace *t = sm_wheel_oldest(&w, &from);
        cr_expect_eq(t, &traces[order[i]], "place %u", i);
        sm_wheel_remove(&w, t);
    }
    cr_expect_null(sm_wheel_oldest(&w, &from));
}

Test(wheel, skips_when_empty_and_never_goes_back)
{
    sm_wheel_init(&w, 0);
    sm_wheel_skip(&w, 500 * SM_SEC);
    cr_expect_eq(sm_wheel_next_ns(&w), 500 * SM_SEC + SM_TICK_NS);
    sm_wheel_skip(&w, SM_SEC);
    cr_expect_eq(sm_wheel_next_ns(&w), 500 * SM_SEC + SM_TICK_NS);
    sm_wheel_add(&w, &traces[0], 501 * SM_SEC);
    cr_expect_eq(fires_ns(&traces[0]), 501 * SM_SEC);
}
