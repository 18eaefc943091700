/* Remote sampling as Jaeger's agent and collector serve it, all on any port: GET /sampling?service=X and /api/sampling, and / for
 * clients of thrift 0.9.2, which want numbers for enums; gRPC SamplingManager/GetSamplingStrategy. */
#include "ingest/sampling.h"

enum { SERVICE_SIZE_MAX = 1024 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of a query's value; false when it is malformed or too long. */
static bool percent_decode(struct sm_str text, char out[SERVICE_SIZE_MAX], size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (c == '%') {
            if (i + 2 >= text.len || hex_digit(text.ptr[i + 1]) < 0 || hex_digit(text.ptr[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        if (*size == SERVICE_SIZE_MAX)
            return false;
        out[(*size)++] = c;
    }
    return true;
}

/* The value of `service`, which must be there exactly once. */
static bool find_service(struct sm_str query, struct sm_str *service)
{
    static const struct sm_str key = {"service=", 8};
    unsigned found = 0;
    for (const char *p = query.ptr, *end = query.len ? query.ptr + query.len : query.ptr; p < end;) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        if (n >= key.len && memcmp(p, key.ptr, key.len) == 0) {
            *service = sm_str(p + key.len, n - key.len);
            found++;
        }
        p += n + 1;
    }
    return found == 1;
}

static bool path_is(const struct sm_http_exchange *x, const char *path)
{
    return sm_str_eq(x->path, sm_str_c(path));
}

static bool on_headers(void *ctx SM_UNUSED, struct sm_http_exchange *x)
{
    if (x->is_grpc) {
        bool is_known = path_is(x, SM_SAMPLING_METHOD);
        if (!is_known)
            sm_grpc_ingest_fail(x, SM_GRPC_UNIMPLEMENTED, "only jaeger.api_v2.SamplingManager/GetSamplingStrategy is served here", 0);
        return is_known;
    }
    if (!path_is(x, "/") && !path_is(x, "/sampling") && !path_is(x, "/api/sampling")) {
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: rates are at /sampling?service=NAME\n"));
        return false;
    }
    if (!sm_str_eq(x->method, SM_STR("GET"))) {
        sm_http_reply(x, 405, "text/plain", SM_STR("405 method not allowed, supported: [GET]\n"));
        return false;
    }
    return true;
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_receiver *r = ctx;
    struct sm_str service = {NULL, 0};
    char name[SERVICE_SIZE_MAX];
    size_t size;
    if (x->is_grpc) {
        sm_sampling_reply_grpc(r->own, r, x);
        return;
    }
    if (!find_service(x->query, &service) || !percent_decode(service, name, &size)) {
        sm_http_reply(x, 400, "text/plain", SM_STR("'service' parameter must be provided once\n"));
        return;
    }
    struct sm_buf body = {0};
    sm_sampling_put(r->own, sm_str(name, size), path_is(x, "/") ? SM_STRATEGY_JSON_LEGACY : SM_STRATEGY_JSON, &body);
    sm_http_reply(x, 200, "application/json", sm_buf_str(&body));
    sm_buf_fini(&body);
}

static struct sm_receiver *open(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port,
                                struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_headers = on_headers, .on_request = on_request};
    return sm_sampling_open_receiver(listener, worker, &handler, port, err);
}

const struct sm_receiver_ops sm_receiver_jaeger_sampling = {
    .name = "jaeger_sampling",
    .check_free = sm_tcp_check_free,
    .open = open,
    .drain = sm_http_ingest_drain,
    .close = sm_sampling_close_receiver,
    .counters = sm_http_ingest_counters,
};
