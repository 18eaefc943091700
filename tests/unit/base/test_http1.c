#include "net_peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct peer_server s;
static struct peer_client *c;

static void open_default(void)
{
    peer_server_open(&s, NULL);
    c = peer_connect(&s);
}

static void open_with(struct sm_http_limits limits)
{
    peer_server_open(&s, &limits);
    c = peer_connect(&s);
}

static void close_all(void)
{
    peer_disconnect(c);
    peer_server_close(&s);
}

static size_t make_post(char **out, const char *path, size_t body_len)
{
    char head[256];
    int n = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", path, body_len);
    *out = malloc((size_t)n + body_len);
    memcpy(*out, head, (size_t)n);
    for (size_t i = 0; i < body_len; i++)
        (*out)[(size_t)n + i] = (char)(i * 7 + i / 251);
    return (size_t)n + body_len;
}

Test(http1, get_is_parsed_and_answered)
{
    open_default();
    peer_send_text(
        c, "GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nContent-Type:  text/plain \r\nX-Empty:\r\nX-Echo: v\r\n\r\n");
    cr_assert(peer_wait_text(c, "HTTP/1.1 202 Accepted\r\n"));
    cr_assert_str_eq(s.last_method, "GET");
    cr_assert_str_eq(s.last_path, "/a/b");
    cr_assert_str_eq(s.last_query, "x=1&y=%20");
    cr_assert_str_eq(s.last_type, "text/plain");
    cr_assert(strstr(c->in, "content-length: 0\r\n"));
    cr_assert(strstr(c->in, " GMT\r\n"));
    close_all();
}

Test(http1, absolute_target_and_lookup)
{
    open_default();
    peer_send_text(c, "GET http://host:80/head?q HTTP/1.1\r\nX-Nothing:\r\nX-ECHO: a b\r\n\r\n");
    cr_assert(peer_wait_text(c, "x-echo: a b\r\n"));
    cr_assert_str_eq(s.last_path, "/head");
    cr_assert(!strstr(c->in, "content-length"));
    close_all();
}

Test(http1, body_in_place_every_size)
{
    open_default();
    const size_t sizes[] = {1, 2, 100, 4095, 4096, 4097, 65535, 65536, 65537, 96000, 262144, 300000, 1 << 20, 5000000};
    for (size_t i = 0; i < SM_ARRAY_LEN(sizes); i++) {
        char *post;
        size_t n = make_post(&post, "/count", sizes[i]);
        char expected[32];
        snprintf(expected, sizeof expected, "\r\n\r\n%zu", sizes[i]);
        c->in_len = 0;
        cr_assert(peer_send(c, post, n));
        cr_assert(peer_wait_text(c, expected), "size %zu", sizes[i]);
        cr_assert_eq(s.last_body_hash, peer_hash(post + n - sizes[i], sizes[i]));
        cr_assert_gt(s.last_arrived_ns, INT64_C(1600000000) * SM_SEC);
        free(post);
    }
    close_all();
}

Test(http1, request_split_at_every_byte)
{
    open_default();
    const char *text =
        "POST /echo?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTr: x\r\n\r\n";
    size_t n = strlen(text);
    for (size_t cut = 1; cut < n; cut++) {
        c->in_len = 0;
        peer_send(c, text, cut);
        peer_send(c, text + cut, n - cut);
        cr_assert(peer_wait_text(c, "\r\n\r\nhello"), "cut at %zu", cut);
        cr_assert(peer_wait_text(c, "\r\n\r\nabcde"), "cut at %zu", cut);
        cr_assert_eq(peer_times(c, "HTTP/1.1 200 OK"), 2);
    }
    c->in_len = 0;
    for (size_t i = 0; i < n; i++)
        peer_send(c, text + i, 1);
    cr_assert(peer_wait_text(c, "\r\n\r\nabcde"));
    cr_assert_eq(PEER_COUNTER(&s, connections), 1);
    close_all();
}

Test(http1, pipelined_requests_answered_in_order)
{
    open_default();
    char text[8192] = "";
    for (unsigned i = 0; i < 50; i++) {
        char one[128];
        snprintf(one, sizeof one, "POST /echo HTTP/1.1\r\nContent-Length: 8\r\n\r\nnumber%02u", i);
        strcat(text, one);
    }
    peer_send_text(c, text);
    cr_assert(peer_wait_text(c, "number49"));
    const char *at = c->in;
    for (unsigned i = 0; i < 50; i++) {
        char body[16];
        snprintf(body, sizeof body, "number%02u", i);
        at = strstr(at, body);
        cr_assert(at);
    }
    close_all();
}

