#include "analysis/spanmetrics.h"
#include "random_trace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

enum { SHARDS_MAX = 4 };

static struct trace_builder tb;
static struct sm_spanmetrics_config config;
static struct sm_spanmetrics *metrics;
static void *shards[SHARDS_MAX];
static const struct sm_analyzer_ops *const ops = &sm_spanmetrics_ops;

static void setup(void)
{
    tb_init(&tb);
    config = sm_spanmetrics_config_default(tb.names);
}

static void start(void)
{
    metrics = sm_spanmetrics_new(&config);
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        shards[i] = ops->shard_new(metrics, i);
}

static void stop(void)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        ops->shard_free(shards[i]);
    sm_spanmetrics_free(metrics);
}

static void teardown(void)
{
    tb_fini(&tb);
}

TestSuite(spanmetrics, .init = setup, .fini = teardown);

static void observe(unsigned shard, const char *text)
{
    ops->observe(shards[shard], tb_build_text(&tb, text), tb.scratch);
}

static void merge_all(void)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        ops->ship(shards[i]);
        ops->merge(metrics, shards[i]);
    }
}

/* The exposition; the caller frees it. */
static char *scrape(enum sm_prom_format format)
{
    struct sm_buf out = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &out, format);
    sm_spanmetrics_collect(metrics, &p);
    sm_prom_end(&p);
    sm_buf_putc(&out, 0);
    return (char *)out.data;
}

static void expect_line(const char *exposition, const char *line)
{
    const char *at = strstr(exposition, line);
    cr_expect(at && (at == exposition || at[-1] == '\n') && at[strlen(line)] == '\n', "no line %s in\n%s", line,
              exposition);
}

#define CALLS "traces_spanmetrics_calls_total"
#define OP_A  "service=\"a\",span_name=\"op\",span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_UNSET\""

Test(spanmetrics, openmetrics_of_two_spans)
{
    start();
    tb.trace.last_ns = (int64_t)(UINT64_C(1700000005) * SM_SEC + 500 * SM_MS);
    observe(0, "server a 1 dur=2 size=300; server a 2/1 dur=2.000001 size=200");
    merge_all();
    char *text = scrape(SM_PROM_OPENMETRICS);
    const char *expected =
        "# HELP traces_spanmetrics_calls spans\n"
        "# TYPE traces_spanmetrics_calls counter\n"
        "traces_spanmetrics_calls_total{" OP_A "} 2\n"
        "traces_spanmetrics_calls_created{" OP_A "} 1700000005.5\n"
        "# HELP traces_spanmetrics_latency durations of spans in seconds\n"
        "# TYPE traces_spanmetrics_latency histogram\n"
        "traces_spanmetrics_latency_bucket{" OP_A
        ",le=\"0.002\"} 1 # {traceID=\"00000000000000010000000000000002\"} 0.002 1700000005.5\n"
        "traces_spanmetrics_latency_bucket{" OP_A
        ",le=\"0.004\"} 2 # {traceID=\"00000000000000010000000000000002\"} 0.002000001 1700000005.5\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.008\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.016\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.032\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.064\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.128\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.256\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.512\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"1.024\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"2.048\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"4.096\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"8.192\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"16.384\"} 2\n"
        "traces_spanmetrics_latency_bucket{" OP_A ",le=\"+Inf\"} 2\n"
        "traces_spanmetrics_latency_sum{" OP_A "} 0.004000001\n"
        "traces_spanmetrics_latency_count{" OP_A "} 2\n"
        "traces_spanmetrics_latency_created{" OP_A "} 1700000005.5\n"
        "# HELP traces_spanmetrics_size bytes of spans in OTLP\n"
        "# TYPE traces_spanmetrics_size counter\n"
        "traces_spanmetrics_size_total{" OP_A "} 500\n"
        "traces_spanmetrics_size_created{" OP_A "} 1700000005.5\n"
        "# EOF\n";
    cr_expect_str_eq(text, expected);
    free(text);
    stop();
}

Test(spanmetrics, labels)
{
    start();
    observe(0, "client a 1 failed; producer a 2; consumer a 3; local a 4; none - 5; client unknown_service 6");
    observe(1, "none unknown_service 1");
    merge_all();
    char *text = scrape(SM_PROM_TEXT);
#define STATUS(kind, status)                                                                                           \
    ",span_name=\"op\",span_kind=\"SPAN_KIND_" kind "\",status_code=\"STATUS_CODE_" status "\"} "
    expect_line(text, CALLS "{service=\"a\"" STATUS("CLIENT", "ERROR") "1");
    expect_line(text, CALLS "{service=\"a\"" STATUS("PRODUCER", "UNSET") "1");
    expect_line(text, CALLS "{service=\"a\"" STATUS("CONSUMER", "UNSET") "1");
    expect_line(text, CALLS "{service=\"a\"" STATUS("INTERNAL", "UNSET") "1");
    expect_line(text, CALLS "{service=\"unknown_service\"" STATUS("CLIENT", "UNSET") "1");
    expect_line(text, CALLS "{service=\"unknown_service\"" STATUS("UNSPECIFIED", "UNSET") "2");
    free(text);
    stop();
}

