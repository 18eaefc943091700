/* Jaeger's span as JSON, and by itself as protobuf. What becomes of tags, logs and references is tested with the other formats
 * (test_jaeger.c); here: that this one says the same. */
#include "tests/support/codec_env.h"

#include "base/base64.h"
#include "base/pb.h"
#include "span/private.h"

#include <criterion/criterion.h>
#include <math.h>

static struct codec_env e;

static void setup(void)
{
    codec_env_init(&e);
}

static void teardown(void)
{
    codec_env_fini(&e);
}

TestSuite(jaeger_json, .init = setup, .fini = teardown);

#define IDS "\"traceId\":\"AAAAAAAAAAEAAAAAAAAAAg==\",\"spanId\":\"AAAAAAAAAAM=\""
#define PROCESS "\"process\":{\"serviceName\":\"svc\",\"tags\":[{\"key\":\"host\",\"vStr\":\"h\"}]}"

static const char full[] =
    "{" IDS ",\"operationName\":\"op\\u00e9\",\"references\":[{\"traceId\":\"AAAAAAAAAAEAAAAAAAAAAg==\",\"spanId\":\"AAAAAAAAAAk=\"},"
    "{\"refType\":\"FOLLOWS_FROM\",\"traceId\":\"AAAAAAAAAAEAAAAAAAAABw==\",\"spanId\":\"AAAAAAAAAAg=\"}],\"flags\":3,"
    "\"startTime\":\"2023-11-14T22:13:20.000001500Z\",\"duration\":\"0.0025s\","
    "\"tags\":[{\"key\":\"span.kind\",\"vStr\":\"server\"},{\"key\":\"s\",\"vStr\":\"t\\\"\"},{\"key\":\"b\",\"vType\":\"BOOL\",\"vBool\":true},"
    "{\"key\":\"i\",\"vType\":\"INT64\",\"vInt64\":\"-7\"},{\"key\":\"f\",\"vType\":\"FLOAT64\",\"vFloat64\":1.5},"
    "{\"key\":\"y\",\"vType\":\"BINARY\",\"vBinary\":\"AQID\"},{\"key\":\"empty\"}],"
    "\"logs\":[{\"timestamp\":\"2023-11-14T22:13:21Z\",\"fields\":[{\"key\":\"event\",\"vStr\":\"e\"},{\"key\":\"k\",\"vStr\":\"v\"}]}],"
    "\"processId\":\"\",\"warnings\":[\"w\"]," PROCESS "}";

static struct sm_value attribute(uint32_t i, const char *key)
{
    struct sm_value v = {.type = SM_VALUE_EMPTY};
    cr_assert(sm_attr_find((const char *)sm_batch_bytes(&e.batch, i), codec_env_span(&e, i)->size, SM_OTLP_ATTRIBUTES, sm_str_c(key), &v),
              "%s", key);
    return v;
}

static unsigned count_fields(uint32_t number)
{
    const uint8_t *p = sm_batch_bytes(&e.batch, 0), *end = p + codec_env_span(&e, 0)->size;
    struct sm_pb_field f;
    unsigned n = 0;
    while (sm_pb_next(&p, end, &f))
        n += f.number == number;
    return n;
}

Test(jaeger_json, a_span_with_everything)
{
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, full), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_expect(sm_trace_id_eq(e.batch.items[0].trace, (struct sm_trace_id){1, 2}));
    cr_expect_eq(s->span_id, 3);
    cr_expect_eq(s->parent_id, 9);
    cr_expect_eq(s->start_ns, UINT64_C(1700000000000001500));
    cr_expect_eq(s->duration_ns, 2500000);
    cr_expect_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_expect(sm_str_eq(codec_env_name(&e, 0), SM_STR("op\xc3\xa9")));
    cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    cr_expect(s->flags & SM_SPAN_DEBUG);
    cr_expect(s->flags & SM_SPAN_LINKS);
    cr_expect(s->flags & SM_SPAN_EVENTS);
    cr_expect_eq(count_fields(SM_OTLP_LINKS), 1, "the parent's reference is none");
    cr_expect_eq(count_fields(SM_OTLP_EVENTS), 1);
    cr_expect_eq(count_fields(SM_OTLP_ATTRIBUTES), 6);
    cr_expect(sm_str_eq(attribute(0, "s").bytes, SM_STR("t\"")));
    cr_expect(attribute(0, "b").type == SM_VALUE_BOOL && attribute(0, "b").b);
    cr_expect(attribute(0, "i").type == SM_VALUE_INT && attribute(0, "i").i == -7);
    cr_expect(attribute(0, "f").type == SM_VALUE_DOUBLE && attribute(0, "f").d == 1.5);
    cr_expect(attribute(0, "y").type == SM_VALUE_BYTES && sm_str_eq(attribute(0, "y").bytes, SM_STR("\1\2\3")));
    cr_expect(attribute(0, "empty").type == SM_VALUE_STRING && attribute(0, "empty").bytes.len == 0);
}

