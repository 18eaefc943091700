#include "pipeline/trace_map.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct sm_trace_map m;

static struct sm_trace *add(uint64_t hi, uint64_t lo)
{
    struct sm_trace *t = calloc(1, sizeof *t);
    t->id = (struct sm_trace_id){.hi = hi, .lo = lo};
    sm_trace_map_add(&m, sm_trace_map_hash(lo), t);
    return t;
}

static struct sm_trace *find(uint64_t hi, uint64_t lo, enum sm_trace_match *match)
{
    return sm_trace_map_find(&m, sm_trace_map_hash(lo), (struct sm_trace_id){.hi = hi, .lo = lo}, match);
}

static void take(struct sm_trace *t)
{
    sm_trace_map_remove(&m, t);
    free(t);
}

Test(trace_map, ids_of_both_widths)
{
    enum sm_trace_match match;
    sm_trace_map_init(&m);
    struct sm_trace *wide = add(9, 5);
    cr_expect(find(9, 5, &match) == wide && match == SM_TRACE_MATCH_EXACT);
    cr_expect(find(0, 5, &match) == wide && match == SM_TRACE_MATCH_JOINED);
    cr_expect(!find(8, 5, &match) && match == SM_TRACE_MATCH_CLASH);
    cr_expect(!find(8, 6, &match) && match == SM_TRACE_MATCH_NONE);
    struct sm_trace *narrow = add(0, 5);
    cr_expect(find(0, 5, &match) == narrow && match == SM_TRACE_MATCH_EXACT);
    cr_expect(find(8, 5, &match) == narrow && match == SM_TRACE_MATCH_JOINED);
    sm_trace_map_widen(&m, narrow, 8);
    cr_expect(narrow->id.hi == 8 && find(8, 5, &match) == narrow && match == SM_TRACE_MATCH_EXACT);
    cr_expect(!find(0, 5, &match) && match == SM_TRACE_MATCH_CLASH, "two could be meant");
    take(wide);
    cr_expect(find(0, 5, &match) == narrow && match == SM_TRACE_MATCH_JOINED);
    take(narrow);
    cr_expect(!find(0, 5, &match) && m.count == 0);
    sm_trace_map_fini(&m);
}

static void count(void *ctx, struct sm_trace *t SM_UNUSED)
{
    ++*(size_t *)ctx;
}

static size_t count_of(uint64_t hi, uint64_t lo)
{
    size_t n = 0;
    sm_trace_map_each_of(&m, (struct sm_trace_id){.hi = hi, .lo = lo}, count, &n);
    return n;
}

Test(trace_map, several_of_one_id)
{
    sm_trace_map_init(&m);
    struct sm_trace *a = add(9, 5), *b = add(9, 5), *other = add(0, 5);
    cr_expect(count_of(9, 5) == 2 && count_of(0, 5) == 1 && count_of(8, 5) == 0 && count_of(9, 6) == 0);
    take(a);
    cr_expect_eq(count_of(9, 5), 1);
    take(b);
    cr_expect(count_of(9, 5) == 0 && count_of(0, 5) == 1);
    take(other);
    sm_trace_map_fini(&m);
}

/* Adds and removes at random and compares with a plain array. */
Test(trace_map, behaves_as_an_array_of_traces)
{
    enum { IDS = 20000, STEPS = 200000 };
    struct sm_trace **model = calloc(IDS, sizeof *model);
    enum sm_trace_match match;
    size_t there = 0, seen = 0;
    uint64_t random = 88172645463325252u;
    sm_trace_map_init(&m);
    for (unsigned step = 0; step < STEPS; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        uint64_t id = random % IDS;
        struct sm_trace *found = find(1, id, &match);
        cr_assert_eq(found, model[id]);
        if (model[id]) {
            take(model[id]);
            model[id] = NULL;
            there--;
        } else {
            model[id] = add(1, id);
            there++;
        }
        cr_assert_eq(m.count, there);
    }
    sm_trace_map_each(&m, count, &seen);
    cr_expect_eq(seen, there);
    for (unsigned id = 0; id < IDS; id++) {
        cr_assert_eq(find(1, id, &match), model[id]);
        if (model[id])
            take(model[id]);
    }
    cr_expect_eq(m.count, 0);
    sm_trace_map_fini(&m);
    free(model);
}
