/* HTTP/1.0 and 1.1 over llhttp: requests one after the other, bodies received in place, replies as bytes. */
#include "base/net/http_impl.h"

enum {
    CARRY_BYTES_MAX = 64 * 1024,  /* read ahead while a request waits for its reply */
    LARGE_BODY_BYTES = 16 * 1024, /* worth an extra read to receive in place */
    SMALL_READ_BYTES = 2 * 1024,
    IN_PLACE_REST_MAX = 2 * 1024, /* at least what sm_exchange_body_room offers beyond the body */
};

static struct sm_conn *conn_of(llhttp_t *parser)
{
    return parser->data;
}

static int fail(struct sm_conn *conn, uint16_t status)
{
    conn->h1.failure = status;
    return HPE_USER;
}

/* ---- what llhttp tells ---- */

static int on_message_begin(llhttp_t *parser)
{
    struct sm_conn *conn = conn_of(parser);
    struct sm_http_server *server = conn->server;
    conn->h1.x = sm_exchange_new(conn);
    conn->h1.headers_done = false;
    conn->h1.trailer_bytes = 0;
    sm_conn_set_deadline(conn, server->limits.header_ns, &server->counters.timeouts_header);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct sm_conn *conn = conn_of(parser);
    if (sm_exchange_add_target(conn->h1.x, at, n) == SM_OK)
        return 0;
    sm_http_count(&conn->server->counters.headers_too_large, 1);
    return fail(conn, 414);
}

static int headers_too_large(struct sm_conn *conn)
{
    sm_http_count(&conn->server->counters.headers_too_large, 1);
    return fail(conn, 431);
}

/* Trailers and chunk extensions carry nothing that a handler wants, but they are bounded like headers. */
static int on_ignored(llhttp_t *parser, const char *at SM_UNUSED, size_t n)
{
    struct sm_conn *conn = conn_of(parser);
    conn->h1.trailer_bytes += n;
    return conn->h1.trailer_bytes > conn->server->limits.header_bytes_max ? headers_too_large(conn) : 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    struct sm_conn *conn = conn_of(parser);
    if (conn->h1.headers_done)
        return on_ignored(parser, at, n);
    return sm_exchange_add_name(conn->h1.x, at, n) == SM_OK ? 0 : headers_too_large(conn);
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    struct sm_conn *conn = conn_of(parser);
    if (conn->h1.headers_done)
        return on_ignored(parser, at, n);
    return sm_exchange_add_value(conn->h1.x, at, n) == SM_OK ? 0 : headers_too_large(conn);
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct sm_conn *conn = conn_of(parser);
    if (!conn->h1.headers_done)
        sm_exchange_end_value(conn->h1.x);
    return 0;
}

