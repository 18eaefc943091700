/* Doors of listeners, and what is counted at them. */
#include "app/listeners.h"

#include "app/config_listeners.h"
#include "base/log.h"
#include "base/net/auth.h"
#include "base/net/cors.h"
#include "base/net/tls.h"
#include "base/net/unix_socket.h"

#include <stdlib.h>

enum { LISTENERS_MAX = 32, INSTANCES_MAX = 257 }; /* a worker's each */

/* A pair of files, and who goes by them: listeners that name the same files share what is learnt of passwords. */
struct credentials {
    const char *tokens, *users;
    struct sm_auth *auth;
};

struct door {
    const char *name;
    size_t offset;
    struct sm_config_door config;
    struct sm_tls *tls;   /* NULL: plain text */
    const struct sm_tls_counters *tls_counters;
    struct sm_auth *auth; /* NULL: everybody; one of `credentials` */
    struct sm_cors *cors; /* NULL: no pages */
    bool takes_spans;
    struct sm_unix_socket *socket;
    char address[32]; /* "@N" of the socket */
    const struct sm_http_counters *counters[INSTANCES_MAX];
    unsigned instances;
};

struct sm_listeners {
    const struct sm_config *config;
    struct door doors[LISTENERS_MAX];
    unsigned count;
    struct credentials credentials[LISTENERS_MAX];
    unsigned credentials_n;
};

/* ---- making ---- */

static bool same_path(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static enum sm_rc make_auth(struct sm_listeners *l, struct door *d, struct sm_err *err)
{
    if (!d->config.tokens && !d->config.users)
        return SM_OK;
    for (unsigned i = 0; i < l->credentials_n && !d->auth; i++) {
        const struct credentials *c = &l->credentials[i];
        if (same_path(c->tokens, d->config.tokens) && same_path(c->users, d->config.users))
            d->auth = c->auth;
    }
    if (d->auth)
        return SM_OK;
    d->auth = sm_auth_new(d->config.tokens, d->config.users, err);
    if (!d->auth)
        return err->rc;
    l->credentials[l->credentials_n++] = (struct credentials){d->config.tokens, d->config.users, d->auth};
    return SM_OK;
}

static enum sm_rc make_tls(struct sm_listeners *l, struct door *d, struct sm_err *err)
{
    if (!d->config.cert)
        return SM_OK;
    struct sm_tls_config tls = {
        .cert = d->config.cert,
        .key = d->config.key,
        .client_ca = d->config.client_ca,
        .only_1_3 = l->config->tls.min_version == SM_CONFIG_TLS_1_3,
        .handshake_ns = l->config->tls.handshake_ns,
    };
    d->tls = sm_tls_new(&tls, err);
    if (!d->tls)
        return err->rc;
    d->tls_counters = sm_tls_counters(d->tls);
    return SM_OK;
}

static enum sm_rc make_cors(struct sm_listeners *l, struct door *d, struct sm_err *err)
{
    const struct sm_config_strings *headers = &l->config->cors.headers;
    if (!d->config.origins)
        return SM_OK;
    struct sm_cors_config cors = {
        .origins = (const char *const *)d->config.origins->items,
        .origins_n = d->config.origins->n,
        .headers = (const char *const *)headers->items,
        .headers_n = headers->n,
        .max_age_ns = l->config->cors.max_age_ns,
    };
    d->cors = sm_cors_new(&cors, err);
    return d->cors ? SM_OK : err->rc;
}

/* Of a listener that is on and has connections. */
static enum sm_rc make_door(struct sm_listeners *l, struct door *d, struct sm_err *err)
{
    if (!*(char *const *)((const char *)l->config + d->offset) || strstr(d->name, "udp"))
        return SM_OK;
    enum sm_rc rc = make_tls(l, d, err);
    if (rc == SM_OK)
        rc = make_auth(l, d, err);
    return rc == SM_OK ? make_cors(l, d, err) : rc;
}

struct sm_listeners *sm_listeners_new(const struct sm_config *config, struct sm_err *err)
{
    struct sm_listeners *l = sm_xcalloc(1, sizeof *l);
    const char *name;
    size_t offset;
    l->config = config;
    for (unsigned i = 0; i < LISTENERS_MAX && sm_config_listeners_at(i, &name, &offset); i++) {
        struct door *d = &l->doors[l->count++];
        *d = (struct door){.name = name, .offset = offset, .config = sm_config_listeners_door(config, name)};
        if (make_door(l, d, err) != SM_OK) {
            sm_listeners_free(l);
            return NULL;
        }
    }
    return l;
}

void sm_listeners_free(struct sm_listeners *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->count; i++) {
        sm_tls_free(l->doors[i].tls);
        sm_cors_free(l->doors[i].cors);
        sm_unix_close(l->doors[i].socket);
    }
    for (unsigned i = 0; i < l->credentials_n; i++)
        sm_auth_free(l->credentials[i].auth);
    free(l);
}

