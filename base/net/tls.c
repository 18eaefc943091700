/* TLS: what a listener shows, and the streams of its connections. */
#include "base/net/tls.h"

#include "base/buf.h"
#include "base/net/tls_context.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    SCRATCH_BYTES = 64 * 1024,     /* of ciphertext per read, shared by the connections of a port */
    PARTING_BYTES_MAX = 64 * 1024, /* read on after a failure, so that the client sees the alert and no reset */
};

#define PARTING_NS SM_SEC

const char *const sm_tls_failure_names[SM_TLS_FAILURES_N] = {
    [SM_TLS_TIMEOUT] = "timeout",
    [SM_TLS_PLAIN_TEXT] = "plain_text",
    [SM_TLS_NO_CERTIFICATE] = "no_certificate",
    [SM_TLS_BAD_CERTIFICATE] = "bad_certificate",
    [SM_TLS_REFUSED] = "refused_by_client",
    [SM_TLS_NO_COMMON] = "nothing_in_common",
    [SM_TLS_CLOSED] = "closed",
    [SM_TLS_MALFORMED] = "malformed",
};

struct stamps {
    struct sm_file_stamp cert, key, client_ca;
};

struct sm_tls {
    char *cert, *key, *client_ca;
    struct sm_tls_config config; /* its strings are these */
    _Atomic uint32_t refs;       /* the owner's and one per port */
    struct stamps seen;          /* of the files as they were last tried */
    pthread_mutex_t lock;        /* guards `context`, per new context and port only */
    SSL_CTX *context;
    _Atomic uint64_t generation;
    struct sm_tls_counters counters;
};

enum phase {
    PHASE_HANDSHAKE,
    PHASE_OPEN,
    PHASE_PARTING, /* failed: what still comes is thrown away until the client closes */
    PHASE_OVER,    /* broken, and the reader knows */
};

struct tls_stream {
    struct sm_stream stream;
    struct sm_stream *inner;
    struct sm_tls_port *port;
    SSL *ssl;
    enum phase phase;
    struct tls_stream *next, **link; /* in the port's list, while a deadline counts */
    uint64_t deadline_ms;
    /* Reading. */
    const uint8_t *in; /* ciphertext that OpenSSL may take now: the caller's, or `rest` */
    size_t in_len;
    uint8_t *rest; /* what the reader did not want yet; NULL: nothing */
    size_t parting_bytes;
    bool wants_bytes, inner_is_reading, inner_has_ended, has_spoken;
    bool has_told_end; /* to the reader, which may still write */
    enum sm_rc end_rc;
    /* Writing: `out` waits while `flying` is with the inner stream. */
    struct sm_buf out, flying; /* nothing waits unless something flies */
    struct iovec parts[SM_STREAM_PARTS_MAX]; /* of the reader's queued write */
    size_t parts_n;
    bool write_owed, is_finishing, inner_is_finished;
    /* Ending. */
    bool is_closing, is_closed;
    bool is_posted;
    struct sm_loop_message wake;
};