Test(http1, requests_behind_a_body_received_in_place)
{
    open_default();
    char *post;
    size_t n = make_post(&post, "/count", 100000);
    char *twice = malloc(2 * n + 100);
    memcpy(twice, post, n);
    memcpy(twice + n, post, n);
    const char *get = "GET /tail HTTP/1.1\r\n\r\n";
    memcpy(twice + 2 * n, get, strlen(get));
    cr_assert(peer_send(c, twice, 2 * n + strlen(get)));
    cr_assert(peer_wait_text(c, "202 Accepted"));
    cr_assert_eq(peer_times(c, "\r\n\r\n100000"), 2);
    cr_assert_str_eq(s.last_path, "/tail");
    free(post);
    free(twice);
    close_all();
}

Test(http1, chunked_body_grows)
{
    open_default();
    char *chunk = malloc(40000);
    memset(chunk, 'x', 40000);
    peer_send_text(c, "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 20; i++) {
        peer_send_text(c, "9c40\r\n");
        peer_send(c, chunk, 40000);
        peer_send_text(c, "\r\n");
    }
    peer_send_text(c, "0\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\n800000"));
    free(chunk);
    close_all();
}

Test(http1, empty_body_is_legal)
{
    open_default();
    peer_send_text(c, "POST /count HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\n0"));
    c->in_len = 0;
    peer_send_text(c, "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\n0"));
    c->in_len = 0;
    peer_send_text(c, "POST /count HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\n0"));
    close_all();
}

static void expect_refusal(const char *text, const char *status)
{
    open_default();
    peer_send_text(c, text);
    cr_assert(peer_wait_text(c, status), "no \"%s\" for: %s, but: %s", status, text, c->in);
    cr_assert(peer_wait_text(c, "connection: close\r\n"));
    cr_assert(peer_wait_eof(c));
    cr_assert_not(c->reset);
    cr_assert_eq(s.requests_seen, 0);
    close_all();
}

Test(http1, malformed_requests)
{
    expect_refusal("GARBAGE\r\n\r\n", "400 Bad Request");
    expect_refusal("GET / HTTP/1.1\r\nBad Header\r\n\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "400 Bad Request");
    expect_refusal("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400 Bad Request");
    expect_refusal("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "400 Bad Request");
    expect_refusal("GET / HTTP/2.0\r\n\r\n", "505 HTTP Version");
}

Test(http1, oversize_body_declared)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.body_bytes_max = 1000;
    open_with(limits);
    peer_send_text(c, "POST /count HTTP/1.1\r\nContent-Length: 1001\r\n\r\nabc");
    cr_assert(peer_wait_text(c, "413 Content Too Large"));
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(s.headers_seen, 0);
    cr_assert_eq(PEER_COUNTER(&s, bodies_too_large), 1);
    close_all();
}

Test(http1, oversize_body_chunked)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.body_bytes_max = 10;
    open_with(limits);
    peer_send_text(c, "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nx\r\n");
    cr_assert(peer_wait_text(c, "413 Content Too Large"));
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(s.requests_seen, 0);
    close_all();
}

Test(http1, headers_too_large)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.header_bytes_max = 2000;
    limits.headers_max = 5;
    open_with(limits);
    char text[4096];
    memset(text, 'a', sizeof text);
    peer_send_text(c, "GET / HTTP/1.1\r\nX: ");
    peer_send(c, text, sizeof text);
    cr_assert(peer_wait_text(c, "431 Request Header Fields Too Large"));
    cr_assert(peer_wait_eof(c));
    peer_disconnect(c);
    c = peer_connect(&s);
    peer_send_text(c, "GET / HTTP/1.1\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\nf: 1\r\n\r\n");
    cr_assert(peer_wait_text(c, "431 Request Header Fields Too Large"));
    peer_disconnect(c);
    c = peer_connect(&s);
    peer_send_text(c, "GET /");
    peer_send(c, text, sizeof text);
    cr_assert(peer_wait_text(c, "414 URI Too Long"));
    cr_assert_eq(PEER_COUNTER(&s, headers_too_large), 3);
    peer_disconnect(c);
    c = peer_connect(&s);
    peer_send_text(c, "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    peer_send(c, text, sizeof text);
    cr_assert(peer_wait_text(c, "431 Request Header Fields Too Large"));
    close_all();
}

