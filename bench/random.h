/* Seeded pseudo-random numbers (splitmix64): small, fast, the same on every machine. Not for anything secret. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include "base/base.h"

struct bench_random {
    uint64_t state;
};

static inline uint64_t bench_random_u64(struct bench_random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [0, n); n > 0. */
static inline uint32_t bench_random_below(struct bench_random *r, uint32_t n)
{
    return (uint32_t)(((bench_random_u64(r) >> 32) * n) >> 32);
}

/* Uniform in [0, 1). */
static inline double bench_random_unit(struct bench_random *r)
{
    return (double)(bench_random_u64(r) >> 11) * 0x1.0p-53;
}

static inline bool bench_random_chance(struct bench_random *r, double probability)
{
    return bench_random_unit(r) < probability;
}

double bench_random_exponential(struct bench_random *r, double mean);
/* exp(N(ln(median), sigma)). */
double bench_random_log_normal(struct bench_random *r, double median, double sigma);

#endif
