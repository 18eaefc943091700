#include "base/net/loop.h"
#include "tests/support/pipeline_rig.h"

#include <stdlib.h>

#define T0 RIG_START_NS

static struct rig r;

/* --- analyzers --- */

struct tally {
    unsigned kept, dropped, late, spans, ships, merges, shards;
};

static struct tally global;

static void *tally_shard_new(void *g SM_UNUSED, unsigned shard SM_UNUSED)
{
    global.shards++;
    return sm_xcalloc(1, sizeof(struct tally));
}

static void tally_observe(void *shard, const struct sm_view *view, const struct sm_view_scratch *scratch SM_UNUSED)
{
    struct tally *t = shard;
    cr_assert(view->trace->verdict == SM_VERDICT_KEPT || view->trace->verdict == SM_VERDICT_DROPPED);
    t->kept += view->trace->verdict == SM_VERDICT_KEPT;
    t->dropped += view->trace->verdict == SM_VERDICT_DROPPED;
    t->late += view->trace->late;
    t->spans += view->count - view->context;
}

static void tally_ship(void *shard)
{
    ((struct tally *)shard)->ships++;
}

static void tally_merge(void *g, void *shard)
{
    struct tally *to = g, *from = shard;
    to->kept += from->kept;
    to->dropped += from->dropped;
    to->late += from->late;
    to->spans += from->spans;
    to->ships += from->ships;
    to->merges++;
    *from = (struct tally){0};
}

static const struct sm_analyzer_ops tally_ops = {
    .name = "tally", .shard_new = tally_shard_new, .shard_free = free, .observe = tally_observe, .ship = tally_ship, .merge = tally_merge};
static const struct sm_analyzer tally = {&tally_ops, &global};

static const struct sm_rule_spec keep_errors[] = {{.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
                                                  {.name = "rest", .action = SM_RULE_DROP}};

Test(pipeline, every_trace_is_observed_once_with_its_verdict)
{
    r = (struct rig){.shards = 4, .rules = {.rules = keep_errors, .count = 2}, .analyzers = &tally, .analyzer_count = 1};
    rig_open(&r);
    cr_expect_eq(global.shards, 4);
    for (uint64_t i = 1; i <= 30; i++) {
        struct rig_span spans[] = {{.trace = i, .id = 1, .error = i > 20}, {.trace = i, .id = 2, .parent = 1}, {.trace = i, .id = 2, .parent = 1}};
        rig_submit(&r, T0, spans, 3);
    }
    rig_advance(&r, T0 + 7 * SM_SEC);
    rig_span(&r, T0 + 7 * SM_SEC, (struct rig_span){.trace = 25, .id = 3, .parent = 1});
    rig_span(&r, T0 + 7 * SM_SEC, (struct rig_span){.trace = 5, .id = 3, .parent = 1});
    rig_advance(&r, T0 + 20 * SM_SEC);
    sm_pipeline_tend(r.pipeline);
    cr_expect(global.merges >= 4 && global.merges % 4 == 0, "every shard's");
    cr_expect_eq(global.kept, 11, "ten traces and a late part");
    cr_expect_eq(global.dropped, 21);
    cr_expect_eq(global.late, 2);
    cr_expect_eq(global.spans, 62, "duplicates are not seen");
    cr_expect_geq(global.ships, 4);
    rig_close(&r);
}

/* --- time --- */

Test(pipeline, a_gap_in_a_recording_costs_nothing)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    int64_t years_later = T0 + 20 * 365 * 86400 * SM_SEC;
    rig_advance(&r, years_later); /* six billion ticks, but for the gap */
    cr_expect_eq(r.seen_count, 1);
    rig_span(&r, years_later, (struct rig_span){.trace = 2, .id = 1});
    rig_advance(&r, years_later + 5 * SM_SEC);
    cr_expect_eq(r.seen_count, 1);
    rig_advance(&r, years_later + 7 * SM_SEC);
    cr_expect_eq(r.seen_count, 2);
    rig_close(&r);
}

static bool same(const struct rig_seen *a, const struct rig_seen *b)
{
    return a->id.hi == b->id.hi && a->id.lo == b->id.lo && a->spans == b->spans && a->trigger == b->trigger && a->late == b->late &&
           a->threshold == b->threshold && a->closed_ns == b->closed_ns;
}

