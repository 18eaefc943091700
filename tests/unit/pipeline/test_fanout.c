#include "base/log.h"
#include "pipeline/fanout.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>

enum { SEEN_MAX = 4096 };

/* A sink that answers as told, or never. */
struct fake {
    enum sm_sink_result answer;
    uint64_t rejected_spans;
    bool stuck;
    bool open_fails;
    bool closed;
    struct sm_sink_batch *held[8];
    unsigned held_count;
    uint64_t seen[SEEN_MAX]; /* trace ids in the order in which they were delivered */
    unsigned seen_count;
};

static enum sm_rc fake_open(void *sink, const struct sm_sink_env *env SM_UNUSED, struct sm_err *err)
{
    struct fake *f = sink;
    return f->open_fails ? sm_err_set(err, SM_E_IO, "no such place") : SM_OK;
}

static void fake_write(void *sink, struct sm_sink_batch *batch)
{
    struct fake *f = sink;
    if (f->stuck) {
        f->held[f->held_count++] = batch;
        return;
    }
    for (uint32_t i = 0; f->answer == SM_SINK_OK && i < batch->count && f->seen_count < SEEN_MAX; i++)
        f->seen[f->seen_count++] = batch->traces[i]->id.lo;
    sm_sink_done(batch, f->answer, f->rejected_spans, 0, NULL);
}

static void fake_cancel(void *sink)
{
    struct fake *f = sink;
    while (f->held_count)
        sm_sink_done(f->held[--f->held_count], SM_SINK_AGAIN, 0, 0, "cancelled");
}

static void fake_close(void *sink)
{
    struct fake *f = sink;
    cr_assert_not(f->closed);
    f->closed = true;
}

static const struct sm_sink_ops fake_ops = {
    .type = "fake",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 20,
    .batch_linger_ns = 100 * SM_MS,
    .in_flight_max = 2,
    .open = fake_open,
    .write = fake_write,
    .cancel = fake_cancel,
    .close = fake_close,
};

struct rig {
    struct fake fakes[4];
    struct sm_fanout_sink sinks[4];
    struct sm_fanout_config config;
    struct sm_fanout *fanout;
    unsigned came_home;
    uint64_t kept_spans;
};

static void be_quiet(void)
{
    sm_log_setup(&(struct sm_log_config){.fd = open("/dev/null", O_WRONLY)});
}

TestSuite(fanout, .init = be_quiet);

static void rig_init(struct rig *r, unsigned sinks, unsigned shards)
{
    static const char *names[] = {"a", "b", "c", "d"};
    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < sinks; i++)
        r->sinks[i] = (struct sm_fanout_sink){.name = names[i], .ops = &fake_ops, .sink = &r->fakes[i]};
    r->config = (struct sm_fanout_config){.sinks = r->sinks,
                                          .sink_count = sinks,
                                          .shards = shards,
                                          .placement = SM_FANOUT_INLINE,
                                          .queue_bytes_max = sinks * 100000,
                                          .seed = 1};
}

static void rig_start(struct rig *r)
{
    struct sm_err err;
    r->fanout = sm_fanout_new(&r->config, &err);
    cr_assert_not_null(r->fanout, "%s", err.text);
}

static struct sm_trace *trace_new(unsigned shard, uint64_t id, uint32_t spans)
{
    struct sm_trace *t = calloc(1, sizeof *t);
    t->id.lo = id;
    t->shard = (uint16_t)shard;
    t->span_count = spans;
    t->bytes = spans * 400;
    t->memory = spans * 500;
    t->deadline_ns = (int64_t)id;
    return t;
}

static bool offer(struct rig *r, unsigned shard, uint64_t id, uint32_t spans)
{
    struct sm_trace *t = trace_new(shard, id, spans);
    r->kept_spans += spans;
    bool taken = sm_fanout_offer(r->fanout, shard, t);
    if (!taken)
        free(t);
    return taken;
}

/* Of a source that acknowledges. */
static bool offer_acknowledged(struct rig *r, uint64_t id, uint32_t spans)
{
    struct sm_trace *t = trace_new(0, id, spans);
    r->kept_spans += spans;
    t->source = 7;
    return sm_fanout_offer(r->fanout, 0, t);
}

static void collect(struct rig *r)
{
    for (unsigned shard = 0; shard < r->config.shards; shard++) {
        struct sm_trace *t = sm_fanout_collect(r->fanout, shard);
        while (t) {
            struct sm_trace *next = t->next;
            cr_assert_eq(t->shard, shard);
            cr_assert_eq(atomic_load(&t->refs), 0);
            r->came_home++;
            free(t);
            t = next;
        }
    }
}

