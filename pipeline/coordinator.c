/* The tick's meeting point of all shards. */
#include "pipeline/coordinator.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Grows to the largest tick seen; bounded by the number of traces that close in one tick. */
struct list {
    struct sm_limiter_candidate *items;
    size_t count, capacity;
};

struct post {
    struct list *limiters; /* candidates by limiter */
    uint64_t posted;       /* ticks this shard posted; owner only */
} SM_ALIGNED_LINE;

struct sm_coordinator {
    const struct sm_policy *policy;
    unsigned shards;
    struct post *posts;
    struct list *merged;   /* by limiter; the solver's */
    uint64_t *thresholds;  /* by limiter, of the tick solved last */
    _Atomic unsigned waiting SM_ALIGNED_LINE; /* shards that have posted the tick under way */
    _Atomic uint64_t solved SM_ALIGNED_LINE;  /* ticks solved */
};

struct sm_coordinator *sm_coordinator_new(const struct sm_policy *policy, unsigned shards)
{
    struct sm_coordinator *c = aligned_alloc(SM_CACHE_LINE, sizeof *c);
    SM_ASSERT(c);
    memset(c, 0, sizeof *c);
    c->policy = policy;
    c->shards = shards;
    c->posts = aligned_alloc(SM_CACHE_LINE, shards * sizeof *c->posts);
    SM_ASSERT(c->posts);
    memset(c->posts, 0, shards * sizeof *c->posts);
    size_t limiters = SM_MAX(policy->limiter_count, 1u);
    for (unsigned i = 0; i < shards; i++)
        c->posts[i].limiters = sm_xcalloc(limiters, sizeof(struct list));
    c->merged = sm_xcalloc(limiters, sizeof *c->merged);
    c->thresholds = sm_xcalloc(limiters, sizeof *c->thresholds);
    return c;
}

void sm_coordinator_free(struct sm_coordinator *c)
{
    if (!c)
        return;
    for (unsigned l = 0; l < c->policy->limiter_count; l++) {
        for (unsigned i = 0; i < c->shards; i++)
            free(c->posts[i].limiters[l].items);
        free(c->merged[l].items);
    }
    for (unsigned i = 0; i < c->shards; i++)
        free(c->posts[i].limiters);
    free(c->posts);
    free(c->merged);
    free(c->thresholds);
    free(c);
}

static void append(struct list *list, const struct sm_limiter_candidate *items, size_t n)
{
    if (list->capacity - list->count < n) {
        while (list->capacity - list->count < n)
            list->capacity = list->capacity ? list->capacity * 2 : 64;
        list->items = sm_xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    memcpy(list->items + list->count, items, n * sizeof *items);
    list->count += n;
}

void sm_coordinator_ask(struct sm_coordinator *c, unsigned shard, uint16_t limiter,
                        const struct sm_limiter_candidate *candidate)
{
    append(&c->posts[shard].limiters[limiter], candidate, 1);
}

static void solve(struct sm_coordinator *c, int64_t now_ns)
{
    for (unsigned l = 0; l < c->policy->limiter_count; l++) {
        struct list *merged = &c->merged[l];
        merged->count = 0;
        for (unsigned i = 0; i < c->shards; i++) {
            struct list *asked = &c->posts[i].limiters[l];
            if (asked->count)
                append(merged, asked->items, asked->count);
            asked->count = 0;
        }
        c->thresholds[l] = sm_limiter_cut(&c->policy->limiters[l], merged->items, merged->count, now_ns);
    }
    atomic_store_explicit(&c->waiting, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->solved, 1, memory_order_release);
}

void sm_coordinator_post(struct sm_coordinator *c, unsigned shard, int64_t now_ns)
{
    c->posts[shard].posted++;
    if (atomic_fetch_add_explicit(&c->waiting, 1, memory_order_acq_rel) + 1 == c->shards)
        solve(c, now_ns);
}

bool sm_coordinator_solved(const struct sm_coordinator *c, unsigned shard)
{
    return atomic_load_explicit(&c->solved, memory_order_acquire) == c->posts[shard].posted;
}

bool sm_coordinator_granted(const struct sm_coordinator *c, uint16_t limiter, const struct sm_limiter_candidate *candidate,
                            uint64_t *threshold)
{
    *threshold = c->thresholds[limiter];
    return sm_limiter_keeps(&c->policy->limiters[limiter], *threshold, candidate);
}
