/* Outgoing HTTP for sinks: libcurl's multi interface driven by the event loop of the sink's thread.
 *
 * One client per sink. Connections are kept alive and reused; over HTTP/2 requests in flight share one. Nothing blocks,
 * except that names are resolved by a thread of libcurl's. Redirects are not followed. At most SM_HTTP_CLIENT_BODY_MAX bytes of a
 * reply's body and SM_HTTP_CLIENT_HEADERS_MAX bytes of its headers are read, so that a hostile server cannot fill memory.
 *
 * All calls come from the loop's thread (or from whoever sets the loop up, before it runs). */
#ifndef SM_HTTP_CLIENT_H
#define SM_HTTP_CLIENT_H

#include "base/base.h"
#include "base/buf.h"

struct sm_loop;
struct sm_http_client;
struct sm_http_client_call;

#define SM_HTTP_CLIENT_BODY_MAX         (4 * SM_MIB)
#define SM_HTTP_CLIENT_HEADERS_MAX (64 * SM_KIB)
#define SM_HTTP_CLIENT_VALUE_MAX  2048

/* Reply headers and trailers that somebody reads; others are skipped. */
enum sm_http_client_header {
    SM_HTTP_CLIENT_CONTENT_TYPE,
    SM_HTTP_CLIENT_RETRY_AFTER,
    SM_HTTP_CLIENT_GRPC_STATUS,
    SM_HTTP_CLIENT_GRPC_MESSAGE,
    SM_HTTP_CLIENT_GRPC_DETAILS, /* grpc-status-details-bin */
    SM_HTTP_CLIENT_HEADER_COUNT
};

struct sm_http_client_reply {
    const char *failure; /* NULL: there was a reply; else why there was none, in words */
    long status;
    struct sm_str body;
    bool cut;                                          /* the body was longer than SM_HTTP_CLIENT_BODY_MAX and is not here */
    struct sm_str headers[SM_HTTP_CLIENT_HEADER_COUNT]; /* empty: absent; a longer value than the limit counts as absent */
};

enum sm_http_client_version {
    SM_HTTP_CLIENT_VERSION_1,   /* HTTP/1.1 */
    SM_HTTP_CLIENT_VERSION_2,   /* HTTP/2 where TLS negotiates it, else 1.1 */
    SM_HTTP_CLIENT_VERSION_H2C, /* HTTP/2 by prior knowledge over plain text, negotiated over TLS */
};

/* Where and how requests go; the same for all of a client's requests. */
struct sm_http_client_config {
    const char *url; /* http or https; anything else is refused */
    enum sm_http_client_version version;
    const char *const *headers; /* "Name: value", NULL-terminated array; copied */
    int64_t timeout_ns;         /* of one request, connecting included */
    const char *ca_file;        /* NULL: the system's authorities */
    const char *cert_file, *key_file; /* client certificate; NULL: none */
    bool insecure;              /* takes any server certificate */
};

/* SM_E_INVALID when the URL cannot be used. */
enum sm_rc sm_http_client_new(struct sm_loop *loop, const struct sm_http_client_config *config,
                              struct sm_http_client **client, struct sm_err *err) SM_MUST_USE;

/* No call may be in flight. The loop must take another turn (sm_loop_free does) to let go of the last handles. */
void sm_http_client_free(struct sm_http_client *client);

/* Asked once, at the end of each call; the reply is valid during the function, which may start another call. */
typedef void sm_http_client_done_fn(void *ctx, const struct sm_http_client_reply *reply);

/* A place for one request at a time, reused from request to request. */
struct sm_http_client_call *sm_http_client_call_new(struct sm_http_client *client, sm_http_client_done_fn *done, void *ctx);
void sm_http_client_call_free(struct sm_http_client_call *call);

/* POSTs the body, which must stay until `done`, which is never called from within. */
void sm_http_client_post(struct sm_http_client_call *call, struct sm_str body);

/* Proxies come from the environment, as usual; this machine itself is never reached through one: a value for CURLOPT_NOPROXY,
 * to be freed. */
char *sm_http_client_no_proxy(void);

/* Ends the call without `done`. */
void sm_http_client_call_abort(struct sm_http_client_call *call);

#endif