Test(http1, continue_is_sent_only_when_welcome)
{
    open_default();
    peer_send_text(c, "POST /echo HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    cr_assert(peer_wait_text(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    peer_send_text(c, "body");
    cr_assert(peer_wait_text(c, "\r\n\r\nbody"));
    c->in_len = 0;
    s.refuse_headers = true;
    peer_send_text(c, "POST /echo HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    cr_assert(peer_wait_text(c, "HTTP/1.1 429 Too Many Requests\r\n"));
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(peer_times(c, "100 Continue"), 0);
    close_all();
}

Test(http1, refused_small_bodies_keep_the_connection)
{
    open_default();
    s.refuse_headers = true;
    peer_send_text(c, "POST /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n01234");
    cr_assert(peer_wait_text(c, "429 Too Many Requests"));
    s.refuse_headers = false;
    peer_send_text(c, "56789POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nok");
    cr_assert(peer_wait_text(c, "\r\n\r\nok"));
    cr_assert_eq(s.requests_seen, 1);
    cr_assert_eq(PEER_COUNTER(&s, requests_refused), 1);
    close_all();
}

Test(http1, refused_large_bodies_close_the_connection)
{
    open_default();
    s.refuse_headers = true;
    peer_send_text(c, "POST /a HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n01234");
    cr_assert(peer_wait_text(c, "429 Too Many Requests"));
    cr_assert(peer_wait_text(c, "connection: close"));
    cr_assert(peer_wait_eof(c));
    cr_assert_not(c->reset);
    cr_assert(
        peer_send_text(c, "more of the body")); /* the server reads on for a while, so that the reply is not lost */
    close_all();
}

Test(http1, close_and_old_versions)
{
    open_default();
    peer_send_text(c, "GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(s.requests_seen, 1);
    cr_assert(strstr(c->in, "connection: close\r\n"));
    peer_disconnect(c);
    c = peer_connect(&s);
    peer_send_text(c, "GET /a HTTP/1.0\r\n\r\n");
    cr_assert(peer_wait_eof(c));
    peer_disconnect(c);
    c = peer_connect(&s);
    peer_send_text(c, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    cr_assert(peer_wait_text(c, "connection: keep-alive\r\n"));
    peer_send_text(c, "GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    cr_assert(peer_wait_times(c, "202 Accepted", 2));
    close_all();
}

Test(http1, offers_to_upgrade_are_ignored)
{
    open_default();
    peer_send_text(
        c, "GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
           "GET /b HTTP/1.1\r\n\r\nCONNECT x:1 HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_times(c, "202 Accepted", 4), "%s", c->in);
    close_all();
}

Test(http1, head_has_no_body)
{
    open_default();
    peer_send_text(c, "HEAD /echo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "202 Accepted"));
    cr_assert(strstr(c->in, "content-length: 3\r\n"));
    cr_assert(!strstr(c->in, "abc"));
    close_all();
}

Test(http1, unanswered_request_is_a_server_error)
{
    open_default();
    peer_send_text(c, "GET /none HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "500 Internal Server Error"));
    close_all();
}

static const struct sm_http_response deferred_reply = {.status = 200, .body = SM_STR("later")};

Test(http1, deferred_reply_holds_back_the_next_request)
{
    open_default();
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\nGET /defer HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
    peer_settle(c);
    cr_assert_eq(s.requests_seen, 1);
    cr_assert_eq(c->in_len, 0);
    sm_http_complete(s.deferred[0], &deferred_reply);
    cr_assert(peer_wait_times(c, "later", 1));
    peer_settle(c);
    cr_assert_eq(s.deferred_n, 2);
    cr_assert_eq(s.requests_seen, 2);
    sm_http_complete(s.deferred[1], &deferred_reply);
    cr_assert(peer_wait_text(c, "202 Accepted"));
    close_all();
}

static bool was_aborted(void *arg SM_UNUSED)
{
    return s.aborts_seen > 0;
}

Test(http1, deferred_reply_after_the_peer_has_gone)
{
    open_default();
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\n");
    peer_settle(c);
    cr_assert_eq(s.deferred_n, 1);
    struct linger now = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(c->fd);
    c->fd = -1;
    cr_assert(peer_turn_until(&s, was_aborted, NULL));
    cr_assert_eq(PEER_COUNTER(&s, aborted), 1);
    sm_http_complete(s.deferred[0], &deferred_reply);
    for (unsigned i = 0; i < 5; i++)
        sm_loop_poll(s.loop);
    cr_assert_eq(PEER_COUNTER(&s, connections_open), 0);
    close_all();
}

Test(http1, half_closed_peer_still_gets_its_replies)
{
    open_default();
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
    shutdown(c->fd, SHUT_WR);
    cr_assert(peer_turn_until(&s, was_aborted, NULL));
    sm_http_complete(s.deferred[0], &deferred_reply);
    cr_assert(peer_wait_text(c, "202 Accepted"));
    cr_assert(peer_wait_eof(c));
    cr_assert(strstr(c->in, "later"));
    close_all();
}

Test(http1, deferred_completion_pending_when_the_server_is_freed)
{
    open_default();
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\n");
    peer_settle(c);
    sm_http_server_free(s.server);
    cr_assert_eq(s.aborts_seen, 1);
    sm_http_complete(s.deferred[0], &deferred_reply);
    s.server = NULL;
    close_all();
}

Test(http1, peer_that_stops_in_the_middle)
{
    open_default();
    peer_send_text(c, "POST /count HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc");
    shutdown(c->fd, SHUT_WR);
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(PEER_COUNTER(&s, connections_broken), 1);
    cr_assert_eq(s.requests_seen, 0);
    close_all();
}

Test(http1, large_replies_wait_for_the_reader)
{
    open_default();
    s.big_len = 30 << 20;
    s.big = malloc(s.big_len);
    for (size_t i = 0; i < s.big_len; i++)
        s.big[i] = (char)(i * 31 + i / 4093);
    peer_send_text(c, "GET /big HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\n"));
    peer_settle(c);
    cr_assert_eq(s.requests_seen, 1);
    cr_assert_eq(s.released, 0);
    size_t head = (size_t)(strstr(c->in, "\r\n\r\n") + 4 - c->in), got = 0;
    uint64_t wrong = 0;
    while (got < s.big_len) {
        cr_assert(peer_wait_bytes(c, head + 1));
        size_t n = SM_MIN(c->in_len - head, s.big_len - got);
        wrong += memcmp(c->in + head, s.big + got, n) != 0;
        got += n;
        memmove(c->in, c->in + head + n, c->in_len - head - n);
        c->in_len -= head + n;
        head = 0;
    }
    cr_assert_eq(wrong, 0);
    cr_assert(peer_wait_text(c, "202 Accepted"));
    cr_assert_eq(s.released, 1);
    close_all();
}

Test(http1, paused_server_reads_no_further_request)
{
    open_default();
    peer_send_text(c, "POST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
    peer_settle(c);
    sm_http_server_pause(s.server, true);
    peer_send_text(c, "cdGET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "\r\n\r\nabcd"));
    peer_settle(c);
    cr_assert_eq(s.headers_seen, 1);
    sm_http_server_pause(s.server, false);
    cr_assert(peer_wait_text(c, "202 Accepted"));
    close_all();
}

Test(http1, drain_finishes_what_is_in_flight)
{
    open_default();
    struct peer_client *idle = peer_connect(&s);
    peer_send_text(idle, "GET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(idle, "202 Accepted"));
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\n");
    peer_settle(c);
    sm_http_server_drain(s.server);
    cr_assert(peer_wait_eof(idle));
    sm_http_complete(s.deferred[0], &deferred_reply);
    cr_assert(peer_wait_text(c, "later"));
    cr_assert(peer_wait_text(c, "connection: close\r\n"));
    cr_assert(peer_wait_eof(c));
    peer_disconnect(idle);
    close_all();
}

Test(http1, too_many_connections)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connections_max = 1;
    open_with(limits);
    peer_send_text(c, "GET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "202 Accepted"));
    struct peer_client *second = peer_connect(&s);
    cr_assert(peer_wait_eof(second));
    cr_assert_eq(PEER_COUNTER(&s, connections_refused), 1);
    peer_disconnect(second);
    close_all();
}

static void expect_timeout(struct sm_http_limits limits, const char *text, const char *reply)
{
    open_with(limits);
    if (text)
        peer_send_text(c, text);
    cr_assert(peer_wait_eof(c));
    c->in[c->in_len] = '\0';
    cr_assert(!reply || strstr(c->in, reply), "%s", c->in);
}

Test(http1, time_outs)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.idle_ns = 20 * SM_MS;
    expect_timeout(limits, NULL, NULL);
    close_all();
    expect_timeout(limits, "GET /x HTTP/1.1\r\n\r\n", "202 Accepted");
    cr_assert_eq(PEER_COUNTER(&s, timeouts_idle), 1);
    close_all();
    limits = sm_http_limits_default;
    limits.header_ns = 20 * SM_MS;
    expect_timeout(limits, "GET /x HTTP/1.1\r\nA: ", "408 Request Timeout");
    cr_assert_eq(PEER_COUNTER(&s, timeouts_header), 1);
    close_all();
    limits = sm_http_limits_default;
    limits.request_ns = 20 * SM_MS;
    expect_timeout(limits, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\na", "408 Request Timeout");
    cr_assert_eq(PEER_COUNTER(&s, timeouts_request), 1);
    close_all();
}

Test(http1, old_connections_close_with_a_reply)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connection_age_ns = 20 * SM_MS;
    open_with(limits);
    peer_send_text(c, "GET /defer HTTP/1.1\r\n\r\n");
    while (!PEER_COUNTER(&s, connections_aged))
        peer_settle(c);
    sm_http_complete(s.deferred[0], &deferred_reply);
    cr_assert(peer_wait_text(c, "connection: close\r\n"));
    cr_assert(peer_wait_text(c, "later"));
    cr_assert(peer_wait_eof(c));
    cr_assert_not(c->reset);
    close_all();
}

Test(http1, old_connections_are_closed_after_a_grace)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connection_age_ns = 20 * SM_MS;
    limits.connection_grace_ns = 20 * SM_MS;
    open_with(limits);
    struct peer_client *idle = peer_connect(&s), *slow = peer_connect(&s);
    peer_send_text(idle, "GET /x HTTP/1.1\r\n\r\n");
    peer_send_text(slow, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\na");
    cr_assert(peer_wait_eof(c)); /* it never said anything */
    cr_assert(peer_wait_eof(idle));
    cr_assert_not(idle->reset);
    cr_assert(peer_wait_eof(slow));
    cr_assert_eq(PEER_COUNTER(&s, connections_aged), 3);
    peer_disconnect(idle);
    peer_disconnect(slow);
    close_all();
}

static void on_tick(void *arg)
{
    ++*(unsigned *)arg;
}

static bool ticked_enough(void *arg)
{
    return *(unsigned *)arg >= 20;
}

Test(http1, paused_connections_are_not_idle)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.idle_ns = 10 * SM_MS;
    open_with(limits);
    peer_send_text(c, "GET /x HTTP/1.1\r\n\r\n");
    cr_assert(peer_wait_text(c, "202 Accepted"));
    sm_http_server_pause(s.server, true);
    peer_send_text(c, "GET /x HTTP/1.1\r\n\r\n");
    unsigned ticks = 0; /* 100 ms and more of the server's time */
    struct sm_loop_timer *timer = sm_loop_timer_new(s.loop, 5 * SM_MS, on_tick, &ticks);
    cr_assert(peer_turn_until(&s, ticked_enough, &ticks));
    sm_loop_timer_free(timer);
    cr_assert_eq(PEER_COUNTER(&s, timeouts_idle), 0);
    sm_http_server_pause(s.server, false);
    cr_assert(peer_wait_times(c, "202 Accepted", 2));
    close_all();
}

Test(http1, reader_that_never_reads)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.write_ns = 50 * SM_MS;
    open_with(limits);
    s.big_len = 30 << 20;
    s.big = calloc(1, s.big_len);
    peer_send_text(c, "GET /big HTTP/1.1\r\n\r\n");
    while (PEER_COUNTER(&s, connections_open) == 1)
        sm_loop_poll(s.loop);
    cr_assert_eq(PEER_COUNTER(&s, timeouts_write), 1);
    cr_assert_eq(s.released, 1);
    close_all();
}
