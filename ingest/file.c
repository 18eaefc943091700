/* Reading recordings: raw bytes -> inflated bytes -> records. */
#include "ingest/file.h"

#include "ingest/file_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { RAW_BYTES = 1 << 20, BUFFER_BYTES_MIN = 4 << 20, ZSTD_WINDOW_LOG_MAX = 27, TELL_BYTES = 64, MESSAGE_BYTES_MIN = 1 << 16 };

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };
enum form { FORM_UNKNOWN, FORM_JSON, FORM_JSON_LINES, FORM_FRAMED_PROTO, FORM_FRAMED_ZSTD, FORM_WHOLE };

struct sm_file {
    int fd;
    char *path;
    size_t record_bytes_max;
    uint64_t size_bytes;
    uint64_t read_bytes;
    enum packing packing;
    uint8_t *raw; /* compressed input */
    size_t raw_at, raw_size;
    bool raw_ended;
    z_stream gzip;
    bool gzip_inside; /* in the middle of a member */
    ZSTD_DCtx *zstd;
    bool zstd_inside;
    uint8_t *buffer; /* inflated bytes that are not consumed yet: [at, end) */
    size_t at, end, capacity;
    bool ended; /* nothing follows buffer's end */
    enum form form;
    bool in_list; /* of JSON documents */
    const struct sm_codec *whole; /* of a file that is one record */
    ZSTD_DCtx *message_zstd; /* for messages that are compressed one by one */
    uint8_t *message;
    size_t message_capacity;
};

static enum sm_rc fail(const struct sm_file *f, enum sm_rc rc, const char *what, struct sm_err *err)
{
    return sm_err_set(err, rc, "%s: %s", f->path, what);
}

/* Up to n bytes; *got 0 at the end. */
static enum sm_rc read_some(struct sm_file *f, uint8_t *to, size_t n, size_t *got, struct sm_err *err)
{
    ssize_t r;
    do
        r = read(f->fd, to, n);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return fail(f, SM_E_IO, strerror(errno), err);
    *got = (size_t)r;
    f->read_bytes += (uint64_t)r;
    return SM_OK;
}

static enum sm_rc refill_raw(struct sm_file *f, struct sm_err *err)
{
    size_t got = 0;
    enum sm_rc rc = read_some(f, f->raw, RAW_BYTES, &got, err);
    if (rc != SM_OK)
        return rc;
    f->raw_at = 0;
    f->raw_size = got;
    f->raw_ended = got == 0;
    return SM_OK;
}

/* Members in a row are one stream. */
static enum sm_rc inflate_gzip(struct sm_file *f, uint8_t *to, size_t n, size_t *got, struct sm_err *err)
{
    f->gzip.next_in = f->raw + f->raw_at;
    f->gzip.avail_in = (uInt)(f->raw_size - f->raw_at);
    f->gzip.next_out = to;
    f->gzip.avail_out = (uInt)SM_MIN(n, (size_t)1 << 30);
    int rc = inflate(&f->gzip, Z_NO_FLUSH);
    f->raw_at = f->raw_size - f->gzip.avail_in;
    *got = (size_t)(f->gzip.next_out - to);
    if (rc == Z_STREAM_END) {
        inflateReset(&f->gzip);
        f->gzip_inside = false;
        return SM_OK;
    }
    f->gzip_inside = true;
    return rc == Z_OK || rc == Z_BUF_ERROR ? SM_OK : fail(f, SM_E_INVALID, "damaged gzip data", err);
}

static enum sm_rc inflate_zstd(struct sm_file *f, uint8_t *to, size_t n, size_t *got, struct sm_err *err)
{
    ZSTD_inBuffer in = {f->raw, f->raw_size, f->raw_at};
    ZSTD_outBuffer out = {to, n, 0};
    size_t rc = ZSTD_decompressStream(f->zstd, &out, &in);
    f->raw_at = in.pos;
    *got = out.pos;
    f->zstd_inside = rc != 0;
    return ZSTD_isError(rc) ? fail(f, SM_E_INVALID, ZSTD_getErrorName(rc), err) : SM_OK;
}