static uint64_t stat(const struct rig *r, unsigned sink, enum sm_fanout_stat which)
{
    return sm_fanout_stat(r->fanout, sink, which);
}

static void check_balance(const struct rig *r)
{
    for (unsigned i = 0; i < r->config.sink_count; i++) {
        uint64_t sum = stat(r, i, SM_FANOUT_DELIVERED) + stat(r, i, SM_FANOUT_FILTERED) +
                       stat(r, i, SM_FANOUT_REJECTED) + stat(r, i, SM_FANOUT_DROPPED_QUEUE_FULL) +
                       stat(r, i, SM_FANOUT_DROPPED_RETRIES) + stat(r, i, SM_FANOUT_DROPPED_SHUTDOWN) +
                       stat(r, i, SM_FANOUT_QUEUED);
        cr_assert_eq(stat(r, i, SM_FANOUT_KEPT), r->kept_spans);
        cr_assert_eq(sum, r->kept_spans, "sink %u: %lu of %lu", i, sum, r->kept_spans);
    }
}

static void rig_fini(struct rig *r)
{
    sm_fanout_stop(r->fanout, 0);
    collect(r);
    check_balance(r);
    for (unsigned i = 0; i < r->config.sink_count; i++) {
        cr_assert_eq(stat(r, i, SM_FANOUT_QUEUED), 0);
        cr_assert_eq(stat(r, i, SM_FANOUT_QUEUE_BYTES), 0);
        cr_assert(r->fakes[i].closed);
    }
    sm_fanout_free(r->fanout);
}

Test(fanout, every_sink_gets_the_trace_and_it_comes_home_once)
{
    struct rig r;
    rig_init(&r, 3, 2);
    rig_start(&r);
    cr_assert(offer(&r, 0, 1, 5));
    cr_assert(offer(&r, 1, 2, 7));
    sm_fanout_poll(r.fanout, 0);
    collect(&r);
    cr_assert_eq(r.came_home, 0, "still lingering");
    check_balance(&r);
    cr_assert_eq(stat(&r, 2, SM_FANOUT_QUEUED), 12);
    sm_fanout_poll(r.fanout, 100 * SM_MS);
    collect(&r);
    cr_assert_eq(r.came_home, 2);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(r.fakes[i].seen_count, 2);
        cr_assert_eq(stat(&r, i, SM_FANOUT_DELIVERED), 12);
        cr_assert_str_eq(sm_fanout_sink_name(r.fanout, i), r.sinks[i].name);
    }
    cr_assert(sm_fanout_idle(r.fanout));
    rig_fini(&r);
}

Test(fanout, acknowledged_traces_go_beyond_the_share_of_a_required_sink)
{
    struct rig r;
    rig_init(&r, 2, 1);
    r.sinks[0].required = true;
    r.fakes[0].stuck = r.fakes[1].stuck = true;
    rig_start(&r);
    cr_expect_not(sm_fanout_behind(r.fanout));
    for (uint64_t id = 1; id <= 30; id++) /* 10 kB each; the share of each sink is 100 kB */
        cr_assert(offer_acknowledged(&r, id, 20));
    cr_expect(sm_fanout_behind(r.fanout));
    cr_expect_eq(stat(&r, 0, SM_FANOUT_DROPPED_QUEUE_FULL), 0);
    cr_expect_eq(stat(&r, 1, SM_FANOUT_DROPPED_QUEUE_FULL), 20 * 20, "of the other sink only");
    cr_expect_not(offer(&r, 0, 31, 20), "live traffic has no right to that");
    check_balance(&r);
    rig_fini(&r);
}

Test(fanout, acknowledged_traces_wait_for_room_in_a_ring)
{
    struct rig r;
    rig_init(&r, 1, 1);
    r.config.ring_capacity = 4;
    r.sinks[0].required = true;
    rig_start(&r);
    for (uint64_t id = 1; id <= 10; id++)
        cr_assert(offer_acknowledged(&r, id, 1));
    cr_expect(sm_fanout_waiting(r.fanout, 0));
    cr_expect(sm_fanout_behind(r.fanout));
    for (int64_t now = 1; sm_fanout_waiting(r.fanout, 0); now++) {
        cr_assert_leq(now, 10);
        sm_fanout_poll(r.fanout, now * SM_SEC);
        sm_fanout_tick(r.fanout, 0);
    }
    sm_fanout_poll(r.fanout, 20 * SM_SEC);
    sm_fanout_poll(r.fanout, 21 * SM_SEC);
    cr_assert_eq(r.fakes[0].seen_count, 10);
    for (unsigned i = 0; i < 10; i++)
        cr_expect_eq(r.fakes[0].seen[i], i + 1, "in order");
    cr_expect_not(sm_fanout_behind(r.fanout));
    collect(&r);
    rig_fini(&r);
}

