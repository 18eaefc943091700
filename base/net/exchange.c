/* Collecting one request: header store, body buffer, hand-over to the handler; the pool of exchanges. */
#include "base/net/http_impl.h"

#include <stdlib.h>

enum { TEXT_BYTES_MIN = 1024, HEADERS_MIN = 16, BODY_BYTES_FIRST_MAX = 256 * 1024, BODY_SLACK_BYTES = 1024 };

struct sm_exchange *sm_exchange_new(struct sm_conn *conn)
{
    struct sm_http_server *server = conn->server;
    struct sm_exchange *x = server->idle_exchanges;
    if (x) {
        server->idle_exchanges = x->next;
        server->idle_exchanges_n--;
    } else {
        x = sm_xcalloc(1, sizeof *x);
        x->server = server;
    }
    x->pub.content_length = SM_HTTP_LENGTH_UNKNOWN;
    x->conn = conn;
    x->next = conn->exchanges;
    x->link = &conn->exchanges;
    if (x->next)
        x->next->link = &x->next;
    conn->exchanges = x;
    return x;
}

static void unlink_from_conn(struct sm_exchange *x)
{
    if (!x->conn)
        return;
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    x->conn = NULL;
}

void sm_exchange_destroy(struct sm_exchange *x)
{
    free(x->text);
    free(x->headers);
    free(x);
}

void sm_exchange_release(struct sm_exchange *x)
{
    struct sm_http_server *server = x->server;
    unlink_from_conn(x);
    sm_payload_put(x->body);
    free(x->response_copy);
    if (server->idle_exchanges_n >= EXCHANGES_IDLE_MAX) {
        sm_exchange_destroy(x);
        return;
    }
    struct sm_exchange blank = {
        .server = server,
        .text = x->text,
        .text_capacity = x->text_capacity,
        .headers = x->headers,
        .headers_capacity = x->headers_capacity,
        .next = server->idle_exchanges,
    };
    *x = blank;
    server->idle_exchanges = x;
    server->idle_exchanges_n++;
}

static void rebase(struct sm_str *s, const char *from, const char *to)
{
    if (s->ptr)
        s->ptr = to + (s->ptr - from);
}

/* Makes room for n more bytes of header text. Growing moves the store, so what points into it moves along. */
static enum sm_rc text_reserve(struct sm_exchange *x, size_t n)
{
    if (x->text_len + n > x->server->limits.header_bytes_max)
        return SM_E_LIMIT;
    if (x->text_len + n <= x->text_capacity)
        return SM_OK;
    size_t capacity = SM_MAX(x->text_capacity, (uint32_t)TEXT_BYTES_MIN);
    while (capacity < x->text_len + n)
        capacity *= 2;
    char *text = sm_xmalloc(capacity);
    if (x->text_len)
        memcpy(text, x->text, x->text_len);
    for (uint32_t i = 0; i < x->headers_n; i++) {
        rebase(&x->headers[i].name, x->text, text);
        rebase(&x->headers[i].value, x->text, text);
    }
    free(x->text);
    x->text = text;
    x->text_capacity = (uint32_t)capacity;
    return SM_OK;
}

enum sm_rc sm_exchange_add_target(struct sm_exchange *x, const char *at, size_t n)
{
    if (text_reserve(x, n) != SM_OK)
        return SM_E_LIMIT;
    memcpy(x->text + x->text_len, at, n);
    x->text_len += (uint32_t)n;
    x->target_len = x->text_len;
    return SM_OK;
}

static enum sm_rc header_begin(struct sm_exchange *x)
{
    if (x->headers_n >= x->server->limits.headers_max)
        return SM_E_LIMIT;
    if (x->headers_n == x->headers_capacity) {
        x->headers_capacity = SM_MAX(2 * x->headers_capacity, (uint32_t)HEADERS_MIN);
        x->headers = sm_xrealloc(x->headers, x->headers_capacity * sizeof *x->headers);
    }
    x->headers[x->headers_n++] = (struct sm_http_header){0};
    x->value_ended = false;
    return SM_OK;
}

static void append_lower(char *to, const char *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
}

/* A name may come in several pieces; the first piece after a value begins the next header. */
enum sm_rc sm_exchange_add_name(struct sm_exchange *x, const char *at, size_t n)
{
    if ((x->value_ended || x->headers_n == 0) && header_begin(x) != SM_OK)
        return SM_E_LIMIT;
    if (text_reserve(x, n) != SM_OK)
        return SM_E_LIMIT;
    struct sm_str *name = &x->headers[x->headers_n - 1].name;
    if (!name->ptr)
        name->ptr = x->text + x->text_len;
    append_lower(x->text + x->text_len, at, n);
    name->len += n;
    x->text_len += (uint32_t)n;
    return SM_OK;
}

