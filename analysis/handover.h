/* Handing deltas from a shard to the control thread: each shard has two, the shard writes one while the other is away.
 *
 *   shard:    write to delta[active]; at its tick, if the other one is home: send it away, go on with the other
 *   control:  if one is away: drain it, clear it, send it home
 *
 * What is written before sm_handover_ship is visible to the control thread after sm_handover_away said so, and the
 * other way round after sm_handover_home. */
#ifndef SM_HANDOVER_H
#define SM_HANDOVER_H

#include "base/base.h"

#include <stdatomic.h>

struct sm_handover {
    unsigned active;     /* 0 or 1; the shard's */
    _Atomic int is_away; /* -1: both are home; else which one is away */
};

SM_INLINE void sm_handover_init(struct sm_handover *h)
{
    h->active = 0;
    atomic_init(&h->is_away, -1);
}

/* Shard: sends the active delta away and returns true, or returns false because the other one is not back yet. */
SM_INLINE bool sm_handover_ship(struct sm_handover *h)
{
    if (atomic_load_explicit(&h->is_away, memory_order_acquire) >= 0)
        return false;
    int full = (int)h->active;
    h->active ^= 1;
    atomic_store_explicit(&h->is_away, full, memory_order_release);
    return true;
}

/* Control thread: which delta is away, -1 for none. */
SM_INLINE int sm_handover_away(struct sm_handover *h)
{
    return atomic_load_explicit(&h->is_away, memory_order_acquire);
}

/* Control thread: the delta is drained and clear. */
SM_INLINE void sm_handover_home(struct sm_handover *h)
{
    atomic_store_explicit(&h->is_away, -1, memory_order_release);
}

#endif
