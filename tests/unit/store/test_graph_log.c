/* The dependency graph's files: what was written is read once, whatever happened to the files in between. */
#include "fixture.h"
#include "store/graph_log.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE 28333334 /* 2023-11-14T22:14 */
#define MS     ((int64_t)MINUTE * 60000)
#define NS     ((int64_t)MINUTE * 60 * SM_SEC)
#define FILE_NAME "2023-11-14T22.graph"
#define FOREVER INT64_MAX

static char dir[64], sub[80];
static struct sm_graph_log *log_;
static struct sm_hist_pool pool;

static void open_log(uint64_t run)
{
    struct sm_graph_log_options options = {.run = run};
    struct sm_err err;
    cr_assert_eq(sm_graph_log_open(dir, &options, &log_, &err), SM_OK, "%s", err.text);
}

static void reopen(uint64_t run)
{
    sm_graph_log_close(log_);
    open_log(run);
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "%s", fx_dir());
    snprintf(sub, sizeof sub, "%s/graph", dir);
    sm_hist_pool_init(&pool, SM_MIB);
    open_log(1);
}

static void teardown(void)
{
    sm_graph_log_close(log_);
    sm_hist_pool_fini(&pool);
    fx_rmdir(sub);
    fx_rmdir(dir);
}

TestSuite(graph_log, .init = setup, .fini = teardown);

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", sub, name);
    return path;
}

static struct sm_graph_part part_of(uint64_t run, uint32_t minute, uint32_t number, uint32_t version)
{
    return (struct sm_graph_part){.key = {.run = run, .minute = minute, .minutes = 1, .number = number}, .version = version};
}

/* An edge a -> `child` with so many calls, each as many milliseconds long as there are. */
static void put(struct sm_graph_part *part, const char *child, uint32_t calls)
{
    struct sm_graph_edge edge = {.parent = SM_STR("a"), .child = sm_str_c(child), .types = SM_EDGE_RPC, .calls = calls, .errors = 1};
    sm_hist_observe(&edge.latency, &pool, calls * (uint64_t)SM_MS, calls);
    cr_assert(sm_graph_part_put(part, &edge));
}

static void append(uint64_t run, uint32_t minute, uint32_t number, uint32_t version, const char *child, uint32_t calls)
{
    struct sm_graph_part part = part_of(run, minute, number, version);
    struct sm_err err;
    put(&part, child, calls);
    cr_assert_eq(sm_graph_log_append(log_, &part, &err), SM_OK, "%s", err.text);
    sm_buf_fini(&part.rows);
}

struct seen {
    uint64_t calls, rows;
    uint64_t by_child[26]; /* children are single letters */
};

static void see(void *ctx, const struct sm_graph_edge *edge)
{
    struct seen *s = ctx;
    cr_assert(sm_str_eq(edge->parent, SM_STR("a")));
    cr_assert_eq(edge->child.len, 1);
    cr_assert_eq(edge->errors, 1);
    cr_assert_eq(edge->latency.count, edge->calls);
    cr_assert_eq(edge->latency.sum_ns, edge->calls * edge->calls * SM_MS);
    s->calls += edge->calls;
    s->rows++;
    s->by_child[edge->child.ptr[0] - 'a'] += edge->calls;
}

static struct seen read_range(int64_t start_ms, int64_t end_ms, uint64_t but_run)
{
    struct seen s = {0};
    sm_graph_log_read(log_, start_ms, end_ms, but_run, see, &s);
    return s;
}

static uint64_t calls_now(void)
{
    return read_range(0, FOREVER, 0).calls;
}

static struct sm_graph_log_stats stats(void)
{
    struct sm_graph_log_stats s;
    sm_graph_log_stats(log_, &s);
    return s;
}

static void check_row(void *ctx, const struct sm_graph_edge *edge)
{
    const struct sm_graph_edge **expected = ctx, *e = (*expected)++;
    uint64_t want[SM_HIST_BUCKETS] = {0}, got[SM_HIST_BUCKETS] = {0};
    cr_expect(sm_str_eq(edge->parent, e->parent) && sm_str_eq(edge->child, e->child));
    cr_expect(edge->types == e->types && edge->calls == e->calls && edge->errors == e->errors);
    cr_expect(edge->latency.count == e->latency.count && edge->latency.sum_ns == e->latency.sum_ns);
    sm_hist_add_counts(&e->latency, want);
    sm_hist_add_counts(&edge->latency, got);
    cr_expect_arr_eq(got, want, sizeof want);
}

