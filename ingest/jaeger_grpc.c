/* Jaeger's collector over gRPC: jaeger.api_v2.CollectorService/PostSpans, and sampling rates. The reply to spans is an empty
 * message; those that break a limit are refused and counted, and the request succeeds unless nothing of it was taken. */
#include "ingest/sampling.h"

static bool is_sampling(const struct sm_http_exchange *x)
{
    return sm_str_eq(x->path, SM_STR(SM_SAMPLING_METHOD));
}

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    if (!x->is_grpc) {
        sm_http_reply(x, 415, "text/plain", SM_STR("415 unsupported media type: gRPC is spoken here\n"));
        return false;
    }
    if (is_sampling(x))
        return true;
    if (!sm_str_eq(x->path, SM_STR("/jaeger.api_v2.CollectorService/PostSpans"))) {
        sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, "only PostSpans and GetSamplingStrategy of jaeger.api_v2 are served here", 0);
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
    struct sm_receiver *r = ctx;
    struct sm_submit result;
    if (is_sampling(x)) {
        sm_sampling_reply_grpc(r->own, r, x);
        return;
    }
    if (!sm_grpc_ingest_submit(r, x, &sm_codec_jaeger_proto, &result))
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
    return sm_sampling_open_receiver(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_jaeger_grpc = {
    .name = "jaeger_grpc",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_sampling_close_receiver,
    .counters = sm_http_ingest_counters,
};
