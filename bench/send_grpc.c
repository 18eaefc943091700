/* Sending over gRPC: HTTP/2 frames by hand around prebuilt messages, nghttp2 for header compression. Flow control, the
 * peer's settings and its limit on streams are honoured; replies are judged by grpc-status. */
#include "bench/link.h"

#include "bench/h2.h"

#include <nghttp2/nghttp2.h>

enum {
    GRPC_PREFIX = 5,
    FRAMES_BYTES = 24 * 1024, /* heads of the frames of one staging */
    HEADERS_BYTES_MAX = 1024,
    REPLY_BYTES_MAX = 256,
    STATUS_NONE = UINT16_MAX,
    STATUS_UNAVAILABLE = 14,
    STATUS_RESOURCE_EXHAUSTED = 8,
    RST_NO_ERROR = 0,
    RST_REFUSED_STREAM = 7,
    REPLENISH_BYTES = 16384,
};

struct grpc_flight {
    struct bench_flight flight; /* body NULL: free */
    uint32_t stream;
    size_t staged;  /* of prefix and body */
    int64_t window; /* may go negative when the peer shrinks it */
    uint32_t http_status;
    uint32_t grpc_status;
    uint8_t reply[REPLY_BYTES_MAX];
    size_t reply_n;
};

struct grpc_state {
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    struct bench_buf control; /* frames that go out before anything else */
    struct bench_buf control_staged;
    uint8_t frames[FRAMES_BYTES];
    size_t frames_n;
    struct grpc_flight flights[BENCH_LINK_FLIGHTS_MAX];
    uint32_t flights_n;
    bool peer_settings_seen;
    uint32_t next_stream;
    int64_t window;
    uint32_t peer_window_initial;
    uint32_t peer_frame_max;
    uint32_t peer_streams_max;
    uint32_t headers_stream; /* whose header block is being read */
    bool headers_end_stream;
    size_t received_unreported;
};

static void grpc_open(struct bench_link *link)
{
    struct grpc_state *st = sm_xcalloc(1, sizeof *st);
    st->next_stream = 1;
    st->window = BENCH_H2_WINDOW_DEFAULT;
    st->peer_window_initial = BENCH_H2_WINDOW_DEFAULT;
    st->peer_frame_max = BENCH_H2_FRAME_SIZE_DEFAULT;
    st->peer_streams_max = UINT32_MAX;
    SM_ASSERT(nghttp2_hd_deflate_new(&st->deflater, 4096) == 0);
    SM_ASSERT(nghttp2_hd_inflate_new(&st->inflater) == 0);
    bench_buf_add_c(&st->control, BENCH_H2_PREFACE);
    bench_h2_put_frame(&st->control, BENCH_H2_SETTINGS, 0, 0, NULL, 0);
    link->state = st;
}

static void grpc_close(struct bench_link *link)
{
    struct grpc_state *st = link->state;
    nghttp2_hd_deflate_del(st->deflater);
    nghttp2_hd_inflate_del(st->inflater);
    bench_buf_free(&st->control);
    bench_buf_free(&st->control_staged);
    free(st);
}

/* ---- out ---- */

static bool room_for_frame(const struct bench_link *link)
{
    const struct grpc_state *st = link->state;
    return link->iov_n + 2 <= BENCH_LINK_PIECES &&
           st->frames_n + BENCH_H2_FRAME_HEAD + HEADERS_BYTES_MAX <= sizeof st->frames;
}

static void stage_control(struct bench_link *link)
{
    struct grpc_state *st = link->state;
    struct bench_buf empty = st->control_staged;
    st->control_staged = st->control;
    st->control = empty;
    st->control.len = 0;
    if (st->control_staged.len)
        bench_link_add_piece(link, st->control_staged.ptr, st->control_staged.len);
}