struct sm_tls_port {
    struct sm_tls *tls;
    struct sm_loop *loop;
    SSL_CTX *context; /* of `generation` */
    uint64_t generation;
    struct tls_stream *timed; /* in their handshakes, or parting */
    struct sm_loop_timer *timer;
    uint32_t streams_n;
    bool is_freed;
    struct sm_buf out; /* what OpenSSL wrote in its last call; empty in between */
    uint8_t scratch[SCRATCH_BYTES];
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- what a listener shows ---- */

static struct stamps stamps_of(const struct sm_tls *tls)
{
    return (struct stamps){sm_file_stamp(tls->cert), sm_file_stamp(tls->key), sm_file_stamp(tls->client_ca)};
}

static bool stamps_eq(const struct stamps *a, const struct stamps *b)
{
    return sm_file_stamp_eq(&a->cert, &b->cert) && sm_file_stamp_eq(&a->key, &b->key) &&
           sm_file_stamp_eq(&a->client_ca, &b->client_ca);
}

/* Stamps are taken before the files are read: what changes meanwhile is read again next time. */
static enum sm_rc load(struct sm_tls *tls, struct sm_err *err)
{
    tls->seen = stamps_of(tls);
    SSL_CTX *context = sm_tls_context_load(&tls->config, err);
    if (!context)
        return err->rc;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *former = tls->context;
    tls->context = context;
    atomic_fetch_add_explicit(&tls->generation, 1, memory_order_release);
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(former);
    atomic_store_explicit(&tls->counters.expires_s, sm_tls_context_expires_s(context), memory_order_relaxed);
    return SM_OK;
}

static char *copy_text(const char *text)
{
    return text ? sm_xstrndup(text, strlen(text)) : NULL;
}

static void unref(struct sm_tls *tls)
{
    if (atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->lock);
    free(tls->cert);
    free(tls->key);
    free(tls->client_ca);
    free(tls);
}

struct sm_tls *sm_tls_new(const struct sm_tls_config *config, struct sm_err *err)
{
    struct sm_tls *tls = sm_xcalloc(1, sizeof *tls);
    struct sm_err why;
    tls->cert = copy_text(config->cert);
    tls->key = copy_text(config->key);
    tls->client_ca = copy_text(config->client_ca);
    tls->config = *config;
    tls->config.cert = tls->cert;
    tls->config.key = tls->key;
    tls->config.client_ca = tls->client_ca;
    tls->refs = 1;
    pthread_mutex_init(&tls->lock, NULL);
    if (load(tls, &why) == SM_OK)
        return tls;
    sm_err_set(err, why.rc, "%s", why.text);
    unref(tls);
    return NULL;
}

enum sm_reload sm_tls_refresh(struct sm_tls *tls, bool forced, struct sm_err *err)
{
    struct stamps now = stamps_of(tls);
    if (!forced && stamps_eq(&now, &tls->seen))
        return SM_RELOAD_NOTHING;
    bool loaded = load(tls, err) == SM_OK;
    count(loaded ? &tls->counters.reloads : &tls->counters.reloads_failed);
    return loaded ? SM_RELOAD_DONE : SM_RELOAD_FAILED;
}

void sm_tls_free(struct sm_tls *tls)
{
    if (tls)
        unref(tls);
}

const struct sm_tls_counters *sm_tls_counters(const struct sm_tls *tls)
{
    return &tls->counters;
}

/* ---- OpenSSL's ends: our memory on both sides ---- */

static int bio_read(BIO *bio, char *to, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t n = SM_MIN((size_t)SM_MAX(size, 0), s->in_len);
    if (!n) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, s->in, n);
    s->in += n;
    s->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    struct tls_stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    sm_buf_put(&s->port->out, from, (size_t)SM_MAX(size, 0));
    return size;
}

