/* Making sinks from the configuration. */
#include "app/sinks_config.h"

#include "sinks/otlp.h"

#include <stdlib.h>

/* "Name: value" for each header, NULL-terminated. */
static char **header_lines(const struct sm_config_headers *headers)
{
    char **lines = sm_xcalloc(headers->n + 1, sizeof *lines);
    for (size_t i = 0; i < headers->n; i++) {
        const struct sm_config_header *h = &headers->items[i];
        struct sm_str value = sm_secret_reveal(&h->value);
        struct sm_buf line = {0};
        sm_buf_puts(&line, h->name);
        sm_buf_puts(&line, ": ");
        sm_buf_put_str(&line, value);
        lines[i] = sm_xstrndup((const char *)line.data, line.size);
        explicit_bzero(line.data, line.size);
        sm_buf_fini(&line);
    }
    return lines;
}

static void header_lines_free(char **lines)
{
    for (char **line = lines; *line; line++) {
        explicit_bzero(*line, strlen(*line));
        free(*line);
    }
    free(lines);
}

static void *make_otlp(const struct sm_config_sink *c, void *(*make)(const struct sm_otlp_options *options))
{
    char **headers = header_lines(&c->headers);
    struct sm_otlp_options options = {
        .endpoint = c->endpoint,
        .headers = (const char *const *)headers,
        .compression = c->compression,
        .timeout_ns = c->timeout_ns,
        .peer_spanmill = c->spanmill,
        .http2 = c->http2,
        .ca_file = c->tls.ca,
        .cert_file = c->tls.cert,
        .key_file = c->tls.key,
        .insecure = c->tls.insecure,
    };
    void *sink = make(&options);
    header_lines_free(headers);
    return sink;
}

static void *make_otlp_grpc(const struct sm_config_sink *c)
{
    return make_otlp(c, sm_otlp_grpc_new);
}

static void *make_otlp_http(const struct sm_config_sink *c)
{
    return make_otlp(c, sm_otlp_http_new);
}

/* Every type of sink: one row each. */
static const struct {
    const struct sm_sink_ops *ops;
    void *(*make)(const struct sm_config_sink *c);
} types[] = {
    [SM_CONFIG_SINK_OTLP_GRPC] = {&sm_otlp_grpc_ops, make_otlp_grpc},
    [SM_CONFIG_SINK_OTLP_HTTP] = {&sm_otlp_http_ops, make_otlp_http},
};

struct sm_fanout_sink sm_sinks_config_make(const struct sm_config_sink *c)
{
    return (struct sm_fanout_sink){
        .name = c->name,
        .ops = types[c->type].ops,
        .sink = types[c->type].make(c),
        .batch_spans_max = c->batch.spans_max,
        .batch_bytes_max = c->batch.bytes_max,
        .batch_linger_ns = c->batch.linger_ns,
        .in_flight_max = c->in_flight_max,
        .retry = c->retry,
        .queue_bytes_max = c->queue_bytes_max,
    };
}
