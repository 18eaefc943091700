/* Wiring: the one file that knows every part of the daemon. */
#include "app/topology.h"

#include "app/admin.h"
#include "app/config_key.h"
#include "app/engine.h"
#include "app/files_config.h"
#include "app/kafka_config.h"
#include "app/listeners.h"
#include "app/own_metrics.h"
#include "app/query_listener.h"
#include "app/receivers.h"
#include "app/sinks_config.h"
#include "app/store_config.h"
#include "base/clock.h"
#include "base/net/loop.h"
#include "base/net/tcp.h"
#include "base/net/unix_socket.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    TEND_NS = 500 * 1000 * 1000,
    FILES_LOOK_S = 3,
    LISTENERS_MAX = SM_RECEIVERS_COUNT + 2,
};
#define KAFKA_LEAVE_NS (5 * SM_SEC)

/* One listener and its instances on the workers. */
struct port {
    const struct sm_receiver_ops *ops;
    struct sm_listener listener;
    const char *configured;
    uint16_t number;
    char address[300]; /* as bound: instances after the first take the port that the first got */
    struct sm_receiver **instances;
};

struct shown_listener {
    const char *name;
    char url[400];
};

struct sm_topology {
    const struct sm_config *config;
    struct sm_loop *loop;
    struct sm_loop_timer *tend_timer, *files_timer;
    struct sm_listeners *listeners;
    struct sm_store *store; /* NULL: off */
    struct sm_graph_log *graph_log; /* NULL: without store, or without graph */
    struct sm_engine *engine;
    struct sm_query_listener *query;
    struct port ports[SM_RECEIVERS_COUNT];
    unsigned port_count;
    struct sm_kafka_set *kafka;
    struct sm_files *files; /* NULL: none are followed */
    struct sm_prom_registry *metrics;
    struct sm_admin *admin;
    struct shown_listener shown[LISTENERS_MAX];
    unsigned shown_count;
    bool started;
};

/* "http://host:port/path" for people; a host of all interfaces reads as 0.0.0.0, sockets in the file system as they are
 * configured. */
static void show(struct sm_topology *t, const char *name, const char *scheme, const char *address, uint16_t port,
                 const char *path, bool is_tls)
{
    SM_ASSERT(t->shown_count < LISTENERS_MAX);
    struct shown_listener *l = &t->shown[t->shown_count++];
    const char *colon = strrchr(address, ':');
    int host = colon ? (int)(colon - address) : (int)strlen(address);
    l->name = name;
    if (sm_unix_path(address)) {
        snprintf(l->url, sizeof l->url, "%s", address);
        return;
    }
    if (is_tls)
        scheme = "https";
    snprintf(l->url, sizeof l->url, "%s://%.*s:%u%s", scheme, host ? SM_MIN(host, 255) : 7, host ? address : "0.0.0.0", port, path);
}

static void show_url(struct sm_topology *t, const char *name, const char *url)
{
    SM_ASSERT(t->shown_count < LISTENERS_MAX);
    struct shown_listener *l = &t->shown[t->shown_count++];
    l->name = name;
    snprintf(l->url, sizeof l->url, "%s", url);
}

/* Puts the setting in front of what is wrong with its address. */
static enum sm_rc name_listener(enum sm_rc rc, size_t offset, struct sm_err *err)
{
    for (size_t i = 0; rc != SM_OK && i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (key->offset == offset && strncmp(key->path, "listen.", 7) == 0) {
            struct sm_err cause = *err;
            return sm_err_set(err, rc, "%s: %s", key->path, cause.text);
        }
    }
    return rc;
}

/* Before anything is opened: a second daemon must not share the ports of the first one. */
static enum sm_rc check_ports(const struct sm_config *c, struct sm_err *err)
{
    const size_t others[] = {offsetof(struct sm_config, listen.query), offsetof(struct sm_config, listen.metrics)};
    enum sm_rc rc = SM_OK;
    for (unsigned i = 0; i < SM_RECEIVERS_COUNT && rc == SM_OK; i++) {
        const char *address = sm_receivers_address(c, &sm_receivers[i]);
        if (address)
            rc = name_listener(sm_receivers[i].ops->check_free(address, err), sm_receivers[i].address, err);
    }
    for (unsigned i = 0; i < SM_ARRAY_LEN(others) && rc == SM_OK; i++) {
        const char *address = *(char *const *)((const char *)c + others[i]);
        if (address)
            rc = name_listener(sm_tcp_check_free(address, err), others[i], err);
    }
    return rc;
}

