#include "pipeline/skeletons.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define SECONDS(n) ((n) * SM_SEC)

static struct sm_span spans[1000];
static struct sm_view_span view_spans[1000];
static struct sm_trace trace;

static void add(struct sm_skeletons *s, uint64_t id, uint32_t count, int64_t now_ns)
{
    trace.id = (struct sm_trace_id){.hi = 1, .lo = id};
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = (struct sm_span){.span_id = id * 1000 + i, .n_wanted = 3, .flags = SM_SPAN_PRIVATE | SM_SPAN_ERROR};
        view_spans[i] = (struct sm_view_span){.span = &spans[i]};
    }
    struct sm_view view = {.trace = &trace, .spans = view_spans, .count = count};
    sm_skeletons_add(s, &view, now_ns);
}

static bool has(const struct sm_skeletons *s, uint64_t id, uint32_t count, int64_t now_ns)
{
    uint32_t found = 0;
    const struct sm_span *heads = sm_skeletons_find(s, (struct sm_trace_id){.hi = 2, .lo = id}, now_ns, &found);
    if (!heads)
        return false;
    cr_assert_eq(found, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(heads[i].span_id == id * 1000 + i && heads[i].n_wanted == 0 && heads[i].flags == SM_SPAN_ERROR);
    return true;
}

Test(skeletons, are_found_by_the_low_half_within_the_grace)
{
    struct sm_skeletons *s = sm_skeletons_new(1 << 20, SECONDS(60));
    cr_expect_not(has(s, 1, 3, 0));
    add(s, 1, 3, SECONDS(10));
    add(s, 2, 1, SECONDS(10));
    cr_expect(has(s, 1, 3, SECONDS(10)));
    cr_expect(has(s, 2, 1, SECONDS(70)));
    cr_expect_not(has(s, 2, 1, SECONDS(70) + 1));
    cr_expect_not(has(s, 3, 1, SECONDS(10)));
    sm_skeletons_free(s);
}

Test(skeletons, a_newer_one_of_the_same_trace_replaces)
{
    struct sm_skeletons *s = sm_skeletons_new(1 << 20, SECONDS(60));
    add(s, 1, 3, 0);
    add(s, 1, 5, SECONDS(50));
    cr_expect(has(s, 1, 5, SECONDS(100)));
    sm_skeletons_free(s);
}

Test(skeletons, large_traces_leave_none)
{
    size_t bytes = 100 * sizeof(struct sm_span);
    struct sm_skeletons *s = sm_skeletons_new(bytes, SECONDS(60));
    add(s, 1, 26, 0);
    cr_expect_not(has(s, 1, 26, 0), "more than a quarter");
    add(s, 2, 20, 0);
    cr_expect(has(s, 2, 20, 0));
    sm_skeletons_free(s);
}

/* Memory is fixed: whatever is found is whole and right, the newest is always there, the oldest is gone. */
Test(skeletons, the_oldest_makes_room)
{
    static const size_t sizes[] = {4096, 4096 + 16, 10000, 65536 - 8};
    for (size_t k = 0; k < SM_ARRAY_LEN(sizes); k++) {
        struct sm_skeletons *s = sm_skeletons_new(sizes[k], SECONDS(60));
        for (uint64_t id = 1; id <= 2000; id++) {
            uint32_t count = 1 + (uint32_t)(id * 7 % 9);
            add(s, id, count, 0);
            cr_assert(has(s, id, count, 0), "size %zu, id %lu", sizes[k], (unsigned long)id);
            for (uint64_t back = 1; back < 300 && back < id; back++)
                has(s, id - back, 1 + (uint32_t)((id - back) * 7 % 9), 0);
        }
        cr_expect_not(has(s, 1, 8, 0));
        sm_skeletons_free(s);
    }
}

Test(skeletons, can_be_off)
{
    struct sm_skeletons *s = sm_skeletons_new(0, SECONDS(60));
    add(s, 1, 1, 0);
    cr_expect_not(has(s, 1, 1, 0));
    sm_skeletons_free(s);
    s = sm_skeletons_new(1 << 20, 0);
    add(s, 1, 1, 0);
    cr_expect_not(has(s, 1, 1, 0));
    sm_skeletons_free(s);
}
