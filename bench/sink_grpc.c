/* Receiving over gRPC: frames by hand, nghttp2 for header compression. Any path is taken for Export. */
#include "bench/peer.h"

#include "bench/h2.h"

#include <nghttp2/nghttp2.h>

enum {
    GRPC_PREFIX = 5,
    STREAMS_MAX = 256,
    WINDOW_STREAM = 16 << 20,
    WINDOW_CONNECTION = 64 << 20,
    REPLENISH_BYTES = 4 << 20,
    MESSAGE_BYTES_MAX = 256 << 20,
    PREFACE_BYTES = sizeof BENCH_H2_PREFACE - 1,
};

struct stream {
    uint32_t id; /* 0: free */
    size_t unreported;
    struct bench_buf body; /* kept when the stream is done: the next one reuses it */
};

struct grpc_state {
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    bool preface_seen;
    struct stream streams[STREAMS_MAX];
    uint32_t headers_stream;
    size_t unreported;
};

static void grpc_open(struct bench_peer *peer)
{
    struct grpc_state *st = sm_xcalloc(1, sizeof *st);
    struct bench_buf settings = {0};
    SM_ASSERT(nghttp2_hd_deflate_new(&st->deflater, 4096) == 0);
    SM_ASSERT(nghttp2_hd_inflate_new(&st->inflater) == 0);
    bench_h2_put_setting(&settings, BENCH_H2_SET_MAX_CONCURRENT_STREAMS, STREAMS_MAX);
    bench_h2_put_setting(&settings, BENCH_H2_SET_INITIAL_WINDOW_SIZE, WINDOW_STREAM);
    bench_h2_put_frame(&peer->out, BENCH_H2_SETTINGS, 0, 0, settings.ptr, settings.len);
    bench_h2_put_window_update(&peer->out, 0, WINDOW_CONNECTION - BENCH_H2_WINDOW_DEFAULT);
    bench_buf_free(&settings);
    peer->state = st;
}

static void grpc_close(struct bench_peer *peer)
{
    struct grpc_state *st = peer->state;
    nghttp2_hd_deflate_del(st->deflater);
    nghttp2_hd_inflate_del(st->inflater);
    for (uint32_t i = 0; i < STREAMS_MAX; i++)
        bench_buf_free(&st->streams[i].body);
    free(st);
}

static struct stream *stream_of(struct grpc_state *st, uint32_t id)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++) {
        if (st->streams[i].id == id)
            return &st->streams[i];
    }
    return NULL;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

static void put_headers(struct bench_peer *peer, uint32_t stream, uint8_t flags, nghttp2_nv *headers, size_t n)
{
    struct grpc_state *st = peer->state;
    uint8_t block[512];
    ssize_t block_n = nghttp2_hd_deflate_hd(st->deflater, block, sizeof block, headers, n);
    SM_ASSERT(block_n > 0);
    bench_h2_put_frame(&peer->out, BENCH_H2_HEADERS, flags | BENCH_H2_END_HEADERS, stream, block, (size_t)block_n);
}

static void reply(struct bench_peer *peer, uint32_t stream, bool ok)
{
    static const uint8_t empty_message[GRPC_PREFIX];
    nghttp2_nv head[] = {header(":status", "200"), header("content-type", "application/grpc")};
    nghttp2_nv good[] = {header("grpc-status", "0")}, bad[] = {header("grpc-status", "3")};
    put_headers(peer, stream, 0, head, SM_ARRAY_LEN(head));
    if (ok)
        bench_h2_put_frame(&peer->out, BENCH_H2_DATA, 0, stream, empty_message, sizeof empty_message);
    put_headers(peer, stream, BENCH_H2_END_STREAM, ok ? good : bad, 1);
}

static void finish(struct bench_peer *peer, struct stream *s)
{
    const struct bench_buf *b = &s->body;
    bool framed = b->len >= GRPC_PREFIX && sm_load_be32(b->ptr + 1) == b->len - GRPC_PREFIX;
    bool ok = framed && bench_peer_count(peer, b->ptr + GRPC_PREFIX, b->len - GRPC_PREFIX, b->ptr[0] != 0);
    peer->sink->malformed += !framed;
    reply(peer, s->id, ok);
    bench_buf_clear(&s->body);
    s->id = 0;
    s->unreported = 0;
}

