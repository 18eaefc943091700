/* What Jaeger's UI downloads: what becomes of each member, what is refused. */
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

TestSuite(jaeger_ui_json, .init = setup, .fini = teardown);

/* Apostrophes stand for quotes. */
static enum sm_rc decode(const char *json)
{
    char *text = sm_xstrndup(json, strlen(json));
    for (char *c = text; *c; c++) {
        if (*c == '\'')
            *c = '"';
    }
    enum sm_rc rc = codec_env_decode_text(&e, &sm_codec_jaeger_ui_json, text);
    free(text);
    return rc;
}

#define IDS "'traceID': '5b8efff798038103d269b633813fc60c', 'spanID': 'eee19b7ec3c1b174'"
#define PROCESSES "'processes': {'p1': {'serviceName': 'shop', 'tags': [{'key': 'host', 'type': 'string', 'value': 'h'}]}}"
#define DOCUMENT(spans) "{'data': [{'traceID': '5b8efff798038103d269b633813fc60c', 'spans': [" spans "], " PROCESSES ", 'warnings': null}]}"

static void assert_json(const char *expected)
{
    const char *got = codec_env_encode(&e, &sm_codec_otlp_json);
    cr_assert(strstr(got, expected), "%s", got);
}

Test(jaeger_ui_json, every_member_of_a_span)
{
    cr_assert_eq(
        decode(DOCUMENT(
            "{" IDS ", 'flags': 3, 'operationName': 'GET \\u002f', 'references': [{'refType': 'FOLLOWS_FROM', 'traceID': '1', "
            "'spanID': '2'}, {'refType': 'CHILD_OF', 'traceID': '5b8efff798038103d269b633813fc60c', 'spanID': 'eee19b7ec3c1b173'}], "
            "'startTime': 1700000000000001, 'duration': 4, 'tags': [{'key': 'span.kind', 'type': 'string', 'value': 'server'}, "
            "{'value': 7, 'key': 'n', 'type': 'int64'}, {'key': 'big', 'type': 'int64', 'value': '9223372036854775807'}, {'key': 'd', "
            "'type': 'float64', 'value': 0.5}, {'key': 'error', 'type': 'bool', 'value': true}, {'key': 'b', 'type': 'binary', 'value': "
            "'AP8='}, {'key': 'odd', 'type': 'int64', 'value': 'x'}, {'key': 'nan', 'type': 'float64', 'value': 'NaN'}], 'logs': "
            "[{'fields': [{'key': 'event', 'type': 'string', 'value': 'retry'}, {'key': 'k', 'type': 'int64', 'value': 1}], "
            "'timestamp': 1700000000000002}], 'processID': 'p1', 'warnings': ['clock skew']}")),
        SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1, "%s", e.batch.reject_text);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_assert_eq(s->parent_id, UINT64_C(0xeee19b7ec3c1b173));
    cr_assert_eq(s->start_ns, UINT64_C(1700000000000001000));
    cr_assert_eq(s->duration_ns, 4000);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(sm_span_status(s), SM_STATUS_ERROR);
    cr_assert(s->flags & SM_SPAN_DEBUG);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("GET /")));
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("shop")));
    cr_assert(codec_env_attribute(&e, 0, "n", "7"));
    cr_assert(codec_env_attribute(&e, 0, "big", "9223372036854775807"));
    cr_assert(codec_env_attribute(&e, 0, "d", "0.5"));
    cr_assert(codec_env_attribute(&e, 0, "b", "AP8="));
    cr_assert(codec_env_attribute(&e, 0, "odd", "x"));
    cr_assert(codec_env_attribute(&e, 0, "nan", "NaN"));
    assert_json("\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},{\"key\":\"host\",");
    assert_json("\"events\":[{\"timeUnixNano\":\"1700000000000002000\",\"name\":\"retry\",\"attributes\":[{\"key\":\"k\",");
    assert_json("\"links\":[{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000002\",\"attributes\":[{\"key\":"
                "\"opentracing.ref_type\",\"value\":{\"stringValue\":\"follows_from\"}}]}]");
    struct sm_private priv;
    cr_assert(sm_private_find(sm_batch_bytes(&e.batch, 0), s->size, &priv));
    cr_assert_eq(priv.origin, SM_ORIGIN_JAEGER);
    cr_assert_eq(priv.parent_reference, 2);
}

