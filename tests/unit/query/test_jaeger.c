#include "tests/unit/query/fixture.h"

#define SHOP                                                                                                           \
    "{\"traceID\":\"" QX_SHOP_HEX "\",\"spans\":["                                                                     \
    "{\"traceID\":\"" QX_SHOP_HEX "\",\"spanID\":\"00000000000000a1\",\"operationName\":\"GET /\",\"references\":[],"      \
    "\"startTime\":1700000000000000,\"duration\":1000,\"tags\":["                                                      \
    "{\"key\":\"http.request.method\",\"type\":\"string\",\"value\":\"GET\"},"                                         \
    "{\"key\":\"http.response.status_code\",\"type\":\"int64\",\"value\":200},"                                        \
    "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"server\"}],"                                               \
    "\"logs\":[],\"processID\":\"p1\",\"warnings\":null},"                                                             \
    "{\"traceID\":\"" QX_SHOP_HEX "\",\"spanID\":\"00000000000000a2\",\"operationName\":\"cart.get\",\"references\":["     \
    "{\"refType\":\"CHILD_OF\",\"traceID\":\"" QX_SHOP_HEX "\",\"spanID\":\"00000000000000a1\"}],"                     \
    "\"startTime\":1700000000000100,\"duration\":800,\"tags\":["                                                       \
    "{\"key\":\"peer.service\",\"type\":\"string\",\"value\":\"cart\"},"                                               \
    "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"client\"}],"                                               \
    "\"logs\":[],\"processID\":\"p1\",\"warnings\":null},"                                                             \
    "{\"traceID\":\"" QX_SHOP_HEX "\",\"spanID\":\"00000000000000a3\",\"operationName\":\"get cart\",\"references\":["     \
    "{\"refType\":\"CHILD_OF\",\"traceID\":\"" QX_SHOP_HEX "\",\"spanID\":\"00000000000000a2\"}],"                     \
    "\"startTime\":1700000000000200,\"duration\":600,\"tags\":["                                                       \
    "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"server\"},"                                                \
    "{\"key\":\"otel.status_code\",\"type\":\"string\",\"value\":\"ERROR\"},"                                          \
    "{\"key\":\"error\",\"type\":\"bool\",\"value\":true},"                                                            \
    "{\"key\":\"otel.scope.name\",\"type\":\"string\",\"value\":\"cartlib\"}],"                                        \
    "\"logs\":[{\"timestamp\":0,\"fields\":[{\"key\":\"event\",\"type\":\"string\",\"value\":\"cache miss\"}]}],"      \
    "\"processID\":\"p2\",\"warnings\":null}],"                                                                        \
    "\"processes\":{\"p1\":{\"serviceName\":\"gateway\",\"tags\":[]},\"p2\":{\"serviceName\":\"cart\",\"tags\":[]}},"  \
    "\"warnings\":null}"
#define DATA(x, errors) "{\"data\":[" x "],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":" errors "}"
#define FAILURE(code, msg)                                                                                             \
    "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":" code ",\"msg\":\"" msg "\"}]}"

static struct qx *open_shop(void)
{
    struct qx *q = qx_open();
    qx_store(q, fx_id(1), qx_shop, qx_shop_count);
    return q;
}

Test(jaeger, trace_by_id)
{
    struct qx *q = open_shop();
    qx_expect(q, "/api/traces/" QX_SHOP_HEX, 200, DATA(SHOP, "null"));
    qx_expect(q, "/jaeger/api/traces/" QX_SHOP_HEX "?start=1700000000000&end=1700000001000", 200, DATA(SHOP, "null"));
    qx_expect(q, "/api/traces/1", 200, DATA(SHOP, "null")); /* the low half of one that has more */
    qx_expect(q, "/api/traces/22222222333344440000000000000001", 404, FAILURE("404", "trace not found"));
    qx_expect(q, "/api/traces/2", 404, FAILURE("404", "trace not found"));
    qx_expect(q, "/api/traces/nope", 400, FAILURE("400", "malformed trace id: expected 1 to 32 hex digits"));
    qx_expect(q, "/api/traces/1?start=x", 400, FAILURE("400", "unable to parse param 'start': x"));
    cr_assert_str_eq(q->reply.content_type, "application/json");
    qx_close(q);
}

