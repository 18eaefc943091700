/* Search semantics by table, and random queries against a brute-force oracle over active, sealed, mixed and rebuilt segments. */
#include "tests/unit/store/fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <strings.h>

static void commit(struct sm_store *store)
{
    struct sm_err err = {0};
    cr_assert_eq(sm_store_commit(store, &err), SM_OK, "%s", err.text);
}

static void seal(struct sm_store *store)
{
    struct sm_err err = {0};
    cr_assert_eq(sm_store_seal(store, &err), SM_OK, "%s", err.text);
}

/* ---- semantics ---- */

/* One trace: gateway (root, 100 ms) -> Cart (40 ms, failed) and gateway's own step. */
static const struct fx_span shop[] = {
    {.service = "gateway", .name = "GET /buy", .id = 1, .start_us = 1000000, .duration_us = 100000, .kind = SM_KIND_SERVER,
     .attributes = {"http.status_code", "#200", "region", "north"}, .event = "accepted", .scope = "io.http"},
    {.service = "Cart", .name = "add", .id = 2, .parent = 1, .start_us = 1010000, .duration_us = 40000, .kind = SM_KIND_CLIENT,
     .status = SM_STATUS_ERROR, .status_message = "sold out", .attributes = {"peer.service", "redis", "item", "book"},
     .resource_attribute = {"pod", "c-1"}},
    {.service = "gateway", .name = "render", .id = 3, .parent = 1, .start_us = 1060000, .duration_us = 5000,
     .kind = SM_KIND_INTERNAL, .attributes = {"template", "buy.html"}, .trace_state = "a=b"},
};

#define TERM(k, v)  {.key = SM_STR(k), .value = SM_STR(v)}
#define HAS(k)      {.key = SM_STR(k), .any_value = true}
#define MS(x)       ((x)*UINT64_C(1000000))

struct expectation {
    const char *what;
    struct sm_store_term terms[3];
    struct sm_store_query query; /* kind 0 means any here */
    bool span, trace;            /* does it match on one span, on the trace? */
};

