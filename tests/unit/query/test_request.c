#include "query/request.h"

#include <criterion/criterion.h>

static enum sm_rc parse(struct sm_query_request *r, const char *path, const char *query)
{
    return sm_query_request_init(r, sm_str_c(path), sm_str_c(query), "/jaeger/", 1);
}

Test(request, path_and_parameters_are_decoded)
{
    struct sm_query_request r;
    cr_assert_eq(parse(&r, "/jaeger/api/services/a%2Fb%20c/operations/", "x=1&x=2+3&empty=&bare&%C3%A9=%26"), SM_OK);
    cr_assert_eq(r.segment_count, 4);
    cr_assert(sm_str_eq(r.segments[2], SM_STR("a/b c")));
    cr_assert(sm_str_eq(sm_query_param(&r, "x"), SM_STR("1")));
    cr_assert(sm_str_eq(r.params[1].value, SM_STR("2 3")));
    cr_assert(sm_query_param(&r, "empty").ptr && sm_query_param(&r, "empty").len == 0);
    cr_assert(sm_query_param(&r, "bare").ptr && sm_query_param(&r, "bare").len == 0);
    cr_assert(sm_str_eq(sm_query_param(&r, "\xc3\xa9"), SM_STR("&")));
    cr_assert_null(sm_query_param(&r, "y").ptr);
    cr_assert(sm_str_eq(sm_query_param_either(&r, "empty", "x"), SM_STR("1")));
    sm_query_request_fini(&r);
}

Test(request, base_path_is_optional_and_whole)
{
    struct sm_query_request r;
    cr_assert_eq(parse(&r, "/api/services", ""), SM_OK);
    cr_assert_eq(r.segment_count, 2);
    sm_query_request_fini(&r);
    cr_assert_eq(parse(&r, "/jaegerish/x", ""), SM_OK);
    cr_assert(sm_str_eq(r.segments[0], SM_STR("jaegerish")));
    sm_query_request_fini(&r);
    cr_assert_eq(parse(&r, "/jaeger", ""), SM_OK);
    cr_assert_eq(r.segment_count, 0);
    sm_query_request_fini(&r);
}

Test(request, bad_targets_are_refused)
{
    struct sm_query_request r;
    cr_assert_eq(parse(&r, "/a/%zz", ""), SM_E_INVALID);
    cr_assert_eq(parse(&r, "/a/%4", ""), SM_E_INVALID);
    cr_assert_eq(parse(&r, "/a/%ff", ""), SM_E_INVALID);
    cr_assert_eq(parse(&r, "/a", "x=%e0%80"), SM_E_INVALID);
    cr_assert_eq(parse(&r, "/1/2/3/4/5/6/7/8/9", ""), SM_E_NOTFOUND);
    char many[SM_QUERY_PARAMS_MAX + 2];
    memset(many, '&', sizeof many);
    many[sizeof many - 1] = '\0';
    cr_assert_eq(parse(&r, "/a", many), SM_E_LIMIT);
}

Test(request, integers)
{
    static const struct {
        const char *text;
        bool valid;
        int64_t value;
    } cases[] = {{"0", true, 0},       {"-7", true, -7},
                 {"+12", true, 12},    {"9223372036854775807", true, INT64_MAX},
                 {"", false, 0},       {"9223372036854775808", false, 0},
                 {"-", false, 0},      {"-9223372036854775808", true, INT64_MIN},
                 {"1x", false, 0},     {" 1", false, 0},
                 {"1.5", false, 0},    {"99999999999999999999", false, 0}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        int64_t v = 0;
        cr_assert_eq(sm_query_int(sm_str_c(cases[i].text), &v) == SM_OK, cases[i].valid, "%s", cases[i].text);
        cr_assert_eq(v, cases[i].value, "%s", cases[i].text);
    }
}

Test(request, go_durations)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: invalid */
    } cases[] = {{"1.2s", 1200 * SM_MS}, {"100ms", 100 * SM_MS}, {"500us", 500 * SM_US}, {"1h2m", 3720 * SM_SEC},
                 {"0", 0},               {"7ns", 7},             {"\xc2\xb5s", -1},     {"3\xc2\xb5s", 3 * SM_US},
                 {"3\xce\xbcs", 3 * SM_US}, {".5s", 500 * SM_MS}, {"1.s", SM_SEC},      {"", -1},
                 {"5", -1},              {"s", -1},              {".s", -1},            {"1d", -1},
                 {"1s ", -1},            {"9999999999h", -1},    {"99999999999999999999s", -1}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        int64_t ns = 0;
        enum sm_rc rc = sm_query_go_duration(sm_str_c(cases[i].text), &ns);
        cr_assert_eq(rc == SM_OK, cases[i].ns >= 0, "%s", cases[i].text);
        cr_assert(rc != SM_OK || ns == cases[i].ns, "%s: %ld", cases[i].text, (long)ns);
    }
    int64_t ns;
    cr_assert_eq(sm_query_go_duration(SM_STR("-1m"), &ns), SM_OK);
    cr_assert_eq(ns, -60 * SM_SEC);
}

Test(request, the_unit_of_a_time_follows_from_its_size)
{
    int64_t ns;
    cr_assert_eq(sm_query_epoch(SM_STR("1700000000000000"), &ns), SM_OK);
    cr_assert_eq(ns, INT64_C(1700000000) * SM_SEC);
    cr_assert_eq(sm_query_epoch(SM_STR("1700000000000"), &ns), SM_OK);
    cr_assert_eq(ns, INT64_C(1700000000) * SM_SEC);
    cr_assert_neq(sm_query_epoch(SM_STR("-1"), &ns), SM_OK);
    cr_assert_neq(sm_query_epoch(SM_STR("9223372036854775807"), &ns), SM_OK);
}

Test(request, trace_ids)
{
    static const struct {
        const char *text;
        uint64_t hi, lo; /* both 0: invalid */
    } cases[] = {{"1", 0, 1},
                 {"0102030405060708", 0, 0x0102030405060708},
                 {"0102030405060708090A0b0c0d0e0f10", 0x0102030405060708, 0x090a0b0c0d0e0f10},
                 {"AQIDBAUGBwg=", 0, 0x0102030405060708},
                 {"AQIDBAUGBwgJCgsMDQ4PEA==", 0x0102030405060708, 0x090a0b0c0d0e0f10},
                 {"AQIDBAUGBwgJCgsMDQ4PEA", 0x0102030405060708, 0x090a0b0c0d0e0f10},
                 {"-_-_-_-_-_8=", 0, 0xfbffbffbffbffbff},
                 {"0", 0, 0},
                 {"", 0, 0},
                 {"xyz!", 0, 0},
                 {"AQID", 0, 0},
                 {"00000000000000000000000000000000001", 0, 0}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_trace_id id = {0};
        bool valid = sm_query_trace_id(sm_str_c(cases[i].text), &id) == SM_OK;
        cr_assert_eq(valid, cases[i].hi || cases[i].lo, "%s", cases[i].text);
        cr_assert(!valid || (id.hi == cases[i].hi && id.lo == cases[i].lo), "%s", cases[i].text);
    }
}
