/* gzip bodies at level 6, what SDKs and collectors send. */
#ifndef BENCH_GZIP_H
#define BENCH_GZIP_H

#include "bench/body.h"

/* A compressed copy of a body: same spans, no fields (it cannot be moved). */
struct bench_body bench_gzip_body(const struct bench_body *body) SM_MUST_USE;

/* Compresses rounds 1 to `rounds` of the n bodies, using `threads` threads; moves the bodies. The result has rounds * n
 * entries in sending order. shift_ns and round_ns place round i at shift_ns + (i - 1) * round_ns. */
struct bench_body *bench_gzip_rounds(struct bench_body *bodies, uint32_t n, uint32_t rounds, uint64_t seed,
                                     int64_t shift_ns, int64_t round_ns, uint32_t threads) SM_MUST_USE;

#endif
