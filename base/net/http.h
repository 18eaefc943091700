/* One HTTP server for HTTP/1.1 and HTTP/2 (prior knowledge, same port, told apart by the client's preface), with gRPC
 * on top (grpc.h). Follows RFC 9110, 9112, 9113.
 *
 * A server belongs to one loop and its thread; several workers listen on one port by opening one server each. All
 * callbacks and functions are for that thread, except sm_http_complete.
 *
 * The life of an exchange (one request and its reply):
 * - on_headers: the header section is complete, no body has been read. Look at the path, the type, the declared size,
 *   the memory budget; return true to go on, or reply (sm_http_reply) and return false: the body is then thrown away
 *   without being stored.
 * - on_request: the body is complete: sm_http_body to look, sm_http_take_body to own it. Reply before returning, or
 *   defer.
 * - Deferred by sm_http_defer: the exchange stays valid and unchanged until sm_http_complete, called once from any
 *   thread, whether or not the connection still exists. Other threads may read the public fields meanwhile.
 * - on_abort, for deferred exchanges: the peer has gone away or will not send more, so nobody is likely to be waiting.
 *   It is advice to stop working; sm_http_complete is still owed.
 *
 * Requests of one HTTP/1 connection are handled one after the other, pipelined ones included, and replies to a
 * pipelined batch leave in one write. Requests of one HTTP/2 connection run side by side.
 *
 * Bodies are collected in payloads of the pool that the server was given (base/payload.h), with `arrived_ns` set to the
 * wall clock of the turn in which the body became complete. Of a body with Content-Length on HTTP/1, only what
 * came with the headers is copied; the kernel writes the rest in place.
 *
 * Every limit has a default (sm_http_limits_default), is enforced before memory is spent, and is counted when hit. */
#ifndef SM_NET_HTTP_H
#define SM_NET_HTTP_H

#include "base/net/loop.h"
#include "base/payload.h"

#include <stdatomic.h>

struct sm_auth;
struct sm_cors;
struct sm_http_server;
struct sm_http_exchange;
struct sm_tls;

struct sm_http_limits {
    uint32_t connections_max;         /* open connections; further ones are closed at once */
    uint32_t header_bytes_max;        /* names, values and the target together; over it: 431 */
    uint32_t headers_max;             /* number of header fields; over it: 431 */
    uint64_t body_bytes_max;          /* as sent, before decompression; over it: 413 */
    uint64_t grpc_message_bytes_max;  /* one message as sent; over it: RESOURCE_EXHAUSTED */
    uint64_t discard_bytes_max;       /* HTTP/1: unread body of a refused request up to this size is skipped, over it
                                          the connection is closed */
    uint64_t out_bytes_max;           /* unsent reply bytes of a connection above which its requests wait */
    int64_t header_ns;                /* first byte of a request to the end of its headers; over it: 408 */
    int64_t request_ns;               /* end of the headers to the end of the body; over it: 408 or DEADLINE_EXCEEDED */
    int64_t idle_ns;                  /* a connection without a request */
    int64_t write_ns;                 /* a peer that takes nothing of a reply */
    int64_t connection_age_ns;        /* after this time, 10 % more or less, a connection takes no new requests, so that clients
                                         connect anew and are spread again: HTTP/2 GOAWAY, HTTP/1 "connection: close" with the
                                         next reply; 0: never */
    int64_t connection_grace_ns;      /* what is in flight then has this time, after which the connection is closed */
    int64_t linger_ns;                /* reading on after a refusal, so that the peer gets to see the reply */
    uint32_t streams_max;             /* HTTP/2: concurrent requests of a connection */
    uint32_t stream_window_bytes;     /* HTTP/2: body bytes a client may send ahead on a stream */
    uint32_t connection_window_bytes; /* HTTP/2: the same over all streams */
    uint32_t resets_burst;            /* HTTP/2: streams that the peer may cancel at once ... */
    uint32_t resets_per_second;       /* ... and in the long run; over it: GOAWAY */
    uint32_t controls_burst;          /* HTTP/2: frames that carry neither a request nor a body: the same two */
    uint32_t controls_per_second;
    uint32_t continuations_max; /* HTTP/2: CONTINUATION frames after one HEADERS */
};

extern const struct sm_http_limits sm_http_limits_default;

