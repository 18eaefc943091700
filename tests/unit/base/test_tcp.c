#include "base/net/tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct sm_loop *loop;
    struct sm_tcp_listener *first, *second;
    unsigned accepted[2];
};

static void on_closed(void *ctx)
{
    (void)ctx;
}

static const struct sm_stream_events closing = {.closed = on_closed};

static void drop(struct sm_stream *stream)
{
    stream->events = &closing;
    stream->ops->close(stream);
}

static void on_first(void *ctx, struct sm_stream *stream)
{
    ((struct world *)ctx)->accepted[0]++;
    drop(stream);
}

static void on_second(void *ctx, struct sm_stream *stream)
{
    ((struct world *)ctx)->accepted[1]++;
    drop(stream);
}

static int dial(int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM, 0);
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
                               : connect(fd, (struct sockaddr *)&v6, sizeof v6);
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool works = fd >= 0 && bind(fd, (struct sockaddr *)&v6, sizeof v6) == 0;
    close(fd);
    return works;
}

Test(tcp, every_address_of_both_families)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    const char *addresses[] = {":0", "*:0", "[::]:0", "localhost:0", "127.0.0.1:0"};
    for (size_t i = 0; i < SM_ARRAY_LEN(addresses); i++) {
        uint16_t port = 0;
        struct sm_err err = {0};
        w.first = sm_tcp_listen(w.loop, addresses[i], &port, on_first, &w, &err);
        cr_assert(w.first, "%s", err.text);
        int v4 = dial(AF_INET, port);
        cr_assert_geq(v4, 0, "%s", addresses[i]);
        int v6 = i < 3 && has_ipv6() ? dial(AF_INET6, port) : v4;
        cr_assert_geq(v6, 0, "%s", addresses[i]);
        sm_tcp_listener_close(w.first);
        sm_loop_poll(w.loop);
        cr_assert_lt(dial(AF_INET, port), 0);
        if (v6 != v4)
            close(v6);
        close(v4);
    }
    sm_loop_free(w.loop);
}

/* Two workers on one port: the kernel spreads the connections, so that each gets some of many. */
Test(tcp, two_listeners_share_a_port)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    uint16_t port = 0;
    char address[32];
    int fds[200];
    w.first = sm_tcp_listen(w.loop, "127.0.0.1:0", &port, on_first, &w, NULL);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    w.second = sm_tcp_listen(w.loop, address, NULL, on_second, &w, NULL);
    cr_assert(w.first && w.second);
    for (unsigned i = 0; i < 200; i++) {
        fds[i] = dial(AF_INET, port);
        sm_loop_poll(w.loop);
    }
    while (w.accepted[0] + w.accepted[1] < 200)
        sm_loop_poll(w.loop);
    cr_assert_gt(w.accepted[0], 0);
    cr_assert_gt(w.accepted[1], 0);
    for (unsigned i = 0; i < 200; i++)
        close(fds[i]);
    sm_tcp_listener_close(w.first);
    sm_tcp_listener_close(w.second);
    sm_loop_free(w.loop);
}

static void expect_failure(struct world *w, const char *address, enum sm_rc rc)
{
    struct sm_err err = {0};
    cr_assert_null(sm_tcp_listen(w->loop, address, NULL, on_first, w, &err), "%s", address);
    cr_assert_eq(err.rc, rc, "%s: %s", address, err.text);
    cr_assert(strstr(err.text, address), "%s", err.text);
}

Test(tcp, bad_addresses)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    expect_failure(&w, "", SM_E_INVALID);
    expect_failure(&w, "127.0.0.1", SM_E_INVALID);
    expect_failure(&w, "127.0.0.1:", SM_E_INVALID);
    expect_failure(&w, "127.0.0.1:http-alt-x", SM_E_INVALID);
    expect_failure(&w, "127.0.0.1:70000", SM_E_INVALID);
    expect_failure(&w, "[::1:80", SM_E_INVALID);
    sm_loop_free(w.loop);
}

/* A port that somebody holds for himself alone. */
Test(tcp, port_in_use)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof v4;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bind(fd, (struct sockaddr *)&v4, sizeof v4);
    listen(fd, 1);
    getsockname(fd, (struct sockaddr *)&v4, &len);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(v4.sin_port));
    expect_failure(&w, address, SM_E_IO);
    cr_assert_eq(sm_tcp_check_free(address, NULL), SM_E_IO);
    close(fd);
    cr_assert_eq(sm_tcp_check_free(address, NULL), SM_OK);
    w.first = sm_tcp_listen(w.loop, address, NULL, on_first, &w, NULL);
    cr_assert(w.first);
    cr_assert_eq(sm_tcp_check_free(address, NULL), SM_E_IO); /* shared ports count as taken */
    sm_tcp_listener_close(w.first);
    sm_loop_free(w.loop);
}
