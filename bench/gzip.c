/* Compression ahead of the measurement: each thread takes every threads-th body and moves its own copy of it. */
#include "bench/gzip.h"

#include <libdeflate.h>
#include <pthread.h>

enum { GZIP_LEVEL = 6 };

static struct bench_body compress_with(struct libdeflate_compressor *c, const struct bench_body *body)
{
    size_t bound = libdeflate_gzip_compress_bound(c, body->len);
    uint8_t *out = sm_xmalloc(bound);
    size_t n = libdeflate_gzip_compress(c, body->ptr, body->len, out, bound);
    SM_ASSERT(n > 0);
    return (struct bench_body){
        .ptr = sm_xrealloc(out, n), .len = n, .spans = body->spans, .service = body->service, .round = body->round};
}

struct bench_body bench_gzip_body(const struct bench_body *body)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);
    SM_ASSERT(c);
    struct bench_body packed = compress_with(c, body);
    libdeflate_free_compressor(c);
    return packed;
}

struct work {
    struct bench_body *bodies;
    struct bench_body *packed;
    const struct bench_round *round_of;
    uint32_t n;
    uint32_t rounds;
    uint32_t first;
    uint32_t step;
};

static void *compress_share(void *arg)
{
    const struct work *w = arg;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(GZIP_LEVEL);
    SM_ASSERT(c);
    for (uint32_t i = w->first; i < w->n; i += w->step) {
        for (uint32_t r = 0; r < w->rounds; r++) {
            bench_body_move(&w->bodies[i], &w->round_of[r]);
            w->packed[(size_t)r * w->n + i] = compress_with(c, &w->bodies[i]);
        }
    }
    libdeflate_free_compressor(c);
    return NULL;
}

struct bench_body *bench_gzip_rounds(struct bench_body *bodies, uint32_t n, uint32_t rounds, uint64_t seed,
                                     int64_t shift_ns, int64_t round_ns, uint32_t threads)
{
    struct bench_body *packed = sm_xcalloc((size_t)n * rounds, sizeof *packed);
    struct bench_round *round_of = sm_xcalloc(rounds, sizeof *round_of);
    for (uint32_t r = 0; r < rounds; r++)
        round_of[r] = bench_round_make(seed, r + 1, shift_ns + r * round_ns);
    pthread_t *ids = sm_xcalloc(threads, sizeof *ids);
    struct work *shares = sm_xcalloc(threads, sizeof *shares);
    for (uint32_t t = 0; t < threads; t++) {
        shares[t] = (struct work){bodies, packed, round_of, n, rounds, t, threads};
        SM_ASSERT(pthread_create(&ids[t], NULL, compress_share, &shares[t]) == 0);
    }
    for (uint32_t t = 0; t < threads; t++)
        SM_ASSERT(pthread_join(ids[t], NULL) == 0);
    free(shares);
    free(ids);
    free(round_of);
    return packed;
}