/* Written by the server's thread only, readable by any. All but connections_open only grow. */
struct sm_http_counters {
    _Atomic uint64_t connections;         /* accepted */
    _Atomic uint64_t connections_open;    /* now */
    _Atomic uint64_t connections_http2;   /* of those accepted, spoke HTTP/2 */
    _Atomic uint64_t connections_refused; /* connections_max */
    _Atomic uint64_t connections_aged;    /* connection_age_ns */
    _Atomic uint64_t connections_broken;  /* ended by an error of the transport or in the middle of a request */
    _Atomic uint64_t requests;            /* header sections that were complete */
    _Atomic uint64_t requests_http2;
    _Atomic uint64_t requests_grpc;
    _Atomic uint64_t requests_refused;   /* replied to by on_headers */
    _Atomic uint64_t credentials_missing; /* 401, UNAUTHENTICATED */
    _Atomic uint64_t credentials_wrong;
    _Atomic uint64_t credentials_unread; /* too many wrong passwords: 429, UNAVAILABLE */
    _Atomic uint64_t requests_malformed; /* 400, protocol errors */
    _Atomic uint64_t headers_too_large;  /* header_bytes_max, headers_max */
    _Atomic uint64_t bodies_too_large;   /* body_bytes_max */
    _Atomic uint64_t messages_too_large; /* grpc_message_bytes_max */
    _Atomic uint64_t messages_malformed; /* gRPC framing */
    _Atomic uint64_t timeouts_header;
    _Atomic uint64_t timeouts_request;
    _Atomic uint64_t timeouts_idle;
    _Atomic uint64_t timeouts_write;
    _Atomic uint64_t aborted;          /* deferred exchanges whose peer went away */
    _Atomic uint64_t resets_flooded;   /* connections closed for resets_* */
    _Atomic uint64_t controls_flooded; /* connections closed for controls_* or continuations_max */
    _Atomic uint64_t out_of_memory;    /* bodies that found no memory: 503 */
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
};

struct sm_http_handler {
    bool (*on_headers)(void *ctx, struct sm_http_exchange *x); /* may be NULL: every request is welcome */
    void (*on_request)(void *ctx, struct sm_http_exchange *x);
    void (*on_abort)(void *ctx, struct sm_http_exchange *x); /* may be NULL */
};

/* Headers that handlers ask for often; found while parsing, so that asking is free. */
enum sm_http_known {
    SM_HTTP_CONTENT_TYPE,
    SM_HTTP_CONTENT_ENCODING,
    SM_HTTP_CONTENT_LENGTH,
    SM_HTTP_ACCEPT,
    SM_HTTP_ACCEPT_ENCODING,
    SM_HTTP_AUTHORIZATION,
    SM_HTTP_ORIGIN,
    SM_HTTP_EXPECT,
    SM_HTTP_TE,
    SM_HTTP_GRPC_ENCODING,
    SM_HTTP_GRPC_ACCEPT_ENCODING,
    SM_HTTP_GRPC_TIMEOUT,
    SM_HTTP_KNOWN_N,
};

struct sm_http_header {
    struct sm_str name; /* lower case */
    struct sm_str value;
};

#define SM_HTTP_LENGTH_UNKNOWN UINT64_MAX

/* What a handler may read. Strings live until the reply has been given (deferred: until sm_http_complete). */
struct sm_http_exchange {
    struct sm_str method;                 /* "GET", "POST", ... */
    struct sm_str path;                   /* as sent, still percent-encoded, without the query */
    struct sm_str query;                  /* after the "?", still encoded; empty when there is none */
    struct sm_str known[SM_HTTP_KNOWN_N]; /* first value of each; {NULL, 0} when absent */
    const struct sm_http_header *headers; /* all, in order of arrival */
    size_t headers_n;
    uint64_t content_length; /* as declared, or SM_HTTP_LENGTH_UNKNOWN */
    bool is_http2;
    bool is_grpc;         /* HTTP/2 and application/grpc: answer with sm_grpc_reply */
    bool grpc_compressed; /* the message is compressed with known[SM_HTTP_GRPC_ENCODING]; valid in on_request */
    void *user;           /* the handler's own; NULL at first */
};

