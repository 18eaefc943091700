#include "tls_peer.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- certificates ---- */

static X509 *new_cert(EVP_PKEY *key, const char *name, int days)
{
    static long serial = 0;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)time(NULL) * 1000 + ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -7L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(x), days * 86400L);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    return x;
}

static void extend(X509 *x, X509 *issuer, int what, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, what, value);
    cr_assert(extension);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "w");
    cr_assert(f, "%s", path);
    return f;
}

static void write_cert(const char *path, X509 *x)
{
    FILE *f = create(path);
    PEM_write_X509(f, x);
    fclose(f);
}

void certs_open(struct certs *c)
{
    *c = (struct certs){0};
    snprintf(c->dir, sizeof c->dir, "/tmp/spanmill-certs-XXXXXX");
    cr_assert(mkdtemp(c->dir));
    snprintf(c->ca, sizeof c->ca, "%s/ca.crt", c->dir);
    c->key = EVP_EC_gen("P-256");
    c->root = new_cert(c->key, c->dir, 30); /* a name of its own */
    X509_set_issuer_name(c->root, X509_get_subject_name(c->root));
    extend(c->root, c->root, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(c->root, c->key, EVP_sha256());
    write_cert(c->ca, c->root);
}

void certs_close(struct certs *c)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", c->dir);
    cr_assert_eq(system(command), 0);
    X509_free(c->root);
    EVP_PKEY_free(c->key);
}

static void move_here(const char *from, const char *to)
{
    cr_assert_eq(rename(from, to), 0);
}

struct cert_files certs_issue(struct certs *c, const char *name, int days)
{
    struct cert_files f;
    char fresh[112];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = new_cert(key, name, days);
    X509_set_issuer_name(x, X509_get_subject_name(c->root));
    extend(x, c->root, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_sign(x, c->key, EVP_sha256());
    snprintf(f.cert, sizeof f.cert, "%.60s/%.16s.crt", c->dir, name);
    snprintf(f.key, sizeof f.key, "%.60s/%.16s.key", c->dir, name);
    snprintf(fresh, sizeof fresh, "%s.new", f.cert);
    write_cert(fresh, x);
    move_here(fresh, f.cert);
    snprintf(fresh, sizeof fresh, "%s.new", f.key);
    FILE *out = create(fresh);
    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
    move_here(fresh, f.key);
    X509_free(x);
    EVP_PKEY_free(key);
    return f;
}

/* ---- client ---- */

struct tls_peer *tls_connect(struct peer_server *s, const struct tls_options *o)
{
    struct tls_peer *p = calloc(1, sizeof *p);
    p->raw = peer_connect(s);
    p->context = SSL_CTX_new(TLS_client_method());
    if (o->ca) {
        cr_assert_eq(SSL_CTX_load_verify_file(p->context, o->ca), 1);
        SSL_CTX_set_verify(p->context, SSL_VERIFY_PEER, NULL);
    }
    if (o->mine) {
        cr_assert_eq(SSL_CTX_use_certificate_chain_file(p->context, o->mine->cert), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey_file(p->context, o->mine->key, SSL_FILETYPE_PEM), 1);
    }
    if (o->version) {
        SSL_CTX_set_security_level(p->context, 0);
        SSL_CTX_set_min_proto_version(p->context, o->version);
        SSL_CTX_set_max_proto_version(p->context, o->version);
    }
    p->ssl = SSL_new(p->context);
    if (o->alpn)
        SSL_set_alpn_protos(p->ssl, (const unsigned char *)o->alpn, (unsigned)strlen(o->alpn));
    if (o->session)
        SSL_set_session(p->ssl, o->session);
    p->from_server = BIO_new(BIO_s_mem());
    p->to_server = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->from_server, -1);
    SSL_set_bio(p->ssl, p->from_server, p->to_server);
    SSL_set_connect_state(p->ssl);
    return p;
}

