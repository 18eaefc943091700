#include "base/clock.h"
#include "base/log.h"
#include "base/net/grpc.h"
#include "ingest_rig.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#define PROTO "application/x-protobuf"
#define JSON "application/json"
#define EXPORT "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

/* One span of service svc: appendix of the wire reference. */
static const uint8_t one_span[] = {
    0x0a, 0x55, 0x0a, 0x17, 0x0a, 0x15, 0x0a, 0x0c, 's',  'e',  'r',  'v',  'i',  'c',  'e',  '.',  'n',  'a',
    'm',  'e',  0x12, 0x05, 0x0a, 0x03, 's',  'v',  'c',  0x12, 0x3a, 0x12, 0x38, 0x0a, 0x10, 0x01, 0x02, 0x03,
    0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x08, 0x01, 0x02, 0x03,
    0x04, 0x05, 0x06, 0x07, 0x08, 0x2a, 0x02, 'o',  'p',  0x30, 0x02, 0x39, 0x00, 0xca, 0x9a, 0x3b, 0x00, 0x00,
    0x00, 0x00, 0x41, 0x88, 0xdd, 0x9a, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x7a, 0x02, 0x18, 0x02};

#define JSON_SPAN(id) "{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"" id "\",\"name\":\"op\"}"
#define JSON_REQUEST(spans) "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[" spans "]}]}]}"
#define GOOD_JSON JSON_REQUEST(JSON_SPAN("0102030405060708"))
#define HALF_JSON JSON_REQUEST(JSON_SPAN("0102030405060708") "," JSON_SPAN("0000000000000000"))

static struct ingest in;

static void open_otlp(void)
{
    ingest_open(&in, &sm_receiver_otlp);
}

static void close_otlp(void)
{
    ingest_close(&in);
}

TestSuite(otlp, .init = open_otlp, .fini = close_otlp);

static unsigned post(const char *type, const void *body, size_t n)
{
    return ingest_post(&in, "/v1/traces", type, "", body, n);
}

static uint64_t received(void)
{
    return rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED);
}

static void expect_body(const char *type, const void *body, size_t n)
{
    char line[64];
    size_t got;
    const char *at = ingest_body(&in, &got);
    snprintf(line, sizeof line, "content-type: %s", type);
    cr_expect(ingest_has(&in, line), "%s", in.client->in);
    cr_expect(got == n && memcmp(at, body, n) == 0, "%.*s", (int)got, at);
}

static void expect_json(const char *text)
{
    expect_body(JSON, text, strlen(text));
}

static struct sm_buf framed(const void *message, size_t n, bool compressed)
{
    struct sm_buf b = {0};
    uint8_t prefix[SM_GRPC_PREFIX_BYTES];
    sm_grpc_prefix(prefix, compressed, (uint32_t)n);
    sm_buf_put(&b, prefix, sizeof prefix);
    if (n)
        sm_buf_put(&b, message, n);
    return b;
}

static struct h2_stream *call(struct h2_peer *h2, const void *message, size_t n, const char *encoding, bool compressed)
{
    struct sm_buf b = framed(message, n, compressed);
    nghttp2_nv extra[2] = {h2_nv("te", "trailers")};
    if (encoding)
        extra[1] = h2_nv("grpc-encoding", encoding);
    struct h2_stream *st = h2_request(h2, "POST", EXPORT, "application/grpc", extra, encoding ? 2 : 1, b.data, b.size);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->status, "200");
    cr_expect_str_eq(st->content_type, "application/grpc");
    sm_buf_fini(&b);
    return st;
}

/* --- HTTP --- */

Test(otlp, success_is_an_empty_message_in_the_requests_encoding)
{
    cr_expect_eq(post(PROTO, one_span, sizeof one_span), 200);
    expect_body(PROTO, "", 0);
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, GOOD_JSON), 200);
    expect_json("{}");
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", "Application/JSON ; charset=utf-8", GOOD_JSON), 200);
    expect_json("{}");
    cr_expect_eq(ingest_post_text(&in, "/v1/traces?x=1", JSON, GOOD_JSON), 200);
    cr_expect_eq(received(), 4);
}