Test(graph_log, rows_read_as_they_were_put)
{
    struct sm_graph_edge edges[] = {
        {.parent = SM_STR(""), .child = SM_STR("b"), .types = 15, .calls = UINT64_MAX, .errors = 7},
        {.parent = SM_STR(""), .child = SM_STR(""), .calls = 1},
        {.parent = SM_STR("x\0y"), .child = SM_STR("b"), .types = 1, .calls = 300},
    };
    for (uint64_t ns = 1; ns < SM_HIST_NS_MAX; ns = ns * 5 / 4 + 1)
        sm_hist_observe(&edges[0].latency, &pool, ns, (uint32_t)(ns % 1000) + 1);
    sm_hist_observe(&edges[2].latency, &pool, SM_MS, UINT32_MAX);
    sm_hist_observe(&edges[2].latency, &pool, SM_MS, UINT32_MAX); /* the bucket stays at its limit, the count does not */
    struct sm_graph_part part = {0};
    for (unsigned i = 0; i < SM_ARRAY_LEN(edges); i++)
        cr_assert(sm_graph_part_put(&part, &edges[i]));
    const struct sm_graph_edge *at = edges;
    cr_assert(sm_graph_part_rows(sm_buf_str(&part.rows), part.edges, check_row, &at));
    cr_assert_eq(at, edges + SM_ARRAY_LEN(edges));
    for (size_t n = 0; n < part.rows.size; n++) {
        at = edges;
        cr_expect_not(sm_graph_part_rows(sm_str(part.rows.data, n), part.edges, check_row, &at), "%zu", n);
    }
    sm_buf_fini(&part.rows);
}

Test(graph_log, a_name_that_is_too_long_is_cut)
{
    char name[2 * SM_GRAPH_PART_NAME_MAX];
    memset(name, 'n', sizeof name);
    struct sm_graph_edge edge = {.parent = sm_str(name, sizeof name), .child = sm_str(name, sizeof name), .calls = 2};
    struct sm_graph_edge cut = {.parent = sm_str(name, sizeof name / 2), .child = sm_str(name, sizeof name / 2), .calls = 2};
    const struct sm_graph_edge *at = &cut;
    struct sm_graph_part part = {0};
    cr_assert(sm_graph_part_put(&part, &edge));
    cr_assert(sm_graph_part_rows(sm_buf_str(&part.rows), 1, check_row, &at));
    sm_buf_fini(&part.rows);
}

Test(graph_log, parts_are_summed_and_the_same_part_replaces)
{
    append(1, MINUTE, 0, 1, "b", 1);
    append(1, MINUTE, 1, 1, "b", 10);     /* another part */
    append(2, MINUTE, 0, 1, "b", 100);    /* another run */
    append(1, MINUTE + 1, 0, 1, "b", 1000); /* another minute */
    cr_expect_eq(calls_now(), 1111);
    append(1, MINUTE, 0, 2, "b", 2);
    cr_expect_eq(calls_now(), 1112);
    append(1, MINUTE, 0, 1, "b", 5); /* an older version */
    cr_expect_eq(calls_now(), 1112);
    append(1, MINUTE, 0, 2, "b", 3); /* equal versions: the later one */
    cr_expect_eq(calls_now(), 1113);
    cr_expect_eq(read_range(0, FOREVER, 1).calls, 100);
    cr_expect_eq(read_range(0, FOREVER, 2).calls, 1013);
    reopen(7);
    cr_expect_eq(calls_now(), 1113);
    cr_expect_eq(stats().damaged, 0);
}

