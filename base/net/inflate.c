/* Bounded decompression of complete bodies. */
#include "base/net/inflate.h"

#include "base/net/snappy.h"

#include <libdeflate.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <strings.h>
#include <zstd.h>
#include <zstd_errors.h>

const struct sm_inflate_limits sm_inflate_limits_default = {
    .bytes_max = 64 * SM_MIB,
    .ratio_max = 256,
    .ratio_free_bytes = SM_MIB,
    .zstd_window_log_max = 23, /* 8 MiB: what every zstd decoder must support (RFC 8878 sec. 3.1.1.1.2) */
};

enum { FIRST_BYTES_MIN = 4096, FIRST_RATIO = 8, ISIZE_BYTES = 4, DEFLATE_RATIO_MAX = 1032 };

struct sm_inflater {
    struct libdeflate_decompressor *deflate;
    ZSTD_DCtx *zstd;
};

/* One body being inflated. */
struct job {
    const uint8_t *in;
    size_t in_len;
    struct sm_payload *out;
    uint64_t bytes_max; /* limits of size and ratio in one number */
};

enum sm_coding sm_coding_from_name(struct sm_str name)
{
    static const struct {
        const char *name;
        enum sm_coding coding;
    } names[] = {
        {"", SM_CODING_IDENTITY},   {"identity", SM_CODING_IDENTITY}, {"gzip", SM_CODING_GZIP},
        {"x-gzip", SM_CODING_GZIP}, {"deflate", SM_CODING_DEFLATE},   {"zlib", SM_CODING_DEFLATE},
        {"zstd", SM_CODING_ZSTD},   {"snappy", SM_CODING_SNAPPY},     {"x-snappy-framed", SM_CODING_SNAPPY},
        {"lz4", SM_CODING_LZ4},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (name.len == strlen(names[i].name) && (!name.len || strncasecmp(name.ptr, names[i].name, name.len) == 0))
            return names[i].coding;
    }
    return SM_CODING_UNKNOWN;
}

struct sm_inflater *sm_inflater_new(void)
{
    struct sm_inflater *inflater = sm_xcalloc(1, sizeof *inflater);
    inflater->deflate = libdeflate_alloc_decompressor();
    inflater->zstd = ZSTD_createDCtx();
    SM_ASSERT(inflater->deflate && inflater->zstd);
    return inflater;
}

void sm_inflater_free(struct sm_inflater *inflater)
{
    if (!inflater)
        return;
    libdeflate_free_decompressor(inflater->deflate);
    ZSTD_freeDCtx(inflater->zstd);
    free(inflater);
}

/* ---- output space ---- */

static uint64_t output_limit(const struct sm_inflate_limits *limits, size_t in_len)
{
    uint64_t by_ratio = SM_MAX(limits->ratio_free_bytes, (uint64_t)in_len * limits->ratio_max);
    return SM_MIN(limits->bytes_max, by_ratio);
}

/* How much may be written now: never beyond the limit, even when the buffer is larger. */
static size_t room(const struct job *job)
{
    uint64_t end = SM_MIN(job->bytes_max, (uint64_t)job->out->capacity);
    return end > job->out->size ? (size_t)(end - job->out->size) : 0;
}

static enum sm_rc grow(struct job *job)
{
    if (job->out->capacity >= job->bytes_max)
        return SM_E_LIMIT;
    return sm_payload_reserve(job->out, (size_t)SM_MIN(job->bytes_max, 2 * (uint64_t)job->out->capacity));
}

/* ---- gzip and deflate ---- */

typedef enum libdeflate_result (*inflate_fn)(struct libdeflate_decompressor *, const void *, size_t, void *, size_t,
                                             size_t *, size_t *);

/* One member. libdeflate wants all room at once, so a buffer that was too small means starting over with a larger one;
 * the sizes double, so that this at most doubles the work. */
