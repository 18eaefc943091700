#include "h2_peer.h"

#include "base/net/grpc.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct peer_server s;
static struct h2_peer *p;

static void open_with(const struct sm_http_limits *limits)
{
    peer_server_open(&s, limits);
    p = h2_connect(&s);
}

static void close_all(void)
{
    h2_disconnect(p);
    peer_server_close(&s);
}

static uint8_t *make_bytes(size_t n)
{
    uint8_t *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 257);
    return bytes;
}

static uint8_t *make_message(size_t n, bool compressed)
{
    uint8_t *framed = make_bytes(n + SM_GRPC_PREFIX_BYTES);
    sm_grpc_prefix(framed, compressed, (uint32_t)n);
    return framed;
}

Test(http2, get_and_post)
{
    open_with(NULL);
    struct h2_stream *get = h2_request(p, "GET", "/a?b=c", NULL, NULL, 0, NULL, 0);
    struct h2_stream *post = h2_request(p, "POST", "/echo", "text/x", NULL, 0, "body", 4);
    cr_assert(h2_wait_closed(p, post));
    cr_assert_str_eq(get->status, "202");
    cr_assert(get->headers_ended_stream);
    cr_assert_str_eq(post->status, "200");
    cr_assert_eq(post->in_len, 4);
    cr_assert_str_eq(s.last_type, "text/x");
    cr_assert_str_eq(s.last_path, "/echo");
    cr_assert_eq(PEER_COUNTER(&s, connections_http2), 1);
    close_all();
}

Test(http2, preface_split_at_every_byte)
{
    for (size_t cut = 1; cut < 24; cut++) {
        peer_server_open(&s, NULL);
        struct peer_client *c = peer_connect(&s);
        peer_send(c, NGHTTP2_CLIENT_MAGIC, cut);
        peer_send(c, &NGHTTP2_CLIENT_MAGIC[cut], 24 - cut);
        peer_send(c, "\0\0\0\4\0\0\0\0\0", 9);
        cr_assert(peer_wait_bytes(c, 9));
        cr_assert_eq(c->in[3], NGHTTP2_SETTINGS);
        peer_disconnect(c);
        peer_server_close(&s);
    }
}

Test(http2, many_streams_large_bodies)
{
    open_with(NULL);
    struct h2_stream *streams[40];
    uint8_t *body = make_bytes(3000000);
    for (unsigned i = 0; i < 40; i++)
        streams[i] = h2_request(p, "POST", "/echo", NULL, NULL, 0, body, i % 4 == 0 ? 3000000 : 1000 + i);
    for (unsigned i = 0; i < 40; i++) {
        cr_assert(h2_wait_closed(p, streams[i]));
        cr_assert_eq(streams[i]->error, 0);
        cr_assert_eq(streams[i]->in_len, streams[i]->body_len);
        cr_assert_eq(memcmp(streams[i]->in, body, streams[i]->in_len), 0);
    }
    free(body);
    close_all();
}

Test(http2, grpc_reply_has_trailers)
{
    open_with(NULL);
    uint8_t *framed = make_message(100000, false);
    struct h2_stream *st = h2_grpc(p, "/echo", framed, 100005);
    cr_assert(h2_wait_closed(p, st));
    cr_assert(s.last_is_grpc);
    cr_assert_not(s.last_compressed);
    cr_assert_str_eq(st->status, "200");
    cr_assert_str_eq(st->content_type, "application/grpc");
    cr_assert_eq(st->header_blocks, 2);
    cr_assert_str_eq(st->grpc_status, "0");
    cr_assert_eq(st->in_len, 100005);
    cr_assert_eq(memcmp(st->in, framed, 100005), 0);
    free(framed);
    close_all();
}

