/* bench_store: what the trace store costs. Generated traffic is grouped into traces beforehand; then everything is appended as the
 * store sink does it (batches of 8,192 spans, a sync per second), sealed, opened again, read by id and searched. */
#include "bench/encode.h"
#include "bench/options.h"
#include "store/record.h"
#include "store/store.h"

#include <getopt.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_SPANS = 8192, READS = 5000 };

static const char usage[] = "usage: bench_store [options]\n"
                            "  --dir DIR       where the store is made (a new directory below /tmp); it is left there\n"
                            "  --spans N       (1m)\n"
                            "  --seed N        (1)\n";

struct loaded {
    struct bench_gen *gen;
    struct bench_body *bodies;
    struct sm_record_spans spans;
    struct sm_store_span *described; /* ordered by trace */
    struct sm_store_trace *traces;
    uint32_t trace_count;
};

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SM_SEC + t.tv_nsec;
}

/* ---- preparing ---- */

/* A body is a TracesData: with a record's header in front the store's own reader takes it apart. */
static void decode_body(struct loaded *l, const struct bench_body *body)
{
    enum { HEADER = 80 };
    uint8_t *record = sm_xcalloc(1, HEADER + body->len); /* kept: spans point into it */
    struct sm_store_meta meta;
    sm_store_le32(record, (uint32_t)(HEADER + body->len));
    record[4] = HEADER;
    memcpy(record + HEADER, body->ptr, body->len);
    if (!sm_record_decode(record, (uint32_t)(HEADER + body->len), &meta, &l->spans))
        bench_options_fail("a generated body cannot be decoded");
}

/* Equal resources and scopes become the same view, as interning makes them in the pipeline. */
static struct sm_str intern(struct sm_str text)
{
    static struct sm_str known[4096];
    static uint32_t count;
    for (uint32_t i = 0; i < count; i++) {
        if (sm_str_eq(known[i], text))
            return known[i];
    }
    if (count < SM_ARRAY_LEN(known))
        known[count++] = text;
    return text;
}

static struct sm_trace_id id_of(const struct sm_encode_span *s)
{
    const uint8_t *p = (const uint8_t *)s->bytes.ptr + 2; /* field 1 comes first: tag, length */
    return (struct sm_trace_id){.hi = sm_load_be64(p), .lo = sm_load_be64(p + 8)};
}

static int by_trace(const void *x, const void *y)
{
    const struct sm_store_span *a = x, *b = y;
    int c = sm_trace_id_cmp(id_of(&a->encode), id_of(&b->encode));
    return c ? c : (a->encode.bytes.ptr > b->encode.bytes.ptr) - (a->encode.bytes.ptr < b->encode.bytes.ptr);
}

static int by_end(const void *x, const void *y)
{
    const struct sm_store_trace *a = x, *b = y;
    return (a->meta.end_ns > b->meta.end_ns) - (a->meta.end_ns < b->meta.end_ns);
}

static void describe_all(struct loaded *l)
{
    l->described = sm_xmalloc(l->spans.count * sizeof *l->described);
    struct sm_str resource = {0}, scope = {0}, resource_view = {0}, scope_view = {0};
    for (uint32_t i = 0; i < l->spans.count; i++) {
        struct sm_encode_span *s = &l->spans.spans[i];
        if (s->resource.ptr != resource.ptr)
            resource_view = intern(resource = s->resource);
        if (s->scope.ptr != scope.ptr)
            scope_view = intern(scope = s->scope);
        s->resource = resource_view;
        s->scope = scope_view;
        sm_store_describe(s, &l->described[i]);
    }
    qsort(l->described, l->spans.count, sizeof *l->described, by_trace);
}

static void group_traces(struct loaded *l)
{
    l->traces = sm_xcalloc(l->spans.count, sizeof *l->traces);
    for (uint32_t from = 0, to; from < l->spans.count; from = to) {
        struct sm_store_trace *t = &l->traces[l->trace_count++];
        t->meta.id = id_of(&l->described[from].encode);
        for (to = from; to < l->spans.count && sm_trace_id_eq(id_of(&l->described[to].encode), t->meta.id); to++)
            ;
        t->spans = &l->described[from];
        sm_store_summarise(t->spans, to - from, &t->meta);
        t->meta.verdict = SM_VERDICT_KEPT;
        t->meta.rule = SM_STR("share");
        t->meta.randomness = t->meta.id.lo & (SM_THRESHOLD_NEVER - 1);
    }
    qsort(l->traces, l->trace_count, sizeof *l->traces, by_end);
}

static void load(struct loaded *l, const struct bench_gen_options *options)
{
    l->gen = bench_gen_new(options);
    l->bodies = bench_encode_all(l->gen, BENCH_ENCODING_OTLP_PROTO);
    for (uint32_t i = 0; i < l->gen->requests_n; i++)
        decode_body(l, &l->bodies[i]);
    describe_all(l);
    group_traces(l);
}

/* ---- measuring ---- */

static struct sm_store *open_store(const char *dir)
{
    struct sm_store_options options = {.retention_age_ns = -1, .retention_bytes_max = UINT64_MAX};
    struct sm_store *store;
    struct sm_err err;
    double from = seconds(CLOCK_MONOTONIC);
    if (sm_store_open(dir, &options, now_ns(), &store, &err) != SM_OK)
        bench_options_fail("%s", err.text);
    printf("open                 %10.3f ms\n", (seconds(CLOCK_MONOTONIC) - from) * 1e3);
    return store;
}

static void must(enum sm_rc rc, const struct sm_err *err)
{
    if (rc != SM_OK)
        bench_options_fail("%s", err->text);
}

