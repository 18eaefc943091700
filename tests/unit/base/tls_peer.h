/* Test support: certificates made at test time, and a TLS client on a raw client (net_peer.h). */
#ifndef TEST_TLS_PEER_H
#define TEST_TLS_PEER_H

#include "net_peer.h"

#include "base/net/tls.h"

#include <openssl/ssl.h>

/* An authority in a directory of its own, which certs_close removes. */
struct certs {
    char dir[64];
    char ca[96]; /* path of its certificate */
    EVP_PKEY *key;
    X509 *root;
};

struct cert_files {
    char cert[96], key[96];
};

void certs_open(struct certs *c);
void certs_close(struct certs *c);
/* Writes <name>.crt and <name>.key, valid for localhost and 127.0.0.1, until `days` from now (negative: expired). The same
 * name again replaces the files by renaming. */
struct cert_files certs_issue(struct certs *c, const char *name, int days);

struct tls_options {
    const char *ca;                /* NULL: any server certificate is taken */
    const struct cert_files *mine; /* NULL: none */
    const char *alpn;              /* in wire form; NULL: none */
    int version;                   /* TLS1_2_VERSION, ...; 0: the newest */
    SSL_SESSION *session;          /* to be resumed; NULL: none */
};

struct tls_peer {
    struct peer_client *raw;
    size_t raw_seen;
    SSL_CTX *context;
    SSL *ssl;
    BIO *from_server, *to_server;
    char *in; /* decrypted */
    size_t in_len, in_capacity;
    bool is_open, is_broken, has_ended;
    unsigned long error; /* of OpenSSL, when broken */
};

struct tls_peer *tls_connect(struct peer_server *s, const struct tls_options *options);
void tls_disconnect(struct tls_peer *p);
/* Turns until the handshake is over; false when it failed. */
bool tls_handshake(struct tls_peer *p);
/* Moves bytes both ways, without waiting. */
void tls_pump(struct tls_peer *p);
bool tls_send(struct tls_peer *p, const void *bytes, size_t n);
bool tls_send_text(struct tls_peer *p, const char *text);
bool tls_wait_text(struct tls_peer *p, const char *text);
bool tls_wait_bytes(struct tls_peer *p, size_t n);
/* Until the server has ended the connection. */
bool tls_wait_end(struct tls_peer *p);

#endif
