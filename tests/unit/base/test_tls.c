#include "tls_peer.h"

#include "base/log.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct certs certs;
    struct cert_files mine; /* the server's */
    struct sm_tls *tls;
    struct peer_server server;
};

static void world_open(struct world *w, bool wants_clients, bool only_1_3, int64_t handshake_ns, const struct sm_http_limits *limits)
{
    struct sm_err err = {0};
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = -1});
    certs_open(&w->certs);
    w->mine = certs_issue(&w->certs, "server", 30);
    w->tls = sm_tls_new(&(struct sm_tls_config){.cert = w->mine.cert,
                                                .key = w->mine.key,
                                                .client_ca = wants_clients ? w->certs.ca : NULL,
                                                .only_1_3 = only_1_3,
                                                .handshake_ns = handshake_ns},
                        &err);
    cr_assert(w->tls, "%s", err.text);
    peer_server_open_behind(&w->server, limits, &(struct sm_http_door){.tls = w->tls});
}

static void world_close(struct world *w)
{
    peer_server_close(&w->server);
    sm_tls_free(w->tls);
    certs_close(&w->certs);
}

static void refresh(struct world *w, bool forced)
{
    struct sm_err err;
    (void)sm_tls_refresh(w->tls, forced, &err);
}

static uint64_t failures(const struct world *w, enum sm_tls_failure reason)
{
    return atomic_load(&sm_tls_counters(w->tls)->failures[reason]);
}

static uint64_t all_failures(const struct world *w)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < SM_TLS_FAILURES_N; i++)
        sum += failures(w, (enum sm_tls_failure)i);
    return sum;
}

static void get(struct tls_peer *p, const char *path)
{
    char text[200];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nhost: a\r\n\r\n", path);
    cr_assert(tls_send_text(p, text));
}

Test(tls, requests_in_both_versions)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < SM_ARRAY_LEN(versions); i++) {
        struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca, .version = versions[i]});
        cr_assert(tls_handshake(p));
        get(p, "/x");
        cr_assert(tls_wait_text(p, "202 Accepted"));
        get(p, "/y");
        cr_assert(tls_wait_text(p, "202 Accepted"));
        tls_disconnect(p);
    }
    cr_assert_eq(atomic_load(&sm_tls_counters(w.tls)->handshakes), 2);
    cr_assert_eq(all_failures(&w), 0);
    world_close(&w);
}

Test(tls, versions_before_1_2_are_refused)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.version = TLS1_1_VERSION});
    cr_assert(!tls_handshake(p));
    cr_assert_eq(ERR_GET_REASON(p->error), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    cr_assert_eq(failures(&w, SM_TLS_NO_COMMON), 1);
    tls_disconnect(p);
    world_close(&w);
}

Test(tls, only_1_3)
{
    struct world w;
    world_open(&w, false, true, 10 * SM_SEC, NULL);
    struct tls_peer *old = tls_connect(&w.server, &(struct tls_options){.version = TLS1_2_VERSION});
    cr_assert(!tls_handshake(old));
    struct tls_peer *fresh = tls_connect(&w.server, &(struct tls_options){.version = TLS1_3_VERSION});
    cr_assert(tls_handshake(fresh));
    tls_disconnect(old);
    tls_disconnect(fresh);
    world_close(&w);
}

static void check_alpn(struct world *w, const char *offered, const char *chosen)
{
    struct tls_peer *p = tls_connect(&w->server, &(struct tls_options){.alpn = offered});
    const unsigned char *got = NULL;
    unsigned n = 0;
    cr_assert_eq(tls_handshake(p), chosen != NULL);
    SSL_get0_alpn_selected(p->ssl, &got, &n);
    cr_assert(chosen ? n == strlen(chosen) && memcmp(got, chosen, n) == 0 : n == 0, "%s", offered);
    tls_disconnect(p);
}

Test(tls, alpn)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    check_alpn(&w, "\x08http/1.1\x02h2", "h2");
    check_alpn(&w, "\x08http/1.1", "http/1.1");
    check_alpn(&w, "\x04spdy\x02h2", "h2");
    check_alpn(&w, "\x04spdy", NULL);
    cr_assert_eq(failures(&w, SM_TLS_NO_COMMON), 1);
    world_close(&w);
}