static const struct expectation expectations[] = {
    {"everything", {{.any_value = false}}, {.limit = 0}, true, true},
    {"service", {{.any_value = false}}, {.service = SM_STR("Cart")}, true, true},
    {"service, other case", {{.any_value = false}}, {.service = SM_STR("cart")}, false, false},
    {"service, case folded", {{.any_value = false}}, {.service = SM_STR("cart"), .fold_case = true}, true, true},
    {"service unknown", {{.any_value = false}}, {.service = SM_STR("Car")}, false, false},
    {"operation", {{.any_value = false}}, {.operation = SM_STR("add")}, true, true},
    {"operation of the service", {{.any_value = false}}, {.service = SM_STR("gateway"), .operation = SM_STR("render")}, true, true},
    {"operation of another service", {{.any_value = false}}, {.service = SM_STR("gateway"), .operation = SM_STR("add")}, false, false},
    {"remote service", {{.any_value = false}}, {.service = SM_STR("Cart"), .remote_service = SM_STR("redis")}, true, true},
    {"remote of another service", {{.any_value = false}}, {.service = SM_STR("gateway"), .remote_service = SM_STR("redis")}, false, false},
    {"kind", {{.any_value = false}}, {.kind = SM_KIND_CLIENT}, true, true},
    {"kind of the service", {{.any_value = false}}, {.service = SM_STR("gateway"), .kind = SM_KIND_CLIENT}, false, false},
    {"kind and operation of two spans", {{.any_value = false}},
     {.service = SM_STR("gateway"), .operation = SM_STR("render"), .kind = SM_KIND_SERVER}, false, true},
    {"error only", {{.any_value = false}}, {.error_only = true}, true, true},
    {"error of the service", {{.any_value = false}}, {.service = SM_STR("gateway"), .error_only = true}, false, false},
    {"number as text", {TERM("http.status_code", "200")}, {.limit = 0}, true, true},
    {"number, other value", {TERM("http.status_code", "20")}, {.limit = 0}, false, false},
    {"tag of another service", {TERM("item", "book")}, {.service = SM_STR("gateway")}, false, false},
    {"tags of one span", {TERM("region", "north"), TERM("http.status_code", "200")}, {.limit = 0}, true, true},
    {"tags of two spans", {TERM("region", "north"), TERM("template", "buy.html")}, {.service = SM_STR("gateway")}, false, true},
    {"tag and operation of two spans", {TERM("region", "north")},
     {.service = SM_STR("gateway"), .operation = SM_STR("render")}, false, true},
    {"resource attribute", {TERM("pod", "c-1")}, {.limit = 0}, true, true},
    {"resource attribute, prefixed", {TERM("resource.pod", "c-1")}, {.limit = 0}, true, true},
    {"service.name as a tag", {TERM("service.name", "Cart")}, {.limit = 0}, true, true},
    {"prefix is not for span attributes", {TERM("resource.item", "book")}, {.limit = 0}, false, false},
    {"bare word: key", {HAS("template")}, {.limit = 0}, true, true},
    {"bare word: event", {HAS("accepted")}, {.limit = 0}, true, true},
    {"bare word: neither", {HAS("north")}, {.limit = 0}, false, false},
    {"event by name", {TERM("event", "accepted")}, {.limit = 0}, true, true},
    {"error tag", {TERM("error", "true")}, {.limit = 0}, true, true},
    {"error tag of the service", {TERM("error", "true")}, {.service = SM_STR("gateway")}, false, false},
    {"error is false", {TERM("error", "false")}, {.service = SM_STR("gateway")}, true, true},
    {"bare error", {HAS("error")}, {.service = SM_STR("Cart")}, true, true},
    {"error by the status's message", {TERM("error", "sold out")}, {.limit = 0}, true, true},
    {"error by another message", {TERM("error", "sold")}, {.limit = 0}, false, false},
    {"status message", {TERM("otel.status_description", "sold out")}, {.limit = 0}, true, true},
    {"status code", {TERM("otel.status_code", "ERROR")}, {.limit = 0}, true, true},
    {"span kind tag", {TERM("span.kind", "client")}, {.limit = 0}, true, true},
    {"span kind tag, other", {TERM("span.kind", "consumer")}, {.limit = 0}, false, false},
    {"scope name", {TERM("otel.scope.name", "io.http")}, {.limit = 0}, true, true},
    {"tracestate", {TERM("w3c.tracestate", "a=b")}, {.limit = 0}, true, true},
    {"tracestate, other", {TERM("w3c.tracestate", "a")}, {.limit = 0}, false, false},
    {"duration", {{.any_value = false}}, {.duration_min_ns = MS(100)}, true, true},
    {"duration too long", {{.any_value = false}}, {.duration_min_ns = MS(101)}, false, false},
    {"duration of the service", {{.any_value = false}}, {.service = SM_STR("Cart"), .duration_min_ns = MS(41)}, false, false},
    {"duration between", {{.any_value = false}}, {.duration_min_ns = MS(30), .duration_max_ns = MS(50)}, true, true},
    {"duration between, none", {{.any_value = false}}, {.duration_min_ns = MS(50), .duration_max_ns = MS(90)}, false, false},
    {"duration and tag of two spans", {TERM("template", "buy.html")}, {.service = SM_STR("gateway"), .duration_min_ns = MS(90)},
     false, true},
    {"span starts in range, root before", {{.any_value = false}}, {.service = SM_STR("Cart"), .start_min_ns = MS(1005), .start_max_ns = MS(1020)},
     true, false},
    {"root in range", {{.any_value = false}}, {.start_min_ns = MS(1000), .start_max_ns = MS(1000)}, true, true},
    {"after the trace", {{.any_value = false}}, {.start_min_ns = MS(1101)}, false, false},
    {"before the trace", {{.any_value = false}}, {.start_max_ns = MS(999)}, false, false},
    {"inside the trace, no start there", {{.any_value = false}}, {.start_min_ns = MS(1070), .start_max_ns = MS(1080)}, false, false},
};

static void check_expectations(struct sm_store *store, const char *state)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(expectations); i++) {
        const struct expectation *e = &expectations[i];
        struct sm_store_query query = e->query;
        query.terms = e->terms;
        query.kind = e->query.kind ? e->query.kind : SM_STORE_KIND_ANY;
        while (query.term_count < 3 && e->terms[query.term_count].key.len)
            query.term_count++;
        query.match = SM_STORE_MATCH_SPAN;
        cr_expect_eq(fx_search(store, &query, NULL, 0), e->span, "%s, one span, %s", e->what, state);
        query.match = SM_STORE_MATCH_TRACE;
        cr_expect_eq(fx_search(store, &query, NULL, 0), e->trace, "%s, whole trace, %s", e->what, state);
    }
}

Test(search, semantics)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_trace t = fx_trace(fx_id(1), shop, SM_ARRAY_LEN(shop));
    fx_append(store, &t);
    commit(store);
    check_expectations(store, "active");
    seal(store);
    check_expectations(store, "sealed");
    sm_store_close(store);
    fx_trace_free(&t);
    fx_rmdir(dir);
}