void tls_disconnect(struct tls_peer *p)
{
    SSL_set_shutdown(p->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* or else OpenSSL forgets the session */
    SSL_free(p->ssl);
    SSL_CTX_free(p->context);
    peer_disconnect(p->raw);
    free(p->in);
    free(p);
}

static void send_pending(struct tls_peer *p)
{
    char *bytes;
    long n = BIO_get_mem_data(p->to_server, &bytes);
    if (n > 0)
        peer_send(p->raw, bytes, (size_t)n);
    (void)BIO_reset(p->to_server);
}

static void note_error(struct tls_peer *p, int rc)
{
    int error = SSL_get_error(p->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return;
    p->has_ended |= error == SSL_ERROR_ZERO_RETURN;
    p->is_broken |= error != SSL_ERROR_ZERO_RETURN;
    if (!p->error)
        p->error = ERR_peek_error();
}

static void decrypt(struct tls_peer *p)
{
    for (;;) {
        if (p->in_capacity - p->in_len < 65536) {
            p->in_capacity = 2 * p->in_capacity + 131072;
            p->in = realloc(p->in, p->in_capacity);
        }
        ERR_clear_error();
        int n = SSL_read(p->ssl, p->in + p->in_len, 65536);
        if (n <= 0) {
            note_error(p, n);
            return;
        }
        p->in_len += (size_t)n;
    }
}

void tls_pump(struct tls_peer *p)
{
    send_pending(p);
    peer_settle(p->raw);
    if (p->raw->in_len)
        BIO_write(p->from_server, p->raw->in, (int)p->raw->in_len);
    p->raw->in_len = 0;
    if (!p->is_open && !p->is_broken) {
        ERR_clear_error();
        int rc = SSL_do_handshake(p->ssl);
        p->is_open = rc == 1;
        if (rc != 1)
            note_error(p, rc);
    }
    if (p->is_open && !p->is_broken)
        decrypt(p);
    send_pending(p);
}

static bool is_drained(const struct tls_peer *p)
{
    return p->raw->eof && !p->raw->in_len;
}

struct awaited {
    struct tls_peer *peer;
    const char *text;
    size_t bytes;
};

static bool handshake_is_over(void *arg)
{
    struct tls_peer *p = arg;
    tls_pump(p);
    return p->is_open || p->is_broken || is_drained(p);
}

bool tls_handshake(struct tls_peer *p)
{
    return peer_turn_until(p->raw->server, handshake_is_over, p) && p->is_open && !p->is_broken;
}

bool tls_send(struct tls_peer *p, const void *bytes, size_t n)
{
    size_t sent = 0;
    while (sent < n) {
        int rc = SSL_write(p->ssl, (const char *)bytes + sent, (int)SM_MIN(n - sent, (size_t)16384));
        if (rc <= 0)
            return false;
        sent += (size_t)rc;
        send_pending(p);
    }
    return true;
}

bool tls_send_text(struct tls_peer *p, const char *text)
{
    return tls_send(p, text, strlen(text));
}

static bool has_text(void *arg)
{
    struct awaited *a = arg;
    tls_pump(a->peer);
    return a->peer->in_len && memmem(a->peer->in, a->peer->in_len, a->text, strlen(a->text));
}

static bool has_bytes(void *arg)
{
    struct awaited *a = arg;
    tls_pump(a->peer);
    return a->peer->in_len >= a->bytes;
}

static bool has_end(void *arg)
{
    struct awaited *a = arg;
    tls_pump(a->peer);
    return a->peer->has_ended || a->peer->is_broken || is_drained(a->peer);
}

bool tls_wait_text(struct tls_peer *p, const char *text)
{
    return peer_turn_until(p->raw->server, has_text, &(struct awaited){.peer = p, .text = text});
}

bool tls_wait_bytes(struct tls_peer *p, size_t n)
{
    return peer_turn_until(p->raw->server, has_bytes, &(struct awaited){.peer = p, .bytes = n});
}

bool tls_wait_end(struct tls_peer *p)
{
    return peer_turn_until(p->raw->server, has_end, &(struct awaited){.peer = p});
}