/* One span as Jaeger's own marshallers write it to Kafka (jaeger-idl 0.14.0 with gogo's jsonpb and proto). */
static const char official_json[] =
    "{\"traceId\":\"AAAAAAAAAAEAAAAAAAAAAg==\",\"spanId\":\"AAAAAAAAAAM=\",\"operationName\":\"op é \\\"q\\\"\",\""
    "references\":[{\"traceId\":\"AAAAAAAAAAEAAAAAAAAAAg==\",\"spanId\":\"AAAAAAAAAAk=\"},{\"traceId\":\"AAAAAAAAAA"
    "AAAAAAAAAABw==\",\"spanId\":\"AAAAAAAAAAg=\",\"refType\":\"FOLLOWS_FROM\"}],\"flags\":3,\"startTime\":\"2023-1"
    "1-14T22:13:20.000001500Z\",\"duration\":\"0.002500s\",\"tags\":[{\"key\":\"span.kind\",\"vStr\":\"server\"},{\""
    "key\":\"s\",\"vStr\":\"t\"},{\"key\":\"b\",\"vType\":\"BOOL\",\"vBool\":true},{\"key\":\"i\",\"vType\":\"INT64"
    "\",\"vInt64\":\"-7\"},{\"key\":\"f\",\"vType\":\"FLOAT64\",\"vFloat64\":1.5},{\"key\":\"y\",\"vType\":\"BINARY"
    "\",\"vBinary\":\"AQID\"}],\"logs\":[{\"timestamp\":\"2023-11-14T22:13:21Z\",\"fields\":[{\"key\":\"event\",\"v"
    "Str\":\"e\"},{\"key\":\"n\",\"vType\":\"INT64\",\"vInt64\":\"5\"}]}],\"process\":{\"serviceName\":\"svc\",\"ta"
    "gs\":[{\"key\":\"host\",\"vStr\":\"h\"}]},\"warnings\":[\"w\"]}";
static const char official_proto[] = /* in base64 */
    "ChAAAAAAAAAAAQAAAAAAAAACEggAAAAAAAAAAxoJb3Agw6kgInEiIhwKEAAAAAAAAAABAAAAAAAAAAISCAAAAAAAAAAJIh4KEAAAAAAAAAAAAA"
    "AAAAAAAAcSCAAAAAAAAAAIGAEoAzIJCIDiz6oGENwLOgUQoMuYAUITCglzcGFuLmtpbmQaBnNlcnZlckIGCgFzGgF0QgcKAWIQASABQhAKAWkQ"
    "Aij5//////////8BQg4KAWYQAzEAAAAAAAD4P0IKCgF5EAQ6AwECA0odCgYIgeLPqgYSCgoFZXZlbnQaAWUSBwoBbhACKAVSEAoDc3ZjEgkKBG"
    "hvc3QaAWhiAXc=";

Test(jaeger_json, what_jaegers_marshallers_write)
{
    uint8_t message[1000];
    const uint8_t *end = sm_base64_decode(sm_str_c(official_proto), message);
    cr_assert(end);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_jaeger_span, message, (size_t)(end - message)), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_expect_eq(s->parent_id, 9);
    cr_expect_eq(s->duration_ns, 2500000);
    cr_expect_eq(count_fields(SM_OTLP_ATTRIBUTES), 5);
    struct sm_buf bytes = {0};
    sm_buf_put(&bytes, sm_batch_bytes(&e.batch, 0), s->size);
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, official_json), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    cr_expect(sm_str_eq(sm_buf_str(&bytes), sm_str(sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size)));
    cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    sm_buf_fini(&bytes);
}

