#include "base/pb.h"
#include "sinks/otlp_reply.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NOW (INT64_C(1700000000) * SM_SEC) /* Tue, 14 Nov 2023 22:13:20 GMT */

static struct sm_str c(const char *s)
{
    return sm_str_c(s);
}

/* ExportTraceServiceResponse with a partial success. */
static size_t partial_success(uint8_t *out, int64_t rejected, const char *message)
{
    uint8_t partial[256];
    uint8_t *p = sm_pb_put_uint(partial, 1, (uint64_t)rejected);
    p = sm_pb_put_bytes(p, 2, message, strlen(message));
    return (size_t)(sm_pb_put_bytes(out, 1, partial, (size_t)(p - partial)) - out);
}

/* google.rpc.Status with another detail and a RetryInfo. */
static size_t status_with_retry(uint8_t *out, int64_t seconds, int64_t nanos)
{
    uint8_t duration[32], info[64], any[256];
    uint8_t *d = sm_pb_put_uint(duration, 1, (uint64_t)seconds);
    d = sm_pb_put_uint(d, 2, (uint64_t)nanos);
    uint8_t *i = sm_pb_put_bytes(info, 1, duration, (size_t)(d - duration));
    uint8_t *p = sm_pb_put_uint(out, 1, 14);
    p = sm_pb_put_bytes(p, 2, "overloaded", 10);
    uint8_t *a = sm_pb_put_bytes(any, 1, "type.googleapis.com/google.rpc.DebugInfo", 40);
    p = sm_pb_put_bytes(p, 3, any, (size_t)(a - any));
    a = sm_pb_put_bytes(any, 1, "type.googleapis.com/google.rpc.RetryInfo", 40);
    a = sm_pb_put_bytes(a, 2, info, (size_t)(i - info));
    return (size_t)(sm_pb_put_bytes(p, 3, any, (size_t)(a - any)) - out);
}

static size_t base64(const uint8_t *bytes, size_t n, bool padded, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < n ? bytes[i + 1] : 0u) << 8 | (i + 2 < n ? bytes[i + 2] : 0u);
        for (unsigned k = 0; k < 4; k++) {
            if (i + k <= n)
                out[size++] = digits[v >> (18 - 6 * k) & 63];
            else if (padded)
                out[size++] = '=';
        }
    }
    return size;
}

Test(otlp_reply, http_statuses)
{
    static const struct {
        long status;
        const char *retry_after;
        enum sm_sink_result result;
        int64_t retry_after_ns;
    } cases[] = {
        {200, "", SM_SINK_OK, 0},
        {202, "", SM_SINK_OK, 0},
        {301, "", SM_SINK_REJECT, 0},
        {400, "5", SM_SINK_REJECT, 0},
        {401, "", SM_SINK_REJECT, 0},
        {404, "", SM_SINK_REJECT, 0},
        {413, "", SM_SINK_REJECT, 0},
        {429, "", SM_SINK_AGAIN, 0},
        {429, "7", SM_SINK_AGAIN, 7 * SM_SEC},
        {429, "-7", SM_SINK_AGAIN, 0},
        {429, "soon", SM_SINK_AGAIN, 0},
        {429, "999999999999999999", SM_SINK_AGAIN, INT64_MAX / SM_SEC * SM_SEC},
        {429, "9999999999999999999999", SM_SINK_AGAIN, 0},
        {500, "", SM_SINK_REJECT, 0},
        {501, "", SM_SINK_REJECT, 0},
        {502, "", SM_SINK_AGAIN, 0},
        {503, "Tue, 14 Nov 2023 22:14:20 GMT", SM_SINK_AGAIN, 60 * SM_SEC},
        {503, "Tue, 14 Nov 2023 22:12:20 GMT", SM_SINK_AGAIN, 0},
        {504, "", SM_SINK_AGAIN, 0},
        {505, "", SM_SINK_REJECT, 0},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_http_client_reply reply = {.status = cases[i].status};
        struct sm_otlp_outcome o;
        reply.headers[SM_HTTP_CLIENT_RETRY_AFTER] = c(cases[i].retry_after);
        sm_otlp_reply_http(&reply, NOW, &o);
        cr_assert_eq(o.result, cases[i].result, "case %zu", i);
        cr_assert_eq(o.retry_after_ns, cases[i].retry_after_ns, "case %zu: %ld", i, o.retry_after_ns);
        cr_assert_eq(o.why[0] != '\0', cases[i].result != SM_SINK_OK);
    }
}