/* Appends what can be had to the buffer, whose room the caller made. Sets ended at the end. */
static enum sm_rc fill(struct sm_file *f, struct sm_err *err)
{
    size_t got = 0;
    while (got == 0 && !f->ended) {
        enum sm_rc rc;
        if (f->packing == PACKING_NONE) {
            rc = read_some(f, f->buffer + f->end, f->capacity - f->end, &got, err);
            f->ended = got == 0;
        } else {
            rc = f->raw_at == f->raw_size && !f->raw_ended ? refill_raw(f, err) : SM_OK;
            if (rc == SM_OK && f->raw_ended && f->raw_at == f->raw_size) {
                f->ended = true;
                if (f->gzip_inside || f->zstd_inside)
                    return fail(f, SM_E_TRUNCATED, "the compressed data ends early", err);
                return SM_OK;
            }
            if (rc == SM_OK)
                rc = f->packing == PACKING_GZIP ? inflate_gzip(f, f->buffer + f->end, f->capacity - f->end, &got, err)
                                                : inflate_zstd(f, f->buffer + f->end, f->capacity - f->end, &got, err);
        }
        if (rc != SM_OK)
            return rc;
    }
    f->end += got;
    return SM_OK;
}

/* Moves what is left to the front and grows so that `want` bytes fit. */
static void make_room(struct sm_file *f, size_t want)
{
    memmove(f->buffer, f->buffer + f->at, f->end - f->at);
    f->end -= f->at;
    f->at = 0;
    if (want > f->capacity) {
        while (want > f->capacity)
            f->capacity *= 2;
        f->buffer = sm_xrealloc(f->buffer, f->capacity);
    }
}

/* At least n bytes in the buffer, or all there are. */
static enum sm_rc need(struct sm_file *f, size_t n, struct sm_err *err)
{
    if (f->end - f->at < n && f->capacity - f->at < n)
        make_room(f, n);
    while (f->end - f->at < n && !f->ended) {
        enum sm_rc rc = fill(f, err);
        if (rc != SM_OK)
            return rc;
    }
    return SM_OK;
}

static bool is_zstd(const uint8_t *p, size_t n)
{
    return n >= 4 && sm_load_le32(p) == ZSTD_MAGICNUMBER;
}

static enum packing packing_of(const uint8_t *p, size_t n)
{
    if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return PACKING_GZIP;
    return is_zstd(p, n) ? PACKING_ZSTD : PACKING_NONE;
}

static ZSTD_DCtx *new_zstd(void)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    return z;
}

/* The first bytes decide; they are read raw and handed to the inflater if it is one. */
static enum sm_rc unpack(struct sm_file *f, struct sm_err *err)
{
    f->raw = sm_xmalloc(RAW_BYTES);
    while (f->raw_size < 4) {
        size_t got = 0;
        enum sm_rc rc = read_some(f, f->raw + f->raw_size, RAW_BYTES - f->raw_size, &got, err);
        if (rc != SM_OK)
            return rc;
        if (got == 0)
            break;
        f->raw_size += got;
    }
    f->packing = packing_of(f->raw, f->raw_size);
    if (f->packing == PACKING_GZIP && inflateInit2(&f->gzip, 15 + 16) != Z_OK)
        return fail(f, SM_E_NOMEM, "out of memory", err);
    if (f->packing == PACKING_ZSTD)
        f->zstd = new_zstd();
    if (f->packing == PACKING_NONE) {
        memcpy(f->buffer, f->raw, f->raw_size);
        f->end = f->raw_size;
    }
    return SM_OK;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct sm_file *f)
{
    while (f->at < f->end && is_space(f->buffer[f->at]))
        f->at++;
}

/* Blank lines in front of JSON begin with a byte that is also the tag of a bare message. In JSON the first bracket is followed by
 * one of a few characters, none of which can follow in a message. */
static bool is_json_after_blank_lines(const struct sm_file *f)
{
    size_t at = f->at;
    while (at < f->end && is_space(f->buffer[at]))
        at++;
    if (f->end - at < 2 || (f->buffer[at] != '{' && f->buffer[at] != '['))
        return false;
    uint8_t next = f->buffer[at + 1];
    return is_space(next) || next == '"' || next == '{' || next == '}' || next == ']';
}

/* Which some editors put in front. */
static void skip_byte_order_mark(struct sm_file *f)
{
    if (f->end - f->at >= 3 && memcmp(f->buffer + f->at, "\xef\xbb\xbf", 3) == 0)
        f->at += 3;
}

/* One payload as it was sent, by its first bytes: a protobuf message, a message for Jaeger's agent, a thrift list of Zipkin's spans,
 * or a Batch of Jaeger's, which begins with its process and that with a text in field 1. NULL: nothing of these. */
