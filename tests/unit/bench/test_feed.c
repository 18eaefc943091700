#include "bench/encode.h"
#include "bench/feed.h"

#include <criterion/criterion.h>

enum { BODIES = 3, SPANS = 10 };

static uint8_t bytes[BODIES][24];
static struct bench_body bodies[BODIES];

static struct bench_feed make_feed(uint64_t spans_max, double spans_per_second)
{
    for (int i = 0; i < BODIES; i++)
        bodies[i] = (struct bench_body){.ptr = bytes[i], .len = sizeof bytes[i], .spans = SPANS};
    struct bench_feed feed;
    struct bench_feed_options o = {.bodies = bodies,
                                   .bodies_n = BODIES,
                                   .seed = 1,
                                   .spans_max = spans_max,
                                   .spans_per_second = spans_per_second,
                                   .backoff_ns = SM_MS};
    bench_feed_init(&feed, &o, 0);
    return feed;
}

Test(feed, refused_bodies_are_sent_again_after_the_pause)
{
    struct bench_feed feed = make_feed(2 * SPANS, 0);
    int64_t wait;
    struct bench_body *a = bench_feed_take(&feed, 0, &wait), *b = bench_feed_take(&feed, 0, &wait);
    cr_assert_eq(a, &bodies[0]);
    cr_assert_eq(b, &bodies[1]);
    cr_assert_null(bench_feed_take(&feed, 0, &wait));
    bench_feed_reply(&feed, a, BENCH_REPLY_REFUSED, 429, 0, 0, 10);
    bench_feed_reply(&feed, b, BENCH_REPLY_ACCEPTED, 200, 3, 0, 10);
    cr_assert_null(bench_feed_take(&feed, 20, &wait));
    cr_assert_eq(wait, SM_MS + 10);
    cr_assert_eq(bench_feed_take(&feed, wait, &wait), a);
    cr_assert_not(bench_feed_is_done(&feed));
    bench_feed_reply(&feed, a, BENCH_REPLY_ACCEPTED, 200, 0, 0, 2 * SM_MS);
    cr_assert(bench_feed_is_done(&feed));
    cr_assert_eq(feed.spans_sent, 2 * SPANS);
    cr_assert_eq(feed.spans_refused, SPANS);
    cr_assert_eq(feed.spans_rejected, 3);
    cr_assert_eq(feed.spans_accepted, 2 * SPANS - 3);
    bench_feed_fini(&feed);
}

Test(feed, rate_sets_when_the_next_body_is_due)
{
    struct bench_feed feed = make_feed(0, 1000);
    int64_t wait;
    cr_assert_eq(bench_feed_take(&feed, 0, &wait), &bodies[0]);
    cr_assert_null(bench_feed_take(&feed, 0, &wait));
    cr_assert_eq(wait, 10 * SM_MS);
    cr_assert_eq(bench_feed_take(&feed, wait, &wait), &bodies[1]);
    bench_feed_fini(&feed);
}

Test(feed, a_body_in_flight_is_not_moved_to_the_next_round)
{
    struct bench_feed feed = make_feed(0, 0);
    int64_t wait;
    struct bench_body *first = bench_feed_take(&feed, 0, &wait);
    for (int i = 1; i < BODIES; i++)
        cr_assert_not_null(bench_feed_take(&feed, 0, &wait));
    cr_assert_null(bench_feed_take(&feed, 0, &wait));
    struct bench_round before = first->round;
    bench_feed_reply(&feed, first, BENCH_REPLY_ACCEPTED, 200, 0, 0, 1);
    cr_assert_eq(bench_feed_take(&feed, 2, &wait), first);
    cr_assert_neq(first->round.span_mask, before.span_mask);
    bench_feed_fini(&feed);
}
