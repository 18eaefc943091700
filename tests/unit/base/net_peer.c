#include "net_peer.h"

#include "base/net/grpc.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t peer_hash(const void *bytes, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
    return h;
}

static void keep(char *out, size_t size, struct sm_str s)
{
    snprintf(out, size, "%.*s", (int)SM_MIN(s.len, size - 1), s.ptr ? s.ptr : "");
}

static void remember(struct peer_server *s, struct sm_http_exchange *x)
{
    keep(s->last_path, sizeof s->last_path, x->path);
    keep(s->last_query, sizeof s->last_query, x->query);
    keep(s->last_method, sizeof s->last_method, x->method);
    keep(s->last_type, sizeof s->last_type, x->known[SM_HTTP_CONTENT_TYPE]);
    struct sm_str body = sm_http_body(x);
    s->last_body_len = body.len;
    s->last_body_hash = peer_hash(body.ptr, body.len);
    s->last_is_grpc = x->is_grpc;
    s->last_compressed = x->grpc_compressed;
}

static void on_release(void *arg)
{
    ((struct peer_server *)arg)->released++;
}

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct peer_server *s = ctx;
    s->headers_seen++;
    if (!s->refuse_headers)
        return true;
    if (x->is_grpc)
        sm_grpc_reply(x, SM_GRPC_UNAVAILABLE, SM_STR("busy"), SM_STR(""), SM_STR(""));
    else
        sm_http_reply(x, 429, "text/plain", SM_STR("busy"));
    return false;
}

static void on_grpc_request(struct peer_server *s, struct sm_http_exchange *x)
{
    if (sm_str_eq(x->path, SM_STR("/echo")))
        sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), sm_http_body(x));
    else if (sm_str_eq(x->path, SM_STR("/fail")))
        sm_grpc_reply(x, SM_GRPC_UNAVAILABLE, SM_STR("100% full\n"), SM_STR("\x08\x0e"), SM_STR(""));
    else if (sm_str_eq(x->path, SM_STR("/defer"))) {
        s->deferred[s->deferred_n++] = x;
        sm_http_defer(x);
    } else
        sm_grpc_reply(x, SM_GRPC_UNIMPLEMENTED, SM_STR("unknown method"), SM_STR(""), SM_STR(""));
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct peer_server *s = ctx;
    s->requests_seen++;
    remember(s, x);
    if (x->is_grpc) {
        on_grpc_request(s, x);
        return;
    }
    if (sm_str_eq(x->path, SM_STR("/echo"))) {
        sm_http_reply(x, 200, "application/octet-stream", sm_http_body(x));
    } else if (sm_str_eq(x->path, SM_STR("/count"))) {
        struct sm_payload *body = sm_http_take_body(x);
        char text[32];
        int n = snprintf(text, sizeof text, "%zu", body->size);
        s->last_arrived_ns = body->arrived_ns;
        sm_payload_put(body);
        sm_http_reply(x, 200, "text/plain", sm_str(text, (size_t)n));
    } else if (sm_str_eq(x->path, SM_STR("/defer"))) {
        s->deferred[s->deferred_n++] = x;
        sm_http_defer(x);
    } else if (sm_str_eq(x->path, SM_STR("/big"))) {
        struct sm_http_response response = {.status = 200,
                                            .content_type = SM_STR("application/json"),
                                            .body = sm_str(s->big, s->big_len),
                                            .release = on_release,
                                            .release_arg = s};
        sm_http_respond(x, &response);
    } else if (sm_str_eq(x->path, SM_STR("/head"))) {
        struct sm_http_header header = {SM_STR("x-echo"), sm_http_header(x, SM_STR("x-echo"))};
        struct sm_http_response response = {.status = 204, .headers = &header, .headers_n = 1};
        sm_http_respond(x, &response);
    } else if (!sm_str_eq(x->path, SM_STR("/none"))) {
        sm_http_reply(x, 202, NULL, SM_STR(""));
    }
}

static void on_abort(void *ctx, struct sm_http_exchange *x SM_UNUSED)
{
    ((struct peer_server *)ctx)->aborts_seen++;
}