/* Larger than records, reads and socket buffers, with a reader that stops: what is stuck on the way must come in order. */
Test(tls, large_bodies_both_ways)
{
    struct world w;
    struct sm_http_limits limits = sm_http_limits_default;
    limits.out_bytes_max = 64 * 1024;
    world_open(&w, false, false, 10 * SM_SEC, &limits);
    const size_t n = 9 * 1000 * 1000 + 7;
    char *body = malloc(n), head[200];
    for (size_t i = 0; i < n; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    for (unsigned round = 0; round < 2; round++) {
        p->in_len = 0;
        snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n", n);
        cr_assert(tls_send_text(p, head));
        cr_assert(tls_send(p, body, n));
        cr_assert(tls_wait_bytes(p, n), "%zu", p->in_len);
        const char *at = memmem(p->in, p->in_len, "\r\n\r\n", 4);
        cr_assert(at);
        cr_assert(tls_wait_bytes(p, (size_t)(at + 4 - p->in) + n));
        at = memmem(p->in, p->in_len, "\r\n\r\n", 4);
        cr_assert_eq(memcmp(at + 4, body, n), 0);
    }
    tls_disconnect(p);
    free(body);
    world_close(&w);
}

/* While the server does not read, the rest of what one read brought is kept, decrypted or not. */
Test(tls, pipelined_requests_wait_for_a_deferred_reply)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    get(p, "/defer");
    for (unsigned i = 0; i < 300; i++) { /* more than a paused connection reads ahead */
        char text[700];
        snprintf(text, sizeof text, "GET /%u HTTP/1.1\r\nhost: a\r\nx-fill: %0600u\r\n\r\n", i, i);
        cr_assert(tls_send_text(p, text));
    }
    tls_pump(p);
    cr_assert_eq(w.server.deferred_n, 1);
    cr_assert_eq(w.server.requests_seen, 1);
    sm_http_complete(w.server.deferred[0], &(struct sm_http_response){.status = 204});
    cr_assert(tls_wait_text(p, "204 No Content"));
    while (w.server.requests_seen < 301)
        tls_pump(p);
    cr_assert_str_eq(w.server.last_path, "/299");
    tls_disconnect(p);
    world_close(&w);
}

Test(tls, half_closed_clients_get_their_reply)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    get(p, "/defer");
    SSL_shutdown(p->ssl);
    tls_pump(p);
    cr_assert_eq(w.server.deferred_n, 1);
    sm_http_complete(w.server.deferred[0], &(struct sm_http_response){.status = 204});
    cr_assert(tls_wait_text(p, "204 No Content"));
    cr_assert(tls_wait_end(p));
    cr_assert(p->has_ended); /* the server said farewell in TLS, too */
    tls_disconnect(p);
    world_close(&w);
}

Test(tls, client_certificates)
{
    struct world w;
    world_open(&w, true, false, 10 * SM_SEC, NULL);
    struct certs others;
    certs_open(&others);
    struct cert_files good = certs_issue(&w.certs, "client", 30), stranger = certs_issue(&others, "client", 30),
                      expired = certs_issue(&w.certs, "expired", -1);
    const struct {
        const struct cert_files *mine;
        enum sm_tls_failure reason;
        int alert;
    } cases[] = {
        {&good, SM_TLS_FAILURES_N, 0},
        {NULL, SM_TLS_NO_CERTIFICATE, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED},
        {&stranger, SM_TLS_BAD_CERTIFICATE, SSL_R_TLSV1_ALERT_UNKNOWN_CA},
        {&expired, SM_TLS_BAD_CERTIFICATE, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        uint64_t before = all_failures(&w);
        struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca, .mine = cases[i].mine});
        tls_handshake(p); /* in TLS 1.3 the client's side is over before the server has looked at its certificate */
        get(p, "/x");
        if (cases[i].reason == SM_TLS_FAILURES_N) {
            cr_assert(tls_wait_text(p, "202 Accepted"));
        } else {
            uint64_t reason_before = failures(&w, cases[i].reason);
            cr_assert(tls_wait_end(p));
            cr_assert(p->is_broken, "%zu: an alert, not just an end", i);
            cr_assert_eq(ERR_GET_REASON(p->error), cases[i].alert, "%zu: %d", i, ERR_GET_REASON(p->error));
            cr_assert_geq(failures(&w, cases[i].reason), reason_before);
            cr_assert_geq(failures(&w, cases[i].reason), 1);
            cr_assert_eq(all_failures(&w), before + 1);
        }
        tls_disconnect(p);
    }
    cr_assert_eq(w.server.requests_seen, 1);
    certs_close(&others);
    world_close(&w);
}

