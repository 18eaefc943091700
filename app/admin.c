/* The metrics listener. */
#include "app/admin.h"

#include "base/gzip.h"
#include "base/header.h"

#include <stdlib.h>

struct sm_admin {
    struct sm_http_server *server;
    struct sm_payload_pool *payloads;
    const struct sm_prom_registry *registry;
    void (*before_scrape)(void *ctx);
    void *ctx;
    bool ready;
    size_t scrape_bytes; /* of the last one */
};

enum { DRAIN_BYTES = 64 << 10 };

struct packing {
    struct sm_gzip *gzip;
    struct sm_buf packed;
};

static void pack(void *ctx, struct sm_buf *out)
{
    struct packing *p = ctx;
    sm_gzip_put(p->gzip, sm_buf_str(out), &p->packed);
    sm_buf_clear(out);
}

static void scrape_packed(const struct sm_admin *a, enum sm_prom_format format, struct sm_gzip *gzip, struct sm_buf *out)
{
    struct packing p = {.gzip = gzip};
    struct sm_buf text = {0};
    sm_prom_registry_scrape(a->registry, format, &(struct sm_prom_drain){DRAIN_BYTES, pack, &p}, &text);
    pack(&p, &text);
    sm_gzip_end(gzip, &p.packed);
    sm_buf_fini(&text);
    *out = p.packed;
}

/* Room for what there was last time at once: a buffer that doubles would hold twice of it and copy it. */
static void scrape_plain(struct sm_admin *a, enum sm_prom_format format, struct sm_buf *out)
{
    sm_buf_reserve(out, a->scrape_bytes + a->scrape_bytes / 16);
    sm_prom_registry_scrape(a->registry, format, NULL, out);
    a->scrape_bytes = out->size;
}

/* Thousands of series are megabytes of text: what a client takes compressed is compressed while it is written, and the rest is
 * sent from where it was written. */
static void reply_metrics(struct sm_admin *a, struct sm_http_exchange *x)
{
    static const struct sm_http_header packed_headers[] = {{SM_STR("content-encoding"), SM_STR("gzip")},
                                                           {SM_STR("vary"), SM_STR("accept-encoding")}};
    struct sm_buf out = {0};
    enum sm_prom_format format = sm_prom_negotiate(x->known[SM_HTTP_ACCEPT]);
    if (a->before_scrape)
        a->before_scrape(a->ctx);
    struct sm_gzip *gzip = sm_header_accepts_gzip(x->known[SM_HTTP_ACCEPT_ENCODING]) ? sm_gzip_new() : NULL;
    if (gzip)
        scrape_packed(a, format, gzip, &out);
    else
        scrape_plain(a, format, &out);
    sm_http_respond(x, &(struct sm_http_response){.status = 200,
                                                  .content_type = sm_str_c(sm_prom_content_type(format)),
                                                  .headers = packed_headers,
                                                  .headers_n = gzip ? SM_ARRAY_LEN(packed_headers) : 0,
                                                  .body = sm_buf_str(&out),
                                                  .release = free,
                                                  .release_arg = out.data});
    sm_gzip_free(gzip);
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