Test(otlp, an_empty_request_succeeds)
{
    cr_expect_eq(post(PROTO, "", 0), 200);
    expect_body(PROTO, "", 0);
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, "{}"), 200);
    expect_json("{}");
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, "{\"resourceSpans\":[]}"), 200);
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, ""), 400);
    cr_expect_eq(received(), 0);
}

Test(otlp, refused_spans_are_a_partial_success)
{
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, HALF_JSON), 200);
    size_t n;
    const char *body = ingest_body(&in, &n);
    cr_expect(strstr(body, "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"") == body, "%s", body);
    cr_expect_eq(rig_rejected(&in.rig), 1);
    struct rig_span spans[] = {{.trace = 1, .id = 1}, {.trace = 1, .id = 0}, {.trace = 0, .id = 3}};
    struct sm_buf b = {0};
    rig_request(&b, spans, 3);
    cr_expect_eq(post(PROTO, b.data, b.size), 200);
    body = ingest_body(&in, &n);
    cr_assert_gt(n, 6);
    cr_expect_eq(memcmp(body + 2, "\x08\x02\x12", 3), 0, "rejected_spans = 2 and a text");
    cr_expect_eq(body[0], 0x0a);
    cr_expect_eq((size_t)body[1], n - 2);
    cr_expect_eq((size_t)body[5], n - 6);
    sm_buf_clear(&b);
    rig_request(&b, spans + 1, 2);
    cr_expect_eq(post(PROTO, b.data, b.size), 200, "nothing but refused spans is still answered span by span");
    cr_expect_eq(rig_rejected(&in.rig), 5);
    cr_expect_eq(received(), 7);
    sm_buf_fini(&b);
}

Test(otlp, bad_data_is_400_with_a_status_in_the_requests_encoding)
{
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, "[1,"), 400);
    const char *body = ingest_body(&in, NULL);
    cr_expect(strstr(body, "{\"code\":3,\"message\":\"") == body, "%s", body);
    cr_expect(ingest_has(&in, "content-type: " JSON));
    cr_expect_eq(post(PROTO, one_span, sizeof one_span - 1), 400);
    size_t n;
    body = ingest_body(&in, &n);
    cr_expect(n > 4 && memcmp(body, "\x08\x03\x12", 3) == 0 && (size_t)body[3] == n - 4);
    cr_expect(ingest_has(&in, "content-type: " PROTO));
    cr_expect_eq(post(PROTO, GOOD_JSON, strlen(GOOD_JSON)), 400, "JSON called protobuf");
    cr_expect_eq(post(JSON, one_span, sizeof one_span), 400, "protobuf called JSON");
    cr_expect_eq(received(), 0);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 4);
}

Test(otlp, methods_paths_and_types)
{
    cr_expect_eq(ingest_send(&in, "PUT", "/v1/traces", "Content-Type: " PROTO "\r\n", one_span, sizeof one_span), 405);
    cr_expect(ingest_has(&in, "allow: POST"), "%s", in.client->in);
    cr_expect(ingest_has(&in, "content-type: text/plain"));
    cr_expect_eq(ingest_send(&in, "GET", "/v1/traces", "", "", 0), 405);
    cr_expect_eq(ingest_post(&in, "/v1/trace", PROTO, "", one_span, sizeof one_span), 404);
    cr_expect_eq(ingest_post(&in, "/v1/traces/", PROTO, "", one_span, sizeof one_span), 404);
    cr_expect_eq(ingest_post(&in, "/", PROTO, "", one_span, sizeof one_span), 404);
    static const char *const types[] = {"text/plain",      "application/x-protobuffer", "application/jsonl",
                                        "application/xml", "application/grpc",          "x"};
    for (size_t i = 0; i < SM_ARRAY_LEN(types); i++)
        cr_expect_eq(post(types[i], one_span, sizeof one_span), 415, "%s", types[i]);
    cr_expect_eq(post(NULL, one_span, sizeof one_span), 415);
    cr_expect(ingest_has(&in, "content-type: text/plain"));
    cr_expect_eq(received(), 0);
}

