#include "pipeline/decided.h"

#include <criterion/criterion.h>

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
