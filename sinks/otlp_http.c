/* OTLP over HTTP: POST of protobuf, HTTP/1.1 with keep-alive or HTTP/2. */
#include "sinks/otlp.h"

static const char *const headers[] = {"Content-Type: application/x-protobuf", NULL};

static const struct sm_otlp_protocol protocol = {
    .default_path = "/v1/traces",
    .path_allowed = true,
    .headers = headers,
    .compression_header = "Content-Encoding: %s",
    .version = SM_HTTP_CLIENT_VERSION_1,
    .framed = false,
    .read_reply = sm_otlp_reply_http,
};

const struct sm_sink_ops sm_otlp_http_ops = {
    .type = "otlp_http",
    .thread = SM_SINK_THREAD_SHARED,
    .batch_spans_max = 2048,
    .batch_linger_ns = 200 * SM_MS,
    .in_flight_max = 4,
    .open = sm_otlp_sender_open,
    .write = sm_otlp_sender_write,
    .cancel = sm_otlp_sender_cancel,
    .close = sm_otlp_sender_close,
};

void *sm_otlp_http_new(const struct sm_otlp_options *options)
{
    return sm_otlp_sender_new(&protocol, options);
}