static void send_at_once(struct tls_peer *p)
{
    char *bytes;
    long n = BIO_get_mem_data(p->to_server, &bytes);
    cr_assert_eq(send(p->raw->fd, bytes, (size_t)n, MSG_DONTWAIT), n);
    (void)BIO_reset(p->to_server);
}

/* The client's side of the handshake; its last flight is still to be sent. */
static void handshake_but_for_the_last_flight(struct tls_peer *p)
{
    SSL_do_handshake(p->ssl);
    send_at_once(p);
    for (unsigned i = 0; i < 1000 && !p->is_open; i++) {
        peer_settle(p->raw);
        BIO_write(p->from_server, p->raw->in, (int)p->raw->in_len);
        p->raw->in_len = 0;
        p->is_open = SSL_do_handshake(p->ssl) == 1;
    }
    cr_assert(p->is_open);
}

/* An alert is not lost because the client has gone on talking: unread bytes would turn the end into a reset. */
Test(tls, alerts_reach_clients_that_talk_on)
{
    struct world w;
    world_open(&w, true, false, 10 * SM_SEC, NULL);
    for (unsigned i = 0; i < 10; i++) {
        struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
        char *talk = calloc(1, 100000);
        handshake_but_for_the_last_flight(p);
        for (unsigned k = 0; k < 10; k++)
            cr_assert_gt(SSL_write(p->ssl, talk, 10000), 0);
        send_at_once(p); /* all is there before the server looks */
        cr_assert(tls_wait_end(p));
        cr_assert(peer_wait_eof(p->raw));
        cr_assert_not(p->raw->reset);
        cr_assert_eq(ERR_GET_REASON(p->error), SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
        tls_disconnect(p);
        free(talk);
    }
    world_close(&w);
}

Test(tls, client_that_does_not_trust_us)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct certs others;
    certs_open(&others);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = others.ca});
    cr_assert(!tls_handshake(p));
    tls_pump(p);
    cr_assert_eq(failures(&w, SM_TLS_REFUSED), 1);
    tls_disconnect(p);
    certs_close(&others);
    world_close(&w);
}

Test(tls, plain_http_is_told_what_is_wrong)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct peer_client *c = peer_connect(&w.server);
    peer_send_text(c, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    cr_assert(peer_wait_text(c, "400 this port speaks HTTPS"));
    cr_assert(peer_wait_eof(c));
    cr_assert_not(c->reset);
    peer_disconnect(c);
    const char *others[] = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x01\x02\x03\x04\x05\x06\x07\x08 and more of it"};
    for (size_t i = 0; i < SM_ARRAY_LEN(others); i++) {
        c = peer_connect(&w.server);
        peer_send_text(c, others[i]);
        cr_assert(peer_wait_eof(c));
        peer_disconnect(c);
    }
    cr_assert_eq(failures(&w, SM_TLS_PLAIN_TEXT) + failures(&w, SM_TLS_MALFORMED), 3);
    cr_assert_geq(failures(&w, SM_TLS_PLAIN_TEXT), 2);
    cr_assert_eq(w.server.requests_seen, 0);
    world_close(&w);
}