static long bio_ctrl(BIO *bio SM_UNUSED, int what, long number SM_UNUSED, void *arg SM_UNUSED)
{
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "spanmill stream");
    SM_ASSERT(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *new_bio(struct tls_stream *s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    SM_ASSERT(bio);
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- deadlines ---- */

static void unlink_timed(struct tls_stream *s)
{
    if (!s->link)
        return;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->link = NULL;
}

static void set_deadline(struct tls_stream *s, int64_t after_ns)
{
    struct sm_tls_port *port = s->port;
    s->deadline_ms = sm_loop_now_ms(port->loop) + (uint64_t)(after_ns / SM_MS) + 1;
    if (s->link)
        return;
    s->next = port->timed;
    s->link = &port->timed;
    if (s->next)
        s->next->link = &s->next;
    port->timed = s;
}

/* ---- writing ---- */

static void broken(struct tls_stream *s);

/* Leaves what waits with the inner stream. */
static void queue_out(struct tls_stream *s)
{
    if (s->flying.size || !s->out.size || s->is_closing)
        return;
    s->flying = s->out;
    s->out = (struct sm_buf){0};
    struct iovec part = {s->flying.data, s->flying.size};
    if (s->inner->ops->write(s->inner, &part, 1) != SM_OK) {
        sm_buf_fini(&s->flying);
        broken(s);
    }
}

/* Sends what OpenSSL has just written: at once when the kernel takes it, else it waits. Called after every call of OpenSSL
 * and before anybody else is called, so that the port's buffer is free again. */
static void send_output(struct tls_stream *s)
{
    struct sm_buf *fresh = &s->port->out;
    size_t sent = 0;
    if (!fresh->size || s->is_closing) {
        sm_buf_clear(fresh);
        return;
    }
    if (!s->flying.size) {
        struct iovec part = {fresh->data, fresh->size};
        ssize_t taken = s->inner->ops->try_write(s->inner, &part, 1);
        sent = taken < 0 ? fresh->size : (size_t)taken; /* broken: reading will tell */
    }
    if (sent < fresh->size)
        sm_buf_put(&s->out, fresh->data + sent, fresh->size - sent);
    sm_buf_clear(fresh);
    queue_out(s);
}

static bool output_is_stuck(const struct tls_stream *s)
{
    return s->flying.size > 0;
}

/* Encrypts up to one record; the bytes taken, 0 when nothing can be written now. */
static size_t encrypt(struct tls_stream *s, const void *bytes, size_t n)
{
    size_t taken = 0;
    ERR_clear_error();
    if (!n || SSL_write_ex(s->ssl, bytes, n, &taken) != 1)
        taken = 0;
    send_output(s);
    return taken;
}

static ssize_t tls_try_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    size_t sum = 0;
    if (s->phase != PHASE_OPEN)
        return s->phase == PHASE_HANDSHAKE ? 0 : -1;
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; at < parts[i].iov_len;) {
            size_t taken = output_is_stuck(s) ? 0 : encrypt(s, (uint8_t *)parts[i].iov_base + at, parts[i].iov_len - at);
            if (!taken)
                return (ssize_t)sum;
            at += taken;
            sum += taken;
        }
    }
    return (ssize_t)sum;
}

/* Encrypts a piece of the queued write; false when nothing can be taken now. */
static bool write_piece(struct tls_stream *s)
{
    struct iovec *part = s->parts;
    size_t taken = encrypt(s, part->iov_base, part->iov_len);
    if (!taken && part->iov_len)
        return false;
    part->iov_len -= taken;
    if (part->iov_len)
        part->iov_base = (uint8_t *)part->iov_base + taken;
    else
        memmove(part, part + 1, --s->parts_n * sizeof *part);
    return true;
}

/* Goes on with the reader's queued write, which is over when the kernel has taken all of it. */
static void write_on(struct tls_stream *s)
{
    while (s->write_owed && s->phase == PHASE_OPEN && !output_is_stuck(s) && !s->is_closing) {
        if (s->parts_n) {
            if (!write_piece(s))
                return;
        } else {
            s->write_owed = false;
            s->stream.events->written(s->stream.ctx, SM_OK);
        }
    }
}

static void finish_on(struct tls_stream *s)
{
    if (!s->is_finishing || s->inner_is_finished || s->write_owed || output_is_stuck(s) || s->is_closing)
        return;
    s->inner_is_finished = true;
    s->inner->ops->finish(s->inner);
}

static void post(struct tls_stream *s)
{
    if (s->is_posted)
        return;
    s->is_posted = true;
    sm_loop_post_message(s->port->loop, &s->wake);
}

static enum sm_rc tls_write(struct sm_stream *stream, const struct iovec *parts, size_t n)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    SM_ASSERT(n <= SM_STREAM_PARTS_MAX && !s->write_owed);
    if (s->phase > PHASE_OPEN)
        return SM_E_CLOSED;
    memcpy(s->parts, parts, n * sizeof *parts);
    s->parts_n = n;
    s->write_owed = true;
    post(s);
    return SM_OK;
}

