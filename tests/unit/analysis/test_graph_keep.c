/* The graph outlives the process: whatever the moment at which a run ends, the next one sums every call once. */
#include "../store/fixture.h"
#include "analysis/graph_keep.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MINUTE 28333334
#define NS     ((int64_t)MINUTE * 60 * SM_SEC)

static char dir[64];
static struct sm_names *nodes;
static uint32_t web, shop, stock;
static struct sm_graph_log *log_;
static struct sm_graph_keep *keep;
static struct sm_hist_pool pool;

static void begin(uint64_t run)
{
    struct sm_graph_log_options options = {.run = run};
    struct sm_err err;
    cr_assert_eq(sm_graph_log_open(dir, &options, &log_, &err), SM_OK, "%s", err.text);
    keep = sm_graph_keep_new(log_, nodes);
}

/* As a crash would: nothing is flushed. */
static void end(void)
{
    sm_graph_keep_free(keep);
    sm_graph_log_close(log_);
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "%s", fx_dir());
    sm_hist_pool_init(&pool, SM_MIB);
    nodes = sm_names_new(1000000, 64 << 20);
    web = sm_names_intern(nodes, SM_STR("web"));
    shop = sm_names_intern(nodes, SM_STR("shop"));
    stock = sm_names_intern(nodes, SM_STR("stock"));
    begin(1);
}

static void teardown(void)
{
    char sub[80];
    end();
    sm_names_free(nodes);
    sm_hist_pool_fini(&pool);
    snprintf(sub, sizeof sub, "%s/graph", dir);
    fx_rmdir(sub);
    fx_rmdir(dir);
}

TestSuite(graph_keep, .init = setup, .fini = teardown);

static void add(uint32_t parent, uint32_t child, uint32_t minute, uint16_t source, uint32_t calls)
{
    struct sm_hist latency = {0};
    sm_hist_observe(&latency, &pool, SM_MS, calls);
    sm_graph_keep_add(keep, &(struct sm_edge_calls){.parent = parent, .child = child, .minute = minute, .source = source,
                                                    .types = SM_EDGE_RPC, .calls = calls, .errors = 1, .latency = &latency});
    sm_hist_release(&latency, &pool);
}

static void flush_at(int64_t seconds, bool all)
{
    struct sm_err err;
    cr_assert_eq(sm_graph_keep_flush(keep, NS + seconds * SM_SEC, all, &err), SM_OK, "%s", err.text);
}

/* What the log gives, this run left out. */
static struct sm_graph history(void)
{
    struct sm_graph g = {.end_ms = INT64_MAX};
    sm_graph_keep_history(keep, 1000, &g);
    return g;
}

static uint64_t calls_of(const char *parent, const char *child)
{
    struct sm_graph g = history();
    const struct sm_graph_edge *e = sm_graph_find(&g, sm_str_c(parent), sm_str_c(child));
    uint64_t calls = e ? e->calls : 0;
    cr_expect_eq(calls, e ? e->latency.count : 0);
    sm_graph_fini(&g);
    return calls;
}

static uint64_t finished(void)
{
    struct sm_graph_log_stats s;
    sm_graph_log_stats(log_, &s);
    return s.parts_written;
}

Test(graph_keep, a_crash_loses_what_came_after_the_last_flush)
{
    add(web, shop, MINUTE, 0, 10);
    add(shop, stock, MINUTE, 0, 3);
    flush_at(0, false);
    add(web, shop, MINUTE, 0, 100);
    flush_at(4, false); /* not yet */
    cr_expect_eq(calls_of("web", "shop"), 0, "this run's calls are in memory");
    end();
    begin(2);
    cr_expect_eq(calls_of("web", "shop"), 10);
    cr_expect_eq(calls_of("shop", "stock"), 3);
    add(web, shop, MINUTE, 0, 1000);
    flush_at(10, false);
    flush_at(15, false);
    end();
    begin(3);
    cr_expect_eq(calls_of("web", "shop"), 1010);
    end();
    begin(4);
    cr_expect_eq(calls_of("web", "shop"), 1010);
    cr_expect_eq(calls_of("shop", "stock"), 3);
}

Test(graph_keep, every_step_of_a_minute_counts_once)
{
    /* Calls come for 30 s, are quiet for 30 s, and come again. The run ends after each second in turn. */
    for (int64_t last = 0; last <= 70; last += 5) {
        uint64_t before = calls_of("web", "shop"), flushed = 0;
        for (int64_t s = 0; s <= last; s += 5) {
            if (s <= 30 || s > 60) {
                add(web, shop, MINUTE, 0, 1);
                flushed++;
            }
            flush_at(s, false);
        }
        end();
        begin(100 + (uint64_t)last);
        cr_expect_eq(calls_of("web", "shop"), before + flushed, "%lld", (long long)last);
    }
}

Test(graph_keep, quiet_minutes_are_finished_and_late_calls_make_another_part)
{
    add(web, shop, MINUTE, 0, 10);
    flush_at(0, false);
    add(web, shop, MINUTE, 0, 1);
    add(web, shop, MINUTE + 1, 0, 5);
    flush_at(10, false);
    flush_at(20, false);
    cr_expect_eq(finished(), 0);
    flush_at(30, false);
    cr_expect_eq(finished(), 2);
    flush_at(40, false);
    flush_at(60, false);
    cr_expect_eq(finished(), 2);
    add(web, shop, MINUTE, 0, 100);
    flush_at(70, false);
    flush_at(95, false);
    cr_expect_eq(finished(), 3);
    end();
    begin(2);
    cr_expect_eq(calls_of("web", "shop"), 116);
}

