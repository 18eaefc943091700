/* Acknowledging while workers route to each other: each of three workers is a source whose payloads hold spans for all shards, of
 * traces of their own and of traces that several payloads share. Whenever the low-water mark of a source passes a payload's epoch, the
 * sink must have had all of that payload's spans. For the tsan preset. */
#include "base/log.h"
#include "base/net/loop.h"
#include "base/pb.h"
#include "ingest/offsets.h"
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "span/span.h"
#include "span/trace.h"

#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

enum { WORKERS = 3, SPANS = 8, PAYLOADS_MAX = 20000, SHARED_BY = 40, CALLS_PER_BURST = 25, BURST = 200 };
static const struct sm_durable at_once;

struct source {
    struct sm_worker *worker;
    struct sm_loop_timer *timer;
    struct sm_offsets offsets;
    uint16_t id;
    uint32_t sent, acknowledged, calls;
    bool ended;
};

static struct source sources[WORKERS];
static sem_t ended; /* posted by each source at its end */
static _Atomic uint32_t delivered[WORKERS][PAYLOADS_MAX];
static uint32_t payloads_wanted = 5000;

/* ---- the sink: holds each batch until the next one comes or it is flushed, and counts spans by the payload that their start time
 * names ---- */

static struct sm_sink_batch *held;

static enum sm_rc sink_open(void *sink SM_UNUSED, const struct sm_sink_env *env SM_UNUSED, struct sm_err *err SM_UNUSED)
{
    return SM_OK;
}

static void sink_flush(void *sink SM_UNUSED)
{
    struct sm_sink_batch *batch = held;
    const struct sm_span *span;
    const uint8_t *bytes;
    held = NULL;
    for (uint32_t i = 0; batch && i < batch->count; i++) {
        struct sm_trace_iter it = sm_trace_iter(batch->traces[i]);
        for (uint32_t n = 0; n < batch->traces[i]->span_count && sm_trace_next(&it, &span, &bytes); n++)
            atomic_fetch_add(&delivered[span->start_ns % 10][span->start_ns / 10], 1);
    }
    if (batch)
        sm_sink_done(batch, SM_SINK_OK, 0, 0, NULL);
}

static void sink_write(void *sink, struct sm_sink_batch *batch)
{
    sink_flush(sink);
    held = batch;
}

static void sink_close(void *sink SM_UNUSED)
{
}

static const struct sm_sink_ops sink_ops = {
    .type = "count",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 500,
    .batch_linger_ns = 10 * SM_MS,
    .in_flight_max = 2,
    .open = sink_open,
    .write = sink_write,
    .flush = sink_flush,
    .cancel = sink_flush,
    .close = sink_close,
};

/* ---- payloads ---- */

static uint8_t *put_span(uint8_t *out, uint64_t trace, uint64_t id, uint64_t time_ns)
{
    uint8_t ids[16] = {1}, span[100], *p = span;
    sm_store_be64(ids + 8, trace * UINT64_C(0x9e3779b97f4a7c15));
    p = sm_pb_put_bytes(p, 1, ids, 16);
    sm_store_be64(ids, id);
    p = sm_pb_put_bytes(p, 2, ids, 8);
    p = sm_pb_put_fixed64(p, 7, time_ns);
    p = sm_pb_put_fixed64(p, 8, time_ns);
    return sm_pb_put_bytes(out, 2, span, (size_t)(p - span));
}

/* Half of the spans are of traces that SHARED_BY payloads of all sources have in common. */
static struct sm_payload *make_payload(struct source *s, uint64_t number)
{
    uint8_t scope[1000], group[1100], *p = scope;
    unsigned index = (unsigned)(s - sources);
    struct sm_payload *payload = sm_payload_new(sm_worker_payloads(s->worker), 2000);
    SM_ASSERT(payload);
    for (uint64_t i = 0; i < SPANS; i++) {
        uint64_t id = 1 + (number * WORKERS + index) * SPANS + i;
        bool shared = i % 2;
        p = put_span(p, shared ? 1 + number / SHARED_BY * SPANS + i : id << 32, id, number * 10 + index);
    }
    uint8_t *q = sm_pb_put_bytes(group, 2, scope, (size_t)(p - scope));
    payload->size = (size_t)(sm_pb_put_bytes(payload->data, 1, group, (size_t)(q - group)) - payload->data);
    payload->arrived_ns = sm_loop_wall_ns(sm_worker_loop(s->worker));
    return payload;
}

