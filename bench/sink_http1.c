/* Receiving over HTTP/1.1: POST of a body with a length; GET /stats tells the totals. */
#include "bench/peer.h"

#include "bench/http1.h"

static void http1_open(struct bench_peer *peer)
{
    peer->state = NULL;
}

static void http1_close(struct bench_peer *peer)
{
    (void)peer;
}

static void reply(struct bench_peer *peer, const char *status, const char *content_type, const struct bench_buf *body)
{
    bench_buf_add_format(&peer->out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status,
                         content_type, body ? body->len : 0);
    if (body)
        bench_buf_add(&peer->out, body->ptr, body->len);
}

static void reply_stats(struct bench_peer *peer)
{
    struct bench_buf body = {0};
    bench_peer_write_totals(peer->sink, &body);
    reply(peer, "200 OK", "application/json", &body);
    bench_buf_free(&body);
}

static void serve(struct bench_peer *peer, const struct bench_http1_head *head, const uint8_t *body)
{
    static const char ok_otlp[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    static const char ok_zipkin[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    if (sm_str_eq(head->method, SM_STR("GET")))
        reply_stats(peer);
    else if (!bench_peer_count(peer, body, head->content_length, head->gzip))
        reply(peer, "400 Bad Request", "text/plain", NULL);
    else
        bench_buf_add_c(&peer->out, peer->zipkin ? ok_zipkin : ok_otlp);
}

static bool http1_receive(struct bench_peer *peer, const uint8_t *bytes, size_t n, size_t *used, size_t *wanted)
{
    for (;;) {
        struct bench_http1_head head;
        enum sm_rc rc = bench_http1_parse(bytes + *used, n - *used, &head);
        if (rc == SM_E_TRUNCATED)
            return true;
        if (rc != SM_OK || head.chunked) {
            reply(peer, "411 Length Required", "text/plain", NULL);
            (void)bench_peer_flush(peer);
            return false;
        }
        if (head.bytes + head.content_length > n - *used) {
            if (head.expects_continue && head.bytes == n - *used)
                bench_buf_add_c(&peer->out, "HTTP/1.1 100 Continue\r\n\r\n");
            *wanted = head.bytes + head.content_length;
            return true;
        }
        serve(peer, &head, bytes + *used + head.bytes);
        *used += head.bytes + head.content_length;
    }
}

const struct bench_reader bench_sink_http1 = {http1_open, http1_receive, http1_close};
