/* An engine over the traffic, on a virtual clock. */
#include "sim.h"

#include "base/hash.h"
#include "pipeline/wheel.h"
#include "pipeline/worker.h"

#include <stdlib.h>

enum { CHECK_EVERY = 8, TEND_NS = 500 * 1000 * 1000 };
#define DRAIN_STEP_NS (100 * SM_MS)
#define DRAIN_MAX_NS  (20 * SM_SEC)

static const struct sm_codec *codec_of(enum sim_format format)
{
    static const struct sm_codec *const codecs[] = {&sm_codec_otlp_proto, &sm_codec_otlp_json, &sm_codec_zipkin_json};
    return codecs[format];
}

static bool start(struct sim_run *run, struct sm_buf *text)
{
    static const char *const names[] = {"faulty0", "faulty1", "faulty2"};
    const struct sim_plan *plan = run->plan;
    struct sm_fanout_sink sinks[4] = {{
        .name = "truth",
        .ops = &capture_sink_ops,
        .sink = &run->truth,
        .queue_bytes_max = SM_GIB,
    }};
    for (unsigned i = 0; i < plan->fault_count; i++) {
        run->faulty[i].plan = plan->faults[i];
        sinks[i + 1] = (struct sm_fanout_sink){
            .name = names[i],
            .ops = &faulty_sink_ops,
            .sink = &run->faulty[i],
            .retry = plan->retry,
            .queue_bytes_max = plan->fault_queue_bytes,
        };
    }
    struct sm_engine_options options = {
        .placement = SM_PLACEMENT_INLINE,
        .shards = run->shards,
        .ordered = plan->ordered,
        .memory_triggers = plan->memory,
        .start_ns = SIM_START_NS,
        .sinks = sinks,
        .sink_count = 1 + plan->fault_count,
    };
    struct sm_err err;
    run->engine = sm_engine_new(plan->config, &options, &err);
    if (!run->engine)
        sm_buf_printf(text, "the engine does not start: %s\n", err.text);
    return run->engine != NULL;
}

static void poll_sinks(struct sim_run *run, int64_t now_ns)
{
    if (run->plan->ordered)
        return;
    for (unsigned i = 0; i < run->plan->fault_count; i++)
        faulty_sink_step(&run->faulty[i], now_ns);
    sm_fanout_poll(run->engine->fanout, now_ns);
}

/* ---- Identities ---- */

static void add_open(void *ctx, const struct sm_trace *trace)
{
    *(uint64_t *)ctx += trace->span_count;
}

static bool balanced(struct sm_buf *text, const char *what, uint64_t left, uint64_t right)
{
    if (left != right)
        sm_buf_printf(text, "%s: %llu and %llu\n", what, (unsigned long long)left, (unsigned long long)right);
    return left == right;
}

static bool spans_add_up(const struct sim_run *run, struct sm_buf *text)
{
    struct sm_pipeline *p = run->engine->pipeline;
    uint64_t open = 0, rejected = 0;
    sm_pipeline_visit_open(p, NULL, add_open, &open);
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++)
        rejected += sm_pipeline_rejected(p, (enum sm_reject)i);
    uint64_t duplicate = sm_pipeline_stat(p, SM_STAT_SPANS_DUPLICATE);
    uint64_t sampled_out = sm_pipeline_stat(p, SM_STAT_SPANS_SAMPLED_OUT);
    uint64_t dropped = sm_pipeline_stat(p, SM_STAT_SPANS_DROPPED_SHUTDOWN) + sm_pipeline_stat(p, SM_STAT_SPANS_DROPPED_NOMEM);
    uint64_t kept = sm_pipeline_stat(p, SM_STAT_SPANS_KEPT);
    uint64_t received = sm_pipeline_stat(p, SM_STAT_SPANS_RECEIVED);
    bool ok = received == rejected + duplicate + sampled_out + dropped + open + kept;
    if (!ok)
        sm_buf_printf(text, "received %llu is not rejected %llu + duplicate %llu + sampled out %llu + dropped %llu + open %llu"
                            " + kept %llu\n",
                      (unsigned long long)received, (unsigned long long)rejected, (unsigned long long)duplicate,
                      (unsigned long long)sampled_out, (unsigned long long)dropped, (unsigned long long)open,
                      (unsigned long long)kept);
    return ok;
}

