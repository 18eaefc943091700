#include "ingest_rig.h"

#include "base/net/grpc.h"

#include <stdlib.h>

#define JSON "application/json"
#define SPANS "/api/v2/spans"
#define GOOD "{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\",\"name\":\"get\"}"
#define BAD "{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"0000000000000000\"}"

static struct ingest in;

static void open_zipkin(void)
{
    ingest_open(&in, &sm_receiver_zipkin);
}

static void close_zipkin(void)
{
    ingest_close(&in);
}

TestSuite(zipkin, .init = open_zipkin, .fini = close_zipkin);

static unsigned post(const char *type, const char *more, const char *text)
{
    return ingest_post(&in, SPANS, type, more, text, strlen(text));
}

static uint64_t received(void)
{
    return rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED);
}

static void expect_text(const char *text)
{
    size_t n;
    const char *body = ingest_body(&in, &n);
    cr_expect(ingest_has(&in, "content-type: text/plain"), "%s", in.client->in);
    cr_expect(strstr(body, text), "%s", body);
}

Test(zipkin, success_is_202_without_a_body)
{
    cr_expect_eq(post(JSON, "", "[" GOOD "]"), 202);
    cr_expect(ingest_has(&in, "content-length: 0"));
    cr_expect_eq(post(NULL, "", "[" GOOD "]"), 202, "the type may be absent");
    cr_expect_eq(post("application/json; charset=UTF-8", "", " [ " GOOD " ] \n"), 202);
    cr_expect_eq(received(), 3);
}

Test(zipkin, nothing_is_202)
{
    cr_expect_eq(post(JSON, "", ""), 202);
    cr_expect_eq(post(JSON, "", "[]"), 202);
    cr_expect_eq(post(JSON, "", "[ ]"), 202);
    struct sm_buf z = ingest_gzip("", 0);
    cr_expect_eq(ingest_post(&in, SPANS, JSON, "Content-Encoding: gzip\r\n", z.data, z.size), 202);
    cr_expect_eq(received(), 0);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 0);
    sm_buf_fini(&z);
}

Test(zipkin, what_cannot_be_decoded_is_400_with_a_text)
{
    static const char *const bodies[] = {"[" GOOD, "{}", "null", "[" GOOD "] x", "[" GOOD ",]", "\x0a\x02", "<html>", "[1]",
                                         "[" BAD "]"};
    for (size_t i = 0; i < SM_ARRAY_LEN(bodies); i++) {
        cr_expect_eq(post(JSON, "", bodies[i]), 400, "%s", bodies[i]);
        size_t n;
        const char *body = ingest_body(&in, &n);
        cr_expect(n > 1 && body[n - 1] == '\n' && ingest_has(&in, "content-type: text/plain"), "%s: %s", bodies[i], body);
    }
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_KEPT) + rig_stat(&in.rig, SM_STAT_TRACES_OPENED), 0);
}

Test(zipkin, one_malformed_span_refuses_the_list)
{
    cr_expect_eq(post(JSON, "", "[" GOOD "," BAD "]"), 400);
    expect_text("\n");
    cr_expect_eq(received(), 0);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 1);
}

Test(zipkin, spans_over_a_limit_do_not_stop_the_others)
{
    struct sm_buf b = {0};
    sm_buf_puts(&b, "[" GOOD ",{\"traceId\":\"1\",\"id\":\"2\",\"tags\":{\"long\":\"");
    for (unsigned i = 0; i < 70000; i++)
        sm_buf_putc(&b, 'x');
    sm_buf_puts(&b, "\"}}]");
    cr_expect_eq(ingest_post(&in, SPANS, JSON, "", b.data, b.size), 202);
    cr_expect_eq(received(), 2);
    cr_expect_eq(sm_pipeline_rejected(in.rig.pipeline, SM_REJECT_VALUE_SIZE), 1);
    sm_buf_fini(&b);
}

