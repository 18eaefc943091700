/* A whole pipeline on a virtual clock for unit tests: one worker, real rules, one sink that notes what it is given.
 *
 *   struct rig r = {.rules = ..., .windows = ...};   // zeros mean the defaults
 *   rig_open(&r);
 *   rig_span(&r, now_ns, (struct rig_span){.trace = 1, .id = 1});   // submits one span in a payload of its own
 *   rig_advance(&r, now_ns);
 *   rig_close(&r);                                   // checks that every span is accounted for
 */
#ifndef SM_TEST_PIPELINE_RIG_H
#define SM_TEST_PIPELINE_RIG_H

#include "base/buf.h"
#include "base/pb.h"
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "pipeline/wheel.h"
#include "pipeline/worker_internal.h"

#include <criterion/criterion.h>

#define RIG_START_NS (INT64_C(1700000000) * SM_SEC)
enum { RIG_SEEN_MAX = 512 };

/* A trace as the sink saw it. */
struct rig_seen {
    struct sm_trace_id id;
    uint32_t spans;
    uint8_t trigger;
    bool late;
    uint64_t threshold;
    int64_t closed_ns;
};

struct rig {
    struct sm_rules_config rules;
    struct sm_windows windows;
    bool threads;                /* a worker with a loop, which the test polls */
    unsigned workers, shards;    /* 0: one */
    uint64_t memory_bytes;
    const struct sm_analyzer *analyzers;
    unsigned analyzer_count;
    bool no_late; /* nothing is remembered of traces that are gone */
    bool show_kept;
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_rules *compiled;
    struct sm_fanout *fanout;
    struct sm_pipeline *pipeline;
    struct sm_worker *worker;
    struct rig_seen seen[RIG_SEEN_MAX];
    unsigned seen_count;
    bool sink_stuck;
    struct sm_sink_batch *held[64];
    unsigned held_count;
};

static inline enum sm_rc rig_sink_open(void *sink SM_UNUSED, const struct sm_sink_env *env SM_UNUSED, struct sm_err *err SM_UNUSED)
{
    return SM_OK;
}

static inline void rig_sink_take(struct rig *r, struct sm_sink_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sm_trace *t = batch->traces[i];
        cr_assert_lt(r->seen_count, RIG_SEEN_MAX);
        r->seen[r->seen_count++] =
            (struct rig_seen){t->id, t->span_count, t->trigger, t->late, t->threshold, t->deadline_ns};
    }
    sm_sink_done(batch, SM_SINK_OK, 0, 0, NULL);
}

static inline void rig_sink_write(void *sink, struct sm_sink_batch *batch)
{
    struct rig *r = sink;
    if (r->sink_stuck)
        r->held[r->held_count++] = batch;
    else
        rig_sink_take(r, batch);
}

static inline void rig_sink_cancel(void *sink)
{
    struct rig *r = sink;
    while (r->held_count)
        sm_sink_done(r->held[--r->held_count], SM_SINK_AGAIN, 0, 0, "cancelled");
}

static inline void rig_sink_close(void *sink SM_UNUSED)
{
}

static const struct sm_sink_ops rig_sink_ops = {
    .type = "rig",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 1, /* every trace by itself, at once */
    .batch_linger_ns = SM_MS,
    .in_flight_max = 4,
    .open = rig_sink_open,
    .write = rig_sink_write,
    .cancel = rig_sink_cancel,
    .close = rig_sink_close,
};