static void tls_finish(struct sm_stream *stream)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    if (s->phase == PHASE_OPEN) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
        send_output(s);
    }
    s->is_finishing = true;
    finish_on(s);
}

/* ---- the end ---- */

static void update_reading(struct tls_stream *s);

static void tell_end(struct tls_stream *s, enum sm_rc rc)
{
    if (s->has_told_end || s->is_closing)
        return;
    s->has_told_end = true;
    s->stream.events->ended(s->stream.ctx, rc);
}

/* The reader closes when it is told, or hears of it when it writes. */
static void broken(struct tls_stream *s)
{
    s->phase = PHASE_OVER;
    unlink_timed(s);
    tell_end(s, SM_E_CLOSED);
}

/* The alert has been written; the client gets some time to read it before the connection closes. */
static void part(struct tls_stream *s)
{
    s->phase = PHASE_PARTING;
    set_deadline(s, PARTING_NS);
    s->is_finishing = true;
    finish_on(s);
    update_reading(s);
}

static enum sm_tls_failure failure_of(unsigned long code)
{
    switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return SM_TLS_PLAIN_TEXT;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return SM_TLS_NO_CERTIFICATE;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return SM_TLS_BAD_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return SM_TLS_NO_COMMON;
    default:
        return ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET ? SM_TLS_REFUSED : SM_TLS_MALFORMED;
    }
}

/* In its own language, to a client that began with an HTTP/1 request. */
static void answer_plain_text(struct tls_stream *s)
{
    static const char reply[] = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n"
                                "400 this port speaks HTTPS: use https://, not http://\n";
    sm_buf_put(&s->port->out, reply, sizeof reply - 1);
    send_output(s);
}

static void handshake_failed(struct tls_stream *s)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    count(&s->port->tls->counters.failures[failure_of(code)]);
    send_output(s);
    if (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
        answer_plain_text(s);
    if (!s->is_closing)
        part(s);
}

/* ---- reading ---- */

static void handshake(struct tls_stream *s)
{
    ERR_clear_error();
    int rc = SSL_accept(s->ssl);
    if (rc == 1) {
        s->phase = PHASE_OPEN;
        unlink_timed(s);
        count(&s->port->tls->counters.handshakes);
        if (SSL_session_reused(s->ssl))
            count(&s->port->tls->counters.resumed);
        send_output(s);
        if (s->write_owed)
            post(s);
        return;
    }
    int error = SSL_get_error(s->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        send_output(s);
    else
        handshake_failed(s);
}

/* Decrypts into the reader's memory; false when there is nothing more for now. */
static bool read_once(struct tls_stream *s)
{
    uint8_t *at = NULL;
    size_t room = 0, n = 0;
    s->stream.events->buffer(s->stream.ctx, &at, &room);
    ERR_clear_error();
    int rc = SSL_read_ex(s->ssl, at, room, &n);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, rc);
    send_output(s);
    if (s->is_closing || s->phase != PHASE_OPEN)
        return false;
    if (error == SSL_ERROR_NONE) {
        s->stream.events->bytes(s->stream.ctx, at, n);
        return true;
    }
    if (error == SSL_ERROR_ZERO_RETURN)
        tell_end(s, SM_OK);
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        broken(s);
    return false;
}

/* A client that closes without saying so in TLS is believed: whether a request was whole, HTTP tells. */
static void settle_end(struct tls_stream *s)
{
    if (!s->inner_has_ended || s->is_closing)
        return;
    if (s->phase == PHASE_HANDSHAKE && s->has_spoken)
        count(&s->port->tls->counters.failures[SM_TLS_CLOSED]);
    if (s->phase != PHASE_OPEN || s->end_rc != SM_OK) {
        s->phase = PHASE_OVER;
        unlink_timed(s);
    }
    if (s->phase == PHASE_OVER || s->wants_bytes)
        tell_end(s, s->end_rc);
}

