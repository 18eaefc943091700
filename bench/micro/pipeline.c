/* The data path on one thread on a virtual clock: decode, route, assemble, windows, rules (errors, slow, 10 %). No
 * network, no analysis, no sinks: what is kept is freed at once. */
#include "bench/micro/micro.h"
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"

enum { NAMES_MAX = 100000, SCOPES_MAX = 10000 };
#define TEXT_BYTES_MAX (64 * SM_MIB)
#define WINDOW_NS      (1 * SM_SEC)

struct state {
    const struct bench_gen *gen;
    struct bench_body *bodies;
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_rules *rules;
    struct sm_fanout *fanout;
    struct sm_pipeline *pipeline;
    uint64_t round;
};

static struct sm_rules *make_rules(struct sm_wanted *wanted)
{
    static const struct sm_rule_spec specs[] = {
        {.name = "errors", .when = "{ status = error }", .action = SM_RULE_KEEP},
        {.name = "slow", .when = "{ traceDuration > 500ms }", .action = SM_RULE_KEEP},
        {.name = "share", .action = SM_RULE_RATIO, .ratio = 0.1},
    };
    struct sm_rules_config config = {.rules = specs, .count = SM_ARRAY_LEN(specs)};
    struct sm_rules_error error;
    struct sm_rules *rules;
    SM_ASSERT(sm_rules_new(&config, wanted, &rules, &error) == SM_OK);
    return rules;
}

static void *set_up(struct micro_inputs *inputs)
{
    struct state *s = sm_xcalloc(1, sizeof *s);
    struct sm_err err;
    s->gen = inputs->gen;
    s->bodies = micro_bodies(inputs, BENCH_ENCODING_OTLP_PROTO);
    s->names = sm_names_new(NAMES_MAX, TEXT_BYTES_MAX);
    s->scopes = sm_scopes_new(s->names, SCOPES_MAX, TEXT_BYTES_MAX);
    s->wanted = sm_wanted_new(1);
    s->rules = make_rules(s->wanted);
    struct sm_fanout_config fanout = {
        .shards = 1, .placement = SM_FANOUT_INLINE, .ordered = true, .names = s->names, .scopes = s->scopes};
    s->fanout = sm_fanout_new(&fanout, &err);
    SM_ASSERT(s->fanout);
    struct sm_pipeline_config config = {
        .placement = SM_PLACEMENT_INLINE,
        .workers = 1,
        .shards = 1,
        .windows = sm_windows_default,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = 100000,
        .dropped_decisions_max = 4000000,
        .start_ns = BENCH_ENCODE_EPOCH_NS,
        .names = s->names,
        .scopes = s->scopes,
        .wanted = s->wanted,
        .policy = sm_rules_policy(s->rules),
        .fanout = s->fanout,
    };
    config.windows.after_root_ns = config.windows.idle_ns = WINDOW_NS;
    s->pipeline = sm_pipeline_new(&config, &err);
    SM_ASSERT(s->pipeline);
    return s;
}

static void submit(struct state *s, const struct bench_body *body, int64_t now_ns)
{
    struct sm_worker *w = sm_pipeline_worker(s->pipeline, 0);
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(w), body->len);
    struct sm_submit result;
    SM_ASSERT(p);
    memcpy(p->data, body->ptr, body->len);
    p->size = body->len;
    p->arrived_ns = now_ns;
    sm_worker_submit(w, &sm_codec_otlp_proto, SM_SOURCE_LIVE, &p, &result);
    SM_ASSERT(result.rc == SM_OK && result.rejected == 0);
}

/* One round with fresh ids; the clock goes on where the round before ended. */
static void run(void *state)
{
    struct state *s = state;
    int64_t shift_ns = (int64_t)s->round * s->gen->length_ns;
    struct bench_round round = bench_round_make(1, s->round, shift_ns);
    s->round++;
    for (uint32_t i = 0; i < s->gen->requests_n; i++) {
        int64_t now_ns = BENCH_ENCODE_EPOCH_NS + shift_ns + s->gen->requests[i].leaves_ns;
        bench_body_move(&s->bodies[i], &round);
        sm_pipeline_advance(s->pipeline, now_ns);
        submit(s, &s->bodies[i], now_ns);
    }
}

static void tear_down(void *state)
{
    struct state *s = state;
    sm_pipeline_close_all(s->pipeline);
    sm_fanout_stop(s->fanout, 0);
    sm_pipeline_free(s->pipeline);
    sm_fanout_free(s->fanout);
    sm_rules_free(s->rules);
    sm_wanted_free(s->wanted);
    sm_scopes_free(s->scopes);
    sm_names_free(s->names);
    free(s);
}

const struct micro_case micro_case_pipeline = {"pipeline", "copy, decode, assemble, windows of 1 s, rules, free",
                                               set_up,     run,
                                               tear_down,  BENCH_ENCODING_OTLP_PROTO};
