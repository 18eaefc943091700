/* Feeds bytes to a connection of the HTTP server through a stream made of memory.
 *
 * The first byte chooses how the rest is cut into reads, and from 128 on puts a door in front of the handler; the second how the peer takes the replies, whether the server
 * is paused in between, and whether the stream breaks or ends. Seeds are therefore two bytes followed by what a client
 * sends. */
#include "base/net/auth.h"
#include "base/net/cors.h"
#include "base/net/grpc.h"
#include "base/net/stream.h"

#include <stdlib.h>
#include <unistd.h>

enum { DEFERRED_MAX = 512 };

struct memory_stream {
    struct sm_stream stream;
    struct sm_loop *loop;
    struct sm_loop_message closing;
    bool is_reading, is_closing, write_queued;
    uint8_t stinginess; /* 0: takes every write whole */
    unsigned writes;
    uint64_t sum;
};

static uint64_t touched; /* keeps the compiler from dropping the reads below */
static struct sm_http_exchange *deferred[DEFERRED_MAX];
static unsigned deferred_n;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(struct sm_str s)
{
    for (size_t i = 0; i < s.len; i++)
        touched = touched * 31 + (unsigned char)s.ptr[i];
}

/* ---- the stream ---- */

static struct memory_stream *memory_of(struct sm_stream *stream)
{
    return SM_CONTAINER_OF(stream, struct memory_stream, stream);
}

static void read_start(struct sm_stream *stream)
{
    memory_of(stream)->is_reading = true;
}

static void read_stop(struct sm_stream *stream)
{
    memory_of(stream)->is_reading = false;
}

static ssize_t try_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct memory_stream *m = memory_of(stream);
    SM_ASSERT(!m->is_closing && !m->write_queued);
    size_t taken = 0;
    for (size_t i = 0; i < n; i++) {
        size_t take = parts[i].iov_len;
        if (m->stinginess && ++m->writes % 3 == 0)
            take = take * m->stinginess / 256;
        touch(sm_str(parts[i].iov_base, take));
        taken += take;
        if (take < parts[i].iov_len)
            break;
    }
    return (ssize_t)taken;
}

static enum sm_rc queue_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct memory_stream *m = memory_of(stream);
    SM_ASSERT(!m->is_closing && !m->write_queued && n);
    for (size_t i = 0; i < n; i++)
        touch(sm_str(parts[i].iov_base, parts[i].iov_len));
    m->write_queued = true;
    return SM_OK;
}

static void finish(struct sm_stream *stream)
{
    SM_ASSERT(!memory_of(stream)->is_closing);
}

static void on_closing(struct sm_loop_message *message)
{
    struct memory_stream *m = SM_CONTAINER_OF(message, struct memory_stream, closing);
    m->stream.events->closed(m->stream.ctx);
    m->loop = NULL;
}

static void close_stream(struct sm_stream *stream)
{
    struct memory_stream *m = memory_of(stream);
    SM_ASSERT(!m->is_closing);
    m->is_closing = true;
    m->closing.fn = on_closing;
    sm_loop_post_message(m->loop, &m->closing);
}

static const struct sm_stream_ops memory_ops = {read_start, read_stop, try_write, queue_write, finish, close_stream};

static void settle_write(struct memory_stream *m)
{
    if (!m->write_queued || m->is_closing)
        return;
    m->write_queued = false;
    m->stream.events->written(m->stream.ctx, SM_OK);
}

/* Offers bytes as a socket would: only while they are wanted, only as much as fits. */
static size_t deliver(struct memory_stream *m, const uint8_t *data, size_t n)
{
    uint8_t *at = NULL;
    size_t room = 0;
    if (!m->is_reading || m->is_closing)
        return 0;
    m->stream.events->buffer(m->stream.ctx, &at, &room);
    SM_ASSERT(room);
    n = SM_MIN(n, room);
    memcpy(at, data, n);
    m->stream.events->bytes(m->stream.ctx, at, n);
    return n;
}

/* ---- the handler: the last letter of the path decides ---- */

static char wish(const struct sm_http_exchange *x)
{
    return x->path.len ? x->path.ptr[x->path.len - 1] : 0;
}

static void touch_request(const struct sm_http_exchange *x)
{
    touch(x->method);
    touch(x->path);
    touch(x->query);
    for (size_t i = 0; i < x->headers_n; i++) {
        touch(x->headers[i].name);
        touch(x->headers[i].value);
    }
    for (int i = 0; i < SM_HTTP_KNOWN_N; i++)
        touch(x->known[i]);
    touched += (uint64_t)sm_grpc_timeout_ns(x);
}

static void reply(struct sm_http_exchange *x, struct sm_str body)
{
    struct sm_http_header header = {SM_STR("x-type"), x->known[SM_HTTP_CONTENT_TYPE]};
    struct sm_http_response response = {.status = 200, .headers = &header, .headers_n = 1, .body = body};
    if (x->is_grpc)
        response.status = 0;
    sm_http_respond(x, &response);
}

