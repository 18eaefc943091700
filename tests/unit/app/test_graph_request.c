#include "app/graph_request.h"

#include <criterion/criterion.h>

static const char *url_of(const struct sm_graph_request *r, const char *base)
{
    static char text[300];
    struct sm_buf url = {0};
    sm_graph_request_url(r, base, &url);
    snprintf(text, sizeof text, "%s", (const char *)url.data);
    sm_buf_fini(&url);
    return text;
}

Test(graph_request, url)
{
    struct sm_graph_request r;
    struct sm_err err;
    sm_graph_request_init(&r);
    cr_expect_str_eq(url_of(&r, "http://h:1"), "http://h:1/api/graph?format=json");
    cr_assert_eq(sm_graph_request_format(&r, "dot", &err), SM_OK);
    cr_assert_eq(sm_graph_request_lookback(&r, "1h30m", &err), SM_OK);
    cr_expect_str_eq(url_of(&r, "http://h:1/base//"), "http://h:1/base/api/graph?format=dot&lookback=5400000ms");
    r.lookback_ns = SM_GRAPH_REQUEST_UNSET;
    cr_assert_eq(sm_graph_request_format(&r, "csv", &err), SM_OK);
    cr_assert_eq(sm_graph_request_time("1772366400", &r.start_ns, &err), SM_OK);
    cr_assert_eq(sm_graph_request_time("2026-03-01T12:00:01.5Z", &r.end_ns, &err), SM_OK);
    cr_expect_str_eq(url_of(&r, "http://h:1/"),
                     "http://h:1/api/graph?format=csv&start=1772366400000&end=1772366401500");
}

Test(graph_request, times)
{
    static const char *const same[] = {"2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "1772366400",
                                       "1772366400000",        "1772366400000000",          "1772366400000000000"};
    static const char *const wrong[] = {
        "", "yesterday", "-5", "1h", "2026-03-01", "1772366400s", "99999999999999999999"};
    struct sm_err err;
    for (unsigned i = 0; i < SM_ARRAY_LEN(same); i++) {
        int64_t ns = 0;
        cr_expect_eq(sm_graph_request_time(same[i], &ns, &err), SM_OK, "%s", same[i]);
        cr_expect_eq(ns, INT64_C(1772366400) * SM_SEC, "%s", same[i]);
    }
    for (unsigned i = 0; i < SM_ARRAY_LEN(wrong); i++) {
        int64_t ns = 0;
        cr_expect_eq(sm_graph_request_time(wrong[i], &ns, &err), SM_E_INVALID, "%s", wrong[i]);
    }
}

Test(graph_request, wrong_arguments)
{
    struct sm_graph_request r;
    struct sm_err err;
    sm_graph_request_init(&r);
    cr_expect_eq(sm_graph_request_format(&r, "svg", &err), SM_E_INVALID);
    cr_expect_eq(sm_graph_request_lookback(&r, "0", &err), SM_E_INVALID);
    cr_expect_eq(sm_graph_request_lookback(&r, "soon", &err), SM_E_INVALID);
    sm_graph_request_init(&r);
    cr_expect_eq(sm_graph_request_check(&r, &err), SM_OK);
    r.start_ns = 5;
    r.end_ns = 5;
    cr_expect_eq(sm_graph_request_check(&r, &err), SM_E_INVALID);
    r.end_ns = 6;
    cr_expect_eq(sm_graph_request_check(&r, &err), SM_OK);
    r.lookback_ns = 1;
    cr_expect_eq(sm_graph_request_check(&r, &err), SM_E_INVALID);
}

Test(graph_request, range)
{
    static const struct {
        int64_t start_ns, end_ns, lookback_ns, from_ns, to_ns;
    } cases[] = {
        {SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET, 0, 1000},
        {SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET, 300, 700, 1000},
        {SM_GRAPH_REQUEST_UNSET, 500, 300, 200, 500},
        {SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET, 3000, 0, 1000},
        {400, SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET, 400, 1000},
        {400, 500, SM_GRAPH_REQUEST_UNSET, 400, 500},
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_graph_request r = {SM_GRAPH_JSON, cases[i].start_ns, cases[i].end_ns, cases[i].lookback_ns};
        int64_t from_ns, to_ns;
        sm_graph_request_range(&r, 1000, &from_ns, &to_ns);
        cr_expect_eq(from_ns, cases[i].from_ns, "case %u", i);
        cr_expect_eq(to_ns, cases[i].to_ns, "case %u", i);
    }
}
