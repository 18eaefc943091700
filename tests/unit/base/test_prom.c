#include "base/prom.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>

static const uint64_t bounds_ns[] = {2 * SM_MS, SM_SEC};
static const uint64_t counts[] = {3, 0, 2};

static void sample_families(struct sm_prom *p)
{
    struct sm_buf labels = {0};
    sm_prom_label(&labels, SM_STR("client"), SM_STR("a\\b\"c\nd"));
    sm_prom_label(&labels, SM_STR("server"), SM_STR("caf\xc3\xa9\xff"));
    sm_prom_family(p, "x_calls_total", SM_PROM_COUNTER, "calls");
    sm_prom_uint(p, sm_buf_str(&labels), UINT64_MAX);
    sm_prom_created(p, sm_buf_str(&labels), UINT64_C(1500000000250000000));
    sm_prom_family(p, "x_calls_total", SM_PROM_COUNTER, "calls");
    sm_prom_uint(p, SM_STR(""), 0);
    sm_prom_family(p, "x_open", SM_PROM_GAUGE, "open things");
    sm_prom_double(p, SM_STR(""), 0.1);
    sm_prom_family(p, "x_seconds", SM_PROM_HISTOGRAM, "how long");
    struct sm_prom_exemplar exemplars[3] = {
        [0] = {.labels = SM_STR("trace_id=\"7\""), .value_ns = 1500 * SM_US, .time_ns = 1234567890 * (uint64_t)SM_MS},
    };
    struct sm_prom_histogram h = {bounds_ns, counts, 2, 5, 20 * SM_MS, exemplars, 1500 * (uint64_t)SM_SEC};
    sm_prom_write_histogram(p, SM_STR("k=\"v\""), &h);
    sm_buf_fini(&labels);
}

static void expect(enum sm_prom_format format, const char *text)
{
    struct sm_buf out = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &out, format);
    sample_families(&p);
    sm_prom_end(&p);
    sm_buf_putc(&out, 0);
    cr_assert_str_eq((const char *)out.data, text);
    sm_buf_fini(&out);
}

Test(prom, text_format)
{
    expect(SM_PROM_TEXT,
           "# HELP x_calls_total calls\n"
           "# TYPE x_calls_total counter\n"
           "x_calls_total{client=\"a\\\\b\\\"c\\nd\",server=\"caf\xc3\xa9\xef\xbf\xbd\"} 18446744073709551615\n"
           "x_calls_total 0\n"
           "# HELP x_open open things\n"
           "# TYPE x_open gauge\n"
           "x_open 0.1\n"
           "# HELP x_seconds how long\n"
           "# TYPE x_seconds histogram\n"
           "x_seconds_bucket{k=\"v\",le=\"0.002\"} 3\n"
           "x_seconds_bucket{k=\"v\",le=\"1.0\"} 3\n"
           "x_seconds_bucket{k=\"v\",le=\"+Inf\"} 5\n"
           "x_seconds_sum{k=\"v\"} 5.02\n"
           "x_seconds_count{k=\"v\"} 5\n");
}

Test(prom, openmetrics)
{
    expect(SM_PROM_OPENMETRICS,
           "# HELP x_calls calls\n"
           "# TYPE x_calls counter\n"
           "x_calls_total{client=\"a\\\\b\\\"c\\nd\",server=\"caf\xc3\xa9\xef\xbf\xbd\"} 18446744073709551615\n"
           "x_calls_created{client=\"a\\\\b\\\"c\\nd\",server=\"caf\xc3\xa9\xef\xbf\xbd\"} 1500000000.25\n"
           "x_calls_total 0\n"
           "# HELP x_open open things\n"
           "# TYPE x_open gauge\n"
           "x_open 0.1\n"
           "# HELP x_seconds how long\n"
           "# TYPE x_seconds histogram\n"
           "x_seconds_bucket{k=\"v\",le=\"0.002\"} 3 # {trace_id=\"7\"} 0.0015 1234567.89\n"
           "x_seconds_bucket{k=\"v\",le=\"1.0\"} 3\n"
           "x_seconds_bucket{k=\"v\",le=\"+Inf\"} 5\n"
           "x_seconds_sum{k=\"v\"} 5.02\n"
           "x_seconds_count{k=\"v\"} 5\n"
           "x_seconds_created{k=\"v\"} 1500.0\n"
           "# EOF\n");
}