static void check(struct source *s)
{
    int64_t next = sm_offsets_step(&s->offsets, sm_worker_low_epoch(s->worker, s->id), &at_once);
    for (; s->acknowledged < next; s->acknowledged++) {
        uint32_t got = atomic_load(&delivered[s - sources][s->acknowledged]);
        if (got != SPANS)
            fprintf(stderr, "source %u, payload %u: acknowledged with %u of %u spans\n", s->id, s->acknowledged, got, SPANS);
        SM_ASSERT(got == SPANS);
    }
}

/* In bursts, so that rings hold something while ticks fire. */
static void work(void *arg)
{
    struct source *s = arg;
    struct sm_submit result;
    unsigned n = ++s->calls % CALLS_PER_BURST ? 0 : BURST;
    check(s);
    for (unsigned i = 0; i < n && s->sent < payloads_wanted; i++) {
        struct sm_payload *p = make_payload(s, s->sent);
        sm_worker_submit(s->worker, &sm_codec_otlp_proto, s->id, &p, &result);
        if (result.rc == SM_E_AGAIN)
            return;
        SM_ASSERT(result.rc == SM_OK && result.accepted == SPANS);
        sm_offsets_note(&s->offsets, sm_worker_epoch(s->worker), ++s->sent);
        check(s);
    }
    if (s->acknowledged == payloads_wanted && !s->ended)
        sem_post(&ended);
    s->ended = s->acknowledged == payloads_wanted;
}

/* ---- the pipeline ---- */

static void wait_for_sources(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    for (unsigned i = 0; i < WORKERS; i++)
        SM_ASSERT(sem_timedwait(&ended, &until) == 0);
}

int main(int argc, char **argv)
{
    struct sm_err err = {0};
    struct sm_rules_error rules_error;
    struct sm_rules_config none = {.count = 0};
    struct sm_rules *rules;
    if (argc > 1)
        payloads_wanted = SM_MIN((uint32_t)atoi(argv[1]), (uint32_t)PAYLOADS_MAX);
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = 2});
    struct sm_names *names = sm_names_new(10000, 1 << 20);
    struct sm_scopes *scopes = sm_scopes_new(names, 1000, 1 << 20);
    struct sm_wanted *wanted = sm_wanted_new(1);
    SM_ASSERT(sm_rules_new(&none, wanted, &rules, &rules_error) == SM_OK);
    struct sm_fanout_sink sink = {.name = "count", .ops = &sink_ops, .required = true};
    struct sm_fanout_config fanout_config = {.sinks = &sink, .sink_count = 1, .shards = WORKERS, .queue_bytes_max = 64 << 20,
                                             .ring_capacity = 4096, .names = names, .scopes = scopes};
    struct sm_fanout *fanout = sm_fanout_new(&fanout_config, &err);
    SM_ASSERT(fanout);
    struct sm_pipeline_config config = {
        .placement = SM_PLACEMENT_THREADS,
        .workers = WORKERS,
        .shards = WORKERS,
        .windows = sm_windows_default,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = 100000,
        .dropped_decisions_max = 1000,
        .names = names,
        .scopes = scopes,
        .wanted = wanted,
        .policy = sm_rules_policy(rules),
        .fanout = fanout,
    };
    config.windows.after_root_ns = 150 * SM_MS;
    config.windows.late_ns = 100 * SM_MS;
    struct sm_pipeline *pipeline = sm_pipeline_new(&config, &err);
    SM_ASSERT(pipeline);
    for (unsigned i = 0; i < WORKERS; i++) {
        sources[i].worker = sm_pipeline_worker(pipeline, i);
        sources[i].id = (uint16_t)(i + 1);
        sm_offsets_init(&sources[i].offsets);
        sources[i].timer = sm_loop_timer_new(sm_worker_loop(sources[i].worker), SM_MS, work, &sources[i]);
    }
    SM_ASSERT(sem_init(&ended, 0, 0) == 0);
    SM_ASSERT(sm_pipeline_start(pipeline, &err) == SM_OK);
    wait_for_sources();
    SM_ASSERT(sm_pipeline_drain(pipeline, 20 * SM_SEC));
    sm_fanout_stop(fanout, 20 * SM_SEC);
    sm_pipeline_stop(pipeline);
    for (unsigned i = 0; i < WORKERS; i++) {
        SM_ASSERT(sm_offsets_settled(&sources[i].offsets));
        sm_loop_timer_free(sources[i].timer);
        sm_offsets_fini(&sources[i].offsets);
    }
    sm_pipeline_free(pipeline);
    sm_fanout_free(fanout);
    sm_rules_free(rules);
    sm_wanted_free(wanted);
    sm_scopes_free(scopes);
    sm_names_free(names);
    printf("ok\n");
    return 0;
}