/* Conditions that hold on the trace as a whole are found although its parts lie apart. */
Test(search, conditions_over_parts)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_trace first = fx_trace(fx_id(1), shop, 2), late = fx_trace(fx_id(1), shop + 2, 1);
    fx_append(store, &first);
    seal(store);
    fx_append(store, &late);
    commit(store);
    check_expectations(store, "in parts");
    sm_store_close(store);
    fx_trace_free(&first);
    fx_trace_free(&late);
    fx_rmdir(dir);
}

Test(search, newest_first_up_to_the_limit_over_segments)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    fx_append_numbered(store, 0, 50, 2);
    seal(store);
    fx_append_numbered(store, 50, 100, 2);
    fx_append_numbered(store, 20, 25, 1); /* again, in a newer segment: parts */
    seal(store);
    fx_append_numbered(store, 100, 120, 2);
    commit(store);
    struct sm_store_query query = sm_store_query_default;
    uint64_t numbers[120];
    query.limit = 110;
    cr_assert_eq(fx_search(store, &query, numbers, 120), 110);
    for (uint64_t i = 0; i < 110; i++)
        cr_assert_eq(numbers[i], 119 - i);
    query.limit = SM_STORE_LIMIT_MAX + 1;
    cr_assert_eq(sm_store_search(store, &query, NULL, NULL, NULL), SM_E_INVALID);
    sm_store_close(store);
    fx_rmdir(dir);
}

static bool count_found(void *ctx, const struct sm_store_found *found)
{
    (void)found;
    ++*(uint32_t *)ctx;
    return true;
}

Test(search, work_is_bounded_and_says_so)
{
    const char *dir = fx_dir();
    struct sm_store_options options = {.block_bytes = 1024};
    struct sm_store *store = fx_open(dir, &options);
    fx_append_numbered(store, 0, 500, 2);
    seal(store);
    struct sm_store_query query = sm_store_query_default;
    struct sm_store_search_stats stats;
    uint32_t count = 0;
    query.terms = &(struct sm_store_term)TERM("no such key", "x");
    query.term_count = 1;
    query.blocks_max = 10;
    cr_assert_eq(sm_store_search(store, &query, count_found, &count, &stats), SM_OK);
    cr_assert(stats.truncated);
    cr_assert_leq(stats.blocks_read, 11);
    query.blocks_max = 0;
    cr_assert_eq(sm_store_search(store, &query, count_found, &count, &stats), SM_OK);
    cr_assert_not(stats.truncated);
    cr_assert_eq(count, 0);
    sm_store_close(store);
    fx_rmdir(dir);
}

static bool odd_only(void *ctx, const struct sm_store_found *found)
{
    (void)ctx;
    return found->meta.id.lo % 2;
}

Test(search, accept_decides_last)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    fx_append_numbered(store, 0, 20, 2);
    commit(store);
    struct sm_store_query query = sm_store_query_default;
    uint64_t numbers[20];
    query.accept = odd_only;
    cr_assert_eq(fx_search(store, &query, numbers, 20), 10);
    cr_assert_eq(numbers[0], 19);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(search, a_start_in_the_far_future_does_not_come_first_for_ever)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_trace t = fx_numbered(1, 2);
    t.trace.meta.start_ns = t.trace.meta.end_ns = UINT64_MAX - 5;
    fx_append(store, &t);
    fx_append_numbered(store, 2, 5, 2);
    seal(store);
    fx_append_numbered(store, 10, 12, 2);
    commit(store);
    struct sm_store_query query = sm_store_query_default;
    uint64_t numbers[10];
    cr_assert_eq(fx_search(store, &query, numbers, 10), 6);
    cr_assert_eq(numbers[0], 11);
    sm_store_close(store);
    fx_trace_free(&t);
    fx_rmdir(dir);
}

/* Names that do not fit into the dictionary are found by looking at the spans. */
Test(search, names_beyond_the_dictionary)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct fx_span span[] = {{.service = "s", .name = name, .id = 1, .start_us = 1000, .duration_us = 5}};
    struct fx_trace t = fx_trace(fx_id(1), span, 1);
    fx_append(store, &t);
    fx_append_numbered(store, 2, 10, 2);
    commit(store);
    struct sm_store_query query = sm_store_query_default;
    query.operation = sm_str_c(name);
    cr_assert_eq(fx_search(store, &query, NULL, 0), 1);
    seal(store);
    cr_assert_eq(fx_search(store, &query, NULL, 0), 1);
    sm_store_close(store);
    fx_trace_free(&t);
    fx_rmdir(dir);
}

/* ---- random queries against an oracle ---- */

