#include "tests/unit/query/fixture.h"

#define FAILURE(code, msg) "{\"error\":{\"httpCode\":" code ",\"message\":\"" msg "\"}}"
#define RANGE "query.startTimeMin=2023-11-14T22:13:00Z&query.startTimeMax=2023-11-14T22:14:00Z"

#define SHOP_SPANS                                                                                                     \
    "{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"gateway\"}}]},"                \
    "\"scopeSpans\":[{\"spans\":["                                                                                     \
    "{\"traceId\":\"" QX_SHOP_HEX "\",\"spanId\":\"00000000000000a1\",\"name\":\"GET /\",\"kind\":2,"                     \
    "\"startTimeUnixNano\":\"1700000000000000000\",\"endTimeUnixNano\":\"1700000000001000000\",\"attributes\":["         \
    "{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},"                                           \
    "{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}}]},"                                      \
    "{\"traceId\":\"" QX_SHOP_HEX "\",\"spanId\":\"00000000000000a2\",\"parentSpanId\":\"00000000000000a1\","             \
    "\"name\":\"cart.get\",\"kind\":3,"                                                                                \
    "\"startTimeUnixNano\":\"1700000000000100000\",\"endTimeUnixNano\":\"1700000000000900000\",\"attributes\":["         \
    "{\"key\":\"peer.service\",\"value\":{\"stringValue\":\"cart\"}}]}]}]},"                                           \
    "{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"cart\"}}]},"                  \
    "\"scopeSpans\":[{\"scope\":{\"name\":\"cartlib\"},\"spans\":["                                                    \
    "{\"traceId\":\"" QX_SHOP_HEX "\",\"spanId\":\"00000000000000a3\",\"parentSpanId\":\"00000000000000a2\","             \
    "\"name\":\"get cart\",\"kind\":2,"                                                                                \
    "\"startTimeUnixNano\":\"1700000000000200000\",\"endTimeUnixNano\":\"1700000000000800000\","                        \
    "\"events\":[{\"name\":\"cache miss\"}],\"status\":{\"code\":2}}]}]}"
#define RESULT(x) "{\"result\":{\"resourceSpans\":[" x "]}}"
#define SHOP_SUMMARY                                                                                                   \
    "{\"traceId\":\"" QX_SHOP_HEX "\",\"rootServiceName\":\"gateway\",\"rootOperationName\":\"GET /\","                    \
    "\"minStartTimeUnixNano\":\"1700000000000000000\",\"maxEndTimeUnixNano\":\"1700000000001000000\",\"spanCount\":3,"    \
    "\"errorSpanCount\":1,\"orphanSpanCount\":0,\"services\":[{\"name\":\"cart\",\"spanCount\":1,\"errorSpanCount\":1},"  \
    "{\"name\":\"gateway\",\"spanCount\":2,\"errorSpanCount\":0}]}"

static struct qx *open_shop(void)
{
    struct qx *q = qx_open();
    qx_store(q, fx_id(1), qx_shop, qx_shop_count);
    return q;
}

Test(jaeger_v3, names)
{
    struct qx *q = qx_open();
    qx_expect(q, "/api/v3/services", 200, "{\"services\":[]}");
    qx_store(q, fx_id(1), qx_shop, qx_shop_count);
    qx_expect(q, "/jaeger/api/v3/services", 200, "{\"services\":[\"cart\",\"gateway\"]}");
    qx_expect(q, "/api/v3/operations?service=gateway", 200,
              "{\"operations\":[{\"name\":\"GET /\",\"spanKind\":\"server\"},{\"name\":\"cart.get\",\"spanKind\":\"client\"}]}");
    static const char *const clients[] = {"/api/v3/operations?service=gateway&spanKind=client",
                                          "/api/v3/operations?service=gateway&span_kind=CLIENT"};
    for (size_t i = 0; i < SM_ARRAY_LEN(clients); i++)
        qx_expect(q, clients[i], 200, "{\"operations\":[{\"name\":\"cart.get\",\"spanKind\":\"client\"}]}");
    qx_expect(q, "/api/v3/operations?service=nobody", 200, "{\"operations\":[]}");
    qx_expect(q, "/api/v3/operations", 400, FAILURE("400", "parameter service is required"));
    qx_expect_json(q, "/api/v3/operations?service=a&spanKind=sideways", 400);
    qx_close(q);
}

Test(jaeger_v3, trace_by_id)
{
    struct qx *q = open_shop();
    qx_expect(q, "/api/v3/traces/" QX_SHOP_HEX, 200, RESULT(SHOP_SPANS));
    qx_expect(q, "/api/v3/traces/" QX_SHOP_HEX "?startTime=2023-11-14T22:00:00Z&end_time=2023-11-14T23:00:00+01:00&rawTraces=true",
              200, RESULT(SHOP_SPANS));
    qx_expect(q, "/api/v3/traces/2", 404, FAILURE("404", "No traces found"));
    qx_expect(q, "/api/v3/traces/nope", 400, FAILURE("400", "malformed parameter trace_id: expected 1 to 32 hex digits"));
    qx_expect(q, "/api/v3/traces/1?startTime=x", 400, FAILURE("400", "malformed parameter startTime: x"));
    qx_expect(q, "/api/v3/traces/1?end_time=x", 400, FAILURE("400", "malformed parameter end_time: x"));
    qx_expect(q, "/api/v3/traces/1?raw_traces=perhaps", 400, FAILURE("400", "malformed parameter raw_traces: perhaps"));
    cr_assert_str_eq(q->reply.content_type, "application/json");
    qx_close(q);
}