static const struct sm_http_handler handler = {on_headers, on_request, on_abort};

void peer_server_open(struct peer_server *s, const struct sm_http_limits *limits)
{
    peer_server_open_behind(s, limits, &(struct sm_http_door){0});
}

void peer_server_open_behind(struct peer_server *s, const struct sm_http_limits *limits, const struct sm_http_door *door)
{
    struct sm_err err = {0};
    memset(s, 0, sizeof *s);
    s->loop = sm_loop_new(NULL, &err);
    cr_assert(s->loop, "%s", err.text);
    s->pool = sm_payload_pool_new(8 << 20);
    s->server = sm_http_server_new(s->loop, limits, s->pool, &handler, s);
    sm_http_server_set_door(s->server, door);
    cr_assert_eq(sm_http_server_listen(s->server, "127.0.0.1:0", &s->port, &err), SM_OK, "%s", err.text);
    cr_assert_neq(s->port, 0);
}

void peer_server_close(struct peer_server *s)
{
    sm_http_server_free(s->server);
    sm_loop_free(s->loop);
    sm_payload_pool_free(s->pool); /* asserts that every body came home */
    free(s->big);
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool peer_turn_until(struct peer_server *s, bool (*cond)(void *arg), void *arg)
{
    int64_t deadline = monotonic_ms() + 5000;
    while (!cond(arg)) {
        if (monotonic_ms() > deadline)
            return false;
        sm_loop_poll(s->loop);
    }
    return true;
}

struct peer_client *peer_connect(struct peer_server *s)
{
    struct peer_client *c = calloc(1, sizeof *c);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    int on = 1;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    c->server = s;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    cr_assert_eq(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
    return c;
}

void peer_disconnect(struct peer_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static void receive(struct peer_client *c)
{
    while (!c->eof && c->in_len < sizeof c->in - 1) {
        ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            c->eof = true;
            c->reset = n < 0;
            return;
        }
        c->in_len += (size_t)n;
    }
}

bool peer_send(struct peer_client *c, const void *bytes, size_t n)
{
    int64_t deadline = monotonic_ms() + 5000;
    size_t sent = 0;
    while (sent < n && monotonic_ms() < deadline) {
        ssize_t taken = send(c->fd, (const char *)bytes + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN)
            return false;
        if (taken > 0)
            sent += (size_t)taken;
        sm_loop_poll(c->server->loop);
        receive(c);
    }
    return sent == n;
}

bool peer_send_text(struct peer_client *c, const char *text)
{
    return peer_send(c, text, strlen(text));
}

unsigned peer_times(const struct peer_client *c, const char *text)
{
    unsigned times = 0;
    size_t n = strlen(text);
    for (const char *at = c->in; (at = memmem(at, c->in_len - (size_t)(at - c->in), text, n)); at += n)
        times++;
    return times;
}

struct awaited {
    struct peer_client *client;
    const char *text;
    unsigned times;
    size_t bytes;
};

static bool has_text(void *arg)
{
    struct awaited *a = arg;
    receive(a->client);
    return peer_times(a->client, a->text) >= a->times;
}

static bool has_bytes(void *arg)
{
    struct awaited *a = arg;
    receive(a->client);
    return a->client->in_len >= a->bytes;
}

static bool has_eof(void *arg)
{
    struct awaited *a = arg;
    receive(a->client);
    return a->client->eof;
}

bool peer_wait_times(struct peer_client *c, const char *text, unsigned times)
{
    return peer_turn_until(c->server, has_text, &(struct awaited){.client = c, .text = text, .times = times});
}

bool peer_wait_text(struct peer_client *c, const char *text)
{
    return peer_wait_times(c, text, 1);
}

bool peer_wait_bytes(struct peer_client *c, size_t n)
{
    return peer_turn_until(c->server, has_bytes, &(struct awaited){.client = c, .bytes = n});
}

bool peer_wait_eof(struct peer_client *c)
{
    return peer_turn_until(c->server, has_eof, &(struct awaited){.client = c});
}

void peer_settle(struct peer_client *c)
{
    for (unsigned i = 0; i < 20; i++) {
        sm_loop_poll(c->server->loop);
        receive(c);
    }
}