enum sm_rc sm_exchange_add_value(struct sm_exchange *x, const char *at, size_t n)
{
    if (text_reserve(x, n) != SM_OK)
        return SM_E_LIMIT;
    struct sm_str *value = &x->headers[x->headers_n - 1].value;
    if (!value->ptr)
        value->ptr = x->text + x->text_len;
    memcpy(x->text + x->text_len, at, n);
    value->len += n;
    x->text_len += (uint32_t)n;
    return SM_OK;
}

void sm_exchange_end_value(struct sm_exchange *x)
{
    x->value_ended = true;
}

static void note_known(struct sm_exchange *x, const struct sm_http_header *header)
{
    static const struct {
        struct sm_str name;
        enum sm_http_known known;
    } names[] = {
        {{"te", 2}, SM_HTTP_TE},
        {{"accept", 6}, SM_HTTP_ACCEPT},
        {{"origin", 6}, SM_HTTP_ORIGIN},
        {{"expect", 6}, SM_HTTP_EXPECT},
        {{"content-type", 12}, SM_HTTP_CONTENT_TYPE},
        {{"grpc-timeout", 12}, SM_HTTP_GRPC_TIMEOUT},
        {{"authorization", 13}, SM_HTTP_AUTHORIZATION},
        {{"grpc-encoding", 13}, SM_HTTP_GRPC_ENCODING},
        {{"content-length", 14}, SM_HTTP_CONTENT_LENGTH},
        {{"accept-encoding", 15}, SM_HTTP_ACCEPT_ENCODING},
        {{"content-encoding", 16}, SM_HTTP_CONTENT_ENCODING},
        {{"grpc-accept-encoding", 20}, SM_HTTP_GRPC_ACCEPT_ENCODING},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(names) && names[i].name.len <= header->name.len; i++) {
        if (sm_str_eq(names[i].name, header->name) && !x->pub.known[names[i].known].ptr)
            x->pub.known[names[i].known] = header->value;
    }
}

/* A request may name its target in absolute form (RFC 9112 sec. 3.2.2); only path and query matter here. */
static struct sm_str origin_form(struct sm_str target)
{
    struct sm_str rest = target;
    if (rest.len >= 7 && memcmp(rest.ptr, "http://", 7) == 0)
        rest = sm_str(rest.ptr + 7, rest.len - 7);
    else if (rest.len >= 8 && memcmp(rest.ptr, "https://", 8) == 0)
        rest = sm_str(rest.ptr + 8, rest.len - 8);
    else
        return target;
    const char *slash = memchr(rest.ptr, '/', rest.len);
    return slash ? sm_str(slash, rest.len - (size_t)(slash - rest.ptr)) : SM_STR("/");
}

static void split_target(struct sm_http_exchange *pub, struct sm_str target)
{
    target = origin_form(target);
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    pub->path = mark ? sm_str(target.ptr, (size_t)(mark - target.ptr)) : target;
    pub->query = mark ? sm_str(mark + 1, target.len - pub->path.len - 1) : SM_STR("");
}

/* Digits only; both parsers have refused anything else before. */
static uint64_t declared_length(struct sm_str value)
{
    if (!value.len)
        return SM_HTTP_LENGTH_UNKNOWN;
    uint64_t length = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        if (digit > 9 || length > (UINT64_MAX - 1 - digit) / 10)
            return SM_HTTP_LENGTH_UNKNOWN;
        length = length * 10 + digit;
    }
    return length;
}

static bool is_grpc_type(struct sm_str type)
{
    struct sm_str grpc = SM_STR("application/grpc");
    return type.len >= grpc.len && memcmp(type.ptr, grpc.ptr, grpc.len) == 0 &&
           (type.len == grpc.len || type.ptr[grpc.len] == '+' || type.ptr[grpc.len] == ';');
}