Test(otlp, other_signals_are_told_counted_and_logged_once)
{
    char text[4096] = "";
    int fd = memfd_create("log", MFD_CLOEXEC);
    sm_log_setup(&(struct sm_log_config){.fd = fd});
    for (unsigned i = 0; i < 20; i++) {
        cr_expect_eq(ingest_post(&in, "/v1/metrics", PROTO, "", "abc", 3), 404);
        cr_expect_eq(ingest_post(&in, "/v1/logs", JSON, "", "{}", 2), 404);
    }
    struct h2_peer *h2 = h2_connect(&in.peer);
    static const char *const services[] = {"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                                           "/opentelemetry.proto.collector.logs.v1.LogsService/Export"};
    for (unsigned i = 0; i < 2; i++) {
        struct h2_stream *st = h2_grpc(h2, services[i], "\0\0\0\0\0", 5);
        cr_assert(h2_wait_closed(h2, st));
        cr_expect_str_eq(st->grpc_status, "12");
    }
    h2_disconnect(h2);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_NOT_TRACES), 42);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 0);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    cr_assert_gt(n, 0);
    const char *line = strstr(text, "event=not_traces");
    cr_assert_not_null(line, "%s", text);
    cr_expect_null(strstr(line + 1, "event=not_traces"), "%s", text);
    close(fd);
}