static enum sm_rc inflate_member(struct sm_inflater *inflater, struct job *job, inflate_fn inflate_one)
{
    for (;;) {
        size_t used = 0, made = 0;
        enum libdeflate_result result = inflate_one(inflater->deflate, job->in, job->in_len,
                                                    job->out->data + job->out->size, room(job), &used, &made);
        if (result == LIBDEFLATE_SUCCESS) {
            job->in += used;
            job->in_len -= used;
            job->out->size += made;
            return SM_OK;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return SM_E_INVALID;
        enum sm_rc rc = grow(job);
        if (rc != SM_OK)
            return rc;
    }
}

static enum sm_rc inflate_gzip(struct sm_inflater *inflater, struct job *job)
{
    enum sm_rc rc = SM_OK;
    while (rc == SM_OK && job->in_len)
        rc = inflate_member(inflater, job, libdeflate_gzip_decompress_ex);
    return rc;
}

static enum sm_rc inflate_deflate(struct sm_inflater *inflater, struct job *job)
{
    enum sm_rc rc = inflate_member(inflater, job, libdeflate_zlib_decompress_ex);
    if (rc == SM_E_INVALID)
        rc = inflate_member(inflater, job, libdeflate_deflate_decompress_ex);
    return rc == SM_OK && job->in_len ? SM_E_INVALID : rc;
}

/* ---- zstd ---- */

static enum sm_rc zstd_error(size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return SM_E_LIMIT;
    case ZSTD_error_memory_allocation:
        return SM_E_NOMEM;
    default:
        return SM_E_INVALID;
    }
}

static enum sm_rc inflate_zstd(struct sm_inflater *inflater, struct job *job, uint32_t window_log_max)
{
    ZSTD_DCtx_reset(inflater->zstd, ZSTD_reset_session_and_parameters);
    if (ZSTD_isError(ZSTD_DCtx_setParameter(inflater->zstd, ZSTD_d_windowLogMax, (int)window_log_max)))
        return SM_E_LIMIT;
    ZSTD_inBuffer in = {job->in, job->in_len, 0};
    size_t hint = 1;
    while (in.pos < in.size || hint) {
        if (!room(job)) {
            enum sm_rc rc = grow(job);
            if (rc != SM_OK)
                return rc;
        }
        ZSTD_outBuffer out = {job->out->data + job->out->size, room(job), 0};
        size_t in_before = in.pos;
        hint = ZSTD_decompressStream(inflater->zstd, &out, &in);
        if (ZSTD_isError(hint))
            return zstd_error(hint);
        job->out->size += out.pos;
        if (in.pos == in_before && out.pos == 0 && hint)
            return SM_E_TRUNCATED;
    }
    return SM_OK;
}

/* ---- snappy ---- */

static enum sm_rc inflate_piece(struct job *job, const struct sm_snappy_piece *piece)
{
    while (room(job) < piece->plain_size) {
        enum sm_rc rc = grow(job);
        if (rc != SM_OK)
            return rc;
    }
    enum sm_rc rc = sm_snappy_write(piece, job->out->data + job->out->size);
    if (rc == SM_OK)
        job->out->size += piece->plain_size;
    return rc;
}

static enum sm_rc inflate_snappy(struct job *job)
{
    struct sm_snappy_reader reader = sm_snappy_reader(sm_str(job->in, job->in_len));
    struct sm_snappy_piece piece;
    enum sm_rc rc = SM_OK;
    while (rc == SM_OK && reader.p < reader.end) {
        rc = sm_snappy_next(&reader, &piece);
        if (rc == SM_OK)
            rc = inflate_piece(job, &piece);
    }
    return rc;
}

/* ---- lz4 ---- */

static enum sm_rc lz4_error(size_t code)
{
    return strcmp(LZ4F_getErrorName(code), "ERROR_allocation_failed") == 0 ? SM_E_NOMEM : SM_E_INVALID;
}

