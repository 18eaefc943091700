/* HTTP/2 over libnghttp2: streams side by side, window given back by hand, replies with or without gRPC trailers.
 *
 * nghttp2 checks syntax, stream states and flow control; this file maps streams to exchanges and keeps hostile peers
 * within the limits. No function here writes to the stream: nghttp2 is asked for bytes when the output has room
 * (produce). */
#include "base/net/grpc.h"
#include "base/net/http_impl.h"
#include "base/net/inflate.h"

#include <stdlib.h>

enum {
    PRODUCE_BYTES = 64 * 1024, /* of output per round */
    CONTROLS_PER_REQUEST = 8,  /* clients that measure their window ping about once per reply */
    REPLY_HEADERS_MAX = 32,
};

static struct sm_exchange *exchange_at(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* ---- limits on rates ---- */

static bool bucket_take(struct sm_bucket *bucket, uint32_t burst, uint32_t per_second, uint64_t now_ms)
{
    uint64_t due = (now_ms - bucket->filled_ms) * per_second / 1000;
    if (due) {
        bucket->tokens = (uint32_t)SM_MIN((uint64_t)burst, bucket->tokens + due);
        bucket->filled_ms = now_ms;
    }
    if (!bucket->tokens)
        return false;
    bucket->tokens--;
    return true;
}

static void bucket_grant(struct sm_bucket *bucket, uint32_t burst, uint32_t tokens)
{
    bucket->tokens = SM_MIN(burst, bucket->tokens + tokens);
}

/* The peer is up to no good: one GOAWAY, then the connection ends. */
static void calm_down(struct sm_conn *conn, _Atomic uint64_t *counter)
{
    if (conn->end != SM_CONN_STAYS)
        return;
    sm_http_count(counter, 1);
    nghttp2_session_terminate_session(conn->h2.session, NGHTTP2_ENHANCE_YOUR_CALM);
    sm_conn_end_after_output(conn);
}

static void count_reset(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    const struct sm_http_limits *limits = &server->limits;
    if (!bucket_take(&conn->h2.resets, limits->resets_burst, limits->resets_per_second, sm_loop_now_ms(server->loop)))
        calm_down(conn, &server->counters.resets_flooded);
}

static void count_control(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    const struct sm_http_limits *limits = &server->limits;
    if (!bucket_take(&conn->h2.controls, limits->controls_burst, limits->controls_per_second,
                     sm_loop_now_ms(server->loop)))
        calm_down(conn, &server->counters.controls_flooded);
}

/* ---- flow control ---- */

static void set_deadline(struct sm_exchange *x, int64_t after_ns, _Atomic uint64_t *counter)
{
    x->deadline_ms = sm_loop_now_ms(x->server->loop) + (uint64_t)(after_ns / SM_MS) + 1;
    x->deadline_counter = counter;
}

/* Gives the peer back the window that n bytes took; while the server is paused, later. */
static void consumed(struct sm_conn *conn, struct sm_exchange *x, int32_t stream_id, size_t n)
{
    if (!conn->server->is_paused) {
        nghttp2_session_consume(conn->h2.session, stream_id, n);
        return;
    }
    conn->h2.owes_window = true;
    if (x)
        x->unconsumed += (uint32_t)n;
    else
        conn->h2.unconsumed += (uint32_t)n;
}

static void repay_window(struct sm_conn *conn)
{
    struct sm_http2 *h2 = &conn->h2;
    if (!h2->owes_window || conn->server->is_paused)
        return;
    h2->owes_window = false;
    for (struct sm_exchange *x = conn->exchanges; x; x = x->next) {
        if (!x->unconsumed)
            continue;
        nghttp2_session_consume(h2->session, x->stream_id, x->unconsumed);
        x->unconsumed = 0;
        if (x->state == SM_EXCHANGE_RECEIVING)
            set_deadline(x, conn->server->limits.request_ns, &conn->server->counters.timeouts_request);
    }
    nghttp2_session_consume_connection(h2->session, h2->unconsumed);
    h2->unconsumed = 0;
}

/* ---- replies ---- */

struct reply_headers {
    nghttp2_nv nv[REPLY_HEADERS_MAX];
    size_t n;
};

static void add(struct reply_headers *headers, struct sm_str name, struct sm_str value)
{
    if (headers->n == REPLY_HEADERS_MAX)
        return;
    headers->nv[headers->n++] =
        (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len, NGHTTP2_NV_FLAG_NONE};
}

static struct sm_str decimal(char text[24], uint64_t value)
{
    int n = snprintf(text, 24, "%llu", (unsigned long long)value);
    return sm_str(text, (size_t)n);
}

/* The next bytes of a reply's body: the gRPC prefix, then the body itself. */
static size_t copy_body(struct sm_exchange *x, uint8_t *to, size_t room)
{
    uint8_t prefix[SM_GRPC_PREFIX_BYTES];
    size_t prefix_len = x->response_is_grpc && !x->response.grpc_framed ? sizeof prefix : 0, n = 0;
    sm_grpc_prefix(prefix, false, (uint32_t)x->response.body.len);
    while (x->response_sent < prefix_len && n < room)
        to[n++] = prefix[x->response_sent++];
    size_t from = x->response_sent - prefix_len;
    size_t take = x->response_sent < prefix_len ? 0 : SM_MIN(x->response.body.len - from, room - n);
    if (take)
        memcpy(to + n, x->response.body.ptr + from, take);
    x->response_sent += take;
    return n + take;
}

static bool body_is_sent(const struct sm_exchange *x)
{
    size_t prefix_len = x->response_is_grpc && !x->response.grpc_framed ? SM_GRPC_PREFIX_BYTES : 0;
    return x->response_sent == prefix_len + x->response.body.len;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user SM_UNUSED)
{
    struct sm_exchange *x = source->ptr;
    size_t n = copy_body(x, buf, length);
    if (!body_is_sent(x))
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (x->response_is_grpc) {
        static const nghttp2_nv ok = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1,
                                      NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream_id, &ok, 1);
    }
    return (ssize_t)n;
}

