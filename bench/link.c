#include "bench/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t bench_link_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SM_SEC + t.tv_nsec;
}

enum sm_rc bench_link_fail(struct bench_link *link, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(link->error, sizeof link->error, format, args);
    va_end(args);
    return SM_E_INVALID;
}

static int connect_once(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

static void set_up_socket(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

enum sm_rc bench_link_open(struct bench_link *link, const char *host, const char *port, int64_t patience_ns)
{
    struct addrinfo hints = {.ai_socktype = link->protocol->datagrams ? SOCK_DGRAM : SOCK_STREAM}, *address;
    if (getaddrinfo(host, port, &hints, &address) != 0)
        return bench_link_fail(link, "cannot resolve %s", host);
    int64_t give_up_ns = bench_link_now_ns() + patience_ns;
    while ((link->fd = connect_once(address)) < 0 && errno == ECONNREFUSED && bench_link_now_ns() < give_up_ns)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    freeaddrinfo(address);
    if (link->fd < 0)
        return bench_link_fail(link, "cannot connect to %s:%s: %s", host, port, strerror(errno));
    set_up_socket(link->fd);
    link->protocol->open(link);
    return SM_OK;
}

void bench_link_close(struct bench_link *link)
{
    link->protocol->close(link);
    close(link->fd);
}

void bench_link_add_piece(struct bench_link *link, const void *bytes, size_t n)
{
    SM_ASSERT(link->iov_n < BENCH_LINK_PIECES);
    link->iov[link->iov_n++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
}

static enum sm_rc hand_over_input(struct bench_link *link)
{
    size_t used = 0;
    enum sm_rc rc = link->protocol->receive(link, link->input, link->input_n, &used, bench_link_now_ns());
    link->input_n -= used;
    memmove(link->input, link->input + used, link->input_n);
    if (rc == SM_OK && link->input_n == sizeof link->input)
        return bench_link_fail(link, "a reply is too large");
    return rc;
}

enum sm_rc bench_link_receive(struct bench_link *link)
{
    for (;;) {
        size_t room = sizeof link->input - link->input_n;
        ssize_t n = recv(link->fd, link->input + link->input_n, room, 0);
        if (n < 0 && errno == EAGAIN)
            return SM_OK;
        if (n <= 0) {
            bench_link_fail(link, "the server closed the connection%s%s", n ? ": " : "", n ? strerror(errno) : "");
            return SM_E_CLOSED;
        }
        link->input_n += (size_t)n;
        enum sm_rc rc = hand_over_input(link);
        if (rc != SM_OK)
            return rc;
        if ((size_t)n < room)
            return SM_OK;
    }
}

static void forget_written(struct bench_link *link, size_t n)
{
    while (n && n >= link->iov[link->iov_at].iov_len)
        n -= link->iov[link->iov_at++].iov_len;
    if (n) {
        link->iov[link->iov_at].iov_base = (char *)link->iov[link->iov_at].iov_base + n;
        link->iov[link->iov_at].iov_len -= n;
    }
}

enum sm_rc bench_link_pump(struct bench_link *link)
{
    for (;;) {
        if (link->iov_at == link->iov_n) {
            link->iov_at = link->iov_n = 0;
            link->wait_until_ns = INT64_MAX;
            link->protocol->stage(link, bench_link_now_ns());
            if (link->iov_n == 0)
                return SM_OK;
        }
        struct msghdr message = {.msg_iov = link->iov + link->iov_at, .msg_iovlen = link->iov_n - link->iov_at};
        ssize_t n = sendmsg(link->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            link->full = true;
            return SM_OK;
        }
        if (n < 0)
            return bench_link_fail(link, "cannot send: %s", strerror(errno));
        forget_written(link, (size_t)n);
    }
}

/* One varint; returns bytes used, 0 when malformed. */
static size_t read_varint(const uint8_t *p, size_t n, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n && i < 10; i++) {
        *value |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80)
            return i + 1;
    }
    return 0;
}

/* partial_success is field 1; in it rejected_spans is field 1 and comes first. */
uint64_t bench_link_rejected_spans(const uint8_t *response, size_t n)
{
    uint64_t length, rejected;
    if (n < 2 || response[0] != 0x0a)
        return 0;
    size_t used = read_varint(response + 1, n - 1, &length);
    const uint8_t *partial = response + 1 + used;
    size_t left = n - 1 - used;
    if (!used || length > left || length < 2 || partial[0] != 0x08)
        return 0;
    return read_varint(partial + 1, length - 1, &rejected) ? rejected : 0;
}
