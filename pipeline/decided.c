/* The caches of past decisions. */
#include "pipeline/decided.h"

#include "base/hash.h"

#include <stdlib.h>

enum { SLOTS_PER_BUCKET = 4, KICKS_MAX = 64, BUCKETS_AT_FIRST = 16384 };

struct filter {
    uint32_t *slots; /* fingerprints; 0: free. NULL: none was ever put in */
    uint32_t count;
    uint32_t bucket_mask;
};

struct kept {
    struct sm_trace_id id;
    struct sm_decision decision;
    uint32_t next; /* in its hash chain, index + 1 */
    bool used;
};

struct sm_decided {
    struct filter young, old;
    uint32_t buckets_max; /* of one filter; 0: dropped traces are not remembered */
    struct kept *kept; /* a ring: the oldest entry is overwritten */
    uint32_t *kept_heads;
    uint32_t kept_max, kept_next, kept_mask;
};

static uint32_t pow2_at_least(uint32_t n)
{
    uint32_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static struct filter filter_new(uint32_t buckets)
{
    return (struct filter){sm_xcalloc((size_t)buckets * SLOTS_PER_BUCKET, sizeof(uint32_t)), 0, buckets - 1};
}

struct sm_decided *sm_decided_new(uint32_t kept_max, uint32_t dropped_max)
{
    struct sm_decided *d = sm_xcalloc(1, sizeof *d);
    if (dropped_max) {
        d->buckets_max = pow2_at_least(SM_MAX(dropped_max / 2 / SLOTS_PER_BUCKET, 2u));
        d->young = filter_new(SM_MIN(d->buckets_max, (uint32_t)BUCKETS_AT_FIRST));
    }
    d->kept_max = kept_max;
    if (kept_max) {
        d->kept = sm_xcalloc(kept_max, sizeof *d->kept);
        d->kept_mask = pow2_at_least(kept_max) - 1;
        d->kept_heads = sm_xcalloc((size_t)d->kept_mask + 1, sizeof(uint32_t));
    }
    return d;
}

void sm_decided_free(struct sm_decided *d)
{
    if (!d)
        return;
    free(d->young.slots);
    free(d->old.slots);
    free(d->kept);
    free(d->kept_heads);
    free(d);
}

static uint32_t fingerprint(uint64_t hash)
{
    uint32_t f = (uint32_t)(hash >> 32);
    return f ? f : 1;
}

/* The other bucket a fingerprint may live in; its own inverse. */
static uint32_t other_bucket(const struct filter *filter, uint32_t bucket, uint32_t f)
{
    return (bucket ^ (uint32_t)sm_hash_u64(f)) & filter->bucket_mask;
}

static bool bucket_has(const struct filter *filter, uint32_t bucket, uint32_t f)
{
    const uint32_t *s = &filter->slots[(size_t)bucket * SLOTS_PER_BUCKET];
    return s[0] == f || s[1] == f || s[2] == f || s[3] == f;
}

static bool bucket_put(struct filter *filter, uint32_t bucket, uint32_t f)
{
    uint32_t *s = &filter->slots[(size_t)bucket * SLOTS_PER_BUCKET];
    for (unsigned i = 0; i < SLOTS_PER_BUCKET; i++) {
        if (s[i] == 0) {
            s[i] = f;
            return true;
        }
    }
    return false;
}

static bool is_full(const struct filter *filter)
{
    uint64_t slots = ((uint64_t)filter->bucket_mask + 1) * SLOTS_PER_BUCKET;
    return filter->count >= slots / 16 * 15;
}

/* The young filter becomes the old one. Filters double until they have their full size, so that a daemon with little traffic
 * does not touch memory that it never needs: entries are spread all over it. */
static void rotate(struct sm_decided *d)
{
    uint32_t buckets = SM_MIN(d->young.bucket_mask + 1, d->buckets_max / 2) * 2;
    struct filter fresh = d->old;
    d->old = d->young;
    if (!fresh.slots || fresh.bucket_mask + 1 != buckets) {
        free(fresh.slots);
        fresh = filter_new(buckets);
    } else {
        memset(fresh.slots, 0, (size_t)buckets * SLOTS_PER_BUCKET * sizeof(uint32_t));
        fresh.count = 0;
    }
    d->young = fresh;
}

/* False after too many displacements; then *f is a fingerprint without a place and *bucket one of its two buckets. */
static bool filter_insert(struct sm_decided *d, uint32_t *bucket, uint32_t *f)
{
    for (unsigned kick = 0; kick < KICKS_MAX; kick++) {
        uint32_t other = other_bucket(&d->young, *bucket, *f);
        if (bucket_put(&d->young, *bucket, *f) || bucket_put(&d->young, other, *f)) {
            d->young.count++;
            return true;
        }
        uint32_t *victim = &d->young.slots[(size_t)other * SLOTS_PER_BUCKET + kick % SLOTS_PER_BUCKET];
        uint32_t displaced = *victim;
        *victim = *f;
        *f = displaced;
        *bucket = other;
    }
    return false;
}

static bool filter_has(const struct filter *filter, uint64_t hash)
{
    uint32_t f = fingerprint(hash), bucket = (uint32_t)hash & filter->bucket_mask;
    return filter->count && (bucket_has(filter, bucket, f) || bucket_has(filter, other_bucket(filter, bucket, f), f));
}

void sm_decided_add_dropped(struct sm_decided *d, struct sm_trace_id id)
{
    if (!d->buckets_max)
        return;
    uint64_t hash = sm_hash_u64(id.lo);
    if (filter_has(&d->young, hash)) /* again: copies would fill its two buckets and push everything out */
        return;
    if (is_full(&d->young))
        rotate(d);
    uint32_t f = fingerprint(hash), bucket = (uint32_t)hash & d->young.bucket_mask;
    if (filter_insert(d, &bucket, &f))
        return;
    /* One that was displaced goes on; in a larger filter its bucket has one bit more, which is not known any more. */
    uint32_t step = d->young.bucket_mask + 1;
    rotate(d);
    for (uint32_t at = bucket; at <= d->young.bucket_mask; at += step)
        d->young.count += bucket_put(&d->young, at, f);
}

static uint32_t *kept_head(const struct sm_decided *d, uint64_t lo)
{
    return &d->kept_heads[sm_hash_u64(lo) & d->kept_mask];
}

static void kept_unlink(struct sm_decided *d, uint32_t index)
{
    uint32_t *at = kept_head(d, d->kept[index].id.lo);
    while (*at != index + 1)
        at = &d->kept[*at - 1].next;
    *at = d->kept[index].next;
}

void sm_decided_add_kept(struct sm_decided *d, struct sm_trace_id id, const struct sm_decision *decision)
{
    if (!d->kept_max)
        return;
    uint32_t index = d->kept_next;
    d->kept_next = (index + 1) % d->kept_max;
    struct kept *k = &d->kept[index];
    if (k->used)
        kept_unlink(d, index);
    uint32_t *head = kept_head(d, id.lo);
    *k = (struct kept){id, *decision, *head, true};
    *head = index + 1;
}

static void filter_prefetch(const struct filter *filter, uint64_t hash)
{
    uint32_t f = fingerprint(hash), bucket = (uint32_t)hash & filter->bucket_mask;
    __builtin_prefetch(&filter->slots[(size_t)bucket * SLOTS_PER_BUCKET]);
    __builtin_prefetch(&filter->slots[(size_t)other_bucket(filter, bucket, f) * SLOTS_PER_BUCKET]);
}

void sm_decided_prefetch(const struct sm_decided *d, struct sm_trace_id id)
{
    uint64_t hash = sm_hash_u64(id.lo);
    if (d->kept_max)
        __builtin_prefetch(&d->kept_heads[hash & d->kept_mask]);
    if (d->young.count)
        filter_prefetch(&d->young, hash);
    if (d->old.count)
        filter_prefetch(&d->old, hash);
}

enum sm_decided_state sm_decided_find(const struct sm_decided *d, struct sm_trace_id id, struct sm_decision *decision)
{
    if (d->kept_max) {
        for (uint32_t i = *kept_head(d, id.lo); i; i = d->kept[i - 1].next) {
            if (sm_trace_id_meets(d->kept[i - 1].id, id)) {
                *decision = d->kept[i - 1].decision;
                decision->id_hi = d->kept[i - 1].id.hi;
                return SM_DECIDED_KEPT;
            }
        }
    }
    uint64_t hash = sm_hash_u64(id.lo);
    if (filter_has(&d->young, hash) || filter_has(&d->old, hash))
        return SM_DECIDED_DROPPED;
    return SM_DECIDED_NONE;
}