/* A reply. gRPC exchanges use grpc.h to fill it. */
struct sm_http_response {
    uint16_t status;
    struct sm_str content_type;           /* empty: none */
    const struct sm_http_header *headers; /* further headers, lower case names */
    size_t headers_n;
    struct sm_str body;
    /* Called once on the loop's thread when nothing of the response is needed any more; also when the connection has
     * gone. NULL: sm_http_respond copies what it needs, and for sm_http_complete everything has static lifetime. */
    void (*release)(void *arg);
    void *release_arg;
    bool close; /* HTTP/1: close the connection after this reply */
    /* gRPC only: then status, content_type and the 5-byte prefix of the body are supplied by the server. */
    bool grpc_framed; /* the body is a sequence of messages that carry their prefixes already */
    uint32_t grpc_status;
    struct sm_str grpc_message; /* for people, any bytes; percent-encoded on the wire */
    struct sm_str grpc_details; /* google.rpc.Status, sent base64 in grpc-status-details-bin; empty: none */
};

/* limits NULL: the defaults. The pool must outlive the loop, handler and ctx must live until sm_http_server_free. */
struct sm_http_server *sm_http_server_new(struct sm_loop *loop, const struct sm_http_limits *limits,
                                          struct sm_payload_pool *pool, const struct sm_http_handler *handler,
                                          void *ctx) SM_MUST_USE;

/* What stands before the handler. Each may be NULL: plain text, everybody, no pages of other sites. */
struct sm_http_door {
    struct sm_tls *tls;
    struct sm_auth *auth;             /* asked at the headers, before a body is read: 401 or UNAUTHENTICATED */
    const struct sm_cors *cors;       /* who may post from a browser; preflights are answered without credentials */
    const char *const *open_paths;    /* served to everybody; ends with NULL */
};

/* Call it before listening. What the door names must outlive the server's loop. */
void sm_http_server_set_door(struct sm_http_server *server, const struct sm_http_door *door);

/* Opens a listener (tcp.h describes addresses); may be called several times. */
enum sm_rc sm_http_server_listen(struct sm_http_server *server, const char *address, uint16_t *port_bound,
                                 struct sm_err *err) SM_MUST_USE;

/* Takes over a stream that came from elsewhere (a filter, a test) as a connection. */
struct sm_stream;
void sm_http_server_accept(struct sm_http_server *server, struct sm_stream *stream);

/* Back-pressure. While paused, HTTP/1 connections are not read beyond the request they are in, and HTTP/2 connections
 * get no further window (control frames are still read). Requests that arrive nevertheless reach the handler as ever.
 */
void sm_http_server_pause(struct sm_http_server *server, bool paused);

/* Stops accepting, tells HTTP/2 peers to go away, closes each HTTP/1 connection with its next reply, and idle ones at
 * once. What is in flight is finished; connections_open in the counters tells when. */
void sm_http_server_drain(struct sm_http_server *server);

/* Drops every connection; the handler is not called any more once this returns. The memory goes when the last
 * connection has closed and the last deferred exchange is complete: at the latest in sm_loop_free, which must come
 * after every sm_http_complete. NULL is allowed. */
void sm_http_server_free(struct sm_http_server *server);

const struct sm_http_counters *sm_http_server_counters(const struct sm_http_server *server);

/* Value of the first header with this lower-case name; {NULL, 0} when absent. */
struct sm_str sm_http_header(const struct sm_http_exchange *x, struct sm_str name);

/* The body (gRPC: the message without its prefix) while it is the exchange's; empty when there is none. */
struct sm_str sm_http_body(const struct sm_http_exchange *x);

/* Moves the body out: the caller owns one reference, sm_http_body is empty from now on. A request without a body gives
 * an empty payload. NULL only when memory is exhausted. */
struct sm_payload *sm_http_take_body(struct sm_http_exchange *x) SM_MUST_USE;

/* Wall clock of the exchange's turn. */
int64_t sm_http_wall_ns(const struct sm_http_exchange *x);

/* Replies now, on the server's thread; everything is copied. content_type may be NULL. */
void sm_http_reply(struct sm_http_exchange *x, uint16_t status, const char *content_type, struct sm_str body);
/* The same in full. */
void sm_http_respond(struct sm_http_exchange *x, const struct sm_http_response *response);

/* Keeps the exchange for later. Call it in on_request, instead of replying. */
void sm_http_defer(struct sm_http_exchange *x);

/* Any thread, exactly once per deferred exchange, which is invalid afterwards. The struct is copied; what it points to
 * must live until `release` (see there). Never blocks, does not allocate. */
void sm_http_complete(struct sm_http_exchange *x, const struct sm_http_response *response);

#endif
