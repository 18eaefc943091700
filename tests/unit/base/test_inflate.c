#include "base/net/inflate.h"

#include <criterion/criterion.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zstd.h>

static struct sm_inflater *inflater;
static struct sm_payload_pool *pool;

static void set_up(void)
{
    inflater = sm_inflater_new();
    pool = sm_payload_pool_new(1 << 20);
}

static void tear_down(void)
{
    sm_inflater_free(inflater);
    sm_payload_pool_free(pool); /* asserts that nothing leaked */
}

TestSuite(inflate, .init = set_up, .fini = tear_down);

/* Text-like bytes that compress about 3:1. */
static char *make_text(size_t n)
{
    char *text = malloc(n + 1);
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        text[i] = "service.name duration"[state >> 16 & 15];
    }
    return text;
}

/* As writers of large bodies have it: linked blocks, no size in the header. */
static size_t lz4_compress(char *out, size_t room, const void *text, size_t n)
{
    LZ4F_preferences_t p = {.frameInfo = {.blockSizeID = LZ4F_max64KB, .contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    return LZ4F_compressFrame(out, room, text, n, &p);
}

static struct sm_str compress(enum sm_coding coding, const void *text, size_t n)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t room = n + n / 4 + 1000, made = 0;
    char *out = malloc(room);
    if (coding == SM_CODING_GZIP)
        made = libdeflate_gzip_compress(c, text, n, out, room);
    else if (coding == SM_CODING_DEFLATE)
        made = libdeflate_zlib_compress(c, text, n, out, room);
    else if (coding == SM_CODING_ZSTD)
        made = ZSTD_compress(out, room, text, n, 3);
    else if (coding == SM_CODING_SNAPPY && snappy_compress(text, n, out, &room) == SNAPPY_OK)
        made = room;
    else if (coding == SM_CODING_LZ4)
        made = lz4_compress(out, room, text, n);
    libdeflate_free_compressor(c);
    return sm_str(out, made);
}

static const enum sm_coding codings[] = {SM_CODING_GZIP, SM_CODING_DEFLATE, SM_CODING_ZSTD, SM_CODING_SNAPPY, SM_CODING_LZ4};

static void expect_same(enum sm_coding coding, struct sm_str in, const char *text, size_t n)
{
    struct sm_payload *out = NULL;
    cr_assert_eq(sm_inflate(inflater, coding, in, NULL, pool, &out), SM_OK, "coding %d, %zu bytes", coding, n);
    cr_assert_eq(out->size, n);
    cr_assert_eq(memcmp(out->data, text, n), 0);
    sm_payload_put(out);
}

Test(inflate, round_trip_of_every_coding_and_size)
{
    const size_t sizes[] = {1, 100, 4095, 4096, 4097, 70000, 1000000, 20000000};
    for (size_t i = 0; i < SM_ARRAY_LEN(sizes); i++) {
        char *text = make_text(sizes[i]);
        for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
            struct sm_str in = compress(codings[k], text, sizes[i]);
            expect_same(codings[k], in, text, sizes[i]);
            free((void *)in.ptr);
        }
        expect_same(SM_CODING_IDENTITY, sm_str(text, sizes[i]), text, sizes[i]);
        free(text);
    }
}

Test(inflate, nothing_is_nothing)
{
    for (int coding = SM_CODING_IDENTITY; coding < SM_CODING_UNKNOWN; coding++)
        expect_same((enum sm_coding)coding, SM_STR(""), "", 0);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], "", 0);
        expect_same(codings[k], in, "", 0);
        free((void *)in.ptr);
    }
}

Test(inflate, members_in_a_row_are_one_body)
{
    char *text = make_text(50000);
    const enum sm_coding chained[] = {SM_CODING_GZIP, SM_CODING_ZSTD, SM_CODING_LZ4};
    for (size_t k = 0; k < SM_ARRAY_LEN(chained); k++) {
        struct sm_str a = compress(chained[k], text, 30000), b = compress(chained[k], text + 30000, 20000);
        char *both = malloc(a.len + b.len);
        memcpy(both, a.ptr, a.len);
        memcpy(both + a.len, b.ptr, b.len);
        expect_same(chained[k], sm_str(both, a.len + b.len), text, 50000);
        free(both);
        free((void *)a.ptr);
        free((void *)b.ptr);
    }
    free(text);
}