/* The listener of the same receiver at the same address, if there is one already. */
static const struct port *find_port(const struct sm_topology *t, const struct sm_receiver_ops *ops, const char *address)
{
    for (unsigned i = 0; i < t->port_count; i++) {
        const struct port *p = &t->ports[i];
        if (p->ops == ops && sm_receivers_meet(p->configured, address))
            return p;
    }
    return NULL;
}

static enum sm_rc fill_listener(struct sm_topology *t, const struct sm_receivers_line *line, const char *address,
                                struct sm_listener *listener, struct sm_err *err)
{
    const struct sm_config *c = t->config;
    listener->address = address;
    listener->udp = (struct sm_udp_options){c->limits.datagram_bytes_max, c->limits.udp_buffer_bytes};
    listener->sampling_file = c->sampling.file;
    listener->rates = t->engine->throughput ? sm_throughput_published(t->engine->throughput) : NULL;
    listener->zeromq = c->zeromq;
    listener->fallback = sm_query_http_handler();
    listener->fallback_ctx = sm_query_listener_service(t->query);
    return line->ops->endpoint ? SM_OK : sm_listeners_fill(t->listeners, line->address, true, listener, err);
}

/* On every worker, or on the first one alone; *number is the port, 0 for a socket in the file system. Instances after the first
 * take the port that the first one got. */
static enum sm_rc open_instances(struct sm_topology *t, struct port *p, const struct sm_receivers_line *line, const char *address,
                                 uint16_t *number, struct sm_err *err)
{
    const struct sm_receiver_ops *ops = line->ops;
    const char *colon = strrchr(address, ':');
    p->instances = sm_xcalloc(t->engine->workers, sizeof *p->instances);
    *number = 0;
    for (unsigned i = 0; i < (ops->single ? 1 : t->engine->workers); i++) {
        p->instances[i] = ops->open(&p->listener, sm_pipeline_worker(t->engine->pipeline, i), number, err);
        if (!p->instances[i])
            return err->rc;
        if (!ops->endpoint)
            sm_listeners_watch(t->listeners, line->address, ops->counters ? ops->counters(p->instances[i]) : NULL);
        if (!*number)
            continue;
        snprintf(p->address, sizeof p->address, "%.*s:%u", colon ? (int)(colon - address) : 0, address, *number);
        p->listener.address = p->address;
    }
    return SM_OK;
}

/* Opens one listener. */
static enum sm_rc open_port(struct sm_topology *t, const struct sm_receivers_line *line, struct sm_err *err)
{
    const struct sm_receiver_ops *ops = line->ops;
    const char *address = sm_receivers_address(t->config, line);
    if (!address)
        return SM_OK;
    const struct port *shared = find_port(t, ops, address);
    if (shared) {
        show(t, line->title, line->scheme, address, shared->number, line->path, shared->listener.door.tls != NULL);
        return SM_OK;
    }
    struct port *p = &t->ports[t->port_count++];
    p->ops = ops;
    p->configured = address;
    enum sm_rc rc = fill_listener(t, line, address, &p->listener, err);
    if (rc == SM_OK)
        rc = open_instances(t, p, line, address, &p->number, err);
    if (rc != SM_OK)
        return rc;
    if (ops->endpoint)
        show_url(t, line->title, ops->endpoint(p->instances[0]));
    else
        show(t, line->title, line->scheme, address, p->number, line->path, p->listener.door.tls != NULL);
    return SM_OK;
}

static enum sm_rc open_ports(struct sm_topology *t, struct sm_err *err)
{
    enum sm_rc rc = SM_OK;
    for (unsigned i = 0; i < SM_RECEIVERS_COUNT && rc == SM_OK; i++)
        rc = name_listener(open_port(t, &sm_receivers[i], err), sm_receivers[i].address, err);
    return rc;
}