Test(tls, handshakes_have_a_deadline)
{
    struct world w;
    world_open(&w, false, false, 100 * SM_MS, NULL);
    struct peer_client *silent = peer_connect(&w.server), *slow = peer_connect(&w.server);
    peer_send_text(slow, "\x16\x03\x01");
    cr_assert(peer_wait_eof(silent));
    cr_assert(peer_wait_eof(slow));
    cr_assert_eq(failures(&w, SM_TLS_TIMEOUT), 2);
    cr_assert_eq(PEER_COUNTER(&w.server, connections_open), 0);
    peer_disconnect(silent);
    peer_disconnect(slow);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    get(p, "/x");
    cr_assert(tls_wait_text(p, "202 Accepted"));
    cr_assert_eq(failures(&w, SM_TLS_TIMEOUT), 2);
    tls_disconnect(p);
    world_close(&w);
}

/* A port scanner is no failed handshake; who leaves in the middle is. */
Test(tls, clients_that_leave)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct peer_client *c = peer_connect(&w.server);
    peer_settle(c);
    peer_disconnect(c);
    c = peer_connect(&w.server);
    peer_send_text(c, "\x16\x03\x01\x01");
    peer_settle(c);
    cr_assert_eq(all_failures(&w), 0);
    peer_disconnect(c);
    struct peer_client *other = peer_connect(&w.server);
    peer_settle(other);
    cr_assert_eq(failures(&w, SM_TLS_CLOSED), 1);
    cr_assert_eq(all_failures(&w), 1);
    peer_disconnect(other);
    world_close(&w);
}

static long serial_shown(struct world *w)
{
    struct tls_peer *p = tls_connect(&w->server, &(struct tls_options){.ca = w->certs.ca});
    cr_assert(tls_handshake(p));
    X509 *x = SSL_get1_peer_certificate(p->ssl);
    uint64_t serial = 0;
    cr_assert_eq(ASN1_INTEGER_get_uint64(&serial, X509_get_serialNumber(x)), 1);
    X509_free(x);
    tls_disconnect(p);
    return (long)serial;
}

static void spoil(const char *path)
{
    FILE *f = fopen(path, "w");
    cr_assert(f);
    fputs("-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n", f);
    fclose(f);
}

Test(tls, certificates_are_replaced_while_connections_stand)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    const struct sm_tls_counters *c = sm_tls_counters(w.tls);
    struct tls_peer *before = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(before));
    long first = serial_shown(&w);
    int64_t expires_s = atomic_load(&c->expires_s);

    refresh(&w, false); /* nothing changed */
    cr_assert_eq(atomic_load(&c->reloads), 0);

    certs_issue(&w.certs, "server", 60);
    refresh(&w, false);
    cr_assert_eq(atomic_load(&c->reloads), 1);
    long second = serial_shown(&w);
    cr_assert_neq(second, first);
    cr_assert_geq(atomic_load(&c->expires_s), expires_s + 29 * 86400);

    spoil(w.mine.cert); /* a bad one changes nothing, is counted once, and is tried again when it changes */
    refresh(&w, false);
    refresh(&w, false);
    cr_assert_eq(atomic_load(&c->reloads_failed), 1);
    cr_assert_eq(serial_shown(&w), second);

    struct certs others;
    certs_open(&others);
    struct cert_files stray = certs_issue(&others, "stray", 30);
    cr_assert_eq(rename(stray.key, w.mine.key), 0); /* of another certificate */
    refresh(&w, false);
    cr_assert_eq(atomic_load(&c->reloads_failed), 2);

    unlink(w.mine.cert);
    refresh(&w, false);
    cr_assert_eq(atomic_load(&c->reloads_failed), 3);
    cr_assert_eq(serial_shown(&w), second);

    certs_issue(&w.certs, "server", 60);
    refresh(&w, false);
    cr_assert_eq(atomic_load(&c->reloads), 2);
    cr_assert_neq(serial_shown(&w), second);
    refresh(&w, true);
    cr_assert_eq(atomic_load(&c->reloads), 3);

    get(before, "/x"); /* the connection from before all that */
    cr_assert(tls_wait_text(before, "202 Accepted"));
    tls_disconnect(before);
    certs_close(&others);
    world_close(&w);
}