/* Frames until the input ends. A step that neither reads nor writes wants more of the one or the other. */
static enum sm_rc inflate_lz4_frames(LZ4F_dctx *frames, struct job *job)
{
    size_t hint = 1;
    while (job->in_len || hint) {
        size_t made = room(job), used = job->in_len;
        bool is_full = !made;
        hint = LZ4F_decompress(frames, job->out->data + job->out->size, &made, job->in, &used, NULL);
        if (LZ4F_isError(hint))
            return lz4_error(hint);
        job->out->size += made;
        job->in += used;
        job->in_len -= used;
        if (made || used || !hint)
            continue;
        enum sm_rc rc = is_full ? grow(job) : SM_E_TRUNCATED;
        if (rc != SM_OK)
            return rc;
    }
    return SM_OK;
}

/* A context takes memory by the frame's largest block, up to 8 MiB: not to be kept. */
static enum sm_rc inflate_lz4(struct job *job)
{
    LZ4F_dctx *frames;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&frames, LZ4F_VERSION)))
        return SM_E_NOMEM;
    enum sm_rc rc = inflate_lz4_frames(frames, job);
    LZ4F_freeDecompressionContext(frames);
    return rc;
}

/* ---- choosing the first buffer ---- */

/* What the sender says the output will be; 0: nothing. */
static uint64_t claimed_size(enum sm_coding coding, struct sm_str in)
{
    if (coding == SM_CODING_GZIP && in.len > ISIZE_BYTES) {
        uint64_t isize = sm_load_le32(in.ptr + in.len - ISIZE_BYTES);
        return isize <= (uint64_t)in.len * DEFLATE_RATIO_MAX ? isize : 0;
    }
    if (coding == SM_CODING_ZSTD) {
        unsigned long long size = ZSTD_getFrameContentSize(in.ptr, in.len);
        return size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ? 0 : size;
    }
    return 0;
}

static size_t first_capacity(enum sm_coding coding, struct sm_str in, uint64_t bytes_max)
{
    uint64_t size = claimed_size(coding, in);
    if (!size)
        size = (uint64_t)in.len * FIRST_RATIO;
    return (size_t)SM_MIN(bytes_max, SM_MAX(size, (uint64_t)FIRST_BYTES_MIN));
}

static enum sm_rc copy(struct job *job)
{
    if (job->in_len > room(job))
        return SM_E_LIMIT;
    memcpy(job->out->data, job->in, job->in_len);
    job->out->size = job->in_len;
    return SM_OK;
}

static enum sm_rc run(struct sm_inflater *inflater, enum sm_coding coding, struct job *job,
                      const struct sm_inflate_limits *limits)
{
    if (!job->in_len)
        return SM_OK;
    switch (coding) {
    case SM_CODING_IDENTITY:
        return copy(job);
    case SM_CODING_GZIP:
        return inflate_gzip(inflater, job);
    case SM_CODING_DEFLATE:
        return inflate_deflate(inflater, job);
    case SM_CODING_ZSTD:
        return inflate_zstd(inflater, job, limits->zstd_window_log_max);
    case SM_CODING_SNAPPY:
        return inflate_snappy(job);
    case SM_CODING_LZ4:
        return inflate_lz4(job);
    default:
        return SM_E_UNSUPPORTED;
    }
}

enum sm_rc sm_inflate(struct sm_inflater *inflater, enum sm_coding coding, struct sm_str in,
                      const struct sm_inflate_limits *limits, struct sm_payload_pool *pool, struct sm_payload **out)
{
    if (!limits)
        limits = &sm_inflate_limits_default;
    struct job job = {.in = (const uint8_t *)in.ptr, .in_len = in.len};
    job.bytes_max = coding == SM_CODING_IDENTITY ? limits->bytes_max : output_limit(limits, in.len);
    size_t first = coding == SM_CODING_IDENTITY ? (size_t)SM_MIN((uint64_t)in.len, job.bytes_max)
                                                : first_capacity(coding, in, job.bytes_max);
    job.out = sm_payload_new(pool, first);
    if (!job.out)
        return SM_E_NOMEM;
    enum sm_rc rc = run(inflater, coding, &job, limits);
    if (rc != SM_OK) {
        sm_payload_put(job.out);
        return rc;
    }
    *out = job.out;
    return SM_OK;
}
