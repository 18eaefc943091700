/* Version 1 of Zipkin's model becomes version 2: by JSON, which is easier to read here; thrift says the same in bytes. */
#include "tests/support/codec_env.h"

#include "span/private.h"

#include <criterion/criterion.h>

static struct codec_env e;

static void setup(void)
{
    codec_env_init(&e);
}

static void teardown(void)
{
    codec_env_fini(&e);
}

TestSuite(zipkin_v1, .init = setup, .fini = teardown);

#define HEAD  "{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\""
#define A     ",\"endpoint\":{\"serviceName\":\"a\"}}"
#define B     ",\"endpoint\":{\"serviceName\":\"b\"}}"
#define CORE(value, time, endpoint) "{\"timestamp\":" #time ",\"value\":\"" value "\"" endpoint
#define ADDRESS(key, endpoint)      "{\"key\":\"" key "\",\"value\":true" endpoint
#define TAG(key, value, endpoint)   "{\"key\":\"" key "\",\"value\":" value endpoint
#define LOCAL(name)  ",\"localEndpoint\":{\"serviceName\":\"" name "\"}"
#define REMOTE(name) ",\"remoteEndpoint\":{\"serviceName\":\"" name "\"}"
#define TIMES(t, d)  ",\"timestamp\":" #t ",\"duration\":" #d
#define SHARED ",\"shared\":true}"

