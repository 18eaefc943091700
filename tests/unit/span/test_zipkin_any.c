/* Zipkin lists whose format nobody names. */
#include "tests/support/codec_env.h"

#include "span/codec/zipkin.h"

#include <criterion/criterion.h>

Test(zipkin_any, forms)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum sm_zipkin_form form;
    } cases[] = {
        {"", 0, SM_ZIPKIN_UNKNOWN},           {"[", 1, SM_ZIPKIN_JSON},           {"[]", 2, SM_ZIPKIN_JSON},
        {" \r\n\t[ {", 7, SM_ZIPKIN_JSON},    {"\n[{", 3, SM_ZIPKIN_JSON},        {"\n\n[\n]", 5, SM_ZIPKIN_JSON},
        {"\n[\n\x08", 4, SM_ZIPKIN_PROTO},    {"\x0a\x01", 2, SM_ZIPKIN_PROTO},   {"\x0a\x00", 2, SM_ZIPKIN_THRIFT},
        {"\x0c\0\0\0\1", 5, SM_ZIPKIN_THRIFT}, {"\x0b\0\0\0\1", 5, SM_ZIPKIN_THRIFT}, {"{", 1, SM_ZIPKIN_UNKNOWN},
        {"<html>", 6, SM_ZIPKIN_UNKNOWN},     {"\xff", 1, SM_ZIPKIN_UNKNOWN},     {"   ", 3, SM_ZIPKIN_UNKNOWN},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_expect_eq(sm_zipkin_form_of(sm_str(cases[i].bytes, cases[i].size)), cases[i].form, "case %zu", i);
}

Test(zipkin_any, decodes_each)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *json;
    } cases[] = {
#define TEXT(t) t, sizeof(t) - 1
        {TEXT("[{\"traceId\":\"1\",\"id\":\"2\",\"kind\":\"SERVER\"}]"), "\"kind\":\"SERVER\""},
        {TEXT("[{\"traceId\":\"1\",\"id\":\"2\",\"tags\":{\"a\":\"b\"}}]"), "\"tags\":{\"a\":\"b\"}"},
        {TEXT("[{\"traceId\":\"1\",\"id\":\"2\",\"binaryAnnotations\":[{\"key\":\"a\",\"value\":\"b\"}]}]"), "\"tags\":{\"a\":\"b\"}"},
        {TEXT("[{\"traceId\":\"1\",\"id\":\"2\",\"annotations\":[{\"timestamp\":1,\"value\":\"sr\",\"endpoint\":{\"port\":1}}]}]"), "\"kind\":\"SERVER\""},
        {TEXT("\x0a\x08\x0a\x01\x01\x1a\x01\x02\x20\x02"), "\"kind\":\"SERVER\""},
        {TEXT("\x0c\0\0\0\1\x0a\0\1\0\0\0\0\0\0\0\1\x0a\0\4\0\0\0\0\0\0\0\2\0"), "\"id\":\"0000000000000002\""},
    };
    struct codec_env e;
    codec_env_init(&e);
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_eq(codec_env_decode(&e, &sm_codec_zipkin_any, cases[i].bytes, cases[i].size), SM_OK, "case %zu: %s", i, e.err.text);
        cr_expect_eq(e.batch.count, 1);
        cr_expect(strstr(codec_env_encode(&e, &sm_codec_zipkin_json), cases[i].json), "case %zu: %s", i, (char *)e.out.data);
    }
    cr_expect_eq(codec_env_decode_text(&e, &sm_codec_zipkin_any, "<html>"), SM_E_INVALID);
    codec_env_fini(&e);
}
