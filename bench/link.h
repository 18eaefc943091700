/* One connection of the sender: bytes out by gathered writes of prebuilt pieces, bytes in to the protocol's reader.
 *
 * The protocol (send_http1.c, send_grpc.c) stages pieces in `iov`; they stay valid until all were written.
 * Edge-triggered: the owner calls bench_link_receive and bench_link_pump whenever the socket or the feed may have
 * moved. One thread. */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include "bench/feed.h"

#include <sys/uio.h>

enum { BENCH_LINK_PIECES = 192, BENCH_LINK_INPUT_BYTES = 128 * 1024, BENCH_LINK_FLIGHTS_MAX = 64 };

/* A request that has no reply yet. */
struct bench_flight {
    struct bench_body *body;
    int64_t sent_ns;
};

struct bench_link;

struct bench_protocol {
    void (*open)(struct bench_link *link);
    /* Adds pieces to link->iov if there is something to send; sets link->wait_until_ns when the feed says so. */
    void (*stage)(struct bench_link *link, int64_t now_ns);
    /* Takes whole messages from the input; *used bytes are consumed. Not SM_OK: link->error says why. */
    enum sm_rc (*receive)(struct bench_link *link, const uint8_t *bytes, size_t n, size_t *used, int64_t now_ns);
    void (*close)(struct bench_link *link);
    bool datagrams; /* UDP; what is staged at once is one datagram */
};

struct bench_link {
    int fd;
    const struct bench_protocol *protocol;
    void *state; /* the protocol's */
    struct bench_feed *feed;
    const char *authority; /* host:port */
    const char *path;
    const char *content_type;
    const char *coding; /* content encoding; NULL: none */
    uint32_t accepted_status; /* HTTP/1: the one good status */
    uint32_t depth;           /* requests in flight at most */
    int64_t wait_until_ns;
    struct iovec iov[BENCH_LINK_PIECES];
    uint32_t iov_n;
    uint32_t iov_at;
    bool full; /* the socket takes no more until it says so */
    uint8_t input[BENCH_LINK_INPUT_BYTES];
    size_t input_n;
    char error[256];
};

extern const struct bench_protocol bench_send_http1;
extern const struct bench_protocol bench_send_grpc;
extern const struct bench_protocol bench_send_udp;

/* Connects; tries again for up to `patience_ns` while nobody listens. */
enum sm_rc bench_link_open(struct bench_link *link, const char *host, const char *port,
                           int64_t patience_ns) SM_MUST_USE;
void bench_link_close(struct bench_link *link);

/* Reads all there is. SM_E_CLOSED: the server hung up. */
enum sm_rc bench_link_receive(struct bench_link *link) SM_MUST_USE;
/* Writes and stages until the socket is full or there is nothing to send. */
enum sm_rc bench_link_pump(struct bench_link *link) SM_MUST_USE;

void bench_link_add_piece(struct bench_link *link, const void *bytes, size_t n);
enum sm_rc bench_link_fail(struct bench_link *link, const char *format, ...) SM_PRINTF(2, 3);

int64_t bench_link_now_ns(void);

/* Number of rejected spans in an ExportTraceServiceResponse. */
uint64_t bench_link_rejected_spans(const uint8_t *response, size_t n);

#endif
