/* bench_sink: takes exports, answers success, counts. Also the floor to compare a daemon with: a server that does no
 * more than read requests and find span ids. */
#include "bench/options.h"
#include "bench/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_sink [--otlp-http PORT] [--otlp-grpc PORT] [--zipkin PORT] [--verify]\n"
    "Listens on the loopback; port 0 takes a free one. Prints `listening NAME PORT` for each, and `ready`.\n"
    "GET /stats on an HTTP port tells the totals; SIGINT and SIGTERM print them and end it.\n"
    "  --verify   also counts the spans of every trace, against the number in the generator's trace ids\n";

enum { LISTENERS = 3, BACKLOG = 128 };

struct listener {
    const char *name;
    const struct bench_reader *reader;
    bool zipkin;
    int port; /* -1: not wanted */
    int fd;
};

static struct listener listeners[LISTENERS] = {
    {"otlp-http", &bench_sink_http1, false, -1, -1},
    {"otlp-grpc", &bench_sink_grpc, false, -1, -1},
    {"zipkin", &bench_sink_http1, true, -1, -1},
};

static bool parse(int argc, char **argv)
{
    static const struct option long_options[] = {{"otlp-http", required_argument, NULL, 0},
                                                 {"otlp-grpc", required_argument, NULL, 1},
                                                 {"zipkin", required_argument, NULL, 2},
                                                 {"verify", no_argument, NULL, 'v'},
                                                 {0}};
    bool verify = false;
    int c;
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (c >= 0 && c < LISTENERS)
            listeners[c].port = (int)SM_MIN(bench_options_count(listeners[c].name, optarg), 65535);
        else if (c == 'v')
            verify = true;
        else
            bench_options_fail("%s", usage);
    }
    if (optind < argc)
        bench_options_fail("%s", usage);
    return verify;
}

static void watch(int epoll, int fd, uint32_t events, void *what, int operation)
{
    struct epoll_event e = {.events = events, .data.ptr = what};
    SM_ASSERT(epoll_ctl(epoll, operation, fd, &e) == 0);
}

static void start_listening(struct listener *l, int epoll)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)l->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int on = 1;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l->fd, (struct sockaddr *)&address, n) != 0 || listen(l->fd, BACKLOG) != 0 ||
        getsockname(l->fd, (struct sockaddr *)&address, &n) != 0)
        bench_options_fail("cannot listen on port %d: %s", l->port, strerror(errno));
    watch(epoll, l->fd, EPOLLIN, l, EPOLL_CTL_ADD);
    printf("listening %s %d\n", l->name, ntohs(address.sin_port));
}

static void accept_peer(struct bench_sink *sink, const struct listener *l, int epoll)
{
    int on = 1;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct bench_peer *peer = bench_peer_new(fd, l->reader, sink, l->zipkin);
    watch(epoll, fd, EPOLLIN, peer, EPOLL_CTL_ADD);
    if (!bench_peer_flush(peer))
        bench_peer_free(peer);
}

static void serve_peer(struct bench_peer *peer, uint32_t events, int epoll)
{
    bool wrote = bench_peer_wants_to_write(peer);
    bool alive = !(events & EPOLLOUT) || bench_peer_flush(peer);
    if (alive && (events & ~(uint32_t)EPOLLOUT))
        alive = bench_peer_on_readable(peer);
    if (!alive)
        bench_peer_free(peer);
    else if (bench_peer_wants_to_write(peer) != wrote)
        watch(epoll, peer->fd, EPOLLIN | (wrote ? 0 : EPOLLOUT), peer, EPOLL_CTL_MOD);
}

static const struct listener *listener_at(const void *p)
{
    for (uint32_t i = 0; i < LISTENERS; i++) {
        if (p == &listeners[i])
            return &listeners[i];
    }
    return NULL;
}

/* Until a signal says to end. */
static void serve(struct bench_sink *sink, int epoll)
{
    struct epoll_event events[64];
    for (;;) {
        int n = epoll_wait(epoll, events, SM_ARRAY_LEN(events), -1);
        for (int i = 0; i < n; i++) {
            const struct listener *l = listener_at(events[i].data.ptr);
            if (!events[i].data.ptr)
                return;
            if (l)
                accept_peer(sink, l, epoll);
            else
                serve_peer(events[i].data.ptr, events[i].events, epoll);
        }
    }
}

static void watch_signals(int epoll)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    watch(epoll, signalfd(-1, &signals, SFD_CLOEXEC), EPOLLIN, NULL, EPOLL_CTL_ADD);
}

int main(int argc, char **argv)
{
    struct bench_sink sink = {0};
    struct bench_buf totals = {0};
    if (parse(argc, argv))
        sink.count.whole = bench_whole_new();
    sink.gunzip = libdeflate_alloc_decompressor();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch_signals(epoll);
    for (uint32_t i = 0; i < LISTENERS; i++) {
        if (listeners[i].port >= 0)
            start_listening(&listeners[i], epoll);
    }
    printf("ready\n");
    fflush(stdout);
    serve(&sink, epoll);
    bench_peer_write_totals(&sink, &totals);
    fwrite(totals.ptr, 1, totals.len, stdout);
    bench_buf_free(&totals);
    bench_buf_free(&sink.plain);
    libdeflate_free_decompressor(sink.gunzip);
    bench_whole_free(sink.count.whole);
    return 0;
}