static inline void rig_open(struct rig *r)
{
    struct sm_err err = {0};
    struct sm_rules_error error;
    r->shards = r->shards ? r->shards : 1;
    r->workers = r->workers ? r->workers : 1;
    if (!r->windows.idle_ns)
        r->windows = sm_windows_default;
    r->names = sm_names_new(100000, 1 << 24);
    r->scopes = sm_scopes_new(r->names, 1000, 1 << 24);
    r->wanted = sm_wanted_new(1);
    cr_assert_eq(sm_rules_new(&r->rules, r->wanted, &r->compiled, &error), SM_OK, "%s", error.text);
    struct sm_fanout_sink sink = {.name = "rig", .ops = &rig_sink_ops, .sink = r};
    struct sm_fanout_config fanout = {.sinks = &sink,
                                      .sink_count = 1,
                                      .shards = r->shards,
                                      .placement = SM_FANOUT_INLINE,
                                      .ordered = !r->threads,
                                      .queue_bytes_max = 1 << 26,
                                      .seed = 1,
                                      .names = r->names,
                                      .scopes = r->scopes};
    r->fanout = sm_fanout_new(&fanout, &err);
    cr_assert_not_null(r->fanout, "%s", err.text);
    struct sm_pipeline_config config = {
        .placement = r->threads ? SM_PLACEMENT_THREADS : SM_PLACEMENT_INLINE,
        .workers = r->workers,
        .shards = r->shards,
        .windows = r->windows,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = r->no_late ? 0 : 10000,
        .dropped_decisions_max = r->no_late ? 0 : 10000,
        .skeleton_bytes_max = r->no_late ? 0 : SM_MIB,
        .late_grace_ns = r->no_late ? 0 : 60 * SM_SEC,
        .memory_bytes = r->memory_bytes,
        .memory_soft = 0.75,
        .memory_hard = 0.9,
        .start_ns = RIG_START_NS,
        .show_kept = r->show_kept,
        .names = r->names,
        .scopes = r->scopes,
        .wanted = r->wanted,
        .policy = sm_rules_policy(r->compiled),
        .analyzers = r->analyzers,
        .analyzer_count = r->analyzer_count,
        .fanout = r->fanout,
    };
    r->pipeline = sm_pipeline_new(&config, &err);
    cr_assert_not_null(r->pipeline, "%s", err.text);
    r->worker = sm_pipeline_worker(r->pipeline, 0);
}

static inline uint64_t rig_stat(const struct rig *r, enum sm_stat stat)
{
    return sm_pipeline_stat(r->pipeline, stat);
}

static inline uint64_t rig_rejected(const struct rig *r)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++)
        sum += sm_pipeline_rejected(r->pipeline, (enum sm_reject)i);
    return sum;
}

/* received = rejected + duplicate + sampled_out + dropped + open + kept, where `open` was counted by the caller. */
static inline void rig_check_balance(const struct rig *r, uint64_t open)
{
    uint64_t out = rig_rejected(r) + rig_stat(r, SM_STAT_SPANS_DUPLICATE) + rig_stat(r, SM_STAT_SPANS_SAMPLED_OUT) +
                   rig_stat(r, SM_STAT_SPANS_DROPPED_SHUTDOWN) + rig_stat(r, SM_STAT_SPANS_DROPPED_NOMEM) + open +
                   rig_stat(r, SM_STAT_SPANS_KEPT);
    cr_assert_eq(rig_stat(r, SM_STAT_SPANS_RECEIVED), out);
}

static inline void rig_close(struct rig *r)
{
    if (r->threads)
        sm_pipeline_stop(r->pipeline);
    else
        sm_pipeline_close_all(r->pipeline);
    sm_fanout_stop(r->fanout, 0);
    rig_check_balance(r, 0);
    sm_pipeline_free(r->pipeline);
    sm_fanout_free(r->fanout);
    sm_rules_free(r->compiled);
    sm_wanted_free(r->wanted);
    sm_scopes_free(r->scopes);
    sm_names_free(r->names);
}

/* Spans as OTLP protobuf. trace_hi 0: a 64-bit id. */
struct rig_span {
    uint64_t trace, trace_hi, id, parent;
    bool error;
    uint32_t padding; /* bytes of an attribute */
    int64_t start_ns; /* 0: RIG_START_NS */
};

static inline void rig_field(struct sm_buf *b, uint32_t field, const void *bytes, size_t n)
{
    cr_assert(sm_buf_reserve(b, sm_pb_bytes_size(field, n)));
    b->size = (size_t)(sm_pb_put_bytes(b->data + b->size, field, bytes, n) - b->data);
}

static inline void rig_number(struct sm_buf *b, uint32_t field, uint64_t v)
{
    cr_assert(sm_buf_reserve(b, 20));
    b->size = (size_t)(sm_pb_put_uint(b->data + b->size, field, v) - b->data);
}

static inline void rig_time(struct sm_buf *b, uint32_t field, uint64_t v)
{
    cr_assert(sm_buf_reserve(b, 20));
    b->size = (size_t)(sm_pb_put_fixed64(b->data + b->size, field, v) - b->data);
}

static inline void rig_attribute(struct sm_buf *b, uint32_t field, const char *key, const void *value, size_t n)
{
    struct sm_buf any = {0}, kv = {0};
    rig_field(&any, 1, value, n);
    rig_field(&kv, 1, key, strlen(key));
    rig_field(&kv, 2, any.data, any.size);
    rig_field(b, field, kv.data, kv.size);
    sm_buf_fini(&any);
    sm_buf_fini(&kv);
}