Test(inflate, bare_deflate_under_the_name_deflate)
{
    char *text = make_text(9000), packed[9000];
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t n = libdeflate_deflate_compress(c, text, 9000, packed, sizeof packed);
    expect_same(SM_CODING_DEFLATE, sm_str(packed, n), text, 9000);
    libdeflate_free_compressor(c);
    free(text);
}

/* Every truncation and every flipped bit must end in an error or in some output, never in a crash or a leak. */
Test(inflate, damaged_input)
{
    char *text = make_text(3000);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], text, 3000);
        struct sm_payload *out = NULL;
        for (size_t cut = 1; cut < in.len; cut++) {
            enum sm_rc rc = sm_inflate(inflater, codings[k], sm_str(in.ptr, cut), NULL, pool, &out);
            cr_assert_neq(rc, SM_OK, "coding %d cut to %zu", codings[k], cut);
            if (codings[k] == SM_CODING_ZSTD || codings[k] == SM_CODING_LZ4)
                cr_assert_eq(rc, SM_E_TRUNCATED, "coding %d cut to %zu", codings[k], cut);
        }
        char *damaged = malloc(in.len);
        for (size_t bit = 0; bit < 8 * in.len; bit++) {
            memcpy(damaged, in.ptr, in.len);
            damaged[bit / 8] ^= (char)(1 << bit % 8);
            if (sm_inflate(inflater, codings[k], sm_str(damaged, in.len), NULL, pool, &out) == SM_OK)
                sm_payload_put(out);
        }
        free(damaged);
        free((void *)in.ptr);
    }
    free(text);
}

static void expect_limit(enum sm_coding coding, struct sm_str in, struct sm_inflate_limits limits)
{
    struct sm_payload *out = NULL;
    size_t idle_before = sm_payload_pool_bytes_out(pool);
    cr_assert_eq(sm_inflate(inflater, coding, in, &limits, pool, &out), SM_E_LIMIT, "coding %d", coding);
    cr_assert_null(out);
    struct sm_payload *probe = sm_payload_new(pool, 1); /* makes the pool collect what came home */
    sm_payload_put(probe);
    cr_assert_leq(sm_payload_pool_bytes_out(pool), idle_before + 4096);
}

Test(inflate, bombs)
{
    char *zeros = calloc(1, 100 << 20);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], zeros, 100 << 20);
        struct sm_inflate_limits limits = sm_inflate_limits_default;
        expect_limit(codings[k], in, limits);
        limits.ratio_max = UINT32_MAX; /* the size limit alone */
        expect_limit(codings[k], in, limits);
        limits.bytes_max = 1000;
        expect_limit(codings[k], in, limits);
        limits = sm_inflate_limits_default;
        limits.bytes_max = SM_GIB; /* the ratio alone */
        limits.ratio_max = 10;
        limits.ratio_free_bytes = 0;
        expect_limit(codings[k], in, limits);
        free((void *)in.ptr);
    }
    expect_limit(SM_CODING_IDENTITY, sm_str(zeros, 1001), (struct sm_inflate_limits){.bytes_max = 1000});
    free(zeros);
}

Test(inflate, limit_is_exact)
{
    char *text = make_text(10000);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], text, 10000);
        struct sm_inflate_limits limits = sm_inflate_limits_default;
        struct sm_payload *out = NULL;
        limits.bytes_max = 10000;
        cr_assert_eq(sm_inflate(inflater, codings[k], in, &limits, pool, &out), SM_OK, "coding %d", codings[k]);
        sm_payload_put(out);
        limits.bytes_max = 9999;
        expect_limit(codings[k], in, limits);
        free((void *)in.ptr);
    }
    free(text);
}

Test(inflate, false_claims_of_size)
{
    char *text = make_text(100000);
    struct sm_str in = compress(SM_CODING_GZIP, text, 100000);
    struct sm_payload *out = NULL;
    const uint32_t claims[] = {0, 1, 99999, 100001, 1 << 30, UINT32_MAX};
    for (size_t i = 0; i < SM_ARRAY_LEN(claims); i++) {
        sm_store_le32((char *)in.ptr + in.len - 4, claims[i]);
        cr_assert_eq(sm_inflate(inflater, SM_CODING_GZIP, in, NULL, pool, &out), SM_E_INVALID);
    }
    cr_assert_leq(sm_payload_pool_bytes_out(pool), 64 * SM_MIB);
    free((void *)in.ptr);
    free(text);
}

