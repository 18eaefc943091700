/* Test support: an OTLP receiver (HTTP/1.1, HTTP/2, gRPC) that answers as told and counts what it gets, on the loop that the
 * sink under test uses too: waiting means turning that loop. */
#ifndef TEST_SINKS_OTLP_PEER_H
#define TEST_SINKS_OTLP_PEER_H

#include "base/net/grpc.h"
#include "base/net/http.h"

struct otlp_peer {
    struct sm_loop *loop;
    struct sm_payload_pool *pool;
    struct sm_http_server *server;
    uint16_t port;
    /* The answer. */
    uint16_t status; /* 0: none, the request is deferred for ever */
    const char *content_type;
    struct sm_http_header headers[4];
    size_t headers_n;
    struct sm_str body;
    enum sm_grpc_status grpc_status;
    struct sm_str grpc_details;
    unsigned fail_at; /* only the request with this number (from 1) gets the answer above, others succeed; 0: all get it */
    /* What came. */
    unsigned requests, spans;
    char path[128], type[64], encoding[32], auth[64], te[32];
    bool is_http2;
    struct sm_http_exchange *deferred[8];
    unsigned deferred_n;
};

void otlp_peer_open(struct otlp_peer *p);
void otlp_peer_close(struct otlp_peer *p);

/* Drops all connections and listens on the same port again. */
void otlp_peer_restart(struct otlp_peer *p);

/* Turns the loop until *value is at least n; false after ten seconds. */
bool otlp_peer_turn(struct otlp_peer *p, const unsigned *value, unsigned n);

#endif