Test(spanmetrics, spans_without_duration_are_calls_only)
{
    start();
    observe(0, "server a 1 nodur; server a 2/1 dur=20000");
    merge_all();
    char *text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A "} 2");
    expect_line(text, "traces_spanmetrics_latency_count{" OP_A "} 1");
    expect_line(text, "traces_spanmetrics_latency_bucket{" OP_A ",le=\"16.384\"} 0");
    expect_line(text, "traces_spanmetrics_latency_sum{" OP_A "} 20.0");
    free(text);
    stop();
}

Test(spanmetrics, exemplars_are_the_newest_of_kept_traces)
{
    start();
    tb.trace.id.lo = 1;
    tb.trace.last_ns = 20 * SM_SEC;
    observe(0, "server a 1");
    tb.trace.id.lo = 2;
    tb.trace.last_ns = 10 * SM_SEC;
    observe(1, "server a 1");
    tb.trace.id.lo = 3;
    tb.trace.last_ns = 30 * SM_SEC;
    tb.trace.verdict = SM_VERDICT_DROPPED;
    observe(2, "server a 1");
    merge_all();
    char *text = scrape(SM_PROM_OPENMETRICS);
    expect_line(text, "traces_spanmetrics_latency_bucket{" OP_A ",le=\"0.002\"} 3 # "
                      "{traceID=\"00000000000000010000000000000001\"} 0.001 20.0");
    free(text);
    stop();
}

/* The same traces over 1, 2 or 4 shards, shipped and merged in other orders, make the same bytes. */
Test(spanmetrics, the_number_of_shards_and_the_order_of_merging_do_not_matter)
{
    char *first = NULL;
    struct sm_err err;
    for (unsigned run = 0; run < 6; run++) {
        config = sm_spanmetrics_config_default(tb.names);
        cr_assert_eq(sm_spanmetrics_config_dim(&config, tb.wanted, SM_STR("peer.service"), &err), SM_OK);
        start();
        for (uint64_t seed = 1; seed <= 3000; seed++) {
            struct tb_span spans[RANDOM_TRACE_SPANS_MAX];
            unsigned count = random_trace(seed, spans);
            tb.trace.id.lo = seed;
            tb.trace.last_ns = (int64_t)(tb.base_ns + seed * 7919 % 3001);
            tb.trace.verdict = seed % 3 ? SM_VERDICT_DROPPED : SM_VERDICT_KEPT;
            ops->observe(shards[run ? seed % (run % 4 + 1) : 0], tb_build(&tb, spans, count), tb.scratch);
            if (seed % (100 + run * 37) == 0)
                ops->ship(shards[seed % 4]);
            if (seed % (70 + run * 11) == 0)
                ops->merge(metrics, shards[(seed + run) % 4]);
        }
        merge_all();
        merge_all();
        char *text = scrape(SM_PROM_OPENMETRICS);
        if (!first)
            first = text;
        else
            cr_expect_str_eq(text, first, "run %u", run);
        if (text != first)
            free(text);
        stop();
    }
    free(first);
}

Test(spanmetrics, a_delta_that_is_away_does_not_stop_the_shard)
{
    start();
    observe(0, "server a 1");
    ops->ship(shards[0]);
    observe(0, "server a 1");
    ops->ship(shards[0]); /* the other one is still away */
    observe(0, "server a 1");
    ops->merge(metrics, shards[0]);
    char *text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A "} 1");
    free(text);
    ops->ship(shards[0]);
    ops->merge(metrics, shards[0]);
    ops->merge(metrics, shards[0]);
    text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A "} 3");
    free(text);
    stop();
}

Test(spanmetrics, past_the_limit_there_is_one_overflow_series)
{
    config.series_max = 2;
    start();
    observe(0, "server a 1; server b 2; server c 3 dur=3; server c 4 dur=4");
    merge_all();
    observe(0, "server a 1; server d 2 dur=5");
    merge_all();
    char *text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A "} 2");
    expect_line(text, CALLS "{metric_overflow=\"true\"} 3");
    expect_line(text, "traces_spanmetrics_latency_sum{metric_overflow=\"true\"} 0.012");
    free(text);
    struct sm_buf own = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &own, SM_PROM_TEXT);
    sm_spanmetrics_collect_own(metrics, &p);
    sm_buf_putc(&own, 0);
    expect_line((char *)own.data, "spanmill_spanmetrics_series 2");
    expect_line((char *)own.data, "spanmill_spanmetrics_overflowed_spans_total 3");
    sm_buf_fini(&own);
    stop();
}