static void tend(void *arg)
{
    struct sm_topology *t = arg;
    if (!t->started) /* stopping merges by itself */
        return;
    sm_pipeline_tend(t->engine->pipeline);
    sm_engine_expire(t->engine, sm_clock_wall_ns());
}

static enum sm_rc open_admin(struct sm_topology *t, struct sm_err *err)
{
    t->metrics = sm_prom_registry_new();
    sm_engine_register_metrics(t->engine, t->metrics);
    if (t->store)
        sm_prom_registry_add(t->metrics, "store", sm_own_metrics_store, t->store);
    sm_prom_registry_add(t->metrics, "kafka", sm_kafka_collect, sm_kafka_set_list(t->kafka));
    sm_prom_registry_add(t->metrics, "query", sm_own_metrics_query,
                         (void *)(uintptr_t)sm_query_service_counters(sm_query_listener_service(t->query)));
    sm_prom_registry_add(t->metrics, "listeners", sm_listeners_metrics, t->listeners);
    if (!t->config->listen.metrics)
        return SM_OK;
    struct sm_listener listener = {0};
    size_t offset = offsetof(struct sm_config, listen.metrics);
    uint16_t port;
    enum sm_rc rc = sm_listeners_fill(t->listeners, offset, false, &listener, err);
    if (rc != SM_OK)
        return rc;
    t->admin = sm_admin_open(t->loop, &listener, t->metrics, tend, t, &port, err);
    if (err->rc != SM_OK)
        return name_listener(err->rc, offset, err);
    sm_listeners_watch(t->listeners, offset, sm_admin_counters(t->admin));
    show(t, "Prometheus", "http", t->config->listen.metrics, port, "/metrics", listener.door.tls != NULL);
    return SM_OK;
}

static enum sm_rc open_kafka(struct sm_topology *t, struct sm_err *err)
{
    t->kafka = sm_kafka_set_open(t->config, t->store, t->engine, err);
    return t->kafka ? SM_OK : err->rc;
}

static enum sm_rc open_files(struct sm_topology *t, struct sm_err *err)
{
    return sm_files_open(t->config, t->store, t->engine->pipeline, t->loop, &t->files, err);
}

static enum sm_rc open_store(struct sm_topology *t, struct sm_err *err)
{
    enum sm_rc rc = t->config->store.enabled ? sm_store_config_open(t->config, &t->store, err) : SM_OK;
    if (t->store && t->config->analysis.graph.enabled)
        t->graph_log = sm_store_config_open_graph(t->config);
    return rc;
}

static enum sm_rc make_query(struct sm_topology *t, struct sm_err *err)
{
    t->query = sm_query_listener_new(t->engine, t->store, err);
    return t->query ? SM_OK : err->rc;
}

static enum sm_rc open_query(struct sm_topology *t, struct sm_err *err)
{
    const struct sm_config *c = t->config;
    struct sm_listener listener = {0};
    size_t offset = offsetof(struct sm_config, listen.query);
    uint16_t port;
    if (!c->listen.query)
        return SM_OK;
    enum sm_rc rc = sm_listeners_fill(t->listeners, offset, false, &listener, err);
    if (rc == SM_OK)
        rc = name_listener(sm_query_listener_open(t->query, t->loop, &listener, &port, err), offset, err);
    if (rc != SM_OK)
        return rc;
    sm_listeners_watch(t->listeners, offset, sm_query_listener_counters(t->query));
    show(t, "Query", "http", c->listen.query, port, c->query.base_path, listener.door.tls != NULL);
    return SM_OK;
}

static unsigned make_sinks(const struct sm_topology *t, struct sm_fanout_sink *sinks)
{
    unsigned n = 0;
    for (size_t i = 0; i < t->config->sinks.n && n < SM_ENGINE_SINKS_MAX; i++)
        sinks[n++] = sm_sinks_config_make(&t->config->sinks.items[i]);
    return n;
}

static enum sm_rc make_engine(struct sm_topology *t, struct sm_err *err)
{
    struct sm_fanout_sink sinks[SM_ENGINE_SINKS_MAX];
    struct sm_engine_options options = {
        .placement = SM_PLACEMENT_THREADS,
        .memory_triggers = true,
        .store = t->store,
        .graph_log = t->graph_log,
        .sinks = sinks,
        .sink_count = make_sinks(t, sinks),
    };
    t->engine = sm_engine_new(t->config, &options, err);
    return t->engine ? SM_OK : err->rc;
}

