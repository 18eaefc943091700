#include "query/zipkin.h"
#include "tests/unit/query/fixture.h"

/* A call in B3's manner: client and server share an id. */
#define CLIENT                                                                                                         \
    "{\"traceId\":\"000000000000000a\",\"id\":\"0000000000000001\",\"kind\":\"CLIENT\",\"name\":\"get\","                  \
    "\"timestamp\":1700000000000000,\"duration\":1000,\"localEndpoint\":{\"serviceName\":\"front\"},"                    \
    "\"remoteEndpoint\":{\"serviceName\":\"back\"},\"annotations\":[{\"timestamp\":1700000000000500,\"value\":\"retry\"}],"  \
    "\"tags\":{\"http.path\":\"/x\",\"site\":\"eu\"}}"
#define SERVER                                                                                                         \
    "{\"traceId\":\"000000000000000a\",\"id\":\"0000000000000001\",\"kind\":\"SERVER\",\"name\":\"serve\","                \
    "\"timestamp\":1700000000000200,\"duration\":600,\"localEndpoint\":{\"serviceName\":\"back\"},"                      \
    "\"tags\":{\"error\":\"broken\",\"site\":\"us\"},\"shared\":true}"
#define TRACE "[" CLIENT "," SERVER "]"

static struct qx *open_call(void)
{
    struct qx *q = qx_open();
    qx_store_payload(q, &sm_codec_zipkin_json, SM_STR(TRACE));
    return q;
}

Test(zipkin, trace_by_id)
{
    struct qx *q = open_call();
    qx_expect(q, "/api/v2/trace/000000000000000a", 200, TRACE);
    qx_expect(q, "/zipkin/api/v2/trace/a", 200, TRACE);
    qx_expect(q, "/api/v2/trace/%20a%20", 200, TRACE);
    qx_expect(q, "/api/v2/trace/0000000000000000000000000000000b", 404, "000000000000000b not found");
    qx_expect(q, "/api/v2/trace/1000000000000000000000000000000a", 404, "1000000000000000000000000000000a not found");
    cr_assert_str_eq(q->reply.content_type, "text/plain; charset=utf-8");
    qx_expect(q, "/api/v2/trace/xyz", 400, "xyz should be a 1 to 32 character lower-hex string with no prefix");
    qx_close(q);
}

Test(zipkin, open_windows_are_read)
{
    struct qx *q = qx_open();
    qx_submit_payload(q, &sm_codec_zipkin_json, SM_STR(TRACE));
    qx_expect(q, "/api/v2/trace/a", 200, TRACE);
    qx_expect(q, "/api/v2/traces?serviceName=back&spanName=serve", 200, "[" TRACE "]");
    qx_expect(q, "/api/v2/services", 200, "[\"back\",\"front\"]");
    qx_expect(q, "/api/v2/remoteServices?serviceName=front", 200, "[\"back\"]");
    qx_close(q);
}

Test(zipkin, several_traces_by_id)
{
    struct qx *q = open_call();
    static const struct fx_span other = {.service = "s", .name = "n", .id = 2, .start_us = QX_BASE_US, .duration_us = 1};
    qx_store(q, (struct sm_trace_id){0, 0xb}, &other, 1);
    qx_expect_json(q, "/api/v2/traceMany?traceIds=a,b,c", 200);
    cr_assert_eq(strncmp(qx_body(q), "[" TRACE ",[{", strlen("[" TRACE ",[{")), 0, "%s", qx_body(q));
    cr_assert_eq(qx_times(q, "\"traceId\""), 3);
    qx_expect(q, "/zipkin/api/v2/traceMany?traceIds=c,d", 200, "[]");
    qx_expect(q, "/api/v2/traceMany?traceIds=a", 400, "Use /api/v2/trace endpoint to retrieve a single trace ID");
    qx_expect(q, "/api/v2/traceMany?traceIds=a,000000000000000a", 400, "redundant trace ID in the traceIds parameter");
    qx_expect(q, "/api/v2/traceMany?traceIds=", 400, "traceIds parameter is empty");
    qx_expect(q, "/api/v2/traceMany", 400, "traceIds parameter is empty");
    qx_expect(q, "/api/v2/traceMany?traceIds=a,-", 400, "- should be a 1 to 32 character lower-hex string with no prefix");
    struct sm_buf target = {0};
    sm_buf_puts(&target, "/api/v2/traceMany?traceIds=1");
    for (int i = 2; i <= SM_ZIPKIN_IDS_MAX + 1; i++)
        sm_buf_printf(&target, ",%x", i);
    sm_buf_putc(&target, '\0');
    qx_expect(q, (char *)target.data, 400, "traceIds parameter has more than 1000 trace IDs");
    sm_buf_fini(&target);
    qx_close(q);
}