static bool sink_adds_up(const struct sim_run *run, unsigned sink, struct sm_buf *text)
{
    uint64_t n[SM_FANOUT_STAT_COUNT];
    for (unsigned i = 0; i < SM_FANOUT_STAT_COUNT; i++)
        n[i] = sm_fanout_stat(run->engine->fanout, sink, (enum sm_fanout_stat)i);
    uint64_t sum = n[SM_FANOUT_DELIVERED] + n[SM_FANOUT_FILTERED] + n[SM_FANOUT_REJECTED] + n[SM_FANOUT_DROPPED_QUEUE_FULL] +
                   n[SM_FANOUT_DROPPED_RETRIES] + n[SM_FANOUT_DROPPED_SHUTDOWN] + n[SM_FANOUT_QUEUED];
    bool ok = balanced(text, "a sink's kept and what became of it", n[SM_FANOUT_KEPT], sum) &&
              balanced(text, "kept, and what a sink was offered", sm_pipeline_stat(run->engine->pipeline, SM_STAT_SPANS_KEPT),
                       n[SM_FANOUT_KEPT]);
    if (sink == 0)
        return ok && balanced(text, "delivered, and what the sink got", n[SM_FANOUT_DELIVERED], run->truth.spans);
    const struct faulty_sink *f = &run->faulty[sink - 1];
    return ok && balanced(text, "delivered, and what the sink took", n[SM_FANOUT_DELIVERED], f->delivered) &&
           balanced(text, "rejected, and what the sink refused", n[SM_FANOUT_REJECTED], f->rejected);
}

static bool all_adds_up(const struct sim_run *run, struct sm_buf *text)
{
    bool ok = spans_add_up(run, text);
    for (unsigned i = 0; ok && i <= run->plan->fault_count; i++)
        ok = sink_adds_up(run, i, text);
    return ok;
}

static void add_undecided(void *ctx, const struct sm_trace *trace)
{
    *(uint64_t *)ctx += trace->parked ? 0 : trace->bytes;
}

/* Above the hard mark windows are decided until memory is below it: at the latest at the next tick. */
static bool memory_holds(struct sim_run *run, struct sm_buf *text)
{
    uint64_t open = 0;
    uint64_t hard = (uint64_t)((double)run->engine->budget_bytes * run->plan->config->memory.hard);
    sm_pipeline_visit_open(run->engine->pipeline, NULL, add_undecided, &open);
    bool ok = !run->plan->memory || open <= hard + run->tick_bytes;
    if (!ok)
        sm_buf_printf(text, "open windows hold %llu bytes, %llu of them since the last tick; the hard mark is %llu\n",
                      (unsigned long long)open, (unsigned long long)run->tick_bytes, (unsigned long long)hard);
    return ok;
}

/* ---- Traffic ---- */

static bool submit(struct sim_run *run, uint32_t index, struct sm_buf *text)
{
    const struct sim_payload *from = &run->traffic->payloads[index];
    struct sm_worker *w = sm_pipeline_worker(run->engine->pipeline, 0);
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(w), from->body.size);
    memcpy(p->data, from->body.data, from->body.size);
    p->size = from->body.size;
    p->arrived_ns = from->at_ns;
    struct sm_submit result;
    sm_worker_submit(w, codec_of(from->format), SM_SOURCE_LIVE, &p, &result);
    run->taken[index] = result.rc == SM_OK;
    for (uint32_t i = 0; i < from->count && run->taken[index]; i++)
        run->tick_bytes += run->traffic->spans[from->spans[i]].head.size;
    if (result.rc == SM_E_AGAIN && run->plan->memory) {
        run->refused++;
        return true;
    }
    if (from->malformed) {
        if (result.rc == SM_OK || result.rc == SM_E_AGAIN)
            sm_buf_printf(text, "payload %u is broken and was answered %s\n", index, sm_rc_name(result.rc));
        return result.rc != SM_OK && result.rc != SM_E_AGAIN;
    }
    if (result.rc != SM_OK || result.accepted != from->count || result.rejected != from->rejected) {
        sm_buf_printf(text, "payload %u: %s %s, accepted %u of %u, rejected %u of %u\n", index, sm_rc_name(result.rc),
                      result.text, result.accepted, from->count, result.rejected, from->rejected);
        return false;
    }
    return true;
}