static enum sm_rc make_loop(struct sm_topology *t, struct sm_err *err)
{
    t->loop = sm_loop_new(NULL, err);
    return t->loop ? SM_OK : err->rc;
}

static void look_at_files(void *arg)
{
    sm_listeners_refresh(((struct sm_topology *)arg)->listeners, false);
}

static enum sm_rc make_listeners(struct sm_topology *t, struct sm_err *err)
{
    t->listeners = sm_listeners_new(t->config, err);
    if (!t->listeners)
        return err->rc;
    t->files_timer = sm_loop_timer_new(t->loop, FILES_LOOK_S * SM_SEC, look_at_files, t);
    return SM_OK;
}

static enum sm_rc build(struct sm_topology *t, struct sm_err *err)
{
    static enum sm_rc (*const steps[])(struct sm_topology *, struct sm_err *) = {
        make_loop, make_listeners, open_store, make_engine, make_query, open_ports, open_kafka, open_files, open_query, open_admin,
    };
    enum sm_rc rc = check_ports(t->config, err);
    for (unsigned i = 0; i < SM_ARRAY_LEN(steps) && rc == SM_OK; i++)
        rc = steps[i](t, err);
    return rc;
}

struct sm_topology *sm_topology_new(const struct sm_config *config, struct sm_err *err)
{
    struct sm_topology *t = sm_xcalloc(1, sizeof *t);
    t->config = config;
    if (build(t, err) == SM_OK)
        return t;
    sm_topology_free(t);
    return NULL;
}

enum sm_rc sm_topology_start(struct sm_topology *t, struct sm_err *err)
{
    enum sm_rc rc = sm_pipeline_start(t->engine->pipeline, err);
    if (rc != SM_OK)
        return rc;
    t->started = true;
    t->tend_timer = sm_loop_timer_new(t->loop, TEND_NS, tend, t);
    if (t->admin)
        sm_admin_set_ready(t->admin, true);
    return SM_OK;
}

void sm_topology_run(struct sm_topology *t)
{
    sm_loop_run(t->loop);
}

void sm_topology_reload(struct sm_topology *t)
{
    sm_listeners_refresh(t->listeners, true);
}

void sm_topology_end(struct sm_topology *t)
{
    sm_loop_stop(t->loop);
}

/* A receiver to be drained on its own thread. */
struct drain_call {
    const struct sm_receiver_ops *ops;
    struct sm_receiver *receiver;
};

static void drain_instance(void *arg)
{
    struct drain_call *call = arg;
    call->ops->drain(call->receiver);
    free(call);
}

/* No new requests; what is in flight is answered. */
static void drain_ports(struct sm_topology *t)
{
    for (unsigned i = 0; i < t->port_count; i++) {
        for (unsigned k = 0; k < t->engine->workers && t->ports[i].instances[k]; k++) {
            struct drain_call *call = sm_xmalloc(sizeof *call);
            *call = (struct drain_call){t->ports[i].ops, t->ports[i].instances[k]};
            sm_loop_post(sm_worker_loop(sm_pipeline_worker(t->engine->pipeline, k)), drain_instance, call);
        }
    }
}

static bool ports_are_quiet(const struct sm_topology *t)
{
    for (unsigned i = 0; i < t->port_count; i++) {
        for (unsigned k = 0; k < t->engine->workers && t->ports[i].instances[k]; k++) {
            const struct sm_receiver_ops *ops = t->ports[i].ops;
            const struct sm_http_counters *c = ops->counters ? ops->counters(t->ports[i].instances[k]) : NULL;
            if (c && atomic_load_explicit(&c->connections_open, memory_order_relaxed))
                return false;
        }
    }
    return true;
}

static void wait_for_ports(const struct sm_topology *t, int64_t timeout_ns)
{
    int64_t give_up_ns = sm_clock_mono_ns() + timeout_ns;
    while (!ports_are_quiet(t) && sm_clock_mono_ns() < give_up_ns)
        nanosleep(&(struct timespec){.tv_nsec = 2 * SM_MS}, NULL);
}

