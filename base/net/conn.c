/* A connection: protocol detection, output queue with back-pressure, time-outs, orderly closing. */
#include "base/hash.h"
#include "base/net/http_impl.h"

#include <stdlib.h>

static const char http2_preface[] = NGHTTP2_CLIENT_MAGIC;

static const struct sm_stream_events conn_events;

void sm_conn_set_deadline(struct sm_conn *conn, int64_t after_ns, _Atomic uint64_t *counter)
{
    conn->deadline_ms = sm_loop_now_ms(conn->server->loop) + (uint64_t)(after_ns / SM_MS) + 1;
    conn->deadline_counter = counter;
}

void sm_conn_clear_deadline(struct sm_conn *conn)
{
    conn->deadline_ms = 0;
}

static void on_refused_closed(void *ctx SM_UNUSED)
{
}

static const struct sm_stream_events refused_events = {.closed = on_refused_closed};

static void refuse(struct sm_http_server *server, struct sm_stream *stream)
{
    sm_http_count(&server->counters.connections_refused, 1);
    stream->events = &refused_events;
    stream->ops->close(stream);
}

/* Connections that were made together do not all end together. */
static uint64_t age_ms(const struct sm_conn *conn)
{
    uint64_t age_ms = (uint64_t)(conn->server->limits.connection_age_ns / SM_MS);
    uint64_t random = sm_hash_u64((uintptr_t)conn ^ atomic_load_explicit(&conn->server->counters.connections, memory_order_relaxed));
    return age_ms - age_ms / 10 + random % (age_ms / 5 + 1);
}

void sm_conn_new(struct sm_http_server *server, struct sm_stream *stream)
{
    if (server->conns_n >= server->limits.connections_max || server->is_draining) {
        refuse(server, stream);
        return;
    }
    struct sm_conn *conn = sm_xcalloc(1, sizeof *conn);
    conn->server = server;
    conn->stream = stream;
    stream->events = &conn_events;
    stream->ctx = conn;
    conn->next = server->conns;
    conn->link = &server->conns;
    if (conn->next)
        conn->next->link = &conn->next;
    server->conns = conn;
    server->conns_n++;
    sm_http_count(&server->counters.connections, 1);
    atomic_store_explicit(&server->counters.connections_open, server->conns_n, memory_order_relaxed);
    sm_conn_set_deadline(conn, server->limits.idle_ns, &server->counters.timeouts_idle);
    if (server->limits.connection_age_ns)
        conn->retire_ms = sm_loop_now_ms(server->loop) + age_ms(conn) + 1;
    sm_conn_update_reading(conn);
}

static void unlink_unflushed(struct sm_conn *conn)
{
    if (!conn->unflushed_link)
        return;
    *conn->unflushed_link = conn->unflushed_next;
    if (conn->unflushed_next)
        conn->unflushed_next->unflushed_link = conn->unflushed_link;
    conn->unflushed_link = NULL;
}

static void tear_down(struct sm_conn *conn)
{
    unlink_unflushed(conn);
    for (struct sm_exchange *x = conn->exchanges, *next; x; x = next) {
        next = x->next;
        sm_exchange_abandon(x);
    }
    conn->stream->ops->close(conn->stream);
}

void sm_conn_close(struct sm_conn *conn)
{
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    if (!conn->busy)
        tear_down(conn);
}

static void enter(struct sm_conn *conn)
{
    conn->busy++;
}

static void leave(struct sm_conn *conn)
{
    conn->busy--;
    if (conn->is_closing && !conn->busy)
        tear_down(conn);
}

void sm_conn_close_broken(struct sm_conn *conn)
{
    if (!conn->is_closing)
        sm_http_count(&conn->server->counters.connections_broken, 1);
    sm_conn_close(conn);
}

static void release_external(struct sm_conn *conn)
{
    void (*release)(void *) = conn->external.release;
    void *arg = conn->external.arg;
    memset(&conn->external, 0, sizeof conn->external);
    if (release)
        release(arg);
}

static void on_closed(void *ctx)
{
    struct sm_conn *conn = ctx;
    struct sm_http_server *server = conn->server;
    if (conn->protocol)
        conn->protocol->fini(conn);
    release_external(conn);
    sm_payload_put(conn->out);
    sm_payload_put(conn->writing);
    *conn->link = conn->next;
    if (conn->next)
        conn->next->link = conn->link;
    free(conn);
    server->conns_n--;
    atomic_store_explicit(&server->counters.connections_open, server->conns_n, memory_order_relaxed);
    sm_http_server_unref(server);
}

/* ---- output ---- */

