/* Replies: status codes, ExportTraceServiceResponse, google.rpc.Status with RetryInfo, Retry-After. */
#include "sinks/otlp_reply.h"
#include "base/pb.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { GRPC_FRAME_HEADER = 5, DETAILS_MAX = 2048 };

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* --- messages ---------------------------------------------------------------------------------------------------- */

/* Moves to the next field with this number and wire type; false when there is none. *message keeps what is behind it. */
static bool next_field(struct sm_str *message, uint32_t number, enum sm_pb_wire wire, struct sm_pb_field *f)
{
    if (!message->len)
        return false;
    const uint8_t *p = (const uint8_t *)message->ptr, *end = sm_pb_end(p, message->len);
    while (sm_pb_next(&p, end, f)) {
        if (f->number == number && f->wire == wire) {
            *message = sm_str(p, (size_t)(end - p));
            return true;
        }
    }
    return false;
}

/* The content of the first field with this number, empty when it is absent. */
static struct sm_str bytes_field(struct sm_str message, uint32_t number)
{
    struct sm_pb_field f;
    return next_field(&message, number, SM_PB_BYTES, &f) ? sm_str(f.bytes, f.size) : (struct sm_str){NULL, 0};
}

static uint64_t varint_field(struct sm_str message, uint32_t number)
{
    struct sm_pb_field f;
    return next_field(&message, number, SM_PB_VARINT, &f) ? f.value : 0;
}

/* ExportTraceServiceResponse{partial_success = 1 {rejected_spans = 1, error_message = 2}}. */
static void read_partial_success(struct sm_str response, struct sm_otlp_outcome *o)
{
    struct sm_str partial = bytes_field(response, 1);
    int64_t rejected = (int64_t)varint_field(partial, 1);
    struct sm_str message = bytes_field(partial, 2);
    if (rejected > 0)
        o->rejected_spans = (uint64_t)rejected;
    if (rejected > 0 || message.len)
        snprintf(o->why, sizeof o->why, "partial success: %.*s", (int)SM_MIN(message.len, 200), message.ptr);
}

/* google.protobuf.Duration{seconds = 1, nanos = 2}; a negative one reads as 0, a huge one as the longest there is. */
static int64_t duration_ns(struct sm_str duration)
{
    int64_t seconds = (int64_t)varint_field(duration, 1), nanos = (int64_t)varint_field(duration, 2);
    if (seconds < 0 || nanos < 0 || nanos >= SM_SEC)
        return 0;
    return SM_MIN(seconds, INT64_MAX / SM_SEC - 1) * SM_SEC + nanos;
}

/* The RetryInfo{retry_delay = 1} among the details of a google.rpc.Status{code = 1, message = 2, details = 3 (Any)}; false
 * without one. */
static bool read_retry_info(struct sm_str status, int64_t *delay_ns)
{
    static const char name[] = "/google.rpc.RetryInfo";
    size_t n = sizeof name - 1;
    struct sm_pb_field f;
    while (next_field(&status, 3, SM_PB_BYTES, &f)) {
        struct sm_str any = sm_str(f.bytes, f.size), type = bytes_field(any, 1);
        if (type.len >= n && memcmp(type.ptr + type.len - n, name, n) == 0) {
            *delay_ns = duration_ns(bytes_field(bytes_field(any, 2), 1));
            return true;
        }
    }
    return false;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Stops at padding or anything else that is no digit. Returns the size; at most text.len * 3 / 4. */
static size_t base64_decode(struct sm_str text, uint8_t *out)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            break;
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    return size;
}

/* --- HTTP -------------------------------------------------------------------------------------------------------- */

/* Decimal digits only, fewer than would overflow. */
static bool parse_number(struct sm_str text, uint64_t *value)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *value = v;
    return true;
}

static int64_t retry_after_ns(struct sm_str text, int64_t now_ns)
{
    uint64_t seconds;
    char date[64];
    if (parse_number(text, &seconds))
        return (int64_t)SM_MIN(seconds, (uint64_t)(INT64_MAX / SM_SEC)) * SM_SEC;
    if (text.len == 0 || text.len >= sizeof date)
        return 0;
    memcpy(date, text.ptr, text.len);
    date[text.len] = '\0';
    time_t at = curl_getdate(date, NULL);
    if (at < 0 || at > INT64_MAX / SM_SEC || at * SM_SEC <= now_ns)
        return 0;
    return at * SM_SEC - now_ns;
}

