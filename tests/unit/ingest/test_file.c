#include "base/buf.h"
#include "ingest/file.h"
#include "tests/support/codec_env.h"
#include "tests/unit/ingest/ingest_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define JSON_A "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060701\"}]}]}]}"
#define JSON_B "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"0102030405060702\"}]}]}]}"
#define ZIPKIN "[{\"traceId\":\"1\",\"id\":\"2\"},\n {\"traceId\":\"1\",\"id\":\"3\"}]"
#define ZIPKIN_LINE "[{\"traceId\":\"1\",\"id\":\"2\"},{\"traceId\":\"1\",\"id\":\"3\"}]"
enum { RECORD_MAX = 1 << 20 };

/* What reading a file to its end gave. */
struct outcome {
    enum sm_rc rc; /* of opening, or of the last record */
    char text[256];
    unsigned records, spans, too_large;
    const struct sm_codec *codec;
};

static struct codec_env e;
static int fd = -1;

static void open_env(void)
{
    codec_env_init(&e);
}

static void close_env(void)
{
    codec_env_fini(&e);
}

TestSuite(file, .init = open_env, .fini = close_env);

static void decode(struct outcome *o, struct sm_payload *p)
{
    struct sm_err err = {0};
    sm_batch_clear(&e.batch);
    cr_expect_eq(o->codec->decode(&e.d, p, &e.batch, &err), SM_OK, "%s", err.text);
    o->records++;
    o->spans += e.batch.count;
    sm_payload_put(p);
}

static struct outcome read_path(const char *path, size_t record_max)
{
    struct outcome o = {.rc = SM_OK};
    struct sm_err err = {0};
    struct sm_file *f = sm_file_open(path, record_max, &err);
    if (!f)
        o.rc = err.rc;
    while (f) {
        struct sm_payload *p = NULL;
        o.rc = sm_file_next(f, e.d.pool, &p, &o.codec, &err);
        if (o.rc == SM_E_LIMIT && o.too_large++ < 10)
            continue;
        if (o.rc != SM_OK)
            break;
        decode(&o, p);
    }
    snprintf(o.text, sizeof o.text, "%s", err.text);
    sm_file_close(f);
    return o;
}

