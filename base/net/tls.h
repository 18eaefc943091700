/* TLS for listeners: a stream that stands on another one (stream.h), by OpenSSL 3. Server side, TLS 1.2 and 1.3 (RFC 5246,
 * 8446), ALPN h2 and http/1.1 (RFC 7301), client certificates when an authority for them is named.
 *
 * struct sm_tls is what a listener shows: certificate, key, client authorities, read from PEM files. One thread makes it,
 * refreshes and frees it; any loop takes connections through a port of its own. New connections get what was loaded last,
 * those that stand keep what they began with. Files that cannot be loaded leave what is there in force.
 *
 * OpenSSL reads the ciphertext where the socket put it and writes into a buffer that the port's connections share; a
 * connection has memory of its own only while its peer, or its reader, does not keep up. */
#ifndef SM_NET_TLS_H
#define SM_NET_TLS_H

#include "base/file.h"
#include "base/net/loop.h"
#include "base/net/stream.h"

#include <stdatomic.h>

struct sm_tls;
struct sm_tls_port;

struct sm_tls_config {
    const char *cert;      /* the certificate, then those that lead to a root */
    const char *key;       /* its key, without a passphrase */
    const char *client_ca; /* clients must show a certificate of one of these; NULL: nobody is asked for one */
    bool only_1_3;
    int64_t handshake_ns; /* from the connection to the end of the handshake */
};

enum sm_tls_failure {
    SM_TLS_TIMEOUT,        /* handshake_ns */
    SM_TLS_PLAIN_TEXT,     /* the client does not speak TLS; told so when it speaks HTTP/1 */
    SM_TLS_NO_CERTIFICATE, /* of the client */
    SM_TLS_BAD_CERTIFICATE,
    SM_TLS_REFUSED,   /* by the client: most often it does not trust our certificate */
    SM_TLS_NO_COMMON, /* version, cipher or protocol */
    SM_TLS_CLOSED,    /* by the client, in the middle */
    SM_TLS_MALFORMED, /* everything else */
    SM_TLS_FAILURES_N,
};

extern const char *const sm_tls_failure_names[SM_TLS_FAILURES_N];

/* Written by any port's thread, readable by any. */
struct sm_tls_counters {
    _Atomic uint64_t handshakes; /* completed */
    _Atomic uint64_t resumed;    /* of those, by a ticket */
    _Atomic uint64_t failures[SM_TLS_FAILURES_N];
    _Atomic uint64_t reloads;
    _Atomic uint64_t reloads_failed;
    _Atomic int64_t expires_s; /* the certificate, Unix time */
};

/* NULL when the files cannot be loaded; *err says why. Strings are copied. */
struct sm_tls *sm_tls_new(const struct sm_tls_config *config, struct sm_err *err) SM_MUST_USE;
/* The maker's thread: loads the files again when they changed, or anyhow when `forced`; *err says why that failed. Reads
 * files: not on a loop that has traffic. */
enum sm_reload sm_tls_refresh(struct sm_tls *tls, bool forced, struct sm_err *err);
/* After the last port. NULL is allowed. */
void sm_tls_free(struct sm_tls *tls);
const struct sm_tls_counters *sm_tls_counters(const struct sm_tls *tls);

/* A loop's side; everything below belongs to the loop's thread. */
struct sm_tls_port *sm_tls_port_new(struct sm_tls *tls, struct sm_loop *loop) SM_MUST_USE;
/* No more accepting; the memory goes with its last stream. NULL is allowed. */
void sm_tls_port_free(struct sm_tls_port *port);

/* Takes a stream that is not reading yet and gives the one that stands on it. The handshake begins when it is read. */
struct sm_stream *sm_tls_port_accept(struct sm_tls_port *port, struct sm_stream *inner) SM_MUST_USE;

#endif
