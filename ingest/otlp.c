/* OTLP over gRPC (TraceService/Export) and HTTP (POST /v1/traces), protobuf and JSON. Both on any port.
 * Spec: opentelemetry-proto docs/specification.md. */
#include "base/log.h"
#include "ingest/grpc_ingest.h"
#include "ingest/rpc_status.h"

enum form { FORM_NONE, FORM_PROTO, FORM_JSON };

static enum form form_of(const struct sm_http_exchange *x)
{
    struct sm_str type = x->known[SM_HTTP_CONTENT_TYPE];
    if (sm_http_ingest_type_is(type, "application/x-protobuf"))
        return FORM_PROTO;
    return sm_http_ingest_type_is(type, "application/json") ? FORM_JSON : FORM_NONE;
}

/* An error over HTTP: google.rpc.Status in the request's encoding. */
static void fail_http(struct sm_http_exchange *x, uint16_t status, enum sm_grpc_status code, const char *text,
                      unsigned retry_after_s)
{
    char body[SM_RPC_STATUS_SIZE_MAX];
    bool json = form_of(x) == FORM_JSON;
    size_t size = json ? sm_rpc_status_json(body, code, text)
                       : sm_rpc_status_proto((uint8_t *)body, code, text, (int64_t)retry_after_s * SM_SEC);
    char seconds[16];
    int n = snprintf(seconds, sizeof seconds, "%u", retry_after_s);
    struct sm_http_header retry = {SM_STR("retry-after"), sm_str(seconds, (size_t)n)};
    struct sm_http_header accept = {SM_STR("accept-encoding"), SM_STR(SM_CODINGS_TAKEN)};
    struct sm_http_response response = {
        .status = status,
        .content_type = json ? SM_STR("application/json") : SM_STR("application/x-protobuf"),
        .headers = status == 415 ? &accept : &retry,
        .headers_n = retry_after_s || status == 415 ? 1 : 0,
        .body = sm_str(body, size),
    };
    sm_http_respond(x, &response);
}

static void reply_http(struct sm_http_exchange *x, const struct sm_submit *r)
{
    switch (r->rc) {
    case SM_OK:
        break;
    case SM_E_AGAIN:
        fail_http(x, 429, SM_GRPC_UNAVAILABLE, r->text, sm_http_ingest_retry_after_s(r));
        return;
    case SM_E_LIMIT:
        fail_http(x, 413, SM_GRPC_RESOURCE_EXHAUSTED, r->text, 0);
        return;
    default:
        fail_http(x, 400, SM_GRPC_INVALID_ARGUMENT, r->text, 0);
        return;
    }
    char body[SM_RPC_STATUS_SIZE_MAX];
    if (form_of(x) == FORM_JSON)
        sm_http_reply(x, 200, "application/json", sm_str(body, sm_rpc_export_json(body, r->rejected, r->text)));
    else
        sm_http_reply(x, 200, "application/x-protobuf",
                      sm_str(body, sm_rpc_export_proto((uint8_t *)body, r->rejected, r->text)));
}

static bool path_is(const struct sm_http_exchange *x, const char *path)
{
    return sm_str_eq(x->path, sm_str_c(path));
}

static void overloaded(struct sm_http_exchange *x)
{
    struct sm_submit r = {.rc = SM_E_AGAIN, .retry_after_ns = SM_SEC, .text = "overloaded, try again later"};
    if (x->is_grpc)
        sm_grpc_ingest_refuse(x, &r);
    else
        reply_http(x, &r);
}

/* SDKs and collectors often send every signal to one address: said once, then only counted. */
static void note_other_signal(struct sm_receiver *r, const struct sm_http_exchange *x)
{
    static const char *const paths[] = {
        "/v1/metrics",
        "/v1/logs",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    };
    static atomic_flag said = ATOMIC_FLAG_INIT;
    for (size_t i = 0; i < SM_ARRAY_LEN(paths); i++) {
        if (!path_is(x, paths[i]))
            continue;
        sm_worker_count_not_traces(r->worker);
        if (!atomic_flag_test_and_set(&said))
            sm_log(SM_LOG_WARN, "not_traces", sm_kv("path", x->path),
                   sm_kv("hint", "only traces are taken; send metrics and logs elsewhere"));
    }
}

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (x->is_grpc) {
        if (!path_is(x, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")) {
            note_other_signal(r, x);
            sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, "only traces are accepted here", 0);
            return false;
        }
    } else if (!path_is(x, "/v1/traces")) {
        note_other_signal(r, x);
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: traces go to /v1/traces\n"));
        return false;
    } else if (!sm_str_eq(x->method, SM_STR("POST"))) {
        sm_http_ingest_refuse_method(x);
        return false;
    } else if (form_of(x) == FORM_NONE) {
        sm_http_reply(x, 415, "text/plain",
                      SM_STR("415 unsupported media type, supported: [application/json, application/x-protobuf]\n"));
        return false;
    } else if (!sm_http_ingest_knows_coding(x)) {
        sm_worker_count_undecodable(r->worker);
        fail_http(x, 415, SM_GRPC_INVALID_ARGUMENT, SM_HTTP_INGEST_CODING_TEXT, 0);
        return false;
    }
    if (sm_worker_overloaded(r->worker)) {
        sm_worker_count_overload(r->worker);
        overloaded(x);
        return false;
    }
    return true;
}

static void on_grpc_request(struct sm_receiver *r, struct sm_http_exchange *x)
{
    uint8_t message[SM_RPC_STATUS_SIZE_MAX];
    struct sm_submit result;
    if (!sm_grpc_ingest_submit(r, x, &sm_codec_otlp_proto, &result))
        return;
    size_t size = sm_rpc_export_proto(message, result.rejected, result.text);
    sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), sm_str(message, size));
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    struct sm_submit result;
    if (x->is_grpc) {
        on_grpc_request(r, x);
        return;
    }
    const struct sm_codec *codec = form_of(x) == FORM_JSON ? &sm_codec_otlp_json : &sm_codec_otlp_proto;
    sm_http_ingest_submit(r, x, x->known[SM_HTTP_CONTENT_ENCODING], codec, &result);
    reply_http(x, &result);
}

static struct sm_receiver *open(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request};
    return sm_http_ingest_open(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_otlp = {
    .name = "otlp",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_http_ingest_close,
    .counters = sm_http_ingest_counters,
};
