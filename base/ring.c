/* Single-producer single-consumer ring of pointers: set-up and the batch operations. */
#include "base/ring.h"

#include <stdlib.h>

static uint32_t round_up_pow2(uint32_t n)
{
    n = SM_MIN(SM_MAX(n, 2), SM_RING_CAPACITY_MAX);
    return UINT32_C(1) << (32 - __builtin_clz(n - 1));
}

void sm_ring_init(struct sm_ring *r, uint32_t capacity)
{
    capacity = round_up_pow2(capacity);
    memset(r, 0, sizeof *r);
    r->slots = sm_xcalloc(capacity, sizeof *r->slots);
    r->mask = capacity - 1;
    atomic_init(&r->published, 0);
    atomic_init(&r->consumed, 0);
}

void sm_ring_fini(struct sm_ring *r)
{
    free(r->slots);
    r->slots = NULL;
}

uint32_t sm_ring_push_n(struct sm_ring *r, void *const *items, uint32_t n)
{
    uint32_t room = sm_ring_free_slots(r, n); /* once: the consumer moves on meanwhile */
    n = SM_MIN(n, room);
    for (uint32_t i = 0; i < n; i++)
        r->slots[(r->staged + i) & r->mask] = items[i];
    r->staged += n;
    sm_ring_publish(r);
    return n;
}

uint32_t sm_ring_pop_n(struct sm_ring *r, void **items, uint32_t n)
{
    uint32_t consumed = atomic_load_explicit(&r->consumed, memory_order_relaxed);
    if (r->published_seen - consumed < n)
        r->published_seen = atomic_load_explicit(&r->published, memory_order_acquire);
    n = SM_MIN(n, r->published_seen - consumed);
    for (uint32_t i = 0; i < n; i++)
        items[i] = r->slots[(consumed + i) & r->mask];
    if (n)
        atomic_store_explicit(&r->consumed, consumed + n, memory_order_release);
    return n;
}

uint32_t sm_ring_count(const struct sm_ring *r)
{
    uint32_t consumed = atomic_load_explicit(&r->consumed, memory_order_acquire);
    uint32_t published = atomic_load_explicit(&r->published, memory_order_acquire);
    return SM_MIN(published - consumed, r->mask + 1);
}
