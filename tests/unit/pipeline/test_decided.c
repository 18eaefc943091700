#include "pipeline/decided.h"

#include <criterion/criterion.h>

static struct sm_trace_id id_of(uint64_t i)
{
    return (struct sm_trace_id){.hi = i, .lo = i * 0x9e3779b97f4a7c15u};
}

static enum sm_decided_state find(const struct sm_decided *d, uint64_t i, struct sm_decision *decision)
{
    struct sm_trace_id id = id_of(i);
    id.hi = 0; /* the 64-bit form meets the whole one */
    return sm_decided_find(d, id, decision);
}

Test(decided, kept_decisions_are_exact_and_the_oldest_goes_first)
{
    struct sm_decided *d = sm_decided_new(100, 100);
    struct sm_decision got;
    for (uint64_t i = 1; i <= 250; i++) {
        struct sm_decision decision = {.threshold = i, .randomness = 2 * i, .rule = (uint16_t)i, .counted_out = i % 2};
        sm_decided_add_kept(d, id_of(i), &decision);
    }
    for (uint64_t i = 1; i <= 250; i++) {
        if (i <= 150) {
            cr_assert_eq(find(d, i, &got), SM_DECIDED_NONE, "%lu", (unsigned long)i);
            continue;
        }
        cr_assert_eq(find(d, i, &got), SM_DECIDED_KEPT, "%lu", (unsigned long)i);
        cr_assert(got.threshold == i && got.randomness == 2 * i && got.rule == i && got.counted_out == i % 2);
    }
    sm_decided_free(d);
}

/* The newest half of what fits is always there; false positives are below one in a million. */
Test(decided, dropped_ids_are_remembered)
{
    enum { MAX = 100000, ADDED = 350000, ASKED = 2000000 };
    struct sm_decided *d = sm_decided_new(0, MAX);
    struct sm_decision got;
    unsigned wrong = 0;
    for (uint64_t i = 1; i <= ADDED; i++) {
        sm_decided_add_dropped(d, id_of(i));
        cr_assert_eq(find(d, i, &got), SM_DECIDED_DROPPED);
        if (i > MAX / 2 && i % 997 == 0)
            cr_assert_eq(find(d, i - MAX / 2 + 1, &got), SM_DECIDED_DROPPED, "%lu", (unsigned long)i);
    }
    for (uint64_t i = ADDED + 1; i <= ADDED + ASKED; i++)
        wrong += find(d, i, &got) != SM_DECIDED_NONE;
    cr_expect_leq(wrong, 2);
    sm_decided_free(d);
}

Test(decided, the_newest_of_two_decisions_of_one_id_is_found_and_caches_can_be_off)
{
    struct sm_decided *d = sm_decided_new(10, 0);
    struct sm_decision one = {.threshold = 1}, two = {.threshold = 2}, got;
    sm_decided_add_kept(d, id_of(1), &one);
    sm_decided_add_kept(d, id_of(1), &two);
    cr_assert_eq(find(d, 1, &got), SM_DECIDED_KEPT);
    cr_expect_eq(got.threshold, 2);
    sm_decided_add_dropped(d, id_of(2));
    cr_expect_eq(find(d, 2, &got), SM_DECIDED_NONE);
    sm_decided_free(d);
    d = sm_decided_new(0, 0);
    sm_decided_add_kept(d, id_of(1), &one);
    cr_expect_eq(find(d, 1, &got), SM_DECIDED_NONE);
    sm_decided_free(d);
}

/* A trace whose late errors open one window after the other is dropped many times. */
Test(decided, one_trace_dropped_often_pushes_no_other_out)
{
    struct sm_decision decision;
    struct sm_decided *d = sm_decided_new(10, 10000);
    sm_decided_add_dropped(d, (struct sm_trace_id){1, 1});
    for (unsigned i = 0; i < 100; i++)
        sm_decided_add_dropped(d, (struct sm_trace_id){1, 2});
    cr_expect_eq(sm_decided_find(d, (struct sm_trace_id){1, 1}, &decision), SM_DECIDED_DROPPED);
    cr_expect_eq(sm_decided_find(d, (struct sm_trace_id){1, 2}, &decision), SM_DECIDED_DROPPED);
    cr_expect_eq(sm_decided_find(d, (struct sm_trace_id){1, 3}, &decision), SM_DECIDED_NONE);
    sm_decided_free(d);
}

/* Filters double while they fill: a third of what was added is there at any time, and every step keeps what it must. */
Test(decided, filters_grow)
{
    enum { ADDED = 2000000 };
    struct sm_decided *d = sm_decided_new(0, 4 * ADDED);
    struct sm_decision got;
    for (uint64_t i = 1; i <= ADDED; i++) {
        sm_decided_add_dropped(d, id_of(i));
        uint64_t back = i - i / 3;
        if (i % 997 == 0)
            cr_assert_eq(find(d, back, &got), SM_DECIDED_DROPPED, "%lu of %lu", (unsigned long)back, (unsigned long)i);
    }
    for (uint64_t i = ADDED - ADDED / 3; i <= ADDED; i++)
        cr_assert_eq(find(d, i, &got), SM_DECIDED_DROPPED, "%lu", (unsigned long)i);
    sm_decided_free(d);
}