static bool is_protobuf(const struct sm_http_client_reply *reply)
{
    static const char type[] = "application/x-protobuf";
    struct sm_str t = reply->headers[SM_HTTP_CLIENT_CONTENT_TYPE];
    return t.len >= sizeof type - 1 && strncasecmp(t.ptr, type, sizeof type - 1) == 0;
}

/* The message of the google.rpc.Status in the body, else the body's beginning when it is text. */
static void describe_http_failure(const struct sm_http_client_reply *reply, struct sm_otlp_outcome *o)
{
    struct sm_str message = is_protobuf(reply) ? bytes_field(reply->body, 2) : reply->body;
    snprintf(o->why, sizeof o->why, "HTTP %ld: %.*s", reply->status, (int)SM_MIN(message.len, 200), message.ptr);
}

static bool connection_failed(const struct sm_http_client_reply *reply, struct sm_otlp_outcome *o)
{
    if (!reply->failure)
        return false;
    o->result = SM_SINK_AGAIN;
    snprintf(o->why, sizeof o->why, "%.250s", reply->failure);
    return true;
}

void sm_otlp_reply_http(const struct sm_http_client_reply *reply, int64_t now_ns, struct sm_otlp_outcome *outcome)
{
    *outcome = (struct sm_otlp_outcome){.result = SM_SINK_OK};
    if (connection_failed(reply, outcome))
        return;
    if (reply->status >= 200 && reply->status < 300) {
        if (is_protobuf(reply))
            read_partial_success(reply->body, outcome);
        return;
    }
    describe_http_failure(reply, outcome);
    outcome->result = SM_SINK_REJECT;
    if (reply->status != 429 && (reply->status < 502 || reply->status > 504))
        return;
    outcome->result = SM_SINK_AGAIN;
    outcome->retry_after_ns = retry_after_ns(reply->headers[SM_HTTP_CLIENT_RETRY_AFTER], now_ns);
    if (!outcome->retry_after_ns && is_protobuf(reply))
        (void)read_retry_info(reply->body, &outcome->retry_after_ns);
}

/* --- gRPC -------------------------------------------------------------------------------------------------------- */

/* What an HTTP status means when a proxy or something else that is no gRPC server answers (gRPC's own table). */
static enum grpc_code code_of_http_status(long status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

static bool code_is_retryable(uint64_t code)
{
    switch (code) {
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static void refused_by_grpc(const struct sm_http_client_reply *reply, uint64_t code, struct sm_otlp_outcome *o)
{
    uint8_t details[DETAILS_MAX];
    struct sm_str encoded = reply->headers[SM_HTTP_CLIENT_GRPC_DETAILS], message = reply->headers[SM_HTTP_CLIENT_GRPC_MESSAGE];
    encoded.len = SM_MIN(encoded.len, sizeof details);
    struct sm_str status = sm_str(details, base64_decode(encoded, details));
    bool has_retry_info = read_retry_info(status, &o->retry_after_ns);
    bool again = code_is_retryable(code) || (code == GRPC_RESOURCE_EXHAUSTED && has_retry_info);
    o->result = again ? SM_SINK_AGAIN : SM_SINK_REJECT;
    snprintf(o->why, sizeof o->why, "gRPC status %llu: %.*s", (unsigned long long)code, (int)SM_MIN(message.len, 200),
             message.ptr);
}

/* One uncompressed message in its frame; anything else reads as an empty response. */
static struct sm_str unframed(struct sm_str body)
{
    if (body.len < GRPC_FRAME_HEADER || body.ptr[0] != 0)
        return (struct sm_str){NULL, 0};
    uint32_t size = sm_load_be32(body.ptr + 1);
    return size <= body.len - GRPC_FRAME_HEADER ? sm_str(body.ptr + GRPC_FRAME_HEADER, size) : (struct sm_str){NULL, 0};
}

void sm_otlp_reply_grpc(const struct sm_http_client_reply *reply, struct sm_otlp_outcome *outcome)
{
    *outcome = (struct sm_otlp_outcome){.result = SM_SINK_OK};
    uint64_t code;
    if (connection_failed(reply, outcome))
        return;
    bool said = parse_number(reply->headers[SM_HTTP_CLIENT_GRPC_STATUS], &code);
    if (!said && reply->status == 200) {
        outcome->result = reply->cut ? SM_SINK_REJECT : SM_SINK_AGAIN;
        snprintf(outcome->why, sizeof outcome->why, reply->cut ? "reply too long" : "the stream ended without a status");
        return;
    }
    if (!said)
        code = code_of_http_status(reply->status);
    if (code != GRPC_OK)
        refused_by_grpc(reply, code, outcome);
    else
        read_partial_success(unframed(reply->body), outcome);
}
