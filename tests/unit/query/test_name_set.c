#include "query/name_set.h"

#include <criterion/criterion.h>

static void add(struct sm_name_set *set, unsigned n)
{
    char text[16];
    int len = snprintf(text, sizeof text, "n%04u", n);
    sm_name_set_add(set, sm_str(text, (size_t)len), n % 3 == 0);
}

Test(name_set, each_pair_once_and_sorted)
{
    struct sm_name_set set = {0};
    for (unsigned i = 0; i < 3000; i++)
        add(&set, 999 - i % 1000);
    sm_name_set_add(&set, SM_STR("n0001"), 7);
    sm_name_set_sort(&set);
    cr_assert_eq(set.count, 1001);
    cr_assert(sm_str_eq(set.items[1].name, SM_STR("n0001")) && set.items[1].kind == 0);
    cr_assert(sm_str_eq(set.items[2].name, SM_STR("n0001")) && set.items[2].kind == 7);
    cr_assert(sm_str_eq(set.items[1000].name, SM_STR("n0999")));
    sm_name_set_fini(&set);
}

Test(name_set, may_grow_after_sorting, .timeout = 5)
{
    struct sm_name_set set = {0};
    for (unsigned i = 0; i < 600; i++)
        add(&set, i);
    sm_name_set_sort(&set);
    for (unsigned i = 0; i < 900; i++)
        add(&set, i);
    sm_name_set_sort(&set);
    cr_assert_eq(set.count, 900);
    sm_name_set_fini(&set);
}