Test(tls, files_that_cannot_be_used)
{
    struct certs certs;
    struct sm_err err;
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = -1});
    certs_open(&certs);
    struct cert_files a = certs_issue(&certs, "a", 30), b = certs_issue(&certs, "b", 30);
    struct sm_tls_config missing = {.cert = "/nowhere/x.crt", .key = a.key, .handshake_ns = SM_SEC},
                         mixed = {.cert = a.cert, .key = b.key, .handshake_ns = SM_SEC},
                         no_ca = {.cert = a.cert, .key = a.key, .client_ca = a.key, .handshake_ns = SM_SEC};
    cr_assert_null(sm_tls_new(&missing, &err));
    cr_assert(strstr(err.text, "/nowhere/x.crt: "), "%s", err.text);
    cr_assert_null(sm_tls_new(&mixed, &err));
    cr_assert(strstr(err.text, "b.key: key values mismatch"), "%s", err.text);
    cr_assert_null(sm_tls_new(&no_ca, &err));
    cr_assert(strstr(err.text, "a.key: "), "%s", err.text);
    certs_close(&certs);
}

Test(tls, sessions_are_resumed_until_the_certificate_changes)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    get(p, "/x");
    cr_assert(tls_wait_text(p, "202"));
    SSL_SESSION *session = SSL_get1_session(p->ssl);
    tls_disconnect(p);
    for (unsigned round = 0; round < 2; round++) {
        p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca, .session = session});
        cr_assert(tls_handshake(p));
        cr_assert_eq(SSL_session_reused(p->ssl), round == 0);
        get(p, "/x");
        cr_assert(tls_wait_text(p, "202"));
        tls_disconnect(p);
        refresh(&w, true);
    }
    cr_assert_eq(atomic_load(&sm_tls_counters(w.tls)->resumed), 1);
    SSL_SESSION_free(session);
    world_close(&w);
}

Test(tls, too_many_connections)
{
    struct world w;
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connections_max = 1;
    world_open(&w, false, false, 10 * SM_SEC, &limits);
    struct tls_peer *first = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(first));
    struct tls_peer *second = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert_not(tls_handshake(second));
    cr_assert_eq(PEER_COUNTER(&w.server, connections_refused), 1);
    tls_disconnect(first);
    tls_disconnect(second);
    world_close(&w);
}

/* Every prefix of a handshake, and bytes flipped in it, must leave the server as it was. */
Test(tls, broken_handshakes)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *model = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    SSL_do_handshake(model->ssl);
    char *hello;
    size_t n = (size_t)BIO_get_mem_data(model->to_server, &hello);
    cr_assert_gt(n, 100);
    char *copy = malloc(n);
    for (size_t i = 0; i < n; i += 3) {
        struct peer_client *c = peer_connect(&w.server);
        memcpy(copy, hello, n);
        copy[i] = (char)(copy[i] ^ 0xff);
        peer_send(c, copy, i % 2 ? n : i + 1);
        peer_settle(c);
        peer_disconnect(c);
    }
    free(copy);
    tls_disconnect(model);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    get(p, "/x");
    cr_assert(tls_wait_text(p, "202 Accepted"));
    cr_assert_gt(all_failures(&w), 10);
    tls_disconnect(p);
    world_close(&w);
}

/* A record that was tampered with ends the connection; nothing of it reaches the handler. */
Test(tls, tampered_records)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    struct tls_peer *p = tls_connect(&w.server, &(struct tls_options){.ca = w.certs.ca});
    cr_assert(tls_handshake(p));
    SSL_write(p->ssl, "GET /x HTTP/1.1\r\nhost: a\r\n\r\n", 28);
    char *record;
    long n = BIO_get_mem_data(p->to_server, &record);
    record[n - 1] = (char)(record[n - 1] ^ 1);
    cr_assert(tls_wait_end(p));
    cr_assert_eq(w.server.requests_seen, 0);
    tls_disconnect(p);
    world_close(&w);
}

/* ---- a stream below that takes and gives as it likes ---- */