Test(jaeger_v3, search_finds_by_every_parameter)
{
    static const struct {
        const char *query;
        bool found;
    } cases[] = {
        {RANGE, true}, /* of any service */
        {RANGE "&query.serviceName=cart", true},
        {RANGE "&query.service_name=cart", true},
        {RANGE "&query.serviceName=shop", false},
        {RANGE "&query.serviceName=cart&query.operationName=get+cart", true},
        {RANGE "&query.serviceName=cart&query.operation_name=GET+/", false},
        {RANGE "&query.durationMin=600us&query.serviceName=cart", true},
        {RANGE "&query.duration_min=601us&query.serviceName=cart", false},
        {RANGE "&query.durationMax=600us", true},
        {RANGE "&query.duration_max=599us", false},
        {RANGE "&query.attributes=%7B%22http.request.method%22%3A%22GET%22%7D", true},
        {RANGE "&query.attributes=%7B%22http.request.method%22%3A%22PUT%22%7D", false},
        {RANGE "&query.searchDepth=1", true},
        {RANGE "&query.num_traces=1&query.raw_traces=t", true},
        {"query.start_time_min=2023-11-14T22:13:20Z&query.start_time_max=2023-11-14T23:13:20.1 01:00", true},
        {"query.startTimeMin=2023-11-14T22:13:19Z&query.startTimeMax=2023-11-14T22:13:20Z", false}, /* the end is not in it */
        {"query.startTimeMin=2023-11-14T22:13:20.1Z&query.startTimeMax=2023-11-14T22:14:00Z", false},
    };
    struct qx *q = open_shop();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[400];
        snprintf(target, sizeof target, "/api/v3/traces?%s", cases[i].query);
        qx_expect(q, target, cases[i].found ? 200 : 404, cases[i].found ? RESULT(SHOP_SPANS) : FAILURE("404", "No traces found"));
        snprintf(target, sizeof target, "/api/v3/trace-summaries?%s", cases[i].query);
        qx_expect(q, target, 200, cases[i].found ? "{\"summaries\":[" SHOP_SUMMARY "]}" : "{\"summaries\":[]}");
    }
    qx_close(q);
}

Test(jaeger_v3, search_refuses_what_it_cannot_read)
{
    static const struct {
        const char *query, *message; /* NULL: whatever it says */
    } cases[] = {
        {"query.serviceName=a", "query.startTimeMin and query.startTimeMax are required"},
        {"query.startTimeMin=2023-11-14T22:13:00Z", "query.startTimeMin and query.startTimeMax are required"},
        {"query.startTimeMin=1700000000&query.startTimeMax=2023-11-14T22:13:00Z", "malformed parameter query.startTimeMin: 1700000000"},
        {"query.startTimeMin=2023-11-14T22:13:00Z&query.startTimeMax=2023-11-14T22:13:00Z",
         "query.startTimeMin must be before query.startTimeMax"},
        {RANGE "&query.durationMin=5", "malformed parameter query.durationMin: 5"},
        {RANGE "&query.durationMin=-5s", "malformed parameter query.durationMin: -5s"},
        {RANGE "&query.durationMin=2s&query.durationMax=1s", "query.durationMax must not be less than query.durationMin"},
        {RANGE "&query.searchDepth=x", "malformed parameter query.searchDepth: x"},
        {RANGE "&query.num_traces=-1", "malformed parameter query.num_traces: -1"},
        {RANGE "&query.rawTraces=2", "malformed parameter query.rawTraces: 2"},
        {RANGE "&query.attributes=x", NULL},
    };
    struct qx *q = qx_open();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[300], body[300];
        snprintf(target, sizeof target, "/api/v3/traces?%s", cases[i].query);
        qx_expect_json(q, target, 400);
        snprintf(body, sizeof body, FAILURE("400", "%s"), cases[i].message);
        cr_assert(!cases[i].message || strcmp(qx_body(q), body) == 0, "%s: %s", target, qx_body(q));
        snprintf(target, sizeof target, "/api/v3/trace-summaries?%s", cases[i].query);
        qx_expect_json(q, target, 400);
        cr_assert(!qx_has(q, "summaries"));
    }
    qx_expect(q, "/api/v3/traces?" RANGE "&query.filter=%7B%7D", 501, FAILURE("501", "parameter query.filter is not supported"));
    qx_expect_json(q, "/api/v3/trace-summaries?" RANGE "&query.pagination.pageSize=3", 501);
    qx_close(q);
}