/* One DATA frame, as long as windows and frame size allow. False: blocked or finished. */
static bool stage_data(struct bench_link *link, struct grpc_flight *f)
{
    struct grpc_state *st = link->state;
    size_t total = GRPC_PREFIX + f->flight.body->len;
    int64_t n = SM_MIN((int64_t)(total - f->staged), SM_MIN(f->window, st->window));
    n = SM_MIN(n, (int64_t)st->peer_frame_max);
    if (n <= 0 || !room_for_frame(link) || (f->staged == 0 && n < GRPC_PREFIX))
        return false;
    uint8_t *head = st->frames + st->frames_n;
    size_t head_n = BENCH_H2_FRAME_HEAD, from_body = (size_t)n, at = f->staged - GRPC_PREFIX;
    uint8_t flags = f->staged + (size_t)n == total ? BENCH_H2_END_STREAM : 0;
    bench_h2_write_head(head, (uint32_t)n, BENCH_H2_DATA, flags, f->stream);
    if (f->staged == 0) {
        head[head_n] = link->coding != NULL;
        sm_store_be32(head + head_n + 1, (uint32_t)f->flight.body->len);
        head_n += GRPC_PREFIX;
        from_body -= GRPC_PREFIX;
        at = 0;
    }
    st->frames_n += head_n;
    bench_link_add_piece(link, head, head_n);
    bench_link_add_piece(link, f->flight.body->ptr + at, from_body);
    f->staged += (size_t)n;
    f->window -= n;
    st->window -= n;
    return f->staged < total;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

static void stage_headers(struct bench_link *link, uint32_t stream)
{
    struct grpc_state *st = link->state;
    nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", link->path),
        header(":authority", link->authority),
        header("content-type", link->content_type),
        header("te", "trailers"),
        header("user-agent", "bench_send"),
        header("grpc-encoding", link->coding ? link->coding : ""),
    };
    size_t headers_n = SM_ARRAY_LEN(headers) - (link->coding ? 0 : 1);
    uint8_t *frame = st->frames + st->frames_n;
    ssize_t n = nghttp2_hd_deflate_hd(st->deflater, frame + BENCH_H2_FRAME_HEAD, HEADERS_BYTES_MAX, headers, headers_n);
    SM_ASSERT(n > 0);
    bench_h2_write_head(frame, (uint32_t)n, BENCH_H2_HEADERS, BENCH_H2_END_HEADERS, stream);
    st->frames_n += BENCH_H2_FRAME_HEAD + (size_t)n;
    bench_link_add_piece(link, frame, BENCH_H2_FRAME_HEAD + (size_t)n);
}

static struct grpc_flight *free_flight(struct grpc_state *st)
{
    for (uint32_t i = 0; i < BENCH_LINK_FLIGHTS_MAX; i++) {
        if (!st->flights[i].flight.body)
            return &st->flights[i];
    }
    return NULL;
}

static bool stage_new_flight(struct bench_link *link, int64_t now_ns)
{
    struct grpc_state *st = link->state;
    if (st->flights_n >= SM_MIN(link->depth, st->peer_streams_max) || !room_for_frame(link))
        return false;
    struct bench_body *body = bench_feed_take(link->feed, now_ns, &link->wait_until_ns);
    if (!body)
        return false;
    struct grpc_flight *f = free_flight(st);
    SM_ASSERT(f);
    *f = (struct grpc_flight){.flight = {body, now_ns},
                              .stream = st->next_stream,
                              .window = st->peer_window_initial,
                              .grpc_status = STATUS_NONE};
    st->next_stream += 2;
    st->flights_n++;
    stage_headers(link, f->stream);
    while (stage_data(link, f))
        ;
    return true;
}

static void grpc_stage(struct bench_link *link, int64_t now_ns)
{
    struct grpc_state *st = link->state;
    st->frames_n = 0;
    stage_control(link);
    if (!st->peer_settings_seen)
        return;
    for (uint32_t i = 0; i < BENCH_LINK_FLIGHTS_MAX; i++) {
        struct grpc_flight *f = &st->flights[i];
        while (f->flight.body && f->staged < GRPC_PREFIX + f->flight.body->len && stage_data(link, f))
            ;
    }
    while (stage_new_flight(link, now_ns))
        ;
}

/* ---- in ---- */

static struct grpc_flight *flight_of(struct grpc_state *st, uint32_t stream)
{
    for (uint32_t i = 0; i < BENCH_LINK_FLIGHTS_MAX; i++) {
        if (st->flights[i].flight.body && st->flights[i].stream == stream)
            return &st->flights[i];
    }
    return NULL;
}

