#include "analysis/dependency.h"
#include "random_trace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

enum { SHARDS_MAX = 4 };

static struct trace_builder tb;
static struct sm_dependency_config config;
static struct sm_dependency *dependency;
static void *shards[SHARDS_MAX];
static const struct sm_analyzer_ops *const ops = &sm_dependency_ops;

#define BASE_MS INT64_C(1700000000000)
#define HOUR_MS INT64_C(3600000)
#define FOREVER (BASE_MS * 2)

static void setup(void)
{
    tb_init(&tb);
    config = sm_dependency_config_default(tb.names);
}

static void start(void)
{
    dependency = sm_dependency_new(&config);
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        shards[i] = ops->shard_new(dependency, i);
}

static void stop(void)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        ops->shard_free(shards[i]);
    sm_dependency_free(dependency);
}

static void teardown(void)
{
    tb_fini(&tb);
}

TestSuite(dependency, .init = setup, .fini = teardown);

static void merge_all(void)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        ops->ship(shards[i]);
        ops->merge(dependency, shards[i]);
    }
}

static void observe(unsigned shard, const char *text)
{
    ops->observe(shards[shard], tb_build_text(&tb, text), tb.scratch);
}

/* A trace that starts and arrives so many milliseconds after the base. */
static void observe_at(int64_t ms, const char *text)
{
    tb.base_ns = (uint64_t)((BASE_MS + ms) * SM_MS);
    tb.trace.opened_ns = tb.trace.last_ns = (int64_t)tb.base_ns;
    observe(0, text);
}

/* "parent>child calls/errors; ..." of a range. */
static void graph_text(int64_t start_ms, int64_t end_ms, uint32_t source, char out[1024])
{
    struct sm_graph g;
    sm_dependency_snapshot(dependency, start_ms, end_ms, source, &g);
    size_t used = 0;
    *out = 0;
    for (size_t i = 0; i < g.count; i++)
        used += (size_t)snprintf(out + used, 1024 - used, "%s%.*s>%.*s %llu/%llu", i ? "; " : "",
                                 SM_STR_ARG(g.edges[i].parent), SM_STR_ARG(g.edges[i].child),
                                 (unsigned long long)g.edges[i].calls, (unsigned long long)g.edges[i].errors);
    sm_graph_fini(&g);
}

#define EXPECT_GRAPH(start_ms, end_ms, expected)                                                                       \
    do {                                                                                                               \
        char text_[1024];                                                                                              \
        graph_text(start_ms, end_ms, SM_EDGES_ANY_SOURCE, text_);                                                      \
        cr_expect_str_eq(text_, expected);                                                                             \
    } while (0)

static char *own_metrics(void)
{
    struct sm_buf out = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &out, SM_PROM_TEXT);
    sm_dependency_collect_own(dependency, &p);
    sm_buf_putc(&out, 0);
    return (char *)out.data;
}

static void expect_own(const char *line)
{
    char *text = own_metrics();
    const char *at = strstr(text, line);
    cr_expect(at && at[-1] == '\n' && at[strlen(line)] == '\n', "no line %s in\n%s", line, text);
    free(text);
}

Test(dependency, edges_count_calls_errors_and_latency)
{
    start();
    observe(0, "client web 1 dur=9; server app 2/1 dur=5; client app 3/2 db.name=shop dur=2 failed");
    observe(1, "client web 1; server app 2/1 dur=7 error");
    merge_all();
    EXPECT_GRAPH(0, FOREVER, "app>shop 1/1; web>app 2/1");
    struct sm_graph g;
    sm_dependency_snapshot(dependency, 0, FOREVER, SM_EDGES_ANY_SOURCE, &g);
    const struct sm_graph_edge *e = sm_graph_find(&g, SM_STR("web"), SM_STR("app"));
    cr_assert_not_null(e);
    cr_expect_eq(e->latency.count, 2);
    cr_expect_eq(e->latency.sum_ns, 12 * SM_MS);
    cr_expect_eq(e->types, SM_EDGE_RPC);
    cr_expect_eq(sm_graph_find(&g, SM_STR("app"), SM_STR("shop"))->types, SM_EDGE_DATABASE);
    cr_expect_null(sm_graph_find(&g, SM_STR("app"), SM_STR("web")));
    sm_graph_fini(&g);
    stop();
}