Test(zipkin, names_are_in_lower_case)
{
    struct qx *q = open_call();
    qx_expect(q, "/api/v2/services", 200, "[\"back\",\"front\"]");
    cr_assert_eq(q->reply.max_age_s, 0);
    static const struct fx_span spans[] = {
        {.service = "Cart", .name = "GET /", .id = 1, .start_us = QX_BASE_US, .duration_us = 1, .kind = SM_KIND_SERVER},
        {.service = "cart", .name = "get /", .id = 2, .start_us = QX_BASE_US, .duration_us = 1, .kind = SM_KIND_CLIENT,
         .attributes = {"peer.service", "Stock"}},
        {.service = "other", .name = "x", .id = 3, .start_us = QX_BASE_US, .duration_us = 1},
    };
    qx_store(q, fx_id(1), spans, 3);
    qx_expect(q, "/api/v2/services", 200, "[\"back\",\"cart\",\"front\",\"other\"]");
    cr_assert_eq(q->reply.max_age_s, 300);
    qx_expect(q, "/api/v2/spans?serviceName=CART", 200, "[\"get /\"]");
    cr_assert_eq(q->reply.max_age_s, 300);
    qx_expect(q, "/api/v2/remoteServices?serviceName=cart", 200, "[\"stock\"]");
    qx_expect(q, "/zipkin/api/v2/spans?serviceName=nobody", 200, "[]");
    qx_expect(q, "/api/v2/spans", 400, "parameter serviceName is required");
    qx_expect(q, "/api/v2/remoteServices?serviceName=", 400, "parameter serviceName is required");
    cr_assert_eq(q->reply.max_age_s, 0);
    qx_close(q);
}

Test(zipkin, search_finds_by_every_parameter)
{
    static const struct {
        const char *query;
        bool found;
    } cases[] = {
        {"", true},
        {"serviceName=front", true},
        {"serviceName=FRONT", true},
        {"serviceName=side", false},
        {"serviceName=front&spanName=get", true},
        {"serviceName=front&spanName=all", true},
        {"serviceName=front&spanName=serve", false},
        {"serviceName=front&remoteServiceName=back", true},
        {"serviceName=back&remoteServiceName=back", false},
        {"annotationQuery=retry", true},
        {"annotationQuery=http.path", true},
        {"annotationQuery=http.path%3D/x", true},
        {"annotationQuery=http.path=/y", false},
        {"annotationQuery=http.path=", true}, /* as the bare word */
        {"annotationQuery=retry+and+site=us", true}, /* on two spans */
        {"serviceName=front&annotationQuery=retry+and+site=us", false},
        {"serviceName=front&annotationQuery=retry+and+site=eu+and+http.path", true},
        {"annotationQuery=http.path+%3D+/x", true},
        {"annotationQuery=site=cn+and+site=+us", true}, /* of a key that is there twice, the last value counts */
        {"annotationQuery=site=us+and+site=cn", false},
        {"annotationQuery=site=cn+and+site", false}, /* and a bare word takes no value away */
        {"annotationQuery=error", true},
        {"serviceName=front&annotationQuery=error", false},
        {"minDuration=1000", true},
        {"minDuration=1001", false},
        {"minDuration=500&maxDuration=600", true},
        {"minDuration=500&maxDuration=599", false},
        {"serviceName=back&minDuration=700", false},
        {"endTs=1700000000000&lookback=1", true},
        {"endTs=1699999999999", false},
        {"endTs=1700000001000&lookback=1000", true},
        {"endTs=1700000001000&lookback=999", false},
        {"endTs=9223372036854775807&lookback=9223372036854775807", true},
        {"limit=1", true},
        {"limit=99999999999", true},
    };
    struct qx *q = open_call();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[300];
        snprintf(target, sizeof target, "%s/api/v2/traces?%s", i % 2 ? "/zipkin" : "", cases[i].query);
        qx_expect(q, target, 200, cases[i].found ? "[" TRACE "]" : "[]");
    }
    qx_close(q);
}

