/* OTLP over gRPC: unary calls of TraceService/Export on one HTTP/2 connection (prior knowledge, or TLS). */
#include "sinks/otlp.h"

static const char *const headers[] = {"Content-Type: application/grpc", "TE: trailers", NULL};

static void read_reply(const struct sm_http_client_reply *reply, int64_t now_ns SM_UNUSED, struct sm_otlp_outcome *outcome)
{
    sm_otlp_reply_grpc(reply, outcome);
}

static const struct sm_otlp_protocol protocol = {
    .default_path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    .path_allowed = false,
    .headers = headers,
    .compression_header = "grpc-encoding: %s",
    .version = SM_HTTP_CLIENT_VERSION_H2C,
    .framed = true,
    .read_reply = read_reply,
};

const struct sm_sink_ops sm_otlp_grpc_ops = {
    .type = "otlp_grpc",
    .thread = SM_SINK_THREAD_SHARED,
    .batch_spans_max = 2048,
    .batch_linger_ns = 200 * SM_MS,
    .in_flight_max = 4,
    .open = sm_otlp_sender_open,
    .write = sm_otlp_sender_write,
    .cancel = sm_otlp_sender_cancel,
    .close = sm_otlp_sender_close,
};

void *sm_otlp_grpc_new(const struct sm_otlp_options *options)
{
    return sm_otlp_sender_new(&protocol, options);
}