struct fickle {
    struct sm_stream stream;
    struct sm_loop *loop;
    struct sm_loop_message done;
    uint32_t random;
    bool is_reading, write_queued, is_closed;
    char *sent; /* what the server has sent */
    size_t sent_len;
};

/* The reader above: what arrives is echoed, and from time to time nobody reads. */
struct echo {
    struct sm_stream *stream;
    uint32_t random;
    uint8_t room[7000];
    char *owed;
    size_t owed_len, owed_sent;
    bool write_pending, ended, closed, is_reading;
    unsigned stops;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static struct fickle *fickle_of(struct sm_stream *stream)
{
    return SM_CONTAINER_OF(stream, struct fickle, stream);
}

static void fickle_start(struct sm_stream *stream)
{
    fickle_of(stream)->is_reading = true;
}

static void fickle_stop(struct sm_stream *stream)
{
    fickle_of(stream)->is_reading = false;
}

static void fickle_take(struct fickle *f, const void *bytes, size_t n)
{
    f->sent = realloc(f->sent, f->sent_len + n + 1);
    memcpy(f->sent + f->sent_len, bytes, n);
    f->sent_len += n;
}

static ssize_t fickle_try_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct fickle *f = fickle_of(stream);
    cr_assert_eq(n, 1);
    cr_assert_not(f->write_queued);
    size_t take = next_random(&f->random) % 3 ? parts[0].iov_len : next_random(&f->random) % (parts[0].iov_len + 1);
    fickle_take(f, parts[0].iov_base, take);
    return (ssize_t)take;
}

static void on_fickle_done(struct sm_loop_message *message)
{
    struct fickle *f = SM_CONTAINER_OF(message, struct fickle, done);
    if (f->is_closed) {
        f->stream.events->closed(f->stream.ctx);
        return;
    }
    f->write_queued = false;
    f->stream.events->written(f->stream.ctx, SM_OK);
}

static enum sm_rc fickle_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct fickle *f = fickle_of(stream);
    cr_assert(!f->write_queued && n == 1);
    f->write_queued = true;
    fickle_take(f, parts[0].iov_base, parts[0].iov_len);
    sm_loop_post_message(f->loop, &f->done);
    return SM_OK;
}

static void fickle_finish(struct sm_stream *stream SM_UNUSED)
{
}

static void fickle_close(struct sm_stream *stream)
{
    struct fickle *f = fickle_of(stream);
    f->is_closed = true;
    if (!f->write_queued)
        sm_loop_post_message(f->loop, &f->done);
}

static const struct sm_stream_ops fickle_ops = {fickle_start, fickle_stop, fickle_try_write, fickle_write, fickle_finish, fickle_close};

static void echo_flush(struct echo *e)
{
    while (!e->write_pending && e->owed_sent < e->owed_len) {
        size_t half = (e->owed_len - e->owed_sent) / 2;
        struct iovec parts[2] = {{e->owed + e->owed_sent, half}, {e->owed + e->owed_sent + half, e->owed_len - e->owed_sent - half}};
        ssize_t taken = e->stream->ops->try_write(e->stream, parts, 2);
        cr_assert_geq(taken, 0);
        e->owed_sent += (size_t)taken;
        if (e->owed_sent == e->owed_len)
            break;
        struct iovec rest = {e->owed + e->owed_sent, e->owed_len - e->owed_sent};
        e->write_pending = true;
        cr_assert_eq(e->stream->ops->write(e->stream, &rest, 1), SM_OK);
    }
}

static void echo_buffer(void *ctx, uint8_t **at, size_t *len)
{
    struct echo *e = ctx;
    *at = e->room;
    *len = 1 + next_random(&e->random) % sizeof e->room;
}

static void echo_bytes(void *ctx, uint8_t *at, size_t n)
{
    struct echo *e = ctx;
    cr_assert(e->is_reading, "bytes for a reader that has stopped");
    if (!e->write_pending && e->owed_sent == e->owed_len)
        e->owed_len = e->owed_sent = 0;
    if (!e->write_pending) { /* memory of a queued write stays where it is */
        e->owed = realloc(e->owed, e->owed_len + n);
        memcpy(e->owed + e->owed_len, at, n);
        e->owed_len += n;
        echo_flush(e);
    }
    bool must_stop = e->write_pending;
    if (must_stop || next_random(&e->random) % 4 == 0) {
        e->is_reading = false;
        e->stops++;
        e->stream->ops->read_stop(e->stream);
    }
}

