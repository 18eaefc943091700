/* Zipkin over HTTP: POST /api/v2/spans. Success is 202, the only status that Envoy's reporter does not count as a loss. Other
 * paths belong to the query API, which shares the port. Spec: zipkin-api zipkin2-api.yaml. */
#include "ingest/http_ingest.h"

static bool is_spans_path(const struct sm_http_exchange *x)
{
    return sm_str_eq(x->path, SM_STR("/api/v2/spans"));
}

static bool is_spans(const struct sm_http_exchange *x)
{
    return is_spans_path(x) && sm_str_eq(x->method, SM_STR("POST"));
}

/* GET of the same path is a question for span names. */
static bool is_query(const struct sm_http_exchange *x)
{
    return !is_spans_path(x) || sm_str_eq(x->method, SM_STR("GET")) || sm_str_eq(x->method, SM_STR("HEAD")) ||
           sm_str_eq(x->method, SM_STR("OPTIONS"));
}

static bool is_json(const struct sm_http_exchange *x)
{
    struct sm_str type = x->known[SM_HTTP_CONTENT_TYPE];
    return !sm_http_ingest_type_is(type, "application/x-protobuf") && !sm_http_ingest_type_is(type, "application/x-thrift");
}

static void fail(struct sm_http_exchange *x, const struct sm_submit *r)
{
    char body[sizeof r->text + 1];
    int n = snprintf(body, sizeof body, "%s\n", r->text);
    uint16_t status = r->rc == SM_E_AGAIN ? 503 : r->rc == SM_E_LIMIT ? 413 : r->rc == SM_E_UNSUPPORTED ? 415 : 400;
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

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    const struct sm_http_handler *fallback = r->listener->fallback;
    if (fallback && is_query(x))
        return !fallback->on_headers || fallback->on_headers(r->listener->fallback_ctx, x);
    if (!is_spans_path(x)) {
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: spans go to POST /api/v2/spans\n"));
        return false;
    }
    if (!is_spans(x)) {
        sm_http_ingest_refuse_method(x);
        return false;
    }
    if (!is_json(x)) {
        sm_http_reply(x, 415, "text/plain", SM_STR("415 unsupported media type, supported: [application/json]\n"));
        return false;
    }
    if (sm_worker_overloaded(r->worker)) {
        sm_worker_count_overload(r->worker);
        fail(x, &(struct sm_submit){.rc = SM_E_AGAIN, .retry_after_ns = SM_SEC, .text = "overloaded, try again later"});
        return false;
    }
    return true;
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (!is_spans(x)) {
        r->listener->fallback->on_request(r->listener->fallback_ctx, x);
        return;
    }
    if (sm_http_body(x).len == 0) { /* a reporter's check that somebody is here */
        sm_http_reply(x, 202, NULL, SM_STR(""));
        return;
    }
    struct sm_submit result;
    sm_http_ingest_submit(r, x, x->known[SM_HTTP_CONTENT_ENCODING], &sm_codec_zipkin_json, &result);
    if (result.rc == SM_OK && (result.accepted || !result.rejected))
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
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request, .on_abort = on_abort};
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
