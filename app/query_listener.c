/* Wiring of the query service. */
#include "app/query_listener.h"

#include <stdlib.h>

struct sm_query_listener {
    struct sm_query_service *service;
    struct sm_http_server *server; /* NULL: not listening */
    struct sm_payload_pool *payloads;
};

/* The graph of this run and, from the store, of those before; behind the live one by at most one round of merging. */
static bool read_graph(void *ctx, int64_t start_ms, int64_t end_ms, struct sm_graph *graph)
{
    sm_dependency_history(ctx, start_ms, end_ms, graph);
    return true;
}

struct sm_query_listener *sm_query_listener_new(struct sm_engine *engine, struct sm_store *store, struct sm_err *err)
{
    struct sm_query_listener *q = sm_xcalloc(1, sizeof *q);
    struct sm_query_service_config config = {
        .env = {.store = store,
                .pipeline = engine->pipeline,
                .names = engine->names,
                .scopes = engine->scopes,
                .graph = engine->dependency ? read_graph : NULL,
                .graph_ctx = engine->dependency,
                .base_path = engine->config->query.base_path},
    };
    q->service = sm_query_service_new(&config, err);
    if (q->service)
        return q;
    free(q);
    return NULL;
}

enum sm_rc sm_query_listener_open(struct sm_query_listener *q, struct sm_loop *loop, const struct sm_listener *listener,
                                  uint16_t *port, struct sm_err *err)
{
    q->payloads = sm_payload_pool_new(SM_MIB);
    q->server = sm_http_server_new(loop, &listener->http, q->payloads, sm_query_http_handler(), q->service);
    sm_http_server_set_door(q->server, &listener->door);
    return sm_http_server_listen(q->server, listener->address, port, err);
}

const struct sm_http_counters *sm_query_listener_counters(const struct sm_query_listener *q)
{
    return sm_http_server_counters(q->server);
}

struct sm_query_service *sm_query_listener_service(struct sm_query_listener *q)
{
    return q->service;
}

void sm_query_listener_stop(struct sm_query_listener *q)
{
    if (q)
        sm_query_service_stop(q->service);
}

void sm_query_listener_close(struct sm_query_listener *q)
{
    if (q && q->server)
        sm_http_server_free(q->server);
}

void sm_query_listener_free(struct sm_query_listener *q)
{
    if (!q)
        return;
    sm_query_service_free(q->service);
    if (q->payloads)
        sm_payload_pool_free(q->payloads);
    free(q);
}