static const struct sm_codec *codec_of_payload(const uint8_t *p, size_t n)
{
    static const struct {
        const char *begin;
        size_t size;
        const struct sm_codec *codec;
    } rows[] = {
        {"\x0a", 1, &sm_codec_any},
        {"\x82\x21", 2, &sm_codec_jaeger_compact},
        {"\x82\x81", 2, &sm_codec_jaeger_compact},
        {"\x80\x01\x00", 3, &sm_codec_jaeger_binary},
        {"\x0c\x00\x01\x0b\x00\x01", 6, &sm_codec_jaeger_batch},
        {"\x0c\x00", 2, &sm_codec_zipkin_v1_thrift},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(rows); i++) {
        if (n >= rows[i].size && memcmp(p, rows[i].begin, rows[i].size) == 0)
            return rows[i].codec;
    }
    return NULL;
}

/* A length-framed message begins with a big-endian length, whose first byte is 0 below 16 MiB; no payload by itself does. */
static enum sm_rc tell_form(struct sm_file *f, struct sm_err *err)
{
    enum sm_rc rc = need(f, TELL_BYTES, err);
    skip_byte_order_mark(f);
    do {
        if (rc == SM_OK)
            rc = need(f, TELL_BYTES, err);
        if (rc != SM_OK)
            return rc;
        if (f->end > f->at && (f->buffer[f->at] != 0x0a || is_json_after_blank_lines(f)))
            skip_space(f);
    } while (f->end - f->at < 5 && !f->ended);
    const uint8_t *p = f->buffer + f->at;
    if (f->at == f->end)
        return SM_E_CLOSED;
    if (*p == '{' || *p == '[')
        f->form = FORM_JSON;
    else if (f->end - f->at >= 5 && sm_load_be32(p) <= f->record_bytes_max && p[4] == 0x0a)
        f->form = FORM_FRAMED_PROTO;
    else if (f->end - f->at >= 8 && sm_load_be32(p) <= f->record_bytes_max && is_zstd(p + 4, 4))
        f->form = FORM_FRAMED_ZSTD;
    else if ((f->whole = codec_of_payload(p, f->end - f->at)) != NULL)
        f->form = FORM_WHOLE;
    else
        return fail(f, SM_E_INVALID, "no spans of OTLP, Zipkin or Jaeger in a form that is known", err);
    return SM_OK;
}

struct sm_file *sm_file_open(const char *path, size_t record_bytes_max, struct sm_err *err)
{
    struct sm_file *f = sm_xcalloc(1, sizeof *f);
    f->path = sm_xstrndup(path, strlen(path));
    f->record_bytes_max = record_bytes_max;
    f->capacity = BUFFER_BYTES_MIN;
    f->buffer = sm_xmalloc(f->capacity);
    f->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        fail(f, SM_E_IO, strerror(errno), err);
        sm_file_close(f);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        fail(f, SM_E_INVALID, "is a directory", err);
        sm_file_close(f);
        return NULL;
    }
    f->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (unpack(f, err) != SM_OK) {
        sm_file_close(f);
        return NULL;
    }
    return f;
}

void sm_file_close(struct sm_file *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->packing == PACKING_GZIP)
        inflateEnd(&f->gzip);
    ZSTD_freeDCtx(f->zstd);
    ZSTD_freeDCtx(f->message_zstd);
    free(f->message);
    free(f->raw);
    free(f->buffer);
    free(f->path);
    free(f);
}

void sm_file_progress(const struct sm_file *f, uint64_t *read_bytes, uint64_t *size_bytes)
{
    *read_bytes = f->read_bytes;
    *size_bytes = f->size_bytes;
}

static enum sm_rc emit_copy(struct sm_file *f, struct sm_str record, struct sm_payload_pool *pool, struct sm_payload **payload,
                            struct sm_err *err)
{
    struct sm_payload *p = sm_payload_new(pool, record.len);
    if (!p)
        return fail(f, SM_E_NOMEM, "out of memory", err);
    memcpy(p->data, record.ptr, record.len);
    p->size = record.len;
    *payload = p;
    return SM_OK;
}

/* Takes the first n bytes of the buffer into a payload. */
static enum sm_rc emit(struct sm_file *f, size_t n, struct sm_payload_pool *pool, struct sm_payload **payload,
                       struct sm_err *err)
{
    f->at += n;
    return emit_copy(f, sm_str(f->buffer + f->at - n, n), pool, payload, err);
}

