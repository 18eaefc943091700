/* Zipkin: POST /api/v2/spans and /api/v1/spans over HTTP, zipkin.proto3.SpanService/Report over gRPC, on one port.
 * Success is 202, the only status that Envoy's reporter does not count as a loss. Other paths belong to the query
 * API, which shares the port. Spec: zipkin-api zipkin2-api.yaml, zipkin-api.yaml, zipkin.proto. */
#include "ingest/grpc_ingest.h"

#define REPORT "/zipkin.proto3.SpanService/Report"

enum path { PATH_OTHER, PATH_V1, PATH_V2 };

static enum path path_of(const struct sm_http_exchange *x)
{
    if (sm_str_eq(x->path, SM_STR("/api/v2/spans")))
        return PATH_V2;
    return sm_str_eq(x->path, SM_STR("/api/v1/spans")) ? PATH_V1 : PATH_OTHER;
}

static bool is_spans(const struct sm_http_exchange *x)
{
    return path_of(x) != PATH_OTHER && sm_str_eq(x->method, SM_STR("POST"));
}

/* GET of version 2's path is a question for span names. */
static bool is_query(const struct sm_http_exchange *x)
{
    return path_of(x) == PATH_OTHER || sm_str_eq(x->method, SM_STR("OPTIONS")) ||
           (path_of(x) == PATH_V2 && (sm_str_eq(x->method, SM_STR("GET")) || sm_str_eq(x->method, SM_STR("HEAD"))));
}

/* Clients say little about the format, and not always the truth, so the body tells. But what is posted as version
 * 2's JSON must be that, as Zipkin has it: there a wrong type is a mistake in a reporter's set-up that its owner
 * wants to hear of. */
static const struct sm_codec *codec_for(const struct sm_http_exchange *x)
{
    if (path_of(x) == PATH_V1)
        return &sm_codec_zipkin_any_v1;
    return sm_http_ingest_type_is(x->known[SM_HTTP_CONTENT_TYPE], "application/json") ? &sm_codec_zipkin_json
                                                                                     : &sm_codec_zipkin_any_v2;
}

static void fail(struct sm_http_exchange *x, const struct sm_submit *r)
{
    char body[sizeof r->text + 1];
    int n = snprintf(body, sizeof body, "%s\n", r->text);
    uint16_t status = r->rc == SM_E_AGAIN ? 503 : r->rc == SM_E_LIMIT ? 413 : 400;
    char seconds[16];
    int m = snprintf(seconds, sizeof seconds, "%u", sm_http_ingest_retry_after_s(r));
    struct sm_http_header retry = {SM_STR("retry-after"), sm_str(seconds, (size_t)m)};
    struct sm_http_response response = {
        .status = status,
        .content_type = SM_STR("text/plain"),
        .headers = &retry,
        .headers_n = r->rc == SM_E_AGAIN ? 1 : 0,
        .body = sm_str(body, (size_t)SM_MIN(n, (int)sizeof body - 1)),
    };
    sm_http_respond(x, &response);
}

/* Some spans of a list may be refused, not all of them. */
static void settle(struct sm_submit *r)
{
    if (r->rc == SM_OK && r->rejected && !r->accepted)
        r->rc = SM_E_INVALID;
}

static bool refuse_overload(struct sm_receiver *r, struct sm_http_exchange *x)
{
    struct sm_submit result = {.rc = SM_E_AGAIN, .retry_after_ns = SM_SEC, .text = "overloaded, try again later"};
    if (!sm_worker_overloaded(r->worker))
        return false;
    sm_worker_count_overload(r->worker);
    if (x->is_grpc)
        sm_grpc_ingest_refuse(x, &result);
    else
        fail(x, &result);
    return true;
}

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    const struct sm_http_handler *fallback = r->listener->fallback;
    if (x->is_grpc) {
        if (!sm_str_eq(x->path, SM_STR(REPORT))) {
            sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, "only " REPORT " is served here", 0);
            return false;
        }
        return !refuse_overload(r, x);
    }
    if (fallback && is_query(x))
        return !fallback->on_headers || fallback->on_headers(r->listener->fallback_ctx, x);
    if (path_of(x) == PATH_OTHER) {
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: spans go to POST /api/v2/spans or /api/v1/spans\n"));
        return false;
    }
    if (!is_spans(x)) {
        sm_http_ingest_refuse_method(x);
        return false;
    }
    if (!sm_http_ingest_knows_coding(x)) {
        sm_http_ingest_refuse_coding(r, x);
        return false;
    }
    return !refuse_overload(r, x);
}

static void on_report(struct sm_receiver *r, struct sm_http_exchange *x)
{
    struct sm_submit result;
    if (!sm_grpc_ingest_submit(r, x, &sm_codec_zipkin_proto, &result))
        return;
    settle(&result);
    if (result.rc != SM_OK)
        sm_grpc_ingest_refuse(x, &result);
    else
        sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), SM_STR(""));
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (x->is_grpc) {
        on_report(r, x);
        return;
    }
    if (!is_spans(x)) {
        r->listener->fallback->on_request(r->listener->fallback_ctx, x);
        return;
    }
    if (sm_http_body(x).len == 0) { /* a reporter's check that somebody is here */
        sm_http_reply(x, 202, NULL, SM_STR(""));
        return;
    }
    struct sm_submit result;
    struct sm_str coding = x->known[SM_HTTP_CONTENT_ENCODING];
    bool decoded = sm_http_ingest_submit(r, x, coding, codec_for(x), &result);
    if (!decoded && sm_coding_from_name(coding) == SM_CODING_GZIP && result.rc == SM_E_INVALID)
        snprintf(result.text, sizeof result.text, "Cannot gunzip spans");
    settle(&result);
    if (result.rc == SM_OK)
        sm_http_reply(x, 202, NULL, SM_STR(""));
    else
        fail(x, &result);
}

static void on_abort(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (r->listener->fallback && r->listener->fallback->on_abort)
        r->listener->fallback->on_abort(r->listener->fallback_ctx, x);
}

static struct sm_receiver *open(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request,
                                                   .on_abort = on_abort};
    return sm_http_ingest_open(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_zipkin = {
    .name = "zipkin",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_http_ingest_close,
    .counters = sm_http_ingest_counters,
};