Test(otlp_reply, a_failed_connection_is_tried_again)
{
    struct sm_http_client_reply reply = {.failure = "connection refused"};
    struct sm_otlp_outcome o;
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.result, SM_SINK_AGAIN);
    sm_otlp_reply_grpc(&reply, &o);
    cr_assert_eq(o.result, SM_SINK_AGAIN);
    cr_assert_str_eq(o.why, "connection refused");
}

Test(otlp_reply, partial_success_over_http)
{
    uint8_t body[512];
    struct sm_http_client_reply reply = {.status = 200};
    struct sm_otlp_outcome o;
    reply.body = sm_str(body, partial_success(body, 3, "too old"));
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.rejected_spans, 0, "the body is not protobuf");
    reply.headers[SM_HTTP_CLIENT_CONTENT_TYPE] = c("Application/x-protobuf; v=1");
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.result, SM_SINK_OK);
    cr_assert_eq(o.rejected_spans, 3);
    cr_assert_str_eq(o.why, "partial success: too old");
    reply.body.len--;
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.rejected_spans, 0, "cut short");
    reply.body = sm_str(body, partial_success(body, -3, ""));
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.rejected_spans, 0, "a negative number is nonsense");
    reply.body = sm_str(body, partial_success(body, 0, "only a warning"));
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.result, SM_SINK_OK);
    cr_assert_str_eq(o.why, "partial success: only a warning");
}

Test(otlp_reply, http_status_message_with_retry_info)
{
    uint8_t body[512];
    struct sm_http_client_reply reply = {.status = 503};
    struct sm_otlp_outcome o;
    reply.headers[SM_HTTP_CLIENT_CONTENT_TYPE] = c("application/x-protobuf");
    reply.body = sm_str(body, status_with_retry(body, 2, 500000000));
    sm_otlp_reply_http(&reply, NOW, &o);
    cr_assert_eq(o.result, SM_SINK_AGAIN);
    cr_assert_eq(o.retry_after_ns, 2500 * SM_MS);
    cr_assert_str_eq(o.why, "HTTP 503: overloaded");
}

Test(otlp_reply, grpc_codes)
{
    static const enum sm_sink_result expected[] = {
        [0] = SM_SINK_OK,     [1] = SM_SINK_AGAIN,   [2] = SM_SINK_REJECT,  [3] = SM_SINK_REJECT, [4] = SM_SINK_AGAIN,
        [5] = SM_SINK_REJECT, [6] = SM_SINK_REJECT,  [7] = SM_SINK_REJECT,  [8] = SM_SINK_REJECT, [9] = SM_SINK_REJECT,
        [10] = SM_SINK_AGAIN, [11] = SM_SINK_AGAIN,  [12] = SM_SINK_REJECT, [13] = SM_SINK_REJECT, [14] = SM_SINK_AGAIN,
        [15] = SM_SINK_AGAIN, [16] = SM_SINK_REJECT, [17] = SM_SINK_REJECT};
    for (unsigned code = 0; code < SM_ARRAY_LEN(expected); code++) {
        char text[8];
        struct sm_http_client_reply reply = {.status = 200};
        struct sm_otlp_outcome o;
        snprintf(text, sizeof text, "%u", code);
        reply.headers[SM_HTTP_CLIENT_GRPC_STATUS] = c(text);
        sm_otlp_reply_grpc(&reply, &o);
        cr_assert_eq(o.result, expected[code], "code %u", code);
    }
}