static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    (void)ctx;
    touch_request(x);
    if (wish(x) != 'r')
        return true;
    if (x->is_grpc)
        sm_grpc_reply(x, SM_GRPC_UNAVAILABLE, x->path, x->query, SM_STR(""));
    else
        sm_http_reply(x, 429, "text/plain", x->path);
    return false;
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    (void)ctx;
    touch_request(x);
    touch(sm_http_body(x));
    if (wish(x) == 'd' && deferred_n < DEFERRED_MAX) {
        deferred[deferred_n++] = x;
        sm_http_defer(x);
    } else if (wish(x) == 't') {
        struct sm_payload *body = sm_http_take_body(x);
        reply(x, sm_str(body->data, body->size));
        sm_payload_put(body);
    } else if (wish(x) != 'n') {
        reply(x, sm_http_body(x));
    }
}

static void on_abort(void *ctx, struct sm_http_exchange *x)
{
    (void)ctx;
    touch_request(x);
}

static const struct sm_http_handler handler = {on_headers, on_request, on_abort};

static void release_nothing(void *arg)
{
    (void)arg;
}

static void complete_deferred(void)
{
    static const char large[40000];
    unsigned n = deferred_n;
    deferred_n = 0;
    for (unsigned i = 0; i < n; i++) {
        struct sm_http_response response = {.status = deferred[i]->is_grpc ? 0 : 200, .body = SM_STR("late")};
        if (i % 2)
            response = (struct sm_http_response){
                .status = response.status, .body = sm_str(large, sizeof large), .release = release_nothing};
        touch_request(deferred[i]);
        sm_http_complete(deferred[i], &response);
    }
}

/* ---- the door: token "sesame", user "a" with password "b", pages of two kinds ---- */

static const char *write_temporary(const char *text)
{
    static char paths[2][40];
    static unsigned n;
    char *path = paths[n++];
    snprintf(path, sizeof paths[0], "/tmp/spanmill-fuzz-XXXXXX");
    int fd = mkstemp(path);
    SM_ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static struct sm_http_door make_door(void)
{
    static const char *const origins[] = {"https://*.a", "*"}, *const any[] = {"*"}, *const open_paths[] = {"/o", NULL};
    const char *tokens = write_temporary("sesame\n"),
               *users = write_temporary("a:$5$rounds=1000$TkFylWw5SnPuJF.U$QJ21hNLQUTpZp13AC1MM4H3U/LTUYootGGAaB0peOz7\n");
    struct sm_err err;
    struct sm_http_door door = {.auth = sm_auth_new(tokens, users, &err), .open_paths = open_paths};
    door.cors = sm_cors_new(&(struct sm_cors_config){origins, 2, any, 1, SM_SEC}, &err);
    SM_ASSERT(door.auth && door.cors);
    unlink(tokens);
    unlink(users);
    return door;
}

/* ---- one input ---- */

static int64_t fixed_clock(void *ctx)
{
    (void)ctx;
    return INT64_C(1700000000) * SM_SEC;
}

static void feed(struct sm_http_server *server, struct sm_loop *loop, struct memory_stream *m, uint8_t cut,
                 uint8_t behaviour, const uint8_t *data, size_t size)
{
    unsigned idle = 0;
    for (unsigned step = 0; size && idle < 4 && !m->is_closing; step++) {
        size_t want = cut ? 1 + (step * 7 + cut) % (4u * cut) : size;
        size_t n = deliver(m, data, SM_MIN(want, size));
        data += n;
        size -= n;
        idle = n ? 0 : idle + 1;
        if (behaviour & 1)
            sm_http_server_pause(server, step % 4 == 1);
        if (step % 3 == 2 || !n) {
            complete_deferred();
            sm_loop_poll(loop);
            settle_write(m);
        }
        if (!n)
            sm_http_server_pause(server, false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct sm_loop *loop = sm_loop_new(&(struct sm_loop_clock){fixed_clock, NULL}, NULL);
    SM_ASSERT(loop);
    struct sm_payload_pool *pool = sm_payload_pool_new(SM_MIB);
    struct sm_http_limits limits = sm_http_limits_default;
    limits.body_bytes_max = limits.grpc_message_bytes_max = 100000;
    limits.header_bytes_max = 2048;
    limits.headers_max = 20;
    limits.discard_bytes_max = 1000;
    limits.out_bytes_max = 5000;
    limits.resets_burst = limits.controls_burst = 20;
    struct sm_http_server *server = sm_http_server_new(loop, &limits, pool, &handler, NULL);
    static struct sm_http_door door;
    if (!door.auth)
        door = make_door();
    if (data[0] & 128)
        sm_http_server_set_door(server, &door);
    struct memory_stream m = {.stream.ops = &memory_ops, .loop = loop, .stinginess = data[1] & 0xf0};
    sm_http_server_accept(server, &m.stream);
    feed(server, loop, &m, data[0] & 127, data[1], data + 2, size - 2);
    if (!m.is_closing && (data[1] & 2))
        m.stream.events->ended(m.stream.ctx, data[1] & 4 ? SM_E_CLOSED : SM_OK);
    if (data[1] & 8)
        sm_http_server_drain(server);
    complete_deferred();
    sm_loop_poll(loop);
    settle_write(&m);
    complete_deferred();
    sm_http_server_free(server);
    sm_loop_free(loop);
    SM_ASSERT(!m.loop); /* the connection has closed */
    sm_payload_pool_free(pool);
    return 0;
}