Test(spanmetrics, stale_series_are_forgotten_and_start_again)
{
    struct sm_err err;
    cr_assert_eq(sm_spanmetrics_config_dim(&config, tb.wanted, SM_STR("x"), &err), SM_OK);
    config.stale_ns = 60 * (uint64_t)SM_SEC;
    start();
    tb.trace.last_ns = 1000 * SM_SEC;
    observe(0, "server a 1 x=1; server b 2 x=2");
    merge_all();
    tb.trace.last_ns = 1050 * SM_SEC;
    observe(0, "server b 1 x=2");
    merge_all();
    sm_spanmetrics_expire(metrics, 1060 * (uint64_t)SM_SEC);
    char *text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A ",x=\"1\"} 1");
    free(text);
    sm_spanmetrics_expire(metrics, 1061 * (uint64_t)SM_SEC);
    text = scrape(SM_PROM_TEXT);
    cr_expect_null(strstr(text, OP_A));
    cr_expect(strstr(text, ",x=\"2\"} 2\n"));
    free(text);
    tb.trace.last_ns = 2000 * SM_SEC;
    observe(0, "server a 1 x=1");
    merge_all();
    text = scrape(SM_PROM_OPENMETRICS);
    expect_line(text, CALLS "{" OP_A ",x=\"1\"} 1");
    expect_line(text, "traces_spanmetrics_calls_created{" OP_A ",x=\"1\"} 2000.0");
    free(text);
    stop();
}

Test(spanmetrics, dimensions)
{
    struct sm_err err;
    static const char *const keys[] = {"http.route", "resource.service.name", "span.1st", "service"};
    for (unsigned i = 0; i < SM_ARRAY_LEN(keys); i++)
        cr_assert_eq(sm_spanmetrics_config_dim(&config, tb.wanted, sm_str_c(keys[i]), &err), SM_OK, "%s", err.text);
    cr_expect_eq(sm_spanmetrics_config_dim(&config, tb.wanted, SM_STR("http_route"), &err), SM_E_INVALID);
    cr_expect_str_eq(err.text, "two dimensions have the label http_route");
    cr_expect_eq(sm_spanmetrics_config_dim(&config, tb.wanted, SM_STR("span."), &err), SM_OK, "a bare key");
    cr_expect_eq(sm_spanmetrics_config_dim(&config, tb.wanted, SM_STR(""), &err), SM_E_INVALID);
    start();
    struct tb_span spans[3];
    unsigned count =
        tb_parse(&tb, "server a 1 http.route=/a 1st=one service=x; server a 2/1 http.route=/a; server a 3/1", spans, 3);
    ops->observe(shards[0], tb_build(&tb, spans, count), tb.scratch);
    merge_all();
    char *text = scrape(SM_PROM_TEXT);
    expect_line(text, CALLS "{" OP_A ",http_route=\"/a\",service_name=\"a\",_1st=\"one\",__service=\"x\"} 1");
    expect_line(text, CALLS "{" OP_A ",http_route=\"/a\",service_name=\"a\"} 1");
    expect_line(text, CALLS "{" OP_A ",service_name=\"a\"} 1");
    free(text);
    stop();
}

static void *observe_much(void *shard)
{
    struct trace_builder *own = malloc(sizeof *own);
    tb_init(own);
    for (unsigned i = 0; i < 2000; i++) {
        ops->observe(shard, tb_build_text(own, i % 2 ? "server a 1; client a 2/1" : "server b 1"), own->scratch);
        if (i % 10 == 0)
            ops->ship(shard);
    }
    tb_fini(own);
    free(own);
    return NULL;
}

/* A shard that observes while the control thread merges and a third thread scrapes. */
Test(spanmetrics, threads, .timeout = 60)
{
    tb_build_text(&tb, "server b 1; server a 2"); /* names get the ids that the other thread gives them */
    start();
    observe_much(shards[0]);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, observe_much, shards[1]), 0);
    for (unsigned i = 0; i < 50; i++) {
        ops->merge(metrics, shards[1]);
        ops->merge(metrics, shards[0]);
        free(scrape(SM_PROM_TEXT));
    }
    pthread_join(thread, NULL);
    merge_all();
    merge_all();
    struct sm_series_set set;
    sm_spanmetrics_snapshot(metrics, &set);
    uint64_t calls = 0;
    for (size_t i = 0; i < set.count; i++)
        calls += set.series[i].numbers[0];
    cr_expect_eq(calls, 6000);
    sm_series_set_fini(&set);
    stop();
}
