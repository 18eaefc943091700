/* Compression ahead of the measurement: each thread takes every threads-th body and moves its own copy of it. */
#include "bench/pack.h"

#include <libdeflate.h>
#include <pthread.h>
#include <zstd.h>

enum { GZIP_LEVEL = 6, ZSTD_LEVEL = 3 };

struct packer {
    struct libdeflate_compressor *gzip; /* one of the two */
    ZSTD_CCtx *zstd;
};

static struct packer packer_new(const char *coding)
{
    bool zstd = strcmp(coding, "zstd") == 0;
    struct packer p = {zstd ? NULL : libdeflate_alloc_compressor(GZIP_LEVEL), zstd ? ZSTD_createCCtx() : NULL};
    SM_ASSERT(p.gzip || p.zstd);
    return p;
}

static void packer_free(struct packer *p)
{
    if (p->gzip)
        libdeflate_free_compressor(p->gzip);
    ZSTD_freeCCtx(p->zstd);
}

static struct bench_body compress_with(struct packer *p, const struct bench_body *body)
{
    size_t bound = p->zstd ? ZSTD_compressBound(body->len) : libdeflate_gzip_compress_bound(p->gzip, body->len);
    uint8_t *out = sm_xmalloc(bound);
    size_t n = p->zstd ? ZSTD_compressCCtx(p->zstd, out, bound, body->ptr, body->len, ZSTD_LEVEL)
                       : libdeflate_gzip_compress(p->gzip, body->ptr, body->len, out, bound);
    SM_ASSERT(n > 0 && n <= bound);
    return (struct bench_body){
        .ptr = sm_xrealloc(out, n), .len = n, .spans = body->spans, .service = body->service, .round = body->round};
}

struct bench_body bench_pack_body(const struct bench_body *body, const char *coding)
{
    struct packer p = packer_new(coding);
    struct bench_body packed = compress_with(&p, body);
    packer_free(&p);
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
    const char *coding;
};

static void *compress_share(void *arg)
{
    const struct work *w = arg;
    struct packer p = packer_new(w->coding);
    for (uint32_t i = w->first; i < w->n; i += w->step) {
        for (uint32_t r = 0; r < w->rounds; r++) {
            bench_body_move(&w->bodies[i], &w->round_of[r]);
            w->packed[(size_t)r * w->n + i] = compress_with(&p, &w->bodies[i]);
        }
    }
    packer_free(&p);
    return NULL;
}

struct bench_body *bench_pack_rounds(struct bench_body *bodies, uint32_t n, uint32_t rounds, uint64_t seed,
                                     int64_t shift_ns, int64_t round_ns, uint32_t threads, const char *coding)
{
    struct bench_body *packed = sm_xcalloc((size_t)n * rounds, sizeof *packed);
    struct bench_round *round_of = sm_xcalloc(rounds, sizeof *round_of);
    for (uint32_t r = 0; r < rounds; r++)
        round_of[r] = bench_round_make(seed, r + 1, shift_ns + r * round_ns);
    pthread_t *ids = sm_xcalloc(threads, sizeof *ids);
    struct work *shares = sm_xcalloc(threads, sizeof *shares);
    for (uint32_t t = 0; t < threads; t++) {
        shares[t] = (struct work){bodies, packed, round_of, n, rounds, t, threads, coding};
        SM_ASSERT(pthread_create(&ids[t], NULL, compress_share, &shares[t]) == 0);
    }
    for (uint32_t t = 0; t < threads; t++)
        SM_ASSERT(pthread_join(ids[t], NULL) == 0);
    free(shares);
    free(ids);
    free(round_of);
    return packed;
}
