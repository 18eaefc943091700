/* Sockets over libuv: SO_REUSEPORT listeners opened by hand, and the stream that stands on an accepted socket. */
#include "base/net/tcp.h"

#include "base/log.h"
#include "base/net/address.h"
#include "base/net/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { BACKLOG = 1024, SOCKETS_MAX = 8 };

/* To libuv a socket in the file system is a pipe. */
union any_socket {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct tcp_stream {
    struct sm_stream stream;
    union any_socket socket;
    uv_write_t write;
    uv_shutdown_t shutdown;
};

struct sm_tcp_listener {
    union any_socket sockets[SOCKETS_MAX];
    unsigned sockets_n, sockets_open;
    void (*on_accept)(void *ctx, struct sm_stream *stream);
    void *ctx;
};

static struct tcp_stream *tcp_of(struct sm_stream *stream)
{
    return SM_CONTAINER_OF(stream, struct tcp_stream, stream);
}

static void on_buffer(uv_handle_t *handle, size_t suggested SM_UNUSED, uv_buf_t *buf)
{
    struct sm_stream *stream = handle->data;
    uint8_t *at = NULL;
    size_t len = 0;
    stream->events->buffer(stream->ctx, &at, &len);
    *buf = uv_buf_init((char *)at, (unsigned)len);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct sm_stream *stream = handle->data;
    if (n > 0)
        stream->events->bytes(stream->ctx, (uint8_t *)buf->base, (size_t)n);
    else if (n < 0)
        stream->events->ended(stream->ctx, n == UV_EOF ? SM_OK : SM_E_CLOSED);
    else if (stream->events->drained)
        stream->events->drained(stream->ctx);
}

static void tcp_read_start(struct sm_stream *stream)
{
    uv_read_start(&tcp_of(stream)->socket.stream, on_buffer, on_read);
}

static void tcp_read_stop(struct sm_stream *stream)
{
    uv_read_stop(&tcp_of(stream)->socket.stream);
}

static void parts_to_bufs(const struct iovec *parts, size_t n, uv_buf_t *bufs)
{
    SM_ASSERT(n <= SM_STREAM_PARTS_MAX);
    for (size_t i = 0; i < n; i++)
        bufs[i] = uv_buf_init(parts[i].iov_base, (unsigned)parts[i].iov_len);
}

static ssize_t tcp_try_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    uv_buf_t bufs[SM_STREAM_PARTS_MAX];
    parts_to_bufs(parts, n, bufs);
    int rc = uv_try_write(&tcp_of(stream)->socket.stream, bufs, (unsigned)n);
    if (rc == UV_EAGAIN)
        return 0;
    return rc < 0 ? -1 : rc;
}

static void on_written(uv_write_t *write, int status)
{
    struct sm_stream *stream = write->handle->data;
    if (status != UV_ECANCELED)
        stream->events->written(stream->ctx, status ? SM_E_CLOSED : SM_OK);
}

static enum sm_rc tcp_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct tcp_stream *tcp = tcp_of(stream);
    uv_buf_t bufs[SM_STREAM_PARTS_MAX];
    parts_to_bufs(parts, n, bufs);
    return uv_write(&tcp->write, &tcp->socket.stream, bufs, (unsigned)n, on_written) ? SM_E_CLOSED : SM_OK;
}

