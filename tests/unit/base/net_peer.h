/* Test support: a server whose handler is scripted by paths, and raw clients, all on one thread: waiting means turning
 * the loop until something is true or a deadline passes. */
#ifndef TEST_NET_PEER_H
#define TEST_NET_PEER_H

#include "base/net/http.h"

struct peer_server {
    struct sm_loop *loop;
    struct sm_payload_pool *pool;
    struct sm_http_server *server;
    uint16_t port;
    /* What the handler saw. */
    unsigned headers_seen, requests_seen, aborts_seen;
    struct sm_http_exchange *deferred[64];
    unsigned deferred_n;
    char last_path[128], last_query[128], last_type[64], last_method[16];
    size_t last_body_len;
    uint64_t last_body_hash;
    int64_t last_arrived_ns;
    bool last_is_grpc, last_compressed;
    bool refuse_headers; /* on_headers replies 429 */
    char *big;           /* body of /big */
    size_t big_len;
    unsigned released;
};

/* Paths: /echo replies with the body; /count with its length; /defer defers; /big sends `big`; /none does not reply;
 * /head echoes the header "x-echo"; anything else 202. gRPC: "/echo" echoes, "/fail" answers UNAVAILABLE, "/defer"
 * defers, anything else UNIMPLEMENTED. limits NULL: the defaults. */
void peer_server_open(struct peer_server *s, const struct sm_http_limits *limits);
void peer_server_open_behind(struct peer_server *s, const struct sm_http_limits *limits, const struct sm_http_door *door);
void peer_server_close(struct peer_server *s);

/* Turns the loop until cond(arg) or five seconds have passed. */
bool peer_turn_until(struct peer_server *s, bool (*cond)(void *arg), void *arg);

/* A raw client. */
struct peer_client {
    struct peer_server *server;
    int fd;
    char in[1 << 20];
    size_t in_len;
    bool eof, reset;
};
struct peer_client *peer_connect(struct peer_server *s);
void peer_disconnect(struct peer_client *c);
/* Sends all, turning the loop while the socket is full; false when the server closed. */
bool peer_send(struct peer_client *c, const void *bytes, size_t n);
bool peer_send_text(struct peer_client *c, const char *text);
/* Turns until the input holds `text` / n bytes / the end; false after the deadline. */
bool peer_wait_text(struct peer_client *c, const char *text);
bool peer_wait_times(struct peer_client *c, const char *text, unsigned times);
bool peer_wait_bytes(struct peer_client *c, size_t n);
bool peer_wait_eof(struct peer_client *c);
/* A few turns, so that what was sent has been seen. */
void peer_settle(struct peer_client *c);
unsigned peer_times(const struct peer_client *c, const char *text);

uint64_t peer_hash(const void *bytes, size_t n);
#define PEER_COUNTER(s, name) atomic_load(&sm_http_server_counters((s)->server)->name)

#endif
