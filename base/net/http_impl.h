/* What the files of the HTTP server share: server, connection, exchange. Private to base/net; handlers use http.h.
 *
 *   stream --bytes--> conn.c --> http1.c | http2.c --> exchange.c (headers, body) --> handler
 *   stream <--bytes-- conn.c <-- http1.c | http2.c <-- http.c <---------------------- reply
 *
 * conn.c knows bytes, time-outs and closing; the protocol files know syntax; exchange.c collects one request. */
#ifndef SM_NET_HTTP_IMPL_H
#define SM_NET_HTTP_IMPL_H

#include "base/net/cells.h"
#include "base/net/http.h"
#include "base/net/stream.h"
#include "base/net/tcp.h"

#include <llhttp.h>
#include <nghttp2/nghttp2.h>

enum {
    SCRATCH_BYTES = 64 * 1024,       /* one read, shared by the connections of a server */
    EXCHANGES_IDLE_MAX = 256,        /* kept for reuse */
    COPY_BYTES_MAX = 16 * 1024,      /* reply bodies up to this size are copied next to their headers */
    H2_IDLE_BYTES_MAX = 1024 * 1024, /* of nghttp2's memory, kept for reuse */
    WRITE_BYTES_MAX = 256 * 1024,    /* per queued write, so that progress of a slow reader can be seen */
};

enum sm_exchange_state {
    SM_EXCHANGE_RECEIVING, /* headers or body are still coming in */
    SM_EXCHANGE_HANDLING,  /* in the handler's on_request */
    SM_EXCHANGE_DEFERRED,
    SM_EXCHANGE_REPLIED, /* the reply is queued; HTTP/1: what is left of the body is thrown away */
};

/* One request and its reply. Pooled per server; its header store grows to what the clients send and stays. */
struct sm_exchange {
    struct sm_http_exchange pub;
    struct sm_http_server *server;
    struct sm_conn *conn; /* NULL once the connection has gone */
    struct sm_exchange *next, **link;
    enum sm_exchange_state state;
    bool keep_alive;
    bool is_head;
    bool is_aborted;      /* on_abort has been called */
    uint64_t deadline_ms; /* HTTP/2: headers or body must be complete by then; 0: none */
    _Atomic uint64_t *deadline_counter;
    /* Header store: the target first, then names and values; pub.headers point into it. */
    char *text;
    uint32_t text_len, text_capacity;
    uint32_t target_len;
    struct sm_http_header *headers;
    uint32_t headers_n, headers_capacity;
    bool value_ended;
    /* Body. */
    struct sm_payload *body;
    uint64_t body_received; /* bytes as sent, gRPC prefixes included, stored or not */
    bool is_discarding;
    /* gRPC: prefix of the message being received. */
    uint8_t prefix[5];
    uint8_t prefix_n;
    /* HTTP/2. */
    int32_t stream_id;
    uint32_t unconsumed; /* received while paused: window that is still owed to the peer */
    bool request_ended;  /* END_STREAM seen */
    bool headers_too_large;
    bool response_is_grpc;
    uint8_t cors; /* enum sm_cors_answer: what the reply tells the page that asked */
    struct sm_http_response response; /* deferred, or being sent by HTTP/2 */
    char *response_copy;
    size_t response_sent;
    struct sm_loop_message completion;
};

/* How a connection is to end once its output has left. */
enum sm_conn_end { SM_CONN_STAYS, SM_CONN_ENDS };

struct sm_conn;

struct sm_protocol {
    /* Bytes arrived. `at` may lie in the body that `buffer` offered. */
    void (*input)(struct sm_conn *conn, uint8_t *at, size_t n);
    /* Where a body could be received in place; false: anywhere. */
    bool (*buffer)(struct sm_conn *conn, uint8_t **at, size_t *len);
    /* The peer has finished sending. */
    void (*ended)(struct sm_conn *conn);
    /* Appends a reply to the output, or prepares it. */
    void (*respond)(struct sm_exchange *x, const struct sm_http_response *response);
    /* Output has left, a deferred exchange was replied to, or the pause ended: go on. */
    void (*resume)(struct sm_conn *conn);
    /* Fills the output from what is waiting, up to a batch; false when there is nothing. */
    bool (*produce)(struct sm_conn *conn);
    void (*drain)(struct sm_conn *conn);
    /* Once in a while: time-outs of single exchanges. */
    void (*tick)(struct sm_conn *conn, uint64_t now_ms);
    /* Whether the connection's deadline counts now; false: it is set anew. */
    bool (*may_time_out)(const struct sm_conn *conn);
    /* The connection's deadline has passed. */
    void (*timed_out)(struct sm_conn *conn);
    bool (*wants_reading)(const struct sm_conn *conn);
    void (*fini)(struct sm_conn *conn);
};