static void append_all(struct loaded *l, struct sm_store *store)
{
    struct sm_err err;
    uint32_t batched = 0;
    int64_t now = now_ns();
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < l->trace_count; i++) {
        l->traces[i].meta.stored_ns = now;
        must(sm_store_append(store, &l->traces[i], &err), &err);
        batched += l->traces[i].meta.span_count;
        if (batched < BATCH_SPANS && i + 1 < l->trace_count)
            continue;
        batched = 0;
        must(sm_store_commit(store, &err), &err);
        now = now_ns();
        sm_store_tick(store, now);
    }
    must(sm_store_sync(store, NULL, &err), &err);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("append               %10.0f spans/s   %.3f us CPU a span\n", l->spans.count / wall, cpu * 1e6 / l->spans.count);
    double seal = seconds(CLOCK_MONOTONIC);
    must(sm_store_seal(store, &err), &err);
    printf("seal of the rest     %10.3f ms\n", (seconds(CLOCK_MONOTONIC) - seal) * 1e3);
}

static void print_sizes(const struct loaded *l, struct sm_store *store)
{
    struct sm_store_stats stats;
    uint64_t canonical = 0;
    for (uint32_t i = 0; i < l->spans.count; i++)
        canonical += l->spans.spans[i].bytes.len;
    sm_store_stats(store, &stats);
    printf("spans, traces        %10u, %u (canonical bytes a span: %.0f)\n", l->spans.count, l->trace_count,
           (double)canonical / l->spans.count);
    printf("on disk              %10.1f bytes a span (raw %.1f), %u segments, written / size %.3f\n",
           (double)stats.bytes / l->spans.count, (double)stats.bytes_raw / l->spans.count, stats.segments,
           (double)stats.written_bytes / (double)stats.bytes);
}

static bool count_spans(void *ctx, const struct sm_store_found *found)
{
    *(uint64_t *)ctx += found->meta.span_count;
    return true;
}

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void read_by_id(const struct loaded *l, struct sm_store *store)
{
    static double times[READS];
    uint64_t spans = 0;
    for (uint32_t i = 0; i < READS; i++) {
        const struct sm_store_trace *t = &l->traces[(uint64_t)i * 2654435761u % l->trace_count];
        double from = seconds(CLOCK_MONOTONIC);
        if (sm_store_get(store, t->meta.id, SM_STORE_ID_EXACT, count_spans, &spans) != SM_OK)
            bench_options_fail("a trace is missing");
        times[i] = (seconds(CLOCK_MONOTONIC) - from) * 1e6;
    }
    qsort(times, READS, sizeof times[0], compare_doubles);
    printf("read a trace         %10.1f us median, %.1f us p99 (page cache warm)\n", times[READS / 2], times[READS * 99 / 100]);
}

static void search(struct sm_store *store, const char *what, struct sm_store_query query)
{
    struct sm_store_search_stats stats;
    uint64_t spans = 0;
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        double from = seconds(CLOCK_MONOTONIC);
        if (sm_store_search(store, &query, count_spans, &spans, &stats) != SM_OK)
            bench_options_fail("search failed");
        best = SM_MIN(best, seconds(CLOCK_MONOTONIC) - from);
    }
    printf("search %-28s %8.3f ms  %u found, %llu candidates, %llu blocks%s\n", what, best * 1e3, stats.found,
           (unsigned long long)stats.candidates, (unsigned long long)stats.blocks_read, stats.truncated ? ", truncated" : "");
}

static void search_all(const struct loaded *l, struct sm_store *store)
{
    const struct sm_store_trace *some = &l->traces[l->trace_count / 3];
    struct sm_store_query q = sm_store_query_default;
    search(store, "newest 20", q);
    q.service = some->spans[0].service;
    search(store, "service", q);
    q.operation = some->spans[0].name;
    search(store, "service, operation", q);
    q.duration_min_ns = SM_SEC;
    search(store, "service, operation, >= 1 s", q);
    q = sm_store_query_default;
    q.error_only = true;
    q.service = some->spans[0].service;
    search(store, "service, error", q);
    q = sm_store_query_default;
    q.start_min_ns = some->meta.start_ns;
    q.start_max_ns = some->meta.start_ns + 100 * SM_MS;
    search(store, "100 ms of time", q);
    struct sm_store_term term = {.key = SM_STR("no.such.key"), .value = SM_STR("nothing")};
    q = sm_store_query_default;
    q.terms = &term;
    q.term_count = 1;
    q.blocks_max = UINT32_MAX;
    search(store, "tag that is nowhere", q);
    q.service = some->spans[0].service;
    search(store, "service, tag that is nowhere", q);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"dir", required_argument, NULL, 'd'},
                                                 {"spans", required_argument, NULL, 'n'},
                                                 {"seed", required_argument, NULL, 's'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    struct bench_gen_options gen = BENCH_GEN_DEFAULTS;
    char made[] = "/tmp/bench-store-XXXXXX";
    const char *dir = NULL;
    gen.spans = 1000000;
    for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (c == 'd')
            dir = optarg;
        else if (c == 'n')
            gen.spans = (uint32_t)bench_options_count("--spans", optarg);
        else if (c == 's')
            gen.seed = bench_options_count("--seed", optarg);
        else
            bench_options_fail("%s", usage);
    }
    if (!dir)
        dir = mkdtemp(made);
    struct loaded l = {0};
    load(&l, &gen);
    struct sm_store *store = open_store(dir);
    append_all(&l, store);
    print_sizes(&l, store);
    sm_store_close(store);
    store = open_store(dir);
    read_by_id(&l, store);
    search_all(&l, store);
    sm_store_close(store);
    return 0;
}
