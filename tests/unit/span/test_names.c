#include "span/names.h"

#include <criterion/criterion.h>

Test(names, same_text_same_id_over_caches)
{
    struct sm_names *names = sm_names_new(100000, 1 << 20);
    struct sm_names_cache *a = sm_names_cache_new(names), *b = sm_names_cache_new(names);
    for (int i = 0; i < 5000; i++) {
        char text[32];
        size_t n = (size_t)snprintf(text, sizeof text, "GET /item/%d", i);
        uint32_t id = sm_names_cache_id(a, sm_str(text, n));
        cr_assert_eq(sm_names_cache_id(b, sm_str(text, n)), id);
        cr_assert(sm_str_eq(sm_names_get(names, id), sm_str(text, n)));
        cr_assert_eq(sm_names_find(names, sm_str(text, n)), id);
    }
    cr_assert_eq(sm_names_cache_id(a, SM_STR("")), SM_NAME_EMPTY);
    cr_assert_eq(sm_names_count(names), 5002);
    sm_names_cache_free(a);
    sm_names_cache_free(b);
    sm_names_free(names);
}

Test(names, past_the_limit_names_overflow_and_are_counted)
{
    struct sm_names *names = sm_names_new(3, 100);
    struct sm_names_cache *cache = sm_names_cache_new(names);
    cr_assert_neq(sm_names_cache_id(cache, SM_STR("a")), SM_NAME_OVERFLOW);
    cr_assert_eq(sm_names_cache_id(cache, SM_STR("b")), SM_NAME_OVERFLOW);
    cr_assert_neq(sm_names_cache_id(cache, SM_STR("a")), SM_NAME_OVERFLOW);
    cr_assert_eq(sm_names_overflowed(names), 1);
    sm_names_cache_free(cache);
    sm_names_free(names);

    names = sm_names_new(1000, 10);
    cr_assert_eq(sm_names_intern(names, SM_STR("longer than ten bytes")), SM_NAME_OVERFLOW);
    cr_assert_neq(sm_names_intern(names, SM_STR("short")), SM_NAME_OVERFLOW);
    sm_names_free(names);
}