static struct door *find(struct sm_listeners *l, size_t offset)
{
    struct door *d = l->doors;
    while (d->offset != offset)
        d++;
    SM_ASSERT(d < l->doors + l->count);
    return d;
}

enum sm_rc sm_listeners_fill(struct sm_listeners *l, size_t offset, bool spans, struct sm_listener *listener, struct sm_err *err)
{
    static const char *const open_paths[] = {"/-/healthy", "/-/ready", NULL};
    struct door *d = find(l, offset);
    const char *address = *(char *const *)((const char *)l->config + offset), *path = sm_unix_path(address);
    d->takes_spans = spans;
    listener->http = d->config.http;
    listener->inflate = d->config.inflate;
    listener->door = (struct sm_http_door){d->tls, d->auth, spans ? d->cors : NULL, open_paths};
    listener->address = address;
    if (!path)
        return SM_OK;
    d->socket = sm_unix_listen(path, sm_config_listeners_socket_mode(l->config), err);
    if (!d->socket)
        return err->rc;
    snprintf(d->address, sizeof d->address, "@%d", sm_unix_fd(d->socket));
    listener->address = d->address;
    return SM_OK;
}

void sm_listeners_drain(struct sm_listeners *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (!l->doors[i].takes_spans)
            continue;
        sm_unix_close(l->doors[i].socket);
        l->doors[i].socket = NULL;
    }
}

void sm_listeners_watch(struct sm_listeners *l, size_t offset, const struct sm_http_counters *counters)
{
    struct door *d = find(l, offset);
    SM_ASSERT(d->instances < INSTANCES_MAX);
    if (counters)
        d->counters[d->instances++] = counters;
}

/* ---- files that change ---- */

/* Listeners mostly share their files: one line for all. */
static void say(enum sm_reload result, const char *what, const char *why, char *said, size_t said_size)
{
    if (result == SM_RELOAD_NOTHING || strcmp(said, why) == 0)
        return;
    snprintf(said, said_size, "%s", why);
    if (result == SM_RELOAD_DONE)
        sm_log(SM_LOG_INFO, "reloaded", sm_kv("what", what), sm_kv("file", why));
    else
        sm_log(SM_LOG_ERROR, "not_reloaded", sm_kv("what", what), sm_kv("why", why), sm_kv("hint", "what was loaded before stays in force"));
}

void sm_listeners_refresh(struct sm_listeners *l, bool forced)
{
    char said[sizeof(struct sm_err)] = "";
    struct sm_err err;
    for (unsigned i = 0; i < l->count; i++) {
        const struct door *d = &l->doors[i];
        enum sm_reload result = d->tls ? sm_tls_refresh(d->tls, forced, &err) : SM_RELOAD_NOTHING;
        say(result, "certificate", result == SM_RELOAD_FAILED ? err.text : d->config.cert, said, sizeof said);
    }
    for (unsigned i = 0; i < l->credentials_n; i++) {
        const struct credentials *c = &l->credentials[i];
        enum sm_reload result = sm_auth_refresh(c->auth, forced, &err);
        say(result, "credentials", result == SM_RELOAD_FAILED ? err.text : c->tokens ? c->tokens : c->users, said, sizeof said);
    }
}

/* ---- metrics ---- */

