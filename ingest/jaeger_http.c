/* Jaeger's collector over HTTP: POST /api/traces with one thrift Batch in the binary protocol. Success is 202; everything that is
 * wrong with the request, its content type included, is 400; a span that could not be queued is 500. */
#include "ingest/http_ingest.h"

static bool is_traces_path(const struct sm_http_exchange *x)
{
    return sm_str_eq(x->path, SM_STR("/api/traces"));
}

static bool is_thrift(struct sm_str type)
{
    return sm_http_ingest_type_is(type, "application/x-thrift") ||
           sm_http_ingest_type_is(type, "application/vnd.apache.thrift.binary");
}

static void fail(struct sm_http_exchange *x, const struct sm_submit *r)
{
    char body[sizeof r->text + 1];
    int n = snprintf(body, sizeof body, "%s\n", r->text);
    char seconds[16];
    int m = snprintf(seconds, sizeof seconds, "%u", sm_http_ingest_retry_after_s(r));
    struct sm_http_header retry = {SM_STR("retry-after"), sm_str(seconds, (size_t)m)};
    struct sm_http_response response = {
        .status = r->rc == SM_E_AGAIN ? 500 : r->rc == SM_E_LIMIT ? 413 : 400,
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
    struct sm_str type = x->known[SM_HTTP_CONTENT_TYPE];
    if (!is_traces_path(x)) {
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: spans go to POST /api/traces\n"));
        return false;
    }
    if (!sm_str_eq(x->method, SM_STR("POST"))) {
        sm_http_ingest_refuse_method(x);
        return false;
    }
    if (!is_thrift(type)) {
        sm_http_reply(x, 400, "text/plain",
                      type.len ? SM_STR("Unsupported content type, supported: [application/x-thrift, "
                                        "application/vnd.apache.thrift.binary]\n")
                               : SM_STR("Cannot parse content type: there is none\n"));
        return false;
    }
    if (!sm_http_ingest_knows_coding(x)) {
        sm_http_ingest_refuse_coding(r, x);
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
    struct sm_submit result;
    sm_http_ingest_submit(ctx, x, x->known[SM_HTTP_CONTENT_ENCODING], &sm_codec_jaeger_batch, &result);
    if (result.rc == SM_OK && (result.accepted || !result.rejected))
        sm_http_reply(x, 202, NULL, SM_STR(""));
    else
        fail(x, &result);
}

static struct sm_receiver *open(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request};
    return sm_http_ingest_open(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_jaeger_http = {
    .name = "jaeger_http",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_http_ingest_close,
    .counters = sm_http_ingest_counters,
};