static bool expects_continue(const struct sm_exchange *x)
{
    struct sm_str value = x->pub.known[SM_HTTP_EXPECT];
    return value.len == 12 && strncasecmp(value.ptr, "100-continue", 12) == 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct sm_conn *conn = conn_of(parser);
    struct sm_http_server *server = conn->server;
    struct sm_exchange *x = conn->h1.x;
    bool is_chunked = parser->flags & F_CHUNKED;
    parser->upgrade = 0; /* no other protocol is spoken here, an offer to switch is ignored */
    conn->h1.headers_done = true;
    x->keep_alive = llhttp_should_keep_alive(parser);
    sm_exchange_finish_headers(x, sm_str_c(llhttp_method_name((llhttp_method_t)parser->method)));
    if (parser->http_major != 1)
        return fail(conn, 505);
    bool has_body = is_chunked || parser->content_length > 0;
    if (parser->content_length > server->limits.body_bytes_max) {
        sm_http_count(&server->counters.bodies_too_large, 1);
        return fail(conn, 413);
    }
    sm_conn_set_deadline(conn, server->limits.request_ns, &server->counters.timeouts_request);
    if (!sm_exchange_offer(x))
        x->is_discarding = true;
    else if (has_body && parser->http_minor > 0 && expects_continue(x))
        sm_conn_put(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return 0;
}

static int discard(struct sm_conn *conn)
{
    if (conn->h1.x->body_received <= conn->server->limits.discard_bytes_max)
        return 0;
    sm_conn_end_after_output(conn);
    return HPE_USER;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct sm_conn *conn = conn_of(parser);
    struct sm_http_server *server = conn->server;
    struct sm_exchange *x = conn->h1.x;
    x->body_received += n;
    if (x->is_discarding)
        return discard(conn);
    if (x->body_received > server->limits.body_bytes_max) {
        sm_http_count(&server->counters.bodies_too_large, 1);
        return fail(conn, 413);
    }
    if (sm_exchange_add_body(x, (const uint8_t *)at, n) != SM_OK) {
        sm_http_count(&server->counters.out_of_memory, 1);
        return fail(conn, 503);
    }
    return 0;
}

/* Pausing returns from the parser at the end of every message, so that handlers are not called from inside it. */
static int on_message_complete(llhttp_t *parser)
{
    conn_of(parser)->h1.message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_extension_name = on_ignored,
    .on_chunk_extension_value = on_ignored,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void sm_http1_init(struct sm_conn *conn)
{
    llhttp_init(&conn->h1.parser, HTTP_REQUEST, &parser_settings);
    conn->h1.parser.data = conn;
}

/* ---- replies ---- */

static char *put_str(char *to, struct sm_str s)
{
    if (s.len)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static char *put_uint(char *to, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n)
        *to++ = digits[--n];
    return to;
}

static char *put_header(char *to, struct sm_str name, struct sm_str value)
{
    to = put_str(to, name);
    to = put_str(to, SM_STR(": "));
    to = put_str(to, value);
    return put_str(to, SM_STR("\r\n"));
}

static size_t head_bytes_max(const struct sm_exchange *x, const struct sm_http_response *response)
{
    size_t n = 256 + response->content_type.len;
    if (x && x->cors)
        n += 128 + x->pub.known[SM_HTTP_ORIGIN].len;
    for (size_t i = 0; i < response->headers_n; i++)
        n += response->headers[i].name.len + response->headers[i].value.len + 4;
    return n;
}

static bool status_has_body(uint16_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

static char *put_door_headers(char *to, const struct sm_exchange *x)
{
    struct sm_http_header headers[SM_DOOR_REPLY_HEADERS_MAX];
    size_t n = sm_door_reply_headers(x, headers);
    for (size_t i = 0; i < n; i++)
        to = put_header(to, headers[i].name, headers[i].value);
    return to;
}

/* Writes status line and headers. x NULL: the request could not be understood. */
static void put_head(struct sm_conn *conn, const struct sm_exchange *x, const struct sm_http_response *response,
                     bool keep)
{
    char *begin = sm_conn_reserve(conn, head_bytes_max(x, response)), *to = begin;
    if (!begin)
        return;
    to = put_str(to, SM_STR("HTTP/1.1 "));
    to = put_uint(to, response->status);
    *to++ = ' ';
    to = put_str(to, sm_str_c(sm_http_status_text(response->status)));
    to = put_str(to, SM_STR("\r\n"));
    to = put_header(to, SM_STR("date"), sm_http_server_date(conn->server));
    if (response->content_type.len)
        to = put_header(to, SM_STR("content-type"), response->content_type);
    if (status_has_body(response->status)) {
        to = put_str(to, SM_STR("content-length: "));
        to = put_uint(to, response->body.len);
        to = put_str(to, SM_STR("\r\n"));
    }
    if (!keep)
        to = put_str(to, SM_STR("connection: close\r\n"));
    else if (x && conn->h1.parser.http_minor == 0)
        to = put_str(to, SM_STR("connection: keep-alive\r\n"));
    for (size_t i = 0; i < response->headers_n; i++) {
        if (sm_http_header_is_sendable(&response->headers[i]))
            to = put_header(to, response->headers[i].name, response->headers[i].value);
    }
    if (x && SM_UNLIKELY(x->cors))
        to = put_door_headers(to, x);
    to = put_str(to, SM_STR("\r\n"));
    sm_conn_commit(conn, (size_t)(to - begin));
}

/* Small bodies are copied next to their headers; large ones that come with an owner are written from where they are. */
static void put_body(struct sm_conn *conn, const struct sm_exchange *x, const struct sm_http_response *response)
{
    bool is_wanted = status_has_body(response->status) && !(x && x->is_head);
    if (is_wanted && response->release && response->body.len > COPY_BYTES_MAX) {
        sm_conn_put_external(conn, response->body, response->release, response->release_arg);
        return;
    }
    if (is_wanted)
        sm_conn_put(conn, response->body.ptr, response->body.len);
    sm_http_release(response);
}

/* Whether the connection can go on although the request's body has not been read. */
static bool can_discard_rest(const struct sm_exchange *x)
{
    if (expects_continue(x))
        return false;
    if (x->pub.content_length == SM_HTTP_LENGTH_UNKNOWN)
        return x->server->limits.discard_bytes_max > 0;
    return x->pub.content_length - x->body_received <= x->server->limits.discard_bytes_max;
}

static void exchange_done(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    sm_exchange_release(conn->h1.x);
    conn->h1.x = NULL;
    sm_conn_set_deadline(conn, server->limits.idle_ns, &server->counters.timeouts_idle);
}

static void respond(struct sm_exchange *x, const struct sm_http_response *response)
{
    struct sm_conn *conn = x->conn;
    bool is_complete = x->state != SM_EXCHANGE_RECEIVING;
    bool keep = x->keep_alive && !response->close && !conn->server->is_draining && !conn->is_retiring &&
                (is_complete || can_discard_rest(x));
    put_head(conn, x, response, keep);
    put_body(conn, x, response);
    x->state = SM_EXCHANGE_REPLIED;
    if (!keep)
        sm_conn_end_after_output(conn);
    if (is_complete)
        exchange_done(conn);
}

/* Answers what cannot be received or understood; the connection ends, because the next message cannot be found. */
static void refuse(struct sm_conn *conn, uint16_t status)
{
    struct sm_exchange *x = conn->h1.x;
    sm_conn_end_after_output(conn);
    if (x && x->state == SM_EXCHANGE_REPLIED)
        return;
    struct sm_http_response response = {
        .status = status, .content_type = SM_STR("text/plain; charset=utf-8"), .close = true};
    response.body = sm_str_c(sm_http_status_text(status));
    put_head(conn, NULL, &response, false);
    put_body(conn, NULL, &response);
    if (x)
        x->state = SM_EXCHANGE_REPLIED;
}

/* ---- input ---- */

static bool is_waiting_for_reply(const struct sm_conn *conn)
{
    const struct sm_exchange *x = conn->h1.x;
    return x && (x->state == SM_EXCHANGE_HANDLING || x->state == SM_EXCHANGE_DEFERRED);
}

static bool output_is_full(const struct sm_conn *conn)
{
    return conn->external.left || sm_conn_pending(conn) >= conn->server->limits.out_bytes_max;
}

static bool is_blocked(const struct sm_conn *conn)
{
    return is_waiting_for_reply(conn) || output_is_full(conn) || (!conn->h1.x && conn->server->is_paused);
}

static bool is_over(const struct sm_conn *conn)
{
    return conn->is_closing || conn->end != SM_CONN_STAYS;
}

static void carry(struct sm_conn *conn, const uint8_t *at, size_t n)
{
    struct sm_http1 *h1 = &conn->h1;
    if (!h1->carry)
        h1->carry = sm_payload_new(conn->server->pool, n);
    if (!h1->carry || sm_payload_reserve(h1->carry, h1->carry->size + n) != SM_OK) {
        sm_http_count(&conn->server->counters.out_of_memory, 1);
        sm_conn_close_broken(conn);
        return;
    }
    memcpy(h1->carry->data + h1->carry->size, at, n);
    h1->carry->size += n;
}

static void message_done(struct sm_conn *conn)
{
    struct sm_exchange *x = conn->h1.x;
    conn->h1.message_done = false;
    conn->h1.last_body_was_large = x->body && x->body->size >= LARGE_BODY_BYTES;
    sm_conn_clear_deadline(conn);
    if (x->state == SM_EXCHANGE_REPLIED) {
        exchange_done(conn);
        return;
    }
    sm_exchange_handle(x);
    if (conn->h1.x == x && x->state == SM_EXCHANGE_HANDLING)
        sm_http_reply(&x->pub, 500, NULL, SM_STR(""));
}

/* Parses up to the end of one message; returns the bytes used. */
static size_t parse(struct sm_conn *conn, const uint8_t *at, size_t n)
{
    struct sm_http1 *h1 = &conn->h1;
    llhttp_errno_t result = llhttp_execute(&h1->parser, (const char *)at, n);
    if (result == HPE_OK)
        return n;
    if (result == HPE_PAUSED && h1->message_done) {
        size_t used = (size_t)(llhttp_get_error_pos(&h1->parser) - (const char *)at);
        llhttp_resume(&h1->parser);
        return used;
    }
    if (is_over(conn))
        return n;
    if (!h1->failure) {
        sm_http_count(&conn->server->counters.requests_malformed, 1);
        h1->failure = 400;
    }
    refuse(conn, h1->failure);
    return n;
}

static bool lies_in_body(const struct sm_conn *conn, const uint8_t *at)
{
    const struct sm_payload *body = conn->h1.x ? conn->h1.x->body : NULL;
    return body && at >= body->data && at < body->data + body->capacity;
}

static void consume(struct sm_conn *conn, uint8_t *at, size_t n)
{
    uint8_t rest[IN_PLACE_REST_MAX];
    bool in_place = lies_in_body(conn, at);
    while (n && !is_over(conn)) {
        if (output_is_full(conn))
            sm_conn_flush(conn);
        if (is_blocked(conn)) {
            carry(conn, at, n);
            return;
        }
        size_t used = parse(conn, at, n);
        at += used;
        n -= used;
        if (in_place && n) { /* the body's buffer is about to be given away */
            SM_ASSERT(n <= sizeof rest);
            memcpy(rest, at, n);
            at = rest;
            in_place = false;
        }
        if (conn->h1.message_done && !conn->is_closing)
            message_done(conn);
    }
}

static void consume_carry(struct sm_conn *conn)
{
    struct sm_http1 *h1 = &conn->h1;
    while (h1->carry && !is_over(conn) && !is_blocked(conn)) {
        struct sm_payload *bytes = h1->carry;
        h1->carry = NULL;
        consume(conn, bytes->data, bytes->size);
        sm_payload_put(bytes);
    }
}

/* Ends the connection once everything that the peer sent before finishing has been dealt with. */
static void settle(struct sm_conn *conn)
{
    if (!conn->peer_ended || is_over(conn) || is_waiting_for_reply(conn) || conn->h1.carry)
        return;
    if (conn->h1.x)
        sm_conn_close_broken(conn);
    else
        sm_conn_end_after_output(conn);
}

static void http1_input(struct sm_conn *conn, uint8_t *at, size_t n)
{
    if (!conn->h1.carry) {
        consume(conn, at, n);
        return;
    }
    carry(conn, at, n);
    consume_carry(conn);
}

static bool http1_buffer(struct sm_conn *conn, uint8_t **at, size_t *len)
{
    const struct sm_http1 *h1 = &conn->h1;
    struct sm_exchange *x = h1->x;
    if (!x && h1->last_body_was_large) {
        *at = conn->server->scratch;
        *len = SMALL_READ_BYTES;
        return true;
    }
    bool is_receiving = x && h1->headers_done && x->state == SM_EXCHANGE_RECEIVING && !x->is_discarding;
    if (!is_receiving || x->pub.content_length == SM_HTTP_LENGTH_UNKNOWN || h1->carry)
        return false;
    return sm_exchange_body_room(x, at, len) == SM_OK;
}

static void http1_ended(struct sm_conn *conn)
{
    if (is_waiting_for_reply(conn))
        sm_exchange_advise_abort(conn->h1.x);
    settle(conn);
}

static void http1_resume(struct sm_conn *conn)
{
    consume_carry(conn);
    settle(conn);
}

/* The output has left: what waited for that can go on, and may make new output. */
static bool http1_produce(struct sm_conn *conn)
{
    http1_resume(conn);
    return sm_conn_pending(conn) > 0;
}

static void http1_drain(struct sm_conn *conn)
{
    if (!conn->h1.x && !conn->h1.carry)
        sm_conn_end_after_output(conn);
}

static void http1_tick(struct sm_conn *conn SM_UNUSED, uint64_t now_ms SM_UNUSED)
{
}

static void http1_timed_out(struct sm_conn *conn)
{
    if (conn->h1.x)
        refuse(conn, 408);
    else
        sm_conn_end_after_output(conn);
}

/* A paused connection may be silent only because nobody reads what the peer has sent. */
static bool http1_may_time_out(const struct sm_conn *conn)
{
    return conn->h1.x || !conn->server->is_paused;
}

static bool http1_wants_reading(const struct sm_conn *conn)
{
    if (conn->end != SM_CONN_STAYS)
        return false;
    if (!is_blocked(conn))
        return true;
    size_t carried = conn->h1.carry ? conn->h1.carry->size : 0;
    return is_waiting_for_reply(conn) && carried < CARRY_BYTES_MAX; /* so that a lost peer is noticed */
}

static void http1_fini(struct sm_conn *conn)
{
    sm_payload_put(conn->h1.carry);
}

const struct sm_protocol sm_http1_protocol = {
    .input = http1_input,
    .buffer = http1_buffer,
    .ended = http1_ended,
    .respond = respond,
    .resume = http1_resume,
    .produce = http1_produce,
    .drain = http1_drain,
    .tick = http1_tick,
    .may_time_out = http1_may_time_out,
    .timed_out = http1_timed_out,
    .wants_reading = http1_wants_reading,
    .fini = http1_fini,
};