char *sm_conn_reserve(struct sm_conn *conn, size_t n)
{
    if (!conn->out)
        conn->out = sm_payload_new(conn->server->pool, n);
    if (!conn->out || sm_payload_reserve(conn->out, conn->out->size + n) != SM_OK) {
        sm_http_count(&conn->server->counters.out_of_memory, 1);
        sm_conn_close(conn);
        return NULL;
    }
    return (char *)conn->out->data + conn->out->size;
}

void sm_conn_commit(struct sm_conn *conn, size_t n)
{
    conn->out->size += n;
}

void sm_conn_put(struct sm_conn *conn, const void *bytes, size_t n)
{
    char *at = n ? sm_conn_reserve(conn, n) : NULL;
    if (!at)
        return;
    memcpy(at, bytes, n);
    sm_conn_commit(conn, n);
}

void sm_conn_put_external(struct sm_conn *conn, struct sm_str bytes, void (*release)(void *arg), void *arg)
{
    SM_ASSERT(!conn->external.left && !conn->external.release);
    conn->external.at = (const uint8_t *)bytes.ptr;
    conn->external.left = bytes.len;
    conn->external.release = release;
    conn->external.arg = arg;
}

size_t sm_conn_pending(const struct sm_conn *conn)
{
    size_t out = conn->out ? conn->out->size - conn->out_sent : 0;
    return out + (conn->writing ? conn->writing->size : 0) + conn->external.left;
}

/* What can be written next: the rest of `out`, then a piece of the external body. */
static size_t gather(const struct sm_conn *conn, struct iovec parts[2])
{
    size_t n = 0;
    if (conn->out && conn->out->size > conn->out_sent)
        parts[n++] = (struct iovec){conn->out->data + conn->out_sent, conn->out->size - conn->out_sent};
    if (conn->external.left)
        parts[n++] = (struct iovec){(void *)conn->external.at, SM_MIN(conn->external.left, (size_t)WRITE_BYTES_MAX)};
    return n;
}

static void output_left(struct sm_conn *conn, size_t n)
{
    sm_http_count(&conn->server->counters.bytes_out, n);
    size_t from_out = conn->out ? SM_MIN(n, conn->out->size - conn->out_sent) : 0;
    conn->out_sent += from_out;
    if (conn->out && conn->out_sent == conn->out->size) {
        sm_payload_put(conn->out);
        conn->out = NULL;
        conn->out_sent = 0;
    }
    if (n > from_out) {
        conn->external.at += n - from_out;
        conn->external.left -= n - from_out;
    }
    if (!conn->external.left)
        release_external(conn);
}

/* The kernel takes no more: leaves the next piece with the stream and waits for its event. New output goes elsewhere.
 */
static void queue_write(struct sm_conn *conn)
{
    struct iovec parts[2];
    size_t n = gather(conn, parts);
    bool has_out = conn->out != NULL;
    conn->external.queued = conn->external.left ? parts[n - 1].iov_len : 0;
    if (conn->stream->ops->write(conn->stream, parts, n) != SM_OK) {
        sm_conn_close_broken(conn);
        return;
    }
    conn->write_pending = true;
    conn->write_deadline_ms =
        sm_loop_now_ms(conn->server->loop) + (uint64_t)(conn->server->limits.write_ns / SM_MS) + 1;
    if (has_out) {
        conn->writing = conn->out;
        conn->writing->size -= conn->out_sent; /* from here on only counts what is pending */
        conn->out = NULL;
        conn->out_sent = 0;
    }
}

static void finish_sending(struct sm_conn *conn)
{
    if (conn->peer_ended) {
        sm_conn_close(conn);
        return;
    }
    conn->is_lingering = true;
    sm_conn_set_deadline(conn, conn->server->limits.linger_ns, NULL);
    conn->stream->ops->finish(conn->stream);
    sm_conn_update_reading(conn);
}

/* Writes until the kernel takes no more or nothing is left, asking the protocol for more in between. */
void sm_conn_flush(struct sm_conn *conn)
{
    while (!conn->is_closing && !conn->write_pending) {
        struct iovec parts[2];
        size_t n = gather(conn, parts);
        if (n == 0) {
            if (conn->protocol && conn->protocol->produce(conn))
                continue;
            break;
        }
        size_t wanted = parts[0].iov_len + (n > 1 ? parts[1].iov_len : 0);
        ssize_t taken = conn->stream->ops->try_write(conn->stream, parts, n);
        if (taken < 0) {
            sm_conn_close_broken(conn);
            return;
        }
        output_left(conn, (size_t)taken);
        if ((size_t)taken < wanted)
            queue_write(conn);
    }
    if (!conn->is_closing && !conn->write_pending && !conn->is_lingering && conn->end == SM_CONN_ENDS)
        finish_sending(conn);
}