/* A body whose owner does not wait is copied; the header text, no longer needed, usually has room for it. */
static void keep_body(struct sm_exchange *x)
{
    struct sm_str *body = &x->response.body;
    if (x->response.release || !body->len)
        return;
    char *to = x->text;
    if (body->len > x->text_capacity)
        to = x->response_copy = sm_xmalloc(body->len);
    memmove(to, body->ptr, body->len);
    body->ptr = to;
}

static void submit(struct sm_exchange *x, const struct reply_headers *headers, bool with_body)
{
    nghttp2_data_provider provider = {.source.ptr = x, .read_callback = read_body};
    int rc = nghttp2_submit_response(x->conn->h2.session, x->stream_id, headers->nv, headers->n,
                                     with_body ? &provider : NULL);
    if (rc) /* only for want of memory: give the stream up */
        nghttp2_submit_rst_stream(x->conn->h2.session, NGHTTP2_FLAG_NONE, x->stream_id, NGHTTP2_INTERNAL_ERROR);
    keep_body(x);
}

/* A status other than OK: everything in one header block. */
static void submit_grpc_error(struct sm_exchange *x, struct reply_headers *headers)
{
    const struct sm_http_response *response = &x->response;
    char status[24];
    char *text = sm_xmalloc(3 * response->grpc_message.len + 2 * response->grpc_details.len + 8);
    size_t text_len = sm_grpc_percent_encode(response->grpc_message, text);
    size_t details_len = sm_grpc_base64_encode(response->grpc_details, text + text_len);
    add(headers, SM_STR("grpc-status"), decimal(status, response->grpc_status));
    if (text_len)
        add(headers, SM_STR("grpc-message"), sm_str(text, text_len));
    if (details_len)
        add(headers, SM_STR("grpc-status-details-bin"), sm_str(text + text_len, details_len));
    submit(x, headers, false);
    free(text);
}

static void submit_grpc(struct sm_exchange *x)
{
    struct reply_headers headers = {.n = 0};
    x->response_is_grpc = true;
    add(&headers, SM_STR(":status"), SM_STR("200"));
    add(&headers, SM_STR("content-type"), SM_STR("application/grpc"));
    add(&headers, SM_STR("grpc-accept-encoding"), SM_STR("identity," SM_CODINGS_TAKEN));
    if (x->response.grpc_status == SM_GRPC_OK)
        submit(x, &headers, true);
    else
        submit_grpc_error(x, &headers);
}

