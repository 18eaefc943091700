/* One memory budget for the process: what shards and payload pools hold, with a soft and a hard mark.
 *
 * Above the soft mark payloads are refused (back-pressure); above the hard mark shards decide their heaviest and oldest
 * traces early. Each shard publishes its own figure; anybody sums them. No lock. */
#ifndef SM_BUDGET_H
#define SM_BUDGET_H

#include "base/base.h"

#include <stdatomic.h>

#define SM_BUDGET_SHARDS_MAX 256

struct sm_budget {
    uint64_t soft_bytes;
    uint64_t hard_bytes;
    unsigned shards;
    struct {
        _Atomic uint64_t bytes;
    } SM_ALIGNED_LINE used[SM_BUDGET_SHARDS_MAX];
};

/* The shard's thread: what it holds now, the memory of its worker that is charged to it included. */
SM_INLINE void sm_budget_publish(struct sm_budget *b, unsigned shard, uint64_t bytes)
{
    atomic_store_explicit(&b->used[shard].bytes, bytes, memory_order_relaxed);
}

/* Any thread: what all of them hold, as last published (at their ticks). */
SM_INLINE uint64_t sm_budget_used(const struct sm_budget *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->shards; i++)
        sum += atomic_load_explicit(&b->used[i].bytes, memory_order_relaxed);
    return sum;
}

#endif