static void flush_now(struct sm_conn *conn)
{
    unlink_unflushed(conn);
    enter(conn);
    sm_conn_flush(conn);
    sm_conn_update_reading(conn);
    leave(conn);
}

static void flush_unflushed(struct sm_loop_message *message)
{
    struct sm_http_server *server = SM_CONTAINER_OF(message, struct sm_http_server, flush_message);
    server->flush_posted = false;
    while (server->unflushed)
        flush_now(server->unflushed);
    sm_http_server_unref(server);
}

/* The read was filled to its end, so that more may be waiting, most likely further requests: their replies leave together, once nothing
 * is left to read, and at the latest at the end of this turn of the loop. */
static void flush_later(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    if (conn->unflushed_link)
        return;
    conn->unflushed_next = server->unflushed;
    conn->unflushed_link = &server->unflushed;
    if (conn->unflushed_next)
        conn->unflushed_next->unflushed_link = &conn->unflushed_next;
    server->unflushed = conn;
    if (server->flush_posted)
        return;
    server->flush_posted = true;
    server->flush_message.fn = flush_unflushed;
    sm_loop_post_message(server->loop, &server->flush_message);
}

static void on_written(void *ctx, enum sm_rc rc)
{
    struct sm_conn *conn = ctx;
    if (conn->is_closing)
        return;
    conn->write_pending = false;
    conn->write_deadline_ms = 0;
    if (rc != SM_OK) {
        sm_conn_close_broken(conn);
        return;
    }
    size_t n = (conn->writing ? conn->writing->size : 0) + conn->external.queued;
    sm_http_count(&conn->server->counters.bytes_out, n);
    sm_payload_put(conn->writing);
    conn->writing = NULL;
    if (conn->external.queued) {
        conn->external.at += conn->external.queued;
        conn->external.left -= conn->external.queued;
        conn->external.queued = 0;
    }
    if (!conn->external.left)
        release_external(conn);
    sm_conn_resume(conn);
}

void sm_conn_end_after_output(struct sm_conn *conn)
{
    conn->end = SM_CONN_ENDS;
}

/* ---- input ---- */

void sm_conn_update_reading(struct sm_conn *conn)
{
    if (conn->is_closing)
        return;
    bool wanted = !conn->peer_ended && (conn->is_lingering || !conn->protocol || conn->protocol->wants_reading(conn));
    if (wanted == conn->is_reading)
        return;
    conn->is_reading = wanted;
    if (wanted)
        conn->stream->ops->read_start(conn->stream);
    else
        conn->stream->ops->read_stop(conn->stream);
}

void sm_conn_resume(struct sm_conn *conn)
{
    if (conn->is_closing || conn->busy)
        return;
    enter(conn);
    if (conn->protocol && !conn->is_lingering)
        conn->protocol->resume(conn);
    sm_conn_flush(conn);
    sm_conn_update_reading(conn);
    leave(conn);
}

void sm_conn_drain(struct sm_conn *conn)
{
    if (conn->is_closing || conn->is_lingering)
        return;
    enter(conn);
    if (conn->protocol)
        conn->protocol->drain(conn);
    else
        sm_conn_close(conn);
    sm_conn_flush(conn);
    sm_conn_update_reading(conn);
    leave(conn);
}

static void on_buffer(void *ctx, uint8_t **at, size_t *len)
{
    struct sm_conn *conn = ctx;
    if (!conn->protocol || conn->is_lingering || !conn->protocol->buffer(conn, at, len)) {
        *at = conn->server->scratch;
        *len = sizeof conn->server->scratch;
    }
    conn->read_room = *len;
}

static void start_http1(struct sm_conn *conn)
{
    conn->protocol = &sm_http1_protocol;
    sm_http1_init(conn);
}

static void start_http2(struct sm_conn *conn)
{
    conn->protocol = &sm_http2_protocol;
    sm_http_count(&conn->server->counters.connections_http2, 1);
    sm_http2_init(conn);
}

/* Compares the first bytes with the HTTP/2 preface. Bytes that matched need not be kept: they are known. */
static void detect_protocol(struct sm_conn *conn, uint8_t *at, size_t n)
{
    size_t length = sizeof http2_preface - 1;
    size_t seen = conn->preface_n, compared = SM_MIN(n, length - seen);
    if (memcmp(at, http2_preface + seen, compared) == 0) {
        conn->preface_n = (uint8_t)(seen + compared);
        if (conn->preface_n < length)
            return;
        start_http2(conn);
    } else {
        start_http1(conn);
    }
    uint8_t replay[sizeof http2_preface];
    memcpy(replay, http2_preface, conn->preface_n);
    size_t from_input = conn->protocol == &sm_http2_protocol ? compared : 0;
    if (conn->preface_n && !conn->is_closing)
        conn->protocol->input(conn, replay, conn->preface_n);
    if (n > from_input && !conn->is_closing)
        conn->protocol->input(conn, at + from_input, n - from_input);
}