Test(jaeger, pretty_print)
{
    static const char pretty[] = "{\n    \"data\": [\n        \"cart\",\n        \"gateway\"\n    ],\n    \"total\": 2,\n    \"limit\": 0,\n"
                                 "    \"offset\": 0,\n    \"errors\": null\n}";
    struct qx *q = open_shop();
    qx_expect(q, "/api/services?prettyPrint=true", 200, pretty);
    qx_expect(q, "/api/services?prettyPrint=1", 200, pretty);
    qx_expect(q, "/api/services?prettyPrint=false", 200,
              "{\"data\":[\"cart\",\"gateway\"],\"total\":2,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/v3/services?prettyPrint=true", 200, "{\n    \"services\": [\n        \"cart\",\n        \"gateway\"\n    ]\n}");
    qx_close(q);
}

Test(jaeger, several_ids_report_what_is_missing)
{
    struct qx *q = open_shop();
    qx_expect(q, "/api/traces?traceID=" QX_SHOP_HEX "&traceID=abc", 200,
              DATA(SHOP, "[{\"msg\":\"trace not found\",\"traceID\":\"0000000000000abc\"}]"));
    qx_expect_json(q, "/api/traces?traceID=zz!", 400);
    qx_close(q);
}

Test(jaeger, names)
{
    struct qx *q = open_shop();
    static const struct fx_span odd[] = {
        {.service = "a/b", .name = "x\"y", .id = 1, .start_us = QX_BASE_US, .duration_us = 1},
        {.service = "gateway", .name = "GET /", .id = 2, .start_us = QX_BASE_US, .duration_us = 1, .kind = SM_KIND_CLIENT}};
    qx_store(q, fx_id(2), odd, 2);
    qx_expect(q, "/api/services", 200,
              "{\"data\":[\"a/b\",\"cart\",\"gateway\"],\"total\":3,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/services/gateway/operations", 200,
              "{\"data\":[\"GET /\",\"cart.get\"],\"total\":2,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/services/a%2Fb/operations", 200,
              "{\"data\":[\"x\\\"y\"],\"total\":1,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/operations?service=gateway&spanKind=client", 200,
              "{\"data\":[{\"name\":\"GET /\",\"spanKind\":\"client\"},{\"name\":\"cart.get\",\"spanKind\":\"client\"}],"
              "\"total\":2,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/operations?service=a/b&spanKind=INTERNAL", 200,
              "{\"data\":[{\"name\":\"x\\\"y\",\"spanKind\":\"internal\"}],\"total\":1,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/operations", 400, FAILURE("400", "parameter 'service' is required"));
    qx_expect(q, "/api/operations?service=a&spanKind=sideways", 400, FAILURE("400", "unsupported span kind"));
    qx_close(q);
}

Test(jaeger, indented_when_asked)
{
    struct qx *q = open_shop();
    qx_expect(q, "/api/services?prettyPrint=true", 200,
              "{\n    \"data\": [\n        \"cart\",\n        \"gateway\"\n    ],\n    \"total\": 2,\n    \"limit\": 0,\n"
              "    \"offset\": 0,\n    \"errors\": null\n}");
    qx_expect(q, "/api/services?prettyPrint=false", 200,
              "{\"data\":[\"cart\",\"gateway\"],\"total\":2,\"limit\":0,\"offset\":0,\"errors\":null}");
    qx_expect(q, "/api/traces/ff?prettyPrint=1", 404,
              "{\n    \"data\": null,\n    \"total\": 0,\n    \"limit\": 0,\n    \"offset\": 0,\n    \"errors\": [\n        {\n"
              "            \"code\": 404,\n            \"msg\": \"trace not found\"\n        }\n    ]\n}");
    qx_close(q);
}

