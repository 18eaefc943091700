#include "span/hist.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Spread over all magnitudes. */
static uint64_t random_ns(uint64_t *state)
{
    uint64_t v = next_random(state);
    return (v >> 20) >> (next_random(state) % 44);
}

Test(hist, every_bound_closes_its_bucket)
{
    for (unsigned b = 0; b + 1 < SM_HIST_BUCKETS; b++) {
        uint64_t bound = sm_hist_bound_ns(b);
        cr_assert_eq(sm_hist_bucket(bound), b, "bound %llu", (unsigned long long)bound);
        cr_assert_eq(sm_hist_bucket(bound + 1), b + 1, "after %llu", (unsigned long long)bound);
    }
    cr_assert_eq(sm_hist_bucket(0), 0);
    cr_assert_eq(sm_hist_bucket(UINT64_MAX), SM_HIST_BUCKETS - 1);
    cr_assert_eq(sm_hist_bound_ns(0), 1953);
    cr_assert_eq(sm_hist_bound_ns(SM_HIST_BUCKETS - 2), UINT64_C(4194304000000));
}

Test(hist, buckets_are_at_most_ten_percent_wide)
{
    for (unsigned b = 1; b + 1 < SM_HIST_BUCKETS; b++) {
        double ratio = (double)sm_hist_bound_ns(b) / (double)sm_hist_bound_ns(b - 1);
        cr_assert(ratio > 1.075 && ratio < 1.1, "bucket %u: %f", b, ratio);
    }
}

Test(hist, bounds_of_dashboards_are_bounds_of_buckets)
{
    for (unsigned i = 0; i < 14; i++) {
        uint64_t bound = UINT64_C(2000000) << i;
        cr_assert_eq(sm_hist_bound_ns(sm_hist_bucket(bound)), bound);
    }
    for (unsigned i = 0; i < 8; i++) {
        uint64_t bound = UINT64_C(100000000) << i;
        cr_assert_eq(sm_hist_bound_ns(sm_hist_bucket(bound)), bound);
    }
}

struct oracle {
    uint64_t counts[SM_HIST_BUCKETS];
    uint64_t count, sum_ns;
};

static void oracle_observe(struct oracle *o, uint64_t ns, uint32_t times)
{
    unsigned b = 0;
    while (b + 1 < SM_HIST_BUCKETS && ns > sm_hist_bound_ns(b))
        b++;
    o->counts[b] += times;
    o->count += times;
    o->sum_ns += ns * times;
}

static void expect_equal(const struct sm_hist *h, const struct oracle *o)
{
    uint64_t counts[SM_HIST_BUCKETS] = {0};
    sm_hist_add_counts(h, counts);
    cr_assert_arr_eq(counts, o->counts, sizeof counts);
    cr_assert_eq(h->count, o->count);
    cr_assert_eq(h->sum_ns, o->sum_ns);
}

/* Observations spread over several histograms and merged in any order are the same as all in one. */
Test(hist, merging_equals_observing_in_one)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15);
        struct sm_hist_pool pools[2];
        sm_hist_pool_init(&pools[0], 1 << 20);
        sm_hist_pool_init(&pools[1], 1 << 20);
        enum { PARTS = 4 };
        struct sm_hist parts[PARTS] = {0}, one = {0}, sum = {0};
        struct oracle oracle = {0};
        unsigned n = (unsigned)(next_random(&state) % 300);
        for (unsigned i = 0; i < n; i++) {
            uint64_t ns = seed % 3 ? random_ns(&state) : 5 * SM_MS + next_random(&state) % 1000000;
            uint32_t times = 1 + (uint32_t)(next_random(&state) % 3);
            oracle_observe(&oracle, ns, times);
            sm_hist_observe(&one, &pools[0], ns, times);
            sm_hist_observe(&parts[next_random(&state) % PARTS], &pools[i % 2], ns, times);
        }
        unsigned first = (unsigned)(next_random(&state) % PARTS);
        for (unsigned i = 0; i < PARTS; i++)
            sm_hist_merge(&sum, &pools[1], &parts[(first + i) % PARTS]);
        expect_equal(&one, &oracle);
        expect_equal(&sum, &oracle);
        sm_hist_release(&sum, &pools[1]);
        cr_assert_eq(sum.count, 0);
        cr_assert_eq(pools[0].coarsened + pools[1].coarsened, 0);
        sm_hist_pool_fini(&pools[0]);
        sm_hist_pool_fini(&pools[1]);
    }
}