extern const struct sm_protocol sm_http1_protocol;
extern const struct sm_protocol sm_http2_protocol;

struct sm_http1 {
    llhttp_t parser;
    struct sm_exchange *x;    /* being received or replied to */
    struct sm_payload *carry; /* bytes that cannot be parsed yet */
    uint16_t failure;         /* status to answer a request with that cannot be received; 0: none */
    bool headers_done;
    bool message_done;
    uint64_t trailer_bytes;   /* trailers and chunk extensions of this request */
    bool last_body_was_large; /* so the next headers are read in small steps, to receive the body in place */
};

/* A limit on a rate of hostile frames: `burst` at once, `per_second` in the long run. */
struct sm_bucket {
    uint32_t tokens;
    uint64_t filled_ms;
};

enum sm_http2_drain { SM_HTTP2_SERVING, SM_HTTP2_NOTICE_SENT, SM_HTTP2_GOING_AWAY };

struct sm_http2 {
    nghttp2_session *session;
    struct sm_bucket resets, controls;
    uint32_t streams_n;
    uint32_t unconsumed; /* connection window owed for streams that are gone */
    bool owes_window;    /* something was left unconsumed while the server was paused */
    enum sm_http2_drain drain;
};

struct sm_conn {
    struct sm_http_server *server;
    struct sm_stream *stream;
    struct sm_conn *next, **link;
    const struct sm_protocol *protocol; /* NULL until the first bytes told */
    uint8_t preface_n;                  /* bytes of the HTTP/2 preface seen so far */
    bool is_reading;
    bool is_closing;
    bool is_lingering; /* replied and half-closed: reading on only so that the peer can see the reply */
    bool peer_ended;
    bool is_retiring; /* too old: no new requests */
    bool write_pending;
    uint32_t busy; /* depth of calls on this connection: it is not torn down below them */
    enum sm_conn_end end;
    uint64_t deadline_ms;               /* 0: none */
    _Atomic uint64_t *deadline_counter; /* counted when it passes */
    uint64_t write_deadline_ms;
    uint64_t retire_ms; /* when it is too old, then when it is closed; 0: never */
    uint64_t linger_bytes;
    size_t read_room; /* bytes that the next read has room for */
    struct sm_conn *unflushed_next, **unflushed_link; /* on server->unflushed while unflushed_link is set */
    /* Output: `out` is appended to; `writing` has been queued with the stream; `external` follows `out`. */
    struct sm_payload *out;
    struct sm_payload *writing;
    size_t out_sent;
    struct {
        const uint8_t *at;
        size_t left;
        size_t queued;
        void (*release)(void *arg);
        void *arg;
    } external;
    struct sm_exchange *exchanges;
    union {
        struct sm_http1 h1;
        struct sm_http2 h2;
    };
};

