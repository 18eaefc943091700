/* A connected byte stream, as a protocol sees it: the seam between sockets and parsers.
 *
 * tcp.c makes streams from sockets; tests and fuzzers make them from memory; a filter (TLS) is a stream that stands on
 * another one. All calls and events belong to one loop thread. The stream's maker allocates it; it is freed by its own
 * close, after the `closed` event. */
#ifndef SM_NET_STREAM_H
#define SM_NET_STREAM_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

struct sm_stream;

/* What the reader of a stream is told. ctx is stream->ctx. */
struct sm_stream_events {
    /* Asks where the next bytes shall go, so that a body can be received in place. *len must not be 0. May be asked
     * without bytes following. */
    void (*buffer)(void *ctx, uint8_t **at, size_t *len);
    /* n > 0 bytes arrived at the place handed out last; valid during the call. */
    void (*bytes)(void *ctx, uint8_t *at, size_t n);
    /* No more bytes will come. SM_OK: the peer finished sending (it may still read); otherwise the connection broke. */
    void (*ended)(void *ctx, enum sm_rc rc);
    /* The write queued last has been taken by the kernel, or failed. Not called after close. */
    void (*written)(void *ctx, enum sm_rc rc);
    /* Last event; the stream is freed when it returns. */
    void (*closed)(void *ctx);
    /* Nothing more can be read for now. Told when the read before was filled to its end, unless the stream's maker turns to others first.
     * May be NULL. */
    void (*drained)(void *ctx);
};

struct sm_stream_ops {
    void (*read_start)(struct sm_stream *stream);
    void (*read_stop)(struct sm_stream *stream);
    /* Writes what can be written at once. Bytes taken, 0 when it would block, -1 when the connection is broken. Not
     * allowed while a queued write is pending. */
    ssize_t (*try_write)(struct sm_stream *stream, const struct iovec *parts, size_t n);
    /* Queues the parts (at most SM_STREAM_PARTS_MAX); their memory stays the writer's and must live until `written`.
     * One queued write at a time. Returns SM_E_CLOSED when the connection is known to be broken; no event follows then.
     */
    enum sm_rc (*write)(struct sm_stream *stream, const struct iovec *parts, size_t n);
    /* Tells the peer that nothing more will be sent; reading goes on. */
    void (*finish)(struct sm_stream *stream);
    /* Drops the connection; `closed` follows in a later turn. Call it once. */
    void (*close)(struct sm_stream *stream);
};

enum { SM_STREAM_PARTS_MAX = 4 };

struct sm_stream {
    const struct sm_stream_ops *ops;
    const struct sm_stream_events *events; /* set by the reader before read_start */
    void *ctx;
};

#endif
