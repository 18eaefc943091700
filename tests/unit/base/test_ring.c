#include "base/ring.h"

#include <criterion/criterion.h>

static void *item(uintptr_t i)
{
    return (void *)(i + 1);
}

Test(ring, capacity_is_rounded_up_to_a_power_of_two)
{
    static const uint32_t cases[][2] = {{0, 2}, {1, 2}, {2, 2}, {3, 4}, {4, 4}, {1000, 1024}, {1025, 2048}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_ring r;
        sm_ring_init(&r, cases[i][0]);
        cr_assert_eq(sm_ring_capacity(&r), cases[i][1]);
        sm_ring_fini(&r);
    }
}

Test(ring, items_come_out_in_order_and_full_refuses)
{
    struct sm_ring r;
    sm_ring_init(&r, 4);
    cr_assert_null(sm_ring_pop(&r));
    for (uintptr_t i = 0; i < 4; i++)
        cr_assert(sm_ring_push(&r, item(i)));
    cr_assert_not(sm_ring_push(&r, item(4)));
    cr_assert_eq(sm_ring_count(&r), 4);
    for (uintptr_t i = 0; i < 4; i++)
        cr_assert_eq(sm_ring_pop(&r), item(i));
    cr_assert(sm_ring_empty(&r));
    cr_assert_null(sm_ring_pop(&r));
    sm_ring_fini(&r);
}

Test(ring, staged_items_are_hidden_until_published)
{
    struct sm_ring r;
    sm_ring_init(&r, 4);
    cr_assert_eq(sm_ring_free_slots(&r, 4), 4);
    cr_assert(sm_ring_stage(&r, item(0)));
    cr_assert(sm_ring_stage(&r, item(1)));
    cr_assert_eq(sm_ring_free_slots(&r, 4), 2);
    cr_assert(sm_ring_empty(&r));
    cr_assert_eq(sm_ring_count(&r), 0);
    sm_ring_publish(&r);
    cr_assert_not(sm_ring_empty(&r));
    void *out[4];
    cr_assert_eq(sm_ring_pop_n(&r, out, 4), 2);
    cr_assert_eq(out[1], item(1));
    cr_assert_eq(sm_ring_free_slots(&r, 4), 4);
    sm_ring_fini(&r);
}

Test(ring, batches_are_cut_to_what_fits_and_indices_wrap)
{
    struct sm_ring r;
    sm_ring_init(&r, 8);
    atomic_store(&r.published, UINT32_MAX - 2); /* close to the wrap of the counters */
    atomic_store(&r.consumed, UINT32_MAX - 2);
    r.staged = r.consumed_seen = r.published_seen = UINT32_MAX - 2;
    void *in[12], *out[12];
    for (uintptr_t i = 0; i < 12; i++)
        in[i] = item(i);
    for (int round = 0; round < 5; round++) {
        cr_assert_eq(sm_ring_push_n(&r, in, 12), 8);
        cr_assert_eq(sm_ring_pop_n(&r, out, 3), 3);
        cr_assert_eq(out[2], item(2));
        cr_assert_eq(sm_ring_push_n(&r, in + 8, 4), 3);
        cr_assert_eq(sm_ring_pop_n(&r, out, 12), 8);
        cr_assert_eq(out[0], item(3));
        cr_assert_eq(out[7], item(10));
    }
    sm_ring_fini(&r);
}