Test(jaeger, search_finds_by_every_parameter)
{
    static const struct {
        const char *query;
        bool found;
    } cases[] = {
        {"service=cart", true},
        {"service=Cart", false},
        {"service=cart&operation=get%20cart", true},
        {"service=cart&operation=get+cart", true},
        {"service=gateway&operation=get+cart", false},
        {"service=cart&start=1700000000000000&end=1700000060000000", true},
        {"service=cart&start=1700000000000&end=1700000060000", true}, /* milliseconds */
        {"service=cart&start=1700000001000000&end=1700000060000000", false},
        {"service=cart&minDuration=600us", true},
        {"service=cart&minDuration=601us", false},
        {"service=cart&maxDuration=0.6ms", true},
        {"service=cart&maxDuration=599us", false},
        {"service=gateway&tag=http.request.method:GET", true},
        {"service=gateway&tag=http.request.method:PUT", false},
        {"service=gateway&tag=http.request.method:GET&tag=http.response.status_code:200", true},
        {"service=gateway&tag=http.request.method:GET&tag=peer.service:cart", false}, /* not on one span */
        {"service=gateway&tags=%7B%22http.response.status_code%22%3A%22200%22%7D", true},
        {"service=gateway&tags=%7B%22http.response.status_code%22%3A200%7D", true},
        {"service=gateway&tags=%7B%22http.response.status_code%22%3A%22404%22%7D", false},
        {"service=cart&tags=%7B%22error%22%3A%22true%22%7D", true},
        {"service=gateway&tags=%7B%22error%22%3A%22true%22%7D", false},
        {"service=cart&lookback=1h&limit=20", true},
        {"service=gateway&tag=otel.status_code:unset", true},
        {"service=cart&tag=otel.status_code:unset", false},
    };
    struct qx *q = open_shop();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[300];
        snprintf(target, sizeof target, "/api/traces?%s", cases[i].query);
        qx_expect(q, target, 200, cases[i].found ? DATA(SHOP, "null") : DATA("", "null"));
    }
    qx_close(q);
}

Test(jaeger, search_refuses_what_it_cannot_read)
{
    static const struct {
        const char *query, *message;
    } cases[] = {
        {"", "parameter 'service' is required"},
        {"operation=x", "parameter 'service' is required"},
        {"service=a&limit=x", "unable to parse param 'limit': x"},
        {"service=a&limit=-1", "unable to parse param 'limit': -1"},
        {"service=a&start=2020", ""},
        {"service=a&start=yesterday", "unable to parse param 'start': yesterday"},
        {"service=a&minDuration=5", "unable to parse param 'minDuration': 5"},
        {"service=a&minDuration=2s&maxDuration=1s", "'maxDuration' should be greater than 'minDuration'"},
        {"service=a&tag=oops", "malformed 'tag' parameter, expecting key:value, received: oops"},
    };
    struct qx *q = qx_open();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[300], body[400];
        snprintf(target, sizeof target, "/api/traces?%s", cases[i].query);
        snprintf(body, sizeof body, FAILURE("400", "%s"), cases[i].message);
        if (cases[i].message[0])
            qx_expect(q, target, 400, body);
        else
            qx_expect_json(q, target, 200);
    }
    qx_expect_json(q, "/api/traces?service=a&tags=%7B%22a%22%3A%5B%5D%7D", 400);
    cr_assert(qx_has(q, "malformed 'tags' parameter, cannot unmarshal JSON: "));
    qx_expect_json(q, "/api/traces?service=a&tags=x", 400);
    qx_close(q);
}

Test(jaeger, search_is_newest_first_and_limited)
{
    struct qx *q = qx_open();
    for (uint64_t n = 1; n <= 5; n++) {
        struct fx_span span = {.service = "s", .name = "op", .id = n, .start_us = QX_BASE_US + n * 1000, .duration_us = 1};
        qx_store(q, (struct sm_trace_id){0, n}, &span, 1);
    }
    qx_expect_json(q, "/api/traces?service=s&limit=2", 200);
    cr_assert_eq(qx_times(q, "\"processes\""), 2);
    const char *first = strstr(qx_body(q), "{\"traceID\":\"0000000000000005\""), *second = strstr(qx_body(q), "{\"traceID\":\"0000000000000004\"");
    cr_assert(first && second && first < second, "%s", qx_body(q));
    qx_close(q);
}