/* One span in every coding, as Python's zlib, zstandard, python-snappy and lz4 write it. */
static const struct {
    const char *name;
    struct sm_str body;
} codings[] = {
    {"gzip", SM_STR("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xe3\x0a\xe5\x12\xe7\x12\xe5\xe2\x29\x4e\x2d\x2a\xcb\x4c\x4e"
                    "\xd5\xcb\x4b\xcc\x4d\x15\x62\xe5\x62\x2e\x2e\x4b\x16\xb2\x12\xb2\xe0\x12\x60\x64\x62\x66\x61\x65\x63"
                    "\xe7\xe0\xe4\xe2\xe6\xe1\xe5\xe3\x17\x10\xe2\x80\x89\x68\x31\xe5\x17\x18\x30\x59\x32\x9c\x9a\x65\xcd"
                    "\x00\x04\x8e\x1d\x77\x21\x8c\x2a\x26\x09\x26\x00\x6e\x6e\x25\x2c\x57\x00\x00\x00")},
    {"deflate", SM_STR("\x78\x9c\xe3\x0a\xe5\x12\xe7\x12\xe5\xe2\x29\x4e\x2d\x2a\xcb\x4c\x4e\xd5\xcb\x4b\xcc\x4d\x15\x62\xe5"
                       "\x62\x2e\x2e\x4b\x16\xb2\x12\xb2\xe0\x12\x60\x64\x62\x66\x61\x65\x63\xe7\xe0\xe4\xe2\xe6\xe1\xe5\xe3"
                       "\x17\x10\xe2\x80\x89\x68\x31\xe5\x17\x18\x30\x59\x32\x9c\x9a\x65\xcd\x00\x04\x8e\x1d\x77\x21\x8c\x2a"
                       "\x26\x09\x26\x00\x9c\x90\x0e\x82")},
    {"deflate", SM_STR("\xe3\x0a\xe5\x12\xe7\x12\xe5\xe2\x29\x4e\x2d\x2a\xcb\x4c\x4e\xd5\xcb\x4b\xcc\x4d\x15\x62\xe5\x62\x2e"
                       "\x2e\x4b\x16\xb2\x12\xb2\xe0\x12\x60\x64\x62\x66\x61\x65\x63\xe7\xe0\xe4\xe2\xe6\xe1\xe5\xe3\x17\x10"
                       "\xe2\x80\x89\x68\x31\xe5\x17\x18\x30\x59\x32\x9c\x9a\x65\xcd\x00\x04\x8e\x1d\x77\x21\x8c\x2a\x26\x09"
                       "\x26\x00")},
    {"zlib", SM_STR("\x78\x9c\xe3\x0a\xe5\x12\xe7\x12\xe5\xe2\x29\x4e\x2d\x2a\xcb\x4c\x4e\xd5\xcb\x4b\xcc\x4d\x15\x62\xe5"
                    "\x62\x2e\x2e\x4b\x16\xb2\x12\xb2\xe0\x12\x60\x64\x62\x66\x61\x65\x63\xe7\xe0\xe4\xe2\xe6\xe1\xe5\xe3"
                    "\x17\x10\xe2\x80\x89\x68\x31\xe5\x17\x18\x30\x59\x32\x9c\x9a\x65\xcd\x00\x04\x8e\x1d\x77\x21\x8c\x2a"
                    "\x26\x09\x26\x00\x9c\x90\x0e\x82")},
    {"zstd", SM_STR("\x28\xb5\x2f\xfd\x00\x00\x9d\x02\x00\x94\x04\x0a\x55\x0a\x17\x0a\x15\x0a\x0c\x73\x65\x72\x76\x69\x63"
                    "\x65\x2e\x6e\x61\x6d\x65\x12\x05\x0a\x03\x73\x76\x63\x12\x3a\x12\x38\x0a\x10\x01\x02\x03\x04\x05\x06"
                    "\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x12\x08\x2a\x02\x6f\x70\x30\x02\x39\x00\xca\x9a\x3b\x00\x00"
                    "\x00\x00\x41\x88\xdd\x7a\x02\x18\x02\x02\x00\x58\x46\x98\x22\xe6\x1e")},
    {"snappy", SM_STR("\x57\xc8\x0a\x55\x0a\x17\x0a\x15\x0a\x0c\x73\x65\x72\x76\x69\x63\x65\x2e\x6e\x61\x6d\x65\x12\x05\x0a"
                      "\x03\x73\x76\x63\x12\x3a\x12\x38\x0a\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                      "\x10\x12\x08\x11\x12\x6c\x2a\x02\x6f\x70\x30\x02\x39\x00\xca\x9a\x3b\x00\x00\x00\x00\x41\x88\xdd\x9a"
                      "\x3b\x00\x00\x00\x00\x7a\x02\x18\x02")},
    {"snappy", SM_STR("\xff\x06\x00\x00\x73\x4e\x61\x50\x70\x59\x01\x5b\x00\x00\x94\x11\xb8\x0e\x0a\x55\x0a\x17\x0a\x15\x0a"
                      "\x0c\x73\x65\x72\x76\x69\x63\x65\x2e\x6e\x61\x6d\x65\x12\x05\x0a\x03\x73\x76\x63\x12\x3a\x12\x38\x0a"
                      "\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x12\x08\x01\x02\x03\x04\x05\x06"
                      "\x07\x08\x2a\x02\x6f\x70\x30\x02\x39\x00\xca\x9a\x3b\x00\x00\x00\x00\x41\x88\xdd\x9a\x3b\x00\x00\x00"
                      "\x00\x7a\x02\x18\x02")},
    {"x-snappy-framed", SM_STR("\xff\x06\x00\x00\x73\x4e\x61\x50\x70\x59\x01\x5b\x00\x00\x94\x11\xb8\x0e\x0a\x55\x0a\x17\x0a\x15\x0a"
                               "\x0c\x73\x65\x72\x76\x69\x63\x65\x2e\x6e\x61\x6d\x65\x12\x05\x0a\x03\x73\x76\x63\x12\x3a\x12\x38\x0a"
                               "\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x12\x08\x01\x02\x03\x04\x05\x06"
                               "\x07\x08\x2a\x02\x6f\x70\x30\x02\x39\x00\xca\x9a\x3b\x00\x00\x00\x00\x41\x88\xdd\x9a\x3b\x00\x00\x00"
                               "\x00\x7a\x02\x18\x02")},
    {"lz4", SM_STR("\x04\x22\x4d\x18\x68\x40\x57\x00\x00\x00\x00\x00\x00\x00\x7f\x55\x00\x00\x00\xf4\x24\x0a\x55\x0a\x17"
                   "\x0a\x15\x0a\x0c\x73\x65\x72\x76\x69\x63\x65\x2e\x6e\x61\x6d\x65\x12\x05\x0a\x03\x73\x76\x63\x12\x3a"
                   "\x12\x38\x0a\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x12\x08\x12\x00\xf0"
                   "\x0d\x2a\x02\x6f\x70\x30\x02\x39\x00\xca\x9a\x3b\x00\x00\x00\x00\x41\x88\xdd\x9a\x3b\x00\x00\x00\x00"
                   "\x7a\x02\x18\x02\x00\x00\x00\x00")},
};