/* What sinks get depends neither on the number of shards nor on their order. */
Test(pipeline, replay_is_the_same_for_any_number_of_shards)
{
    static struct rig one, many;
    static const unsigned shards[] = {2, 4, 8};
    one = (struct rig){.shards = 1};
    rig_open(&one);
    for (unsigned k = 0; k <= SM_ARRAY_LEN(shards); k++) {
        struct rig *to = k ? &many : &one;
        if (k) {
            many = (struct rig){.shards = shards[k - 1]};
            rig_open(&many);
        }
        for (uint64_t i = 0; i < 200; i++) {
            int64_t now_ns = T0 + (int64_t)i * 50 * SM_MS;
            rig_advance(to, now_ns);
            rig_span(to, now_ns, (struct rig_span){.trace = 1 + i * 7919 % 61, .id = i + 1, .parent = i % 3});
        }
        rig_close(to);
        cr_assert_eq(to->seen_count, one.seen_count);
        for (unsigned i = 0; i < one.seen_count; i++)
            cr_assert(same(&to->seen[i], &one.seen[i]), "%u shards, place %u", to->shards, i);
    }
}

/* --- threads --- */

struct job {
    struct sm_worker *worker;
    uint64_t first;
    unsigned accepted;
    _Atomic bool done;
};

enum { PAYLOADS = 300, SPANS = 20 };

/* On the worker's thread: as a receiver would. */
static void submit_many(void *arg)
{
    struct job *job = arg;
    struct sm_buf b = {0};
    for (uint64_t i = 0; i < PAYLOADS; i++) {
        struct rig_span spans[SPANS];
        struct sm_submit result;
        for (uint64_t k = 0; k < SPANS; k++)
            spans[k] = (struct rig_span){.trace = 1 + (i * SPANS + k) % 500, .id = job->first + i * SPANS + k + 1};
        sm_buf_clear(&b);
        rig_request(&b, spans, SPANS);
        struct sm_payload *p = sm_payload_new(sm_worker_payloads(job->worker), b.size);
        memcpy(p->data, b.data, b.size);
        p->size = b.size;
        p->arrived_ns = sm_loop_wall_ns(sm_worker_loop(job->worker));
        sm_worker_submit(job->worker, &sm_codec_otlp_proto, SM_SOURCE_LIVE, &p, &result);
        job->accepted += result.accepted;
    }
    sm_buf_fini(&b);
    atomic_store(&job->done, true);
}

static void count_open(void *ctx, const struct sm_trace *t)
{
    *(unsigned *)ctx += t->span_count;
}

Test(pipeline, threads_drain_with_a_decision_for_everything)
{
    struct sm_err err;
    r = (struct rig){.threads = true, .workers = 2, .shards = 4, .rules = {.rules = keep_errors, .count = 2}};
    rig_open(&r);
    struct job jobs[2] = {{.worker = sm_pipeline_worker(r.pipeline, 0)}, {.worker = sm_pipeline_worker(r.pipeline, 1), .first = 1000000}};
    cr_assert_eq(sm_pipeline_start(r.pipeline, &err), SM_OK);
    for (unsigned i = 0; i < 2; i++)
        sm_loop_post(sm_worker_loop(jobs[i].worker), submit_many, &jobs[i]);
    unsigned open = 0;
    do { /* ends because the jobs end; visits run between them and what they sent to each other */
        open = 0;
        sm_pipeline_visit_open(r.pipeline, NULL, count_open, &open);
    } while (!atomic_load(&jobs[0].done) || !atomic_load(&jobs[1].done) || open < 2 * PAYLOADS * SPANS);
    cr_expect_eq(open, 2 * PAYLOADS * SPANS);
    cr_expect_eq(jobs[0].accepted + jobs[1].accepted, open);
    cr_expect(sm_pipeline_drain(r.pipeline, 20 * SM_SEC));
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_SHUTDOWN), 500);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_SAMPLED_OUT), open);
    cr_expect_eq(rig_stat(&r, SM_STAT_SPANS_DROPPED_SHUTDOWN), 0);
    rig_close(&r);
}