static void read_on(struct tls_stream *s)
{
    if (s->phase == PHASE_HANDSHAKE && s->in_len)
        handshake(s);
    while (s->phase == PHASE_OPEN && s->wants_bytes && !s->is_closing && !s->has_told_end && read_once(s))
        ;
    if (s->phase >= PHASE_PARTING)
        s->in_len = 0;
}

/* Reads on from what was kept, or from fresh bytes; what is not wanted now is kept. */
static void take_bytes(struct tls_stream *s, const uint8_t *at, size_t n)
{
    uint8_t *rest = s->rest;
    s->rest = NULL;
    s->in = at;
    s->in_len = n;
    read_on(s);
    if (s->in_len && !s->is_closing) {
        uint8_t *kept = sm_xmalloc(s->in_len);
        memcpy(kept, s->in, s->in_len);
        s->rest = kept;
        s->in = kept;
    } else {
        s->in_len = 0;
    }
    free(rest);
    settle_end(s);
}

/* The inner stream is read while there is nothing of it left to decrypt. */
static void update_reading(struct tls_stream *s)
{
    bool wanted = !s->inner_has_ended && !s->has_told_end && !s->rest &&
                  (s->phase == PHASE_HANDSHAKE || s->phase == PHASE_PARTING || (s->phase == PHASE_OPEN && s->wants_bytes));
    if (wanted == s->inner_is_reading || s->is_closing)
        return;
    s->inner_is_reading = wanted;
    if (wanted)
        s->inner->ops->read_start(s->inner);
    else
        s->inner->ops->read_stop(s->inner);
}

static void free_stream(struct tls_stream *s);

/* What could not be done inside of a call of the reader's. */
static void on_wake(struct sm_loop_message *message)
{
    struct tls_stream *s = SM_CONTAINER_OF(message, struct tls_stream, wake);
    s->is_posted = false;
    if (s->is_closed) {
        free_stream(s);
        return;
    }
    if (s->is_closing)
        return;
    write_on(s);
    if (!s->is_closing && s->wants_bytes && s->phase == PHASE_OPEN)
        take_bytes(s, s->in, s->in_len);
    update_reading(s);
}

static void tls_read_start(struct sm_stream *stream)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    s->wants_bytes = true;
    if (s->rest || s->inner_has_ended || SSL_has_pending(s->ssl))
        post(s);
    else
        update_reading(s);
}

static void tls_read_stop(struct sm_stream *stream)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    s->wants_bytes = false;
    update_reading(s);
}

/* ---- what the inner stream tells ---- */

static void on_buffer(void *ctx, uint8_t **at, size_t *len)
{
    struct tls_stream *s = ctx;
    *at = s->port->scratch;
    *len = sizeof s->port->scratch;
}

static void on_bytes(void *ctx, uint8_t *at, size_t n)
{
    struct tls_stream *s = ctx;
    if (s->is_closing)
        return;
    s->has_spoken = true;
    if (s->phase == PHASE_PARTING) {
        s->parting_bytes += n;
        if (s->parting_bytes > PARTING_BYTES_MAX)
            broken(s);
        return;
    }
    take_bytes(s, at, n);
    update_reading(s);
}

static void on_ended(void *ctx, enum sm_rc rc)
{
    struct tls_stream *s = ctx;
    s->inner_has_ended = true;
    s->end_rc = rc;
    settle_end(s);
}

static void on_written(void *ctx, enum sm_rc rc)
{
    struct tls_stream *s = ctx;
    sm_buf_fini(&s->flying);
    if (s->is_closing)
        return;
    if (rc != SM_OK) {
        broken(s);
        return;
    }
    queue_out(s);
    write_on(s);
    finish_on(s);
}

static void on_closed(void *ctx)
{
    struct tls_stream *s = ctx;
    s->stream.events->closed(s->stream.ctx);
    s->is_closed = true;
    if (!s->is_posted)
        free_stream(s);
}