static void submit_http(struct sm_exchange *x)
{
    const struct sm_http_response *response = &x->response;
    struct reply_headers headers = {.n = 0};
    char status[24], length[24];
    bool has_body = response->status >= 200 && response->status != 204 && response->status != 304;
    add(&headers, SM_STR(":status"), decimal(status, response->status));
    add(&headers, SM_STR("date"), sm_http_server_date(x->server));
    if (response->content_type.len)
        add(&headers, SM_STR("content-type"), response->content_type);
    if (has_body)
        add(&headers, SM_STR("content-length"), decimal(length, response->body.len));
    for (size_t i = 0; i < response->headers_n; i++) {
        if (sm_http_header_is_sendable(&response->headers[i]))
            add(&headers, response->headers[i].name, response->headers[i].value);
    }
    struct sm_http_header door[SM_DOOR_REPLY_HEADERS_MAX];
    size_t door_n = SM_UNLIKELY(x->cors) ? sm_door_reply_headers(x, door) : 0;
    for (size_t i = 0; i < door_n; i++)
        add(&headers, door[i].name, door[i].value);
    submit(x, &headers, has_body && response->body.len && !x->is_head);
}

static void http2_respond(struct sm_exchange *x, const struct sm_http_response *response)
{
    x->response = *response;
    x->state = SM_EXCHANGE_REPLIED;
    x->is_discarding = true;
    x->deadline_ms = 0;
    if (x->pub.is_grpc && !response->status)
        submit_grpc(x);
    else
        submit_http(x);
}

/* Answers a request that cannot be received, in the language of its client. */
static void refuse(struct sm_exchange *x, uint16_t status, enum sm_grpc_status grpc_status, struct sm_str text)
{
    struct sm_http_response response = {.status = status};
    if (x->pub.is_grpc)
        response = (struct sm_http_response){.grpc_status = grpc_status, .grpc_message = text};
    http2_respond(x, &response);
}