Test(jaeger, open_windows_are_read_and_marked)
{
    struct qx *q = qx_open();
    qx_submit(q, fx_id(1), qx_shop, qx_shop_count);
    qx_expect_json(q, "/api/traces/" QX_SHOP_HEX, 200);
    cr_assert_eq(qx_times(q, "\"spanID\":\"00000000000000a3\",\"operationName\""), 1);
    cr_assert_eq(qx_times(q, "\"warnings\":[\"" SM_JAEGER_OPEN_WARNING "\"]"), 2); /* the trace's and its first span's */
    cr_assert_lt(strstr(qx_body(q), SM_JAEGER_OPEN_WARNING), strstr(qx_body(q), "00000000000000a2"));
    qx_expect_json(q, "/api/services", 200);
    cr_assert(qx_has(q, "[\"cart\",\"gateway\"]"));
    qx_expect_json(q, "/api/services/gateway/operations", 200);
    cr_assert(qx_has(q, "[\"GET /\",\"cart.get\"]"));
    qx_expect_json(q, "/api/traces?service=cart&tag=error:true", 200);
    cr_assert(qx_has(q, SM_JAEGER_OPEN_WARNING));
    qx_expect(q, "/api/traces?service=cart&tag=error:false", 200, DATA("", "null"));
    qx_expect(q, "/api/traces?service=cart&minDuration=1s", 200, DATA("", "null"));
    qx_expect(q, "/api/traces?service=cart&end=1600000000000000&start=0", 200, DATA("", "null"));
    qx_close(q);
}

Test(jaeger, an_open_trace_is_found_by_its_low_half)
{
    struct qx *q = qx_open();
    qx_submit(q, fx_id(1), qx_shop, qx_shop_count);
    qx_expect_json(q, "/api/traces/1", 200);
    cr_assert(qx_has(q, "{\"traceID\":\"" QX_SHOP_HEX "\",\"spans\""));
    qx_expect_json(q, "/api/traces/22222222333344440000000000000001", 404);
    qx_close(q);
}

/* The pipeline's table of names is full: texts come from the spans themselves. */
Test(jaeger, open_windows_with_more_names_than_fit)
{
    struct qx *q = qx_open();
    struct fx_span spans[1100];
    char names[1100][8];
    for (unsigned i = 0; i < SM_ARRAY_LEN(spans); i++) {
        snprintf(names[i], sizeof names[i], "n%u", i);
        spans[i] = (struct fx_span){.service = "first", .name = names[i], .id = i + 1, .start_us = QX_BASE_US, .duration_us = 1};
    }
    qx_submit(q, fx_id(1), spans, SM_ARRAY_LEN(spans));
    spans[0].service = "late";
    spans[0].name = "op";
    qx_submit(q, fx_id(2), spans, 1);
    qx_expect_json(q, "/api/services", 200);
    cr_assert(qx_has(q, "[\"first\",\"late\"]"), "%s", qx_body(q));
    qx_expect_json(q, "/api/services/late/operations", 200);
    cr_assert(qx_has(q, "[\"op\"]"), "%s", qx_body(q));
    qx_expect_json(q, "/api/traces?service=late&operation=op", 200);
    cr_assert_eq(qx_times(q, "\"operationName\""), 1);
    qx_close(q);
}