enum { WORLD_TRACES = 300, SPANS_MAX = 5 };

static const char *const services[] = {"a", "B", "cc", "b"};
static const char *const names[] = {"x", "Y", "z"};
static const char *const values[] = {"red", "blue", "#7"};

struct world {
    uint64_t seed;
    struct fx_span spans[WORLD_TRACES][SPANS_MAX];
    uint32_t counts[WORLD_TRACES];
};

static uint64_t draw(struct world *w, uint64_t n)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 11) % n;
}

static void make_world(struct world *w)
{
    for (uint32_t t = 0; t < WORLD_TRACES; t++) {
        w->counts[t] = 1 + (uint32_t)draw(w, SPANS_MAX);
        uint64_t start = 1000000 + draw(w, 100000);
        for (uint32_t i = 0; i < w->counts[t]; i++) {
            struct fx_span *s = &w->spans[t][i];
            *s = (struct fx_span){.service = services[draw(w, 4)],
                                  .name = names[draw(w, 3)],
                                  .id = t * 10 + i + 1,
                                  .parent = i ? t * 10 + 1 : 0,
                                  .start_us = start + draw(w, 1000),
                                  .duration_us = draw(w, 2000),
                                  .kind = (enum sm_kind)draw(w, 6),
                                  .status = draw(w, 8) == 0 ? SM_STATUS_ERROR : SM_STATUS_UNSET};
            if (draw(w, 2))
                s->attributes[0] = "color", s->attributes[1] = values[draw(w, 3)];
            if (draw(w, 4) == 0)
                s->attributes[s->attributes[0] ? 2 : 0] = "peer.service",
                s->attributes[s->attributes[0] && s->attributes[0][0] == 'c' ? 3 : 1] = services[draw(w, 4)];
        }
    }
}

static const char *attribute(const struct fx_span *s, const char *key)
{
    for (unsigned i = 0; i < 8 && s->attributes[i]; i += 2) {
        if (strcmp(s->attributes[i], key) == 0)
            return s->attributes[i + 1][0] == '#' ? s->attributes[i + 1] + 1 : s->attributes[i + 1];
    }
    return NULL;
}

static bool same(struct sm_str wanted, const char *have, bool fold)
{
    if (!wanted.len)
        return true;
    return have && strlen(have) == wanted.len &&
           (fold ? strncasecmp(have, wanted.ptr, wanted.len) : strncmp(have, wanted.ptr, wanted.len)) == 0;
}

static bool oracle_term(const struct sm_store_query *q, const struct fx_span *s)
{
    const char *value = attribute(s, "color");
    return !q->term_count || (value && (q->terms[0].any_value || same(q->terms[0].value, value, false)));
}

static bool oracle_duration(const struct sm_store_query *q, const struct fx_span *s)
{
    uint64_t ns = s->duration_us * 1000;
    return ns >= q->duration_min_ns && (!q->duration_max_ns || ns <= q->duration_max_ns);
}

static bool oracle_time(const struct sm_store_query *q, uint64_t start_us)
{
    return start_us * 1000 >= q->start_min_ns && (!q->start_max_ns || start_us * 1000 <= q->start_max_ns);
}

static bool oracle_span(const struct sm_store_query *q, const struct fx_span *s)
{
    return same(q->service, s->service, q->fold_case) && same(q->operation, s->name, q->fold_case) &&
           same(q->remote_service, attribute(s, "peer.service"), q->fold_case) &&
           (q->kind == SM_STORE_KIND_ANY || q->kind == (int)s->kind) && oracle_duration(q, s) && oracle_term(q, s) &&
           oracle_time(q, s->start_us) && (!q->error_only || s->status == SM_STATUS_ERROR);
}

static bool oracle_trace(const struct sm_store_query *q, const struct fx_span *spans, uint32_t count)
{
    bool met[7] = {false};
    for (uint32_t i = 0; i < count; i++) {
        const struct fx_span *s = &spans[i];
        if (!same(q->service, s->service, q->fold_case))
            continue;
        met[0] = true;
        met[1] |= same(q->operation, s->name, q->fold_case);
        met[2] |= same(q->remote_service, attribute(s, "peer.service"), q->fold_case);
        met[3] |= q->kind == SM_STORE_KIND_ANY || q->kind == (int)s->kind;
        met[4] |= oracle_duration(q, s);
        met[5] |= oracle_term(q, s);
        met[6] |= !q->error_only || s->status == SM_STATUS_ERROR;
    }
    for (int i = 0; i < 7; i++) {
        if (!met[i])
            return false;
    }
    return oracle_time(q, spans[0].start_us);
}