Test(http2, grpc_empty_message)
{
    open_with(NULL);
    struct h2_stream *st = h2_grpc(p, "/echo", "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->grpc_status, "0");
    cr_assert_eq(st->in_len, 5);
    close_all();
}

Test(http2, grpc_compressed_flag_is_passed_on)
{
    open_with(NULL);
    uint8_t *framed = make_message(10, true);
    struct h2_stream *st = h2_grpc(p, "/echo", framed, 15);
    cr_assert(h2_wait_closed(p, st));
    cr_assert(s.last_compressed);
    free(framed);
    close_all();
}

Test(http2, grpc_errors_are_trailers_only)
{
    open_with(NULL);
    struct h2_stream *fail = h2_grpc(p, "/fail", "\0\0\0\0\0", 5);
    struct h2_stream *unknown = h2_grpc(p, "/x", "\0\0\0\0\0", 5);
    cr_assert(h2_wait_closed(p, unknown));
    cr_assert(fail->headers_ended_stream);
    cr_assert_str_eq(fail->grpc_status, "14");
    cr_assert_str_eq(fail->grpc_message, "100%25 full%0A");
    cr_assert_str_eq(fail->grpc_details, "CA4");
    cr_assert_str_eq(unknown->grpc_status, "12");
    close_all();
}

static void expect_grpc(const void *framed, size_t n, const char *status)
{
    struct h2_stream *st = h2_grpc(p, "/echo", framed, n);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->grpc_status, status, "%s (%s)", st->grpc_status, st->grpc_message);
    cr_assert_eq(s.requests_seen, 0);
}

Test(http2, grpc_bad_framing)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.grpc_message_bytes_max = 1000;
    open_with(&limits);
    expect_grpc("\0\0\0\0", 4, "13");
    expect_grpc("\0\0\0\0\3ab", 7, "13");
    expect_grpc("\0\0\0\0\1ab", 7, "13");
    expect_grpc("\0\0\0\0\1a\0\0\0\0\1b", 12, "13");
    expect_grpc("\2\0\0\0\1a", 6, "13");
    expect_grpc("\0\0\0\3\351", 5, "8");
    expect_grpc("\0\377\377\377\377abc", 8, "8");
    expect_grpc("", 0, "13");
    cr_assert_eq(PEER_COUNTER(&s, messages_too_large), 2);
    cr_assert_eq(PEER_COUNTER(&s, messages_malformed), 6);
    close_all();
}

Test(http2, refused_at_headers)
{
    open_with(NULL);
    s.refuse_headers = true;
    uint8_t *framed = make_message(5000000, false);
    struct h2_stream *grpc = h2_grpc(p, "/echo", framed, 5000005);
    struct h2_stream *http = h2_request(p, "POST", "/echo", NULL, NULL, 0, framed, 5000000);
    cr_assert(h2_wait_closed(p, grpc));
    cr_assert(h2_wait_closed(p, http));
    cr_assert_str_eq(grpc->grpc_status, "14");
    cr_assert_str_eq(http->status, "429");
    cr_assert_eq(http->error, NGHTTP2_NO_ERROR);
    cr_assert_lt(http->body_sent, 5000000);
    cr_assert_eq(s.requests_seen, 0);
    s.refuse_headers = false;
    struct h2_stream *again = h2_grpc(p, "/echo", framed, 5000005);
    cr_assert(h2_wait_closed(p, again));
    cr_assert_str_eq(again->grpc_status, "0");
    free(framed);
    close_all();
}

Test(http2, oversize_bodies)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.body_bytes_max = 1000;
    open_with(&limits);
    uint8_t *body = make_bytes(2000);
    nghttp2_nv length = h2_nv("content-length", "1001");
    struct h2_stream *declared = h2_request(p, "POST", "/echo", NULL, &length, 1, body, 1001);
    struct h2_stream *sent = h2_request(p, "POST", "/echo", NULL, NULL, 0, body, 1001);
    struct h2_stream *fits = h2_request(p, "POST", "/echo", NULL, NULL, 0, body, 1000);
    cr_assert(h2_wait_closed(p, fits));
    cr_assert(h2_wait_closed(p, declared));
    cr_assert(h2_wait_closed(p, sent));
    cr_assert_str_eq(declared->status, "413");
    cr_assert_str_eq(sent->status, "413");
    cr_assert_str_eq(fits->status, "200");
    cr_assert_eq(PEER_COUNTER(&s, bodies_too_large), 2);
    free(body);
    close_all();
}