/* times, annotations, binary annotations of version 1; the spans of version 2 without ids and the brackets around them */
static const struct conversion {
    const char *times, *annotations, *binary, *spans;
} conversions[] = {
    {"", "", "", HEAD "}"},
    {TIMES(5, 7), "", TAG("lc", "\"\"", A), HEAD TIMES(5, 7) LOCAL("a") "}"},
    {"", "", TAG("k", "\"v\"", "}"), HEAD ",\"tags\":{\"k\":\"v\"}}"},
    /* one side, complete */
    {"", CORE("cs", 10, A) "," CORE("cr", 30, A), "", HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") "}"},
    {TIMES(9, 25), CORE("cr", 30, A) "," CORE("cs", 10, A), "", HEAD ",\"kind\":\"CLIENT\"" TIMES(9, 25) LOCAL("a") "}"},
    {TIMES(10, 20), CORE("sr", 10, A) "," CORE("ss", 30, A), "", HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") "}"},
    /* a server without times of its own shares its client's span: Istio 0.4 */
    {"", CORE("sr", 10, A) "," CORE("ss", 30, A), "", HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") SHARED},
    {",\"timestamp\":10", CORE("sr", 10, A) "," CORE("ss", 30, A), "", HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") SHARED},
    /* a missing begin that the span's times supply */
    {TIMES(10, 20), CORE("cr", 30, A), "", HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") "}"},
    {TIMES(10, 20), CORE("ss", 30, A), "", HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") "}"},
    /* incomplete: the end stays an annotation */
    {"", CORE("cs", 10, A), "", HEAD ",\"kind\":\"CLIENT\",\"timestamp\":10" LOCAL("a") "}"},
    {"", CORE("cr", 30, A), "", HEAD ",\"kind\":\"CLIENT\"" LOCAL("a") ",\"annotations\":[{\"timestamp\":30,\"value\":\"cr\"}]}"},
    {TIMES(10, 5), CORE("ss", 30, A), "",
     HEAD ",\"kind\":\"SERVER\"" TIMES(10, 5) LOCAL("a") ",\"annotations\":[{\"timestamp\":30,\"value\":\"ss\"}]}"},
    {"", CORE("sr", 10, A), "", HEAD ",\"kind\":\"SERVER\",\"timestamp\":10" LOCAL("a") SHARED},
    /* both sides in one span */
    {"", CORE("cs", 10, A) "," CORE("sr", 15, B) "," CORE("ss", 20, B) "," CORE("cr", 30, A), "",
     HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") "}," HEAD ",\"kind\":\"SERVER\"" TIMES(15, 5) LOCAL("b") SHARED},
    {TIMES(9, 25), CORE("cs", 10, A) "," CORE("sr", 15, A) "," CORE("ss", 20, A) "," CORE("cr", 30, A), "",
     HEAD ",\"kind\":\"CLIENT\"" TIMES(9, 25) LOCAL("a") "}," HEAD ",\"kind\":\"SERVER\"" TIMES(15, 5) LOCAL("a") SHARED},
    {"", CORE("cs", 10, A) "," CORE("sr", 15, B), "",
     HEAD ",\"kind\":\"CLIENT\",\"timestamp\":10" LOCAL("a") "}," HEAD ",\"kind\":\"SERVER\",\"timestamp\":15" LOCAL("b") SHARED},
    /* messages */
    {"", CORE("ms", 10, A) "," CORE("ws", 12, A), ADDRESS("ma", B),
     HEAD ",\"kind\":\"PRODUCER\"" TIMES(10, 2) LOCAL("a") REMOTE("b") "}"},
    {"", CORE("mr", 10, A), ADDRESS("ma", B), HEAD ",\"kind\":\"CONSUMER\",\"timestamp\":10" LOCAL("a") REMOTE("b") "}"},
    {"", CORE("wr", 8, A) "," CORE("mr", 10, A), "", HEAD ",\"kind\":\"CONSUMER\"" TIMES(8, 2) LOCAL("a") "}"},
    {"", CORE("ms", 10, A) "," CORE("wr", 12, B) "," CORE("mr", 15, B), "",
     HEAD ",\"kind\":\"PRODUCER\",\"timestamp\":10" LOCAL("a") "}," HEAD ",\"kind\":\"CONSUMER\"" TIMES(12, 3) LOCAL("b") SHARED},
    {"", CORE("ms", 10, A) "," CORE("mr", 15, A), "",
     HEAD ",\"kind\":\"PRODUCER\",\"timestamp\":10" LOCAL("a") "}," HEAD ",\"kind\":\"CONSUMER\",\"timestamp\":15" LOCAL("a") SHARED},
    {"", CORE("ws", 10, A), "", HEAD LOCAL("a") ",\"annotations\":[{\"timestamp\":10,\"value\":\"ws\"}]}"},
    /* two letters without an endpoint are an annotation like any other */
    {"", CORE("cs", 10, "}") "," CORE("xy", 11, A), "",
     HEAD LOCAL("a") ",\"annotations\":[{\"timestamp\":10,\"value\":\"cs\"},{\"timestamp\":11,\"value\":\"xy\"}]}"},
    /* addresses */
    {"", CORE("cs", 10, A) "," CORE("cr", 30, A), ADDRESS("sa", B),
     HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") REMOTE("b") "}"},
    {"", CORE("cs", 10, A) "," CORE("cr", 30, A), TAG("sa", "\"1\"", B),
     HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") REMOTE("b") "}"},
    {TIMES(10, 20), CORE("sr", 10, A) "," CORE("ss", 30, A), ADDRESS("ca", B),
     HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") REMOTE("b") "}"},
    {TIMES(10, 20), CORE("sr", 10, A) "," CORE("ss", 30, A), ADDRESS("ca", A), HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") "}"},
    {TIMES(10, 20), CORE("sr", 10, A) "," CORE("ss", 30, A), ADDRESS("ca", ",\"endpoint\":{\"serviceName\":\"A\",\"port\":7}}"),
     HEAD ",\"kind\":\"SERVER\"" TIMES(10, 20) LOCAL("a") ",\"remoteEndpoint\":{\"port\":7}}"},
    {"", CORE("cs", 10, A) "," CORE("sr", 15, A) "," CORE("ss", 20, A) "," CORE("cr", 30, A),
     ADDRESS("ca", ",\"endpoint\":{\"serviceName\":\"a\",\"port\":7}}") "," ADDRESS("sa", B),
     HEAD ",\"kind\":\"CLIENT\"" TIMES(10, 20) LOCAL("a") REMOTE("b") "}," HEAD ",\"kind\":\"SERVER\"" TIMES(15, 5) LOCAL("a") SHARED},
    {"", "", TAG("k", "\"v\"", A) "," ADDRESS("sa", B), HEAD LOCAL("a") REMOTE("b") ",\"tags\":{\"k\":\"v\"}}"},
    {"", "", ADDRESS("ca", A) "," ADDRESS("sa", B), HEAD LOCAL("a") REMOTE("b") "}"},
    {"", "", ADDRESS("ca", A), HEAD ",\"kind\":\"SERVER\"" REMOTE("a") "}"},
    {"", "", ADDRESS("sa", B) "," ADDRESS("sa", "}"), HEAD REMOTE("b") "}"},
    /* who is first goes by time, then by the text, then by the key */
    {",\"timestamp\":7", CORE("y", 2, A) "," CORE("x", 1, B), "",
     HEAD ",\"timestamp\":7" LOCAL("b") ",\"annotations\":[{\"timestamp\":1,\"value\":\"x\"}]}," HEAD LOCAL("a")
     ",\"annotations\":[{\"timestamp\":2,\"value\":\"y\"}]}"},
    {"", CORE("sr", 2, A) "," CORE("ms", 2, A), "", HEAD ",\"kind\":\"SERVER\",\"timestamp\":2" LOCAL("a") SHARED},
    {",\"timestamp\":7", "", TAG("l", "\"1\"", A) "," TAG("k", "\"2\"", B),
     HEAD ",\"timestamp\":7" LOCAL("b") ",\"tags\":{\"k\":\"2\"}}," HEAD LOCAL("a") ",\"tags\":{\"l\":\"1\"}}"},
    /* an endpoint that says nothing is none */
    {"", CORE("cs", 10, ",\"endpoint\":{\"serviceName\":\"\",\"port\":0}}"), "",
     HEAD ",\"annotations\":[{\"timestamp\":10,\"value\":\"cs\"}]}"},
    {"", "", TAG("sa", "false", B) "," TAG("ca", "1", B) "," ADDRESS("ma", "}"), HEAD "}"},
    /* parties are told apart by service; tags go to theirs */
    {"", CORE("x", 1, A) "," CORE("y", 2, B), TAG("k", "1.50", B) "," TAG("l", "true", A) "," TAG("m", "null", A),
     HEAD LOCAL("a") ",\"annotations\":[{\"timestamp\":1,\"value\":\"x\"}],\"tags\":{\"l\":\"true\"}}," HEAD LOCAL("b")
     ",\"annotations\":[{\"timestamp\":2,\"value\":\"y\"}],\"tags\":{\"k\":\"1.50\"}}"},
    {"", CORE("x", 1, ",\"endpoint\":{\"serviceName\":\"A\",\"port\":1}}"), TAG("k", "\"\\u0041\"", ",\"endpoint\":{\"serviceName\":\"\\u0061\"}}"),
     HEAD ",\"localEndpoint\":{\"serviceName\":\"a\",\"port\":1},\"annotations\":[{\"timestamp\":1,\"value\":\"x\"}],\"tags\":{\"k\":\"A\"}}"},
    {"", CORE("x", 1, ",\"endpoint\":{}}") "," CORE("cs", 2, ",\"endpoint\":null}"), "",
     HEAD ",\"annotations\":[{\"timestamp\":1,\"value\":\"x\"},{\"timestamp\":2,\"value\":\"cs\"}]}"},
    {"", CORE("x", 1, A) "," CORE("x", 1, A), TAG("k", "\"1\"", A) "," TAG("k", "\"2\"", A),
     HEAD LOCAL("a") ",\"annotations\":[{\"timestamp\":1,\"value\":\"x\"}],\"tags\":{\"k\":\"2\"}}"},
};

Test(zipkin_v1, conversions)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(conversions); i++) {
        const struct conversion *c = &conversions[i];
        char text[4096], expected[4096];
        snprintf(text, sizeof text, "[{\"traceId\":\"1\",\"id\":\"2\"%s,\"annotations\":[%s],\"binaryAnnotations\":[%s]}]", c->times,
                 c->annotations, c->binary);
        snprintf(expected, sizeof expected, "[%s]", c->spans);
        cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_v1_json, text), SM_OK, "case %zu: %s: %s", i, text, e.err.text);
        const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
        cr_assert_str_eq(out, expected, "case %zu: %s", i, out);
    }
}