Test(fanout, what_still_waits_at_the_end_is_counted)
{
    struct rig r;
    rig_init(&r, 1, 1);
    r.config.ring_capacity = 4;
    r.sinks[0].required = true;
    rig_start(&r);
    for (uint64_t id = 1; id <= 10; id++)
        cr_assert(offer_acknowledged(&r, id, 1));
    sm_fanout_stop(r.fanout, 0);
    collect(&r);
    cr_expect_eq(r.came_home, 10);
    cr_expect_eq(stat(&r, 0, SM_FANOUT_DROPPED_SHUTDOWN), 6);
    rig_fini(&r);
}

Test(fanout, without_a_taker_the_trace_stays_with_the_caller)
{
    struct rig r;
    rig_init(&r, 0, 1);
    rig_start(&r);
    cr_assert_not(offer(&r, 0, 1, 5));
    rig_fini(&r);
}

static bool wants_odd(const void *ctx SM_UNUSED, const struct sm_trace *trace)
{
    return trace->id.lo & 1;
}

Test(fanout, a_sink_that_does_not_want_a_trace_counts_it_as_filtered)
{
    struct rig r;
    rig_init(&r, 1, 1);
    r.sinks[0].wants = wants_odd;
    rig_start(&r);
    cr_assert(offer(&r, 0, 1, 5));
    cr_assert_not(offer(&r, 0, 2, 3));
    cr_assert_eq(stat(&r, 0, SM_FANOUT_FILTERED), 3);
    check_balance(&r);
    sm_fanout_poll(r.fanout, SM_SEC);
    rig_fini(&r);
    cr_assert_eq(r.came_home, 1);
}

Test(fanout, a_stuck_sink_fills_its_share_and_never_stops_another)
{
    struct rig r;
    rig_init(&r, 2, 1);
    r.fakes[0].stuck = true;
    rig_start(&r);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert(offer(&r, 0, i, 10)); /* 5,000 bytes: 20 fit in a share of 100,000 */
        sm_fanout_poll(r.fanout, i * SM_SEC);
    }
    sm_fanout_poll(r.fanout, 101 * SM_SEC);
    check_balance(&r);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_QUEUE_BYTES), 100000);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DROPPED_QUEUE_FULL), 800);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_IN_FLIGHT), 2);
    cr_assert_eq(stat(&r, 1, SM_FANOUT_DELIVERED), 1000);
    collect(&r);
    cr_assert_eq(r.came_home, 80, "what only the other sink had is free again");
    rig_fini(&r);
    cr_assert_eq(r.came_home, 100);
}

Test(fanout, a_trace_larger_than_the_share_passes_when_nothing_else_is_queued)
{
    struct rig r;
    rig_init(&r, 1, 1);
    rig_start(&r);
    cr_assert(offer(&r, 0, 1, 1000));
    cr_assert_not(offer(&r, 0, 2, 1));
    sm_fanout_poll(r.fanout, 0);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DELIVERED), 1000);
    cr_assert(offer(&r, 0, 3, 1));
    rig_fini(&r);
}

Test(fanout, a_full_ring_drops_the_newest)
{
    struct rig r;
    rig_init(&r, 1, 2);
    r.config.ring_capacity = 4;
    rig_start(&r);
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(offer(&r, 0, i, 1), i < 4);
    cr_assert(offer(&r, 1, 9, 1), "each shard has its own ring");
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DROPPED_QUEUE_FULL), 2);
    rig_fini(&r);
}

Test(fanout, failing_and_rejecting_sinks_balance)
{
    struct rig r;
    rig_init(&r, 3, 1);
    r.fakes[0].answer = SM_SINK_AGAIN;
    r.fakes[1].answer = SM_SINK_REJECT;
    r.fakes[2].rejected_spans = 1;
    rig_start(&r);
    for (unsigned i = 0; i < 10; i++)
        cr_assert(offer(&r, 0, i, 10));
    for (int64_t now = 0; now < 700 * SM_SEC; now += SM_SEC) {
        sm_fanout_poll(r.fanout, now);
        check_balance(&r);
    }
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DROPPED_RETRIES), 80, "twice two batches had their 300 seconds");
    cr_assert_gt(stat(&r, 0, SM_FANOUT_RETRIES), 10);
    r.fakes[0].answer = SM_SINK_OK;
    for (int64_t now = 700 * SM_SEC; now < 800 * SM_SEC; now += SM_SEC)
        sm_fanout_poll(r.fanout, now);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DELIVERED) + stat(&r, 0, SM_FANOUT_DROPPED_RETRIES), 100);
    cr_assert_eq(stat(&r, 1, SM_FANOUT_REJECTED), 100);
    cr_assert_eq(stat(&r, 2, SM_FANOUT_DELIVERED), 95);
    cr_assert_eq(stat(&r, 2, SM_FANOUT_REJECTED), 5);
    rig_fini(&r);
}

