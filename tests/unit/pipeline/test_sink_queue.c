#include "base/log.h"
#include "pipeline/sink_queue.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>

enum { PENDING_MAX = 16 };

/* A sink that answers at once with `answer`, or keeps batches until the test ends them. */
struct fake {
    bool holds;
    enum sm_sink_result answer;
    uint64_t rejected_spans;
    int64_t retry_after_ns;
    struct sm_sink_batch *pending[PENDING_MAX];
    unsigned pending_count;
    unsigned writes, flushes;
    uint64_t spans_of_last, sequence_of_last;
    uint32_t attempt_of_last;
    unsigned released;
};

static void fake_write(void *sink, struct sm_sink_batch *batch)
{
    struct fake *f = sink;
    f->writes++;
    f->spans_of_last = batch->spans;
    f->sequence_of_last = batch->sequence;
    f->attempt_of_last = batch->attempt;
    if (f->holds)
        f->pending[f->pending_count++] = batch;
    else
        sm_sink_done(batch, f->answer, f->rejected_spans, f->retry_after_ns, f->answer == SM_SINK_OK ? NULL : "told so");
}

static void fake_end(struct fake *f, enum sm_sink_result result)
{
    struct sm_sink_batch *batch = f->pending[0];
    memmove(f->pending, f->pending + 1, --f->pending_count * sizeof *f->pending);
    sm_sink_done(batch, result, 0, 0, NULL);
}

static void fake_flush(void *sink)
{
    ((struct fake *)sink)->flushes++;
}

static void fake_cancel(void *sink)
{
    struct fake *f = sink;
    while (f->pending_count)
        fake_end(f, SM_SINK_AGAIN);
}

static const struct sm_sink_ops fake_ops = {
    .type = "fake", .write = fake_write, .flush = fake_flush, .cancel = fake_cancel};

static void on_release(void *ctx, const struct sm_trace *trace SM_UNUSED)
{
    ((struct fake *)ctx)->released++;
}

static struct sm_sink_queue *queue_new(struct fake *f)
{
    struct sm_sink_queue_config config = {
        .name = "fake",
        .ops = &fake_ops,
        .sink = f,
        .batch_spans_max = 10,
        .batch_bytes_max = 1000,
        .batch_linger_ns = 200 * SM_MS,
        .in_flight_max = 2,
        .retry = SM_SINK_RETRY_DEFAULT,
        .seed = 7,
        .release = on_release,
        .release_ctx = f,
    };
    return sm_sink_queue_new(&config);
}

static void queue_free(struct sm_sink_queue *q)
{
    sm_sink_queue_abandon(q, 0);
    sm_sink_queue_free(q);
}

static void be_quiet(void)
{
    sm_log_setup(&(struct sm_log_config){.fd = open("/dev/null", O_WRONLY)});
}

TestSuite(sink_queue, .init = be_quiet);

static const struct sm_trace small = {.span_count = 4, .bytes = 100};

Test(sink_queue, a_batch_closes_when_full_or_when_it_lingered)
{
    struct fake f = {0};
    struct sm_sink_queue *q = queue_new(&f);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_step(q, 0);
    cr_assert_eq(f.writes, 0);
    cr_assert_eq(sm_sink_queue_due_ns(q), 200 * SM_MS);
    sm_sink_queue_add(q, &small, 50 * SM_MS);
    sm_sink_queue_add(q, &small, 60 * SM_MS); /* 12 spans would be too many: the first two go */
    sm_sink_queue_step(q, 60 * SM_MS);
    cr_assert_eq(f.writes, 1);
    cr_assert_eq(f.spans_of_last, 8);
    sm_sink_queue_step(q, 259 * SM_MS);
    cr_assert_eq(f.writes, 1);
    cr_assert_eq(sm_sink_queue_due_ns(q), 260 * SM_MS);
    sm_sink_queue_step(q, 260 * SM_MS);
    cr_assert_eq(f.writes, 2);
    cr_assert_eq(f.spans_of_last, 4);
    cr_assert_eq(f.released, 3);
    cr_assert(sm_sink_queue_idle(q));
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->delivered), 12);
    queue_free(q);
}