/* ---- what nghttp2 tells ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct sm_conn *conn = user;
    struct sm_http_server *server = conn->server;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct sm_exchange *x = sm_exchange_new(conn);
    x->pub.is_http2 = true;
    x->stream_id = frame->hd.stream_id;
    set_deadline(x, server->limits.header_ns, &server->counters.timeouts_header);
    nghttp2_session_set_stream_user_data(session, x->stream_id, x);
    conn->h2.streams_n++;
    sm_conn_clear_deadline(conn);
    return 0;
}

static struct sm_str static_method(struct sm_str name)
{
    static const char *const known[] = {"GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT"};
    for (size_t i = 0; i < SM_ARRAY_LEN(known); i++) {
        if (sm_str_eq(name, sm_str_c(known[i])))
            return sm_str_c(known[i]);
    }
    return SM_STR("UNKNOWN");
}

static enum sm_rc add_header(struct sm_exchange *x, struct sm_str name, struct sm_str value)
{
    if (sm_str_eq(name, SM_STR(":path")))
        return sm_exchange_add_target(x, value.ptr, value.len);
    if (sm_str_eq(name, SM_STR(":method")))
        x->pub.method = static_method(value);
    if (name.len && name.ptr[0] == ':')
        return SM_OK;
    if (sm_exchange_add_name(x, name.ptr, name.len) != SM_OK || sm_exchange_add_value(x, value.ptr, value.len) != SM_OK)
        return SM_E_LIMIT;
    sm_exchange_end_value(x);
    return SM_OK;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags SM_UNUSED, void *user SM_UNUSED)
{
    struct sm_exchange *x = exchange_at(session, frame->hd.stream_id);
    if (!x || x->headers_too_large || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    x->headers_too_large = add_header(x, sm_str(name, name_len), sm_str(value, value_len)) != SM_OK;
    return 0;
}

static void message_too_large(struct sm_exchange *x)
{
    sm_http_count(&x->server->counters.messages_too_large, 1);
    refuse(x, 0, SM_GRPC_RESOURCE_EXHAUSTED, SM_STR("message is too large"));
}

static void body_too_large(struct sm_exchange *x)
{
    sm_http_count(&x->server->counters.bodies_too_large, 1);
    refuse(x, 413, SM_GRPC_RESOURCE_EXHAUSTED, SM_STR("body is too large"));
}

static bool declares_too_much(const struct sm_exchange *x)
{
    const struct sm_http_limits *limits = &x->server->limits;
    uint64_t max = x->pub.is_grpc ? limits->grpc_message_bytes_max + SM_GRPC_PREFIX_BYTES : limits->body_bytes_max;
    return x->pub.content_length != SM_HTTP_LENGTH_UNKNOWN && x->pub.content_length > max;
}

static void request_ended(struct sm_exchange *x)
{
    struct sm_http_server *server = x->server;
    x->request_ended = true;
    if (x->state != SM_EXCHANGE_RECEIVING)
        return;
    x->deadline_ms = 0;
    bucket_grant(&x->conn->h2.controls, server->limits.controls_burst, CONTROLS_PER_REQUEST);
    if (x->pub.is_grpc && sm_grpc_finish_body(x) != SM_OK) {
        sm_http_count(&server->counters.messages_malformed, 1);
        refuse(x, 0, SM_GRPC_INTERNAL, SM_STR("request ended within a message"));
        return;
    }
    sm_exchange_handle(x);
    if (x->state == SM_EXCHANGE_HANDLING)
        refuse(x, 500, SM_GRPC_INTERNAL, SM_STR("no reply"));
}

static void headers_ended(struct sm_exchange *x, bool is_whole_request)
{
    struct sm_http_server *server = x->server;
    if (x->state != SM_EXCHANGE_RECEIVING)
        return;
    sm_exchange_finish_headers(x, x->pub.method);
    set_deadline(x, server->limits.request_ns, &server->counters.timeouts_request);
    x->request_ended = is_whole_request;
    if (x->headers_too_large) {
        sm_http_count(&server->counters.headers_too_large, 1);
        refuse(x, 431, SM_GRPC_RESOURCE_EXHAUSTED, SM_STR("headers are too large"));
    } else if (declares_too_much(x)) {
        body_too_large(x);
    } else if (sm_exchange_offer(x) && is_whole_request) {
        request_ended(x);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct sm_conn *conn = user;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    struct sm_exchange *x;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        x = exchange_at(session, frame->hd.stream_id);
        if (x && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            headers_ended(x, ends);
        else if (x && ends)
            request_ended(x);
        break;
    case NGHTTP2_DATA:
        x = exchange_at(session, frame->hd.stream_id);
        if (x && ends)
            request_ended(x);
        else if (frame->hd.length == frame->data.padlen)
            count_control(conn);
        break;
    case NGHTTP2_RST_STREAM:
        count_reset(conn);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        break;
    default:
        count_control(conn);
    }
    return 0;
}

static enum sm_rc store_body(struct sm_exchange *x, const uint8_t *at, size_t n)
{
    if (x->pub.is_grpc)
        return sm_grpc_add_body(x, at, n);
    if (x->body_received > x->server->limits.body_bytes_max)
        return SM_E_LIMIT;
    return sm_exchange_add_body(x, at, n);
}

static void body_failed(struct sm_exchange *x, enum sm_rc rc)
{
    struct sm_http_counters *counters = &x->server->counters;
    if (rc == SM_E_LIMIT && x->pub.is_grpc) {
        message_too_large(x);
    } else if (rc == SM_E_LIMIT) {
        body_too_large(x);
    } else if (rc == SM_E_NOMEM) {
        sm_http_count(&counters->out_of_memory, 1);
        refuse(x, 503, SM_GRPC_UNAVAILABLE, SM_STR("out of memory"));
    } else {
        sm_http_count(&counters->messages_malformed, 1);
        refuse(x, 400, SM_GRPC_INTERNAL, SM_STR("malformed message framing"));
    }
}

static int on_data(nghttp2_session *session, uint8_t flags SM_UNUSED, int32_t stream_id, const uint8_t *at, size_t n,
                   void *user)
{
    struct sm_conn *conn = user;
    struct sm_exchange *x = exchange_at(session, stream_id);
    if (x && !x->is_discarding) {
        x->body_received += n;
        enum sm_rc rc = store_body(x, at, n);
        if (rc != SM_OK)
            body_failed(x, rc);
    }
    consumed(conn, x, stream_id, n);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error SM_UNUSED, void *user)
{
    struct sm_conn *conn = user;
    struct sm_http_server *server = conn->server;
    struct sm_exchange *x = exchange_at(session, stream_id);
    if (!x)
        return 0;
    nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    if (x->unconsumed)
        consumed(conn, NULL, stream_id, x->unconsumed);
    sm_exchange_abandon(x);
    if (--conn->h2.streams_n == 0)
        sm_conn_set_deadline(conn, server->limits.idle_ns, &server->counters.timeouts_idle);
    return 0;
}

/* The reply is out and the client is still sending a body that nobody wants: stop it, without calling it an error. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user SM_UNUSED)
{
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!may_end || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct sm_exchange *x = exchange_at(session, frame->hd.stream_id);
    if (x && !x->request_ended)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session SM_UNUSED, const nghttp2_frame *frame, int error SM_UNUSED, void *user)
{
    struct sm_conn *conn = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) /* grpc-go names its own last stream in it; the connection ends either way */
        return 0;
    sm_http_count(&conn->server->counters.requests_malformed, 1);
    count_control(conn);
    return 0;
}

