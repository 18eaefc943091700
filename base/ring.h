/* A bounded queue of pointers between exactly one producer thread and one consumer thread.
 *
 * The capacity is a power of two. Each side keeps a cached copy of the other side's index and looks at the shared one only
 * when the cached one says "full" or "empty", so that in steady state the two threads touch each other's cache line once
 * per batch, not once per item.
 *
 * Reserve, then publish: as the only producer, a thread that has seen n free slots (sm_ring_free_slots) owns them until it
 * fills them; nobody can take them away. A payload that must reach several rings whole or not at all asks all of them first
 * and pushes afterwards. sm_ring_stage fills slots without showing them; sm_ring_publish shows them all with one store.
 *
 * Everything written before a publish is visible to the consumer after its pop. The ring never sleeps and never wakes
 * anybody: see base/wake.h. It does not own what the pointers point to. */
#ifndef SM_RING_H
#define SM_RING_H

#include "base/base.h"

#include <stdatomic.h>

#define SM_RING_CAPACITY_MAX (UINT32_C(1) << 24)

struct sm_ring {
    /* read by both sides, never written after init */
    void **slots;
    uint32_t mask;

    /* producer's line */
    _Atomic uint32_t published SM_ALIGNED_LINE; /* items ever shown to the consumer, modulo 2^32 */
    uint32_t staged;                            /* items ever filled */
    uint32_t consumed_seen;                     /* producer's copy of consumed */

    /* consumer's line */
    _Atomic uint32_t consumed SM_ALIGNED_LINE; /* items ever taken */
    uint32_t published_seen;                   /* consumer's copy of published */
} SM_ALIGNED_LINE;

/* capacity is rounded up to a power of two, 2 at least, SM_RING_CAPACITY_MAX at most. */
void sm_ring_init(struct sm_ring *r, uint32_t capacity);
/* Items still inside are forgotten, not freed. */
void sm_ring_fini(struct sm_ring *r);

SM_INLINE uint32_t sm_ring_capacity(const struct sm_ring *r)
{
    return r->mask + 1;
}

/* Producer. How many more items can be staged. The consumer's progress is looked up only when fewer than `want` slots are
 * known to be free, so that the answer may be too small but is at least min(want, what is really free). */
SM_INLINE uint32_t sm_ring_free_slots(struct sm_ring *r, uint32_t want)
{
    uint32_t free_slots = r->mask + 1 - (r->staged - r->consumed_seen);
    if (SM_LIKELY(free_slots >= want))
        return free_slots;
    r->consumed_seen = atomic_load_explicit(&r->consumed, memory_order_acquire);
    return r->mask + 1 - (r->staged - r->consumed_seen);
}

/* Producer. Fills the next slot, not visible yet. False when the ring is full. */
SM_INLINE bool sm_ring_stage(struct sm_ring *r, void *item)
{
    if (SM_UNLIKELY(sm_ring_free_slots(r, 1) == 0))
        return false;
    r->slots[r->staged++ & r->mask] = item;
    return true;
}

/* Producer. Shows all staged items. */
SM_INLINE void sm_ring_publish(struct sm_ring *r)
{
    atomic_store_explicit(&r->published, r->staged, memory_order_release);
}

/* Producer. Stage and publish one item; false when the ring is full. Shows earlier staged items too. */
SM_INLINE bool sm_ring_push(struct sm_ring *r, void *item)
{
    if (!sm_ring_stage(r, item))
        return false;
    sm_ring_publish(r);
    return true;
}

/* Producer. Pushes as many of n items as there is room for, publishes once, returns how many. */
uint32_t sm_ring_push_n(struct sm_ring *r, void *const *items, uint32_t n);

/* Consumer. Takes up to n items, oldest first; returns how many. */
uint32_t sm_ring_pop_n(struct sm_ring *r, void **items, uint32_t n);

/* Consumer. The oldest item, NULL when the ring is empty (so do not push NULL if you use this one). */
SM_INLINE void *sm_ring_pop(struct sm_ring *r)
{
    void *item;
    return sm_ring_pop_n(r, &item, 1) ? item : NULL;
}

/* Consumer. True when nothing is published. */
SM_INLINE bool sm_ring_empty(struct sm_ring *r)
{
    uint32_t consumed = atomic_load_explicit(&r->consumed, memory_order_relaxed);
    if (r->published_seen != consumed)
        return false;
    r->published_seen = atomic_load_explicit(&r->published, memory_order_acquire);
    return r->published_seen == consumed;
}

/* Any thread: items published and not taken, as of some moment during the call. For gauges. */
uint32_t sm_ring_count(const struct sm_ring *r);

#endif