static void tcp_finish(struct sm_stream *stream)
{
    struct tcp_stream *tcp = tcp_of(stream);
    uv_shutdown(&tcp->shutdown, &tcp->socket.stream, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    struct sm_stream *stream = handle->data;
    stream->events->closed(stream->ctx);
    free(tcp_of(stream));
}

static void tcp_close(struct sm_stream *stream)
{
    uv_close(&tcp_of(stream)->socket.handle, on_closed);
}

static const struct sm_stream_ops tcp_ops = {
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .try_write = tcp_try_write,
    .write = tcp_write,
    .finish = tcp_finish,
    .close = tcp_close,
};

static void on_refused_closed(uv_handle_t *handle)
{
    free(tcp_of(handle->data));
}

static int init_socket(uv_loop_t *loop, union any_socket *socket, bool is_pipe)
{
    return is_pipe ? uv_pipe_init(loop, &socket->pipe, 0) : uv_tcp_init(loop, &socket->tcp);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct sm_tcp_listener *listener = server->data;
    if (status < 0) { /* most often: no descriptors left */
        sm_log(SM_LOG_WARN, "accept_failed", sm_kv("error", uv_strerror(status)));
        return;
    }
    struct tcp_stream *tcp = sm_xcalloc(1, sizeof *tcp);
    tcp->stream.ops = &tcp_ops;
    init_socket(server->loop, &tcp->socket, server->type == UV_NAMED_PIPE);
    tcp->socket.handle.data = &tcp->stream;
    if (uv_accept(server, &tcp->socket.stream)) {
        uv_close(&tcp->socket.handle, on_refused_closed);
        return;
    }
    if (server->type == UV_TCP)
        uv_tcp_nodelay(&tcp->socket.tcp, 1);
    listener->on_accept(listener->ctx, &tcp->stream);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct sm_tcp_listener *listener = handle->data;
    if (--listener->sockets_open == 0)
        free(listener);
}

static int listen_on(struct sm_tcp_listener *listener, struct sm_loop *loop, int fd, bool is_pipe)
{
    union any_socket *socket = &listener->sockets[listener->sockets_n];
    int rc = init_socket(sm_loop_uv(loop), socket, is_pipe);
    if (rc) {
        close(fd);
        return rc;
    }
    socket->handle.data = listener;
    listener->sockets_n++;
    listener->sockets_open++;
    rc = is_pipe ? uv_pipe_open(&socket->pipe, fd) : uv_tcp_open(&socket->tcp, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    return uv_listen(&socket->stream, BACKLOG, on_connection);
}

/* Opens one address. SM_E_UNSUPPORTED: this machine lacks the address family. */
static enum sm_rc open_address(struct sm_tcp_listener *listener, struct sm_loop *loop, struct addrinfo *where,
                               uint16_t *port, struct sm_err *err)
{
    if (*port)
        sm_address_set_port(where, *port);
    int fd = sm_address_bind(where, true);
    if (fd < 0)
        return sm_err_set(err, sm_address_family_is_missing(errno) ? SM_E_UNSUPPORTED : SM_E_IO, "%s", strerror(errno));
    *port = sm_address_bound_port(fd);
    int rc = listen_on(listener, loop, fd, false);
    return rc ? sm_err_set(err, SM_E_IO, "%s", uv_strerror(rc)) : SM_OK;
}

/* A socket of somebody else's: libuv gets a descriptor of its own to close. */
static enum sm_rc open_shared(struct sm_tcp_listener *listener, struct sm_loop *loop, int fd, struct sm_err *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    int own = getsockname(fd, (struct sockaddr *)&address, &len) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return sm_err_set(err, SM_E_IO, "%s", strerror(errno));
    int rc = listen_on(listener, loop, own, address.ss_family == AF_UNIX);
    return rc ? sm_err_set(err, SM_E_IO, "%s", uv_strerror(rc)) : SM_OK;
}

/* Every address that the name has. */
static enum sm_rc open_all(struct sm_tcp_listener *listener, struct sm_loop *loop, const char *address, uint16_t *port,
                           struct sm_err *cause)
{
    struct addrinfo *found = NULL;
    enum sm_rc rc = sm_address_resolve(address, SOCK_STREAM, &found, cause);
    if (rc != SM_OK)
        return rc;
    for (struct addrinfo *where = found; where && listener->sockets_n < SOCKETS_MAX; where = where->ai_next) {
        rc = open_address(listener, loop, where, port, cause);
        if (rc == SM_E_UNSUPPORTED)
            rc = SM_OK; /* a family that this machine lacks is skipped, as long as another one works */
        if (rc != SM_OK)
            break;
    }
    freeaddrinfo(found);
    return rc;
}

struct sm_tcp_listener *sm_tcp_listen(struct sm_loop *loop, const char *address, uint16_t *port_bound,
                                      void (*on_accept)(void *ctx, struct sm_stream *stream), void *ctx,
                                      struct sm_err *err)
{
    struct sm_tcp_listener *listener = sm_xcalloc(1, sizeof *listener);
    listener->on_accept = on_accept;
    listener->ctx = ctx;
    uint16_t port = 0;
    struct sm_err cause = {SM_E_IO, "no usable address"};
    bool is_shared = address[0] == '@';
    enum sm_rc rc = is_shared ? open_shared(listener, loop, (int)strtol(address + 1, NULL, 10), &cause)
                              : open_all(listener, loop, address, &port, &cause);
    if (rc != SM_OK || listener->sockets_n == 0) {
        (void)sm_err_set(err, cause.rc, "cannot listen on \"%s\": %s", address, cause.text);
        sm_tcp_listener_close(listener);
        return NULL;
    }
    if (port_bound)
        *port_bound = port;
    return listener;
}

enum sm_rc sm_tcp_check_free(const char *address, struct sm_err *err)
{
    const char *path = sm_unix_path(address);
    return path ? sm_unix_check_free(path, err) : sm_address_check_free(address, SOCK_STREAM, err);
}

void sm_tcp_listener_close(struct sm_tcp_listener *listener)
{
    if (listener->sockets_n == 0) {
        free(listener);
        return;
    }
    for (unsigned i = 0; i < listener->sockets_n; i++)
        uv_close(&listener->sockets[i].handle, on_socket_closed);
}
