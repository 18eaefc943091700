#include "bench/peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_BYTES_FIRST = 256 * 1024, PLAIN_BYTES_MAX = 256 * 1024 * 1024 };

struct bench_peer *bench_peer_new(int fd, const struct bench_reader *reader, struct bench_sink *sink, bool zipkin)
{
    struct bench_peer *peer = sm_xcalloc(1, sizeof *peer);
    peer->fd = fd;
    peer->reader = reader;
    peer->sink = sink;
    peer->zipkin = zipkin;
    (void)bench_buf_room(&peer->in, INPUT_BYTES_FIRST);
    reader->open(peer);
    return peer;
}

void bench_peer_free(struct bench_peer *peer)
{
    peer->reader->close(peer);
    close(peer->fd);
    bench_buf_free(&peer->in);
    bench_buf_free(&peer->out);
    free(peer);
}

bool bench_peer_flush(struct bench_peer *peer)
{
    while (bench_peer_wants_to_write(peer)) {
        ssize_t n = send(peer->fd, peer->out.ptr + peer->out_at, peer->out.len - peer->out_at, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        peer->out_at += (size_t)n;
    }
    bench_buf_clear(&peer->out);
    peer->out_at = 0;
    return true;
}

bool bench_peer_on_readable(struct bench_peer *peer)
{
    struct bench_buf *in = &peer->in;
    ssize_t n = recv(peer->fd, in->ptr + in->len, in->capacity - in->len, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    in->len += (size_t)n;
    size_t used = 0, wanted = 0;
    if (!peer->reader->receive(peer, in->ptr, in->len, &used, &wanted))
        return false;
    in->len -= used;
    memmove(in->ptr, in->ptr + used, in->len);
    (void)bench_buf_room(in, wanted > in->len ? wanted - in->len : 1);
    return bench_peer_flush(peer);
}

static bool unpack(struct bench_sink *sink, const uint8_t **body, size_t *n)
{
    struct bench_buf *plain = &sink->plain;
    (void)bench_buf_room(plain, SM_MAX(*n * 8, (size_t)65536));
    for (;;) {
        size_t plain_n = 0;
        enum libdeflate_result r =
            libdeflate_gzip_decompress(sink->gunzip, *body, *n, plain->ptr, plain->capacity, &plain_n);
        if (r == LIBDEFLATE_SUCCESS) {
            *body = plain->ptr;
            *n = plain_n;
            return true;
        }
        if (r != LIBDEFLATE_INSUFFICIENT_SPACE || plain->capacity > PLAIN_BYTES_MAX)
            return false;
        (void)bench_buf_room(plain, plain->capacity * 2);
    }
}

bool bench_peer_count(struct bench_peer *peer, const uint8_t *body, size_t n, bool gzip)
{
    struct bench_sink *sink = peer->sink;
    sink->requests++;
    sink->bytes += n;
    bool ok = !gzip || unpack(sink, &body, &n);
    if (ok)
        ok = peer->zipkin ? bench_count_zipkin(&sink->count, body, n) : bench_count_otlp(&sink->count, body, n);
    sink->malformed += !ok;
    return ok;
}

void bench_peer_write_totals(const struct bench_sink *sink, struct bench_buf *out)
{
    bench_buf_add_format(out, "{\"requests\":%llu,\"bytes\":%llu,\"spans\":%llu,\"malformed\":%llu",
                         (unsigned long long)sink->requests, (unsigned long long)sink->bytes,
                         (unsigned long long)sink->count.spans, (unsigned long long)sink->malformed);
    if (sink->count.whole) {
        struct bench_whole_result w = bench_whole_result(sink->count.whole);
        bench_buf_add_format(out,
                             ",\"traces\":%llu,\"whole\":%llu,\"partial\":%llu,\"excess\":%llu,\"missing_spans\":%llu,"
                             "\"excess_spans\":%llu",
                             (unsigned long long)w.traces, (unsigned long long)w.whole, (unsigned long long)w.partial,
                             (unsigned long long)w.excess, (unsigned long long)w.missing_spans,
                             (unsigned long long)w.excess_spans);
    }
    bench_buf_add_c(out, "}\n");
}