Test(zipkin, gzip)
{
    struct sm_buf z = ingest_gzip("[" GOOD "]", strlen("[" GOOD "]"));
    cr_expect_eq(ingest_post(&in, SPANS, JSON, "Content-Encoding: gzip\r\n", z.data, z.size), 202);
    cr_expect_eq(received(), 1);
    for (size_t cut = 1; cut < z.size; cut++)
        cr_expect_eq(ingest_post(&in, SPANS, JSON, "Content-Encoding: gzip\r\n", z.data, cut), 400, "cut at %zu", cut);
    cr_expect_eq(post(JSON, "Content-Encoding: gzip\r\n", "[" GOOD "]"), 400);
    cr_expect_eq(post(JSON, "Content-Encoding: br\r\n", "[" GOOD "]"), 415);
    size_t n = 65 << 20;
    char *blanks = malloc(n);
    memset(blanks, ' ', n);
    struct sm_buf bomb = ingest_gzip(blanks, n);
    cr_expect_eq(ingest_post(&in, SPANS, JSON, "Content-Encoding: gzip\r\n", bomb.data, bomb.size), 413);
    cr_expect_eq(received(), 1);
    sm_buf_fini(&z);
    sm_buf_fini(&bomb);
    free(blanks);
}

#define V1_SPANS "/api/v1/spans"
#define V1_GOOD                                                                                                        \
    "{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\",\"name\":\"get\",\"annotations\":["  \
    "{\"timestamp\":1,\"value\":\"sr\",\"endpoint\":{\"serviceName\":\"a\"}}]}"
static const char proto[] = "\x0a\x14\x0a\x08\1\2\3\4\5\6\7\x08\x1a\x08\1\2\3\4\5\6\7\x08";
static const char thrift[] = "\x0c\0\0\0\1\x0a\0\1\1\2\3\4\5\6\7\x08\x0a\0\4\1\2\3\4\5\6\7\x08";

/* The body tells what it is. Only JSON and protobuf of version 2 that are called JSON are not looked into. */
Test(zipkin, every_format_whatever_it_is_called)
{
    static const struct {
        const char *path, *type, *body;
        size_t size;
        unsigned status;
    } cases[] = {
        {SPANS, "application/x-protobuf", proto, sizeof proto - 1, 202},
        {SPANS, "application/x-protobuf; charset=x", proto, sizeof proto - 1, 202},
        {SPANS, NULL, proto, sizeof proto - 1, 202},
        {SPANS, "application/octet-stream", proto, sizeof proto - 1, 202},
        {SPANS, "application/x-protobuf", "[" GOOD "]", sizeof "[" GOOD "]" - 1, 202},
        {SPANS, "text/plain", "[" GOOD "]", sizeof "[" GOOD "]" - 1, 202},
        {SPANS, "application/x-protobuf", "\n[" GOOD "]", sizeof "\n[" GOOD "]" - 1, 202},
        {SPANS, "application/x-thrift", thrift, sizeof thrift, 202},
        {SPANS, JSON, proto, sizeof proto - 1, 400},
        {SPANS, JSON, "[" V1_GOOD ",{\"binaryAnnotations\":[]}]", sizeof "[" V1_GOOD ",{\"binaryAnnotations\":[]}]" - 1, 400},
        {V1_SPANS, "application/x-thrift", thrift, sizeof thrift, 202},
        {V1_SPANS, JSON, thrift, sizeof thrift, 202},
        {V1_SPANS, "application/x-thrift", "[" V1_GOOD "]", sizeof "[" V1_GOOD "]" - 1, 202},
        {V1_SPANS, JSON, "[" V1_GOOD "]", sizeof "[" V1_GOOD "]" - 1, 202},
        {V1_SPANS, NULL, " [ " V1_GOOD " ] ", sizeof " [ " V1_GOOD " ] " - 1, 202},
        {V1_SPANS, JSON, "[" GOOD "]", sizeof "[" GOOD "]" - 1, 202},
        {V1_SPANS, "application/x-protobuf", proto, sizeof proto - 1, 202},
        {V1_SPANS, JSON, "[{\"traceId\":\"1\",\"id\":\"1\",\"tags\":{}}]", sizeof "[{\"traceId\":\"1\",\"id\":\"1\",\"tags\":{}}]" - 1, 400},
        {V1_SPANS, "application/x-thrift", "\xff", 1, 400},
        {V1_SPANS, JSON, "", 0, 202},
        {V1_SPANS, JSON, "[]", 2, 202},
        {SPANS, "application/x-protobuf", "", 0, 202},
        {SPANS, "application/x-protobuf", proto, sizeof proto - 2, 400},
        {V1_SPANS, "application/x-thrift", thrift, sizeof thrift - 1, 400},
        {"/", JSON, "[]", 2, 404},
        {"/api/v3/spans", JSON, "[]", 2, 404},
    };
    uint64_t taken = 0;
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        unsigned status = ingest_post(&in, cases[i].path, cases[i].type, "", cases[i].body, cases[i].size);
        cr_expect_eq(status, cases[i].status, "case %zu: %u", i, status);
        taken += status == 202 && cases[i].size > 2;
        cr_expect_eq(received(), taken, "case %zu", i);
    }
}