Test(graph_log, ranges)
{
    struct sm_graph_part day = part_of(1, MINUTE / 1440 * 1440, 9, 0);
    struct sm_err err;
    day.key.minutes = 1440;
    append(1, MINUTE, 0, 0, "b", 1);
    append(1, MINUTE + 1, 0, 0, "b", 10);
    append(1, MINUTE + 60, 0, 0, "b", 100);
    append(1, MINUTE + 1440, 0, 0, "b", 1000);
    cr_expect_eq(read_range(MS, MS + 1, 0).calls, 1);
    cr_expect_eq(read_range(MS - 60000, MS, 0).calls, 0);
    cr_expect_eq(read_range(MS + 59999, MS + 60001, 0).calls, 11);
    cr_expect_eq(read_range(MS + 60 * 60000, FOREVER, 0).calls, 1100);
    put(&day, "b", 20000);
    cr_assert_eq(sm_graph_log_append(log_, &day, &err), SM_OK);
    cr_expect_eq(read_range(MS + 60 * 60000, MS + 61 * 60000, 0).calls, 20100); /* it reaches into the range */
    cr_expect_eq(read_range(MS + 1440 * 60000, FOREVER, 0).calls, 1000);
    sm_buf_fini(&day.rows);
}

static void write_three(void)
{
    append(1, MINUTE, 0, 0, "b", 1);
    append(1, MINUTE + 1, 0, 0, "c", 10);
    append(1, MINUTE + 2, 0, 0, "d", 100);
}

Test(graph_log, torn_at_every_byte)
{
    write_three();
    struct sm_buf whole = fx_read_file(path_of(FILE_NAME));
    for (size_t n = 0; n < whole.size; n++) {
        fx_write_file(path_of(FILE_NAME), whole.data, n);
        reopen(1);
        uint64_t before = calls_now();
        cr_assert(before == 0 || before == 1 || before == 11, "%zu: %llu", n, (unsigned long long)before);
        append(1, MINUTE + 3, 0, 0, "e", 1000);
        cr_assert_eq(calls_now(), before + 1000, "%zu", n);
        append(1, MINUTE + 4, 0, 0, "f", 10000);
        cr_assert_eq(calls_now(), before + 11000, "%zu", n);
        cr_assert_eq(stats().damaged, 0);
    }
    sm_buf_fini(&whole);
}

Test(graph_log, a_torn_tail_is_cut_once)
{
    write_three();
    struct sm_buf whole = fx_read_file(path_of(FILE_NAME));
    fx_write_file(path_of(FILE_NAME), whole.data, whole.size - 1);
    sm_buf_fini(&whole);
    reopen(1);
    append(1, MINUTE + 3, 0, 0, "e", 1000);
    append(1, MINUTE + 4, 0, 0, "f", 10000);
    cr_expect_eq(stats().tails_cut, 1);
    cr_expect_eq(calls_now(), 11011);
}

Test(graph_log, every_damaged_byte_costs_one_record)
{
    write_three();
    struct sm_buf whole = fx_read_file(path_of(FILE_NAME));
    for (size_t i = 0; i < whole.size; i++) {
        whole.data[i] ^= 0x41;
        fx_write_file(path_of(FILE_NAME), whole.data, whole.size);
        whole.data[i] ^= 0x41;
        reopen(1);
        uint64_t calls = calls_now();
        cr_assert(calls == 110 || calls == 101 || calls == 11, "%zu: %llu", i, (unsigned long long)calls);
        cr_assert(stats().damaged == 1 || calls == 11, "%zu", i); /* the last one may look torn */
        append(1, MINUTE + 3, 0, 0, "e", 1000);
        cr_assert_eq(calls_now(), calls + 1000);
    }
    sm_buf_fini(&whole);
}

Test(graph_log, garbage_is_no_reason_to_fail)
{
    uint8_t garbage[200000];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)(i * 2654435761u >> 13);
    fx_write_file(path_of(FILE_NAME), garbage, sizeof garbage);
    fx_write_file(path_of("open.graph"), garbage, sizeof garbage);
    fx_write_file(path_of("2023-99-14T22.graph"), garbage, sizeof garbage);
    fx_write_file(path_of("note.txt"), garbage, sizeof garbage);
    reopen(2);
    cr_expect_eq(calls_now(), 0);
    append(1, MINUTE, 0, 0, "b", 1);
    cr_expect_eq(calls_now(), 1);
    cr_expect(access(path_of("note.txt"), F_OK) == 0);
}