/* The same span as protobuf gives the same canonical bytes. */
Test(jaeger_json, protobuf_says_the_same)
{
    static const char message[] =
        "\x0a\x10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\x12\x08\0\0\0\0\0\0\0\3\x1a\2op\x28\1\x32\6\x08\x80\xe2\xcf\xaa\6\x3a\2\x10\x0a"
        "\x42\6\x0a\1k\x1a\1v\x52\5\x0a\3svc";
    static const char json[] = "{" IDS ",\"operationName\":\"op\",\"flags\":1,\"startTime\":\"2023-11-14T22:13:20Z\",\"duration\":\"0.00000001s\","
                               "\"tags\":[{\"key\":\"k\",\"vStr\":\"v\"}],\"process\":{\"serviceName\":\"svc\"}}";
    cr_assert_eq(codec_env_decode(&e, &sm_codec_jaeger_span, message, sizeof message - 1), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    struct sm_buf bytes = {0};
    sm_buf_put(&bytes, sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size);
    cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, json), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    cr_expect(sm_str_eq(sm_buf_str(&bytes), sm_str(sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size)));
    cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    sm_buf_fini(&bytes);
    for (size_t n = 0; n < sizeof message - 1; n++) {
        enum sm_rc rc = codec_env_decode(&e, &sm_codec_jaeger_span, message, n);
        cr_expect(rc != SM_OK || e.batch.count + e.batch.rejected_total == 1, "%zu bytes", n);
    }
}

Test(jaeger_json, names_of_the_protobuf_file_numbers_and_any_order)
{
    static const char json[] =
        "{\"process\":{\"tags\":[],\"service_name\":\"svc\"},\"references\":[{\"span_id\":\"AAAAAAAAAAk\",\"ref_type\":0,"
        "\"trace_id\":\"AAAAAAAAAAEAAAAAAAAAAg\"}],\"tags\":[{\"v_int64\":5,\"v_type\":2,\"key\":\"i\"},"
        "{\"vFloat64\":\"NaN\",\"vType\":3,\"key\":\"n\"}],\"operation_name\":\"op\",\"logs\":null,\"unknown\":{\"a\":[1]},"
        "\"start_time\":\"2023-11-14T23:13:20+01:00\",\"duration\":\"-1s\",\"span_id\":\"AAAAAAAAAAM\",\"trace_id\":\"AAAAAAAAAAEAAAAAAAAAAg\"}";
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, json), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_expect_eq(s->parent_id, 9);
    cr_expect_eq(s->start_ns, UINT64_C(1700000000000000000));
    cr_expect_eq(s->duration_ns, 0);
    cr_expect_eq(attribute(0, "i").i, 5);
    cr_expect(isnan(attribute(0, "n").d));
    cr_expect(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
}

Test(jaeger_json, what_refuses_the_span)
{
    static const struct {
        const char *json;
        enum sm_reject reason;
    } cases[] = {
        {"{}", SM_REJECT_TRACE_ID},
        {"{\"spanId\":\"AAAAAAAAAAM=\"}", SM_REJECT_TRACE_ID},
        {"{\"traceId\":\"AAAAAAAAAAEAAAAAAAAAAg==\"}", SM_REJECT_SPAN_ID},
        {"{\"traceId\":\"00000000000000010000000000000002\",\"spanId\":\"AAAAAAAAAAM=\"}", SM_REJECT_TRACE_ID},
        {"{\"traceId\":\"not base64!\",\"spanId\":\"AAAAAAAAAAM=\"}", SM_REJECT_TRACE_ID},
        {"{" IDS ",\"startTime\":\"yesterday\"}", SM_REJECT_TIME},
        {"{" IDS ",\"duration\":\"5\"}", SM_REJECT_TIME},
        {"{" IDS ",\"duration\":\"s\"}", SM_REJECT_TIME},
        {"{" IDS ",\"duration\":\"99999999999999999999s\"}", SM_REJECT_TIME},
        {"{" IDS ",\"logs\":[{\"timestamp\":\"x\"}]}", SM_REJECT_TIME},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, cases[i].json), SM_OK, "%s: %s", cases[i].json, e.err.text);
        cr_expect_eq(e.batch.count, 0);
        cr_expect_eq(e.batch.rejected[cases[i].reason], 1, "%s", cases[i].json);
    }
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_jaeger_json, "{" IDS ",\"startTime\":\"0001-01-01T00:00:00Z\"}"), SM_OK);
    cr_expect_eq(e.batch.count, 1, "Go's zero time is none");
}

