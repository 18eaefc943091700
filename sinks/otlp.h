/* OTLP export over HTTP (otlp_http.c) and gRPC (otlp_grpc.c): their options and what they share (otlp_sender.c).
 *
 * A batch is sent as one or several requests of at most request_bytes_max; what a part of it achieved is remembered in the
 * batch, so that a retry continues behind it. Spans that the other side refuses are counted and never sent again. */
#ifndef SM_OTLP_H
#define SM_OTLP_H

#include "base/base.h"
#include "pipeline/sink.h"
#include "sinks/http_client.h"
#include "sinks/otlp_reply.h"

enum sm_otlp_compression {
    SM_OTLP_COMPRESSION_AUTO, /* gzip, but none to this machine itself, where CPU costs more than the loopback */
    SM_OTLP_COMPRESSION_NONE,
    SM_OTLP_COMPRESSION_GZIP,
    SM_OTLP_COMPRESSION_ZSTD,
};

/* Zeros mean the default. Everything is copied. */
struct sm_otlp_options {
    /* http://host:port or https://...; "host:port" alone means http. Over HTTP /v1/traces is used when there is no path;
     * over gRPC a path is an error. */
    const char *endpoint;
    const char *const *headers; /* "Name: value", NULL-terminated array; may hold secrets, never logged */
    enum sm_otlp_compression compression;
    int64_t timeout_ns;       /* of one request: 5 s */
    size_t request_bytes_max; /* before compression: a little under 4 MiB, which gRPC servers take by default */
    bool peer_spanmill;       /* the other side is spanmill: keeps the private field */
    bool http2;               /* over HTTP: HTTP/2 by prior knowledge (over TLS: negotiated) instead of HTTP/1.1 */
    const char *ca_file;      /* NULL: the system's authorities */
    const char *cert_file, *key_file;
    bool insecure; /* takes any server certificate */
};

extern const struct sm_sink_ops sm_otlp_http_ops;
extern const struct sm_sink_ops sm_otlp_grpc_ops;

/* The sink to use with the operations above; everything that can be wrong with the options shows when it is opened. */
void *sm_otlp_http_new(const struct sm_otlp_options *options);
void *sm_otlp_grpc_new(const struct sm_otlp_options *options);

/* --- shared by the two -------------------------------------------------------------------------------------------- */

/* What differs between them. */
struct sm_otlp_protocol {
    const char *default_path;
    bool path_allowed;
    const char *const *headers;         /* always sent; NULL-terminated */
    const char *compression_header;     /* printf format of the header that names the compression */
    enum sm_http_client_version version;       /* SM_HTTP_CLIENT_VERSION_1 may be overridden by options.http2 */
    bool framed;                        /* messages have gRPC's five-byte header */
    void (*read_reply)(const struct sm_http_client_reply *reply, int64_t now_ns, struct sm_otlp_outcome *outcome);
};

struct sm_otlp_sender;
struct sm_otlp_sender *sm_otlp_sender_new(const struct sm_otlp_protocol *protocol, const struct sm_otlp_options *options);

/* The sink operations. */
enum sm_rc sm_otlp_sender_open(void *sender, const struct sm_sink_env *env, struct sm_err *err);
void sm_otlp_sender_write(void *sender, struct sm_sink_batch *batch);
void sm_otlp_sender_cancel(void *sender);
void sm_otlp_sender_close(void *sender);

#endif