/* A span may have a duration without a timestamp. */
Test(zipkin, durations_without_timestamp_are_searched)
{
    static const char trace[] =
        "[{\"traceId\":\"000000000000000b\",\"id\":\"0000000000000001\",\"timestamp\":1700000000000000,\"duration\":5,"
        "\"localEndpoint\":{\"serviceName\":\"front\"}},{\"traceId\":\"000000000000000b\",\"id\":\"0000000000000002\","
        "\"duration\":700,\"localEndpoint\":{\"serviceName\":\"back\"}}]";
    char found[sizeof trace + 2];
    snprintf(found, sizeof found, "[%s]", trace);
    for (unsigned stored = 0; stored < 2; stored++) {
        struct qx *q = qx_open();
        (stored ? qx_store_payload : qx_submit_payload)(q, &sm_codec_zipkin_json, sm_str_c(trace));
        qx_expect(q, "/api/v2/traces?endTs=1700000001000&serviceName=back&minDuration=700&maxDuration=700", 200, found);
        qx_expect(q, "/api/v2/traces?endTs=1700000001000&minDuration=700", 200, found);
        qx_expect(q, "/api/v2/traces?endTs=1700000001000&minDuration=701", 200, "[]");
        qx_close(q);
    }
}

Test(zipkin, search_refuses_what_it_cannot_read)
{
    static const struct {
        const char *query, *message;
    } cases[] = {
        {"endTs=0", "endTs should be positive: was 0"},
        {"limit=-1", "limit should be positive: was -1"},
        {"lookback=0", "lookback should be positive: was 0"},
        {"minDuration=0", "minDuration should be positive: was 0"},
        {"endTs=now", "endTs is not a number: now"},
        {"maxDuration=5", "maxDuration is only valid with minDuration"},
        {"minDuration=6&maxDuration=5", "maxDuration should be >= minDuration"},
    };
    struct qx *q = qx_open();
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char target[300];
        snprintf(target, sizeof target, "/api/v2/traces?%s", cases[i].query);
        qx_expect(q, target, 400, cases[i].message);
    }
    qx_close(q);
}

Test(zipkin, search_is_newest_first_and_limited)
{
    struct qx *q = qx_open();
    for (uint64_t n = 1; n <= 12; n++) {
        struct fx_span span = {.service = "s", .name = "op", .id = n, .start_us = QX_BASE_US + n * 1000, .duration_us = 1};
        if (n % 2)
            qx_store(q, (struct sm_trace_id){0, n}, &span, 1);
        else
            qx_submit(q, (struct sm_trace_id){0, n}, &span, 1);
    }
    qx_expect_json(q, "/api/v2/traces", 200);
    cr_assert_eq(qx_times(q, "\"traceId\""), 10);
    qx_expect_json(q, "/api/v2/traces?limit=2", 200);
    const char *first = strstr(qx_body(q), "\"traceId\":\"000000000000000c\""), *second = strstr(qx_body(q), "\"traceId\":\"000000000000000b\"");
    cr_assert(first && second && first < second && qx_times(q, "\"traceId\"") == 2, "%s", qx_body(q));
    qx_close(q);
}