Test(jaeger, a_trace_both_stored_and_open_is_one_trace)
{
    struct qx *q = qx_open();
    qx_store(q, fx_id(1), qx_shop, 2);
    qx_submit(q, fx_id(1), qx_shop + 1, 2); /* one span is there twice */
    static const char *const targets[] = {("/api/traces/" QX_SHOP_HEX), "/api/traces?service=gateway",
                                          "/api/traces?service=cart"};
    for (size_t i = 0; i < SM_ARRAY_LEN(targets); i++) {
        qx_expect_json(q, targets[i], 200);
        cr_assert_eq(qx_times(q, "\"processes\""), 1, "%s", qx_body(q));
        cr_assert_eq(qx_times(q, "\"operationName\""), 3, "%s", qx_body(q));
        cr_assert(qx_has(q, SM_JAEGER_OPEN_WARNING));
    }
    qx_close(q);
}

Test(jaeger, open_and_stored_results_are_in_one_order)
{
    struct qx *q = qx_open();
    for (uint64_t n = 1; n <= 6; n++) {
        struct fx_span span = {.service = "s", .name = "op", .id = n, .start_us = QX_BASE_US + n * 1000, .duration_us = 1};
        if (n % 2)
            qx_store(q, (struct sm_trace_id){0, n}, &span, 1);
        else
            qx_submit(q, (struct sm_trace_id){0, n}, &span, 1);
    }
    qx_expect_json(q, "/api/traces?service=s&limit=5", 200);
    const char *p = qx_body(q);
    for (int n = 6; n >= 2; n--) {
        char text[64];
        snprintf(text, sizeof text, "{\"traceID\":\"%016x\",\"spans\"", n);
        p = strstr(p, text);
        cr_assert(p, "%d in %s", n, qx_body(q));
    }
    cr_assert_eq(qx_times(q, "\"processes\""), 5);
    qx_close(q);
}

Test(jaeger, halves_that_share_an_id_are_told_apart)
{
    static const struct fx_span spans[] = {
        {.service = "a", .name = "call", .id = 9, .start_us = QX_BASE_US, .duration_us = 100, .kind = SM_KIND_CLIENT},
        {.service = "b", .name = "serve", .id = 9, .start_us = QX_BASE_US + 10, .duration_us = 50, .kind = SM_KIND_SERVER},
        {.service = "b", .name = "query", .id = 1, .parent = 9, .start_us = QX_BASE_US + 20, .duration_us = 10, .kind = SM_KIND_CLIENT},
    };
    struct qx *q = qx_open();
    qx_store(q, (struct sm_trace_id){0, 7}, spans, 3);
    qx_expect_json(q, "/api/traces/7", 200);
    cr_assert(qx_has(q, "\"spanID\":\"0000000000000009\",\"operationName\":\"call\",\"references\":[]"));
    cr_assert(qx_has(q, "\"spanID\":\"0000000000000002\",\"operationName\":\"serve\",\"references\":[{\"refType\":\"CHILD_OF\","
                        "\"traceID\":\"0000000000000007\",\"spanID\":\"0000000000000009\"}]"));
    cr_assert(qx_has(q, "\"spanID\":\"0000000000000001\",\"operationName\":\"query\",\"references\":[{\"refType\":\"CHILD_OF\","
                        "\"traceID\":\"0000000000000007\",\"spanID\":\"0000000000000002\"}]"));
    qx_expect_json(q, "/api/traces/7?raw=true", 200);
    cr_assert(qx_has(q, "\"spanID\":\"0000000000000009\",\"operationName\":\"serve\",\"references\":[]"));
    qx_close(q);
}