/* Where a counter of sm_http_counters goes; rows of one family stand together. */
static const struct row {
    const char *family, *help, *label; /* label NULL: none but the listener's */
    size_t counter;
} rows[] = {
#define COUNTER(name) offsetof(struct sm_http_counters, name)
#define CLOSED        "spanmill_listener_connections_cut_total", "connections refused, or ended by something else than their client's wish, by reason"
#define REFUSED       "spanmill_listener_requests_refused_total", "requests refused before a receiver or an API looked at them, by reason"
    {"spanmill_listener_connections_total", "connections accepted", NULL, COUNTER(connections)},
    {CLOSED, "reason=\"connections_max\"", COUNTER(connections_refused)},
    {CLOSED, "reason=\"broken\"", COUNTER(connections_broken)},
    {CLOSED, "reason=\"idle\"", COUNTER(timeouts_idle)},
    {CLOSED, "reason=\"write_timeout\"", COUNTER(timeouts_write)},
    {CLOSED, "reason=\"age\"", COUNTER(connections_aged)},
    {CLOSED, "reason=\"resets\"", COUNTER(resets_flooded)},
    {CLOSED, "reason=\"controls\"", COUNTER(controls_flooded)},
    {"spanmill_listener_requests_total", "requests whose headers were complete", NULL, COUNTER(requests)},
    {"spanmill_listener_requests_http2_total", "of these, over HTTP/2, gRPC included", NULL, COUNTER(requests_http2)},
    {"spanmill_listener_requests_grpc_total", "of these, gRPC", NULL, COUNTER(requests_grpc)},
    {REFUSED, "reason=\"malformed\"", COUNTER(requests_malformed)},
    {REFUSED, "reason=\"headers_too_large\"", COUNTER(headers_too_large)},
    {REFUSED, "reason=\"body_too_large\"", COUNTER(bodies_too_large)},
    {REFUSED, "reason=\"message_too_large\"", COUNTER(messages_too_large)},
    {REFUSED, "reason=\"message_malformed\"", COUNTER(messages_malformed)},
    {REFUSED, "reason=\"header_timeout\"", COUNTER(timeouts_header)},
    {REFUSED, "reason=\"request_timeout\"", COUNTER(timeouts_request)},
    {REFUSED, "reason=\"credentials_missing\"", COUNTER(credentials_missing)},
    {REFUSED, "reason=\"credentials_wrong\"", COUNTER(credentials_wrong)},
    {REFUSED, "reason=\"credentials_unread\"", COUNTER(credentials_unread)},
    {REFUSED, "reason=\"no_memory\"", COUNTER(out_of_memory)},
    {"spanmill_listener_received_bytes_total", "bytes received, after TLS", NULL, COUNTER(bytes_in)},
    {"spanmill_listener_sent_bytes_total", "bytes sent, before TLS", NULL, COUNTER(bytes_out)},
#undef COUNTER
#undef CLOSED
#undef REFUSED
};

static uint64_t sum_of(const struct door *d, size_t counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->instances; i++)
        sum += atomic_load_explicit((const _Atomic uint64_t *)((const char *)d->counters[i] + counter), memory_order_relaxed);
    return sum;
}

static void sample(struct sm_prom *p, const struct door *d, const char *label, uint64_t value)
{
    struct sm_buf labels = {0};
    sm_prom_label(&labels, SM_STR("listener"), sm_str_c(d->name));
    if (label)
        sm_buf_printf(&labels, ",%s", label);
    sm_prom_uint(p, sm_buf_str(&labels), value);
    sm_buf_fini(&labels);
}

static void write_connections(const struct door *doors, unsigned n, struct sm_prom *p)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(rows); i++) {
        sm_prom_family(p, rows[i].family, SM_PROM_COUNTER, rows[i].help);
        for (unsigned k = 0; k < n; k++) {
            if (doors[k].instances)
                sample(p, &doors[k], rows[i].label, sum_of(&doors[k], rows[i].counter));
        }
    }
    sm_prom_family(p, "spanmill_listener_connections_open", SM_PROM_GAUGE, "connections that are open");
    for (unsigned k = 0; k < n; k++) {
        if (doors[k].instances)
            sample(p, &doors[k], NULL, sum_of(&doors[k], offsetof(struct sm_http_counters, connections_open)));
    }
}