static void echo_ended(void *ctx, enum sm_rc rc SM_UNUSED)
{
    ((struct echo *)ctx)->ended = true;
}

static void echo_written(void *ctx, enum sm_rc rc)
{
    struct echo *e = ctx;
    cr_assert_eq(rc, SM_OK);
    cr_assert(e->write_pending);
    e->write_pending = false;
    e->owed_sent = e->owed_len;
}

static void echo_closed(void *ctx)
{
    ((struct echo *)ctx)->closed = true;
}

static const struct sm_stream_events echo_events = {
    .buffer = echo_buffer, .bytes = echo_bytes, .ended = echo_ended, .written = echo_written, .closed = echo_closed};

/* Gives the server some of what the client has written. */
static void feed(struct fickle *f, BIO *from_client)
{
    char *bytes;
    long n = BIO_get_mem_data(from_client, &bytes);
    uint8_t *at;
    size_t room;
    if (n <= 0 || !f->is_reading)
        return;
    f->stream.events->buffer(f->stream.ctx, &at, &room);
    size_t wanted = 1 + next_random(&f->random) % 40000, take = SM_MIN(SM_MIN((size_t)n, room), wanted);
    cr_assert_eq(BIO_read(from_client, at, (int)take), (int)take);
    f->stream.events->bytes(f->stream.ctx, at, take);
}

static void start_again(struct echo *e)
{
    if (e->is_reading || e->write_pending)
        return;
    e->is_reading = true;
    e->stream->ops->read_start(e->stream);
}

static void echo_a_lot(struct world *w, uint32_t seed, int version)
{
    enum { TOTAL = 600000 };
    struct sm_loop *loop = w->server.loop;
    struct sm_tls_port *port = sm_tls_port_new(w->tls, loop);
    struct fickle f = {.stream.ops = &fickle_ops, .loop = loop, .random = seed, .done.fn = on_fickle_done};
    struct echo e = {.stream = sm_tls_port_accept(port, &f.stream), .random = seed * 7 + 1};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    e.stream->events = &echo_events;
    e.stream->ctx = &e;
    char chunk[30000], got[30000];
    size_t written = 0, read = 0;
    for (unsigned turns = 0; read < TOTAL; turns++) {
        cr_assert_lt(turns, 200000, "seed %u: stuck after %zu of %d", seed, read, TOTAL);
        size_t wanted = 1 + next_random(&f.random) % sizeof chunk, n = SM_MIN(wanted, TOTAL - written);
        for (size_t i = 0; i < n; i++)
            chunk[i] = (char)((written + i) * 31 >> 3);
        if (n && (int)n == SSL_write(ssl, chunk, (int)n))
            written += n;
        feed(&f, out);
        sm_loop_poll(loop);
        start_again(&e);
        BIO_write(in, f.sent, (int)f.sent_len);
        f.sent_len = 0;
        for (int m; (m = SSL_read(ssl, got, sizeof got)) > 0; read += (size_t)m) {
            for (int i = 0; i < m; i++)
                cr_assert_eq(got[i], (char)((read + (size_t)i) * 31 >> 3), "seed %u, byte %zu", seed, read + (size_t)i);
        }
    }
    cr_assert_gt(e.stops, 10);
    e.stream->ops->close(e.stream);
    sm_tls_port_free(port);
    while (!e.closed)
        sm_loop_poll(loop);
    SSL_free(ssl);
    SSL_CTX_free(context);
    free(f.sent);
    free(e.owed);
}

Test(tls, readers_and_writers_that_stop_anywhere)
{
    struct world w;
    world_open(&w, false, false, 10 * SM_SEC, NULL);
    for (uint32_t seed = 1; seed <= 12; seed++)
        echo_a_lot(&w, seed, seed % 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
    world_close(&w);
}
