#include "bench/feed.h"

#include "bench/encode.h"

#include <math.h>
#include <time.h>

void bench_feed_init(struct bench_feed *feed, const struct bench_feed_options *options, int64_t now_ns)
{
    *feed = (struct bench_feed){.options = *options, .started_ns = now_ns};
    feed->again = sm_xcalloc(options->bodies_n, sizeof(struct bench_body *));
}

void bench_feed_fini(struct bench_feed *feed)
{
    free(feed->again);
}

static bool everything_was_sent(const struct bench_feed *feed)
{
    if (feed->options.once && feed->next == feed->options.bodies_n)
        return true;
    return feed->options.spans_max && feed->spans_sent >= feed->options.spans_max;
}

bool bench_feed_is_done(const struct bench_feed *feed)
{
    return everything_was_sent(feed) && feed->again_n == 0 && feed->requests_in_flight == 0;
}

/* When the next first sending is due at the wanted rate. */
static int64_t due_ns(const struct bench_feed *feed)
{
    if (feed->options.spans_per_second <= 0)
        return INT64_MIN;
    return feed->started_ns + (int64_t)((double)feed->spans_sent / feed->options.spans_per_second * 1e9);
}

static struct bench_body *take_again(struct bench_feed *feed)
{
    struct bench_body *body = feed->again[feed->again_first];
    feed->again_first = (feed->again_first + 1) % feed->options.bodies_n;
    feed->again_n--;
    return body;
}

/* Virtual time 0 of a round is the moment when the round begins. */
static struct bench_round round_that_begins_now(const struct bench_feed *feed, uint64_t index)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t wall_ns = wall.tv_sec * SM_SEC + wall.tv_nsec;
    return bench_round_make(feed->options.seed, index, wall_ns - BENCH_ENCODE_EPOCH_NS);
}

/* NULL when the body is still in flight from the round before. */
static struct bench_body *take_first_time(struct bench_feed *feed)
{
    uint32_t i = (uint32_t)(feed->next % feed->options.bodies_n);
    struct bench_body *body = &feed->options.bodies[i];
    if (body->busy)
        return NULL;
    if (!feed->options.once) {
        if (i == 0)
            feed->round = round_that_begins_now(feed, feed->next / feed->options.bodies_n + 1);
        bench_body_move(body, &feed->round);
    }
    feed->next++;
    feed->spans_sent += body->spans;
    return body;
}

struct bench_body *bench_feed_take(struct bench_feed *feed, int64_t now_ns, int64_t *wait_until_ns)
{
    *wait_until_ns = INT64_MAX;
    if (now_ns < feed->paused_until_ns) {
        *wait_until_ns = feed->paused_until_ns;
        return NULL;
    }
    struct bench_body *body = NULL;
    if (feed->again_n) {
        body = take_again(feed);
    } else if (!everything_was_sent(feed)) {
        if (now_ns < due_ns(feed))
            *wait_until_ns = due_ns(feed);
        else
            body = take_first_time(feed);
    }
    if (body) {
        body->busy = true;
        feed->requests_in_flight++;
    }
    return body;
}

/* Sixteen buckets an octave. */
static void count_latency(struct bench_feed *feed, int64_t ns)
{
    double us = (double)ns / 1e3;
    int bucket = us < 1 ? 0 : (int)(log2(us) * 16);
    feed->latency_counts[SM_MIN(bucket, BENCH_FEED_LATENCY_BUCKETS - 1)]++;
}

double bench_feed_latency_us(const struct bench_feed *feed, double share)
{
    uint64_t total = 0, below = 0;
    for (int i = 0; i < BENCH_FEED_LATENCY_BUCKETS; i++)
        total += feed->latency_counts[i];
    for (int i = 0; i < BENCH_FEED_LATENCY_BUCKETS; i++) {
        below += feed->latency_counts[i];
        if (total && (double)below >= share * (double)total)
            return exp2((i + 1) / 16.0);
    }
    return 0;
}

void bench_feed_reply(struct bench_feed *feed, struct bench_body *body, enum bench_reply reply, uint32_t code,
                      uint64_t spans_rejected, int64_t sent_ns, int64_t now_ns)
{
    feed->requests_in_flight--;
    if (code < BENCH_FEED_CODES)
        feed->replies_by_code[code]++;
    switch (reply) {
    case BENCH_REPLY_ACCEPTED:
        spans_rejected = SM_MIN(spans_rejected, body->spans);
        feed->spans_rejected += spans_rejected;
        feed->spans_accepted += body->spans - spans_rejected;
        count_latency(feed, now_ns - sent_ns);
        body->busy = false;
        break;
    case BENCH_REPLY_REFUSED:
        feed->spans_refused += body->spans;
        feed->paused_until_ns = now_ns + feed->options.backoff_ns;
        feed->again[(feed->again_first + feed->again_n) % feed->options.bodies_n] = body;
        feed->again_n++;
        break;
    case BENCH_REPLY_WRONG:
        feed->replies_wrong++;
        body->busy = false;
        break;
    }
}