static struct sm_store_query random_query(struct world *w, struct sm_store_term *term)
{
    struct sm_store_query q = sm_store_query_default;
    q.match = draw(w, 2) ? SM_STORE_MATCH_SPAN : SM_STORE_MATCH_TRACE;
    q.fold_case = draw(w, 3) == 0;
    q.limit = 1000;
    if (draw(w, 2))
        q.service = sm_str_c(services[draw(w, 4)]);
    if (draw(w, 3) == 0)
        q.operation = sm_str_c(names[draw(w, 3)]);
    if (draw(w, 5) == 0)
        q.remote_service = sm_str_c(services[draw(w, 4)]);
    if (draw(w, 5) == 0)
        q.kind = (int)draw(w, 6);
    if (draw(w, 4) == 0)
        q.duration_min_ns = draw(w, 2000) * 1000;
    if (draw(w, 6) == 0)
        q.duration_max_ns = 1 + draw(w, 2000) * 1000;
    if (draw(w, 4) == 0) {
        q.start_min_ns = (1000000 + draw(w, 100000)) * 1000;
        q.start_max_ns = q.start_min_ns + draw(w, 50000) * 1000;
    }
    q.error_only = draw(w, 6) == 0;
    if (draw(w, 3) == 0) {
        const char *value = values[draw(w, 3)];
        *term = (struct sm_store_term){
            .key = SM_STR("color"), .value = sm_str_c(value[0] == '#' ? value + 1 : value), .any_value = draw(w, 4) == 0};
        q.terms = term;
        q.term_count = 1;
    }
    return q;
}

struct hits {
    bool trace[WORLD_TRACES];
    uint32_t count;
    uint64_t last_start;
    bool ordered;
};

static bool take_hit(void *ctx, const struct sm_store_found *found)
{
    struct hits *h = ctx;
    h->trace[found->meta.id.lo - 1] = true;
    h->ordered &= found->meta.start_ns <= h->last_start;
    h->last_start = found->meta.start_ns;
    h->count++;
    return true;
}

static void check_query(struct world *w, struct sm_store *store, const struct sm_store_query *q, unsigned round)
{
    struct hits hits = {.last_start = UINT64_MAX, .ordered = true};
    uint32_t expected = 0;
    cr_assert_eq(sm_store_search(store, q, take_hit, &hits, NULL), SM_OK);
    for (uint32_t t = 0; t < WORLD_TRACES; t++) {
        bool want = false;
        if (q->match == SM_STORE_MATCH_TRACE)
            want = oracle_trace(q, w->spans[t], w->counts[t]);
        for (uint32_t i = 0; i < w->counts[t] && q->match == SM_STORE_MATCH_SPAN && !want; i++)
            want = oracle_span(q, &w->spans[t][i]);
        cr_assert_eq(hits.trace[t], want, "round %u, trace %u: found %d, wanted %d", round, t, hits.trace[t], want);
        expected += want;
    }
    cr_assert_eq(hits.count, expected);
    cr_assert(hits.ordered);
}

static void append_world(struct world *w, struct sm_store *store, uint32_t from, uint32_t to)
{
    for (uint32_t t = from; t < to; t++) {
        struct fx_trace trace = fx_trace(fx_id(t + 1), w->spans[t], w->counts[t]);
        fx_append(store, &trace);
        fx_trace_free(&trace);
    }
}

Test(search, random_queries_agree_with_an_oracle, .timeout = 120)
{
    static struct world w = {.seed = 0x1234567};
    const char *dir = fx_dir();
    struct sm_store_options options = {.block_bytes = 2048, .dictionary_bytes = 7000};
    struct sm_store *store = fx_open(dir, &options);
    uint32_t nonempty = 0;
    make_world(&w);
    append_world(&w, store, 0, 200);
    seal(store);
    append_world(&w, store, 200, WORLD_TRACES);
    for (unsigned round = 0; round < 900; round++) {
        struct sm_store_term term;
        struct sm_store_query q = random_query(&w, &term);
        if (round == 0)
            commit(store);
        if (round == 300)
            seal(store);
        if (round == 600) { /* rebuilt from blocks */
            const char *path = fx_segment_path(dir);
            sm_store_close(store);
            struct sm_buf file = fx_read_file(path);
            fx_write_file(path, file.data, file.size - 1);
            sm_buf_fini(&file);
            store = fx_open(dir, &options);
        }
        check_query(&w, store, &q, round);
        nonempty += fx_search(store, &q, NULL, 0) > 0;
    }
    cr_assert_gt(nonempty, 300);
    sm_store_close(store);
    fx_rmdir(dir);
}
