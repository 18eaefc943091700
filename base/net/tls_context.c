/* Loading certificates, and what every listener's TLS has in common. */
#include "base/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

/* TLS 1.2 suites with forward secrecy and authenticated encryption, which is what HTTP/2 asks for (RFC 9113 sec. 9.2.2). */
static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

enum { TICKET_SECONDS = 3600 };

/* The first thing that OpenSSL complained of, for people. */
static enum sm_rc complain(struct sm_err *err, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return sm_err_set(err, SM_E_INVALID, "%s: %s", file, reason ? reason : "cannot be used");
}

/* A key with a passphrase must not make the daemon ask on its terminal. */
static int no_passphrase(char *buf SM_UNUSED, int size SM_UNUSED, int is_writing SM_UNUSED, void *arg SM_UNUSED)
{
    return -1;
}

/* What we prefer among what the client offers; a client that offers neither speaks something else. */
static int select_protocol(SSL *ssl SM_UNUSED, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg SM_UNUSED)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen = NULL;
    int rc = SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len);
    *out = chosen;
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum sm_rc load_own(SSL_CTX *context, const struct sm_tls_config *config, struct sm_err *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, config->cert) != 1)
        return complain(err, config->cert);
    if (SSL_CTX_use_PrivateKey_file(context, config->key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
        return complain(err, config->key);
    return SM_OK;
}

static enum sm_rc load_client_ca(SSL_CTX *context, const struct sm_tls_config *config, struct sm_err *err)
{
    static const unsigned char session_id_context[] = "spanmill";
    if (!config->client_ca)
        return SM_OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(config->client_ca);
    if (!names || SSL_CTX_load_verify_file(context, config->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return complain(err, config->client_ca);
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_id_context(context, session_id_context, sizeof session_id_context - 1);
    return SM_OK;
}

/* Sessions are resumed by tickets, whose key lives in the context: all workers know it, and it goes with the certificate. */
static void set_up(SSL_CTX *context, const struct sm_tls_config *config)
{
    SSL_CTX_set_min_proto_version(context, config->only_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, ciphers_1_2);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, TICKET_SECONDS);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
}

SSL_CTX *sm_tls_context_load(const struct sm_tls_config *config, struct sm_err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SM_ASSERT(context);
    set_up(context, config);
    enum sm_rc rc = load_own(context, config, err);
    if (rc == SM_OK)
        rc = load_client_ca(context, config, err);
    if (rc == SM_OK)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

int64_t sm_tls_context_expires_s(const SSL_CTX *context)
{
    struct tm tm = {0};
    const X509 *cert = SSL_CTX_get0_certificate(context);
    return cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}
