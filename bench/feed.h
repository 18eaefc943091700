/* What to send next: hands out bodies in order, round after round with fresh ids, at the wanted rate; takes replies;
 * sends again what was refused. One thread. */
#ifndef BENCH_FEED_H
#define BENCH_FEED_H

#include "bench/body.h"

enum bench_reply {
    BENCH_REPLY_ACCEPTED,
    BENCH_REPLY_REFUSED, /* overloaded: 429, 503, UNAVAILABLE, RESOURCE_EXHAUSTED; the body will be sent again */
    BENCH_REPLY_WRONG,
};

enum { BENCH_FEED_CODES = 600, BENCH_FEED_LATENCY_BUCKETS = 512 };

struct bench_feed_options {
    struct bench_body *bodies; /* borrowed; moved from round to round unless `once` */
    uint32_t bodies_n;
    bool once;               /* every body is sent once, as it is (compressed rounds) */
    uint64_t seed;           /* of the rounds' masks */
    uint64_t spans_max;      /* stop after so many; 0: never */
    double spans_per_second; /* 0: as fast as replies come */
    int64_t backoff_ns;      /* pause after a refusal */
};

struct bench_feed {
    struct bench_feed_options options;
    uint64_t next; /* bodies handed out for the first time */
    struct bench_round round;
    struct bench_body **again; /* refused ones: a ring of bodies_n entries */
    uint32_t again_first;
    uint32_t again_n;
    int64_t started_ns;
    int64_t paused_until_ns;
    uint64_t spans_sent; /* first sendings only */
    uint64_t spans_accepted;
    uint64_t spans_rejected; /* by partial success */
    uint64_t spans_refused;  /* sendings that were refused */
    uint64_t requests_in_flight;
    uint64_t replies_wrong;
    uint64_t replies_by_code[BENCH_FEED_CODES]; /* HTTP status, or grpc-status */
    uint64_t latency_counts[BENCH_FEED_LATENCY_BUCKETS];
};

void bench_feed_init(struct bench_feed *feed, const struct bench_feed_options *options, int64_t now_ns);
void bench_feed_fini(struct bench_feed *feed);

/* The next body, marked busy until its reply; NULL when there is none now: *wait_until_ns is then the time to ask
 * again, or INT64_MAX when only a reply can change that. */
struct bench_body *bench_feed_take(struct bench_feed *feed, int64_t now_ns, int64_t *wait_until_ns);

/* The reply to a body taken at sent_ns. `code` is counted when below BENCH_FEED_CODES. */
void bench_feed_reply(struct bench_feed *feed, struct bench_body *body, enum bench_reply reply, uint32_t code,
                      uint64_t spans_rejected, int64_t sent_ns, int64_t now_ns);

/* Everything was sent and answered. */
bool bench_feed_is_done(const struct bench_feed *feed);

/* Microseconds within which a share (0..1) of the replies came. */
double bench_feed_latency_us(const struct bench_feed *feed, double share);

#endif
