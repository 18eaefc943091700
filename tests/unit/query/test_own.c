#include "tests/unit/query/fixture.h"

Test(own, graph_in_every_format)
{
    struct sm_graph_edge edges[] = {{.parent = SM_STR("a"), .child = SM_STR("b"), .types = SM_EDGE_RPC, .calls = 3, .errors = 1}};
    static const char json[] = "{\"startMs\":1699999999000,\"endMs\":1700000000000,\"overflowedCalls\":0,"
                               "\"nodes\":[{\"name\":\"a\",\"type\":\"service\"},{\"name\":\"b\",\"type\":\"service\"}],"
                               "\"edges\":[{\"parent\":\"a\",\"child\":\"b\",\"type\":\"rpc\",\"callCount\":3,\"errorCount\":1}]}\n";
    struct qx *q = qx_open();
    q->edges = edges;
    q->edge_count = 1;
    qx_expect(q, "/api/graph?start=1699999999000&end=1700000000000", 200, json);
    qx_expect(q, "/jaeger/api/graph?format=json&end=2023-11-14T23:13:20+01:00&lookback=1s", 200, json);
    cr_assert_str_eq(q->reply.content_type, "application/json");
    qx_expect(q, "/api/graph?format=csv", 200,
              "parent,child,type,calls,errors,latency_count,mean_ms,p50_ms,p90_ms,p99_ms\r\n\"a\",\"b\",rpc,3,1,0,,,,\r\n");
    cr_assert_eq(strncmp(q->reply.content_type, "text/csv", 8), 0);
    qx_get(q, "/api/graph?format=dot");
    cr_assert(qx_has(q, "\"a\" -> \"b\""));
    cr_assert_eq(strncmp(q->reply.content_type, "text/vnd.graphviz", 17), 0);
    qx_close(q);
}

Test(own, the_root_says_what_there_is)
{
    static const char *const targets[] = {"/", "", "/?x=1", "/jaeger", "/jaeger/"};
    struct qx *q = qx_open();
    for (size_t i = 0; i < SM_ARRAY_LEN(targets); i++) {
        cr_assert_eq(qx_get(q, targets[i]), 200, "%s", targets[i]);
        cr_assert_eq(strncmp(q->reply.content_type, "text/plain", 10), 0);
        cr_assert(qx_has(q, "/api/traces?service=NAME"));
    }
    qx_close(q);
}

Test(own, graph_range)
{
    static const struct {
        const char *query;
        int64_t start_ms, end_ms;
    } cases[] = {
        {"", QX_NOW_NS / SM_MS - 3600000, QX_NOW_NS / SM_MS},
        {"lookback=30m", QX_NOW_NS / SM_MS - 1800000, QX_NOW_NS / SM_MS},
        {"end=1700000000000", INT64_C(1699996400000), INT64_C(1700000000000)},
        {"start=2023-11-14T22:13:20.5Z", INT64_C(1700000000500), QX_NOW_NS / SM_MS},
        {"start=1&end=2&lookback=5h", 1, 2}, /* start goes before lookback */
        {"end=5", 0, 5},
    };
    struct qx *q = qx_open();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[200];
        snprintf(target, sizeof target, "/api/graph?%s", cases[i].query);
        qx_expect_json(q, target, 200);
        cr_assert_eq(q->graph_start_ms, cases[i].start_ms, "%s", target);
        cr_assert_eq(q->graph_end_ms, cases[i].end_ms, "%s", target);
    }
    qx_close(q);
}

Test(own, graph_errors)
{
    struct qx *q = qx_open();
    qx_expect(q, "/api/graph?format=svg", 400, "{\"error\":\"unknown format: expected json, dot or csv\"}\n");
    qx_expect(q, "/api/graph?start=x", 400, "{\"error\":\"start is neither RFC 3339 nor epoch milliseconds: x\"}\n");
    qx_expect(q, "/api/graph?end=-5", 400, "{\"error\":\"end is neither RFC 3339 nor epoch milliseconds: -5\"}\n");
    qx_expect(q, "/api/graph?lookback=1d", 400, "{\"error\":\"lookback is not a duration such as 1h or 30m: 1d\"}\n");
    qx_expect(q, "/api/graph?lookback=0", 400, "{\"error\":\"lookback is not a duration such as 1h or 30m: 0\"}\n");
    qx_expect(q, "/api/graph?start=5&end=5", 400, "{\"error\":\"start must be before end\"}\n");
    qx_expect(q, "/api/graph/x", 404, "{\"error\":\"no such page\"}\n");
    q->graph_fails = true;
    qx_expect(q, "/api/graph", 503, "{\"error\":\"the dependency graph is not available now\"}\n");
    q->query->env.graph = NULL;
    qx_expect_json(q, "/api/graph", 200);
    cr_assert(qx_has(q, "\"edges\":[]"));
    qx_close(q);
}
