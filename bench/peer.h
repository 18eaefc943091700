/* One connection of the sink: collects input, hands it to the protocol's reader (sink_http1.c, sink_grpc.c), sends the
 * replies that the reader leaves in `out`. One thread. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "bench/buf.h"
#include "bench/count.h"

#include <libdeflate.h>

/* What all connections of a sink share. */
struct bench_sink {
    struct bench_count count;
    uint64_t requests;
    uint64_t bytes; /* of bodies, as they came */
    uint64_t malformed;
    struct libdeflate_decompressor *gunzip;
    struct bench_buf plain; /* the body that was unpacked last */
};

struct bench_peer;

struct bench_reader {
    void (*open)(struct bench_peer *peer);
    /* Takes whole messages; *used bytes are consumed, *wanted bytes make the next one complete when known. False: hang
     * up. */
    bool (*receive)(struct bench_peer *peer, const uint8_t *bytes, size_t n, size_t *used, size_t *wanted);
    void (*close)(struct bench_peer *peer);
};

struct bench_peer {
    int fd;
    const struct bench_reader *reader;
    void *state; /* the reader's */
    struct bench_sink *sink;
    bool zipkin; /* bodies are Zipkin JSON, else OTLP */
    struct bench_buf in;
    struct bench_buf out;
    size_t out_at;
};

extern const struct bench_reader bench_sink_http1;
extern const struct bench_reader bench_sink_grpc;

struct bench_peer *bench_peer_new(int fd, const struct bench_reader *reader, struct bench_sink *sink,
                                  bool zipkin) SM_MUST_USE;
/* Closes the socket. */
void bench_peer_free(struct bench_peer *peer);

/* Reads once, replies. False: the connection is over. */
bool bench_peer_on_readable(struct bench_peer *peer);
/* Sends what is left of the replies. False: the connection is over. */
bool bench_peer_flush(struct bench_peer *peer);
static inline bool bench_peer_wants_to_write(const struct bench_peer *peer)
{
    return peer->out_at < peer->out.len;
}

/* Counts a request's body; false: malformed. */
bool bench_peer_count(struct bench_peer *peer, const uint8_t *body, size_t n, bool gzip);

/* The sink's totals as one line of JSON. */
void bench_peer_write_totals(const struct bench_sink *sink, struct bench_buf *out);

#endif