Test(sink_queue, bytes_close_a_batch_and_a_huge_trace_goes_alone)
{
    struct fake f = {0};
    struct sm_sink_queue *q = queue_new(&f);
    struct sm_trace huge = {.span_count = 1, .bytes = 5000};
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_add(q, &huge, 0);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_drain(q);
    sm_sink_queue_step(q, 0);
    cr_assert_eq(f.writes, 3);
    cr_assert_eq(f.sequence_of_last, 2);
    queue_free(q);
}

Test(sink_queue, no_more_than_in_flight_max_batches_are_at_the_sink)
{
    struct fake f = {.holds = true};
    struct sm_sink_queue *q = queue_new(&f);
    for (int i = 0; i < 8; i++)
        sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_drain(q);
    sm_sink_queue_step(q, 0);
    cr_assert_eq(f.pending_count, 2);
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->in_flight), 2);
    cr_assert_eq(sm_sink_queue_due_ns(q), SM_SEC, "only the flush is due");
    fake_end(&f, SM_SINK_OK);
    sm_sink_queue_step(q, 1);
    cr_assert_eq(f.pending_count, 2);
    cr_assert_eq(f.writes, 3);
    queue_free(q);
    cr_assert_eq(f.released, 8);
}

/* Steps to each due time; returns when the batch was tried for the n-th time. */
static int64_t time_of_write(struct sm_sink_queue *q, struct fake *f, unsigned n)
{
    int64_t now = 0;
    while (f->writes < n) {
        now = sm_sink_queue_due_ns(q);
        cr_assert_neq(now, INT64_MAX);
        sm_sink_queue_step(q, now);
    }
    return now;
}

Test(sink_queue, back_off_grows_with_jitter_until_the_batch_is_given_up)
{
    struct fake f = {.answer = SM_SINK_AGAIN};
    struct sm_sink_queue *q = queue_new(&f);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_drain(q);
    sm_sink_queue_step(q, 0);
    int64_t before = 0;
    double expected = 5e9;
    for (unsigned attempt = 1; attempt <= 8; attempt++) {
        int64_t at = time_of_write(q, &f, attempt + 1);
        cr_assert_eq(f.attempt_of_last, attempt);
        cr_assert_eq(f.sequence_of_last, 0);
        cr_assert_geq((double)(at - before), expected * 0.5);
        cr_assert_leq((double)(at - before), expected * 1.5);
        before = at;
        expected = SM_MIN(expected * 1.5, 30e9);
    }
    int64_t last = before;
    while (!sm_sink_queue_idle(q)) {
        cr_assert_leq(last = sm_sink_queue_due_ns(q), 300 * SM_SEC);
        sm_sink_queue_step(q, last);
    }
    cr_assert_geq(last, 255 * SM_SEC, "given up only when the next attempt would be too late");
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->dropped_retries), 4);
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->delivered), 0);
    cr_assert_eq(f.released, 1);
    queue_free(q);
}

Test(sink_queue, the_same_seed_gives_the_same_delays)
{
    int64_t at[2];
    for (int run = 0; run < 2; run++) {
        struct fake f = {.answer = SM_SINK_AGAIN};
        struct sm_sink_queue *q = queue_new(&f);
        sm_sink_queue_add(q, &small, 0);
        sm_sink_queue_drain(q);
        sm_sink_queue_step(q, 0);
        at[run] = time_of_write(q, &f, 5);
        queue_free(q);
    }
    cr_assert_eq(at[0], at[1]);
}

Test(sink_queue, what_the_server_asks_for_pauses_the_whole_sink)
{
    struct fake f = {.answer = SM_SINK_AGAIN, .retry_after_ns = 40 * SM_SEC};
    struct sm_sink_queue *q = queue_new(&f);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_drain(q);
    sm_sink_queue_step(q, 0);
    cr_assert_eq(f.writes, 1);
    f.answer = SM_SINK_OK;
    sm_sink_queue_add(q, &small, 1);
    sm_sink_queue_step(q, 1);
    sm_sink_queue_step(q, 39 * SM_SEC);
    cr_assert_eq(f.writes, 1, "a new batch waits too");
    int64_t due = sm_sink_queue_due_ns(q);
    cr_assert_geq(due, 40 * SM_SEC);
    cr_assert_leq(due, 44 * SM_SEC);
    sm_sink_queue_step(q, due);
    cr_assert_eq(f.writes, 3);
    cr_assert(sm_sink_queue_idle(q));
    queue_free(q);
}

