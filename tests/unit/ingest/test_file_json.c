#include "ingest/file_json.h"

#include <criterion/criterion.h>

/* Bytes of the document at the front of the text, looked at in steps of `step`; 0: its end is not there. */
static size_t size_of(const char *text, size_t step)
{
    struct sm_file_json_scan s = {0};
    size_t n = strlen(text);
    for (size_t at = SM_MIN(step, n);; at = SM_MIN(at + step, n)) {
        if (sm_file_json_scan(&s, (const uint8_t *)text, at))
            return s.size;
        if (at == n)
            return 0;
    }
}

static void expect_size(const char *text, size_t size)
{
    for (size_t step = 1; step <= strlen(text); step++)
        cr_expect_eq(size_of(text, step), size, "%zu in steps of %zu: %s", size_of(text, step), step, text);
}

Test(file_json, where_documents_end)
{
    expect_size("{}", 2);
    expect_size("[]x", 2);
    expect_size("{\"a\":[{},[]]} {}", 13);
    expect_size("{\"a}\":\"]\\\"}\\\\\"}{", 15);
    expect_size("[\n{\"a\":1},\n{\"a\":2}\n]\n", 20);
    expect_size("{\"a\":\n{\"b\":[\n{}\n]}}", 19);
    expect_size("{\"a\":[{}", 0);
    expect_size("{\"a\":\"}", 0);
    expect_size("[", 0);
}

/* The rest of the file is not lost with it. */
Test(file_json, documents_that_were_cut)
{
    expect_size("{\"a\":\"tex\n{\"a\":1}\n", 9);
    expect_size("{\"a\":[1\n{\"a\":1}\n", 8);
    expect_size("{\"a\":[{}\n{\"a\":1}\n", 9);
}

static bool is_list(const char *text)
{
    return sm_file_json_is_list((const uint8_t *)text, strlen(text));
}

Test(file_json, lists_of_documents)
{
    cr_expect(is_list("[[{\"traceId\""));
    cr_expect(is_list("[\r\n\t[ ]"));
    cr_expect(is_list("[ {\"traceID\":"));
    cr_expect(is_list("[{ \"resourceSpans\":"));
    cr_expect_not(is_list("[{\"traceId\":"));
    cr_expect_not(is_list("[]"));
    cr_expect_not(is_list("["));
    cr_expect_not(is_list("[{"));
    cr_expect_not(is_list("[{\"traceID"));
    cr_expect_not(is_list("{\"data\":[]}"));
    cr_expect_not(is_list(""));
}

static void expect_codec(const char *text, const struct sm_codec *codec, const char *content)
{
    struct sm_str document = sm_str(text, strlen(text));
    cr_expect_eq(sm_file_json_codec(&document), codec, "%s", text);
    cr_expect(sm_str_eq(document, sm_str(content, strlen(content))), "%.*s", (int)document.len, document.ptr);
}

Test(file_json, codecs)
{
    static const struct {
        const char *text;
        const struct sm_codec *codec;
    } rows[] = {
        {"{\"resourceSpans\":[]}", &sm_codec_otlp_json},
        {"{\"resourceMetrics\":[]}", &sm_codec_otlp_json},
        {"{}", &sm_codec_otlp_json},
        {"{", &sm_codec_otlp_json},
        {"{\"", &sm_codec_otlp_json},
        {"[{\"traceId\":\"1\"}]", &sm_codec_zipkin_any},
        {"{ \"data\":[]}", &sm_codec_jaeger_ui_json},
        {"{\"traceId\":\"1\",\"operationName\":\"a\"}", &sm_codec_jaeger_json},
        {"{\"trace_id\":\"1\",\"operation_name\":\"a\"}", &sm_codec_jaeger_json},
        {"{\"traceId\":\"1\",\"id\":\"a\"}", &sm_codec_zipkin_any}, /* which takes lists only */
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(rows); i++)
        expect_codec(rows[i].text, rows[i].codec, rows[i].text);
    expect_codec("{\"result\": {\"resourceSpans\":[]}}", &sm_codec_otlp_json, "{\"resourceSpans\":[]}");
    expect_codec("{\"result\":1}", &sm_codec_otlp_json, "{\"result\":1}");
    expect_codec("{\"result\":{}", &sm_codec_otlp_json, "{");
}