static void finish(struct bench_link *link, struct grpc_flight *f, enum bench_reply reply, int64_t now_ns)
{
    struct grpc_state *st = link->state;
    struct bench_flight flight = f->flight;
    uint64_t rejected = 0;
    if (reply == BENCH_REPLY_ACCEPTED && f->reply_n > GRPC_PREFIX)
        rejected = bench_link_rejected_spans(f->reply + GRPC_PREFIX, f->reply_n - GRPC_PREFIX);
    if (f->staged < GRPC_PREFIX + flight.body->len)
        bench_h2_put_reset(&st->control, f->stream, RST_NO_ERROR);
    f->flight.body = NULL;
    st->flights_n--;
    bench_feed_reply(link->feed, flight.body, reply, f->grpc_status, rejected, flight.sent_ns, now_ns);
}

static void finish_by_status(struct bench_link *link, struct grpc_flight *f, int64_t now_ns)
{
    enum bench_reply reply = BENCH_REPLY_WRONG;
    bool whole = f->staged == GRPC_PREFIX + f->flight.body->len;
    if (f->grpc_status == 0 && f->http_status == 200 && whole)
        reply = BENCH_REPLY_ACCEPTED;
    else if (f->grpc_status == STATUS_UNAVAILABLE || f->grpc_status == STATUS_RESOURCE_EXHAUSTED)
        reply = BENCH_REPLY_REFUSED;
    else if (link->feed->replies_wrong == 0)
        fprintf(stderr, "wrong reply: HTTP status %u, grpc-status %u\n", f->http_status, f->grpc_status);
    finish(link, f, reply, now_ns);
}

static void apply_setting(struct grpc_state *st, uint32_t id, uint32_t value)
{
    switch (id) {
    case BENCH_H2_SET_HEADER_TABLE_SIZE:
        (void)nghttp2_hd_deflate_change_table_size(st->deflater, SM_MIN(value, 4096));
        break;
    case BENCH_H2_SET_MAX_CONCURRENT_STREAMS:
        st->peer_streams_max = value;
        break;
    case BENCH_H2_SET_INITIAL_WINDOW_SIZE:
        for (uint32_t i = 0; i < BENCH_LINK_FLIGHTS_MAX; i++)
            st->flights[i].window += (int64_t)value - st->peer_window_initial;
        st->peer_window_initial = value;
        break;
    case BENCH_H2_SET_MAX_FRAME_SIZE:
        st->peer_frame_max = value;
        break;
    default:
        break;
    }
}

static enum sm_rc on_settings(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p)
{
    struct grpc_state *st = link->state;
    if (frame->flags & BENCH_H2_ACK)
        return SM_OK;
    for (uint32_t i = 0; i + 6 <= frame->length; i += 6)
        apply_setting(st, (uint32_t)p[i] << 8 | p[i + 1], sm_load_be32(p + i + 2));
    st->peer_settings_seen = true;
    bench_h2_put_frame(&st->control, BENCH_H2_SETTINGS, BENCH_H2_ACK, 0, NULL, 0);
    return SM_OK;
}

static uint32_t number_of(const uint8_t *text, size_t n)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n && i < 5; i++)
        value = value * 10 + (uint32_t)(text[i] - '0');
    return value;
}

static void take_header(struct grpc_flight *f, const nghttp2_nv *nv)
{
    if (nv->namelen == 7 && memcmp(nv->name, ":status", 7) == 0)
        f->http_status = number_of(nv->value, nv->valuelen);
    else if (nv->namelen == 11 && memcmp(nv->name, "grpc-status", 11) == 0)
        f->grpc_status = number_of(nv->value, nv->valuelen);
}

static enum sm_rc read_header_block(struct bench_link *link, const uint8_t *p, size_t n, bool final)
{
    struct grpc_state *st = link->state;
    struct grpc_flight *f = flight_of(st, st->headers_stream);
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(st->inflater, &nv, &flags, p, n, final);
        if (used < 0)
            return bench_link_fail(link, "bad header block: %s", nghttp2_strerror((int)used));
        p += used;
        n -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && f)
            take_header(f, &nv);
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(st->inflater);
            return SM_OK;
        }
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
            return SM_OK;
    }
}

static enum sm_rc on_headers(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p,
                             int64_t now_ns)
{
    struct grpc_state *st = link->state;
    size_t n = frame->length;
    bool final = frame->flags & BENCH_H2_END_HEADERS;
    if (!bench_h2_strip(frame, &p, &n))
        return bench_link_fail(link, "bad HEADERS frame");
    if (frame->type == BENCH_H2_HEADERS) {
        st->headers_stream = frame->stream;
        st->headers_end_stream = frame->flags & BENCH_H2_END_STREAM;
    }
    enum sm_rc rc = read_header_block(link, p, n, final);
    struct grpc_flight *f = flight_of(st, st->headers_stream);
    if (rc == SM_OK && final && st->headers_end_stream && f)
        finish_by_status(link, f, now_ns);
    return rc;
}