static void linger(struct sm_conn *conn, size_t n)
{
    conn->linger_bytes += n;
    if (conn->linger_bytes > conn->server->limits.body_bytes_max)
        sm_conn_close(conn);
}

static void on_bytes(void *ctx, uint8_t *at, size_t n)
{
    struct sm_conn *conn = ctx;
    sm_http_count(&conn->server->counters.bytes_in, n);
    if (conn->is_closing)
        return;
    if (conn->is_lingering) {
        linger(conn, n);
        return;
    }
    enter(conn);
    if (conn->protocol)
        conn->protocol->input(conn, at, n);
    else
        detect_protocol(conn, at, n);
    if (n == conn->read_room)
        flush_later(conn);
    else
        sm_conn_flush(conn);
    sm_conn_update_reading(conn);
    leave(conn);
}

static void on_ended(void *ctx, enum sm_rc rc)
{
    struct sm_conn *conn = ctx;
    if (conn->is_closing)
        return;
    conn->peer_ended = true;
    enter(conn);
    if (rc != SM_OK) {
        sm_conn_close_broken(conn);
    } else if (conn->is_lingering || !conn->protocol) {
        sm_conn_close(conn);
    } else {
        conn->protocol->ended(conn);
        sm_conn_flush(conn);
        sm_conn_update_reading(conn);
    }
    leave(conn);
}

static void on_drained(void *ctx)
{
    struct sm_conn *conn = ctx;
    if (conn->unflushed_link)
        flush_now(conn);
}

/* ---- time ---- */

static bool is_past(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms && now_ms >= deadline_ms;
}

static void deadline_passed(struct sm_conn *conn)
{
    bool is_speaking = conn->protocol && !conn->is_lingering;
    if (is_speaking && !conn->protocol->may_time_out(conn)) {
        sm_conn_set_deadline(conn, conn->server->limits.idle_ns, conn->deadline_counter);
        return;
    }
    if (conn->deadline_counter)
        sm_http_count(conn->deadline_counter, 1);
    conn->deadline_ms = 0;
    if (!is_speaking) {
        sm_conn_close(conn);
        return;
    }
    conn->protocol->timed_out(conn);
    sm_conn_flush(conn);
}

/* First the peer is asked to go; then, after the grace, it has to. An idle HTTP/1 connection is closed only then: to close it
 * at once could meet a request that is on its way. */
static void retire(struct sm_conn *conn, uint64_t now_ms)
{
    const struct sm_http_limits *limits = &conn->server->limits;
    bool grace_is_over = conn->is_retiring;
    conn->retire_ms = grace_is_over ? 0 : now_ms + (uint64_t)(limits->connection_grace_ns / SM_MS) + 1;
    if (!grace_is_over)
        sm_http_count(&conn->server->counters.connections_aged, 1);
    conn->is_retiring = true;
    if (conn->protocol && !conn->is_lingering && (grace_is_over || conn->protocol == &sm_http2_protocol))
        conn->protocol->drain(conn);
    if (grace_is_over && conn->end == SM_CONN_STAYS)
        sm_conn_close(conn);
    sm_conn_flush(conn);
}

static void check_deadlines(struct sm_conn *conn, uint64_t now_ms)
{
    if (is_past(conn->write_deadline_ms, now_ms)) {
        sm_http_count(&conn->server->counters.timeouts_write, 1);
        sm_conn_close(conn);
        return;
    }
    if (conn->protocol && !conn->is_lingering)
        conn->protocol->tick(conn, now_ms);
    if (!conn->is_closing && is_past(conn->deadline_ms, now_ms))
        deadline_passed(conn);
    if (!conn->is_closing && SM_UNLIKELY(is_past(conn->retire_ms, now_ms)))
        retire(conn, now_ms);
}

void sm_conn_tick(struct sm_conn *conn, uint64_t now_ms)
{
    if (conn->is_closing)
        return;
    enter(conn);
    check_deadlines(conn, now_ms);
    leave(conn);
}

static const struct sm_stream_events conn_events = {
    .buffer = on_buffer,
    .bytes = on_bytes,
    .ended = on_ended,
    .written = on_written,
    .closed = on_closed,
    .drained = on_drained,
};