Test(otlp_reply, grpc_retry_info)
{
    uint8_t details[512];
    char text[1024];
    for (int padded = 0; padded < 2; padded++) {
        for (int code = 8; code <= 14; code += 6) {
            struct sm_http_client_reply reply = {.status = 200};
            struct sm_otlp_outcome o;
            size_t n = status_with_retry(details, 30, 1);
            reply.headers[SM_HTTP_CLIENT_GRPC_STATUS] = c(code == 8 ? "8" : "14");
            reply.headers[SM_HTTP_CLIENT_GRPC_MESSAGE] = c("busy");
            reply.headers[SM_HTTP_CLIENT_GRPC_DETAILS] = sm_str(text, base64(details, n, padded, text));
            sm_otlp_reply_grpc(&reply, &o);
            cr_assert_eq(o.result, SM_SINK_AGAIN);
            cr_assert_eq(o.retry_after_ns, 30 * SM_SEC + 1);
        }
    }
}

Test(otlp_reply, malformed_details_read_as_absent)
{
    static const char *const details[] = {"", "!!!!", "AAAA", "//////////////", "CAESGg"};
    for (size_t i = 0; i < SM_ARRAY_LEN(details); i++) {
        struct sm_http_client_reply reply = {.status = 200};
        struct sm_otlp_outcome o;
        reply.headers[SM_HTTP_CLIENT_GRPC_STATUS] = c("8");
        reply.headers[SM_HTTP_CLIENT_GRPC_DETAILS] = c(details[i]);
        sm_otlp_reply_grpc(&reply, &o);
        cr_assert_eq(o.result, SM_SINK_REJECT);
        cr_assert_eq(o.retry_after_ns, 0);
    }
}

Test(otlp_reply, negative_and_huge_delays)
{
    static const struct {
        int64_t seconds, nanos, expected;
    } cases[] = {{-1, 0, 0}, {1, -1, 0}, {1, 2 * SM_SEC, 0}, {INT64_MAX, 5, (INT64_MAX / SM_SEC - 1) * SM_SEC + 5}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        uint8_t details[512];
        char text[1024];
        struct sm_http_client_reply reply = {.status = 200};
        struct sm_otlp_outcome o;
        size_t n = status_with_retry(details, cases[i].seconds, cases[i].nanos);
        reply.headers[SM_HTTP_CLIENT_GRPC_STATUS] = c("14");
        reply.headers[SM_HTTP_CLIENT_GRPC_DETAILS] = sm_str(text, base64(details, n, false, text));
        sm_otlp_reply_grpc(&reply, &o);
        cr_assert_eq(o.retry_after_ns, cases[i].expected);
    }
}

Test(otlp_reply, grpc_partial_success_and_broken_frames)
{
    uint8_t body[512];
    struct sm_http_client_reply reply = {.status = 200};
    struct sm_otlp_outcome o;
    reply.headers[SM_HTTP_CLIENT_GRPC_STATUS] = c("0");
    size_t n = partial_success(body + 5, 9, "x");
    body[0] = 0;
    sm_store_be32(body + 1, (uint32_t)n);
    reply.body = sm_str(body, n + 5);
    sm_otlp_reply_grpc(&reply, &o);
    cr_assert_eq(o.rejected_spans, 9);
    sm_store_be32(body + 1, UINT32_MAX);
    sm_otlp_reply_grpc(&reply, &o);
    cr_assert_eq(o.rejected_spans, 0);
    cr_assert_eq(o.result, SM_SINK_OK);
    reply.body.len = 3;
    sm_otlp_reply_grpc(&reply, &o);
    cr_assert_eq(o.rejected_spans, 0);
}

Test(otlp_reply, http_statuses_without_a_grpc_status)
{
    static const struct {
        long status;
        enum sm_sink_result result;
    } cases[] = {{200, SM_SINK_AGAIN}, {400, SM_SINK_REJECT}, {401, SM_SINK_REJECT}, {404, SM_SINK_REJECT},
                 {429, SM_SINK_AGAIN}, {500, SM_SINK_REJECT}, {502, SM_SINK_AGAIN},  {503, SM_SINK_AGAIN}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_http_client_reply reply = {.status = cases[i].status};
        struct sm_otlp_outcome o;
        sm_otlp_reply_grpc(&reply, &o);
        cr_assert_eq(o.result, cases[i].result, "HTTP %ld", cases[i].status);
    }
    struct sm_http_client_reply cut = {.status = 200, .cut = true};
    struct sm_otlp_outcome o;
    sm_otlp_reply_grpc(&cut, &o);
    cr_assert_eq(o.result, SM_SINK_REJECT, "the same reply would come again");
}
