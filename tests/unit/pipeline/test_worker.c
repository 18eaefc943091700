#include "pipeline/wheel.h"
#include "tests/support/pipeline_rig.h"

#include <stdlib.h>

#define T0 RIG_START_NS

static struct rig r;

static struct rig_span span_of(uint64_t trace, uint64_t id)
{
    return (struct rig_span){.trace = trace, .id = id};
}

/* --- whole or not at all --- */

Test(worker, undecodable_payloads_are_refused_whole)
{
    rig_open(&r);
    struct rig_span spans[] = {span_of(1, 1), span_of(2, 2)};
    struct sm_buf b = {0};
    rig_request(&b, spans, 2);
    for (size_t cut = 1; cut < b.size; cut++) {
        struct sm_submit result = rig_submit_bytes(&r, b.data, cut, T0);
        cr_assert_neq(result.rc, SM_OK, "cut at %zu", cut);
        cr_assert(result.text[0] && result.accepted == 0 && result.rejected == 0);
    }
    cr_expect_eq(rig_stat(&r, SM_STAT_PAYLOADS_UNDECODABLE), b.size - 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_RECEIVED), 0);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_OPENED), 0);
    cr_expect_eq(rig_submit_bytes(&r, b.data, b.size, T0).accepted, 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_PAYLOADS), 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_PAYLOAD_BYTES), b.size);
    sm_buf_fini(&b);
    rig_close(&r);
}

Test(worker, refused_spans_leave_the_others_alone)
{
    rig_open(&r);
    struct rig_span spans[] = {span_of(1, 1), span_of(1, 0), span_of(0, 2), span_of(2, 2)};
    struct sm_submit result = rig_submit(&r, T0, spans, 4);
    cr_expect(result.rc == SM_OK && result.accepted == 2 && result.rejected == 2 && result.text[0]);
    cr_expect_eq(sm_pipeline_rejected(r.pipeline, SM_REJECT_SPAN_ID), 1);
    cr_expect_eq(sm_pipeline_rejected(r.pipeline, SM_REJECT_TRACE_ID), 1);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_RECEIVED), 4);
    rig_close(&r);
}

Test(worker, overload_refuses_before_decoding)
{
    r.memory_bytes = 100 * SM_MIB;
    rig_open(&r);
    struct rig_span span = span_of(1, 1);
    cr_expect_not(sm_worker_overloaded(r.worker));
    sm_budget_publish(&r.pipeline->budget, 0, 75 * SM_MIB);
    cr_expect_not(sm_worker_overloaded(r.worker), "at the mark");
    sm_budget_publish(&r.pipeline->budget, 0, 75 * SM_MIB + 1);
    cr_expect(sm_worker_overloaded(r.worker));
    struct sm_submit result = rig_submit(&r, T0, &span, 1);
    cr_expect(result.rc == SM_E_AGAIN && result.accepted == 0 && result.retry_after_ns > 0 && result.text[0]);
    result = rig_submit_bytes(&r, "rubbish", 7, T0);
    cr_expect_eq(result.rc, SM_E_AGAIN, "not even looked at");
    cr_expect_eq(rig_stat(&r, SM_STAT_PAYLOADS_OVERLOAD), 2);
    cr_expect_eq(rig_stat(&r, SM_STAT_PAYLOADS_UNDECODABLE), 0);
    sm_budget_publish(&r.pipeline->budget, 0, 0);
    cr_expect_eq(rig_submit(&r, T0, &span, 1).rc, SM_OK);
    rig_close(&r);
}

Test(worker, without_a_budget_nothing_is_overload)
{
    rig_open(&r);
    sm_budget_publish(&r.pipeline->budget, 0, UINT64_MAX / 2);
    cr_expect_not(sm_worker_overloaded(r.worker));
    rig_close(&r);
}

/* Two ids that live on different workers' shards. */
static void ids_of_both_workers(uint64_t ids[2])
{
    bool found[2] = {false, false};
    for (uint64_t id = 1; !found[0] || !found[1]; id++) {
        unsigned worker = sm_pipeline_shard_of(r.pipeline, (struct sm_trace_id){.lo = id}) % 2;
        ids[worker] = id;
        found[worker] = true;
    }
}