Test(dependency, calls_count_in_the_minute_of_the_callee)
{
    start();
    observe_at(0, "client a 1 start=0; server b 2/1 start=90000");
    observe_at(0, "client c 1 start=60000; server d 2/1 nostart");
    observe_at(0, "client e 1 nostart; server f 2/1 nostart; local e 3/1 start=120000");
    observe_at(180000, "client g 1 nostart; server h 2/1 nostart");
    merge_all();
    int64_t minute = BASE_MS / 60000 * 60000; /* of the base */
    EXPECT_GRAPH(minute + 60000, minute + 120000, "a>b 1/0; c>d 1/0");
    EXPECT_GRAPH(minute + 120000, minute + 180000, "e>f 1/0");
    EXPECT_GRAPH(minute + 180000, minute + 240000, "g>h 1/0");
    EXPECT_GRAPH(minute + 120000 - 1, minute + 180000 + 1, "a>b 1/0; c>d 1/0; e>f 1/0; g>h 1/0");
    EXPECT_GRAPH(minute, minute + 60000, "");
    expect_own("spanmill_graph_times_corrected_total 0");
    stop();
}

Test(dependency, clocks_a_day_away_are_not_believed)
{
    start();
    observe_at(0, "client a 1; server b 2/1 start=86400000");
    observe_at(0, "client c 1; server d 2/1 start=86400001");
    observe_at(0, "client e 1; server f 2/1 start=-86400001");
    merge_all();
    EXPECT_GRAPH(BASE_MS - HOUR_MS, BASE_MS + HOUR_MS, "c>d 1/0; e>f 1/0");
    EXPECT_GRAPH(BASE_MS + 23 * HOUR_MS, BASE_MS + 25 * HOUR_MS, "a>b 1/0");
    expect_own("spanmill_graph_times_corrected_total 2");
    stop();
}

Test(dependency, sources_are_told_apart_and_can_be_forgotten)
{
    char text[1024];
    start();
    observe(0, "client a 1; server b 2/1");
    tb.trace.source = 7;
    observe(0, "client a 1; server b 2/1");
    observe(0, "client a 1; server c 2/1");
    merge_all();
    EXPECT_GRAPH(0, FOREVER, "a>b 2/0; a>c 1/0");
    graph_text(0, FOREVER, 7, text);
    cr_expect_str_eq(text, "a>b 1/0; a>c 1/0");
    sm_dependency_forget_source(dependency, 7);
    EXPECT_GRAPH(0, FOREVER, "a>b 1/0");
    expect_own("spanmill_graph_edges 1");
    stop();
}

Test(dependency, minutes_become_hours_and_days_and_go)
{
    start();
    for (int64_t minute = 0; minute < 10; minute++)
        observe_at(minute * 60000, "client a 1; server b 2/1");
    observe_at(10 * HOUR_MS, "client a 1; server b 2/1");
    merge_all();
    expect_own("spanmill_graph_cells 11");
    uint64_t now_ns = (uint64_t)((BASE_MS + 10 * HOUR_MS) * SM_MS);
    sm_dependency_expire(dependency, now_ns);
    expect_own("spanmill_graph_cells 2");
    EXPECT_GRAPH(0, FOREVER, "a>b 11/0");
    EXPECT_GRAPH(BASE_MS + 5 * HOUR_MS, FOREVER, "a>b 1/0");
    sm_dependency_expire(dependency, now_ns + 8 * 24 * (uint64_t)(HOUR_MS * SM_MS));
    EXPECT_GRAPH(0, FOREVER, "a>b 11/0");
    sm_dependency_expire(dependency, now_ns + 92 * 24 * (uint64_t)(HOUR_MS * SM_MS));
    EXPECT_GRAPH(0, FOREVER, "");
    expect_own("spanmill_graph_edges 0");
    expect_own("spanmill_graph_calls_lost_total 0");
    stop();
}