struct sm_http_server {
    struct sm_loop *loop;
    struct sm_http_limits limits;
    struct sm_payload_pool *pool;
    const struct sm_http_handler *handler;
    void *ctx;
    bool has_door; /* auth or cors */
    struct sm_tls_port *tls;
    struct sm_auth_port *auth;
    const struct sm_cors *cors;
    const char *const *open_paths;
    struct sm_tcp_listener **listeners;
    size_t listeners_n;
    struct sm_loop_timer *timer;
    struct sm_conn *conns;
    uint32_t conns_n;
    struct sm_conn *unflushed; /* connections whose output waits until this turn's reads are done */
    struct sm_loop_message flush_message;
    bool flush_posted;
    struct sm_exchange *idle_exchanges;
    uint32_t idle_exchanges_n;
    uint32_t deferred_n;
    bool is_paused;
    bool is_draining;
    bool is_freed;
    int64_t date_second;
    char date[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" of date_second */
    nghttp2_option *h2_options;
    nghttp2_session_callbacks *h2_callbacks;
    struct sm_cells h2_cells;
    nghttp2_mem h2_mem; /* nghttp2's way to h2_cells */
    struct sm_http_counters counters;
    uint8_t scratch[SCRATCH_BYTES];
};

static inline void sm_http_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* http.c */
struct sm_str sm_http_server_date(struct sm_http_server *server);
void sm_http_server_unref(struct sm_http_server *server); /* frees it when nothing is left */
void sm_http_release(const struct sm_http_response *response);
bool sm_http_header_is_sendable(const struct sm_http_header *header);
const char *sm_http_status_text(uint16_t status);

/* door.c */
enum { SM_DOOR_REPLY_HEADERS_MAX = 3 };
/* Lets a request in whose headers are complete; false: it has been replied to. Only for servers with a door. */
bool sm_door_admit(struct sm_exchange *x);
/* Further headers of the reply to a page of another site (x->cors is set); returns how many. */
size_t sm_door_reply_headers(const struct sm_exchange *x, struct sm_http_header headers[SM_DOOR_REPLY_HEADERS_MAX]);

/* conn.c */
/* Takes the stream; refuses it when there are too many connections. */
void sm_conn_new(struct sm_http_server *server, struct sm_stream *stream);
void sm_conn_close(struct sm_conn *conn);
void sm_conn_close_broken(struct sm_conn *conn);
/* Room for n more bytes of output, contiguous; NULL closes the connection for want of memory. Commit with the bytes
 * used. */
char *sm_conn_reserve(struct sm_conn *conn, size_t n);
void sm_conn_commit(struct sm_conn *conn, size_t n);
void sm_conn_put(struct sm_conn *conn, const void *bytes, size_t n);
void sm_conn_put_external(struct sm_conn *conn, struct sm_str bytes, void (*release)(void *arg), void *arg);
size_t sm_conn_pending(const struct sm_conn *conn);
void sm_conn_flush(struct sm_conn *conn);
void sm_conn_update_reading(struct sm_conn *conn);
/* Closes when the output has left; the peer gets time to read it. */
void sm_conn_end_after_output(struct sm_conn *conn);
void sm_conn_set_deadline(struct sm_conn *conn, int64_t after_ns, _Atomic uint64_t *counter);
void sm_conn_clear_deadline(struct sm_conn *conn);
void sm_conn_drain(struct sm_conn *conn);
void sm_conn_tick(struct sm_conn *conn, uint64_t now_ms);
/* Deferred work of the server on this connection: parse on, write, adjust reading. */
void sm_conn_resume(struct sm_conn *conn);

/* http1.c, http2.c */
void sm_http1_init(struct sm_conn *conn);
void sm_http2_init(struct sm_conn *conn);
void sm_http2_free_shared(struct sm_http_server *server);

/* exchange.c */
struct sm_exchange *sm_exchange_new(struct sm_conn *conn);
/* Takes it off its connection and back to the pool; nothing of it may be used afterwards. */
void sm_exchange_release(struct sm_exchange *x);
void sm_exchange_destroy(struct sm_exchange *x);
enum sm_rc sm_exchange_add_target(struct sm_exchange *x, const char *at, size_t n);
enum sm_rc sm_exchange_add_name(struct sm_exchange *x, const char *at, size_t n);
enum sm_rc sm_exchange_add_value(struct sm_exchange *x, const char *at, size_t n);
void sm_exchange_end_value(struct sm_exchange *x); /* also after an empty value, of which nothing was added */
/* Resolves the target, the known headers and the declared length. */
void sm_exchange_finish_headers(struct sm_exchange *x, struct sm_str method);
/* Asks the handler; true: receive the body. */
bool sm_exchange_offer(struct sm_exchange *x);
/* Body bytes; copied unless they lie where sm_exchange_body_room said. */
enum sm_rc sm_exchange_add_body(struct sm_exchange *x, const uint8_t *at, size_t n);
/* Room for the rest of a body of known length; SM_E_NOMEM. */
enum sm_rc sm_exchange_body_room(struct sm_exchange *x, uint8_t **at, size_t *len);
/* The body is complete: hands the exchange to the handler. */
void sm_exchange_handle(struct sm_exchange *x);
/* The peer will not see the reply: tells the handler of a deferred exchange, releases others. */
void sm_exchange_abandon(struct sm_exchange *x);
void sm_exchange_advise_abort(struct sm_exchange *x);

/* grpc.c */
/* Takes prefixes off: body bytes of a gRPC exchange. SM_E_LIMIT: message too large; SM_E_INVALID: bad framing. */
enum sm_rc sm_grpc_add_body(struct sm_exchange *x, const uint8_t *at, size_t n);
/* At the end of the body: SM_OK exactly when one complete message has been received. */
enum sm_rc sm_grpc_finish_body(const struct sm_exchange *x);

#endif
