#include "ingest_rig.h"

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

Test(zipkin, formats_that_are_not_spoken_are_415)
{
    cr_expect_eq(post("application/x-protobuf", "", "\x0a\x00"), 415);
    expect_text("application/json");
    cr_expect_eq(post("application/x-thrift", "", "\x0c"), 415);
    cr_expect_eq(ingest_post(&in, "/api/v1/spans", JSON, "", "[]", 2), 404);
    cr_expect_eq(ingest_post(&in, "/", JSON, "", "[]", 2), 404);
    cr_expect_eq(post("text/plain", "", "[" GOOD "]"), 202, "a list of spans is one, whatever the client calls it");
    cr_expect_eq(received(), 1);
}

Test(zipkin, other_methods_are_405)
{
    cr_expect_eq(ingest_send(&in, "GET", SPANS, "", "", 0), 405);
    cr_expect(ingest_has(&in, "allow: POST"), "%s", in.client->in);
    cr_expect_eq(ingest_send(&in, "PUT", SPANS, "", "[]", 2), 405);
    cr_expect_eq(ingest_send(&in, "TRACE", SPANS, "", "", 0), 405);
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