Test(fanout, stopping_counts_what_is_left_as_lost)
{
    struct rig r;
    rig_init(&r, 2, 1);
    r.fakes[0].stuck = true;
    r.fakes[1].answer = SM_SINK_AGAIN;
    rig_start(&r);
    for (unsigned i = 0; i < 10; i++)
        cr_assert(offer(&r, 0, i, 10));
    sm_fanout_poll(r.fanout, 0);
    cr_assert(offer(&r, 0, 11, 10)); /* this one stays in the ring */
    rig_fini(&r);
    cr_assert_eq(r.came_home, 11);
}

Test(fanout, stopping_writes_what_still_lingers)
{
    struct rig r;
    rig_init(&r, 2, 1);
    r.fakes[1].stuck = true;
    rig_start(&r);
    for (unsigned i = 0; i < 10; i++)
        cr_assert(offer(&r, 0, i, 10));
    sm_fanout_stop(r.fanout, 0);
    cr_assert_eq(stat(&r, 0, SM_FANOUT_DELIVERED), 100);
    cr_assert_eq(stat(&r, 1, SM_FANOUT_DROPPED_SHUTDOWN), 100);
    rig_fini(&r);
}

Test(fanout, a_sink_that_does_not_open_is_named_and_all_are_closed)
{
    struct rig r;
    rig_init(&r, 3, 1);
    r.fakes[1].open_fails = true;
    struct sm_err err = {.rc = SM_OK};
    cr_assert_null(sm_fanout_new(&r.config, &err));
    cr_assert_eq(err.rc, SM_E_IO);
    cr_assert_str_eq(err.text, "sink b: no such place");
    for (unsigned i = 0; i < 3; i++)
        cr_assert(r.fakes[i].closed);
}

/* Runs the same 300 traces through `shards` shards, 30 a tick, offered in a shuffled order. */
static void run_ordered(struct rig *r, unsigned shards)
{
    rig_init(r, 1, shards);
    r->config.ordered = true;
    r->config.ring_capacity = 8;
    r->config.queue_bytes_max = 1;
    r->sinks[0].batch_bytes_max = 2000;
    rig_start(r);
    for (unsigned tick = 0; tick < 10; tick++) {
        for (unsigned i = 0; i < 30; i++) {
            uint64_t id = 1000 + tick * 30 + (i * 7 + shards) % 30;
            struct sm_trace *t = trace_new((unsigned)(id % shards), id, 3);
            t->deadline_ns = tick * 100 + (int64_t)id % 5; /* many ties */
            r->kept_spans += 3;
            cr_assert(sm_fanout_offer(r->fanout, t->shard, t));
        }
        while (!sm_fanout_release(r->fanout))
            sm_fanout_poll(r->fanout, tick);
        sm_fanout_poll(r->fanout, tick);
        collect(r);
    }
    sm_fanout_drain(r->fanout);
    sm_fanout_poll(r->fanout, 10);
    cr_assert(sm_fanout_idle(r->fanout));
    cr_assert_eq(stat(r, 0, SM_FANOUT_DELIVERED), 900, "nothing is dropped for want of room");
    rig_fini(r);
}

Test(fanout, ordered_output_does_not_depend_on_the_number_of_shards)
{
    static struct rig one, other;
    run_ordered(&one, 1);
    cr_assert_eq(one.fakes[0].seen_count, 300);
    for (unsigned shards = 2; shards <= 4; shards++) {
        run_ordered(&other, shards);
        cr_assert_eq(other.fakes[0].seen_count, 300);
        cr_assert_arr_eq(one.fakes[0].seen, other.fakes[0].seen, 300 * sizeof(uint64_t));
    }
}

Test(fanout, ordered_traces_that_were_never_released_are_lost_on_stop)
{
    struct rig r;
    rig_init(&r, 2, 2);
    r.config.ordered = true;
    r.config.ring_capacity = 2;
    rig_start(&r);
    for (unsigned i = 0; i < 4; i++)
        cr_assert(offer(&r, i % 2, i, 2));
    cr_assert_not(sm_fanout_release(r.fanout), "two traces fit");
    cr_assert(offer(&r, 0, 9, 2));
    rig_fini(&r);
    cr_assert_eq(r.came_home, 5);
}
