/* Counting root spans by the sampler that their client names. The control loop is tested in test_adaptive.c. */
#include "analysis/throughput.h"
#include "trace_builder.h"

#include <criterion/criterion.h>

enum { SHARDS = 2 };
#define MINUTE (60 * SM_SEC)

static struct trace_builder tb;
static struct sm_throughput *throughput;
static struct sm_published_reader *reader;
static void *shards[SHARDS];
static const struct sm_analyzer_ops *const ops = &sm_throughput_ops;

static void setup(void)
{
    tb_init(&tb);
    struct sm_throughput_config config = {.adaptive = {.names = tb.names,
                                                       .target = 1,
                                                       .initial = 0.001,
                                                       .least = 1e-5,
                                                       .tolerance = 0.3,
                                                       .interval_ns = MINUTE,
                                                       .intervals = 1,
                                                       .operations_max = 100}};
    struct sm_err err;
    cr_assert_eq(sm_throughput_config_keys(&config, tb.wanted, &err), SM_OK);
    throughput = sm_throughput_new(&config, MINUTE);
    reader = sm_published_join(sm_throughput_published(throughput));
    for (unsigned i = 0; i < SHARDS; i++)
        shards[i] = ops->shard_new(throughput, i);
}

static void teardown(void)
{
    for (unsigned i = 0; i < SHARDS; i++)
        ops->shard_free(shards[i]);
    sm_throughput_free(throughput);
    tb_fini(&tb);
}

TestSuite(throughput, .init = setup, .fini = teardown);

static void observe(unsigned shard, const char *text, unsigned times)
{
    const struct sm_view *view = tb_build_text(&tb, text);
    for (unsigned i = 0; i < times; i++)
        ops->observe(shards[shard], view, tb.scratch);
}

static void step(int64_t now_ns)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        ops->ship(shards[i]);
        ops->merge(throughput, shards[i]);
    }
    sm_throughput_step(throughput, now_ns);
}

/* "operation=probability ..." of a service. */
static void expect(const char *service, const char *rates)
{
    char found[256] = "";
    uint32_t count;
    const struct sm_rates *table = sm_published_hold(reader);
    cr_assert_not_null(table);
    const struct sm_rate *r = sm_rates_find(table, sm_str_c(service), &count);
    for (uint32_t i = 0; i < count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%.*s=%g ", SM_STR_ARG(r[i].operation), r[i].probability);
    sm_published_let_go(reader);
    cr_expect_str_eq(found, rates, "%s", service);
}

static uint64_t metric(const char *name)
{
    struct sm_buf out = {0};
    struct sm_prom_registry *registry = sm_prom_registry_new();
    sm_prom_registry_add(registry, "throughput", sm_throughput_collect, throughput);
    sm_prom_registry_scrape(registry, SM_PROM_TEXT, NULL, &out);
    sm_buf_putc(&out, '\0');
    char line[80];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr((char *)out.data, line);
    cr_assert_not_null(at, "%s", (char *)out.data);
    uint64_t value = strtoull(at + strlen(line), NULL, 10);
    sm_buf_fini(&out);
    sm_prom_registry_free(registry);
    return value;
}

Test(throughput, there_are_rates_from_the_start)
{
    const struct sm_rates *table = sm_published_hold(reader);
    cr_assert_not_null(table);
    cr_expect_eq(table->initial, 0.001);
    sm_published_let_go(reader);
    expect("shop", "");
}

Test(throughput, roots_of_several_shards)
{
    observe(0, "server shop 1 name=get sampler.type=probabilistic sampler.param=0.5; client shop 2/1 name=call", 240);
    observe(1, "server shop 1 name=get sampler.type=probabilistic sampler.param=0.5", 360);
    observe(1, "server cart 1 name=get jaeger.sampler.type=probabilistic jaeger.sampler.param=1", 60);
    step(MINUTE + SM_SEC);
    expect("shop", "get=0.5 ");
    expect("cart", "get=1 ");
    cr_expect_eq(metric("spanmill_sampling_operations"), 2);
    cr_expect_eq(metric("spanmill_sampling_roots_total"), 660);
    step(2 * MINUTE);
    expect("shop", "get=0.05 ");
    expect("cart", "get=1 ");
}

Test(throughput, spans_of_a_lower_bound_are_no_measure)
{
    observe(0, "server shop 1 name=get sampler.type=lowerbound sampler.param=0.25", 600);
    step(2 * MINUTE);
    expect("shop", "get=0.5 ");
}

Test(throughput, what_is_no_sampled_root_does_not_count)
{
    static const char *const traces[] = {
        "server shop 1",
        "server shop 1/7 sampler.type=probabilistic sampler.param=0.5",
        "server shop 1 sampler.type=const sampler.param=true",
        "server shop 1 sampler.type=ratelimiting sampler.param=2",
        "server shop 1 sampler.type=probabilistic",
        "server shop 1 sampler.param=0.5",
        "server shop 1 sampler.type=probabilistic sampler.param=0",
        "server shop 1 sampler.type=probabilistic sampler.param=1.1",
        "server shop 1 sampler.type=probabilistic sampler.param=-0.5",
        "server shop 1 sampler.type=probabilistic sampler.param=nan",
        "server shop 1 sampler.type=probabilistic sampler.param=0.5x",
        "server shop 1 sampler.type=probabilistic sampler.param=",
        "server shop 1 sampler.type=probabilistic sampler.param=0.50000000000000000000000000000000000000000",
        "server shop 1 sampler.type=probabilistic sampler.param=1e-12",
        "server - 1 sampler.type=probabilistic sampler.param=0.5",
        "server shop 1 sampler.type=probabilistic jaeger.sampler.param=0.5",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(traces); i++) {
        observe(0, traces[i], 1);
        step(MINUTE + SM_SEC);
        cr_expect_eq(metric("spanmill_sampling_roots_total"), 0, "%s", traces[i]);
    }
    expect("shop", "");
    cr_expect_eq(metric("spanmill_sampling_operations"), 0);
}

Test(throughput, nothing_is_lost_while_a_delta_is_away)
{
    observe(0, "server shop 1 name=get sampler.type=probabilistic sampler.param=0.5", 10);
    ops->ship(shards[0]);
    observe(0, "server shop 1 name=get sampler.type=probabilistic sampler.param=0.5", 20);
    ops->ship(shards[0]);
    ops->merge(throughput, shards[0]);
    cr_expect_eq(metric("spanmill_sampling_roots_total"), 10);
    ops->ship(shards[0]);
    ops->merge(throughput, shards[0]);
    cr_expect_eq(metric("spanmill_sampling_roots_total"), 30);
}