/* The same with a JSON document, of which a part may be meant. */
static enum sm_rc emit_json(struct sm_file *f, size_t n, struct sm_payload_pool *pool, struct sm_payload **payload,
                            const struct sm_codec **codec, struct sm_err *err)
{
    struct sm_str document = sm_str(f->buffer + f->at, n);
    *codec = sm_file_json_codec(&document);
    f->at += n;
    return emit_copy(f, document, pool, payload, err);
}

/* Leaves a message of *n bytes at the front of the buffer. */
static enum sm_rc next_frame(struct sm_file *f, size_t *n, struct sm_err *err)
{
    enum sm_rc rc = need(f, 4, err);
    if (rc != SM_OK)
        return rc;
    if (f->end - f->at < 4)
        return f->at == f->end ? SM_E_CLOSED : fail(f, SM_E_TRUNCATED, "the last message is cut", err);
    size_t size = sm_load_be32(f->buffer + f->at);
    if (size > f->record_bytes_max)
        return fail(f, SM_E_INVALID, "a message length makes no sense", err);
    rc = need(f, 4 + size, err);
    if (rc != SM_OK)
        return rc;
    if (f->end - f->at < 4 + size)
        return fail(f, SM_E_TRUNCATED, "the last message is cut", err);
    f->at += 4;
    *n = size;
    return SM_OK;
}

static enum sm_rc next_framed(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                              struct sm_err *err)
{
    size_t n = 0;
    enum sm_rc rc = next_frame(f, &n, err);
    return rc == SM_OK ? emit(f, n, pool, payload, err) : rc;
}

/* All of `in` into the message. One byte over the limit is as far as it goes. */
static enum sm_rc inflate_message(struct sm_file *f, ZSTD_inBuffer in, size_t *size, struct sm_err *err)
{
    ZSTD_outBuffer out = {f->message, f->message_capacity, 0};
    size_t left = 1; /* 0 at the end of a frame */
    if (!f->message_zstd)
        f->message_zstd = new_zstd();
    ZSTD_DCtx_reset(f->message_zstd, ZSTD_reset_session_only);
    while ((in.pos < in.size || left > 0) && out.pos <= f->record_bytes_max) {
        if (out.pos == out.size) {
            f->message_capacity = SM_MIN(SM_MAX(2 * out.size, (size_t)MESSAGE_BYTES_MIN), f->record_bytes_max + 1);
            out.size = f->message_capacity;
            out.dst = f->message = sm_xrealloc(f->message, out.size);
        }
        left = ZSTD_decompressStream(f->message_zstd, &out, &in);
        if (ZSTD_isError(left))
            return fail(f, SM_E_INVALID, ZSTD_getErrorName(left), err);
        if (left > 0 && in.pos == in.size && out.pos < out.size)
            return fail(f, SM_E_INVALID, "the compressed data of a message ends early", err);
    }
    if (out.pos > f->record_bytes_max)
        return fail(f, SM_E_LIMIT, "a compressed message is larger than limits allow", err);
    *size = out.pos;
    return SM_OK;
}

static enum sm_rc next_framed_zstd(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                                   const struct sm_codec **codec, struct sm_err *err)
{
    size_t n = 0, size = 0;
    enum sm_rc rc = next_frame(f, &n, err);
    if (rc != SM_OK)
        return rc;
    f->at += n;
    rc = inflate_message(f, (ZSTD_inBuffer){f->buffer + f->at - n, n, 0}, &size, err);
    if (rc != SM_OK)
        return rc;
    *codec = size > 0 && f->message[0] == '{' ? &sm_codec_otlp_json : &sm_codec_otlp_proto;
    return emit_copy(f, sm_str(f->message, size), pool, payload, err);
}

/* The rest of the file is one record. */
static enum sm_rc next_whole(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                             struct sm_err *err)
{
    while (!f->ended) {
        if (f->end - f->at > f->record_bytes_max)
            return fail(f, SM_E_INVALID, "larger than limits allow for one message", err);
        enum sm_rc rc = need(f, f->end - f->at + 1, err);
        if (rc != SM_OK)
            return rc;
    }
    return f->at == f->end ? SM_E_CLOSED : emit(f, f->end - f->at, pool, payload, err);
}

