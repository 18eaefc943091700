#include "span/threshold.h"

#include "base/hash.h"

#include <criterion/criterion.h>
#include <math.h>

static const char *text_of(uint64_t threshold)
{
    static char text[SM_THRESHOLD_TEXT_SIZE];
    sm_threshold_text(threshold, text);
    return text;
}

/* As the OpenTelemetry Collector computes them. */
static const struct {
    double ratio;
    const char *full, *short_text;
} vectors[] = {
    {1, "0", "0"},
    {0.75, "4", "4"},
    {0.5, "8", "8"},
    {0.25, "c", "c"},
    {0.1, "e6666666666666", "e666"},
    {0.05, "f3333333333333", "f3333"},
    {0.01, "fd70a3d70a3d71", "fd70a"},
    {0.001, "ffbe76c8b43958", "ffbe77"},
};

Test(threshold, ratios_become_the_known_texts)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(vectors); i++) {
        cr_expect_str_eq(text_of(sm_threshold_from_ratio(vectors[i].ratio, 14)), vectors[i].full);
        cr_expect_str_eq(text_of(sm_threshold_from_ratio(vectors[i].ratio, 4)), vectors[i].short_text);
    }
}

Test(threshold, texts_read_back)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(vectors); i++) {
        uint64_t t = 1;
        cr_expect_eq(sm_threshold_parse(sm_str_c(vectors[i].full), &t), SM_OK);
        cr_expect_eq(t, sm_threshold_from_ratio(vectors[i].ratio, 14));
    }
    uint64_t t;
    const char *const bad[] = {"", "123456789abcdef", "G", "ABC", "0x1", " 1", "-1"};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++)
        cr_expect_eq(sm_threshold_parse(sm_str_c(bad[i]), &t), SM_E_INVALID, "%s", bad[i]);
}

Test(threshold, the_ends)
{
    cr_expect_eq(sm_threshold_from_ratio(2, 4), SM_THRESHOLD_ALWAYS);
    cr_expect_eq(sm_threshold_from_ratio(0, 4), SM_THRESHOLD_NEVER);
    cr_expect_eq(sm_threshold_from_ratio(-1, 4), SM_THRESHOLD_NEVER);
    cr_expect_eq(sm_threshold_from_ratio(NAN, 4), SM_THRESHOLD_NEVER);
    cr_expect_eq(sm_threshold_from_ratio(1e-30, 4), SM_THRESHOLD_NEVER);
    cr_expect_lt(sm_threshold_from_ratio(1e-16, 1), SM_THRESHOLD_NEVER);
    cr_expect_str_eq(text_of(SM_THRESHOLD_NEVER), "");
    cr_expect(sm_threshold_keeps(SM_THRESHOLD_ALWAYS, 0));
    cr_expect_not(sm_threshold_keeps(SM_THRESHOLD_NEVER, SM_RANDOMNESS_MASK));
    cr_expect_float_eq(sm_threshold_adjusted_count(sm_threshold_from_ratio(0.25, 4)), 4, 1e-9);
    cr_expect_eq(sm_threshold_adjusted_count(SM_THRESHOLD_NEVER), 0);
}

Test(threshold, every_ratio_stays_close)
{
    for (double ratio = 1; ratio > 1e-12; ratio *= 0.93) {
        uint64_t t = sm_threshold_from_ratio(ratio, 4);
        cr_assert_float_eq(sm_threshold_ratio(t) / ratio, 1, 0.001, "%g", ratio);
    }
}

Test(threshold, multiplying_applies_both_shares)
{
    uint64_t half = sm_threshold_from_ratio(0.5, 4);
    cr_expect_str_eq(text_of(sm_threshold_multiply(half, 0.5)), "c");
    cr_expect_eq(sm_threshold_multiply(half, 1), half);
    cr_expect_eq(sm_threshold_multiply(half, 0), SM_THRESHOLD_NEVER);
    cr_expect_eq(sm_threshold_multiply(SM_THRESHOLD_NEVER, 0.5), SM_THRESHOLD_NEVER);
    uint64_t third = sm_threshold_from_ratio(1 / 3.0, 14);
    cr_expect_geq(sm_threshold_multiply(third, 0.99999999), third, "never lower than what came in");
}

Test(threshold, randomness_of_an_id)
{
    struct sm_trace_id id = {.hi = 0x0001020304050607, .lo = 0x08090a0b0c0d0e0f};
    cr_expect_eq(sm_randomness_of_id(id, true), UINT64_C(0x090a0b0c0d0e0f));
    uint64_t hashed = sm_randomness_of_id(id, false);
    cr_expect_eq(hashed, UINT64_C(0x3eeb3fcdd91755), "processes agree on it: %lx", (unsigned long)hashed);
    id.hi = 0;
    cr_expect_eq(sm_randomness_of_id(id, false), hashed, "a 64-bit id agrees with its 128-bit form");
}

/* Behind a head sampler that keeps low ids the hash must still be uniform. */
Test(threshold, hashed_randomness_is_uniform_over_low_ids)
{
    enum { N = 200000, BINS = 64 };
    unsigned bins[BINS] = {0};
    for (uint64_t i = 1; i <= N; i++)
        bins[sm_randomness_of_id((struct sm_trace_id){.lo = i << 3}, false) >> 50]++;
    double chi2 = 0, expected = (double)N / BINS;
    for (int i = 0; i < BINS; i++)
        chi2 += (bins[i] - expected) * (bins[i] - expected) / expected;
    cr_expect_lt(chi2, 120, "chi2 %f of 63 degrees of freedom", chi2);
}