Test(otlp, every_coding)
{
    char header[64];
    struct h2_peer *h2 = h2_connect(&in.peer);
    for (size_t i = 0; i < SM_ARRAY_LEN(codings); i++) {
        snprintf(header, sizeof header, "Content-Encoding: %s\r\n", codings[i].name);
        cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, header, codings[i].body.ptr, codings[i].body.len), 200, "%s", header);
        cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, header, codings[i].body.ptr, codings[i].body.len - 1), 400, "%s", header);
        struct h2_stream *st = call(h2, codings[i].body.ptr, codings[i].body.len, codings[i].name, true);
        cr_expect_str_eq(st->grpc_status, "0", "%s", header);
        cr_expect_eq(received(), 2 * (i + 1));
    }
    h2_disconnect(h2);
}

Test(otlp, compressed_bodies)
{
    struct sm_buf z = ingest_gzip(one_span, sizeof one_span);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip\r\n", z.data, z.size), 200);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: X-GZIP\r\n", z.data, z.size), 200);
    uint8_t frame[512];
    size_t n = ZSTD_compress(frame, sizeof frame, one_span, sizeof one_span, 3);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: zstd\r\n", frame, n), 200);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: identity\r\n", one_span, sizeof one_span), 200);
    cr_expect_eq(received(), 4);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: zstd\r\n", frame, n - 3), 400);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip\r\n", one_span, sizeof one_span), 400);
    for (size_t cut = 1; cut < z.size; cut++)
        cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip\r\n", z.data, cut), 400, "cut at %zu", cut);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: br\r\n", z.data, z.size), 415);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip, gzip\r\n", z.data, z.size), 415);
    cr_expect(ingest_has(&in, "content-type: " PROTO));
    cr_expect(ingest_has(&in, "accept-encoding: gzip,deflate,zstd,snappy,lz4"));
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "", z.data, z.size), 400, "gzip that is not declared");
    cr_expect_eq(received(), 4);
    sm_buf_fini(&z);
}

Test(otlp, bombs_are_413)
{
    size_t n = 65 << 20;
    uint8_t *zeros = calloc(1, n);
    cr_assert_not_null(zeros);
    struct sm_buf z = ingest_gzip(zeros, n);
    cr_expect_eq(ingest_post(&in, "/v1/traces", JSON, "Content-Encoding: gzip\r\n", z.data, z.size), 413);
    const char *body = ingest_body(&in, NULL);
    cr_expect(strstr(body, "{\"code\":8,") == body, "%s", body);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 1);
    cr_expect_eq(ingest_post_text(&in, "/v1/traces", JSON, GOOD_JSON), 200, "the connection goes on");
    sm_buf_fini(&z);
    free(zeros);
}

Test(otlp, bodies_over_the_limit_are_413_before_they_are_read)
{
    char head[256];
    uint64_t size = in.listener.http.body_bytes_max + 1;
    snprintf(head, sizeof head, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " PROTO "\r\nContent-Length: %llu\r\n\r\n",
             (unsigned long long)size);
    peer_send_text(in.client, head);
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 413 "));
}

Test(otlp, overload_is_429_with_retry_after_at_the_headers)
{
    ingest_overload(&in);
    peer_send_text(in.client, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " JSON "\r\nContent-Length: 1000\r\n\r\n");
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 429 "), "before the body is sent");
    cr_expect(peer_wait_text(in.client, "\r\nretry-after: 1\r\n"));
    cr_expect(peer_wait_text(in.client, "{\"code\":14,\"message\":\"overloaded, try again later\"}"));
    peer_disconnect(in.client);
    in.client = peer_connect(&in.peer);
    cr_expect_eq(post(PROTO, one_span, sizeof one_span), 429);
    static const char status[] = "\x08\x0e\x12\x1boverloaded, try again later\x1a\x30\x0a\x28type.googleapis.com/"
                                 "google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x01";
    expect_body(PROTO, status, sizeof status - 1);
    cr_expect(ingest_has(&in, "retry-after: 1"));
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 2);
    cr_expect_eq(received(), 0);
    sm_budget_publish(&in.rig.pipeline->budget, 0, 0);
    cr_expect_eq(post(PROTO, one_span, sizeof one_span), 200, "the connection goes on");
}

