#include "tests/unit/query/fixture.h"

#define SPAN(trace, id, name)                                                                                          \
    "{\"traceId\":\"" trace "\",\"spanId\":\"" id "\",\"name\":\"" name                                                \
    "\",\"kind\":2,\"startTimeUnixNano\":\"1700000000000000000\",\"endTimeUnixNano\":\"1700000000000005000\"}"
#define DOCUMENT(spans)                                                                                                \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}}]},"   \
    "\"scopeSpans\":[{\"spans\":[" spans "]}]}]}"
#define TRACE_A "000000000000000000000000000000aa"
#define TRACE_B "000000000000000000000000000000bb"
#define JAEGER_SPAN(trace, id, name)                                                                                   \
    "{\"traceID\":\"" trace "\",\"spanID\":\"" id "\",\"operationName\":\"" name "\",\"references\":[],"                  \
    "\"startTime\":1700000000000000,\"duration\":5,\"tags\":[{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"server\"}]," \
    "\"logs\":[],\"processID\":\"p1\",\"warnings\":null}"
#define JAEGER_TRACE(trace, spans)                                                                                     \
    "{\"traceID\":\"" trace "\",\"spans\":[" spans "],\"processes\":{\"p1\":{\"serviceName\":\"s\",\"tags\":[]}},\"warnings\":null}"

static void expect(struct qx *q, struct sm_str document, uint16_t status, const char *body)
{
    cr_assert_eq(qx_post(q, "/jaeger/api/transform", document), status, "%s", qx_body(q));
    cr_assert_str_eq(qx_body(q), body);
}

Test(transform, spans_are_gathered_by_trace)
{
    struct qx *q = qx_open();
    expect(q, SM_STR(DOCUMENT(SPAN(TRACE_B, "0000000000000001", "x") "," SPAN(TRACE_A, "0000000000000002", "y") "," SPAN(TRACE_B, "0000000000000003", "z"))),
           200,
           "{\"data\":[" JAEGER_TRACE("00000000000000aa", JAEGER_SPAN("00000000000000aa", "0000000000000002", "y")) ","
           JAEGER_TRACE("00000000000000bb", JAEGER_SPAN("00000000000000bb", "0000000000000001", "x") ","
                                            JAEGER_SPAN("00000000000000bb", "0000000000000003", "z"))
           "],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}");
    cr_assert_eq(qx_get(q, "/api/services"), 200);
    cr_assert(qx_has(q, "\"data\":[]"), "nothing of it is kept");
    qx_close(q);
}

Test(transform, what_cannot_be_read_is_told)
{
    struct qx *q = qx_open();
    cr_assert_eq(qx_post(q, "/api/transform", SM_STR("")), 400);
    cr_assert_eq(qx_post(q, "/api/transform", SM_STR("{\"resourceSpans\":[")), 400);
    cr_assert_eq(qx_post(q, "/api/transform", SM_STR("{}")), 400);
    cr_assert(qx_has(q, "no spans in the document"));
    cr_assert_eq(qx_post(q, "/api/transform", SM_STR(DOCUMENT(SPAN("", "0000000000000001", "x")))), 400);
    cr_assert_eq(qx_post(q, "/api/transform", SM_STR(DOCUMENT(SPAN("", "0000000000000001", "x") "," SPAN(TRACE_A, "0000000000000002", "y")))), 200);
    cr_assert(qx_has(q, "1 spans left out") && qx_has(q, "\"operationName\":\"y\""), "%s", qx_body(q));
    qx_close(q);
}

Test(transform, methods_belong_to_paths)
{
    struct qx *q = qx_open();
    cr_assert_eq(qx_get(q, "/api/transform"), 405);
    cr_assert_eq(qx_post(q, "/api/services", SM_STR("")), 405);
    cr_assert_eq(qx_post(q, "/api/nothing", SM_STR("")), 404);
    cr_assert_eq(sm_query_method("/jaeger", SM_STR("/jaeger/api/transform")), SM_QUERY_POST);
    cr_assert_eq(sm_query_method("/jaeger", SM_STR("/api/v2/trace/abc")), SM_QUERY_GET);
    cr_assert_eq(sm_query_method(NULL, SM_STR("/jaeger/api/services")), SM_QUERY_NONE);
    cr_assert_eq(sm_query_method(NULL, SM_STR("/%zz")), SM_QUERY_NONE);
    qx_close(q);
}

Test(transform, there_is_no_archive)
{
    struct qx *q = qx_open();
    qx_store(q, fx_id(1), qx_shop, qx_shop_count);
    cr_assert_eq(qx_post(q, "/api/archive/" QX_SHOP_HEX, SM_STR("")), 501);
    cr_assert_eq(qx_post(q, "/api/archive/abc", SM_STR("")), 404);
    cr_assert_eq(qx_post(q, "/api/archive/xyz!", SM_STR("")), 400);
    qx_close(q);
}