/* The ring to another worker is full: a payload with spans for both goes to neither. */
Test(worker, a_full_ring_refuses_the_payload_whole)
{
    r.threads = true;
    r.workers = r.shards = 2;
    rig_open(&r);
    uint64_t ids[2];
    ids_of_both_workers(ids);
    struct rig_span there = span_of(ids[1], 1), both[] = {span_of(ids[0], 2), span_of(ids[1], 3)};
    unsigned taken = 0;
    while (rig_submit(&r, T0, &there, 1).rc == SM_OK)
        cr_assert_lt(++taken, 100000);
    cr_expect_geq(taken, 1000);
    uint64_t received = rig_stat(&r, SM_STAT_SPANS_RECEIVED), opened = rig_stat(&r, SM_STAT_TRACES_OPENED);
    struct sm_submit result = rig_submit(&r, T0, both, 2);
    cr_expect(result.rc == SM_E_AGAIN && result.accepted == 0);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_RECEIVED), received);
    cr_expect_eq(rig_stat(&r, SM_STAT_TRACES_OPENED), opened, "its own part was not assembled either");
    struct rig_span here = span_of(ids[0], 4);
    cr_expect_eq(rig_submit(&r, T0, &here, 1).rc, SM_OK, "what needs only its own shard goes on");
    struct sm_worker *other = sm_pipeline_worker(r.pipeline, 1);
    while (sm_worker_turn(other, T0))
        ;
    cr_expect_eq(rig_submit(&r, T0, both, 2).accepted, 2);
    while (sm_worker_turn(other, T0))
        ;
    sm_worker_turn(r.worker, T0); /* flights come home */
    rig_close(&r);
    cr_expect_eq(r.seen_count, 0);
}

/* --- what is through --- */

static void submit_for(uint16_t source, const struct rig_span *spans, size_t n, int64_t now_ns)
{
    struct sm_buf b = {0};
    struct sm_submit result;
    rig_request(&b, spans, n);
    struct sm_payload *p = rig_payload(&r, b.data, b.size, now_ns);
    sm_worker_submit(r.worker, &sm_codec_otlp_proto, source, &p, &result);
    cr_assert(result.rc == SM_OK && result.accepted == n, "%s", result.text);
    sm_buf_fini(&b);
}

/* The other worker publishes marks of a later tick while the payload is still in the ring, takes it in, and lets go of it; whatever
 * the moment, the mark stays at the payload's epoch until its trace is decided. */
Test(worker, the_mark_waits_for_spans_on_their_way_to_another_worker)
{
    r.threads = true;
    r.workers = r.shards = 2;
    r.no_late = true;
    rig_open(&r);
    uint64_t ids[2];
    ids_of_both_workers(ids);
    struct sm_worker *other = sm_pipeline_worker(r.pipeline, 1);
    int64_t t0 = r.pipeline->base_ns, t = t0 + 5 * SM_TICK_NS;
    struct rig_span first = span_of(ids[1], 1);
    submit_for(7, &first, 1, t0);
    uint32_t epoch = sm_worker_epoch(r.worker);
    other->epoch = epoch + 5;
    sm_worker_tend(other); /* before it has seen the source at all */
    cr_expect_eq(sm_worker_low_epoch(r.worker, 7), epoch, "in the ring");
    sm_worker_turn(other, t);
    cr_expect_eq(sm_worker_low_epoch(r.worker, 7), epoch, "open");
    t += 7 * SM_SEC;
    while (sm_worker_turn(other, t) || sm_worker_turn(r.worker, t))
        ;
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_ROOT), 1);
    cr_expect_eq(sm_worker_low_epoch(r.worker, 7), epoch, "kept, but not yet written");
    sm_fanout_poll(r.fanout, t);
    sm_fanout_poll(r.fanout, t + SM_SEC);
    cr_expect_eq(r.seen_count, 1);
    sm_worker_tend(other);
    cr_expect_gt(sm_worker_low_epoch(r.worker, 7), epoch, "through");

    struct rig_span second = span_of(ids[1], 2); /* now the other one has published marks of this source */
    submit_for(7, &second, 1, t);
    epoch = sm_worker_epoch(r.worker);
    other->epoch = epoch + 5;
    sm_worker_tend(other);
    cr_expect_eq(sm_worker_low_epoch(r.worker, 7), epoch, "in the ring");
    sm_worker_catch_up(other); /* taken in, not published since */
    cr_expect_eq(sm_worker_low_epoch(r.worker, 7), epoch, "open");
    cr_expect_eq(sm_epochs_oldest(r.worker->away, 7), SM_EPOCH_NONE, "no longer on its way");
    rig_close(&r);
}