/* Above the hard mark HTTP/1 is not read, for a second at most; HTTP/2 is, and refuses at the headers at once. */
Test(otlp, full_memory_holds_senders_back)
{
    struct h2_peer *p = h2_connect(&in.peer);
    struct h2_stream *before = h2_request(p, "GET", "/x", NULL, NULL, 0, NULL, 0);
    cr_assert(h2_wait_closed(p, before));
    cr_assert_eq(post(PROTO, one_span, sizeof one_span), 200);
    ingest_fill(&in);
    int64_t begin_ns = sm_clock_mono_ns();
    while (sm_clock_mono_ns() - begin_ns < 250 * SM_MS)
        sm_loop_poll(in.peer.loop);
    in.client->in_len = 0;
    peer_send_text(in.client, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " JSON "\r\nContent-Length: 1000\r\n\r\n");
    struct h2_stream *refused =
        h2_grpc(p, EXPORT, "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(p, refused));
    cr_expect_str_eq(refused->grpc_status, "14");
    cr_expect_eq(in.client->in_len, 0, "held back");
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 429 "), "but not for good");
    cr_expect_gt(sm_clock_mono_ns() - begin_ns, 900 * SM_MS);
    ingest_relieve(&in);
    peer_disconnect(in.client);
    in.client = peer_connect(&in.peer);
    cr_expect_eq(post(PROTO, one_span, sizeof one_span), 200);
    h2_disconnect(p);
}

#ifndef SM_SANITIZED /* which want the address space for themselves */
/* Leaves the process 16 MiB more address space than it has; it inflates a body of 60. */
Test(otlp, want_of_memory_is_overload)
{
    size_t n = 60 << 20;
    char *blanks = malloc(n), statm[64];
    memset(blanks, ' ', n);
    struct sm_buf z = ingest_gzip(blanks, n);
    free(blanks);
    struct h2_peer *h2 = h2_connect(&in.peer);
    cr_expect_str_eq(call(h2, one_span, sizeof one_span, NULL, false)->grpc_status, "0");
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f && fgets(statm, sizeof statm, f));
    fclose(f);
    struct rlimit limit, before;
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = (struct rlimit){.rlim_cur = strtoull(statm, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + (16 << 20), .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip\r\n", z.data, z.size), 429);
    cr_expect(ingest_has(&in, "retry-after: 1"));
    struct h2_stream *st = call(h2, z.data, z.size, "gzip", true);
    setrlimit(RLIMIT_AS, &before);
    cr_expect_str_eq(st->grpc_status, "14");
    cr_expect_str_neq(st->grpc_details, "", "with RetryInfo");
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 2);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 0);
    cr_expect_eq(received(), 1);
    sm_buf_fini(&z);
    h2_disconnect(h2);
}
#endif

Test(otlp, many_small_requests_on_one_connection)
{
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(post(PROTO, one_span, sizeof one_span), 200);
    cr_expect_eq(received(), 1000);
    cr_expect_eq(atomic_load(&in.ops->counters(in.receiver)->connections), 1);
}

Test(otlp, pipelined_and_chunked_requests)
{
    struct sm_buf b = {0};
    for (unsigned i = 0; i < 50; i++) {
        sm_buf_printf(&b, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\n", i % 3 ? PROTO : JSON);
        if (i % 3 == 0) {
            sm_buf_printf(&b, "Content-Length: %zu\r\n\r\n%s", strlen(GOOD_JSON), GOOD_JSON);
            continue;
        }
        sm_buf_puts(&b, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < sizeof one_span; at += 20) {
            size_t n = SM_MIN(sizeof one_span - at, (size_t)20);
            sm_buf_printf(&b, "%zx\r\n", n);
            sm_buf_put(&b, one_span + at, n);
            sm_buf_puts(&b, "\r\n");
        }
        sm_buf_puts(&b, "0\r\n\r\n");
    }
    peer_send(in.client, b.data, b.size);
    cr_expect(peer_wait_times(in.client, "HTTP/1.1 200 OK", 50));
    cr_expect_eq(received(), 50);
    sm_buf_fini(&b);
}

Test(otlp, expect_100_continue)
{
    char head[256];
    snprintf(head, sizeof head, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " PROTO
             "\r\nExpect: 100-continue\r\nContent-Length: %zu\r\n\r\n", sizeof one_span);
    peer_send_text(in.client, head);
    cr_assert(peer_wait_text(in.client, "HTTP/1.1 100 Continue\r\n\r\n"));
    peer_send(in.client, one_span, sizeof one_span);
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 200 OK"));
    peer_disconnect(in.client);
    in.client = peer_connect(&in.peer);
    peer_send_text(in.client, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nExpect: 100-continue\r\n"
                              "Content-Length: 100\r\n\r\n");
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 415 "));
    cr_expect_eq(peer_times(in.client, "100 Continue"), 0);
}

Test(otlp, a_body_of_5000_spans)
{
    struct rig_span *spans = calloc(5000, sizeof *spans);
    for (unsigned i = 0; i < 5000; i++)
        spans[i] = (struct rig_span){.trace = 1 + i / 10, .id = i + 1, .parent = i % 10, .padding = 100};
    struct sm_buf b = {0};
    rig_request(&b, spans, 5000);
    cr_expect_eq(post(PROTO, b.data, b.size), 200);
    struct sm_buf z = ingest_gzip(b.data, b.size);
    cr_expect_eq(ingest_post(&in, "/v1/traces", PROTO, "Content-Encoding: gzip\r\n", z.data, z.size), 200);
    cr_expect_eq(received(), 10000);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_TRACES_OPENED), 500);
    sm_buf_fini(&b);
    sm_buf_fini(&z);
    free(spans);
}