Test(jaeger_v3, several_traces_are_one_document)
{
    struct qx *q = open_shop();
    qx_submit(q, fx_id(2), qx_shop, qx_shop_count);
    qx_expect_json(q, "/api/v3/traces?" RANGE, 200);
    cr_assert_eq(qx_times(q, "\"resourceSpans\""), 1);
    cr_assert_eq(qx_times(q, "\"spanId\""), 6);
    qx_expect_json(q, "/api/v3/traces?" RANGE "&query.search_depth=1", 200);
    cr_assert_eq(qx_times(q, "\"spanId\""), 3);
    qx_close(q);
}

Test(jaeger_v3, halves_that_share_an_id_are_told_apart)
{
    struct qx *q = qx_open();
    qx_store_payload(q, &sm_codec_zipkin_json,
                     SM_STR("[{\"traceId\":\"a\",\"id\":\"9\",\"kind\":\"CLIENT\",\"name\":\"call\"},"
                            "{\"traceId\":\"a\",\"id\":\"9\",\"kind\":\"SERVER\",\"name\":\"serve\",\"shared\":true},"
                            "{\"traceId\":\"a\",\"id\":\"7\",\"parentId\":\"9\",\"name\":\"work\"}]"));
    qx_expect_json(q, "/api/v3/traces/a", 200);
    cr_assert(qx_has(q, "\"spanId\":\"0000000000000009\",\"name\":\"call\""), "%s", qx_body(q));
    cr_assert(qx_has(q, "\"spanId\":\"0000000000000001\",\"parentSpanId\":\"0000000000000009\",\"name\":\"serve\""));
    cr_assert(qx_has(q, "\"spanId\":\"0000000000000007\",\"parentSpanId\":\"0000000000000001\",\"name\":\"work\""));
    qx_expect_json(q, "/api/v3/traces/a?rawTraces=true", 200);
    cr_assert(qx_has(q, "\"spanId\":\"0000000000000009\",\"name\":\"serve\""), "%s", qx_body(q));
    qx_close(q);
}

Test(jaeger_v3, summaries_count_orphans)
{
    static const struct fx_span spans[] = {
        {.name = "a", .id = 1, .parent = 99, .start_us = QX_BASE_US, .duration_us = 1},
        {.service = "s", .name = "b", .id = 2, .parent = 1, .start_us = QX_BASE_US + 1, .duration_us = 1},
        {.service = "s", .name = "c", .id = 3, .parent = 4, .start_us = QX_BASE_US + 2, .duration_us = 1, .status = SM_STATUS_ERROR},
    };
    struct qx *q = qx_open();
    qx_store(q, (struct sm_trace_id){0, 7}, spans, 3);
    qx_expect(q, "/api/v3/trace-summaries?" RANGE, 200,
              "{\"summaries\":[{\"traceId\":\"00000000000000000000000000000007\",\"rootServiceName\":\"unknown_service\","
              "\"rootOperationName\":\"a\",\"minStartTimeUnixNano\":\"1700000000000000000\","
              "\"maxEndTimeUnixNano\":\"1700000000000003000\",\"spanCount\":3,\"errorSpanCount\":1,\"orphanSpanCount\":2,"
              "\"services\":[{\"name\":\"s\",\"spanCount\":2,\"errorSpanCount\":1},"
              "{\"name\":\"unknown_service\",\"spanCount\":1,\"errorSpanCount\":0}]}]}");
    qx_close(q);
}

Test(jaeger_v3, dependencies)
{
    struct sm_graph_edge edges[] = {{.parent = SM_STR("a"), .child = SM_STR("b"), .calls = 3, .errors = 1},
                                    {.parent = SM_STR("b"), .child = SM_STR("c"), .calls = 7}};
    struct qx *q = qx_open();
    q->edges = edges;
    q->edge_count = 2;
    qx_expect(q, "/api/v3/dependencies?startTime=2023-11-14T22:13:20Z&end_time=2023-11-14T22:14:20.5Z", 200,
              "{\"dependencies\":[{\"parent\":\"a\",\"child\":\"b\",\"callCount\":\"3\"},"
              "{\"parent\":\"b\",\"child\":\"c\",\"callCount\":\"7\"}]}");
    cr_assert_eq(q->graph_start_ms, INT64_C(1700000000000));
    cr_assert_eq(q->graph_end_ms, INT64_C(1700000060500));
    qx_expect(q, "/api/v3/dependencies", 400, FAILURE("400", "startTime and endTime are required"));
    qx_expect_json(q, "/api/v3/dependencies?startTime=2023-11-14T22:13:20Z&endTime=2023-11-14T22:13:20Z", 400);
    q->graph_fails = true;
    qx_expect_json(q, "/api/v3/dependencies?startTime=2023-11-14T22:13:20Z&endTime=2023-11-14T22:13:21Z", 503);
    qx_close(q);
}

Test(jaeger_v3, errors_have_its_form)
{
    struct qx *q = qx_open();
    qx_expect(q, "/api/v3/nothing", 404, FAILURE("404", "no such page"));
    qx_expect_json(q, "/api/v3/services?x=%zz", 400);
    cr_assert(qx_has(q, "\"httpCode\":400"));
    qx_expect(q, "/api/v3/spans", 501, FAILURE("501", "span search is not supported"));
    qx_close(q);
}