static const char *file_of(const void *bytes, size_t n)
{
    static char path[64];
    if (fd >= 0)
        close(fd);
    fd = memfd_create("recording", MFD_CLOEXEC);
    cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static struct outcome read_bytes(const void *bytes, size_t n)
{
    return read_path(file_of(bytes, n), RECORD_MAX);
}

static void expect(struct outcome o, enum sm_rc rc, unsigned records, unsigned spans, const struct sm_codec *codec)
{
    cr_expect_eq(o.rc, rc, "rc %d: %s", o.rc, o.text);
    cr_expect_eq(o.records, records);
    cr_expect_eq(o.spans, spans);
    if (records)
        cr_expect_eq(o.codec, codec);
    cr_expect((rc == SM_OK || rc == SM_E_CLOSED) || o.text[0], "a failure without words");
}

static struct sm_buf zstd_of(const void *bytes, size_t n)
{
    struct sm_buf out = {0};
    cr_assert(sm_buf_reserve(&out, ZSTD_compressBound(n)));
    out.size = ZSTD_compress(out.data, out.capacity, bytes, n, 3);
    cr_assert_not(ZSTD_isError(out.size));
    return out;
}

/* As a stream, which does not know in advance how much will come. */
static struct sm_buf zstd_stream_of(const void *bytes, size_t n)
{
    struct sm_buf out = {0};
    cr_assert(sm_buf_reserve(&out, ZSTD_compressBound(n)));
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    out.size = ZSTD_compress2(c, out.data, out.capacity, bytes, n);
    cr_assert_not(ZSTD_isError(out.size));
    ZSTD_freeCCtx(c);
    return out;
}

/* The bytes as they are, as gzip, as zstd, and in two gzip members and two zstd frames that part in the middle. */
static void expect_packed(const void *bytes, size_t n, unsigned records, unsigned spans, const struct sm_codec *codec)
{
    expect(read_bytes(bytes, n), SM_E_CLOSED, records, spans, codec);
    struct sm_buf (*const pack[])(const void *, size_t) = {ingest_gzip, zstd_of};
    for (unsigned i = 0; i < 2; i++) {
        struct sm_buf whole = pack[i](bytes, n), halves = pack[i](bytes, n / 2);
        expect(read_bytes(whole.data, whole.size), SM_E_CLOSED, records, spans, codec);
        struct sm_buf second = pack[i]((const char *)bytes + n / 2, n - n / 2), empty = pack[i]("", 0);
        sm_buf_put(&halves, empty.data, empty.size);
        sm_buf_put(&halves, second.data, second.size);
        expect(read_bytes(halves.data, halves.size), SM_E_CLOSED, records, spans, codec);
        sm_buf_fini(&whole);
        sm_buf_fini(&halves);
        sm_buf_fini(&second);
        sm_buf_fini(&empty);
    }
}

static void put_framed(struct sm_buf *out, const void *bytes, size_t n)
{
    uint8_t size[4];
    sm_store_be32(size, (uint32_t)n);
    sm_buf_put(out, size, 4);
    sm_buf_put(out, bytes, n);
}

static struct sm_buf framed_spans(unsigned messages)
{
    struct sm_buf out = {0};
    for (unsigned i = 0; i < messages; i++) {
        struct sm_buf m = {0};
        rig_request(&m, &(struct rig_span){.trace = 1, .id = i + 1, .padding = i % 7 * 1000}, 1);
        put_framed(&out, m.data, m.size);
        sm_buf_fini(&m);
    }
    return out;
}

static void put_framed_zstd(struct sm_buf *out, const void *bytes, size_t n)
{
    struct sm_buf z = zstd_of(bytes, n);
    put_framed(out, z.data, z.size);
    sm_buf_fini(&z);
}

Test(file, otlp_json_lines)
{
    static const char *const texts[] = {JSON_A "\n" JSON_B "\n", JSON_A "\n" JSON_B, "\n\n " JSON_A "\r\n\n\n\t" JSON_B "\n\n"};
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect_packed(texts[i], strlen(texts[i]), 2, 2, &sm_codec_otlp_json);
}

Test(file, zipkin_arrays)
{
    expect_packed(ZIPKIN, strlen(ZIPKIN), 1, 2, &sm_codec_zipkin_any);
    expect_packed(" \n" ZIPKIN "\n", strlen(ZIPKIN) + 3, 1, 2, &sm_codec_zipkin_any);
}

/* As it is downloaded, and as it looks after an editor. */
Test(file, downloads_of_jaegers_ui)
{
    static const char *const texts[] = {
        "{\"data\":[{\"spans\":[{\"traceID\":\"1\",\"spanID\":\"2\"}],\"processes\":{}}],\"total\":0}",
        "\n{\n    \"data\": [\n        {\n            \"spans\": [{\"traceID\": \"1\", \"spanID\": \"2\"}]\n        }\n    ]\n}\n",
        "{\"traceID\":\"1\",\"spans\":[{\"traceID\":\"1\",\"spanID\":\"2\"}]}",
        "{ \"processes\": {}, \"spans\": [{\"traceID\": \"1\", \"spanID\": \"2\"}]}",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect_packed(texts[i], strlen(texts[i]), 1, 1, &sm_codec_jaeger_ui_json);
}

/* Formatted, behind each other without the end of a line, as elements of a list, in the envelope of API v3, behind a byte order mark. */
Test(file, otlp_documents)
{
    static const char *const texts[] = {
        "{\n  \"resourceSpans\": [\n    {\n      \"scopeSpans\": [\n        {\"spans\": [{\"traceId\": "
        "\"0102030405060708090a0b0c0d0e0f10\",\n\"spanId\": \"0102030405060701\"}]}\n]}]}\n" JSON_B,
        JSON_A JSON_B,
        "[" JSON_A ",\n" JSON_B "]",
        "[\n    " JSON_A "\n    ,\n    " JSON_B "\n]\n",
        "{\"result\":" JSON_A "}\n{ \"result\" : " JSON_B " }\n",
        "\xef\xbb\xbf" JSON_A "\r\n" JSON_B "\r\n",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect_packed(texts[i], strlen(texts[i]), 2, 2, &sm_codec_otlp_json);
}

/* As GET /api/v2/traces gives them: a list of lists. And lists behind each other. */
Test(file, traces_of_zipkins_api)
{
    static const char *const texts[] = {"[" ZIPKIN "," ZIPKIN "]", " [\n[],\n " ZIPKIN ", [] ," ZIPKIN "]\n", ZIPKIN "\n" ZIPKIN "\n"};
    static const unsigned records[] = {2, 4, 2};
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect_packed(texts[i], strlen(texts[i]), records[i], 4, &sm_codec_zipkin_any);
}

#define UI_TRACE(id) "{\"traceID\":\"1\",\"spans\":[{\"traceID\":\"1\",\"spanID\":\"" id "\"}]}"

/* The list in a reply, lines of traces. */
Test(file, several_traces_of_jaegers_ui)
{
    static const char *const texts[] = {"[" UI_TRACE("2") ", " UI_TRACE("3") "]", UI_TRACE("2") "\n" UI_TRACE("3") "\n",
                                        "{\"total\":0,\"data\":[" UI_TRACE("2") "]}" UI_TRACE("3")};
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect_packed(texts[i], strlen(texts[i]), 2, 2, &sm_codec_jaeger_ui_json);
}

#define JAEGER_SPAN(id) "{\"traceId\":\"AAAAAAAAAAAAAAAAAAAAAQ==\",\"spanId\":\"AAAAAAAAAA" id "=\",\"operationName\":\"a\"}"

/* What a consumer of Kafka wrote down. */
Test(file, spans_of_jaegers_topic)
{
    static const char text[] = JAEGER_SPAN("E") "\n" JAEGER_SPAN("I") "\n";
    expect_packed(text, strlen(text), 2, 2, &sm_codec_jaeger_json);
}

Test(file, several_formats_in_one_file)
{
    static const char text[] = JSON_A "\n" ZIPKIN_LINE "\n" UI_TRACE("4") "\n" JAEGER_SPAN("U");
    expect_packed(text, strlen(text), 4, 5, &sm_codec_jaeger_json);
}

Test(file, length_prefixed_protobuf)
{
    struct sm_buf b = framed_spans(100);
    expect_packed(b.data, b.size, 100, 100, &sm_codec_otlp_proto);
    sm_buf_fini(&b);
}

/* The file exporter with `compression: zstd`. */
Test(file, messages_that_are_compressed_one_by_one)
{
    struct sm_buf json = {0}, proto = {0}, plain = framed_spans(100);
    for (int i = 0; i < 3; i++)
        put_framed_zstd(&json, JSON_A, strlen(JSON_A));
    expect_packed(json.data, json.size, 3, 3, &sm_codec_otlp_json);
    for (size_t at = 0; at < plain.size; at += 4 + sm_load_be32(plain.data + at))
        put_framed_zstd(&proto, plain.data + at + 4, sm_load_be32(plain.data + at));
    expect_packed(proto.data, proto.size, 100, 100, &sm_codec_otlp_proto);
    sm_buf_fini(&json);
    sm_buf_fini(&proto);
    sm_buf_fini(&plain);
}

/* A frame that does not say how large its content is, which is more than a first guess has room for, in two parts. */
Test(file, a_compressed_message_of_unknown_size)
{
    struct sm_buf m = {0}, first, second, z = {0};
    struct rig_span spans[20];
    for (unsigned i = 0; i < SM_ARRAY_LEN(spans); i++)
        spans[i] = (struct rig_span){.trace = 1, .id = i + 1, .padding = 20000};
    rig_request(&m, spans, SM_ARRAY_LEN(spans));
    first = zstd_stream_of(m.data, m.size / 2);
    second = zstd_stream_of(m.data + m.size / 2, m.size - m.size / 2);
    sm_buf_put(&first, second.data, second.size);
    put_framed(&z, first.data, first.size);
    expect(read_bytes(z.data, z.size), SM_E_CLOSED, 1, 20, &sm_codec_otlp_proto);
    sm_buf_fini(&m);
    sm_buf_fini(&first);
    sm_buf_fini(&second);
    sm_buf_fini(&z);
}

Test(file, compressed_messages_that_are_damaged_or_cut)
{
    struct sm_buf z = {0};
    put_framed_zstd(&z, JSON_A, strlen(JSON_A));
    size_t one = z.size;
    put_framed_zstd(&z, JSON_B, strlen(JSON_B));
    expect(read_bytes(z.data, z.size - 1), SM_E_TRUNCATED, 1, 1, &sm_codec_otlp_json);
    sm_store_be32(z.data + one, sm_load_be32(z.data + one) - 1); /* the frame says less than its content needs */
    expect(read_bytes(z.data, z.size), SM_E_INVALID, 1, 1, &sm_codec_otlp_json);
    sm_store_be32(z.data + one, 0);
    expect(read_bytes(z.data, one + 4), SM_E_INVALID, 1, 1, &sm_codec_otlp_json);
    sm_store_be32(z.data + one, (uint32_t)(z.size - one - 4));
    memset(z.data + one + 8, 0xff, 8);
    expect(read_bytes(z.data, z.size), SM_E_INVALID, 1, 1, &sm_codec_otlp_json);
    sm_buf_fini(&z);
}

/* It is skipped, the others are read. */
Test(file, a_compressed_message_over_the_limit)
{
    struct sm_buf z = {0}, large = {0};
    put_framed_zstd(&z, JSON_A, strlen(JSON_A));
    sm_buf_puts(&large, JSON_A);
    while (large.size <= RECORD_MAX)
        sm_buf_putc(&large, ' ');
    put_framed_zstd(&z, large.data, large.size);
    put_framed_zstd(&z, large.data, RECORD_MAX);
    struct outcome o = read_bytes(z.data, z.size);
    cr_expect_eq(o.too_large, 1);
    expect(o, SM_E_CLOSED, 2, 2, &sm_codec_otlp_json);
    sm_buf_fini(&z);
    sm_buf_fini(&large);
}

/* Bodies of requests and datagrams, as they were sent. */
Test(file, payloads_of_every_protocol)
{
#define JAEGER_SPAN_PB "\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x08\0\0\0\0\0\0\0\2\x1a\1a"
#define THRIFT_BATCH                                                                                                                   \
    "\x0c\0\1\x0b\0\1\0\0\0\3svc\0\x0f\0\2\x0c\0\0\0\1\x0a\0\1\0\0\0\0\0\0\0\1\x0a\0\2\0\0\0\0\0\0\0\0\x0a\0\3\0\0\0\0\0\0\0\2" \
    "\x0a\0\4\0\0\0\0\0\0\0\0\x0b\0\5\0\0\0\2op\x08\0\7\0\0\0\1\x0a\0\x08\0\0\0\0\0\x0f\x42\x40\x0a\0\x09\0\0\0\0\0\0\0\5\0\0"
    static const struct {
        struct sm_str bytes;
        const struct sm_codec *codec;
    } rows[] = {
        {SM_STR("\x0a\x25\x0a\x21" JAEGER_SPAN_PB "\x28\1" "\x12\0"), &sm_codec_any},
        {SM_STR(JAEGER_SPAN_PB), &sm_codec_any},
        {SM_STR("\x0a\x14\x0a\x08\0\0\0\0\0\0\0\1\x1a\x08\0\0\0\0\0\0\0\2"), &sm_codec_any}, /* Zipkin's */
        {SM_STR(THRIFT_BATCH), &sm_codec_jaeger_batch},
        {SM_STR("\x80\1\0\4\0\0\0\x09" "emitBatch\0\0\0\0\x0c\0\1" THRIFT_BATCH "\0"), &sm_codec_jaeger_binary},
        {SM_STR("\x82\x81\0\x09" "emitBatch\x1c\x1c\x18\3svc\0\x19\x1c\x16\2\x16\0\x16\4\x16\0\x18\2op\x25\2\x16\x80\x89\x7a\x16\x0a\0\0\0"),
         &sm_codec_jaeger_compact},
        {SM_STR("\x0c\0\0\0\1\x0a\0\1\0\0\0\0\0\0\0\1\x0a\0\4\0\0\0\0\0\0\0\2\0"), &sm_codec_zipkin_v1_thrift},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(rows); i++)
        expect_packed(rows[i].bytes.ptr, rows[i].bytes.len, 1, 1, rows[i].codec);
}

Test(file, a_bare_protobuf_message)
{
    struct sm_buf b = {0};
    struct rig_span spans[] = {{.trace = 1, .id = 1}, {.trace = 1, .id = 2}};
    rig_request(&b, spans, 2);
    expect_packed(b.data, b.size, 1, 2, &sm_codec_any);
    sm_buf_fini(&b);
}

/* Larger than the reader's buffer, so that records straddle its refills. */
Test(file, many_records)
{
    struct sm_buf b = {0};
    while (b.size < 9 << 20)
        sm_buf_puts(&b, JSON_A "\n");
    unsigned records = (unsigned)(b.size / strlen(JSON_A "\n"));
    expect(read_bytes(b.data, b.size), SM_E_CLOSED, records, records, &sm_codec_otlp_json);
    struct sm_buf z = ingest_gzip(b.data, b.size);
    expect(read_bytes(z.data, z.size), SM_E_CLOSED, records, records, &sm_codec_otlp_json);
    sm_buf_fini(&b);
    sm_buf_fini(&z);
}

Test(file, empty_files)
{
    expect_packed("", 0, 0, 0, NULL);
    expect_packed(" \n\n", 3, 0, 0, NULL);
}

Test(file, files_that_were_cut)
{
    struct sm_buf b = framed_spans(3), z = ingest_gzip(b.data, b.size), s = zstd_of(b.data, b.size);
    size_t first = 4 + sm_load_be32(b.data);
    for (size_t cut = first + 1; cut < 2 * first; cut++)
        expect(read_bytes(b.data, cut), SM_E_TRUNCATED, 1, 1, &sm_codec_otlp_proto);
    for (size_t cut = 5; cut < z.size; cut++) {
        struct outcome o = read_bytes(z.data, cut);
        cr_expect(o.rc == SM_E_TRUNCATED && o.records <= 3, "gzip cut at %zu: rc %d, %u records", cut, o.rc, o.records);
    }
    for (size_t cut = 5; cut < s.size; cut++) {
        struct outcome o = read_bytes(s.data, cut);
        cr_expect(o.rc == SM_E_TRUNCATED && o.records <= 3, "zstd cut at %zu: rc %d, %u records", cut, o.rc, o.records);
    }
    sm_buf_fini(&b);
    sm_buf_fini(&z);
    sm_buf_fini(&s);
}

Test(file, records_before_a_cut_are_read)
{
    struct sm_buf b = {0};
    for (unsigned i = 0; i < 100; i++)
        sm_buf_puts(&b, JSON_A "\n");
    struct sm_buf z = ingest_gzip(b.data, b.size), both = {0};
    sm_buf_put(&both, z.data, z.size);
    sm_buf_put(&both, z.data, z.size / 2);
    struct outcome o = read_bytes(both.data, both.size);
    cr_expect(o.rc == SM_E_TRUNCATED && o.records >= 100, "rc %d, %u records: %s", o.rc, o.records, o.text);
    sm_buf_fini(&b);
    sm_buf_fini(&z);
    sm_buf_fini(&both);
}

Test(file, garbage)
{
    static const char *const texts[] = {"hello", "<?xml?>", "\x01\x02\x03\x04\x05", "\xff\xff\xff\xff\xff\xff", "0", "\"a\""};
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++)
        expect(read_bytes(texts[i], strlen(texts[i])), SM_E_INVALID, 0, 0, NULL);
    expect(read_bytes("\x1f\x8b\x07\x00garbage of gzip", 19), SM_E_INVALID, 0, 0, NULL);
    expect(read_bytes("\x28\xb5\x2f\xfd" "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 20), SM_E_INVALID, 0, 0, NULL);
    struct sm_buf z = ingest_gzip(JSON_A "\n", strlen(JSON_A "\n"));
    sm_buf_puts(&z, "rubbish behind it");
    struct outcome o = read_bytes(z.data, z.size);
    cr_expect(o.rc == SM_E_INVALID && o.records == 1, "rc %d, %u records", o.rc, o.records);
    sm_buf_fini(&z);
}

Test(file, damaged_checksums)
{
    struct sm_buf z = ingest_gzip(JSON_A "\n", strlen(JSON_A "\n"));
    z.data[z.size - 6] ^= 1;
    cr_expect_eq(read_bytes(z.data, z.size).rc, SM_E_INVALID);
    sm_buf_fini(&z);
}

Test(file, huge_lengths)
{
    struct sm_buf b = framed_spans(2);
    sm_store_be32(b.data + 4 + sm_load_be32(b.data), 0xffffffff);
    struct outcome o = read_bytes(b.data, b.size);
    expect(o, SM_E_INVALID, 1, 1, &sm_codec_otlp_proto);
    sm_store_be32(b.data + 4 + sm_load_be32(b.data), RECORD_MAX);
    expect(read_bytes(b.data, b.size), SM_E_TRUNCATED, 1, 1, &sm_codec_otlp_proto);
    sm_store_be32(b.data, 0x7fffffff);
    expect(read_bytes(b.data, b.size), SM_E_INVALID, 0, 0, NULL);
    sm_buf_fini(&b);
}

Test(file, a_message_of_no_bytes)
{
    struct sm_buf b = framed_spans(1);
    sm_buf_put(&b, "\0\0\0\0", 4);
    struct sm_buf more = framed_spans(1);
    sm_buf_put(&b, more.data, more.size);
    expect(read_bytes(b.data, b.size), SM_E_CLOSED, 3, 2, &sm_codec_otlp_proto);
    sm_buf_fini(&b);
    sm_buf_fini(&more);
}

/* Lines over the limit are skipped, one report each; the others are read. */
Test(file, lines_over_the_limit)
{
    struct sm_buf b = {0};
    for (unsigned i = 0; i < 3; i++) {
        sm_buf_puts(&b, JSON_A "\n{");
        for (size_t n = 0; n < 5 << 20; n++)
            sm_buf_putc(&b, ' ');
        sm_buf_puts(&b, "}\n");
    }
    sm_buf_puts(&b, JSON_B);
    struct outcome o = read_bytes(b.data, b.size);
    cr_expect_eq(o.too_large, 3);
    expect(o, SM_E_CLOSED, 4, 4, &sm_codec_otlp_json);
    sm_buf_clear(&b);
    sm_buf_puts(&b, JSON_A "\n{");
    for (size_t n = 0; n < RECORD_MAX + 10; n++) /* over the limit, but not over the reader's buffer */
        sm_buf_putc(&b, ' ');
    sm_buf_puts(&b, "}\n" JSON_B "\n");
    o = read_bytes(b.data, b.size);
    cr_expect_eq(o.too_large, 1);
    expect(o, SM_E_CLOSED, 2, 2, &sm_codec_otlp_json);
    sm_buf_fini(&b);
}

/* Larger than the reader's buffer, and each of its documents than a line should be. */
Test(file, long_lists)
{
    struct sm_buf b = {0};
    unsigned records = 0;
    sm_buf_putc(&b, '[');
    for (; b.size < 9 << 20; records++) {
        sm_buf_puts(&b, records ? ",\n" JSON_A : JSON_A);
        for (size_t n = 0; n < 100000; n++)
            sm_buf_putc(&b, ' ');
    }
    sm_buf_putc(&b, ']');
    expect_packed(b.data, b.size, records, records, &sm_codec_otlp_json);
    sm_buf_fini(&b);
}

Test(file, an_array_over_the_limit)
{
    struct sm_buf b = {0};
    sm_buf_puts(&b, "[");
    for (size_t n = 0; n < 6 << 20; n++)
        sm_buf_putc(&b, ' ');
    sm_buf_puts(&b, "]");
    expect(read_bytes(b.data, b.size), SM_E_INVALID, 0, 0, NULL);
    struct sm_buf z = ingest_gzip(b.data, b.size);
    expect(read_bytes(z.data, z.size), SM_E_INVALID, 0, 0, NULL);
    b.data[RECORD_MAX + 100] = ']';
    b.size = RECORD_MAX + 101; /* over the limit, but not over the reader's buffer */
    expect(read_bytes(b.data, b.size), SM_E_INVALID, 0, 0, NULL);
    sm_buf_fini(&b);
    sm_buf_fini(&z);
}

Test(file, standard_input)
{
    int pipe_fds[2];
    cr_assert_eq(pipe(pipe_fds), 0);
    cr_assert_eq(dup2(pipe_fds[0], STDIN_FILENO), STDIN_FILENO);
    const char *text = JSON_A "\n" JSON_B "\n";
    cr_assert_eq(write(pipe_fds[1], text, strlen(text)), (ssize_t)strlen(text));
    close(pipe_fds[1]);
    expect(read_path("-", RECORD_MAX), SM_E_CLOSED, 2, 2, &sm_codec_otlp_json);
    close(pipe_fds[0]);
}

Test(file, what_cannot_be_opened)
{
    expect(read_path("/nonexistent/file", RECORD_MAX), SM_E_IO, 0, 0, NULL);
    expect(read_path("/", RECORD_MAX), SM_E_INVALID, 0, 0, NULL);
}

Test(file, progress)
{
    struct sm_err err;
    struct sm_payload *p;
    const struct sm_codec *codec;
    uint64_t read_bytes, size_bytes;
    const char *text = JSON_A "\n" JSON_B "\n";
    struct sm_file *f = sm_file_open(file_of(text, strlen(text)), RECORD_MAX, &err);
    cr_assert_eq(sm_file_next(f, e.d.pool, &p, &codec, &err), SM_OK);
    sm_payload_put(p);
    sm_file_progress(f, &read_bytes, &size_bytes);
    cr_expect_eq(size_bytes, strlen(text));
    cr_expect(read_bytes > 0 && read_bytes <= size_bytes);
    sm_file_close(f);
}
