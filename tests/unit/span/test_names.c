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

static struct sm_str numbered(char text[32], const char *word, int i)
{
    return sm_str(text, (size_t)snprintf(text, 32, "%s%d", word, i));
}

Test(names, names_of_spans_leave_the_reserve_to_services)
{
    struct sm_names *names = sm_names_new(2 + 1000, 1 << 20);
    sm_names_reserve(names, 100, 1000);
    struct sm_names_cache *a = sm_names_cache_new(names), *b = sm_names_cache_new(names);
    char text[32];
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(sm_names_cache_id(a, numbered(text, "GET /", i)) != SM_NAME_OVERFLOW, i < 900, "%d", i);
    cr_assert_eq(sm_names_overflowed(names), 1100);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(sm_names_intern(names, numbered(text, "service", i)) != SM_NAME_OVERFLOW, i < 100, "%d", i);
    cr_assert_eq(sm_names_count(names), 2 + 1000);
    for (int i = 0; i < 1000; i++) {
        struct sm_str name = i < 900 ? numbered(text, "GET /", i) : numbered(text, "service", i - 900);
        uint32_t id = sm_names_find(names, name);
        cr_assert_neq(id, SM_NAME_OVERFLOW);
        cr_assert(sm_str_eq(sm_names_get(names, id), name));
        cr_assert_eq(sm_names_intern(names, name), id);
        cr_assert_eq(sm_names_cache_id(b, name), i < 900 ? id : SM_NAME_OVERFLOW, "a cache does not ask for what came after");
    }
    sm_names_cache_free(a);
    sm_names_cache_free(b);
    sm_names_free(names);
}

Test(names, bytes_are_limited_as_well)
{
    struct sm_names *names = sm_names_new(1000, 100);
    sm_names_reserve(names, 0, 20);
    struct sm_names_cache *cache = sm_names_cache_new(names);
    char text[32];
    for (int i = 10; i < 50; i++)
        cr_assert_eq(sm_names_cache_id(cache, numbered(text, "seventy-", i)) != SM_NAME_OVERFLOW, i < 18, "%d", i);
    cr_assert_eq(sm_names_cache_id(cache, SM_STR("x")), SM_NAME_OVERFLOW, "closed is closed");
    cr_assert_neq(sm_names_intern(names, SM_STR("twenty bytes of text")), SM_NAME_OVERFLOW);
    cr_assert_eq(sm_names_intern(names, SM_STR("y")), SM_NAME_OVERFLOW);
    sm_names_cache_free(cache);
    sm_names_free(names);
}