/* ---- set-up ---- */

static void *h2_malloc(size_t size, void *cells)
{
    return sm_cells_malloc(cells, size);
}

static void *h2_calloc(size_t n, size_t size, void *cells)
{
    return sm_cells_calloc(cells, n, size);
}

static void *h2_realloc(void *p, size_t size, void *cells)
{
    return sm_cells_realloc(cells, p, size);
}

static void h2_free(void *p, void *cells)
{
    sm_cells_free(cells, p);
}

/* Callbacks, options and memory are the same for all connections of a server. */
static void make_shared(struct sm_http_server *server)
{
    nghttp2_session_callbacks *callbacks;
    SM_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    server->h2_callbacks = callbacks;
    sm_cells_init(&server->h2_cells, H2_IDLE_BYTES_MAX);
    server->h2_mem = (nghttp2_mem){&server->h2_cells, h2_malloc, h2_free, h2_calloc, h2_realloc};
    SM_ASSERT(nghttp2_option_new(&server->h2_options) == 0);
    nghttp2_option_set_no_auto_window_update(server->h2_options, 1);
    nghttp2_option_set_no_closed_streams(server->h2_options, 1);
    nghttp2_option_set_stream_reset_rate_limit(server->h2_options, UINT64_MAX, UINT64_MAX); /* ours is stricter */
    nghttp2_option_set_max_continuations(server->h2_options, server->limits.continuations_max);
}

void sm_http2_free_shared(struct sm_http_server *server)
{
    nghttp2_session_callbacks_del(server->h2_callbacks);
    nghttp2_option_del(server->h2_options);
    sm_cells_fini(&server->h2_cells);
}

void sm_http2_init(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    const struct sm_http_limits *limits = &server->limits;
    if (!server->h2_callbacks)
        make_shared(server);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->stream_window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    conn->h2.resets = (struct sm_bucket){limits->resets_burst, sm_loop_now_ms(server->loop)};
    conn->h2.controls = (struct sm_bucket){limits->controls_burst, sm_loop_now_ms(server->loop)};
    int rc =
        nghttp2_session_server_new3(&conn->h2.session, server->h2_callbacks, conn, server->h2_options, &server->h2_mem);
    rc = rc ? rc : nghttp2_submit_settings(conn->h2.session, NGHTTP2_FLAG_NONE, settings, SM_ARRAY_LEN(settings));
    rc = rc ? rc
            : nghttp2_session_set_local_window_size(conn->h2.session, NGHTTP2_FLAG_NONE, 0,
                                                    (int32_t)limits->connection_window_bytes);
    if (rc) {
        sm_http_count(&server->counters.out_of_memory, 1);
        sm_conn_close_broken(conn);
    }
}