Test(otlp, wrong_lengths)
{
    char text[512];
    snprintf(text, sizeof text, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " JSON "\r\nContent-Length: 2\r\n\r\n{}%s",
             "trailing rubbish\r\n\r\n");
    peer_send_text(in.client, text);
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 200 OK"));
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 400 Bad Request"), "what follows is no request");
    cr_expect(peer_wait_eof(in.client));
    peer_disconnect(in.client);
    in.client = peer_connect(&in.peer);
    peer_send_text(in.client, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " PROTO "\r\nContent-Length: 5000\r\n\r\n");
    peer_send(in.client, one_span, sizeof one_span);
    peer_disconnect(in.client);
    in.client = peer_connect(&in.peer);
    cr_expect_eq(post(PROTO, one_span, sizeof one_span), 200);
    peer_settle(in.client);
    cr_expect_eq(atomic_load(&in.ops->counters(in.receiver)->connections_broken), 1);
    cr_expect_eq(received(), 1, "of a body that was cut, nothing is taken");
    static const char *const lengths[] = {"-1", "1x", "18446744073709551616", "", "5, 6"};
    for (size_t i = 0; i < SM_ARRAY_LEN(lengths); i++) {
        peer_disconnect(in.client);
        in.client = peer_connect(&in.peer);
        snprintf(text, sizeof text, "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: " JSON "\r\nContent-Length: %s\r\n\r\n{}",
                 lengths[i]);
        peer_send_text(in.client, text);
        cr_expect(peer_wait_text(in.client, "HTTP/1.1 4"), "length %s: %s", lengths[i], in.client->in);
    }
}

/* --- gRPC --- */


Test(otlp, grpc_success_and_partial_success)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct h2_stream *st = call(h2, one_span, sizeof one_span, NULL, false);
    cr_expect_str_eq(st->grpc_status, "0");
    cr_expect(st->in_len == 5 && memcmp(st->in, "\0\0\0\0\0", 5) == 0);
    st = call(h2, "", 0, NULL, false);
    cr_expect_str_eq(st->grpc_status, "0");
    struct rig_span spans[] = {{.trace = 1, .id = 1}, {.trace = 1, .id = 0}};
    struct sm_buf b = {0};
    rig_request(&b, spans, 2);
    st = call(h2, b.data, b.size, NULL, false);
    cr_expect_str_eq(st->grpc_status, "0");
    cr_assert_gt(st->in_len, 12);
    cr_expect(st->in[5] == 0x0a && st->in[7] == 0x08 && st->in[8] == 1 && st->in[9] == 0x12);
    cr_expect_eq(received(), 3);
    sm_buf_fini(&b);
    h2_disconnect(h2);
}

