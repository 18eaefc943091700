#include "pipeline/sample/limiter.h"

#include "base/hash.h"

#include <criterion/criterion.h>
#include <math.h>

static struct sm_limiter_candidate candidate(uint64_t randomness, uint32_t cost, uint64_t trace)
{
    return (struct sm_limiter_candidate){.randomness = randomness, .cost = cost, .trace = {.hi = 1, .lo = trace}};
}

static uint64_t kept_cost(const struct sm_limiter *l, uint64_t threshold, const struct sm_limiter_candidate *c, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (sm_limiter_keeps(l, threshold, &c[i]))
            sum += c[i].cost;
    return sum;
}

Test(limiter, everything_fits)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 10, 20, 0);
    struct sm_limiter_candidate c[] = {candidate(5, 10, 1), candidate(9, 10, 2)};
    cr_assert_eq(sm_limiter_cut(&l, c, 2, 0), SM_THRESHOLD_ALWAYS);
    cr_assert_eq(l.tokens_nano, 0);
    cr_assert_eq(sm_limiter_cut(&l, c, 0, 0), SM_THRESHOLD_ALWAYS);
}

Test(limiter, spends_from_the_top_and_stops_at_the_first_that_does_not_fit)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 10, 20, 0);
    /* 30 does not fit behind 15: 10, though it would, is below the cut */
    struct sm_limiter_candidate c[] = {candidate(10, 1, 1), candidate(40, 15, 2), candidate(30, 10, 3)};
    uint64_t t = sm_limiter_cut(&l, c, 3, 0);
    cr_assert_eq(t, 31);
    cr_assert_eq(kept_cost(&l, t, c, 3), 15);
    cr_assert_eq(l.tokens_nano, 5000000000);
}

Test(limiter, a_tied_group_goes_as_a_whole_and_is_not_charged)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 10, 20, 0);
    struct sm_limiter_candidate c[] = {candidate(50, 4, 1), candidate(30, 8, 3), candidate(30, 9, 2), candidate(30, 1, 4)};
    uint64_t t = sm_limiter_cut(&l, c, 4, 0);
    cr_assert_eq(t, 31);
    cr_assert_eq(kept_cost(&l, t, c, 4), 4);
    cr_assert_eq(l.tokens_nano, 16000000000);
}

Test(limiter, the_top_itself_may_not_fit)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 0, 5, 0);
    struct sm_limiter_candidate c[] = {candidate(SM_RANDOMNESS_MASK, 4, 1), candidate(SM_RANDOMNESS_MASK, 4, 2)};
    cr_assert_eq(sm_limiter_cut(&l, c, 2, 0), SM_THRESHOLD_NEVER);
    cr_assert_eq(l.tokens_nano, 5000000000);
}

Test(limiter, what_can_never_pay_is_refused_and_leaves_the_cut_alone)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 10, 20, 0);
    struct sm_limiter_candidate c[] = {candidate(99, 21, 1), candidate(10, 20, 2), candidate(50, UINT32_MAX, 3)};
    uint64_t t = sm_limiter_cut(&l, c, 3, 0);
    cr_assert_eq(t, SM_THRESHOLD_ALWAYS);
    cr_assert_eq(kept_cost(&l, t, c, 3), 20);
}

Test(limiter, refills_by_elapsed_time_without_losing_fractions)
{
    struct sm_limiter l;
    sm_limiter_init(&l, 0.3, 100, 0);
    l.tokens_nano = 0;
    for (int64_t now = 7; now <= 10 * SM_SEC; now += 70001)
        (void)sm_limiter_cut(&l, NULL, 0, now);
    (void)sm_limiter_cut(&l, NULL, 0, 10 * SM_SEC);
    cr_assert_eq(l.tokens_nano, 3000000000);
    (void)sm_limiter_cut(&l, NULL, 0, 5 * SM_SEC);
    cr_assert_eq(l.tokens_nano, 3000000000, "time that goes back earns nothing");
    (void)sm_limiter_cut(&l, NULL, 0, 10 * SM_SEC);
    cr_assert_eq(l.tokens_nano, 3000000000);
    (void)sm_limiter_cut(&l, NULL, 0, INT64_MAX);
    cr_assert_eq(l.tokens_nano, 100000000000, "never more than the burst");
}