Test(zipkin_v1, origin_and_rest_of_the_span)
{
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_v1_json,
                                       "[{\"traceId\":\"463AC35C9F6413AD48485a3953bb6124\",\"parentId\":\"3\",\"id\":\"A\","
                                       "\"name\":\"GET \\u00dc\",\"debug\":true,\"unknown\":{\"a\":[]}}]"),
                 SM_OK, "%s", e.err.text);
    struct sm_private priv;
    cr_assert(sm_private_find(sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size, &priv));
    cr_assert_eq(priv.origin, SM_ORIGIN_ZIPKIN_V1);
    cr_assert(codec_env_span(&e, 0)->flags & SM_SPAN_DEBUG);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"parentId\":\"0000000000000003\",\"id\":\"000000000000000a\","
                     "\"name\":\"get \xc3\xbc\",\"debug\":true}]");
}

Test(zipkin_v1, refusals_say_why)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{}", "Expected a JSON_V1 encoded list"},
        {"[{\"traceId\":\"1\",\"id\":\"1\",\"localEndpoint\":{}}]", "Expected a JSON_V1 encoded list, but received: JSON_V2"},
        {"[{\"id\":\"1\"}]", "Missing : traceId at byte 11 reading List<Span> from json"},
        {"[{\"traceId\":\"1\",\"id\":\"1\",\"annotations\":[{\"value\":\"a\"}]}]", "Incomplete annotation at byte 53 reading List<Span> from json"},
        {"[{\"traceId\":\"1\",\"id\":\"1\",\"binaryAnnotations\":[{\"value\":\"a\"}]}]", "No key at byte 59 reading List<Span> from json"},
        {"[{\"traceId\":\"1\",\"id\":\"1\",\"annotations\":[{\"endpoint\":{\"port\":70000}}]}]", "invalid port at byte 65 reading List<Span> from json"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_v1_json, cases[i].text), SM_E_INVALID, "%s", cases[i].text);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_str_eq(e.err.text, cases[i].error, "%s: %s", cases[i].text, e.err.text);
    }
}

/* A span with too much in it is refused, the next one is taken. */
Test(zipkin_v1, limits)
{
    struct sm_buf b = {0};
    sm_buf_puts(&b, "[{\"traceId\":\"1\",\"id\":\"1\",\"annotations\":[");
    for (unsigned i = 0; i < 65; i++)
        sm_buf_printf(&b, "%s{\"timestamp\":1,\"value\":\"a\",\"endpoint\":{\"serviceName\":\"s%u\"}}", i ? "," : "", i);
    sm_buf_puts(&b, "]},{\"traceId\":\"1\",\"id\":\"2\",\"binaryAnnotations\":[");
    for (unsigned i = 0; i < 1025; i++)
        sm_buf_printf(&b, "%s{\"key\":\"k%u\",\"value\":\"a\"}", i ? "," : "", i);
    sm_buf_puts(&b, "]},{\"traceId\":\"1\",\"id\":\"3\"}]");
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_v1_json, b.data, b.size), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    cr_assert_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 2);
    e.d.limits.spans_max = 2;
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_v1_json, b.data, b.size), SM_E_LIMIT);
    sm_buf_fini(&b);
}