/* What lacks a root would not be shown. */
Test(jaeger, spans_that_are_their_own_ancestors_become_roots)
{
    static const struct {
        struct fx_span spans[4];
        uint32_t count;
        uint64_t cut; /* 0: none */
    } cases[] = {
        {{{.id = 5, .parent = 5, .start_us = 10}, {.id = 6, .parent = 5, .start_us = 20}}, 2, 5},
        {{{.id = 5, .parent = 7, .start_us = 30}, {.id = 6, .parent = 5, .start_us = 10}, {.id = 7, .parent = 6, .start_us = 20}}, 3, 6},
        {{{.id = 1, .parent = 5, .start_us = 1}, {.id = 5, .parent = 6, .start_us = 20}, {.id = 6, .parent = 5, .start_us = 30}}, 3, 5},
        {{{.id = 5, .start_us = 10}, {.id = 5, .parent = 5, .start_us = 20}, {.id = 6, .parent = 9, .start_us = 30}}, 3, 0},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct qx *q = qx_open();
        struct fx_span spans[4];
        char text[100];
        for (uint32_t k = 0; k < cases[i].count; k++) {
            spans[k] = cases[i].spans[k];
            spans[k].service = "s";
            spans[k].name = "op";
            spans[k].start_us += QX_BASE_US;
        }
        qx_store(q, (struct sm_trace_id){0, 7}, spans, cases[i].count);
        qx_expect_json(q, "/api/traces/7", 200);
        cr_assert_eq(qx_times(q, "\"operationName\""), cases[i].count);
        cr_assert_eq(qx_times(q, "[\"" SM_JAEGER_RING_WARNING "\"]"), cases[i].cut != 0, "%zu: %s", i, qx_body(q));
        if (cases[i].cut) {
            snprintf(text, sizeof text, "\"spanID\":\"%016llx\",\"operationName\":\"op\",\"references\":[]",
                     (unsigned long long)cases[i].cut);
            cr_assert(qx_has(q, text), "%zu: %s", i, qx_body(q));
        }
        qx_expect_json(q, "/api/traces/7?raw=true", 200);
        cr_assert_not(qx_has(q, SM_JAEGER_RING_WARNING));
        qx_close(q);
    }
}

Test(jaeger, an_error_tag_that_says_false_is_no_text)
{
    static const struct fx_span span = {.service = "s", .name = "op", .id = 1, .start_us = QX_BASE_US, .attributes = {"error", "false"}};
    struct qx *q = qx_open();
    qx_store(q, (struct sm_trace_id){0, 7}, &span, 1);
    qx_expect_json(q, "/api/traces/7", 200);
    cr_assert(qx_has(q, "{\"key\":\"error\",\"type\":\"bool\",\"value\":false}"), "%s", qx_body(q));
    qx_expect_json(q, "/api/traces/7?raw=true", 200);
    cr_assert(qx_has(q, "{\"key\":\"error\",\"type\":\"string\",\"value\":\"false\"}"), "%s", qx_body(q));
    qx_close(q);
}

Test(jaeger, dependencies)
{
    struct sm_graph_edge edges[] = {{.parent = SM_STR("a"), .child = SM_STR("b"), .calls = 3, .errors = 1},
                                    {.parent = SM_STR("b"), .child = SM_STR("c"), .calls = 7}};
    struct qx *q = qx_open();
    q->edges = edges;
    q->edge_count = 2;
    qx_expect(q, "/api/dependencies?endTs=1700000000000&lookback=60000", 200,
              DATA("{\"parent\":\"a\",\"child\":\"b\",\"callCount\":3},{\"parent\":\"b\",\"child\":\"c\",\"callCount\":7}", "null"));
    cr_assert_eq(q->graph_start_ms, INT64_C(1699999940000));
    cr_assert_eq(q->graph_end_ms, INT64_C(1700000000000));
    qx_expect(q, "/api/dependencies?service=a", 200, DATA("{\"parent\":\"a\",\"child\":\"b\",\"callCount\":3}", "null"));
    cr_assert_eq(q->graph_end_ms, QX_NOW_NS / SM_MS);
    cr_assert_eq(q->graph_start_ms, QX_NOW_NS / SM_MS - 86400000);
    qx_expect(q, "/api/dependencies?endTs=x", 400, FAILURE("400", "unable to parse param 'endTs': x"));
    q->graph_fails = true;
    qx_expect_json(q, "/api/dependencies", 503);
    qx_close(q);
}

Test(jaeger, other_pages)
{
    struct qx *q = qx_open();
    qx_expect(q, "/api/nothing", 404, FAILURE("404", "no such page"));
    qx_expect(q, "/api/metrics/latencies?service=a", 501, FAILURE("501", "metrics querying is currently disabled"));
    qx_expect_json(q, "/api/services?x=%zz", 400);
    qx_close(q);
}
