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

Test(epochs, late_comers_count_in_the_oldest_that_is_left)
{
    struct sm_epochs *e = sm_epochs_new();
    uint32_t a = sm_epochs_hold(e, 0, 100), early = sm_epochs_hold(e, 0, 50);
    cr_expect_eq(early, 100, "never below what may have been acknowledged");
    sm_epochs_drop(e, 0, a);
    sm_epochs_publish(e, 200);
    cr_expect_eq(sm_epochs_low(e, 0), 100);
    sm_epochs_drop(e, 0, early);
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