static bool on_headers(struct bench_peer *peer, const struct bench_h2_frame *frame, const uint8_t *p)
{
    struct grpc_state *st = peer->state;
    size_t n = frame->length;
    int final = (frame->flags & BENCH_H2_END_HEADERS) != 0;
    if (!bench_h2_strip(frame, &p, &n))
        return false;
    if (frame->type == BENCH_H2_HEADERS) {
        struct stream *s = stream_of(st, 0);
        if (!s || stream_of(st, frame->stream))
            return false;
        s->id = frame->stream;
    }
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(st->inflater, &nv, &flags, p, n, final);
        if (used < 0)
            return false;
        p += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return nghttp2_hd_inflate_end_headers(st->inflater) == 0;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
            return true;
    }
}

static void replenish(struct bench_peer *peer, struct stream *s, size_t n)
{
    struct grpc_state *st = peer->state;
    st->unreported += n;
    s->unreported += n;
    if (st->unreported > REPLENISH_BYTES) {
        bench_h2_put_window_update(&peer->out, 0, (uint32_t)st->unreported);
        st->unreported = 0;
    }
    if (s->unreported > REPLENISH_BYTES) {
        bench_h2_put_window_update(&peer->out, s->id, (uint32_t)s->unreported);
        s->unreported = 0;
    }
}

static bool on_data(struct bench_peer *peer, const struct bench_h2_frame *frame, const uint8_t *p)
{
    struct grpc_state *st = peer->state;
    struct stream *s = frame->stream ? stream_of(st, frame->stream) : NULL;
    size_t n = frame->length;
    if (!s || !bench_h2_strip(frame, &p, &n) || s->body.len + n > MESSAGE_BYTES_MAX)
        return false;
    replenish(peer, s, frame->length);
    bench_buf_add(&s->body, p, n);
    if (frame->flags & BENCH_H2_END_STREAM)
        finish(peer, s);
    return true;
}

static bool on_reset(struct bench_peer *peer, const struct bench_h2_frame *frame)
{
    struct stream *s = frame->stream ? stream_of(peer->state, frame->stream) : NULL;
    if (s) {
        bench_buf_clear(&s->body);
        s->id = 0;
    }
    return true;
}

static bool on_frame(struct bench_peer *peer, const struct bench_h2_frame *frame, const uint8_t *p)
{
    switch (frame->type) {
    case BENCH_H2_HEADERS:
    case BENCH_H2_CONTINUATION:
        return on_headers(peer, frame, p);
    case BENCH_H2_DATA:
        return on_data(peer, frame, p);
    case BENCH_H2_RST_STREAM:
        return on_reset(peer, frame);
    case BENCH_H2_SETTINGS:
        if (!(frame->flags & BENCH_H2_ACK))
            bench_h2_put_frame(&peer->out, BENCH_H2_SETTINGS, BENCH_H2_ACK, 0, NULL, 0);
        return true;
    case BENCH_H2_PING:
        if (!(frame->flags & BENCH_H2_ACK))
            bench_h2_put_frame(&peer->out, BENCH_H2_PING, BENCH_H2_ACK, 0, p, frame->length);
        return true;
    default:
        return true; /* replies are too small for the peer's windows to matter */
    }
}

static bool grpc_receive(struct bench_peer *peer, const uint8_t *bytes, size_t n, size_t *used, size_t *wanted)
{
    struct grpc_state *st = peer->state;
    (void)wanted;
    if (!st->preface_seen) {
        if (n < PREFACE_BYTES)
            return true;
        if (memcmp(bytes, BENCH_H2_PREFACE, PREFACE_BYTES) != 0)
            return false;
        st->preface_seen = true;
        *used = PREFACE_BYTES;
    }
    while (n - *used >= BENCH_H2_FRAME_HEAD) {
        struct bench_h2_frame frame = bench_h2_read_head(bytes + *used);
        if (frame.length > BENCH_H2_FRAME_SIZE_DEFAULT)
            return false;
        if (n - *used < BENCH_H2_FRAME_HEAD + frame.length)
            return true;
        if (!on_frame(peer, &frame, bytes + *used + BENCH_H2_FRAME_HEAD))
            return false;
        *used += BENCH_H2_FRAME_HEAD + frame.length;
    }
    return true;
}

const struct bench_reader bench_sink_grpc = {grpc_open, grpc_receive, grpc_close};
