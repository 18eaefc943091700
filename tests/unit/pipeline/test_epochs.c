#include "pipeline/epochs.h"

#include <criterion/criterion.h>

Test(epochs, the_mark_is_the_oldest_live_epoch_of_a_source)
{
    struct sm_epochs *e = sm_epochs_new();
    cr_expect_eq(sm_epochs_low(e, 0), SM_EPOCH_NONE);
    uint32_t a = sm_epochs_hold(e, 0, 10), b = sm_epochs_hold(e, 0, 12), other = sm_epochs_hold(e, 5, 7);
    sm_epochs_publish(e, 20);
    cr_expect_eq(sm_epochs_low(e, 0), 10);
    cr_expect_eq(sm_epochs_low(e, 5), 7);
    cr_expect_eq(sm_epochs_low_all(e), 7);
    sm_epochs_drop(e, 0, a);
    sm_epochs_drop(e, 5, other);
    sm_epochs_publish(e, 21);
    cr_expect_eq(sm_epochs_low(e, 0), 12);
    cr_expect_eq(sm_epochs_low(e, 5), 21, "nothing lives: now");
    cr_expect_eq(sm_epochs_low_all(e), 12);
    sm_epochs_drop(e, 0, b);
    sm_epochs_publish(e, 22);
    cr_expect_eq(sm_epochs_low(e, 0), 22);
    sm_epochs_free(e);
}

Test(epochs, something_older_lowers_the_mark_at_once)
{
    struct sm_epochs *e = sm_epochs_new();
    uint32_t a = sm_epochs_hold(e, 3, 100);
    cr_expect_eq(sm_epochs_low(e, 3), 100, "before anything was published");
    sm_epochs_drop(e, 3, a);
    sm_epochs_publish(e, 200);
    cr_expect_eq(sm_epochs_low(e, 3), 200);
    uint32_t b = sm_epochs_hold(e, 3, 150), c = sm_epochs_hold(e, 3, 50);
    cr_expect_eq(b, 150);
    cr_expect_eq(c, 50);
    cr_expect_eq(sm_epochs_low(e, 3), 50);
    cr_expect_eq(sm_epochs_oldest(e, 3), 50);
    sm_epochs_drop(e, 3, c);
    cr_expect_eq(sm_epochs_oldest(e, 3), 150);
    sm_epochs_publish(e, 201);
    cr_expect_eq(sm_epochs_low(e, 3), 150);
    sm_epochs_drop(e, 3, b);
    cr_expect_eq(sm_epochs_oldest(e, 3), SM_EPOCH_NONE);
    cr_expect_eq(sm_epochs_oldest(e, 4), SM_EPOCH_NONE, "never seen");
    sm_epochs_free(e);
}

/* Against counts kept by hand, over a range that makes the ring grow and wrap. */
Test(epochs, the_ring_grows_with_what_lives)
{
    enum { EPOCHS = 5000, LATER = 3000 };
    struct sm_epochs *e = sm_epochs_new();
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        cr_assert_eq(sm_epochs_hold(e, 1, epoch), epoch);
        cr_assert_eq(sm_epochs_hold(e, 1, epoch), epoch);
        if (epoch <= LATER)
            continue;
        sm_epochs_drop(e, 1, epoch - LATER);
        cr_assert_eq(sm_epochs_oldest(e, 1), epoch - LATER, "one of the two still lives");
        sm_epochs_drop(e, 1, epoch - LATER);
        cr_assert_eq(sm_epochs_oldest(e, 1), epoch - LATER + 1);
    }
    for (uint32_t epoch = EPOCHS - LATER + 1; epoch <= EPOCHS; epoch++) {
        sm_epochs_drop(e, 1, epoch);
        sm_epochs_drop(e, 1, epoch);
    }
    cr_expect_eq(sm_epochs_oldest(e, 1), SM_EPOCH_NONE);
    sm_epochs_free(e);
}

Test(epochs, what_outlives_the_ring_only_delays)
{
    struct sm_epochs *e = sm_epochs_new();
    uint32_t old = sm_epochs_hold(e, 0, 1), young = sm_epochs_hold(e, 0, 10 * SM_EPOCHS_LIVE_MAX);
    cr_expect_eq(young, SM_EPOCHS_LIVE_MAX);
    sm_epochs_publish(e, 10 * SM_EPOCHS_LIVE_MAX);
    cr_expect_eq(sm_epochs_low(e, 0), 1);
    sm_epochs_drop(e, 0, old);
    sm_epochs_publish(e, 10 * SM_EPOCHS_LIVE_MAX);
    cr_expect_eq(sm_epochs_low(e, 0), SM_EPOCHS_LIVE_MAX, "older than true, never younger");
    sm_epochs_drop(e, 0, young);
    sm_epochs_free(e);
}