static void checkpoint(const struct sm_graph_part *parts, size_t n)
{
    struct sm_err err;
    cr_assert_eq(sm_graph_log_checkpoint(log_, parts, n, NS, &err), SM_OK, "%s", err.text);
}

Test(graph_log, a_checkpoint_is_taken_over_by_the_next_run)
{
    struct sm_graph_part parts[] = {part_of(1, MINUTE, 0, 1), part_of(1, MINUTE + 70, 1, 1)};
    put(&parts[0], "b", 1);
    put(&parts[1], "b", 10);
    checkpoint(parts, 2);
    checkpoint(parts, 2);
    cr_expect_eq(calls_now(), 0); /* its run has it in memory */
    reopen(2);
    cr_expect_eq(calls_now(), 11);
    cr_expect_neq(access(path_of("open.graph"), F_OK), 0);
    reopen(3);
    cr_expect_eq(calls_now(), 11);
    checkpoint(parts, 2);
    checkpoint(NULL, 0);
    reopen(4);
    cr_expect_eq(calls_now(), 11);
    sm_buf_fini(&parts[0].rows);
    sm_buf_fini(&parts[1].rows);
}

Test(graph_log, what_was_finished_after_the_checkpoint_counts)
{
    struct sm_graph_part part = part_of(1, MINUTE, 0, 1);
    put(&part, "b", 1);
    checkpoint(&part, 1);
    append(1, MINUTE, 0, 2, "b", 5); /* and then the process ends */
    reopen(2);
    cr_expect_eq(calls_now(), 5);
    sm_buf_fini(&part.rows);
}

Test(graph_log, a_damaged_checkpoint_gives_what_it_can)
{
    struct sm_graph_part parts[] = {part_of(1, MINUTE, 0, 1), part_of(1, MINUTE, 1, 1)};
    put(&parts[0], "b", 1);
    put(&parts[1], "b", 10);
    checkpoint(parts, 2);
    struct sm_buf whole = fx_read_file(path_of("open.graph"));
    whole.data[70] ^= 1; /* in the first payload */
    fx_write_file(path_of("open.graph"), whole.data, whole.size);
    reopen(2);
    cr_expect_eq(calls_now(), 10);
    cr_expect_eq(stats().damaged, 1);
    sm_buf_fini(&whole);
    sm_buf_fini(&parts[0].rows);
    sm_buf_fini(&parts[1].rows);
}

static void open_with(int64_t retention_ns, uint64_t bytes_max)
{
    struct sm_graph_log_options options = {.run = 1, .retention_ns = retention_ns, .bytes_max = bytes_max};
    struct sm_err err;
    sm_graph_log_close(log_);
    cr_assert_eq(sm_graph_log_open(dir, &options, &log_, &err), SM_OK);
}

Test(graph_log, retention_removes_whole_hours)
{
    open_with(2 * 3600 * SM_SEC, 0);
    for (uint32_t hour = 0; hour < 5; hour++)
        append(1, MINUTE + hour * 60, 0, 0, "b", 1u << hour);
    sm_graph_log_tend(log_, NS + 4 * 3600 * SM_SEC, false);
    cr_expect_eq(calls_now(), 4 + 8 + 16); /* the third hour ended 74 minutes ago */
    cr_expect_eq(stats().files, 3);
    cr_expect_eq(stats().files_removed, 2);
    sm_graph_log_tend(log_, NS + 5 * 3600 * SM_SEC, false);
    cr_expect_eq(calls_now(), 8 + 16);
}

Test(graph_log, size_is_bounded)
{
    for (uint32_t hour = 0; hour < 5; hour++)
        append(1, MINUTE + hour * 60, 0, 0, "b", 1u << hour);
    sm_graph_log_tend(log_, NS, true);
    uint64_t bytes = stats().bytes;
    open_with(-1, bytes / 2);
    sm_graph_log_tend(log_, NS + 1000 * 3600 * SM_SEC, false);
    cr_expect_eq(calls_now(), 8 + 16);
    cr_expect_leq(stats().bytes, bytes / 2);
    open_with(-1, 1);
    sm_graph_log_tend(log_, NS, false);
    cr_expect_eq(calls_now(), 16); /* the newest one stays */
}