Test(graph_keep, a_minute_that_never_rests_is_finished_too)
{
    for (int64_t s = 0; s <= 605; s += 5) {
        add(web, shop, MINUTE, 0, 1);
        flush_at(s, false);
    }
    cr_expect_eq(finished(), 1);
    flush_at(606, true);
    end();
    begin(2);
    cr_expect_eq(calls_of("web", "shop"), 122);
}

Test(graph_keep, history_is_added_to_a_graph)
{
    add(web, shop, MINUTE, 0, 10);
    add(SM_NAME_OVERFLOW, SM_NAME_OVERFLOW, MINUTE, 0, 7);
    flush_at(0, true);
    end();
    begin(2);
    struct sm_edges edges;
    struct sm_hist none = {0};
    struct sm_graph g;
    sm_edges_init(&edges, &(struct sm_edges_config){.edges_max = 10, .cells_max = 100});
    sm_edges_add(&edges, &(struct sm_edge_calls){.parent = web, .child = shop, .minute = MINUTE, .types = SM_EDGE_PEER, .calls = 5,
                                                 .latency = &none});
    sm_edges_add(&edges, &(struct sm_edge_calls){.parent = shop, .child = web, .minute = MINUTE, .calls = 2, .latency = &none});
    int64_t start_ms = (int64_t)MINUTE * 60000;
    sm_edges_snapshot(&edges, nodes, start_ms, start_ms + 60000, SM_EDGES_ANY_SOURCE, &g);
    sm_graph_keep_history(keep, 1000, &g);
    cr_assert_eq(g.count, 3);
    cr_expect_eq(g.start_ms, start_ms);
    cr_expect_eq(g.end_ms, start_ms + 60000);
    cr_expect_eq(g.calls_overflowed, 7);
    const struct sm_graph_edge *e = sm_graph_find(&g, SM_STR("web"), SM_STR("shop"));
    cr_assert(e);
    cr_expect_eq(e->calls, 15);
    cr_expect_eq(e->errors, 1);
    cr_expect_eq(e->types, SM_EDGE_RPC | SM_EDGE_PEER);
    cr_expect_eq(e->latency.count, 10);
    cr_expect_eq(sm_graph_find(&g, SM_STR("shop"), SM_STR("web"))->calls, 2);
    sm_graph_fini(&g);
    sm_edges_fini(&edges);
}

/* A replay: no run, sources by name. */
static void replay(uint64_t name, uint32_t calls, uint32_t minute)
{
    end();
    begin(0);
    sm_graph_keep_name_source(keep, 0, 1111);
    sm_graph_keep_name_source(keep, 3, name);
    add(web, shop, minute, 3, calls);
    add(shop, stock, minute + 2, 3, calls);
    flush_at(0, true);
    end();
    begin(9);
}

Test(graph_keep, a_recording_replaces_what_it_said_before)
{
    replay(77, 10, MINUTE);
    cr_expect_eq(calls_of("web", "shop"), 10);
    replay(77, 10, MINUTE);
    cr_expect_eq(calls_of("web", "shop"), 10);
    cr_expect_eq(calls_of("shop", "stock"), 10);
    replay(78, 100, MINUTE);
    cr_expect_eq(calls_of("web", "shop"), 110);
    cr_expect_eq(calls_of("shop", "stock"), 110);
}

Test(graph_keep, more_than_there_is_room_for_is_joined_to_hours)
{
    enum { MANY = 300, EDGES = 2000 };
    uint32_t first = MINUTE / 60 * 60, children[EDGES];
    for (uint32_t i = 0; i < EDGES; i++) {
        char name[16];
        children[i] = sm_names_intern(nodes, sm_str(name, (size_t)snprintf(name, sizeof name, "n%u", i)));
    }
    for (uint32_t i = 0; i < MANY * EDGES; i++)
        add(web, children[i % EDGES], first + i / EDGES, 0, 1);
    flush_at(0, true);
    cr_expect_lt(finished(), MANY);
    end();
    begin(2);
    struct sm_graph g = {.end_ms = INT64_MAX};
    sm_graph_keep_history(keep, 10000, &g);
    uint64_t calls = 0;
    for (size_t i = 0; i < g.count; i++)
        calls += g.edges[i].calls;
    cr_expect_eq(calls, MANY * EDGES);
    cr_expect_eq(g.count, EDGES);
    sm_graph_fini(&g);
}

Test(graph_keep, what_cannot_be_written_waits)
{
    struct rlimit limit, none = {0, RLIM_INFINITY};
    struct sm_err err;
    getrlimit(RLIMIT_FSIZE, &limit);
    none.rlim_max = limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    add(web, shop, MINUTE, 0, 10);
    setrlimit(RLIMIT_FSIZE, &none);
    enum sm_rc rc = sm_graph_keep_flush(keep, NS, true, &err);
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_eq(rc, SM_E_IO);
    struct sm_graph_log_stats s;
    sm_graph_log_stats(log_, &s);
    cr_expect_eq(s.write_errors, 2); /* the part, then the checkpoint */
    add(web, shop, MINUTE, 0, 1);
    flush_at(5, false);
    cr_expect_eq(finished(), 1);
    end();
    begin(2);
    cr_expect_eq(calls_of("web", "shop"), 11);
}
