/* UDP sockets under uv_poll, read with recvmmsg. */
#include "base/net/udp.h"

#include "base/log.h"
#include "base/net/address.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    SOCKETS_MAX = 8,
    BATCH = 16, /* datagrams per system call */
    TURNS = 8,  /* system calls per turn of the loop, so that other sockets get theirs */
};

struct udp_socket {
    uv_poll_t poll;
    int fd;
    uint32_t drops; /* the kernel's running count */
};

struct sm_udp {
    struct udp_socket sockets[SOCKETS_MAX];
    unsigned sockets_n, sockets_open;
    struct sm_loop *loop;
    struct sm_udp_options options;
    struct sm_payload_pool *pool;
    struct sm_udp_events events;
    void *ctx;
    struct sm_payload *slots[BATCH]; /* NULL: taken, or not needed so far */
};

/* ---- reading ---- */

/* How many slots have a payload to receive into. */
static unsigned fill_slots(struct sm_udp *udp)
{
    for (unsigned i = 0; i < BATCH; i++) {
        if (!udp->slots[i])
            udp->slots[i] = sm_payload_new(udp->pool, udp->options.datagram_bytes_max);
        if (!udp->slots[i])
            return i;
    }
    return BATCH;
}

/* After reading: what found no room before is told then, with or without a datagram behind it. */
static void note_drops(struct sm_udp *udp, struct udp_socket *s)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;
    if (getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, info, &size) || info[SK_MEMINFO_DROPS] == s->drops)
        return;
    udp->events.kernel_drops(udp->ctx, info[SK_MEMINFO_DROPS] - s->drops);
    s->drops = info[SK_MEMINFO_DROPS];
}

static void take(struct sm_udp *udp, unsigned slot, const struct mmsghdr *m)
{
    struct sm_payload *p = udp->slots[slot];
    if (m->msg_hdr.msg_flags & MSG_TRUNC) {
        udp->events.truncated(udp->ctx);
        return;
    }
    p->size = m->msg_len;
    p->arrived_ns = sm_loop_wall_ns(udp->loop);
    udp->events.datagram(udp->ctx, &udp->slots[slot]);
}

/* One system call; false when there was nothing more to read. */
static bool receive(struct sm_udp *udp, const struct udp_socket *s)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    unsigned n = fill_slots(udp);
    if (n == 0)
        return false;
    for (unsigned i = 0; i < n; i++) {
        parts[i] = (struct iovec){udp->slots[i]->data, udp->options.datagram_bytes_max};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
    }
    int got = recvmmsg(s->fd, messages, n, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++)
        take(udp, (unsigned)i, &messages[i]);
    return got == (int)n;
}

static void on_readable(uv_poll_t *poll, int status, int events SM_UNUSED)
{
    struct sm_udp *udp = poll->data;
    struct udp_socket *s = SM_CONTAINER_OF(poll, struct udp_socket, poll);
    if (status < 0)
        return;
    for (unsigned i = 0; i < TURNS && receive(udp, s); i++)
        ;
    note_drops(udp, s);
}

/* ---- opening ---- */

/* Said once: every worker finds the same. */
static void note_small_buffer(int granted, int wanted)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (granted < wanted && !atomic_flag_test_and_set(&said))
        sm_log(SM_LOG_INFO, "udp_buffer_small", sm_kv("bytes", granted), sm_kv("wanted", wanted),
               sm_kv("hint", "datagrams may get lost in bursts; raise net.core.rmem_max"));
}

static void set_options(struct sm_udp *udp, int fd)
{
    int bytes = (int)SM_MIN(udp->options.receive_buffer_bytes, (size_t)INT32_MAX / 2), granted = 0;
    socklen_t size = sizeof granted;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (!getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size))
        note_small_buffer(granted / 2, bytes); /* the kernel doubles it */
}

static int start(struct sm_udp *udp, int fd)
{
    struct udp_socket *s = &udp->sockets[udp->sockets_n];
    s->fd = fd;
    int rc = uv_poll_init(sm_loop_uv(udp->loop), &s->poll, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    s->poll.data = udp;
    udp->sockets_n++;
    udp->sockets_open++;
    return uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

/* Opens one address. SM_E_UNSUPPORTED: this machine lacks the address family. */
static enum sm_rc open_address(struct sm_udp *udp, const struct addrinfo *where, uint16_t *port, struct sm_err *err)
{
    if (*port)
        sm_address_set_port(where, *port);
    int fd = sm_address_bind(where, true);
    if (fd < 0)
        return sm_err_set(err, sm_address_family_is_missing(errno) ? SM_E_UNSUPPORTED : SM_E_IO, "%s", strerror(errno));
    *port = sm_address_bound_port(fd);
    set_options(udp, fd);
    int rc = start(udp, fd);
    return rc ? sm_err_set(err, SM_E_IO, "%s", uv_strerror(rc)) : SM_OK;
}

struct sm_udp *sm_udp_open(struct sm_loop *loop, const char *address, const struct sm_udp_options *options,
                           struct sm_payload_pool *pool, const struct sm_udp_events *events, void *ctx, uint16_t *port_bound,
                           struct sm_err *err)
{
    struct addrinfo *found = NULL;
    if (sm_address_resolve(address, SOCK_DGRAM, &found, err) != SM_OK)
        return NULL;
    struct sm_udp *udp = sm_xcalloc(1, sizeof *udp);
    *udp = (struct sm_udp){.loop = loop, .options = *options, .pool = pool, .events = *events, .ctx = ctx};
    struct sm_err cause = {SM_E_IO, "no usable address"};
    enum sm_rc rc = SM_OK;
    *port_bound = 0;
    for (struct addrinfo *where = found; where && udp->sockets_n < SOCKETS_MAX && rc == SM_OK; where = where->ai_next) {
        rc = open_address(udp, where, port_bound, &cause);
        if (rc == SM_E_UNSUPPORTED)
            rc = SM_OK; /* a family that this machine lacks is skipped, as long as another one works */
    }
    freeaddrinfo(found);
    if (rc == SM_OK && udp->sockets_n)
        return udp;
    (void)sm_err_set(err, cause.rc, "cannot receive on \"%s\": %s", address, cause.text);
    sm_udp_close(udp);
    return NULL;
}

enum sm_rc sm_udp_check_free(const char *address, struct sm_err *err)
{
    return sm_address_check_free(address, SOCK_DGRAM, err);
}

/* ---- closing ---- */

void sm_udp_drain(struct sm_udp *udp)
{
    for (unsigned i = 0; i < udp->sockets_n; i++) {
        uv_poll_stop(&udp->sockets[i].poll);
        for (unsigned k = 0; k < TURNS * TURNS && receive(udp, &udp->sockets[i]); k++)
            ;
        note_drops(udp, &udp->sockets[i]);
    }
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct sm_udp *udp = handle->data;
    if (--udp->sockets_open == 0)
        free(udp);
}

void sm_udp_close(struct sm_udp *udp)
{
    if (!udp)
        return;
    for (unsigned i = 0; i < BATCH; i++) {
        if (udp->slots[i])
            sm_payload_put(udp->slots[i]);
    }
    if (udp->sockets_n == 0) {
        free(udp);
        return;
    }
    for (unsigned i = 0; i < udp->sockets_n; i++) {
        uv_poll_stop(&udp->sockets[i].poll);
        close(udp->sockets[i].fd);
        uv_close((uv_handle_t *)&udp->sockets[i].poll, on_socket_closed);
    }
}