struct stop_call {
    struct sm_topology *t;
    int64_t timeout_ns;
};

/* Offsets go on to the end only if nothing that was kept was lost. The store's thread has ended: it is synced from here. */
static void finish_sources(struct sm_topology *t, int64_t timeout_ns)
{
    struct sm_err err;
    bool synced = !t->store || sm_store_sync(t->store, NULL, &err) == SM_OK;
    bool all_delivered = synced && sm_engine_lost_at_end(t->engine) == 0;
    sm_files_finish(t->files, all_delivered);
    sm_kafka_set_finish(t->kafka, all_delivered, SM_MIN(timeout_ns, KAFKA_LEAVE_NS));
}

static void stop_parts(struct sm_topology *t, int64_t timeout_ns)
{
    drain_ports(t);
    sm_kafka_set_drain(t->kafka, SM_MIN(timeout_ns, SM_SEC));
    sm_files_drain(t->files, SM_MIN(timeout_ns, SM_SEC));
    wait_for_ports(t, SM_MIN(timeout_ns, SM_SEC));
    sm_query_listener_stop(t->query);
    sm_pipeline_drain(t->engine->pipeline, timeout_ns);
    sm_fanout_stop(t->engine->fanout, timeout_ns);
    finish_sources(t, timeout_ns);
    sm_pipeline_stop(t->engine->pipeline);
    struct sm_err err;
    if (sm_engine_flush_graph(t->engine, sm_clock_wall_ns(), &err) != SM_OK)
        sm_log(SM_LOG_ERROR, "graph_not_kept", sm_kv("error", err.text));
}

static void *stop_main(void *arg)
{
    struct stop_call *call = arg;
    stop_parts(call->t, call->timeout_ns);
    sm_loop_stop(call->t->loop);
    return NULL;
}

void sm_topology_stop(struct sm_topology *t, int64_t timeout_ns)
{
    if (!t->started)
        return;
    t->started = false;
    if (t->admin)
        sm_admin_set_ready(t->admin, false);
    sm_listeners_drain(t->listeners);
    struct stop_call call = {t, timeout_ns};
    pthread_t thread;
    if (pthread_create(&thread, NULL, stop_main, &call) != 0) {
        stop_parts(t, timeout_ns);
        return;
    }
    sm_loop_run(t->loop); /* metrics and readiness are answered meanwhile */
    pthread_join(thread, NULL);
}

static void close_ports(struct sm_topology *t)
{
    for (unsigned i = 0; i < t->port_count; i++) {
        for (unsigned k = 0; t->ports[i].instances && k < t->engine->workers && t->ports[i].instances[k]; k++)
            t->ports[i].ops->close(t->ports[i].instances[k]);
        free(t->ports[i].instances);
    }
}

void sm_topology_free(struct sm_topology *t)
{
    if (!t)
        return;
    sm_topology_stop(t, 0);
    if (t->tend_timer)
        sm_loop_timer_free(t->tend_timer);
    sm_loop_timer_free(t->files_timer);
    sm_admin_close(t->admin);
    sm_query_listener_stop(t->query);
    sm_query_listener_close(t->query);
    if (t->loop)
        sm_loop_free(t->loop);
    sm_admin_free(t->admin);
    sm_prom_registry_free(t->metrics);
    close_ports(t);
    sm_kafka_set_close(t->kafka);
    sm_files_close(t->files);
    sm_query_listener_free(t->query);
    sm_engine_free(t->engine);
    sm_kafka_set_free(t->kafka);
    sm_listeners_free(t->listeners);
    sm_graph_log_close(t->graph_log);
    sm_store_close(t->store);
    free(t);
}

struct sm_loop *sm_topology_loop(struct sm_topology *t)
{
    return t->loop;
}

struct sm_engine *sm_topology_engine(struct sm_topology *t)
{
    return t->engine;
}

bool sm_topology_listener(const struct sm_topology *t, unsigned i, struct sm_topology_listener *listener)
{
    if (i >= t->shown_count)
        return false;
    *listener = (struct sm_topology_listener){t->shown[i].name, t->shown[i].url};
    return true;
}
