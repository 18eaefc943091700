#include "base/json_out.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

static const char *string_of(struct sm_str text, struct sm_buf *out)
{
    sm_buf_clear(out);
    sm_json_put_string(out, text);
    sm_buf_putc(out, '\0');
    return (const char *)out->data;
}

Test(json_out, strings_are_escaped)
{
    struct sm_buf out = {0};
    cr_assert_str_eq(string_of(SM_STR(""), &out), "\"\"");
    cr_assert_str_eq(string_of(SM_STR("plain text that is longer than one vector of 32 bytes"), &out),
                     "\"plain text that is longer than one vector of 32 bytes\"");
    cr_assert_str_eq(string_of(SM_STR("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\0z"), &out),
                     "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000z\"");
    cr_assert_str_eq(string_of(SM_STR("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), &out),
                     "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
    cr_assert_str_eq(string_of(SM_STR("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), &out), "\"\\u2028\\u2029\xe2\x80\xaa\"");
    cr_assert_str_eq(string_of(SM_STR("\xff\xc3"), &out), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    sm_buf_fini(&out);
}

Test(json_out, integers)
{
    struct sm_buf out = {0};
    sm_json_put_int(&out, INT64_MIN);
    sm_buf_putc(&out, ' ');
    sm_json_put_int(&out, 0);
    sm_buf_putc(&out, ' ');
    sm_json_put_uint(&out, UINT64_MAX);
    cr_assert(sm_str_eq(sm_buf_str(&out), SM_STR("-9223372036854775808 0 18446744073709551615")));
    sm_buf_fini(&out);
}

Test(json_out, doubles_are_short_and_read_back)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0.1, "0.1"}, {1, "1"}, {-0.0, "-0"}, {1e21, "1e+21"}, {0.30000000000000004, "0.30000000000000004"},
        {5e-324, "5e-324"}, {DBL_MAX, "1.7976931348623157e+308"}, {-2.5e-7, "-2.5e-07"},
        {INFINITY, "\"Infinity\""}, {-INFINITY, "\"-Infinity\""},
    };
    struct sm_buf out = {0};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        sm_buf_clear(&out);
        sm_json_put_double(&out, cases[i].v);
        cr_assert(sm_str_eq(sm_buf_str(&out), sm_str_c(cases[i].text)), "%s", cases[i].text);
    }
    uint64_t bits = 88172645463325252ull;
    for (unsigned i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        char text[SM_JSON_DOUBLE_SIZE_MAX + 1];
        text[sm_json_format_double(v, text)] = '\0';
        cr_assert_eq(strtod(text, NULL), v, "%s", text);
    }
    sm_buf_fini(&out);
}

Test(json_out, base64_of_every_remainder)
{
    static const char *const expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    struct sm_buf out = {0};
    for (size_t n = 0; n < SM_ARRAY_LEN(expected); n++) {
        sm_buf_clear(&out);
        sm_json_put_base64(&out, sm_str("foobar", n));
        cr_assert(sm_str_eq(sm_buf_str(&out), sm_str_c(expected[n])), "%s", expected[n]);
    }
    sm_buf_fini(&out);
}

Test(json_out, indented)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"", ""},
        {"1", "1"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"{\"a\":[],\"b\":{}}", "{\n  \"a\": [],\n  \"b\": {}\n}"},
        {"[1,[2,{\"k\":null}]]", "[\n  1,\n  [\n    2,\n    {\n      \"k\": null\n    }\n  ]\n]"},
        {"[\"a,b:[{}]\\\"\\\\\",true]", "[\n  \"a,b:[{}]\\\"\\\\\",\n  true\n]"},
    };
    struct sm_buf out = {0};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        sm_buf_clear(&out);
        sm_json_put_indented(&out, sm_str_c(cases[i].json), 2);
        cr_assert(sm_str_eq(sm_buf_str(&out), sm_str_c(cases[i].text)), "%s: %.*s", cases[i].json, SM_STR_ARG(sm_buf_str(&out)));
    }
    sm_buf_fini(&out);
}