/* ---- the connection's side ---- */

static void failed(struct sm_conn *conn, ssize_t error)
{
    struct sm_http_counters *counters = &conn->server->counters;
    if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS || error == NGHTTP2_ERR_FLOODED) {
        calm_down(conn, &counters->controls_flooded);
        return;
    }
    sm_http_count(&counters->requests_malformed, 1);
    sm_conn_close_broken(conn);
}

static void http2_input(struct sm_conn *conn, uint8_t *at, size_t n)
{
    ssize_t used = conn->end == SM_CONN_STAYS ? nghttp2_session_mem_recv(conn->h2.session, at, n) : 0;
    if (used < 0)
        failed(conn, used);
}

static bool http2_buffer(struct sm_conn *conn SM_UNUSED, uint8_t **at SM_UNUSED, size_t *len SM_UNUSED)
{
    return false;
}

static void http2_ended(struct sm_conn *conn)
{
    if (conn->h2.streams_n)
        sm_conn_close_broken(conn);
    else
        sm_conn_close(conn);
}

static void http2_resume(struct sm_conn *conn)
{
    repay_window(conn);
}

static bool http2_produce(struct sm_conn *conn)
{
    nghttp2_session *session = conn->h2.session;
    while (!conn->is_closing && sm_conn_pending(conn) < PRODUCE_BYTES) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session, &bytes);
        if (n < 0)
            sm_conn_close_broken(conn);
        if (n <= 0)
            break;
        sm_conn_put(conn, bytes, (size_t)n);
    }
    if (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session))
        sm_conn_end_after_output(conn);
    return sm_conn_pending(conn) > 0;
}

/* Streams that are on their way when the peer learns of the drain are still served: first only the notice, and with the
 * next tick the number of the last stream. */
static void http2_drain(struct sm_conn *conn)
{
    if (conn->h2.drain == SM_HTTP2_SERVING) {
        nghttp2_submit_shutdown_notice(conn->h2.session);
        conn->h2.drain = SM_HTTP2_NOTICE_SENT;
    }
}

static void http2_tick(struct sm_conn *conn, uint64_t now_ms)
{
    nghttp2_session *session = conn->h2.session;
    if (conn->h2.drain == SM_HTTP2_NOTICE_SENT) {
        nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session),
                              NGHTTP2_NO_ERROR, NULL, 0);
        conn->h2.drain = SM_HTTP2_GOING_AWAY;
    }
    for (struct sm_exchange *x = conn->exchanges; x; x = x->next) {
        bool is_held_back = conn->server->is_paused && x->unconsumed; /* it waits for us, not we for it */
        if (!x->deadline_ms || now_ms < x->deadline_ms || is_held_back)
            continue;
        sm_http_count(x->deadline_counter, 1);
        refuse(x, 408, SM_GRPC_DEADLINE_EXCEEDED, SM_STR("the request took too long to arrive"));
    }
    sm_conn_flush(conn);
}

static void http2_timed_out(struct sm_conn *conn)
{
    nghttp2_session_terminate_session(conn->h2.session, NGHTTP2_NO_ERROR);
}

static bool http2_may_time_out(const struct sm_conn *conn SM_UNUSED)
{
    return true;
}

static bool http2_wants_reading(const struct sm_conn *conn)
{
    return conn->end == SM_CONN_STAYS && sm_conn_pending(conn) < conn->server->limits.out_bytes_max;
}

static void http2_fini(struct sm_conn *conn)
{
    nghttp2_session_del(conn->h2.session);
}

const struct sm_protocol sm_http2_protocol = {
    .input = http2_input,
    .buffer = http2_buffer,
    .ended = http2_ended,
    .respond = http2_respond,
    .resume = http2_resume,
    .produce = http2_produce,
    .drain = http2_drain,
    .tick = http2_tick,
    .may_time_out = http2_may_time_out,
    .timed_out = http2_timed_out,
    .wants_reading = http2_wants_reading,
    .fini = http2_fini,
};