Test(dependency, past_the_limit_of_edges_calls_go_to_one)
{
    config.edges.edges_max = 2;
    start();
    observe(0, "client a 1; server b 2/1");
    merge_all();
    observe(0, "client a 1; server c 2/1");
    merge_all();
    observe(0, "client a 1; server d 2/1; server e 3/1 error; server b 4/1");
    merge_all();
    EXPECT_GRAPH(0, FOREVER, "(overflow)>(overflow) 2/1; a>b 2/0; a>c 1/0");
    expect_own("spanmill_graph_calls_overflowed_total 2");
    stop();
}

Test(dependency, past_the_limit_of_nodes_names_are_one)
{
    config.nodes_max = 5; /* two are built in, "user" is the third */
    start();
    observe(0, "client a 1; server b 2/1");
    observe(0, "client a 1; server c 2/1; server d 3/1");
    merge_all();
    EXPECT_GRAPH(0, FOREVER, "a>(overflow) 2/0; a>b 1/0");
    stop();
}

Test(dependency, past_the_limit_of_cells_old_ones_are_joined)
{
    config.edges.cells_max = 40;
    start();
    for (int64_t minute = 0; minute < 2000; minute++) {
        observe_at(minute * 60000, "client a 1; server b 2/1");
        merge_all();
    }
    EXPECT_GRAPH(0, FOREVER, "a>b 2000/0");
    char *text = own_metrics();
    const char *cells = strstr(text, "\nspanmill_graph_cells ");
    cr_assert_not_null(cells);
    cr_expect_leq(atoi(cells + 22), 40);
    free(text);
    stop();
}

Test(dependency, service_graph_exposition)
{
    start();
    tb.trace.last_ns = (int64_t)(UINT64_C(1700000009) * SM_SEC);
    observe(
        0,
        "server a 1 dur=1000; client a 2/1 dur=100; server b 3/2 dur=50 failed; client b 4/3 db.name=d dur=100.000001");
    merge_all();
    struct sm_buf out = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &out, SM_PROM_TEXT);
    sm_dependency_collect(dependency, &p);
    sm_buf_putc(&out, 0);
#define AB "client=\"a\",server=\"b\""
#define BD "client=\"b\",server=\"d\",connection_type=\"database\""
#define UA "client=\"user\",server=\"a\",connection_type=\"virtual_node\""
    static const char *const lines[] = {
        "# TYPE traces_service_graph_request_total counter",
        "traces_service_graph_request_total{" AB "} 1",
        "traces_service_graph_request_total{" BD "} 1",
        "traces_service_graph_request_total{" UA "} 1",
        "traces_service_graph_request_failed_total{" AB "} 1",
        "traces_service_graph_request_failed_total{" BD "} 0",
        "# TYPE traces_service_graph_request_server_seconds histogram",
        "traces_service_graph_request_server_seconds_bucket{" AB ",le=\"0.1\"} 1",
        "traces_service_graph_request_server_seconds_bucket{" BD ",le=\"0.1\"} 0",
        "traces_service_graph_request_server_seconds_bucket{" BD ",le=\"0.2\"} 1",
        "traces_service_graph_request_server_seconds_bucket{" UA ",le=\"0.8\"} 0",
        "traces_service_graph_request_server_seconds_bucket{" UA ",le=\"1.6\"} 1",
        "traces_service_graph_request_server_seconds_bucket{" UA ",le=\"12.8\"} 1",
        "traces_service_graph_request_server_seconds_sum{" BD "} 0.100000001",
        "traces_service_graph_request_client_seconds_bucket{" AB ",le=\"0.1\"} 1",
        "traces_service_graph_request_client_seconds_count{" UA "} 0",
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(lines); i++) {
        const char *at = strstr((char *)out.data, lines[i]);
        cr_expect(at && at[strlen(lines[i])] == '\n', "no line %s in\n%s", lines[i], (char *)out.data);
    }
    sm_buf_fini(&out);
    sm_dependency_expire(dependency, UINT64_C(1700000910) * SM_SEC);
    struct sm_series_set set;
    sm_dependency_series(dependency, &set);
    cr_expect_eq(set.count, 0);
    sm_series_set_fini(&set);
    stop();
}

