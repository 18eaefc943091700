/* Jaeger's collector over gRPC: jaeger.api_v2.CollectorService/PostSpans. The reply is an empty message; spans that break a limit
 * are refused and counted, and the request succeeds unless nothing of it was taken. */
#include "ingest/grpc_ingest.h"

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (!x->is_grpc) {
        sm_http_reply(x, 415, "text/plain", SM_STR("415 unsupported media type: gRPC is spoken here\n"));
        return false;
    }
    if (!sm_str_eq(x->path, SM_STR("/jaeger.api_v2.CollectorService/PostSpans"))) {
        sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, "only jaeger.api_v2.CollectorService/PostSpans is served here", 0);
        return false;
    }
    if (sm_worker_overloaded(r->worker)) {
        sm_worker_count_overload(r->worker);
        sm_grpc_ingest_fail(x, SM_GRPC_UNAVAILABLE, "overloaded, try again later", SM_SEC);
        return false;
    }
    return true;
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_submit result;
    if (!sm_grpc_ingest_submit(ctx, x, &sm_codec_jaeger_proto, &result))
        return;
    if (result.accepted || !result.rejected)
        sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), SM_STR(""));
    else
        sm_grpc_ingest_fail(x, SM_GRPC_INVALID_ARGUMENT, result.text, 0);
}

static struct sm_receiver *open(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request};
    return sm_http_ingest_open(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_jaeger_grpc = {
    .name = "jaeger_grpc",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_http_ingest_close,
    .counters = sm_http_ingest_counters,
};
