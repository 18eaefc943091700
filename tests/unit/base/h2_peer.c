#include "h2_peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

nghttp2_nv h2_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void copy_text(char *out, size_t size, const uint8_t *value, size_t n)
{
    snprintf(out, size, "%.*s", (int)n, (const char *)value);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags SM_UNUSED, void *user SM_UNUSED)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct sm_str key = sm_str(name, name_len);
    if (sm_str_eq(key, SM_STR(":status")))
        copy_text(st->status, sizeof st->status, value, value_len);
    else if (sm_str_eq(key, SM_STR("grpc-status")))
        copy_text(st->grpc_status, sizeof st->grpc_status, value, value_len);
    else if (sm_str_eq(key, SM_STR("grpc-message")))
        copy_text(st->grpc_message, sizeof st->grpc_message, value, value_len);
    else if (sm_str_eq(key, SM_STR("grpc-status-details-bin")))
        copy_text(st->grpc_details, sizeof st->grpc_details, value, value_len);
    else if (sm_str_eq(key, SM_STR("content-type")))
        copy_text(st->content_type, sizeof st->content_type, value, value_len);
    else if (sm_str_eq(key, SM_STR("access-control-allow-origin")))
        copy_text(st->allow_origin, sizeof st->allow_origin, value, value_len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_peer *p = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        p->goaways++;
        p->goaway_error = frame->goaway.error_code;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct h2_stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        st->header_blocks++;
        st->headers_ended_stream = st->header_blocks == 1 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags SM_UNUSED, int32_t id, const uint8_t *at, size_t n,
                    void *user)
{
    struct h2_peer *p = user;
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    st->in = realloc(st->in, st->in_len + n + 1);
    memcpy(st->in + st->in_len, at, n);
    st->in_len += n;
    if (!p->withhold_window)
        nghttp2_session_consume(session, id, n);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user SM_UNUSED)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    st->closed = true;
    st->error = error;
    return 0;
}

struct h2_peer *h2_connect(struct peer_server *s)
{
    struct h2_peer *p = calloc(1, sizeof *p);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    p->raw = peer_connect(s);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&p->session, callbacks, p, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0);
    return p;
}

void h2_disconnect(struct h2_peer *p)
{
    for (unsigned i = 0; i < p->streams_n; i++)
        free(p->streams[i].in);
    nghttp2_session_del(p->session);
    peer_disconnect(p->raw);
    free(p);
}

static ssize_t read_request(nghttp2_session *session SM_UNUSED, int32_t id SM_UNUSED, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user SM_UNUSED)
{
    struct h2_stream *st = source->ptr;
    size_t n = SM_MIN(length, st->body_len - st->body_sent);
    if (!n && st->hold_end)
        return NGHTTP2_ERR_DEFERRED;
    if (n)
        memcpy(buf, st->body + st->body_sent, n);
    st->body_sent += n;
    if (st->body_sent == st->body_len && !st->hold_end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

struct h2_stream *h2_request(struct h2_peer *p, const char *method, const char *path, const char *type,
                             const nghttp2_nv *extra, size_t n, const void *body, size_t body_len)
{
    struct h2_stream *st = &p->streams[p->streams_n++];
    nghttp2_nv nv[20] = {h2_nv(":method", method), h2_nv(":scheme", "http"), h2_nv(":authority", "a"),
                         h2_nv(":path", path)};
    size_t nv_n = 4;
    if (type)
        nv[nv_n++] = h2_nv("content-type", type);
    for (size_t i = 0; i < n; i++)
        nv[nv_n++] = extra[i];
    st->body = body;
    st->body_len = body_len;
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = read_request};
    st->id = nghttp2_submit_request(p->session, NULL, nv, nv_n, body ? &provider : NULL, st);
    return st;
}

struct h2_stream *h2_grpc(struct h2_peer *p, const char *path, const void *framed, size_t n)
{
    nghttp2_nv te = h2_nv("te", "trailers");
    return h2_request(p, "POST", path, "application/grpc", &te, 1, framed, n);
}

void h2_pump(struct h2_peer *p)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(p->session, &bytes)) > 0) {
        if (!peer_send(p->raw, bytes, (size_t)n))
            break;
    }
    peer_settle(p->raw);
    if (p->raw->in_len)
        nghttp2_session_mem_recv(p->session, (uint8_t *)p->raw->in, p->raw->in_len);
    p->raw->in_len = 0;
}

void h2_settle(struct h2_peer *p)
{
    for (unsigned i = 0; i < 10; i++)
        h2_pump(p);
}

struct awaited {
    struct h2_peer *peer;
    struct h2_stream *stream;
};

static bool is_closed(void *arg)
{
    struct awaited *a = arg;
    h2_pump(a->peer);
    return a->stream->closed;
}

static bool has_goaway(void *arg)
{
    struct awaited *a = arg;
    h2_pump(a->peer);
    return a->peer->goaways > 0;
}

bool h2_wait_closed(struct h2_peer *p, struct h2_stream *stream)
{
    return peer_turn_until(p->raw->server, is_closed, &(struct awaited){p, stream});
}

bool h2_wait_goaway(struct h2_peer *p)
{
    return peer_turn_until(p->raw->server, has_goaway, &(struct awaited){p, NULL});
}