Test(limiter, odd_figures_are_cut_to_the_range)
{
    struct sm_limiter l;
    sm_limiter_init(&l, NAN, -3, 0);
    cr_assert_eq(l.rate_micro, 0);
    cr_assert_eq(l.burst_nano, 1000000000);
    sm_limiter_init(&l, INFINITY, 1e300, 0);
    cr_assert_eq(l.rate_micro, UINT64_C(1000000000000000));
    struct sm_limiter next;
    sm_limiter_init(&next, 5, 10, 0);
    sm_limiter_inherit(&next, &l);
    cr_assert_eq(next.tokens_nano, 10000000000, "up to its own burst");
    l.tokens_nano = 3;
    l.refilled_ns = 77;
    sm_limiter_inherit(&next, &l);
    cr_assert(next.tokens_nano == 3 && next.refilled_ns == 77 && next.rate_micro == 5000000);
}

/* The order of the candidates, and so the number of shards they came from, must not matter. */
Test(limiter, does_not_depend_on_order)
{
    enum { N = 500 };
    static struct sm_limiter_candidate a[N], b[N];
    for (uint64_t seed = 1; seed <= 50; seed++) {
        for (size_t i = 0; i < N; i++) {
            uint64_t h = sm_hash_fixed64(i, seed);
            a[i] = candidate(h % 300, 1 + (uint32_t)(h >> 40) % 30, i);
            b[(i * 7 + seed) % N] = a[i];
        }
        struct sm_limiter la, lb;
        sm_limiter_init(&la, 100, 10 * seed, 0);
        lb = la;
        uint64_t ta = sm_limiter_cut(&la, a, N, SM_SEC), tb = sm_limiter_cut(&lb, b, N, SM_SEC);
        cr_assert_eq(ta, tb, "seed %lu", (unsigned long)seed);
        cr_assert_eq(la.tokens_nano, lb.tokens_nano);
        cr_assert_leq(kept_cost(&la, ta, a, N), 10 * seed);
    }
}

/* Adjusted counts estimate traces, spans and any part of them without bias: over many ticks the sum of
 * 2^56 / (2^56 - T) over kept traces comes to the true number. */
Test(limiter, adjusted_counts_are_unbiased)
{
    enum { TICKS = 20000, N = 60 };
    struct sm_limiter l;
    sm_limiter_init(&l, 2000, 400, 0); /* 200 spans per tick, against about 620 offered */
    double traces = 0, spans = 0, heavy = 0;
    uint64_t true_spans = 0, true_heavy = 0, kept = 0;
    for (int64_t tick = 1; tick <= TICKS; tick++) {
        struct sm_limiter_candidate c[N];
        for (size_t i = 0; i < N; i++) {
            uint64_t h = sm_hash_fixed64((uint64_t)tick * N + i, 42);
            uint32_t cost = i % 10 == 0 ? 50 + (uint32_t)(h >> 56) % 20 : 1 + (uint32_t)(h >> 56) % 8;
            c[i] = candidate(sm_hash_fixed64(h, 7) & SM_RANDOMNESS_MASK, cost, h);
            true_spans += cost;
            true_heavy += cost >= 50;
        }
        uint64_t t = sm_limiter_cut(&l, c, N, tick * 100 * SM_MS);
        double each = sm_threshold_adjusted_count(t);
        for (size_t i = 0; i < N; i++) {
            if (!sm_limiter_keeps(&l, t, &c[i]))
                continue;
            kept += c[i].cost;
            traces += each;
            spans += each * c[i].cost;
            heavy += each * (c[i].cost >= 50);
        }
    }
    cr_assert_leq(kept, 2000u * TICKS / 10 + 400);
    cr_assert_geq(kept, 2000u * TICKS / 10 * 80 / 100, "the budget is used");
    cr_expect_float_eq(traces / (TICKS * (double)N), 1, 0.01, "traces: %f", traces / (TICKS * (double)N));
    cr_expect_float_eq(spans / (double)true_spans, 1, 0.01, "spans: %f", spans / (double)true_spans);
    cr_expect_float_eq(heavy / (double)true_heavy, 1, 0.01, "heavy: %f", heavy / (double)true_heavy);
}