Test(otlp, grpc_compression)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct sm_buf z = ingest_gzip(one_span, sizeof one_span);
    cr_expect_str_eq(call(h2, z.data, z.size, "gzip", true)->grpc_status, "0");
    cr_expect_str_eq(call(h2, one_span, sizeof one_span, "gzip", false)->grpc_status, "0", "the flag decides");
    cr_expect_str_eq(call(h2, one_span, sizeof one_span, "snappy", false)->grpc_status, "0");
    cr_expect_eq(received(), 3);
    cr_expect_str_eq(call(h2, z.data, z.size, "br", true)->grpc_status, "12");
    cr_expect_str_eq(call(h2, z.data, z.size, NULL, true)->grpc_status, "13", "compressed, but nobody says how");
    cr_expect_str_eq(call(h2, z.data, z.size, "identity", true)->grpc_status, "13");
    cr_expect_str_eq(call(h2, z.data, z.size - 1, "gzip", true)->grpc_status, "13", "the encoding is known, the data is not that");
    cr_expect_str_eq(call(h2, one_span, sizeof one_span, "gzip", true)->grpc_status, "13");
    cr_expect_eq(received(), 3);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 5);
    sm_buf_fini(&z);
    h2_disconnect(h2);
}

Test(otlp, grpc_errors)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct h2_stream *st = call(h2, one_span, sizeof one_span - 1, NULL, false);
    cr_expect_str_eq(st->grpc_status, "3");
    cr_expect(st->headers_ended_stream && st->grpc_message[0] && !st->grpc_details[0]);
    st = h2_grpc(h2, "/opentelemetry.proto.collector.trace.v1.TraceService/Nothing", "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "12");
    st = h2_grpc(h2, EXPORT, "\2\0\0\0\0", 5);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "13", "a flag that does not exist");
    st = h2_grpc(h2, EXPORT, "\0\0\0", 3);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "13", "ends in the prefix");
    st = h2_grpc(h2, EXPORT, "\0\0\0\0\0\0\0\0\0\0", 10);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "13", "two messages");
    st = h2_grpc(h2, EXPORT, "\0\xff\xff\xff\xff", 5);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->grpc_status, "8", "over the limit");
    cr_expect_str_eq(st->grpc_details, "", "without RetryInfo: for good");
    size_t n = 65 << 20;
    uint8_t *zeros = calloc(1, n);
    struct sm_buf z = ingest_gzip(zeros, n);
    st = call(h2, z.data, z.size, "gzip", true);
    cr_expect_str_eq(st->grpc_status, "8", "over the limit when inflated");
    cr_expect_str_eq(st->grpc_details, "");
    cr_expect_str_eq(call(h2, one_span, sizeof one_span, NULL, false)->grpc_status, "0", "the connection goes on");
    sm_buf_fini(&z);
    free(zeros);
    h2_disconnect(h2);
}

Test(otlp, grpc_overload_is_unavailable_with_retry_info)
{
    ingest_overload(&in);
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct h2_stream *st = call(h2, one_span, sizeof one_span, NULL, false);
    cr_expect_str_eq(st->grpc_status, "14");
    cr_expect_str_eq(st->grpc_message, "overloaded, try again later");
    static const char status[] = "\x08\x0e\x12\x1boverloaded, try again later\x1a\x30\x0a\x28type.googleapis.com/"
                                 "google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x01";
    char expected[256];
    size_t n = sm_grpc_base64_encode(sm_str(status, sizeof status - 1), expected);
    expected[n] = '\0';
    cr_expect_str_eq(st->grpc_details, expected);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 1);
    cr_expect_eq(received(), 0);
    h2_disconnect(h2);
}

Test(otlp, many_grpc_requests_side_by_side)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct sm_buf b = framed(one_span, sizeof one_span, false);
    for (unsigned i = 0; i < 500; i++)
        h2_grpc(h2, EXPORT, b.data, b.size);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert(h2_wait_closed(h2, &h2->streams[i]));
        cr_expect_str_eq(h2->streams[i].grpc_status, "0");
    }
    cr_expect_eq(received(), 500);
    sm_buf_fini(&b);
    h2_disconnect(h2);
}

Test(otlp, plain_http_over_http2)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct h2_stream *st = h2_request(h2, "POST", "/v1/traces", PROTO, NULL, 0, one_span, sizeof one_span);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->status, "200");
    cr_expect_str_eq(st->content_type, PROTO);
    st = h2_request(h2, "GET", "/v1/traces", NULL, NULL, 0, NULL, 0);
    cr_assert(h2_wait_closed(h2, st));
    cr_expect_str_eq(st->status, "405");
    cr_expect_eq(received(), 1);
    h2_disconnect(h2);
}
