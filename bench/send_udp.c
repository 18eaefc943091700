/* Sending datagrams: a body each, taken as accepted once the kernel has it; what the receiver's kernel drops, its metrics tell. */
#include "bench/link.h"

enum { BURST = 16 }; /* so that the owner gets to look at the clock, and the receiver at its socket */

struct udp_state {
    struct bench_flight flight; /* of the datagram that was staged last */
    uint32_t sent;
};

static void udp_open(struct bench_link *link)
{
    link->state = sm_xcalloc(1, sizeof(struct udp_state));
}

static void udp_close(struct bench_link *link)
{
    free(link->state);
}

static void udp_stage(struct bench_link *link, int64_t now_ns)
{
    struct udp_state *st = link->state;
    if (st->flight.body)
        bench_feed_reply(link->feed, st->flight.body, BENCH_REPLY_ACCEPTED, 0, 0, st->flight.sent_ns, now_ns);
    st->flight.body = NULL;
    if (++st->sent % BURST == 0) {
        link->wait_until_ns = now_ns;
        return;
    }
    struct bench_body *body = bench_feed_take(link->feed, now_ns, &link->wait_until_ns);
    if (!body)
        return;
    st->flight = (struct bench_flight){body, now_ns};
    bench_link_add_piece(link, body->ptr, body->len);
}

static enum sm_rc udp_receive(struct bench_link *link, const uint8_t *bytes, size_t n, size_t *used, int64_t now_ns)
{
    (void)bytes, (void)now_ns;
    *used = n;
    return bench_link_fail(link, "a reply to a datagram");
}

const struct bench_protocol bench_send_udp = {udp_open, udp_stage, udp_receive, udp_close, .datagrams = true};
