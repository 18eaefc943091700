#include "base/wake.h"

#include <criterion/criterion.h>
#include <poll.h>

static bool readable(const struct sm_wake *w)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

Test(wake, only_the_first_notify_after_prepare_signals)
{
    struct sm_wake w;
    cr_assert_eq(sm_wake_init(&w, NULL), SM_OK);
    sm_wake_notify(&w);
    cr_assert_not(readable(&w), "an awake consumer costs no signal");

    sm_wake_prepare(&w);
    sm_wake_notify(&w);
    cr_assert(readable(&w));
    sm_wake_wait(&w, -1);
    cr_assert_not(readable(&w));
    sm_wake_notify(&w);
    cr_assert_not(readable(&w));
    sm_wake_fini(&w);
}

Test(wake, cancel_and_timeout_leave_the_consumer_awake)
{
    struct sm_wake w;
    cr_assert_eq(sm_wake_init(&w, NULL), SM_OK);
    sm_wake_prepare(&w);
    sm_wake_cancel(&w);
    sm_wake_notify(&w);
    cr_assert_not(readable(&w));
    sm_wake_prepare(&w);
    sm_wake_wait(&w, 1);
    sm_wake_notify(&w);
    cr_assert_not(readable(&w));
    sm_wake_fini(&w);
}