Test(jaeger_ui_json, spans_have_the_process_they_name)
{
    cr_assert_eq(decode("{'data': [{'spans': [{" IDS ", 'processID': 'p2'}, {" IDS ", 'processID': 'p1'}, {" IDS ", 'processID': 'p9'}, {" IDS
                        "}], 'processes': {'p1': {'serviceName': 'a'}, 'p2': {'tags': null, 'serviceName': 'b'}}}, {'processes': {'p1': "
                        "{'serviceName': 'c'}}, 'spans': [{" IDS ", 'processID': 'p1'}, {" IDS ", 'processID': 'p2'}]}]}"),
                 SM_OK, "%s", e.err.text);
    static const char *const services[] = {"b", "a", "", "", "c", ""};
    cr_assert_eq(e.batch.count, 6);
    for (uint32_t i = 0; i < 6; i++)
        cr_assert(sm_str_eq(codec_env_service(&e, i), sm_str_c(services[i])), "%u", i);
}

Test(jaeger_ui_json, a_trace_by_itself_and_documents_in_a_row)
{
    cr_assert_eq(decode("{'spans': [{" IDS ", 'processID': 'p1'}], " PROCESSES "}\n" DOCUMENT("{" IDS "}, {" IDS "}") "\n"), SM_OK, "%s",
                 e.err.text);
    cr_assert_eq(e.batch.count, 3);
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("shop")));
    cr_assert_eq(decode("{'data': null, 'errors': [{'code': 404}]}"), SM_OK);
    cr_assert_eq(e.batch.count, 0);
}

Test(jaeger_ui_json, refused)
{
    static const struct {
        const char *span;
        enum sm_reject reason;
    } alone[] = {
        {"{'spanID': '1'}", SM_REJECT_TRACE_ID},       {"{'traceID': 'x', 'spanID': '1'}", SM_REJECT_TRACE_ID},
        {"{'traceID': '1'}", SM_REJECT_SPAN_ID},       {"{'traceID': '1', 'spanID': 'fffffffffffffffff'}", SM_REJECT_SPAN_ID},
        {"{" IDS ", 'startTime': -1}", SM_REJECT_TIME}, {"{" IDS ", 'startTime': 1e300}", SM_REJECT_TIME},
    };
    static const char *const whole[] = {"", "[]", "{'data': 1}", "{'data': [{'spans': [{" IDS "}]]}", DOCUMENT("{" IDS ", 'tags': 7}"),
                                        DOCUMENT("{" IDS ", 'startTime': 'x'}"), DOCUMENT("{" IDS "}") "x"};
    for (size_t i = 0; i < SM_ARRAY_LEN(alone); i++) {
        char text[1024];
        snprintf(text, sizeof text, DOCUMENT("{" IDS "}, %s, {" IDS "}"), alone[i].span);
        cr_assert_eq(decode(text), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, 2, "%s", alone[i].span);
        cr_assert_eq(e.batch.rejected[alone[i].reason], 1, "%s: %s", alone[i].span, e.batch.reject_text);
    }
    for (size_t i = 0; i < SM_ARRAY_LEN(whole); i++) {
        cr_assert_neq(decode(whole[i]), SM_OK, "%s", whole[i]);
        cr_assert_eq(e.batch.count, 0);
    }
    e.d.limits.spans_max = 2;
    cr_assert_eq(decode(DOCUMENT("{" IDS "}, {" IDS "}, {" IDS "}")), SM_E_LIMIT);
}
