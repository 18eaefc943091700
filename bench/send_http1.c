/* Sending over HTTP/1.1: keep-alive, pipelined requests, replies in order. */
#include "bench/link.h"

#include "bench/http1.h"

enum { HEAD_BYTES = 320 };

struct http1_flight {
    struct bench_flight flight;
    char head[HEAD_BYTES];
};

struct http1_state {
    struct http1_flight flights[BENCH_LINK_FLIGHTS_MAX]; /* ring, oldest first */
    uint32_t first;
    uint32_t n;
};

static void http1_open(struct bench_link *link)
{
    link->state = sm_xcalloc(1, sizeof(struct http1_state));
}

static void http1_close(struct bench_link *link)
{
    free(link->state);
}

static int write_head(const struct bench_link *link, size_t body_bytes, char *head)
{
    return snprintf(
        head, HEAD_BYTES,
        "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench_send\r\nContent-Type: %s\r\n%s%s%sContent-Length: %zu\r\n\r\n",
        link->path, link->authority, link->content_type, link->coding ? "Content-Encoding: " : "", link->coding ? link->coding : "",
        link->coding ? "\r\n" : "", body_bytes);
}

static void http1_stage(struct bench_link *link, int64_t now_ns)
{
    struct http1_state *st = link->state;
    while (st->n < link->depth && link->iov_n + 2 <= BENCH_LINK_PIECES) {
        struct bench_body *body = bench_feed_take(link->feed, now_ns, &link->wait_until_ns);
        if (!body)
            return;
        struct http1_flight *f = &st->flights[(st->first + st->n++) % BENCH_LINK_FLIGHTS_MAX];
        f->flight = (struct bench_flight){body, now_ns};
        int n = write_head(link, body->len, f->head);
        SM_ASSERT(n > 0 && n < HEAD_BYTES);
        bench_link_add_piece(link, f->head, (size_t)n);
        bench_link_add_piece(link, body->ptr, body->len);
    }
}

static void take_reply(struct bench_link *link, const struct bench_http1_head *head, const uint8_t *body,
                       int64_t now_ns)
{
    struct http1_state *st = link->state;
    struct bench_flight f = st->flights[st->first].flight;
    st->first = (st->first + 1) % BENCH_LINK_FLIGHTS_MAX;
    st->n--;
    enum bench_reply reply = BENCH_REPLY_WRONG;
    uint64_t rejected = 0;
    if (head->status == link->accepted_status) {
        reply = BENCH_REPLY_ACCEPTED;
        rejected = head->status == 200 ? bench_link_rejected_spans(body, head->content_length) : 0;
    } else if (head->status == 429 || head->status == 503) {
        reply = BENCH_REPLY_REFUSED;
    } else if (link->feed->replies_wrong == 0) {
        fprintf(stderr, "wrong reply: %u %.*s\n", head->status, (int)SM_MIN(head->content_length, 300), body);
    }
    bench_feed_reply(link->feed, f.body, reply, head->status, rejected, f.sent_ns, now_ns);
}

static enum sm_rc http1_receive(struct bench_link *link, const uint8_t *bytes, size_t n, size_t *used, int64_t now_ns)
{
    struct http1_state *st = link->state;
    for (;;) {
        struct bench_http1_head head;
        enum sm_rc rc = bench_http1_parse(bytes + *used, n - *used, &head);
        if (rc == SM_E_TRUNCATED)
            return SM_OK;
        if (rc != SM_OK || head.chunked || st->n == 0)
            return bench_link_fail(link,
                                   head.chunked ? "chunked replies are not supported" : "not a reply in HTTP/1.1");
        if (head.bytes + head.content_length > n - *used)
            return SM_OK;
        take_reply(link, &head, bytes + *used + head.bytes, now_ns);
        *used += head.bytes + head.content_length;
    }
}

const struct bench_protocol bench_send_http1 = {http1_open, http1_stage, http1_receive, http1_close, .datagrams = false};