Test(http2, headers_too_large)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.header_bytes_max = 1000;
    open_with(&limits);
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    nghttp2_nv extra = h2_nv("x", value);
    struct h2_stream *st = h2_request(p, "GET", "/a", NULL, &extra, 1, NULL, 0);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->status, "431");
    cr_assert_eq(s.headers_seen, 0);
    close_all();
}

static const struct sm_http_response later = {.status = 200, .body = SM_STR("later")};
static const struct sm_http_response grpc_later = {.body = SM_STR("later")};

Test(http2, deferred_replies_in_any_order)
{
    open_with(NULL);
    struct h2_stream *first = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    struct h2_stream *second = h2_grpc(p, "/defer", "\0\0\0\0\0", 5);
    h2_settle(p);
    cr_assert_eq(s.deferred_n, 2);
    sm_http_complete(s.deferred[1], &grpc_later);
    cr_assert(h2_wait_closed(p, second));
    cr_assert_eq(second->in_len, 10);
    cr_assert_not(first->closed);
    sm_http_complete(s.deferred[0], &later);
    cr_assert(h2_wait_closed(p, first));
    cr_assert_eq(first->in_len, 5);
    close_all();
}

Test(http2, deferred_stream_is_reset)
{
    open_with(NULL);
    struct h2_stream *st = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    nghttp2_submit_rst_stream(p->session, 0, st->id, NGHTTP2_CANCEL);
    h2_settle(p);
    cr_assert_eq(s.aborts_seen, 1);
    sm_http_complete(s.deferred[0], &later);
    struct h2_stream *next = h2_request(p, "GET", "/a", NULL, NULL, 0, NULL, 0);
    cr_assert(h2_wait_closed(p, next));
    close_all();
}

Test(http2, large_reply_waits_for_the_reader)
{
    open_with(NULL);
    s.big_len = 3 << 20;
    s.big = (char *)make_bytes(s.big_len);
    p->withhold_window = true;
    struct h2_stream *st = h2_request(p, "GET", "/big", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    cr_assert_eq(st->in_len, 65535);
    cr_assert_eq(s.released, 0);
    p->withhold_window = false;
    nghttp2_session_consume(p->session, st->id, st->in_len);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_eq(st->in_len, s.big_len);
    cr_assert_eq(memcmp(st->in, s.big, s.big_len), 0);
    cr_assert_eq(s.released, 1);
    close_all();
}

Test(http2, paused_server_withholds_window)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.stream_window_bytes = 65535;
    limits.connection_window_bytes = 200000;
    open_with(&limits);
    h2_settle(p);
    sm_http_server_pause(s.server, true);
    uint8_t *body = make_bytes(300000);
    struct h2_stream *st = h2_request(p, "POST", "/count", NULL, NULL, 0, body, 300000);
    struct h2_stream *small = h2_request(p, "POST", "/count", NULL, NULL, 0, body, 10);
    h2_settle(p);
    cr_assert(small->closed); /* control and what fits is still served */
    cr_assert_leq(st->body_sent, 65535);
    sm_http_server_pause(s.server, false);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->status, "200");
    cr_assert_eq(memcmp(st->in, "300000", 6), 0);
    free(body);
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

Test(http2, streams_held_back_by_a_pause_do_not_time_out)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.stream_window_bytes = 65535;
    limits.request_ns = 40 * SM_MS;
    open_with(&limits);
    h2_settle(p);
    sm_http_server_pause(s.server, true);
    uint8_t *body = make_bytes(100000);
    struct h2_stream *st = h2_request(p, "POST", "/count", NULL, NULL, 0, body, 100000);
    h2_settle(p);
    unsigned ticks = 0; /* 100 ms and more of the server's time */
    struct sm_loop_timer *timer = sm_loop_timer_new(s.loop, 5 * SM_MS, on_tick, &ticks);
    cr_assert(peer_turn_until(&s, ticked_enough, &ticks));
    sm_loop_timer_free(timer);
    cr_assert_eq(PEER_COUNTER(&s, timeouts_request), 0);
    sm_http_server_pause(s.server, false);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->status, "200");
    free(body);
    close_all();
}