/* Skips to the end of a line that is over the limit. */
static enum sm_rc skip_line(struct sm_file *f, struct sm_err *err)
{
    for (;;) {
        uint8_t *newline = memchr(f->buffer + f->at, '\n', f->end - f->at);
        if (newline) {
            f->at = (size_t)(newline - f->buffer) + 1;
            break;
        }
        f->at = f->end;
        if (f->ended)
            break;
        enum sm_rc rc = need(f, 1, err);
        if (rc != SM_OK)
            return rc;
    }
    return fail(f, SM_E_LIMIT, "a line is larger than limits allow", err);
}

static enum sm_rc next_line(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                            const struct sm_codec **codec, struct sm_err *err)
{
    size_t searched = 0;
    for (;;) {
        if (searched == 0)
            skip_space(f);
        uint8_t *from = f->buffer + f->at + searched;
        uint8_t *newline = memchr(from, '\n', f->end - f->at - searched);
        searched = newline ? (size_t)(newline - f->buffer) - f->at : f->end - f->at;
        if (searched > f->record_bytes_max)
            return skip_line(f, err);
        if (newline || (f->ended && searched))
            return emit_json(f, searched, pool, payload, codec, err);
        if (f->ended)
            return SM_E_CLOSED;
        enum sm_rc rc = need(f, searched + 1, err);
        if (rc != SM_OK)
            return rc;
    }
}

/* Up to the next document: blanks, and what stands around the elements of a list of documents. */
static enum sm_rc skip_to_document(struct sm_file *f, struct sm_err *err)
{
    for (;;) {
        skip_space(f);
        enum sm_rc rc = need(f, 1, err);
        if (rc == SM_OK && f->at < f->end && f->buffer[f->at] == '[')
            rc = need(f, TELL_BYTES, err);
        if (rc != SM_OK)
            return rc;
        if (f->at == f->end)
            return SM_E_CLOSED;
        uint8_t c = f->buffer[f->at];
        bool opens = !f->in_list && sm_file_json_is_list(f->buffer + f->at, f->end - f->at);
        bool closes = f->in_list && c == ']';
        if (!opens && !closes && !is_space(c) && !(f->in_list && c == ','))
            return SM_OK;
        f->in_list = opens || (f->in_list && !closes);
        f->at++;
    }
}

/* Lines after a first one that is a document by itself are documents each: the ends of lines are found sooner than brackets, and a line
 * that is none does no harm to the others. */
static void tell_lines(struct sm_file *f, const struct sm_file_json_scan *scan)
{
    const uint8_t *p = f->buffer + f->at + scan->size, *end = f->buffer + f->end;
    while (p < end && (*p == ' ' || *p == '\r'))
        p++;
    if (!f->in_list && f->buffer[f->at] == '{' && !scan->lines && p < end && *p == '\n')
        f->form = FORM_JSON_LINES;
}

static enum sm_rc next_document(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                                const struct sm_codec **codec, struct sm_err *err)
{
    struct sm_file_json_scan scan = {0};
    enum sm_rc rc = skip_to_document(f, err);
    if (rc != SM_OK)
        return rc;
    uint8_t first = f->buffer[f->at];
    if (first != '{' && first != '[')
        return next_line(f, pool, payload, codec, err);
    while (!sm_file_json_scan(&scan, f->buffer + f->at, f->end - f->at) && !f->ended) {
        if (scan.size > f->record_bytes_max)
            break;
        rc = need(f, scan.size + 1, err);
        if (rc != SM_OK)
            return rc;
    }
    if (scan.size > f->record_bytes_max)
        return first == '{' && !scan.lines ? skip_line(f, err) : fail(f, SM_E_INVALID, "larger than limits allow for one message", err);
    tell_lines(f, &scan);
    return emit_json(f, scan.size, pool, payload, codec, err);
}

enum sm_rc sm_file_next(struct sm_file *f, struct sm_payload_pool *pool, struct sm_payload **payload,
                        const struct sm_codec **codec, struct sm_err *err)
{
    if (f->form == FORM_UNKNOWN) {
        enum sm_rc rc = tell_form(f, err);
        if (rc != SM_OK)
            return rc;
    }
    switch (f->form) {
    case FORM_JSON:
        return next_document(f, pool, payload, codec, err);
    case FORM_JSON_LINES:
        return next_line(f, pool, payload, codec, err);
    case FORM_FRAMED_PROTO:
        *codec = &sm_codec_otlp_proto;
        return next_framed(f, pool, payload, err);
    case FORM_FRAMED_ZSTD:
        return next_framed_zstd(f, pool, payload, codec, err);
    default:
        *codec = f->whole;
        return next_whole(f, pool, payload, err);
    }
}