void sm_exchange_finish_headers(struct sm_exchange *x, struct sm_str method)
{
    struct sm_http_exchange *pub = &x->pub;
    pub->method = method;
    x->is_head = sm_str_eq(method, SM_STR("HEAD"));
    pub->headers = x->headers;
    pub->headers_n = x->headers_n;
    for (uint32_t i = 0; i < x->headers_n; i++) {
        x->headers[i].value = sm_str_trim(x->headers[i].value);
        note_known(x, &x->headers[i]);
    }
    split_target(pub, sm_str(x->text, x->target_len));
    pub->content_length = declared_length(pub->known[SM_HTTP_CONTENT_LENGTH]);
    pub->is_grpc = pub->is_http2 && is_grpc_type(pub->known[SM_HTTP_CONTENT_TYPE]);
    struct sm_http_counters *counters = &x->server->counters;
    sm_http_count(&counters->requests, 1);
    sm_http_count(&counters->requests_http2, pub->is_http2);
    sm_http_count(&counters->requests_grpc, pub->is_grpc);
}

bool sm_exchange_offer(struct sm_exchange *x)
{
    struct sm_http_server *server = x->server;
    if (SM_UNLIKELY(server->has_door) && !sm_door_admit(x)) {
        sm_http_count(&server->counters.requests_refused, 1);
        return false;
    }
    if (!server->handler->on_headers)
        return true;
    bool welcome = server->handler->on_headers(server->ctx, &x->pub);
    if (welcome)
        return true;
    if (x->state == SM_EXCHANGE_RECEIVING)
        sm_http_reply(&x->pub, 500, NULL, SM_STR(""));
    sm_http_count(&server->counters.requests_refused, 1);
    return false;
}

/* Bytes that the body will have in the end, as far as can be known. */
static uint64_t body_expected(const struct sm_exchange *x)
{
    if (x->pub.is_grpc)
        return x->prefix_n == sizeof x->prefix ? sm_load_be32(x->prefix + 1) : 0;
    return x->pub.content_length == SM_HTTP_LENGTH_UNKNOWN ? 0 : x->pub.content_length;
}

/* Room for n more bytes. A declared size is believed in steps: memory follows what has really been sent. */
static enum sm_rc body_reserve(struct sm_exchange *x, size_t n)
{
    size_t size = x->body ? x->body->size : 0;
    if (x->body && x->body->capacity - size >= n)
        return SM_OK;
    uint64_t expected = SM_MIN(body_expected(x) + 1, SM_MAX((uint64_t)BODY_BYTES_FIRST_MAX, 2 * (uint64_t)size));
    size_t capacity = (size_t)SM_MAX(expected, (uint64_t)size + n);
    if (x->body)
        return sm_payload_reserve(x->body, capacity);
    x->body = sm_payload_new(x->server->pool, capacity);
    return x->body ? SM_OK : SM_E_NOMEM;
}

enum sm_rc sm_exchange_body_room(struct sm_exchange *x, uint8_t **at, size_t *len)
{
    uint64_t left = x->pub.content_length - x->body_received;
    if (body_reserve(x, (size_t)SM_MIN(left, (uint64_t)BODY_SLACK_BYTES)) != SM_OK)
        return SM_E_NOMEM;
    *at = x->body->data + x->body->size;
    *len = (size_t)SM_MIN(left + BODY_SLACK_BYTES, (uint64_t)(x->body->capacity - x->body->size));
    return SM_OK;
}

enum sm_rc sm_exchange_add_body(struct sm_exchange *x, const uint8_t *at, size_t n)
{
    bool is_in_place = x->body && at == x->body->data + x->body->size;
    if (!is_in_place) {
        if (body_reserve(x, n) != SM_OK)
            return SM_E_NOMEM;
        memcpy(x->body->data + x->body->size, at, n);
    }
    x->body->size += n;
    return SM_OK;
}

void sm_exchange_handle(struct sm_exchange *x)
{
    struct sm_http_server *server = x->server;
    x->state = SM_EXCHANGE_HANDLING;
    if (x->body)
        x->body->arrived_ns = sm_loop_wall_ns(server->loop);
    server->handler->on_request(server->ctx, &x->pub);
}

void sm_exchange_advise_abort(struct sm_exchange *x)
{
    struct sm_http_server *server = x->server;
    if (x->state != SM_EXCHANGE_DEFERRED || x->is_aborted)
        return;
    x->is_aborted = true;
    sm_http_count(&server->counters.aborted, 1);
    if (server->handler->on_abort && !server->is_freed)
        server->handler->on_abort(server->ctx, &x->pub);
}

void sm_exchange_abandon(struct sm_exchange *x)
{
    if (x->state == SM_EXCHANGE_DEFERRED) {
        unlink_from_conn(x);
        sm_exchange_advise_abort(x);
        return;
    }
    if (x->state == SM_EXCHANGE_REPLIED)
        sm_http_release(&x->response);
    sm_exchange_release(x);
}
