/* The HTTP server's public side: set-up, replies from any thread, pausing, draining, limits and counters. */
#include "base/net/auth.h"
#include "base/net/http_impl.h"
#include "base/net/tls.h"

#include <stdlib.h>
#include <time.h>

const struct sm_http_limits sm_http_limits_default = {
    .connections_max = 10000,
    .header_bytes_max = 32 * 1024,
    .headers_max = 100,
    .body_bytes_max = 16 * SM_MIB,
    .grpc_message_bytes_max = 16 * SM_MIB,
    .discard_bytes_max = 256 * SM_KIB,
    .out_bytes_max = SM_MIB,
    .header_ns = 60 * SM_SEC,
    .request_ns = 11 * SM_SEC,
    .idle_ns = 60 * SM_SEC,
    .write_ns = 30 * SM_SEC,
    .connection_grace_ns = 30 * SM_SEC,
    .linger_ns = 2 * SM_SEC,
    .streams_max = 250,
    .stream_window_bytes = SM_MIB,
    .connection_window_bytes = 8 * SM_MIB,
    .resets_burst = 500,
    .resets_per_second = 50,
    .controls_burst = 1000,
    .controls_per_second = 200,
    .continuations_max = 8,
};

/* ---- small helpers shared with the protocols ---- */

const char *sm_http_status_text(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++) {
        if (texts[i].status == status)
            return texts[i].text;
    }
    return "Status";
}