Test(hist, few_buckets_need_no_pool)
{
    struct sm_hist_pool pool;
    sm_hist_pool_init(&pool, 0);
    struct sm_hist h = {0};
    struct oracle oracle = {0};
    for (unsigned i = 0; i < 8000; i++) {
        sm_hist_observe(&h, &pool, UINT64_C(1000) << (i % 8) * 2, 1);
        oracle_observe(&oracle, UINT64_C(1000) << (i % 8) * 2, 1);
    }
    expect_equal(&h, &oracle);
    cr_assert_eq(pool.coarsened, 0);
}

Test(hist, at_the_limit_counts_stay_exact_and_go_to_the_nearest_bucket)
{
    struct sm_hist_pool pool;
    sm_hist_pool_init(&pool, 0);
    struct sm_hist h = {0};
    for (unsigned i = 0; i < 8; i++)
        sm_hist_observe(&h, &pool, UINT64_C(1000000) << i, 1);
    sm_hist_observe(&h, &pool, 1100000, 5);
    cr_assert_eq(h.count, 13);
    cr_assert_eq(pool.coarsened, 5);
    cr_assert_eq(sm_hist_quantile_ns(&h, 0.2), sm_hist_quantile_ns(&h, 0), "the five stand with 1 ms");
}

Test(hist, at_the_limit_with_pages)
{
    struct sm_hist_pool pool;
    sm_hist_pool_init(&pool, 70000); /* one slab: 2,048 pages */
    struct sm_hist hists[80] = {0};
    uint64_t state = 7, total = 0;
    for (unsigned i = 0; i < 40000; i++) {
        sm_hist_observe(&hists[i % 80], &pool, random_ns(&state), 1);
    }
    for (unsigned i = 0; i < 80; i++) {
        uint64_t counts[SM_HIST_BUCKETS] = {0};
        sm_hist_add_counts(&hists[i], counts);
        for (unsigned b = 0; b < SM_HIST_BUCKETS; b++)
            total += counts[b];
    }
    cr_assert_eq(total, 40000);
    cr_assert_gt(pool.coarsened, 0);
    cr_assert_leq(pool.bytes_held, 70000);
    sm_hist_pool_fini(&pool);
}

Test(hist, pool_memory_is_used_again)
{
    struct sm_hist_pool pool;
    sm_hist_pool_init(&pool, 8 << 20);
    size_t held = 0;
    for (unsigned round = 0; round < 50; round++) {
        struct sm_hist hists[500] = {0};
        uint64_t state = 99;
        for (unsigned i = 0; i < 50000; i++)
            sm_hist_observe(&hists[i % 500], &pool, random_ns(&state), 1);
        for (unsigned i = 0; i < 500 && round % 2; i++)
            sm_hist_release(&hists[i], &pool);
        if (round % 2 == 0)
            sm_hist_pool_reset(&pool);
        if (round == 1)
            held = pool.bytes_held;
    }
    cr_assert_eq(pool.bytes_held, held);
    sm_hist_pool_fini(&pool);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(hist, quantiles_are_within_five_percent)
{
    static const double qs[] = {0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t state = seed * 77, values[2000];
        struct sm_hist_pool pool;
        sm_hist_pool_init(&pool, 1 << 20);
        struct sm_hist h = {0};
        for (unsigned i = 0; i < 2000; i++) {
            values[i] = 2000 + random_ns(&state) % (4000 * SM_SEC);
            sm_hist_observe(&h, &pool, values[i], 1);
        }
        qsort(values, 2000, sizeof *values, compare);
        for (unsigned i = 0; i < SM_ARRAY_LEN(qs); i++) {
            double exact = (double)values[qs[i] > 0 ? (unsigned)ceil(qs[i] * 2000) - 1 : 0];
            double got = (double)sm_hist_quantile_ns(&h, qs[i]);
            cr_assert(got > exact * 0.95 && got < exact * 1.05, "q %f: %f instead of %f", qs[i], got, exact);
        }
        sm_hist_pool_fini(&pool);
    }
    struct sm_hist empty = {0};
    cr_assert_eq(sm_hist_quantile_ns(&empty, 0.5), 0);
}

Test(hist, sums_and_counts_stop_instead_of_wrapping)
{
    struct sm_hist_pool pool;
    sm_hist_pool_init(&pool, 1 << 20);
    struct sm_hist h = {0}, sum = {0};
    for (unsigned i = 0; i < 5000; i++)
        sm_hist_observe(&h, &pool, UINT64_MAX, 1);
    cr_assert_eq(h.sum_ns, UINT64_MAX);
    sm_hist_observe(&sum, &pool, 1, UINT32_MAX);
    sm_hist_merge(&sum, &pool, &sum);
    uint64_t counts[SM_HIST_BUCKETS] = {0};
    sm_hist_add_counts(&sum, counts);
    cr_assert_eq(counts[0], UINT32_MAX);
    sm_hist_pool_fini(&pool);
}