Test(http2, window_of_streams_that_ended_during_a_pause_comes_back)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connection_window_bytes = 65535;
    open_with(&limits);
    uint8_t *body = make_bytes(30000);
    for (unsigned i = 0; i < 20; i++) {
        h2_settle(p);
        sm_http_server_pause(s.server, true);
        struct h2_stream *st = h2_request(p, "POST", "/count", NULL, NULL, 0, body, 30000);
        h2_settle(p);
        sm_http_server_pause(s.server, false);
        cr_assert(h2_wait_closed(p, st), "round %u", i);
    }
    free(body);
    close_all();
}

Test(http2, rapid_reset)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.resets_burst = 20;
    limits.resets_per_second = 0;
    open_with(&limits);
    h2_settle(p);
    for (unsigned i = 0; i < 30 && !p->goaways; i++) {
        struct h2_stream *st = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
        h2_pump(p);
        nghttp2_submit_rst_stream(p->session, 0, st->id, NGHTTP2_CANCEL);
        h2_pump(p);
    }
    cr_assert(h2_wait_goaway(p));
    cr_assert_eq(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_assert_eq(PEER_COUNTER(&s, resets_flooded), 1);
    cr_assert(peer_wait_eof(p->raw));
    cr_assert_eq(s.aborts_seen, s.deferred_n);
    for (unsigned i = 0; i < s.deferred_n; i++)
        sm_http_complete(s.deferred[i], &later);
    close_all();
}

Test(http2, ping_flood)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.controls_burst = 20;
    limits.controls_per_second = 0;
    open_with(&limits);
    for (unsigned i = 0; i < 100; i++)
        nghttp2_submit_ping(p->session, 0, NULL);
    cr_assert(h2_wait_goaway(p));
    cr_assert_eq(p->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    cr_assert_eq(PEER_COUNTER(&s, controls_flooded), 1);
    close_all();
}

Test(http2, pings_in_step_with_requests_are_fine)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.controls_burst = 20;
    limits.controls_per_second = 0;
    open_with(&limits);
    for (unsigned i = 0; i < 100; i++) {
        nghttp2_submit_ping(p->session, 0, NULL);
        cr_assert(h2_wait_closed(p, h2_request(p, "GET", "/a", NULL, NULL, 0, NULL, 0)));
    }
    cr_assert_eq(p->goaways, 0);
    close_all();
}

Test(http2, continuation_flood)
{
    peer_server_open(&s, NULL);
    struct peer_client *c = peer_connect(&s);
    peer_send(c, NGHTTP2_CLIENT_MAGIC, 24);
    peer_send(c, "\0\0\0\4\0\0\0\0\0", 9);
    peer_send(c, "\0\0\0\1\1\0\0\0\1", 9); /* HEADERS, END_STREAM only */
    for (unsigned i = 0; i < 20; i++) {
        if (!peer_send(c, "\0\0\0\11\0\0\0\0\1", 9))
            break;
    }
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(PEER_COUNTER(&s, controls_flooded), 1);
    peer_disconnect(c);
    peer_server_close(&s);
}

Test(http2, garbage_after_the_preface)
{
    peer_server_open(&s, NULL);
    struct peer_client *c = peer_connect(&s);
    peer_send(c, NGHTTP2_CLIENT_MAGIC, 24);
    peer_send(c, "this is not a frame, whatever it may look like", 46);
    cr_assert(peer_wait_eof(c));
    cr_assert_eq(s.headers_seen, 0);
    peer_disconnect(c);
    peer_server_close(&s);
}

