/* An open-addressing table; trace ids are random, so their bits serve as the hash. */
#include "bench/whole.h"

#include <stdlib.h>

struct entry {
    uint64_t hi;
    uint64_t lo;
    uint32_t spans; /* 0: free */
};

struct bench_whole {
    struct entry *entries;
    size_t capacity; /* a power of two */
    size_t n;
};

enum { CAPACITY_FIRST = 1 << 16 };

struct bench_whole *bench_whole_new(void)
{
    struct bench_whole *w = sm_xcalloc(1, sizeof *w);
    w->capacity = CAPACITY_FIRST;
    w->entries = sm_xcalloc(w->capacity, sizeof *w->entries);
    return w;
}

void bench_whole_free(struct bench_whole *w)
{
    if (w)
        free(w->entries);
    free(w);
}

static struct entry *slot_of(const struct bench_whole *w, uint64_t hi, uint64_t lo)
{
    size_t i = (lo ^ (hi * UINT64_C(0x9e3779b97f4a7c15))) & (w->capacity - 1);
    while (w->entries[i].spans && (w->entries[i].hi != hi || w->entries[i].lo != lo))
        i = (i + 1) & (w->capacity - 1);
    return &w->entries[i];
}

static void grow(struct bench_whole *w)
{
    struct entry *old = w->entries;
    size_t old_capacity = w->capacity;
    w->capacity *= 2;
    w->entries = sm_xcalloc(w->capacity, sizeof *w->entries);
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].spans)
            *slot_of(w, old[i].hi, old[i].lo) = old[i];
    }
    free(old);
}

void bench_whole_add(struct bench_whole *w, uint64_t hi, uint64_t lo)
{
    struct entry *e = slot_of(w, hi, lo);
    if (e->spans++)
        return;
    e->hi = hi;
    e->lo = lo;
    if (++w->n > w->capacity / 4 * 3)
        grow(w);
}

struct bench_whole_result bench_whole_result(const struct bench_whole *w)
{
    struct bench_whole_result r = {.traces = w->n};
    for (size_t i = 0; i < w->capacity; i++) {
        uint64_t seen = w->entries[i].spans, expected = w->entries[i].hi >> 48;
        if (!seen)
            continue;
        r.whole += seen == expected;
        r.partial += seen < expected;
        r.excess += seen > expected;
        r.missing_spans += seen < expected ? expected - seen : 0;
        r.excess_spans += seen > expected ? seen - expected : 0;
    }
    return r;
}
