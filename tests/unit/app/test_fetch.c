#include "app/fetch.h"

#include <criterion/criterion.h>

static const char *said(const char *body, size_t size)
{
    static char text[200];
    struct sm_fetch_reply reply = {.status = 400};
    sm_buf_puts(&reply.body, body);
    sm_fetch_error_text(&reply, text, size);
    sm_buf_fini(&reply.body);
    return text;
}

Test(fetch, error_texts)
{
    cr_expect_str_eq(said("", 200), "");
    cr_expect_str_eq(said("no such page\nmore", 200), "no such page");
    cr_expect_str_eq(said("a\x1b[31mb\tc", 200), "a?[31mb?c");
    cr_expect_str_eq(said("{\"error\":\"bad \\u20ac\"}", 200), "bad \u20ac");
    cr_expect_str_eq(said("{\"data\":null,\"errors\":[{\"code\":400,\"msg\":\"no lookback\"}]}", 200), "no lookback");
    cr_expect_str_eq(said("{\"error\":{\"code\":3,\"message\":\"line\\nbreak\"}}", 200), "line");
    cr_expect_str_eq(said("{\"status\":7}", 200), "{\"status\":7}");
    cr_expect_str_eq(said("{\"error\":\"torn", 200), "{\"error\":\"torn");
    cr_expect_str_eq(said("0123456789", 5), "0123");
}

Test(fetch, nobody_listens_and_no_url)
{
    struct sm_fetch *f = sm_fetch_new(5 * SM_SEC, NULL);
    struct sm_fetch_reply reply = {0};
    struct sm_err err;
    cr_expect_eq(sm_fetch_get(f, "http://127.0.0.1:1/", &reply, &err), SM_E_CLOSED);
    cr_expect_str_eq(err.text, "nothing listens at http://127.0.0.1:1/");
    cr_expect_eq(sm_fetch_get(f, "ftp://127.0.0.1/", &reply, &err), SM_E_INVALID);
    cr_expect_eq(sm_fetch_get(f, "", &reply, &err), SM_E_INVALID);
    sm_buf_fini(&reply.body);
    sm_fetch_free(f);
}