Test(zipkin, dependencies)
{
    struct sm_graph_edge edges[] = {{.parent = SM_STR("a"), .child = SM_STR("b"), .calls = 3, .errors = 1},
                                    {.parent = SM_STR("b"), .child = SM_STR("c"), .calls = 7}};
    struct qx *q = qx_open();
    q->edges = edges;
    q->edge_count = 2;
    qx_expect(q, "/api/v2/dependencies?endTs=1700000000000&lookback=60000", 200,
              "[{\"parent\":\"a\",\"child\":\"b\",\"callCount\":3,\"errorCount\":1},{\"parent\":\"b\",\"child\":\"c\",\"callCount\":7}]");
    cr_assert_eq(q->graph_start_ms, INT64_C(1699999940000));
    cr_assert_eq(q->graph_end_ms, INT64_C(1700000000000));
    qx_expect_json(q, "/zipkin/api/v2/dependencies?endTs=1700000000000", 200);
    cr_assert_eq(q->graph_start_ms, INT64_C(1699913600000));
    qx_expect(q, "/api/v2/dependencies", 400, "parameter endTs is required");
    qx_expect(q, "/api/v2/dependencies?endTs=1&lookback=0", 400, "lookback should be positive: was 0");
    q->graph_fails = true;
    qx_expect(q, "/api/v2/dependencies?endTs=1", 503, "the dependency graph is not available now");
    qx_close(q);
}

Test(zipkin, dependencies_between_names_in_lower_case)
{
    struct sm_graph_edge edges[] = {{.parent = SM_STR("Cart"), .child = SM_STR("DB"), .calls = 3, .errors = 1},
                                    {.parent = SM_STR("Cart"), .child = SM_STR("\xc3\x84"), .calls = 1},
                                    {.parent = SM_STR("api"), .child = SM_STR("cart"), .calls = 2},
                                    {.parent = SM_STR("cart"), .child = SM_STR("db"), .calls = 4, .errors = 2}};
    struct qx *q = qx_open();
    q->edges = edges;
    q->edge_count = SM_ARRAY_LEN(edges);
    qx_expect(q, "/api/v2/dependencies?endTs=1700000000000", 200,
              "[{\"parent\":\"api\",\"child\":\"cart\",\"callCount\":2},"
              "{\"parent\":\"cart\",\"child\":\"db\",\"callCount\":7,\"errorCount\":3},"
              "{\"parent\":\"cart\",\"child\":\"\xc3\xa4\",\"callCount\":1}]");
    q->edge_count = 0;
    qx_expect(q, "/api/v2/dependencies?endTs=1700000000000", 200, "[]");
    qx_close(q);
}

Test(zipkin, autocompletion)
{
    static const char *const keys[] = {"site", "n\"m", NULL};
    struct qx *q = open_call();
    qx_expect(q, "/api/v2/autocompleteKeys", 200, "[]");
    qx_expect(q, "/api/v2/autocompleteValues?key=site", 200, "[]");
    q->query->env.autocomplete_keys = keys;
    qx_expect(q, "/zipkin/api/v2/autocompleteKeys", 200, "[\"site\",\"n\\\"m\"]");
    qx_expect(q, "/api/v2/autocompleteValues?key=site", 200, "[\"eu\",\"us\"]");
    qx_expect(q, "/api/v2/autocompleteValues?key=http.path", 200, "[]"); /* not one of the keys */
    qx_expect(q, "/api/v2/autocompleteValues", 400, "parameter key is required");
    qx_close(q);
}

Test(zipkin, about_the_server)
{
    struct qx *q = qx_open();
    qx_expect(q, "/health", 200, "{\"status\":\"UP\",\"zipkin\":{\"status\":\"UP\",\"details\":{}}}");
    qx_expect_json(q, "/info", 200);
    qx_expect_json(q, "/zipkin/config.json", 200);
    cr_assert_eq(q->reply.max_age_s, 600);
    cr_assert(qx_has(q, "\"searchEnabled\":true"));
    qx_expect(q, "/api/v2/nothing", 404, "no such page");
    qx_close(q);
}