Test(http2, body_that_never_ends)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.request_ns = 20 * SM_MS;
    open_with(&limits);
    struct h2_stream *st = h2_grpc(p, "/echo", "\0\0\0\0\5ab", 7);
    st->hold_end = true;
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->grpc_status, "4");
    cr_assert_eq(PEER_COUNTER(&s, timeouts_request), 1);
    close_all();
}

Test(http2, idle_connection_is_told_to_go)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.idle_ns = 20 * SM_MS;
    open_with(&limits);
    cr_assert(h2_wait_goaway(p));
    cr_assert_eq(p->goaway_error, NGHTTP2_NO_ERROR);
    cr_assert(peer_wait_eof(p->raw));
    cr_assert_eq(PEER_COUNTER(&s, timeouts_idle), 1);
    close_all();
}

Test(http2, old_connections_are_told_to_go)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connection_age_ns = 20 * SM_MS;
    open_with(&limits);
    struct h2_stream *st = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    cr_assert(h2_wait_goaway(p));
    cr_assert_eq(p->goaway_error, NGHTTP2_NO_ERROR);
    cr_assert_not(st->closed);
    sm_http_complete(s.deferred[0], &later);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_eq(st->in_len, 5);
    cr_assert(peer_wait_eof(p->raw));
    cr_assert_eq(PEER_COUNTER(&s, connections_aged), 1);
    close_all();
}

Test(http2, old_connections_have_a_grace)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.connection_age_ns = 20 * SM_MS;
    limits.connection_grace_ns = 20 * SM_MS;
    open_with(&limits);
    struct h2_stream *st = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    cr_assert(h2_wait_goaway(p));
    cr_assert(peer_wait_eof(p->raw)); /* though the stream was not answered */
    cr_assert_not(st->closed);
    cr_assert_eq(s.aborts_seen, 1);
    sm_http_complete(s.deferred[0], &later);
    close_all();
}

Test(http2, drain_finishes_streams)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.linger_ns = 20 * SM_MS; /* also makes the server's clock tick fast */
    open_with(&limits);
    struct h2_stream *st = h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    sm_http_server_drain(s.server);
    cr_assert(h2_wait_goaway(p));
    cr_assert_not(st->closed);
    sm_http_complete(s.deferred[0], &later);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_eq(st->in_len, 5);
    cr_assert(peer_wait_eof(p->raw));
    close_all();
}

/* grpc-go says goodbye with the number of its own last stream, which is not what that field means. */
Test(http2, a_farewell_that_names_the_clients_own_stream)
{
    open_with(NULL);
    struct h2_stream *st = h2_request(p, "GET", "/x", NULL, NULL, 0, NULL, 0);
    cr_assert(h2_wait_closed(p, st));
    static const uint8_t farewell[] = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    cr_assert(peer_send(p->raw, farewell, sizeof farewell));
    cr_assert(peer_wait_eof(p->raw));
    cr_expect_eq(PEER_COUNTER(&s, requests_malformed), 0);
    cr_expect_eq(PEER_COUNTER(&s, connections_broken), 0);
    close_all();
}

Test(http2, too_many_streams_are_refused)
{
    struct sm_http_limits limits = sm_http_limits_default;
    limits.streams_max = 4;
    open_with(&limits);
    for (unsigned i = 0; i < 6; i++) /* sent before the client has seen the server's settings */
        h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    h2_settle(p);
    cr_assert_leq(s.deferred_n, 4);
    for (unsigned i = 0; i < s.deferred_n; i++)
        sm_http_complete(s.deferred[i], &later);
    h2_settle(p);
    close_all();
}

Test(http2, server_freed_with_streams_open)
{
    open_with(NULL);
    h2_request(p, "GET", "/defer", NULL, NULL, 0, NULL, 0);
    struct h2_stream *st = h2_request(p, "POST", "/echo", NULL, NULL, 0, "abc", 3);
    st->hold_end = true;
    h2_settle(p);
    sm_http_server_free(s.server);
    s.server = NULL;
    cr_assert_eq(s.aborts_seen, 1);
    sm_http_complete(s.deferred[0], &later);
    close_all();
}