static void on_drained(void *ctx)
{
    struct tls_stream *s = ctx;
    if (!s->is_closing && s->stream.events->drained)
        s->stream.events->drained(s->stream.ctx);
}

static const struct sm_stream_events inner_events = {
    .buffer = on_buffer,
    .bytes = on_bytes,
    .ended = on_ended,
    .written = on_written,
    .closed = on_closed,
    .drained = on_drained,
};

/* A farewell that nobody waits for. */
static void tls_close(struct sm_stream *stream)
{
    struct tls_stream *s = SM_CONTAINER_OF(stream, struct tls_stream, stream);
    if (s->phase == PHASE_OPEN && !s->is_finishing) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
        send_output(s);
    }
    s->is_closing = true;
    unlink_timed(s);
    s->inner->ops->close(s->inner);
}

static const struct sm_stream_ops tls_ops = {
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .try_write = tls_try_write,
    .write = tls_write,
    .finish = tls_finish,
    .close = tls_close,
};

/* ---- ports ---- */

static void on_timer(void *arg)
{
    struct sm_tls_port *port = arg;
    uint64_t now_ms = sm_loop_now_ms(port->loop);
    for (struct tls_stream *s = port->timed, *next; s; s = next) {
        next = s->next;
        if (now_ms < s->deadline_ms)
            continue;
        if (s->phase == PHASE_HANDSHAKE)
            count(&port->tls->counters.failures[SM_TLS_TIMEOUT]);
        broken(s);
    }
}

struct sm_tls_port *sm_tls_port_new(struct sm_tls *tls, struct sm_loop *loop)
{
    struct sm_tls_port *port = sm_xcalloc(1, sizeof *port);
    int64_t period_ns = SM_MIN(tls->config.handshake_ns / 4, PARTING_NS / 4);
    port->tls = tls;
    port->loop = loop;
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    port->timer = sm_loop_timer_new(loop, SM_MAX(period_ns, 5 * SM_MS), on_timer, port);
    return port;
}

static void port_unref(struct sm_tls_port *port)
{
    if (!port->is_freed || port->streams_n)
        return;
    SSL_CTX_free(port->context);
    sm_buf_fini(&port->out);
    unref(port->tls);
    free(port);
}

void sm_tls_port_free(struct sm_tls_port *port)
{
    if (!port)
        return;
    sm_loop_timer_free(port->timer);
    port->is_freed = true;
    port_unref(port);
}

static void free_stream(struct tls_stream *s)
{
    struct sm_tls_port *port = s->port;
    SSL_free(s->ssl);
    sm_buf_fini(&s->out);
    sm_buf_fini(&s->flying);
    free(s->rest);
    free(s);
    port->streams_n--;
    port_unref(port);
}

static void take_newest_context(struct sm_tls_port *port)
{
    struct sm_tls *tls = port->tls;
    if (port->context && atomic_load_explicit(&tls->generation, memory_order_acquire) == port->generation)
        return;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX_free(port->context);
    port->context = tls->context;
    port->generation = atomic_load_explicit(&tls->generation, memory_order_relaxed);
    SSL_CTX_up_ref(port->context);
    pthread_mutex_unlock(&tls->lock);
}

struct sm_stream *sm_tls_port_accept(struct sm_tls_port *port, struct sm_stream *inner)
{
    struct tls_stream *s = sm_xcalloc(1, sizeof *s);
    take_newest_context(port);
    s->stream.ops = &tls_ops;
    s->inner = inner;
    s->port = port;
    s->ssl = SSL_new(port->context);
    SM_ASSERT(s->ssl);
    BIO *bio = new_bio(s);
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_accept_state(s->ssl);
    s->wake.fn = on_wake;
    inner->events = &inner_events;
    inner->ctx = s;
    port->streams_n++;
    set_deadline(s, port->tls->config.handshake_ns);
    return &s->stream;
}