Test(prom, doubles_are_shortest_that_read_back)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "m 0\n"},           {1e300, "m 1e+300\n"},   {0.30000000000000004, "m 0.30000000000000004\n"},
        {INFINITY, "m +Inf\n"}, {-INFINITY, "m -Inf\n"}, {NAN, "m NaN\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_buf out = {0};
        struct sm_prom p;
        sm_prom_begin(&p, &out, SM_PROM_TEXT);
        sm_prom_family(&p, "m", SM_PROM_GAUGE, "");
        sm_buf_clear(&out);
        sm_prom_double(&p, SM_STR(""), cases[i].value);
        sm_buf_putc(&out, 0);
        cr_expect_str_eq((const char *)out.data, cases[i].text);
        sm_buf_fini(&out);
    }
}

Test(prom, invalid_utf8_is_replaced_byte_by_byte)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\xe2\x82\xac", "l=\"\xe2\x82\xac\""},                           /* euro sign */
        {"\xf0\x9f\x98\x80", "l=\"\xf0\x9f\x98\x80\""},                   /* beyond 16 bits */
        {"\xe2\x82", "l=\"\xef\xbf\xbd\xef\xbf\xbd\""},                   /* cut */
        {"\xc0\x80", "l=\"\xef\xbf\xbd\xef\xbf\xbd\""},                   /* not shortest */
        {"\xed\xa0\x80x", "l=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""}, /* surrogate */
        {"\xf4\x90\x80\x80", "l=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_buf out = {0};
        sm_prom_label(&out, SM_STR("l"), sm_str_c(cases[i].in));
        cr_expect(sm_str_eq(sm_buf_str(&out), sm_str_c(cases[i].out)), "case %zu: %.*s", i,
                  SM_STR_ARG(sm_buf_str(&out)));
        sm_buf_fini(&out);
    }
}

Test(prom, negotiation)
{
    static const struct {
        const char *accept;
        enum sm_prom_format format;
    } cases[] = {
        {"", SM_PROM_TEXT},
        {"*/*", SM_PROM_TEXT},
        {"text/html", SM_PROM_TEXT},
        {"application/openmetrics-text", SM_PROM_OPENMETRICS},
        {"Application/OpenMetrics-Text; Version=1.0.0", SM_PROM_OPENMETRICS},
        {"application/openmetrics-text;version=2.0.0", SM_PROM_TEXT},
        {"application/openmetrics-text;q=0", SM_PROM_TEXT},
        {"application/openmetrics-text;q=0.2,text/plain;q=0.9", SM_PROM_TEXT},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;"
         "version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
         SM_PROM_OPENMETRICS},
        {";;;,,,=;q=zzzzzzzzzzzzzzzz", SM_PROM_TEXT},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_expect_eq(sm_prom_negotiate(sm_str_c(cases[i].accept)), cases[i].format, "%s", cases[i].accept);
}

static void collect_one(void *ctx, struct sm_prom *p)
{
    sm_prom_family(p, ctx, SM_PROM_GAUGE, "h");
    sm_prom_uint(p, SM_STR(""), 1);
}

Test(prom, registry_runs_collectors_in_order)
{
    struct sm_prom_registry *r = sm_prom_registry_new();
    sm_prom_registry_add(r, "second in the alphabet", collect_one, "b");
    sm_prom_registry_add(r, "first in the alphabet", collect_one, "a");
    struct sm_buf out = {0};
    sm_prom_registry_scrape(r, SM_PROM_OPENMETRICS, NULL, &out);
    sm_buf_putc(&out, 0);
    cr_assert_str_eq((const char *)out.data,
                     "# HELP b h\n# TYPE b gauge\nb 1\n# HELP a h\n# TYPE a gauge\na 1\n# EOF\n");
    sm_buf_fini(&out);
    sm_prom_registry_free(r);
}

Test(prom, a_family_opened_twice_aborts, .signal = SIGABRT)
{
    struct sm_buf out = {0};
    struct sm_prom p;
    sm_prom_begin(&p, &out, SM_PROM_TEXT);
    sm_prom_family(&p, "a", SM_PROM_GAUGE, "");
    sm_prom_family(&p, "b", SM_PROM_GAUGE, "");
    sm_prom_family(&p, "a", SM_PROM_GAUGE, "");
}