static void advance(struct sim_run *run, int64_t from_ns, int64_t to_ns)
{
    for (int64_t at = from_ns + TEND_NS; at < to_ns && to_ns - from_ns < 100 * SM_SEC; at += TEND_NS) {
        sm_pipeline_advance(run->engine->pipeline, at);
        poll_sinks(run, at);
        sm_pipeline_tend(run->engine->pipeline);
    }
    sm_pipeline_advance(run->engine->pipeline, to_ns);
    poll_sinks(run, to_ns);
}

static bool play(struct sim_run *run, struct sm_buf *text)
{
    int64_t now_ns = SIM_START_NS;
    for (uint32_t i = 0; i < run->traffic->payload_count; i++) {
        int64_t at_ns = run->traffic->payloads[i].at_ns;
        advance(run, now_ns, at_ns);
        if (now_ns / SM_TICK_NS != at_ns / SM_TICK_NS)
            run->tick_bytes = 0;
        now_ns = at_ns;
        if (!submit(run, i, text))
            return false;
        poll_sinks(run, now_ns);
        if (i % CHECK_EVERY)
            continue;
        if (!memory_holds(run, text) || !(run->plan->ordered ? spans_add_up(run, text) : all_adds_up(run, text)))
            return false;
    }
    run->closed_ns = now_ns + run->plan->tail_ms * SM_MS;
    advance(run, now_ns, run->closed_ns);
    return true;
}

/* Sinks get some time; what they still hold then is lost and counted. */
static void drain(struct sim_run *run)
{
    sm_fanout_drain(run->engine->fanout);
    for (int64_t passed = 0; passed < DRAIN_MAX_NS && !run->plan->ordered && !sm_fanout_idle(run->engine->fanout);
         passed += DRAIN_STEP_NS)
        poll_sinks(run, run->closed_ns + 10 * SM_SEC + passed);
    sm_fanout_stop(run->engine->fanout, 0);
}

static bool at_rest(const struct sim_run *run, struct sm_buf *text)
{
    struct sm_pipeline_gauges g = sm_pipeline_gauges(run->engine->pipeline);
    bool ok = balanced(text, "spans open at the end", g.spans_open, 0) &&
              balanced(text, "bytes open at the end", g.bytes_open, 0) &&
              balanced(text, "traces open at the end", g.traces_open, 0) && all_adds_up(run, text);
    for (unsigned i = 0; ok && i <= run->plan->fault_count; i++)
        ok = balanced(text, "spans queued at the end", sm_fanout_stat(run->engine->fanout, i, SM_FANOUT_QUEUED), 0);
    return ok;
}

bool sim_drive(struct sim_run *run, struct sm_buf *text)
{
    sm_hash_seed = run->plan->seed * UINT64_C(0x9e3779b97f4a7c15);
    run->taken = sm_xcalloc(run->traffic->payload_count + 1, sizeof *run->taken);
    if (!start(run, text) || !play(run, text))
        return false;
    sm_pipeline_close_all(run->engine->pipeline);
    sm_pipeline_tend(run->engine->pipeline);
    drain(run);
    return at_rest(run, text);
}

/* A run that broke is left as it is: its engine may not be in a state to be freed. */
void sim_run_free(struct sim_run *run)
{
    sm_engine_free(run->engine);
    capture_sink_fini(&run->truth);
    free(run->taken);
}