/* --- turns --- */

/* Closing thousands of windows of one tick is cut into slices, so that sockets are served between them. */
Test(worker, a_tick_is_fired_in_slices)
{
    r.threads = true;
    r.rules = (struct sm_rules_config){.rules = &(struct sm_rule_spec){.name = "none", .action = SM_RULE_DROP}, .count = 1};
    rig_open(&r);
    enum { TRACES = 3000 };
    int64_t start_ns = r.pipeline->base_ns; /* with threads time starts when the pipeline is made */
    for (uint64_t i = 1; i <= TRACES; i++) {
        struct rig_span span = span_of(i, i);
        rig_submit(&r, start_ns, &span, 1);
    }
    sm_worker_turn(r.worker, start_ns);
    int64_t now_ns = start_ns + 6 * SM_SEC + 2 * SM_TICK_NS;
    unsigned turns = 0;
    uint64_t most = 0;
    for (uint64_t closed = 0; closed < TRACES; turns++) {
        cr_assert_lt(turns, 10000);
        sm_worker_turn(r.worker, now_ns);
        uint64_t now_closed = rig_stat(&r, SM_STAT_CLOSED_ROOT);
        most = SM_MAX(most, now_closed - closed);
        closed = now_closed;
    }
    cr_expect_leq(most, 300, "%lu windows in one turn", (unsigned long)most);
    rig_close(&r);
}

/* --- recorded time --- */

static struct sm_recorded_clock recorded;

static void replay(int64_t start_ns, uint64_t trace)
{
    struct rig_span span = {.trace = trace, .id = 1, .start_ns = start_ns};
    struct sm_buf b = {0};
    struct sm_submit result;
    rig_request(&b, &span, 1);
    struct sm_payload *p = rig_payload(&r, b.data, b.size, 0);
    sm_worker_replay(r.worker, &sm_codec_otlp_proto, 1, &p, &recorded, &result);
    cr_assert(result.rc == SM_OK && result.accepted == 1, "%s", result.text);
    sm_buf_fini(&b);
}

Test(worker, the_recorded_clock_follows_span_ends_and_never_goes_back)
{
    rig_open(&r);
    replay(T0, 1);
    cr_expect_eq(recorded.now_ns, T0 + SM_MS, "a span ends after a millisecond");
    replay(T0 + 5 * SM_SEC, 2);
    cr_expect_eq(recorded.now_ns, T0 + 5 * SM_SEC + SM_MS);
    replay(T0 + 2 * SM_SEC, 3);
    cr_expect_eq(recorded.now_ns, T0 + 5 * SM_SEC + SM_MS);
    cr_expect_eq(r.seen_count, 0);
    replay(T0 + 8 * SM_SEC, 4);
    cr_expect_eq(r.seen_count, 1, "the first window closed on the way");
    rig_close(&r);
}

Test(worker, a_single_jump_ahead_is_not_believed)
{
    rig_open(&r);
    replay(T0, 1);
    replay(T0 + 3600 * SM_SEC, 2);
    cr_expect_eq(recorded.now_ns, T0 + SM_MS, "one broken clock");
    cr_expect_eq(r.seen_count, 0);
    replay(T0 + SM_SEC, 3);
    cr_expect_eq(recorded.now_ns, T0 + SM_SEC + SM_MS);
    replay(T0 + 7200 * SM_SEC, 4);
    cr_expect_eq(recorded.now_ns, T0 + SM_SEC + SM_MS, "two that do not agree");
    replay(T0 + 7201 * SM_SEC, 5);
    cr_expect_eq(recorded.now_ns, T0 + 7201 * SM_SEC + SM_MS, "two that do: a gap in the recording");
    rig_close(&r);
    cr_expect_eq(r.seen_count, 5);
}