Test(dependency, past_the_limit_of_series_there_is_one)
{
    config.series_max = 1;
    start();
    observe(0, "client a 1; server b 2/1");
    observe(0, "client a 1; server c 2/1; server b 3/1");
    merge_all();
    struct sm_series_set set;
    sm_dependency_series(dependency, &set);
    cr_assert_eq(set.count, 2);
    cr_expect(sm_str_eq(set.series[0].values[3], SM_STR("true")));
    cr_expect_eq(set.series[0].numbers[0], 1);
    cr_expect_eq(set.series[1].numbers[0], 2);
    sm_series_set_fini(&set);
    expect_own("spanmill_service_graph_overflowed_calls_total 1");
    stop();
}

/* Everything that can be read, as one text. */
static char *everything(void)
{
    struct sm_buf out = {0};
    struct sm_graph g;
    sm_dependency_snapshot(dependency, 0, FOREVER, SM_EDGES_ANY_SOURCE, &g);
    for (size_t i = 0; i < g.count; i++) {
        const struct sm_graph_edge *e = &g.edges[i];
        uint64_t counts[SM_HIST_BUCKETS] = {0};
        sm_hist_add_counts(&e->latency, counts);
        sm_buf_printf(&out, "%.*s>%.*s %u %llu/%llu %llu/%llu:", SM_STR_ARG(e->parent), SM_STR_ARG(e->child), e->types,
                      (unsigned long long)e->calls, (unsigned long long)e->errors, (unsigned long long)e->latency.count,
                      (unsigned long long)e->latency.sum_ns);
        for (unsigned b = 0; b < SM_HIST_BUCKETS; b++)
            if (counts[b])
                sm_buf_printf(&out, " %u=%llu", b, (unsigned long long)counts[b]);
        sm_buf_putc(&out, '\n');
    }
    sm_graph_fini(&g);
    struct sm_prom p;
    sm_prom_begin(&p, &out, SM_PROM_OPENMETRICS);
    sm_dependency_collect(dependency, &p);
    sm_dependency_collect_own(dependency, &p);
    sm_prom_end(&p);
    sm_buf_putc(&out, 0);
    return (char *)out.data;
}

Test(dependency, the_number_of_shards_and_the_order_of_merging_do_not_matter)
{
    char *first = NULL;
    for (unsigned run = 0; run < 6; run++) {
        start();
        for (uint64_t seed = 1; seed <= 3000; seed++) {
            struct tb_span spans[RANDOM_TRACE_SPANS_MAX];
            unsigned count = random_trace(seed, spans);
            tb.trace.opened_ns = (int64_t)(tb.base_ns + seed * 7919 % 3001 * SM_SEC);
            tb.trace.last_ns = tb.trace.opened_ns + 7;
            tb.trace.source = seed % 5 == 0;
            ops->observe(shards[run ? seed % (run % 4 + 1) : 0], tb_build(&tb, spans, count), tb.scratch);
            if (seed % (100 + run * 37) == 0)
                ops->ship(shards[seed % 4]);
            if (seed % (70 + run * 11) == 0)
                ops->merge(dependency, shards[(seed + run) % 4]);
        }
        merge_all();
        merge_all();
        char *text = everything();
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

static void *observe_much(void *shard)
{
    struct trace_builder *own = malloc(sizeof *own);
    tb_init(own);
    for (unsigned i = 0; i < 2000; i++) {
        ops->observe(shard,
                     tb_build_text(own, i % 2 ? "server a 1; client a 2/1 peer=b" : "server b 1; client b 2/1 peer=a"),
                     own->scratch);
        if (i % 10 == 0)
            ops->ship(shard);
    }
    tb_fini(own);
    free(own);
    return NULL;
}

/* A shard that observes while the control thread merges, joins and reads. */
Test(dependency, threads, .timeout = 60)
{
    tb_build_text(&tb, "server b 1; server a 2"); /* names get the ids that the other thread gives them */
    start();
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, observe_much, shards[1]), 0);
    for (unsigned i = 0; i < 50; i++) {
        ops->merge(dependency, shards[1]);
        sm_dependency_expire(dependency, tb.base_ns);
        free(everything());
    }
    pthread_join(thread, NULL);
    merge_all();
    merge_all();
    EXPECT_GRAPH(0, FOREVER, "a>b 1000/0; b>a 1000/0");
    stop();
}
