/* Traces into the store and back; failing disks; what counts as delivered. */
#include "sinks/store_sink.h"
#include "base/clock.h"
#include "base/pb.h"
#include "span/attr.h"
#include "span/wanted.h"
#include "tests/unit/sinks/traces.h"
#include "tests/unit/store/fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRACES = 30 };

struct faults {
    int writes_until, syncs_until; /* the call that fails; negative: none */
    int failures;                  /* how many calls fail from there on */
};

static ssize_t failing_write(void *ctx, int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct faults *f = ctx;
    if (f->writes_until >= 0 && f->writes_until-- == 0 && f->failures-- > 0) {
        f->writes_until = 0;
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, bytes, size, (off_t)offset);
}

static int failing_sync(void *ctx, int fd)
{
    struct faults *f = ctx;
    if (f->syncs_until >= 0 && f->syncs_until-- == 0 && f->failures-- > 0) {
        f->syncs_until = 0;
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static const char *rule_name(void *ctx, uint16_t rule)
{
    (void)ctx;
    return rule == SM_RULE_DEFAULT ? "default" : "errors";
}

/* A sink over a store in a new directory. */
struct bench {
    const char *dir;
    struct faults faults;
    struct sm_store *store;
    void *sink;
    struct traces traces;
    uint32_t scope;
    /* how the last write ended */
    unsigned done;
    enum sm_sink_result result;
    uint64_t rejected;
    char why[256];
};

static struct bench *current;

static void bench_open(struct bench *b, int64_t sync_ns)
{
    current = b;
    if (!b->dir)
        b->dir = fx_dir();
    struct sm_store_options options = {.block_bytes = 1024,
                                       .sync_linger_ns = sm_store_sink_linger_ns(sync_ns),
                                       .io = {.ctx = &b->faults, .write = failing_write, .sync = failing_sync}};
    b->store = fx_open(b->dir, &options);
    b->sink = sm_store_sink_new(&(struct sm_store_sink_options){.store = b->store, .sync_ns = sync_ns, .rule_name = rule_name});
    traces_init(&b->traces);
    b->scope = traces_scope(&b->traces, "shop", "lib");
    struct sm_sink_env env = {.names = b->traces.names, .scopes = b->traces.scopes};
    struct sm_err err;
    cr_assert_eq(sm_store_sink_ops.open(b->sink, &env, &err), SM_OK);
}

static void bench_close(struct bench *b)
{
    sm_store_sink_ops.close(b->sink);
    sm_store_close(b->store);
    traces_fini(&b->traces);
    fx_rmdir(b->dir);
}

static const struct faults no_faults = {-1, -1, 0};

static void on_done(struct sm_sink_batch *batch, enum sm_sink_result result, uint64_t rejected, int64_t retry_after_ns,
                    const char *why)
{
    (void)batch;
    (void)retry_after_ns;
    current->done++;
    current->result = result;
    current->rejected = rejected;
    snprintf(current->why, sizeof current->why, "%s", why ? why : "");
}

static enum sm_sink_result offer(struct bench *b, struct sm_sink_batch *batch)
{
    unsigned before = b->done;
    batch->done = on_done;
    sm_store_sink_ops.write(b->sink, batch);
    cr_assert_eq(b->done, before + 1);
    return b->result;
}

static struct sm_trace *make_trace(struct bench *b, uint64_t id, uint32_t spans)
{
    struct sm_trace *t = trace_new(id);
    for (uint32_t i = 0; i < spans; i++)
        trace_add(t, b->scope, id * 100 + i, "get", NULL, SM_STR(""));
    t->deadline_ns = sm_clock_wall_ns();
    t->rule = SM_RULE_DEFAULT;
    t->verdict = SM_VERDICT_KEPT;
    return t;
}

struct seen {
    unsigned calls;
    struct sm_store_meta meta;
    char rule[32], service[32], operation[32];
};

static bool note_found(void *ctx, const struct sm_store_found *found)
{
    struct seen *s = ctx;
    s->calls++;
    s->meta = found->meta;
    snprintf(s->rule, sizeof s->rule, "%.*s", SM_STR_ARG(found->meta.rule));
    snprintf(s->service, sizeof s->service, "%.*s", SM_STR_ARG(found->root_service));
    snprintf(s->operation, sizeof s->operation, "%.*s", SM_STR_ARG(found->root_operation));
    return true;
}

static struct seen get(struct bench *b, uint64_t id)
{
    struct seen s = {0};
    enum sm_rc rc =
        sm_store_get(b->store, (struct sm_trace_id){UINT64_C(0x0102030405060708), id}, SM_STORE_ID_EXACT, note_found, &s);
    cr_assert(rc == SM_OK || (rc == SM_E_NOTFOUND && s.calls == 0));
    return s;
}

static uint32_t count_present(struct bench *b, uint32_t spans)
{
    uint32_t n = 0;
    for (uint64_t id = 1; id <= TRACES; id++) {
        struct seen s = get(b, id);
        n += s.calls == 1 && s.meta.span_count == spans;
    }
    return n;
}

static void make_traces(struct bench *b, struct sm_trace **traces, uint32_t spans)
{
    for (uint32_t i = 0; i < TRACES; i++)
        traces[i] = make_trace(b, i + 1, spans);
}

static void free_traces(struct sm_trace **traces)
{
    for (uint32_t i = 0; i < TRACES; i++)
        trace_free(traces[i]);
}

Test(store_sink, what_the_pipeline_knows_is_stored)
{
    struct bench b = {.faults = no_faults};
    bench_open(&b, SM_SEC);
    struct sm_trace *t = make_trace(&b, 7, 3);
    t->rule = 0;
    t->trigger = SM_TRIGGER_MEMORY;
    t->threshold = 123;
    t->randomness = 456;
    t->counted_out = true;
    struct sm_sink_batch batch = batch_of((const struct sm_trace *[]){t}, 1);
    cr_assert_eq(offer(&b, &batch), SM_SINK_OK);
    struct seen s = get(&b, 7); /* readable as soon as it is delivered */
    cr_assert_eq(s.calls, 1);
    cr_expect_eq(s.meta.span_count, 3);
    cr_expect_eq(s.meta.start_ns, 1000);
    cr_expect_eq(s.meta.end_ns, 2000);
    cr_expect_eq(s.meta.stored_ns, t->deadline_ns);
    cr_expect_eq(s.meta.threshold, 123);
    cr_expect_eq(s.meta.randomness, 456);
    cr_expect_eq(s.meta.verdict, SM_VERDICT_KEPT);
    cr_expect_eq(s.meta.trigger, SM_TRIGGER_MEMORY);
    cr_expect_eq(s.meta.marks, SM_STORE_PARTIAL | SM_STORE_COUNTED_OUT);
    cr_expect_str_eq(s.rule, "errors");
    cr_expect_str_eq(s.service, "shop");
    cr_expect_str_eq(s.operation, "get");
    trace_free(t);
    bench_close(&b);
}

/* A client span whose header has a side record for peer.service. */
static struct sm_trace *trace_with_peer(struct bench *b)
{
    uint8_t any[32], kv[64], bytes[128];
    uint8_t *v = sm_pb_put_bytes(any, 1, "database", 8);
    uint8_t *p = sm_pb_put_bytes(kv, 1, "peer.service", 12);
    size_t any_at = (size_t)(p - kv) + 1; /* behind the tag: the length */
    p = sm_pb_put_bytes(p, 2, any, (size_t)(v - any));
    uint8_t *end = sm_pb_put_bytes(bytes, SM_OTLP_NAME, "query", 5);
    size_t kv_size = (size_t)(p - kv), kv_at = (size_t)(end - bytes) + 2;
    end = sm_pb_put_bytes(end, SM_OTLP_ATTRIBUTES, kv, kv_size);
    end = sm_pb_put_uint(end, SM_OTLP_KIND, SM_KIND_CLIENT);
    end = sm_pb_put_bytes(end, SM_OTLP_STATUS, "\x18\x02", 2);
    struct sm_trace *t = trace_new(9);
    uint32_t size = (uint32_t)(end - bytes);
    struct {
        struct sm_span span;
        uint32_t records[2];
    } head = {.span = {.span_id = 1,
                       .start_ns = 5000,
                       .duration_ns = 10,
                       .scope_id = b->scope,
                       .size = size,
                       .flags = SM_SPAN_ERROR,
                       .kind_status = SM_KIND_CLIENT,
                       .n_wanted = 1},
              .records = {SM_WANTED_RECORD(SM_SLOT_PEER_SERVICE, kv_at + any_at)}};
    sm_trace_put(t, &head.span, bytes);
    sm_trace_settle(t);
    t->span_count = 1;
    t->bytes = size;
    t->deadline_ns = sm_clock_wall_ns();
    t->rule = SM_RULE_DEFAULT;
    return t;
}

Test(store_sink, peers_and_errors_are_searchable)
{
    struct bench b = {.faults = no_faults};
    bench_open(&b, SM_SEC);
    struct sm_trace *t = trace_with_peer(&b);
    struct sm_sink_batch batch = batch_of((const struct sm_trace *[]){t}, 1);
    cr_assert_eq(offer(&b, &batch), SM_SINK_OK);
    struct sm_store_query query = sm_store_query_default;
    struct seen s = {0};
    query.remote_service = SM_STR("database");
    query.kind = SM_KIND_CLIENT;
    query.error_only = true;
    query.operation = SM_STR("query");
    cr_assert_eq(sm_store_search(b.store, &query, note_found, &s, NULL), SM_OK);
    cr_expect_eq(s.calls, 1);
    cr_expect_str_eq(s.rule, "default");
    trace_free(t);
    bench_close(&b);
}

/* Whatever call fails, in the end everything is there exactly once. */
static void fail_the_nth(int64_t sync_ns, bool sync)
{
    unsigned again = 0;
    for (int nth = 0; nth < 12; nth++) {
        struct bench b = {.faults = {sync ? -1 : nth, sync ? nth : -1, 2}};
        struct sm_trace *traces[TRACES];
        bench_open(&b, sync_ns);
        make_traces(&b, traces, 4);
        struct sm_sink_batch batch = batch_of((const struct sm_trace **)traces, TRACES);
        unsigned attempts = 1;
        while (offer(&b, &batch) == SM_SINK_AGAIN) {
            cr_assert_neq(b.why[0], '\0');
            cr_assert_leq(batch.spans_done, batch.spans);
            cr_assert_leq(++attempts, 4);
        }
        again += attempts > 1;
        cr_assert_eq(b.result, SM_SINK_OK);
        cr_assert_eq(b.rejected, 0);
        cr_assert_eq(count_present(&b, 4), TRACES, "call %d", nth);
        struct sm_store_stats stats;
        sm_store_stats(b.store, &stats);
        cr_assert_eq(stats.traces, TRACES, "call %d: %lu records", nth, (unsigned long)stats.traces);
        if (sync_ns == 0)
            cr_assert_eq(stats.durable, stats.written);
        free_traces(traces);
        bench_close(&b);
    }
    cr_assert_geq(again, sync ? 1 : 5);
}

Test(store_sink, a_full_disk_loses_nothing_and_doubles_nothing)
{
    fail_the_nth(SM_SEC, false);
}

Test(store_sink, a_failed_sync_is_not_delivered_when_delivery_means_durable)
{
    fail_the_nth(0, true);
}

/* What was written before the failure is told, so that giving up counts right. */
Test(store_sink, progress_is_that_of_the_file)
{
    struct bench b = {.faults = {3, -1, 1000}};
    struct sm_trace *traces[TRACES];
    bench_open(&b, SM_SEC);
    make_traces(&b, traces, 4);
    struct sm_sink_batch batch = batch_of((const struct sm_trace **)traces, TRACES);
    cr_assert_eq(offer(&b, &batch), SM_SINK_AGAIN);
    uint64_t done = batch.spans_done;
    cr_expect_gt(done, 0);
    cr_expect_lt(done, batch.spans);
    cr_expect_eq(count_present(&b, 4) * 4, done);
    cr_assert_eq(offer(&b, &batch), SM_SINK_AGAIN);
    cr_expect_eq(batch.spans_done, done);
    b.faults = no_faults;
    cr_assert_eq(offer(&b, &batch), SM_SINK_OK);
    cr_expect_eq(batch.spans_done, batch.spans);
    free_traces(traces);
    bench_close(&b);
}

/* A scope whose resource does not fit into a record. */
static uint32_t huge_scope(struct bench *b)
{
    size_t size = SM_STORE_RECORD_BYTES_MAX;
    uint8_t *text = calloc(1, size), *bytes = malloc(size + 16);
    size_t n = (size_t)(sm_pb_put_bytes(bytes, 99, text, size) - bytes);
    const struct sm_resource *r = sm_scopes_cache_resource(b->traces.cache, sm_str(bytes, n), SM_STR(""), 1);
    free(text);
    free(bytes);
    return sm_scopes_cache_scope(b->traces.cache, r, SM_STR(""), SM_STR(""), 1)->id;
}

Test(store_sink, a_span_too_large_for_the_store_is_refused_alone)
{
    struct bench b = {.faults = no_faults};
    bench_open(&b, SM_SEC);
    struct sm_trace *before = make_trace(&b, 1, 2), *after = make_trace(&b, 3, 1), *big = make_trace(&b, 2, 1);
    ((struct sm_span *)big->chunks->data)->scope_id = huge_scope(&b);
    struct sm_sink_batch batch = batch_of((const struct sm_trace *[]){before, big, after}, 3);
    cr_assert_eq(offer(&b, &batch), SM_SINK_OK);
    cr_expect_eq(b.rejected, 1);
    cr_expect_neq(b.why[0], '\0');
    cr_expect_eq(get(&b, 1).calls, 1);
    cr_expect_eq(get(&b, 2).calls, 0);
    cr_expect_eq(get(&b, 3).calls, 1);
    trace_free(before);
    trace_free(after);
    trace_free(big);
    bench_close(&b);
}

Test(store_sink, the_waiting_time_fits_into_what_was_asked_for)
{
    cr_expect_eq(sm_store_sink_linger_ns(0), 1);
    for (int64_t sync = SM_MS; sync <= 3600 * SM_SEC; sync *= 3) {
        int64_t linger = sm_store_sink_linger_ns(sync);
        cr_expect_geq(linger, 1);
        cr_expect_lt(linger, sync);
    }
}