static enum sm_rc on_data(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p, int64_t now_ns)
{
    struct grpc_state *st = link->state;
    struct grpc_flight *f = flight_of(st, frame->stream);
    size_t n = frame->length;
    st->received_unreported += n;
    if (!bench_h2_strip(frame, &p, &n))
        return bench_link_fail(link, "bad DATA frame");
    if (st->received_unreported > REPLENISH_BYTES) {
        bench_h2_put_window_update(&st->control, 0, (uint32_t)st->received_unreported);
        st->received_unreported = 0;
    }
    if (!f)
        return SM_OK;
    n = SM_MIN(n, REPLY_BYTES_MAX - f->reply_n);
    memcpy(f->reply + f->reply_n, p, n);
    f->reply_n += n;
    if (frame->flags & BENCH_H2_END_STREAM)
        finish_by_status(link, f, now_ns);
    return SM_OK;
}

static enum sm_rc on_window_update(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p)
{
    struct grpc_state *st = link->state;
    if (frame->length != 4)
        return bench_link_fail(link, "bad WINDOW_UPDATE frame");
    uint32_t increment = sm_load_be32(p) & 0x7fffffff;
    struct grpc_flight *f = flight_of(st, frame->stream);
    if (frame->stream == 0)
        st->window += increment;
    else if (f)
        f->window += increment;
    return SM_OK;
}

static enum sm_rc on_reset(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p,
                           int64_t now_ns)
{
    struct grpc_state *st = link->state;
    struct grpc_flight *f = flight_of(st, frame->stream);
    if (frame->length != 4)
        return bench_link_fail(link, "bad RST_STREAM frame");
    if (f)
        finish(link, f, sm_load_be32(p) == RST_REFUSED_STREAM ? BENCH_REPLY_REFUSED : BENCH_REPLY_WRONG, now_ns);
    return SM_OK;
}

static enum sm_rc on_frame(struct bench_link *link, const struct bench_h2_frame *frame, const uint8_t *p,
                           int64_t now_ns)
{
    struct grpc_state *st = link->state;
    switch (frame->type) {
    case BENCH_H2_SETTINGS:
        return on_settings(link, frame, p);
    case BENCH_H2_HEADERS:
    case BENCH_H2_CONTINUATION:
        return on_headers(link, frame, p, now_ns);
    case BENCH_H2_DATA:
        return on_data(link, frame, p, now_ns);
    case BENCH_H2_WINDOW_UPDATE:
        return on_window_update(link, frame, p);
    case BENCH_H2_RST_STREAM:
        return on_reset(link, frame, p, now_ns);
    case BENCH_H2_PING:
        if (!(frame->flags & BENCH_H2_ACK))
            bench_h2_put_frame(&st->control, BENCH_H2_PING, BENCH_H2_ACK, 0, p, frame->length);
        return SM_OK;
    case BENCH_H2_GOAWAY:
        return bench_link_fail(link, "the server sent GOAWAY: %.*s", frame->length > 8 ? (int)(frame->length - 8) : 0,
                               p + 8);
    default:
        return SM_OK;
    }
}

static enum sm_rc grpc_receive(struct bench_link *link, const uint8_t *bytes, size_t n, size_t *used, int64_t now_ns)
{
    while (n - *used >= BENCH_H2_FRAME_HEAD) {
        struct bench_h2_frame frame = bench_h2_read_head(bytes + *used);
        if (frame.length > BENCH_H2_FRAME_SIZE_DEFAULT)
            return bench_link_fail(link, "not HTTP/2, or a frame that is too large");
        if (n - *used < BENCH_H2_FRAME_HEAD + frame.length)
            return SM_OK;
        enum sm_rc rc = on_frame(link, &frame, bytes + *used + BENCH_H2_FRAME_HEAD, now_ns);
        if (rc != SM_OK)
            return rc;
        *used += BENCH_H2_FRAME_HEAD + frame.length;
    }
    return SM_OK;
}

const struct bench_protocol bench_send_grpc = {grpc_open, grpc_stage, grpc_receive, grpc_close, .datagrams = false};