Test(zipkin, texts_of_refusals)
{
    cr_expect_eq(ingest_post_text(&in, V1_SPANS, JSON, "[{\"traceId\":\"1\",\"id\":\"1\",\"tags\":{}}]"), 400);
    expect_text("Expected a JSON_V1 encoded list, but received: JSON_V2\n");
    cr_expect_eq(ingest_post_text(&in, SPANS, JSON, "[{\"traceId\":\"1\",\"id\":\"1\",\"binaryAnnotations\":[]}]"), 400);
    expect_text("Expected a JSON_V2 encoded list, but received: JSON_V1\n");
    cr_expect_eq(ingest_post_text(&in, SPANS, JSON, "\x0c"), 400);
    expect_text("Expected a JSON_V2 encoded list\n");
    cr_expect_eq(post(JSON, "Content-Encoding: gzip\r\n", "[" GOOD "]"), 400);
    expect_text("Cannot gunzip spans\n");
}

static struct h2_stream *report(struct h2_peer *h2, const char *path, const void *message, size_t n, const char *encoding)
{
    struct sm_buf b = {0};
    uint8_t prefix[SM_GRPC_PREFIX_BYTES];
    sm_grpc_prefix(prefix, encoding != NULL, (uint32_t)n);
    sm_buf_put(&b, prefix, sizeof prefix);
    if (n)
        sm_buf_put(&b, message, n);
    nghttp2_nv extra[2] = {h2_nv("te", "trailers")};
    if (encoding)
        extra[1] = h2_nv("grpc-encoding", encoding);
    struct h2_stream *st = h2_request(h2, "POST", path, "application/grpc", extra, encoding ? 2 : 1, b.data, b.size);
    cr_assert(h2_wait_closed(h2, st));
    sm_buf_fini(&b);
    return st;
}

#define REPORT "/zipkin.proto3.SpanService/Report"

Test(zipkin, grpc_report)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    struct h2_stream *st = report(h2, REPORT, proto, sizeof proto - 1, NULL);
    cr_expect_str_eq(st->grpc_status, "0");
    cr_expect(st->in_len == 5 && memcmp(st->in, "\0\0\0\0\0", 5) == 0, "an empty ReportResponse");
    cr_expect_str_eq(report(h2, REPORT, "", 0, NULL)->grpc_status, "0", "an empty list");
    struct sm_buf z = ingest_gzip(proto, sizeof proto - 1);
    cr_expect_str_eq(report(h2, REPORT, z.data, z.size, "gzip")->grpc_status, "0");
    cr_expect_eq(received(), 2);
    cr_expect_str_eq(report(h2, REPORT, z.data, z.size, "identity")->grpc_status, "13");
    cr_expect_str_eq(report(h2, REPORT, z.data, z.size - 1, "gzip")->grpc_status, "13");
    st = report(h2, REPORT, proto, sizeof proto - 2, NULL);
    cr_expect_str_eq(st->grpc_status, "3");
    cr_expect(strstr(st->grpc_message, "proto3"), "%s", st->grpc_message);
    cr_expect_str_eq(report(h2, "/zipkin.proto3.SpanService/Other", proto, sizeof proto - 1, NULL)->grpc_status, "12");
    cr_expect_eq(received(), 2);
    sm_buf_fini(&z);
    h2_disconnect(h2);
}

