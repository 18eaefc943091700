/* The metrics listener. */
#include "app/admin.h"

#include <stdlib.h>

struct sm_admin {
    struct sm_http_server *server;
    struct sm_payload_pool *payloads;
    const struct sm_prom_registry *registry;
    void (*before_scrape)(void *ctx);
    void *ctx;
    bool ready;
};

static void reply_metrics(struct sm_admin *a, struct sm_http_exchange *x)
{
    struct sm_buf out = {0};
    enum sm_prom_format format = sm_prom_negotiate(x->known[SM_HTTP_ACCEPT]);
    if (a->before_scrape)
        a->before_scrape(a->ctx);
    sm_prom_registry_scrape(a->registry, format, &out);
    sm_http_reply(x, 200, sm_prom_content_type(format), sm_buf_str(&out));
    sm_buf_fini(&out);
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct sm_admin *a = ctx;
    if (sm_str_eq(x->path, SM_STR("/metrics")))
        reply_metrics(a, x);
    else if (sm_str_eq(x->path, SM_STR("/-/healthy")))
        sm_http_reply(x, 200, "text/plain", SM_STR("healthy\n"));
    else if (sm_str_eq(x->path, SM_STR("/-/ready")))
        sm_http_reply(x, a->ready ? 200 : 503, "text/plain", a->ready ? SM_STR("ready\n") : SM_STR("not ready\n"));
    else
        sm_http_reply(x, 404, "text/plain", SM_STR("404 not found: /metrics, /-/healthy, /-/ready\n"));
}

struct sm_admin *sm_admin_open(struct sm_loop *loop, const struct sm_listener *listener, const struct sm_prom_registry *registry,
                               void (*before_scrape)(void *ctx), void *ctx, uint16_t *port, struct sm_err *err)
{
    static const struct sm_http_handler handler = {.on_request = on_request};
    struct sm_admin *a = sm_xcalloc(1, sizeof *a);
    a->registry = registry;
    a->before_scrape = before_scrape;
    a->ctx = ctx;
    a->payloads = sm_payload_pool_new(SM_MIB);
    a->server = sm_http_server_new(loop, &listener->http, a->payloads, &handler, a);
    sm_http_server_set_door(a->server, &listener->door);
    err->rc = sm_http_server_listen(a->server, listener->address, port, err);
    return a;
}

const struct sm_http_counters *sm_admin_counters(const struct sm_admin *a)
{
    return sm_http_server_counters(a->server);
}

void sm_admin_set_ready(struct sm_admin *a, bool ready)
{
    a->ready = ready;
}

void sm_admin_close(struct sm_admin *a)
{
    if (a)
        sm_http_server_free(a->server);
}

void sm_admin_free(struct sm_admin *a)
{
    if (!a)
        return;
    sm_payload_pool_free(a->payloads);
    free(a);
}
