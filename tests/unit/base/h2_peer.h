/* Test support: an HTTP/2 client on a raw client (net_peer.h), by libnghttp2. */
#ifndef TEST_H2_PEER_H
#define TEST_H2_PEER_H

#include "net_peer.h"

#include <nghttp2/nghttp2.h>

struct h2_stream {
    int32_t id;
    char status[8], grpc_status[8], grpc_message[128], grpc_details[128], content_type[64], allow_origin[64];
    bool headers_ended_stream, closed;
    uint32_t error;
    unsigned header_blocks;
    uint8_t *in;
    size_t in_len;
    const uint8_t *body;
    size_t body_len, body_sent;
    bool hold_end; /* body is sent without END_STREAM */
};

struct h2_peer {
    struct peer_client *raw;
    nghttp2_session *session;
    struct h2_stream streams[512];
    unsigned streams_n;
    uint32_t goaway_error;
    unsigned goaways;
    bool withhold_window; /* replies are read but not acknowledged */
};

struct h2_peer *h2_connect(struct peer_server *s);
void h2_disconnect(struct h2_peer *p);
/* Starts a request; `extra` are n further headers. The body must stay valid. */
struct h2_stream *h2_request(struct h2_peer *p, const char *method, const char *path, const char *type,
                             const nghttp2_nv *extra, size_t n, const void *body, size_t body_len);
struct h2_stream *h2_grpc(struct h2_peer *p, const char *path, const void *framed, size_t n);
/* Exchanges bytes with the server without blocking. */
void h2_pump(struct h2_peer *p);
void h2_settle(struct h2_peer *p);
bool h2_wait_closed(struct h2_peer *p, struct h2_stream *stream);
bool h2_wait_goaway(struct h2_peer *p);
nghttp2_nv h2_nv(const char *name, const char *value);

#endif
