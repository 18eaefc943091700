/* Compressed bodies, as SDKs and collectors send them: gzip at level 6, zstd at level 3. */
#ifndef BENCH_PACK_H
#define BENCH_PACK_H

#include "bench/body.h"

/* A compressed copy of a body: same spans, no fields (it cannot be moved). coding: "gzip" or "zstd". */
struct bench_body bench_pack_body(const struct bench_body *body, const char *coding) SM_MUST_USE;

/* Compresses rounds 1 to `rounds` of the n bodies, using `threads` threads; moves the bodies. The result has rounds * n
 * entries in sending order. shift_ns and round_ns place round i at shift_ns + (i - 1) * round_ns. */
struct bench_body *bench_pack_rounds(struct bench_body *bodies, uint32_t n, uint32_t rounds, uint64_t seed,
                                     int64_t shift_ns, int64_t round_ns, uint32_t threads, const char *coding) SM_MUST_USE;

#endif