Test(inflate, zstd_window_is_capped)
{
    char *text = make_text(1 << 20), *packed = malloc(1 << 20);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    ZSTD_inBuffer src = {text, 1 << 20, 0};
    ZSTD_outBuffer dst = {packed, 1 << 20, 0};
    while (src.pos < src.size)
        ZSTD_compressStream2(c, &dst, &src, ZSTD_e_continue);
    cr_assert_eq(ZSTD_compressStream2(c, &dst, &src, ZSTD_e_end), 0);
    ZSTD_freeCCtx(c);
    expect_limit(SM_CODING_ZSTD, sm_str(packed, dst.pos), sm_inflate_limits_default);
    struct sm_inflate_limits wide = sm_inflate_limits_default;
    wide.zstd_window_log_max = 27;
    struct sm_payload *out = NULL;
    cr_assert_eq(sm_inflate(inflater, SM_CODING_ZSTD, sm_str(packed, dst.pos), &wide, pool, &out), SM_OK);
    sm_payload_put(out);
    free(packed);
    free(text);
}

/* What follows the end of a body is not passed over. */
Test(inflate, garbage_behind_the_end)
{
    char *text = make_text(3000);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], text, 3000);
        char *longer = malloc(in.len + 5);
        memcpy(longer, in.ptr, in.len);
        memcpy(longer + in.len, "trail", 5);
        struct sm_payload *out = NULL;
        cr_expect_neq(sm_inflate(inflater, codings[k], sm_str(longer, in.len + 5), NULL, pool, &out), SM_OK, "coding %d",
                      codings[k]);
        free(longer);
        free((void *)in.ptr);
    }
    free(text);
}

/* The output moves while a frame whose blocks refer to each other is being read. */
Test(inflate, a_body_that_outgrows_its_buffer)
{
    enum { PIECE = 5000, PIECES = 200 }; /* no more than any ratio may give */
    char *piece = make_text(PIECE), *text = malloc(PIECE * PIECES);
    for (unsigned i = 0; i < PIECES; i++)
        memcpy(text + i * PIECE, piece, PIECE);
    for (size_t k = 0; k < SM_ARRAY_LEN(codings); k++) {
        struct sm_str in = compress(codings[k], text, PIECE * PIECES);
        cr_assert(codings[k] == SM_CODING_SNAPPY || in.len * 10 < PIECE * PIECES);
        expect_same(codings[k], in, text, PIECE * PIECES);
        free((void *)in.ptr);
    }
    free(piece);
    free(text);
}

/* The largest blocks there are, of a frame that grows beyond the first buffer again and again. */
Test(inflate, lz4_with_blocks_of_4_mib)
{
    size_t n = 20 << 20;
    size_t room = n + (1 << 20);
    char *text = make_text(n), *packed = malloc(room);
    LZ4F_preferences_t p = {.frameInfo = {.blockSizeID = LZ4F_max4MB, .blockChecksumFlag = LZ4F_blockChecksumEnabled}};
    size_t size = LZ4F_compressFrame(packed, room, text, n, &p);
    expect_same(SM_CODING_LZ4, sm_str(packed, size), text, n);
    free(packed);
    free(text);
}

Test(inflate, names_of_codings)
{
    cr_assert_eq(sm_coding_from_name((struct sm_str){0}), SM_CODING_IDENTITY);
    cr_assert_eq(sm_coding_from_name(SM_STR("GZip")), SM_CODING_GZIP);
    cr_assert_eq(sm_coding_from_name(SM_STR("gzip, gzip")), SM_CODING_UNKNOWN);
    cr_assert_eq(sm_coding_from_name(SM_STR("gz")), SM_CODING_UNKNOWN);
    cr_assert_eq(sm_coding_from_name(SM_STR("zstd")), SM_CODING_ZSTD);
    cr_assert_eq(sm_coding_from_name(SM_STR("deflate")), SM_CODING_DEFLATE);
    cr_assert_eq(sm_coding_from_name(SM_STR("snappy")), SM_CODING_SNAPPY);
    cr_assert_eq(sm_coding_from_name(SM_STR("x-snappy-framed")), SM_CODING_SNAPPY);
    cr_assert_eq(sm_coding_from_name(SM_STR("lz4")), SM_CODING_LZ4);
    cr_assert_eq(sm_coding_from_name(SM_STR("br")), SM_CODING_UNKNOWN);
    struct sm_payload *out = NULL;
    cr_assert_eq(sm_inflate(inflater, SM_CODING_UNKNOWN, SM_STR("x"), NULL, pool, &out), SM_E_UNSUPPORTED);
}