Test(sink_queue, an_absurd_wish_is_cut)
{
    struct fake f = {.answer = SM_SINK_AGAIN, .retry_after_ns = INT64_MAX};
    struct sm_sink_queue *q = queue_new(&f);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_drain(q);
    sm_sink_queue_step(q, 0);
    if (!sm_sink_queue_idle(q))
        cr_assert_leq(sm_sink_queue_due_ns(q), 330 * SM_SEC);
    f.answer = SM_SINK_OK;
    sm_sink_queue_add(q, &small, 1);
    sm_sink_queue_step(q, 331 * SM_SEC);
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->delivered), 4);
    queue_free(q);
}

Test(sink_queue, partial_success_and_refusal_are_counted_apart)
{
    struct fake f = {.rejected_spans = 3};
    struct sm_sink_queue *q = queue_new(&f);
    const struct sm_sink_queue_stats *stats = sm_sink_queue_stats(q);
    sm_sink_queue_drain(q);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_step(q, 0);
    cr_assert_eq(atomic_load(&stats->delivered), 1);
    cr_assert_eq(atomic_load(&stats->rejected), 3);
    f.rejected_spans = 1000; /* a server that cannot count */
    sm_sink_queue_add(q, &small, 1);
    sm_sink_queue_step(q, 1);
    cr_assert_eq(atomic_load(&stats->delivered), 1);
    cr_assert_eq(atomic_load(&stats->rejected), 7);
    f.answer = SM_SINK_REJECT;
    sm_sink_queue_add(q, &small, 2);
    sm_sink_queue_step(q, 2);
    cr_assert_eq(atomic_load(&stats->rejected), 11);
    cr_assert_eq(f.writes, 3, "a refusal is never tried again");
    queue_free(q);
}

Test(sink_queue, a_batch_given_up_half_written_counts_both_parts)
{
    struct fake f = {.holds = true};
    struct sm_sink_queue *q = queue_new(&f);
    const struct sm_sink_queue_stats *stats = sm_sink_queue_stats(q);
    sm_sink_queue_drain(q);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_step(q, 0);
    f.pending[0]->spans_done = 5;
    f.pending[0]->spans_rejected = 2;
    fake_end(&f, SM_SINK_AGAIN);
    sm_sink_queue_step(q, 1);
    sm_sink_queue_abandon(q, 2);
    cr_assert_eq(atomic_load(&stats->delivered), 3);
    cr_assert_eq(atomic_load(&stats->rejected), 2);
    cr_assert_eq(atomic_load(&stats->dropped_shutdown), 3);
    cr_assert_eq(f.released, 2);
    sm_sink_queue_free(q);
}

Test(sink_queue, abandoning_cancels_flushes_and_counts_everything)
{
    struct fake f = {.holds = true};
    struct sm_sink_queue *q = queue_new(&f);
    for (int i = 0; i < 9; i++)
        sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_step(q, 0);
    fake_end(&f, SM_SINK_AGAIN);
    sm_sink_queue_step(q, 1);
    cr_assert_not(sm_sink_queue_idle(q));
    sm_sink_queue_abandon(q, 2);
    cr_assert(sm_sink_queue_idle(q));
    cr_assert_eq(f.flushes, 1);
    cr_assert_eq(f.released, 9);
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->dropped_shutdown), 36);
    cr_assert_eq(atomic_load(&sm_sink_queue_stats(q)->in_flight), 0);
    sm_sink_queue_free(q);
}

Test(sink_queue, writes_are_flushed_within_a_second)
{
    struct fake f = {0};
    struct sm_sink_queue *q = queue_new(&f);
    sm_sink_queue_add(q, &small, 0);
    sm_sink_queue_step(q, SM_SEC);
    cr_assert_eq(f.writes, 1);
    cr_assert_eq(f.flushes, 0);
    cr_assert_eq(sm_sink_queue_due_ns(q), 2 * SM_SEC);
    sm_sink_queue_step(q, 2 * SM_SEC);
    cr_assert_eq(f.flushes, 1);
    cr_assert_eq(sm_sink_queue_due_ns(q), INT64_MAX);
    queue_free(q);
    cr_assert_eq(f.flushes, 1, "nothing new to flush");
}