/* A value that holds a line end would let its author write headers of his own. */
bool sm_http_header_is_sendable(const struct sm_http_header *header)
{
    for (size_t i = 0; i < header->value.len; i++) {
        unsigned char c = (unsigned char)header->value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return header->name.len > 0;
}

void sm_http_release(const struct sm_http_response *response)
{
    if (response->release)
        response->release(response->release_arg);
}

static void format_date(char *out, size_t size, int64_t second)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t at = (time_t)second;
    struct tm tm;
    gmtime_r(&at, &tm);
    snprintf(out, size, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

struct sm_str sm_http_server_date(struct sm_http_server *server)
{
    int64_t second = sm_loop_wall_ns(server->loop) / SM_SEC;
    if (second != server->date_second || !server->date[0]) {
        server->date_second = second;
        format_date(server->date, sizeof server->date, second);
    }
    return sm_str_c(server->date);
}

/* ---- server ---- */

static void on_timer(void *arg)
{
    struct sm_http_server *server = arg;
    uint64_t now_ms = sm_loop_now_ms(server->loop);
    for (struct sm_conn *conn = server->conns, *next; conn; conn = next) {
        next = conn->next;
        sm_conn_tick(conn, now_ms);
    }
}

/* Time-outs are checked four times within the shortest of them, at most once in 5 ms, at least once a second. */
static int64_t timer_period_ns(const struct sm_http_limits *limits)
{
    int64_t shortest = SM_MIN(SM_MIN(limits->header_ns, limits->request_ns),
                              SM_MIN(SM_MIN(limits->idle_ns, limits->write_ns), limits->linger_ns));
    if (limits->connection_age_ns)
        shortest = SM_MIN(shortest, SM_MIN(limits->connection_age_ns, limits->connection_grace_ns));
    return SM_MAX(5 * SM_MS, SM_MIN(shortest / 4, SM_SEC));
}

struct sm_http_server *sm_http_server_new(struct sm_loop *loop, const struct sm_http_limits *limits,
                                          struct sm_payload_pool *pool, const struct sm_http_handler *handler,
                                          void *ctx)
{
    struct sm_http_server *server = sm_xcalloc(1, sizeof *server);
    server->loop = loop;
    server->limits = limits ? *limits : sm_http_limits_default;
    server->pool = pool;
    server->handler = handler;
    server->ctx = ctx;
    server->timer = sm_loop_timer_new(loop, timer_period_ns(&server->limits), on_timer, server);
    return server;
}

void sm_http_server_accept(struct sm_http_server *server, struct sm_stream *stream)
{
    sm_conn_new(server, stream);
}

static void on_accept(void *ctx, struct sm_stream *stream)
{
    struct sm_http_server *server = ctx;
    if (server->tls && server->conns_n < server->limits.connections_max)
        stream = sm_tls_port_accept(server->tls, stream);
    sm_http_server_accept(server, stream);
}

void sm_http_server_set_door(struct sm_http_server *server, const struct sm_http_door *door)
{
    SM_ASSERT(!server->listeners_n);
    if (door->tls)
        server->tls = sm_tls_port_new(door->tls, server->loop);
    if (door->auth)
        server->auth = sm_auth_port_new(door->auth);
    server->cors = door->cors;
    server->open_paths = door->open_paths;
    server->has_door = door->auth || door->cors;
}

enum sm_rc sm_http_server_listen(struct sm_http_server *server, const char *address, uint16_t *port_bound,
                                 struct sm_err *err)
{
    struct sm_err cause = {0};
    struct sm_tcp_listener *listener = sm_tcp_listen(server->loop, address, port_bound, on_accept, server, &cause);
    if (!listener)
        return sm_err_set(err, cause.rc, "%s", cause.text);
    server->listeners = sm_xrealloc(server->listeners, (server->listeners_n + 1) * sizeof(struct sm_tcp_listener *));
    server->listeners[server->listeners_n++] = listener;
    return SM_OK;
}

static void close_listeners(struct sm_http_server *server)
{
    for (size_t i = 0; i < server->listeners_n; i++)
        sm_tcp_listener_close(server->listeners[i]);
    server->listeners_n = 0;
}

void sm_http_server_pause(struct sm_http_server *server, bool paused)
{
    if (server->is_paused == paused)
        return;
    server->is_paused = paused;
    for (struct sm_conn *conn = server->conns; conn; conn = conn->next)
        sm_conn_resume(conn);
}

void sm_http_server_drain(struct sm_http_server *server)
{
    close_listeners(server);
    server->is_draining = true;
    for (struct sm_conn *conn = server->conns; conn; conn = conn->next)
        sm_conn_drain(conn);
}

void sm_http_server_unref(struct sm_http_server *server)
{
    if (!server->is_freed || server->conns_n || server->deferred_n || server->flush_posted)
        return;
    while (server->idle_exchanges) {
        struct sm_exchange *x = server->idle_exchanges;
        server->idle_exchanges = x->next;
        sm_exchange_destroy(x);
    }
    sm_http2_free_shared(server);
    sm_auth_port_free(server->auth);
    free(server->listeners);
    free(server);
}

void sm_http_server_free(struct sm_http_server *server)
{
    if (!server)
        return;
    close_listeners(server);
    sm_loop_timer_free(server->timer);
    sm_tls_port_free(server->tls);
    for (struct sm_conn *conn = server->conns; conn; conn = conn->next)
        sm_conn_close(conn);
    server->is_freed = true;
    sm_http_server_unref(server);
}

const struct sm_http_counters *sm_http_server_counters(const struct sm_http_server *server)
{
    return &server->counters;
}

/* ---- exchanges, as handlers see them ---- */

static struct sm_exchange *exchange_of(struct sm_http_exchange *x)
{
    return SM_CONTAINER_OF(x, struct sm_exchange, pub);
}

static const struct sm_exchange *exchange_of_const(const struct sm_http_exchange *x)
{
    return SM_CONTAINER_OF(x, const struct sm_exchange, pub);
}

struct sm_str sm_http_header(const struct sm_http_exchange *x, struct sm_str name)
{
    for (size_t i = 0; i < x->headers_n; i++) {
        if (sm_str_eq(x->headers[i].name, name))
            return x->headers[i].value;
    }
    return (struct sm_str){0};
}

struct sm_str sm_http_body(const struct sm_http_exchange *x)
{
    const struct sm_payload *body = exchange_of_const(x)->body;
    return body ? sm_str(body->data, body->size) : SM_STR("");
}

struct sm_payload *sm_http_take_body(struct sm_http_exchange *x)
{
    struct sm_exchange *e = exchange_of(x);
    struct sm_payload *body = e->body;
    e->body = NULL;
    if (body)
        return body;
    body = sm_payload_new(e->server->pool, 0);
    if (body)
        body->arrived_ns = sm_loop_wall_ns(e->server->loop);
    return body;
}

int64_t sm_http_wall_ns(const struct sm_http_exchange *x)
{
    return sm_loop_wall_ns(exchange_of_const(x)->server->loop);
}

void sm_http_respond(struct sm_http_exchange *x, const struct sm_http_response *response)
{
    struct sm_exchange *e = exchange_of(x);
    SM_ASSERT(e->state == SM_EXCHANGE_RECEIVING || e->state == SM_EXCHANGE_HANDLING);
    e->conn->protocol->respond(e, response);
}

void sm_http_reply(struct sm_http_exchange *x, uint16_t status, const char *content_type, struct sm_str body)
{
    struct sm_http_response response = {.status = status, .body = body};
    if (content_type)
        response.content_type = sm_str_c(content_type);
    sm_http_respond(x, &response);
}

void sm_http_defer(struct sm_http_exchange *x)
{
    struct sm_exchange *e = exchange_of(x);
    SM_ASSERT(e->state == SM_EXCHANGE_HANDLING);
    e->state = SM_EXCHANGE_DEFERRED;
    e->server->deferred_n++;
}

static void on_complete(struct sm_loop_message *message)
{
    struct sm_exchange *x = SM_CONTAINER_OF(message, struct sm_exchange, completion);
    struct sm_http_server *server = x->server;
    struct sm_conn *conn = x->conn;
    struct sm_http_response response = x->response;
    memset(&x->response, 0, sizeof x->response);
    server->deferred_n--;
    if (conn && !conn->is_closing) {
        conn->protocol->respond(x, &response);
        sm_conn_resume(conn);
        return;
    }
    sm_http_release(&response);
    sm_exchange_release(x);
    sm_http_server_unref(server);
}

void sm_http_complete(struct sm_http_exchange *x, const struct sm_http_response *response)
{
    struct sm_exchange *e = exchange_of(x);
    e->response = *response;
    e->completion.fn = on_complete;
    sm_loop_post_message(e->server->loop, &e->completion);
}
