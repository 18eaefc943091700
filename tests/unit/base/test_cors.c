#include "base/net/cors.h"

#include <criterion/criterion.h>

static struct sm_cors *make(const char *const *origins, size_t n, const char *const *headers, size_t headers_n)
{
    struct sm_err err = {0};
    struct sm_cors *cors = sm_cors_new(&(struct sm_cors_config){origins, n, headers, headers_n, 600 * SM_SEC}, &err);
    cr_assert(cors, "%s", err.text);
    return cors;
}

Test(cors, origins)
{
    const char *const origins[] = {"https://app.example.com", "https://*.shop.example", "http://localhost:*"};
    struct sm_cors *cors = make(origins, SM_ARRAY_LEN(origins), NULL, 0);
    const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        {"https://app.example.com", true},
        {"https://app.example.com:8443", false},
        {"http://app.example.com", false},
        {"https://app.example.com.evil.example", false},
        {"https://a.shop.example", true},
        {"https://a.b.shop.example", true},
        {"https://shop.example", false},
        {"https://.shop.example", false},
        {"https://evilshop.example", false},
        {"https://evil.example/.shop.example", false},
        {"https://evil.example:1@.shop.example", false},
        {"https://evil.example#.shop.example", false},
        {"http://localhost:3000", true},
        {"http://localhost:", false},
        {"http://localhost", false},
        {"http://localhost:3000/", false},
        {"null", false},
        {"", false},
        {"*", false},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_assert_eq(sm_cors_ask(cors, sm_str_c(cases[i].origin)), cases[i].allowed ? SM_CORS_NAMED : SM_CORS_NO, "%s",
                     cases[i].origin);
    sm_cors_free(cors);
}

Test(cors, everybody_is_not_named)
{
    const char *const origins[] = {"*", "https://app.example.com"};
    struct sm_cors *cors = make(origins, SM_ARRAY_LEN(origins), NULL, 0);
    cr_assert_eq(sm_cors_ask(cors, SM_STR("https://x.example")), SM_CORS_ANYBODY);
    cr_assert_eq(sm_cors_ask(cors, SM_STR("https://app.example.com")), SM_CORS_NAMED);
    cr_assert_eq(sm_cors_ask(cors, SM_STR("")), SM_CORS_NO);
    sm_cors_free(cors);
}

static bool headers_are(const struct sm_cors *cors, const char *asked, const char *expected)
{
    return sm_str_eq(sm_cors_headers(cors, sm_str_c(asked)), sm_str_c(expected));
}

Test(cors, headers)
{
    const char *const origins[] = {"*"}, *const more[] = {"x-tenant"}, *const any[] = {"*"};
    struct sm_cors *cors = make(origins, 1, more, 1);
    cr_assert(headers_are(cors, "x-other", "content-type, content-encoding, authorization, x-tenant"));
    cr_assert(sm_str_eq(sm_cors_max_age(cors), SM_STR("600")));
    sm_cors_free(cors);
    cors = make(origins, 1, any, 1);
    cr_assert(headers_are(cors, "authorization,x-other", "authorization,x-other"));
    cr_assert(headers_are(cors, "x-a\r\nset-cookie: b", "content-type, content-encoding, authorization, *"));
    cr_assert(headers_are(cors, "", "content-type, content-encoding, authorization, *"));
    sm_cors_free(cors);
}

Test(cors, patterns_that_make_no_sense)
{
    const char *const bad[] = {"app.example.com", "https://", "https://a.example/", "https://a.example/path", "*.example.com",
                               "https://*.*.example", "http*://a.example", "https://a b", ""};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_err err = {0};
        cr_assert_null(sm_cors_new(&(struct sm_cors_config){.origins = &bad[i], .origins_n = 1}, &err), "%s", bad[i]);
        cr_assert(strstr(err.text, "is no origin"));
    }
    const char *origin = "*", *header = "x tenant";
    struct sm_err err = {0};
    cr_assert_null(sm_cors_new(&(struct sm_cors_config){&origin, 1, &header, 1, 0}, &err));
    cr_assert(strstr(err.text, "is no header name"));
}