Test(jaeger_json, what_refuses_the_message)
{
    static const char *const cases[] = {
        "", "[]", "{" IDS, "{" IDS "} x", "{" IDS ",\"tags\":{}}", "{" IDS ",\"tags\":[1]}", "{" IDS ",\"operationName\":5}",
        "{" IDS ",\"flags\":\"x\"}", "{" IDS ",\"references\":{}}", "{" IDS ",\"process\":[]}", "{" IDS ",\"process\":{\"serviceName\":1}}",
        "{" IDS ",\"references\":[{\"spanId\":1}]}", "{" IDS ",\"tags\":[{\"vType\":\"BINARY\",\"vBinary\":\"*\"}]}",
        "{" IDS ",\"tags\":[{\"vType\":\"INT64\",\"vInt64\":\"1.5\"}]}",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_neq(codec_env_decode_text(&e, &sm_codec_jaeger_json, cases[i]), SM_OK, "%s", cases[i]);
        cr_expect(e.err.text[0]);
        cr_expect_eq(e.batch.count, 0);
    }
    for (size_t n = 0; n < sizeof full - 1; n++)
        cr_expect_neq(codec_env_decode(&e, &sm_codec_jaeger_json, full, n), SM_OK, "%zu bytes", n);
}

/* A tag whose base64 is written with escapes needs room as text and as bytes. */
Test(jaeger_json, long_escaped_base64)
{
    struct sm_buf json = {0};
    sm_buf_puts(&json, "{" IDS ",\"tags\":[{\"key\":\"y\",\"vType\":\"BINARY\",\"vBinary\":\"\\/");
    for (unsigned i = 0; i < 39999; i++)
        sm_buf_putc(&json, '/');
    sm_buf_puts(&json, "\"}]}");
    cr_assert_eq(codec_env_decode(&e, &sm_codec_jaeger_json, json.data, json.size), SM_OK, "%s", e.err.text);
    cr_expect_eq(attribute(0, "y").bytes.len, 30000);
    sm_buf_fini(&json);
}

/* ---- whatever it is ---- */

static void expect_like(const void *bytes, size_t size, const struct sm_codec *codec)
{
    struct sm_buf expected = {0};
    cr_assert_eq(codec_env_decode(&e, codec, bytes, size), SM_OK, "%s: %s", codec->name, e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s: %s", codec->name, e.batch.reject_text);
    sm_buf_put(&expected, sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_any, bytes, size), SM_OK, "%s: %s", codec->name, e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", codec->name);
    cr_expect(sm_str_eq(sm_buf_str(&expected), sm_str(sm_batch_bytes(&e.batch, 0), codec_env_span(&e, 0)->size)), "%s", codec->name);
    sm_buf_fini(&expected);
}

#define EXPECT_LIKE(text, codec) expect_like(text, sizeof(text) - 1, codec)

Test(jaeger_json, any_tells_formats_by_their_bytes)
{
    EXPECT_LIKE(full, &sm_codec_jaeger_json);
    EXPECT_LIKE(" {" IDS "}", &sm_codec_jaeger_json);
    EXPECT_LIKE("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"00000000000000010000000000000002\","
                "\"spanId\":\"0000000000000003\"}]}]}]}",
                &sm_codec_otlp_json);
    EXPECT_LIKE(" [{\"traceId\":\"1\",\"id\":\"2\"}]", &sm_codec_zipkin_json);
    EXPECT_LIKE("\x0a\x10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\x12\x08\0\0\0\0\0\0\0\3", &sm_codec_jaeger_span);
    /* Zipkin: only ids; with a name; OTLP: no resource; a resource of 8 and of 16 bytes; a schema's address of 8 bytes. */
    EXPECT_LIKE("\x0a\x14\x0a\x08\0\0\0\0\0\0\0\1\x1a\x08\0\0\0\0\0\0\0\2", &sm_codec_zipkin_proto);
    EXPECT_LIKE("\x0a\x16\x0a\x08\0\0\0\0\0\0\0\1\x1a\x08\0\0\0\0\0\0\0\2\x2a\0", &sm_codec_zipkin_proto);
#define OTLP_SPAN "\x12\x1e\x12\x1c\x0a\x10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\x12\x08\0\0\0\0\0\0\0\3"
    EXPECT_LIKE("\x0a\x20" OTLP_SPAN, &sm_codec_otlp_proto);
    EXPECT_LIKE("\x0a\x20\x0a\x1c\x0a\x10\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\x12\x08\0\0\0\0\0\0\0\3\x12\0", &sm_codec_jaeger_proto);
    EXPECT_LIKE("\x0a\x2a\x0a\x08\x0a\6\x0a\2kk\x12\0" OTLP_SPAN, &sm_codec_otlp_proto);
    EXPECT_LIKE("\x0a\x34\x0a\x08\x0a\6\x0a\2kk\x12\0" OTLP_SPAN "\x1a\x08schema:1", &sm_codec_otlp_proto);
}
