/* Histogram of durations: logarithmic buckets, exact integer counts, mergeable.
 *
 * There are 250 buckets: one for everything up to 1,953 ns, eight per doubling up to 4,194.304 s (70 minutes), one for
 * what is longer. Bounds are 2 ms * 2^e * f / 64 with f = 64, 70, 76, 83, 91, 100, 108, 118: close to an even
 * logarithmic scale (a bucket is 8 % to 10 % wide, so that a quantile is off by at most 5 %), and chosen so that the
 * bounds which dashboards expect lie on it exactly: 0.002 * 2^i s (f = 64) and 0.1 * 2^i s (f = 100, since 0.1 s = 2 ms
 * * 2^5 * 100 / 64). A bucket holds what is above its lower and up to and including its upper bound, as Prometheus'
 * `le` means it.
 *
 * Counts, sums and merges are integers, so that a result depends neither on the order of observations nor on how they
 * were spread over histograms. A count stops at 2^32 - 1 per bucket and a sum at 2^64 - 1 ns instead of wrapping.
 *
 * A histogram is 64 bytes and holds up to eight different buckets itself; more go to pages of eight buckets that come
 * from a pool. At the pool's limit an observation is counted in the nearest bucket that is there (and in
 * pool->coarsened).
 *
 * Not thread-safe; a histogram and its pool belong to one thread at a time. */
#ifndef SM_HIST_H
#define SM_HIST_H

#include "base/base.h"

#define SM_HIST_BUCKETS  250
#define SM_HIST_SUB      8  /* buckets per doubling, also buckets per page */
#define SM_HIST_LOW_EXP  10 /* the lowest doubling starts at 2 ms / 2^10 */
#define SM_HIST_HIGH_EXP 20 /* the highest one starts at 2 ms * 2^20 */
/* Longer durations (52 days) count as this one, so that a client's nonsense does not drown a sum. */
#define SM_HIST_NS_MAX (UINT64_C(1) << 52)

/* Pages for the histograms of one owner; freed all at once or one by one. */
struct sm_hist_pool {
    struct sm_hist_slab *slabs, *current;
    uint32_t at;   /* used bytes of the current slab */
    void *free[6]; /* returned pages, by class: 1, 2, 4, 8, 16, 32 of them together */
    size_t bytes_held;
    size_t bytes_max;
    uint64_t coarsened; /* observations that had to go to the nearest bucket */
};

void sm_hist_pool_init(struct sm_hist_pool *pool, size_t bytes_max);
void sm_hist_pool_fini(struct sm_hist_pool *pool);
/* Forgets every histogram that uses the pool (the caller zeroes them) and keeps the memory. */
void sm_hist_pool_reset(struct sm_hist_pool *pool);

/* Zero-initialised it is empty. */
struct sm_hist {
    uint64_t count;
    uint64_t sum_ns;
    uint32_t pages; /* bit p: buckets 8p..8p+7 have a page; 0: what there is lies in `pairs` */
    uint8_t pair_count;
    uint8_t page_class; /* room for 1 << class pages */
    uint16_t reserved;
    union {
        struct {
            uint32_t counts[8];
            uint8_t buckets[8];
        } pairs;
        uint32_t *page; /* in order of their bits */
    };
};

_Static_assert(sizeof(struct sm_hist) == 64, "a histogram fills one cache line");

extern const uint8_t sm_hist_sub_of[64]; /* top 6 bits of a mantissa -> 0..7 */

/* The bucket of a duration. */
SM_INLINE unsigned sm_hist_bucket(uint64_t ns)
{
    /* The quotient is exact where it falls on a bound (bounds are 2 ms times a dyadic number). One unit in the last
     * place less makes intervals closed above; exponent and top mantissa bits then are the bucket. */
    double quotient = (double)(ns ? SM_MIN(ns, SM_HIST_NS_MAX) : 1) / 2e6;
    uint64_t bits;
    memcpy(&bits, &quotient, 8);
    bits--;
    int e = (int)(bits >> 52) - 1023;
    if (SM_UNLIKELY(e < -SM_HIST_LOW_EXP))
        return 0;
    if (SM_UNLIKELY(e > SM_HIST_HIGH_EXP))
        return SM_HIST_BUCKETS - 1;
    return 1 + (unsigned)(e + SM_HIST_LOW_EXP) * SM_HIST_SUB + sm_hist_sub_of[bits >> 46 & 63];
}

/* The longest duration in a bucket (its bound, rounded down to a nanosecond); UINT64_MAX for the last one. */
uint64_t sm_hist_bound_ns(unsigned bucket);

/* Counts one duration `times` times. */
void sm_hist_observe(struct sm_hist *h, struct sm_hist_pool *pool, uint64_t ns, uint32_t times);

/* Adds `from` to `into`; they may use different pools. */
void sm_hist_merge(struct sm_hist *into, struct sm_hist_pool *pool, const struct sm_hist *from);

/* Gives its pages back and empties it. */
void sm_hist_release(struct sm_hist *h, struct sm_hist_pool *pool);

/* Adds its counts to an array of all buckets. */
void sm_hist_add_counts(const struct sm_hist *h, uint64_t counts[SM_HIST_BUCKETS]);

/* An estimate of quantile q (0..1): the middle of the bucket that holds the observation of that rank, 0 when empty. At
 * most 5 % off between 2 us and 70 minutes. */
uint64_t sm_hist_quantile_ns(const struct sm_hist *h, double q);

#endif
