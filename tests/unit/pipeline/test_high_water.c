#include "pipeline/high_water.h"

#include <criterion/criterion.h>

enum { PERIOD = 100 };

Test(high_water, a_peak_is_remembered_for_a_period_and_no_more_than_two)
{
    for (int64_t at = 0; at < PERIOD; at++) {
        struct sm_high_water h = {0};
        int64_t gone = 0;
        for (int64_t t = 1000; t < 1000 + at; t++)
            sm_high_water(&h, 1, t, PERIOD);
        sm_high_water(&h, 50, 1000 + at, PERIOD);
        for (int64_t t = 1; !gone; t++)
            gone = sm_high_water(&h, 1, 1000 + at + t, PERIOD) == 1 ? t : 0;
        cr_assert_geq(gone, PERIOD);
        cr_assert_leq(gone, 2 * PERIOD);
    }
}

Test(high_water, a_long_pause_forgets)
{
    struct sm_high_water h = {0};
    cr_assert_eq(sm_high_water(&h, 50, 0, PERIOD), 50);
    cr_assert_eq(sm_high_water(&h, 7, 5 * PERIOD, PERIOD), 7);
}

Test(high_water, the_present_value_counts)
{
    struct sm_high_water h = {0};
    for (uint64_t v = 1; v < 500; v++)
        cr_assert_eq(sm_high_water(&h, v, (int64_t)v, PERIOD), v);
}
