#include "pipeline/trace_memory.h"

#include <criterion/criterion.h>

enum { SOURCE = 3, OTHER = 4 };

static struct sm_trace_memory m;
static struct sm_epochs *epochs;
static struct sm_stats stats;

static void setup(void)
{
    epochs = sm_epochs_new();
    sm_trace_memory_init(&m, epochs, &stats);
}

static void teardown(void)
{
    cr_expect_eq(sm_slab_bytes_used(m.slab), 0, "everything came home");
    sm_trace_memory_fini(&m);
    sm_epochs_free(epochs);
}

TestSuite(trace_memory, .init = setup, .fini = teardown);

/* A trace that has grown to about so many bytes. */
static struct sm_trace *trace_of(uint32_t bytes)
{
    struct sm_trace *t = sm_trace_memory_new(&m, SOURCE, 1);
    cr_assert_not_null(t);
    while (t->memory < bytes)
        cr_assert(sm_trace_memory_grow(&m, t, SM_MIN(bytes - t->memory, 60000u)));
    return t;
}

static void release(struct sm_trace *t)
{
    sm_trace_memory_close(&m, t);
    sm_trace_memory_free(&m, t);
}

Test(trace_memory, a_trace_knows_what_it_takes)
{
    struct sm_trace *t = trace_of(0);
    cr_expect_eq(t->memory, sm_slab_bytes_used(m.slab));
    cr_expect_eq(t->start_ns, UINT64_MAX);
    cr_expect_eq(sm_trace_room(t), 0);
    t->group_size = 3000;
    cr_assert(sm_trace_memory_grow(&m, t, 10));
    cr_expect_geq(sm_trace_room(t), 3000, "what the batch has for it");
    cr_assert(sm_trace_memory_grow(&m, t, 70000));
    cr_expect_geq(sm_trace_room(t), 70000);
    cr_expect_eq(t->memory, sm_slab_bytes_used(m.slab));
    cr_expect_eq(sm_stats_get(&stats, SM_STAT_BIG_CHUNKS), 1);
    release(t);
}

Test(trace_memory, chunks_grow_with_their_trace)
{
    struct sm_trace *small = trace_of(0), *large = trace_of(200000);
    cr_assert(sm_trace_memory_grow(&m, small, 100));
    cr_assert(sm_trace_memory_grow(&m, large, 100));
    cr_expect_lt(sm_trace_room(small), 200);
    cr_expect_geq(sm_trace_room(large), 200000 / 32);
    release(small);
    release(large);
}

Test(trace_memory, epochs_of_every_source_are_held)
{
    struct sm_trace *t = sm_trace_memory_new(&m, SOURCE, 5), *younger = sm_trace_memory_new(&m, SOURCE, 6);
    sm_trace_memory_hold(&m, t, OTHER, 7);
    sm_trace_memory_hold(&m, t, OTHER, 8);
    cr_expect_eq(sm_epochs_oldest(epochs, SOURCE), 5);
    cr_expect_eq(sm_epochs_oldest(epochs, OTHER), 7);
    release(t);
    cr_expect_eq(sm_epochs_oldest(epochs, SOURCE), 6);
    cr_expect_eq(sm_epochs_oldest(epochs, OTHER), SM_EPOCH_NONE);
    release(younger);
}

/* More heavy traces than there is room to note: the heaviest is known all the same, and the next when it has closed. */
Test(trace_memory, the_heaviest_is_at_hand)
{
    enum { N = SM_TRACE_MEMORY_HEAVY_MAX + 20 };
    struct sm_trace *traces[N], *light = trace_of(200000);
    cr_expect_null(sm_trace_memory_heaviest(&m));
    for (unsigned i = 0; i < N; i++)
        traces[i] = trace_of(300000 + i * 7 % N * 10000);
    for (unsigned n = 0; n < SM_TRACE_MEMORY_HEAVY_MAX; n++) {
        struct sm_trace *t = sm_trace_memory_heaviest(&m);
        cr_assert_not_null(t);
        for (unsigned i = 0; i < N; i++)
            cr_assert(!traces[i] || traces[i]->memory <= t->memory, "the %u-th", n);
        for (unsigned i = 0; i < N; i++)
            traces[i] = traces[i] == t ? NULL : traces[i];
        release(t);
    }
    cr_expect_null(sm_trace_memory_heaviest(&m));
    for (unsigned i = 0; i < N; i++) {
        if (traces[i])
            release(traces[i]);
    }
    release(light);
}

Test(trace_memory, a_parked_trace_is_not_among_the_heaviest)
{
    struct sm_trace *t = trace_of(200000);
    t->parked = true;
    cr_assert(sm_trace_memory_grow(&m, t, 200000));
    cr_expect_null(sm_trace_memory_heaviest(&m));
    release(t);
}
