#include "query/shared_ids.h"

#include <criterion/criterion.h>

#define COUNT_MAX 8

static void expect(const char *name, const struct sm_shared_span *in, const struct sm_shared_span *out, uint32_t count)
{
    struct sm_shared_span spans[COUNT_MAX];
    bool changes = false;
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = in[i];
        spans[i].at = i;
        changes |= in[i].id != out[i].id || in[i].parent_id != out[i].parent_id;
    }
    cr_assert_eq(sm_shared_ids_split(spans, count), changes, "%s", name);
    for (uint32_t i = 0; i < count; i++) {
        const struct sm_shared_span *want = &out[spans[i].at], *before = &in[spans[i].at];
        cr_assert(spans[i].id == want->id && spans[i].parent_id == want->parent_id, "%s: span %u is %lx below %lx", name,
                  spans[i].at, (unsigned long)spans[i].id, (unsigned long)spans[i].parent_id);
        cr_assert_eq(spans[i].changed, want->id != before->id || want->parent_id != before->parent_id, "%s", name);
    }
}

Test(shared_ids, halves)
{
    static const struct {
        const char *name;
        uint32_t count;
        struct sm_shared_span in[COUNT_MAX], out[COUNT_MAX];
    } cases[] = {
        {"none", 0, {{0}}, {{0}}},
        {"all different", 2, {{1, 0, SM_KIND_CLIENT, 0, 0, 0, 0}, {2, 1, SM_KIND_SERVER, 0, 0, 0, 0}}, {{1, 0, 0, 0, 0, 0, 0}, {2, 1, 0, 0, 0, 0, 0}}},
        {"client and server", 3,
         {{9, 5, SM_KIND_SERVER, 0, 0, 0, 0}, {9, 5, SM_KIND_CLIENT, 0, 0, 0, 0}, {7, 9, SM_KIND_CLIENT, 0, 0, 0, 0}},
         {{1, 9, 0, 0, 0, 0, 0}, {9, 5, 0, 0, 0, 0, 0}, {7, 1, 0, 0, 0, 0, 0}}},
        {"new ids are unused ones", 3,
         {{2, 0, SM_KIND_CLIENT, 0, 0, 0, 0}, {2, 0, SM_KIND_SERVER, 0, 0, 0, 0}, {1, 2, SM_KIND_INTERNAL, 0, 0, 0, 0}},
         {{2, 0, 0, 0, 0, 0, 0}, {3, 2, 0, 0, 0, 0, 0}, {1, 3, 0, 0, 0, 0, 0}}},
        {"two servers", 4,
         {{9, 0, SM_KIND_CLIENT, 0, 0, 0, 0}, {9, 0, SM_KIND_SERVER, 0, 0, 0, 0}, {9, 0, SM_KIND_SERVER, 0, 0, 0, 0}, {8, 9, SM_KIND_CLIENT, 0, 0, 0, 0}},
         {{9, 0, 0, 0, 0, 0, 0}, {1, 9, 0, 0, 0, 0, 0}, {2, 9, 0, 0, 0, 0, 0}, {8, 1, 0, 0, 0, 0, 0}}},
        {"two calls in a row", 4,
         {{9, 0, SM_KIND_CLIENT, 0, 0, 0, 0}, {9, 0, SM_KIND_SERVER, 0, 0, 0, 0}, {8, 9, SM_KIND_CLIENT, 0, 0, 0, 0}, {8, 9, SM_KIND_SERVER, 0, 0, 0, 0}},
         {{9, 0, 0, 0, 0, 0, 0}, {2, 9, 0, 0, 0, 0, 0}, {8, 2, 0, 0, 0, 0, 0}, {1, 8, 0, 0, 0, 0, 0}}},
        {"no client", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 0, 0}, {9, 0, SM_KIND_SERVER, 0, 0, 0, 0}}, {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"a server within another one", 3,
         {{9, 0, SM_KIND_SERVER, 0, 0, 20, 30}, {9, 0, SM_KIND_SERVER, 0, 0, 10, 40}, {7, 9, SM_KIND_SERVER, 0, 0, 22, 28}},
         {{1, 9, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}, {7, 1, 0, 0, 0, 0, 0}}},
        {"a server that ends later than the one it is in", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 20, 41}, {9, 0, SM_KIND_SERVER, 0, 0, 10, 40}},
         {{1, 9, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"and takes longer", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 11, 90}, {9, 0, SM_KIND_SERVER, 0, 0, 10, 40}},
         {{1, 9, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"servers that begin together: the longer one", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 10, 39}, {9, 0, SM_KIND_SERVER, 0, 0, 10, 40}},
         {{1, 9, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"servers one after the other", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 10, 30}, {9, 0, SM_KIND_SERVER, 0, 0, 30, 60}},
         {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"one within the first, and one after it", 3,
         {{9, 0, SM_KIND_SERVER, 0, 0, 10, 30}, {9, 0, SM_KIND_SERVER, 0, 0, 20, 60}, {9, 0, SM_KIND_SERVER, 0, 0, 40, 50}},
         {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"a server without times", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 10, 30}, {9, 0, SM_KIND_SERVER, 0, 0, 0, 0}},
         {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"servers at the same time", 2, {{9, 0, SM_KIND_SERVER, 0, 0, 10, 30}, {9, 0, SM_KIND_SERVER, 0, 0, 10, 30}},
         {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"no server", 2, {{9, 0, SM_KIND_CLIENT, 0, 0, 0, 0}, {9, 0, SM_KIND_CLIENT, 0, 0, 0, 0}}, {{9, 0, 0, 0, 0, 0, 0}, {9, 0, 0, 0, 0, 0, 0}}},
        {"its own parent", 2, {{9, 9, SM_KIND_CLIENT, 0, 0, 0, 0}, {9, 9, SM_KIND_SERVER, 0, 0, 0, 0}}, {{9, 9, 0, 0, 0, 0, 0}, {1, 9, 0, 0, 0, 0, 0}}},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        expect(cases[i].name, cases[i].in, cases[i].out, cases[i].count);
}
