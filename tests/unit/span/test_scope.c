#include "span/scope.h"

#include <criterion/criterion.h>

static struct sm_names *names;
static struct sm_names_cache *names_cache;
static struct sm_scopes *scopes;
static struct sm_scopes_cache *a, *b;

static void setup(void)
{
    names = sm_names_new(1000, 1 << 20);
    names_cache = sm_names_cache_new(names);
    scopes = sm_scopes_new(names, 4, 1 << 20);
    a = sm_scopes_cache_new(scopes, names_cache);
    b = sm_scopes_cache_new(scopes, names_cache);
}

static void teardown(void)
{
    sm_scopes_cache_free(a);
    sm_scopes_cache_free(b);
    sm_scopes_free(scopes);
    sm_names_cache_free(names_cache);
    sm_names_free(names);
}

TestSuite(scope, .init = setup, .fini = teardown);

static const struct sm_scope *intern(struct sm_scopes_cache *cache, const char *schema, uint32_t epoch)
{
    const struct sm_resource *r = sm_scopes_cache_resource(cache, SM_STR(""), sm_str_c(schema), epoch);
    return r ? sm_scopes_cache_scope(cache, r, SM_STR(""), SM_STR("s"), epoch) : NULL;
}

Test(scope, same_content_is_one_entry_over_caches)
{
    const struct sm_scope *s = intern(a, "x", 1);
    cr_assert_eq(intern(b, "x", 1), s);
    cr_assert_neq(intern(b, "y", 1), s);
    cr_assert_eq(sm_scopes_get(scopes, s->id), s);
    cr_assert_null(intern(a, "z", 1), "the table is full");
}

Test(scope, what_a_cache_has_met_is_found)
{
    cr_expect_null(sm_scopes_cache_find_resource(a, SM_STR(""), SM_STR("x"), 1));
    const struct sm_scope *s = intern(a, "x", 1);
    const struct sm_resource *r = sm_scopes_cache_find_resource(a, SM_STR(""), SM_STR("x"), 7);
    cr_assert_eq(r, s->resource);
    cr_expect_eq(r->epoch_last, 7, "it counts as used");
    cr_expect_eq(sm_scopes_cache_find_scope(a, r, SM_STR(""), SM_STR("s"), 7), s);
    cr_expect_eq(s->epoch_last, 7);
    cr_expect_null(sm_scopes_cache_find_scope(a, r, SM_STR(""), SM_STR("t"), 7));
    cr_expect_null(sm_scopes_cache_find_resource(b, SM_STR(""), SM_STR("x"), 7), "each cache meets it for itself");
}

Test(scope, entries_of_no_live_epoch_are_reclaimed_after_every_cache_passed)
{
    uint32_t count;
    size_t bytes;
    intern(a, "x", 1);
    const struct sm_scope *y = intern(b, "y", 5);
    sm_scopes_reclaim(scopes, 3); /* marks x */
    sm_scopes_reclaim(scopes, 3); /* nobody passed yet */
    sm_scopes_stats(scopes, &count, &bytes);
    cr_assert_eq(count, 4);
    for (int i = 0; i < 3; i++) {
        sm_scopes_cache_quiescent(a);
        sm_scopes_cache_quiescent(b);
        sm_scopes_reclaim(scopes, 3); /* the scope, then its resource */
    }
    sm_scopes_stats(scopes, &count, &bytes);
    cr_assert_eq(count, 2);
    cr_assert_eq(intern(a, "y", 6), y);
    cr_assert_not_null(intern(a, "z", 6), "there is room again");
}

Test(scope, entry_used_again_while_dying_survives)
{
    const struct sm_resource *r = sm_scopes_cache_resource(a, SM_STR(""), SM_STR("x"), 1);
    const struct sm_scope *s = sm_scopes_cache_scope(a, r, SM_STR(""), SM_STR("s"), 1);
    sm_scopes_reclaim(scopes, 3);
    /* A worker in the middle of a batch still holds the resource and makes a new scope under it. */
    const struct sm_scope *t = sm_scopes_cache_scope(a, r, SM_STR(""), SM_STR("t"), 4);
    cr_assert_not_null(t);
    for (int i = 0; i < 3; i++) {
        sm_scopes_cache_quiescent(a);
        sm_scopes_cache_quiescent(b);
        sm_scopes_reclaim(scopes, 3);
    }
    uint32_t count;
    size_t bytes;
    sm_scopes_stats(scopes, &count, &bytes);
    cr_assert_eq(count, 2);
    cr_assert_eq(sm_scopes_get(scopes, t->id), t);
    cr_assert_eq(t->resource->schema_url.ptr[0], 'x');
    (void)s;
}
