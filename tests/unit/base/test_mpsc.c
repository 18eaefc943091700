#include "base/mpsc.h"

#include <criterion/criterion.h>

Test(mpsc, take_returns_everything_newest_first)
{
    struct sm_mpsc s = {.top = NULL};
    struct sm_mpsc_node a, b, c, d;
    cr_assert_null(sm_mpsc_take(&s));
    sm_mpsc_push(&s, &a);
    sm_mpsc_push(&s, &b);
    d.next = &c;
    sm_mpsc_push_list(&s, &d, &c);
    struct sm_mpsc_node *list = sm_mpsc_take(&s);
    cr_assert_eq(list, &d);
    cr_assert_eq(list->next, &c);
    cr_assert_eq(list->next->next, &b);
    cr_assert_eq(list->next->next->next, &a);
    cr_assert_null(a.next);
    cr_assert_null(sm_mpsc_take(&s));
    list = sm_mpsc_reverse(list);
    cr_assert_eq(list, &a);
    cr_assert_eq(list->next->next->next, &d);
    cr_assert_null(d.next);
}
