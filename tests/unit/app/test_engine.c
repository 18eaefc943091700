#include "app/engine.h"

#include <criterion/criterion.h>

/* A sink that is only ever closed. */
static unsigned closed;

static enum sm_rc open_sink(void *sink SM_UNUSED, const struct sm_sink_env *env SM_UNUSED, struct sm_err *err SM_UNUSED)
{
    return SM_OK;
}

static void write_sink(void *sink SM_UNUSED, struct sm_sink_batch *batch)
{
    sm_sink_done(batch, SM_SINK_OK, 0, 0, NULL);
}

static void close_sink(void *sink)
{
    ++*(unsigned *)sink;
}

static const struct sm_sink_ops ops = {
    .type = "closed",
    .thread = SM_SINK_THREAD_SHARED,
    .batch_spans_max = 1,
    .batch_linger_ns = SM_MS,
    .in_flight_max = 1,
    .open = open_sink,
    .write = write_sink,
    .close = close_sink,
};

static struct sm_engine *build(const char *yaml, struct sm_config **config, struct sm_err *err)
{
    static struct sm_fanout_sink sinks[2];
    struct sm_config_report report = {0};
    for (unsigned i = 0; i < 2; i++)
        sinks[i] = (struct sm_fanout_sink){.name = i ? "b" : "a", .ops = &ops, .sink = &closed};
    struct sm_engine_options options = {.placement = SM_PLACEMENT_INLINE, .shards = 1, .sinks = sinks, .sink_count = 2};
    *config = sm_config_new();
    cr_assert(sm_config_load_text(*config, "f.yaml", sm_str_c(yaml), &report), "%s", sm_config_report_text(&report));
    sm_config_report_fini(&report);
    return sm_engine_new(*config, &options, err);
}

/* Sinks are the engine's from the first moment, whatever fails. */
Test(engine, closes_sinks_when_it_cannot_be_built)
{
    static const char *const wrong[] = {
        "analysis: {span_metrics: {dimensions: [a.b, a_b]}}",
        "rules: [{name: a, when: '{ status = eror }', keep: true}]",
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(wrong); i++) {
        struct sm_config *config;
        struct sm_err err = {0};
        closed = 0;
        cr_assert_null(build(wrong[i], &config, &err), "%s", wrong[i]);
        cr_expect_neq(err.rc, SM_OK);
        cr_expect_eq(closed, 2, "%s: %u closed", wrong[i], closed);
        sm_config_free(config);
    }
}

Test(engine, closes_sinks_at_its_end)
{
    struct sm_config *config;
    struct sm_err err = {0};
    closed = 0;
    struct sm_engine *e = build("rules: [{name: a, keep: true}]", &config, &err);
    cr_assert_not_null(e, "%s", err.text);
    sm_pipeline_close_all(e->pipeline);
    sm_engine_free(e);
    cr_expect_eq(closed, 2);
    sm_config_free(config);
}