/* Appends one span as field 2 of a ScopeSpans. */
static inline void rig_put_span(struct sm_buf *scope, const struct rig_span *s)
{
    struct sm_buf b = {0}, status = {0};
    uint8_t id[16];
    uint64_t start = (uint64_t)(s->start_ns ? s->start_ns : RIG_START_NS);
    sm_store_be64(id, s->trace_hi);
    sm_store_be64(id + 8, s->trace);
    rig_field(&b, 1, id, 16);
    sm_store_be64(id, s->id);
    rig_field(&b, 2, id, 8);
    sm_store_be64(id, s->parent);
    if (s->parent)
        rig_field(&b, 4, id, 8);
    rig_field(&b, 5, "op", 2);
    rig_number(&b, 6, 2);
    rig_time(&b, 7, start);
    rig_time(&b, 8, start + SM_MS);
    if (s->padding) {
        char *text = sm_xmalloc(s->padding);
        memset(text, 'x', s->padding);
        rig_attribute(&b, 9, "padding", text, s->padding);
        free(text);
    }
    if (s->error) {
        rig_number(&status, 3, 2);
        rig_field(&b, 15, status.data, status.size);
    }
    rig_field(scope, 2, b.data, b.size);
    sm_buf_fini(&b);
    sm_buf_fini(&status);
}

/* An ExportTraceServiceRequest of these spans in `out`. */
static inline void rig_request(struct sm_buf *out, const struct rig_span *spans, size_t n)
{
    struct sm_buf resource = {0}, scope = {0}, group = {0};
    rig_attribute(&resource, 1, "service.name", "svc", 3);
    for (size_t i = 0; i < n; i++)
        rig_put_span(&scope, &spans[i]);
    rig_field(&group, 1, resource.data, resource.size);
    rig_field(&group, 2, scope.data, scope.size);
    rig_field(out, 1, group.data, group.size);
    sm_buf_fini(&resource);
    sm_buf_fini(&scope);
    sm_buf_fini(&group);
}

static inline struct sm_payload *rig_payload(struct rig *r, const void *bytes, size_t n, int64_t now_ns)
{
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(r->worker), n);
    if (n)
        memcpy(p->data, bytes, n);
    p->size = n;
    p->arrived_ns = now_ns;
    return p;
}

static inline struct sm_submit rig_submit_bytes(struct rig *r, const void *bytes, size_t n, int64_t now_ns)
{
    struct sm_submit result;
    struct sm_payload *p = rig_payload(r, bytes, n, now_ns);
    sm_worker_submit(r->worker, &sm_codec_otlp_proto, SM_SOURCE_LIVE, &p, &result);
    cr_assert_null(p);
    return result;
}

static inline struct sm_submit rig_submit(struct rig *r, int64_t now_ns, const struct rig_span *spans, size_t n)
{
    struct sm_buf b = {0};
    rig_request(&b, spans, n);
    struct sm_submit result = rig_submit_bytes(r, b.data, b.size, now_ns);
    sm_buf_fini(&b);
    return result;
}

static inline void rig_span(struct rig *r, int64_t now_ns, struct rig_span span)
{
    struct sm_submit result = rig_submit(r, now_ns, &span, 1);
    cr_assert(result.rc == SM_OK && result.accepted == 1 && result.rejected == 0, "%s", result.text);
}

static inline void rig_advance(struct rig *r, int64_t now_ns)
{
    sm_pipeline_advance(r->pipeline, now_ns);
}

/* The one trace that the sink was given. */
static inline const struct rig_seen *rig_only_seen(const struct rig *r)
{
    cr_assert_eq(r->seen_count, 1, "%u traces", r->seen_count);
    return &r->seen[0];
}

/* The next trace is open before closes_ns and has closed with the tick after it. */
static inline void rig_expect_closes(struct rig *r, int64_t closes_ns, enum sm_trigger trigger)
{
    unsigned before = r->seen_count;
    rig_advance(r, closes_ns - 1);
    cr_assert_eq(r->seen_count, before, "closed too early");
    rig_advance(r, closes_ns + 2 * SM_TICK_NS);
    cr_assert_eq(r->seen_count, before + 1, "still open");
    const struct rig_seen *s = &r->seen[before];
    cr_expect_eq(s->trigger, trigger, "%s", sm_trigger_name((enum sm_trigger)s->trigger));
    cr_expect(s->closed_ns >= closes_ns && s->closed_ns <= closes_ns + SM_TICK_NS, "%ld ns late", (long)(s->closed_ns - closes_ns));
}

#endif