Test(zipkin, grpc_overload)
{
    struct h2_peer *h2 = h2_connect(&in.peer);
    ingest_overload(&in);
    struct h2_stream *st = report(h2, REPORT, proto, sizeof proto - 1, NULL);
    cr_expect_str_eq(st->grpc_status, "14");
    cr_expect_str_neq(st->grpc_details, "", "with RetryInfo");
    h2_disconnect(h2);
}

Test(zipkin, repaired_ids_are_counted)
{
    static const char reversed[] = "\x0a\x14\x0a\x08\1\2\3\4\5\6\7\x08\x1a\x08\x08\7\6\5\4\3\2\1";
    cr_expect_eq(ingest_post(&in, SPANS, "application/x-protobuf", "", reversed, sizeof reversed - 1), 202);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_REPAIRED), 1);
}

Test(zipkin, other_methods_are_405)
{
    cr_expect_eq(ingest_send(&in, "GET", SPANS, "", "", 0), 405);
    cr_expect(ingest_has(&in, "allow: POST"), "%s", in.client->in);
    cr_expect_eq(ingest_send(&in, "PUT", SPANS, "", "[]", 2), 405);
    cr_expect_eq(ingest_send(&in, "TRACE", SPANS, "", "", 0), 405);
    cr_expect_eq(ingest_send(&in, "GET", V1_SPANS, "", "", 0), 405);
    cr_expect_eq(ingest_send(&in, "GET", "/api/v2/services", "", "", 0), 404);
}

Test(zipkin, overload_is_503_with_retry_after)
{
    ingest_overload(&in);
    peer_send_text(in.client, "POST " SPANS " HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    cr_expect(peer_wait_text(in.client, "HTTP/1.1 503 "), "before the body is sent");
    cr_expect(peer_wait_text(in.client, "\r\nretry-after: 1\r\n"));
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 1);
}

/* Envoy: few spans a request, thousands of requests, one connection. */
Test(zipkin, many_small_requests_pipelined)
{
    struct sm_buf b = {0};
    for (unsigned i = 0; i < 1000; i++)
        sm_buf_printf(&b, "POST " SPANS " HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n[%s]", strlen("[" GOOD "]"), GOOD);
    peer_send(in.client, b.data, b.size);
    cr_expect(peer_wait_times(in.client, "HTTP/1.1 202 Accepted", 1000));
    cr_expect_eq(received(), 1000);
    sm_buf_fini(&b);
}

Test(zipkin, a_body_of_5000_spans)
{
    struct sm_buf b = {0};
    for (unsigned i = 0; i < 5000; i++)
        sm_buf_printf(&b, "%c{\"traceId\":\"%016x\",\"id\":\"%016x\",\"name\":\"n%u\",\"tags\":{\"a\":\"b\"}}", i ? ',' : '[',
                      i / 10 + 1, i + 1, i % 7);
    sm_buf_putc(&b, ']');
    cr_expect_eq(ingest_post(&in, SPANS, JSON, "", b.data, b.size), 202);
    cr_expect_eq(received(), 5000);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_TRACES_OPENED), 500);
    sm_buf_fini(&b);
}

static bool asked;

static bool query_headers(void *ctx SM_UNUSED, struct sm_http_exchange *x SM_UNUSED)
{
    return true;
}

static void query(void *ctx SM_UNUSED, struct sm_http_exchange *x)
{
    asked = true;
    sm_http_reply(x, 200, "application/json", SM_STR("[]"));
}

Test(zipkin_query, shares_the_port)
{
    static const struct sm_http_handler handler = {.on_headers = query_headers, .on_request = query};
    in.listener.fallback = &handler;
    open_zipkin();
    cr_expect_eq(ingest_send(&in, "GET", "/api/v2/services", "", "", 0), 200);
    cr_expect(asked);
    asked = false;
    cr_expect_eq(ingest_send(&in, "GET", SPANS "?serviceName=a", "", "", 0), 200, "the names of a service's spans");
    cr_expect(asked);
    asked = false;
    cr_expect_eq(ingest_send(&in, "DELETE", SPANS, "", "", 0), 405);
    cr_expect_not(asked);
    cr_expect_eq(post(JSON, "", "[" GOOD "]"), 202);
    cr_expect_eq(received(), 1);
    close_zipkin();
}