static uint64_t load_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* One family over all listeners with TLS. */
static void write_tls_family(const struct door *doors, unsigned n, struct sm_prom *p, const char *name, const char *help,
                             size_t counter)
{
    sm_prom_family(p, name, SM_PROM_COUNTER, help);
    for (unsigned k = 0; k < n; k++) {
        if (doors[k].tls_counters)
            sample(p, &doors[k], NULL, load_counter((const _Atomic uint64_t *)((const char *)doors[k].tls_counters + counter)));
    }
}

static void write_tls_failures(const struct door *d, struct sm_prom *p)
{
    const struct sm_tls_counters *c = d->tls_counters;
    for (unsigned i = 0; c && i < SM_TLS_FAILURES_N; i++) {
        char label[64];
        snprintf(label, sizeof label, "reason=\"%s\"", sm_tls_failure_names[i]);
        sample(p, d, label, load_counter(&c->failures[i]));
    }
}

static void write_tls(const struct door *doors, unsigned n, struct sm_prom *p)
{
    write_tls_family(doors, n, p, "spanmill_tls_handshakes_total", "TLS handshakes that were completed",
                     offsetof(struct sm_tls_counters, handshakes));
    write_tls_family(doors, n, p, "spanmill_tls_handshakes_resumed_total", "of these, shortened by a ticket",
                     offsetof(struct sm_tls_counters, resumed));
    sm_prom_family(p, "spanmill_tls_handshakes_failed_total", SM_PROM_COUNTER, "TLS handshakes that failed, by reason");
    for (unsigned k = 0; k < n; k++)
        write_tls_failures(&doors[k], p);
    write_tls_family(doors, n, p, "spanmill_tls_reloads_total", "times that changed certificates were loaded",
                     offsetof(struct sm_tls_counters, reloads));
    write_tls_family(doors, n, p, "spanmill_tls_reloads_failed_total", "times that changed certificates could not be loaded",
                     offsetof(struct sm_tls_counters, reloads_failed));
    sm_prom_family(p, "spanmill_tls_certificate_expiry_timestamp_seconds", SM_PROM_GAUGE, "when the certificate in force expires");
    for (unsigned k = 0; k < n; k++) {
        if (doors[k].tls_counters)
            sample(p, &doors[k], NULL, (uint64_t)atomic_load_explicit(&doors[k].tls_counters->expires_s, memory_order_relaxed));
    }
}

static void write_auth_family(const struct sm_listeners *l, struct sm_prom *p, const char *name, const char *help, size_t counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < l->credentials_n; i++)
        sum += load_counter((const _Atomic uint64_t *)((const char *)sm_auth_counters(l->credentials[i].auth) + counter));
    sm_prom_family(p, name, SM_PROM_COUNTER, help);
    sm_prom_uint(p, SM_STR(""), sum);
}

void sm_listeners_metrics(void *ctx, struct sm_prom *p)
{
    const struct sm_listeners *l = ctx;
    write_connections(l->doors, l->count, p);
    write_tls(l->doors, l->count, p);
    write_auth_family(l, p, "spanmill_auth_password_hashes_total", "passwords that had to be hashed to be checked",
                      offsetof(struct sm_auth_counters, crypt_runs));
    write_auth_family(l, p, "spanmill_auth_reloads_total", "times that changed files of credentials were loaded",
                      offsetof(struct sm_auth_counters, reloads));
    write_auth_family(l, p, "spanmill_auth_reloads_failed_total", "times that changed files of credentials could not be loaded",
                      offsetof(struct sm_auth_counters, reloads_failed));
}

void sm_listeners_metrics_sample(void *ctx SM_UNUSED, struct sm_prom *p)
{
    static const struct sm_http_counters connections;
    static const struct sm_tls_counters handshakes;
    struct sm_listeners *l = sm_xcalloc(1, sizeof *l);
    l->count = 1;
    l->doors[0] = (struct door){.name = "NAME", .tls_counters = &handshakes, .counters = {&connections}, .instances = 1};
    sm_listeners_metrics(l, p);
    free(l);
}
