/* The agent protocol's msgpack: what becomes of each member, what is refused, hostile bytes. Input is written by msgpack-c. */
#include "tests/support/codec_env.h"
#include "tests/support/msgpack_of.h"

#include "span/codec/msgpack_read.h"

#include <criterion/criterion.h>

static struct codec_env e;
static msgpack_sbuffer bytes;

static void setup(void)
{
    codec_env_init(&e);
    msgpack_sbuffer_init(&bytes);
}

static void teardown(void)
{
    msgpack_sbuffer_destroy(&bytes);
    codec_env_fini(&e);
}

TestSuite(msgpack, .init = setup, .fini = teardown);

#define IDS "'trace': '0x5b8efff798038103d269b633813fc60c', 'id': '0xeee19b7ec3c1b174'"
#define TRACE_HEX "5b8efff798038103d269b633813fc60c"
#define BATCH(spans) "{'v': 1, 'resource': {'service.name': 'shop'}, 'spans': [" spans "]}"

static enum sm_rc decode(const char *json)
{
    msgpack_sbuffer_clear(&bytes);
    msgpack_of(&bytes, json);
    return codec_env_decode(&e, &sm_codec_msgpack, bytes.data, bytes.size);
}

static void assert_json(const char *expected)
{
    const char *got = codec_env_encode(&e, &sm_codec_otlp_json);
    cr_assert_str_eq(got, expected, "%s", got);
}

#define WHOLE_SPAN                                                                                                              \
    "{" IDS ", 'parent': '0xeee19b7ec3c1b173', 'name': 'GET /', 'kind': 2, 'start': 1700000000000000001, 'end': "             \
    "1700000000000000005, 'attrs': {'http.method': 'GET', 'n': -7, 'big': 18446744073709551615, 'd': 0.5, 'yes': true, 'no': "  \
    "null, 'raw': '0x00ff', 'list': ['a', 1, ['b']], 'map': {'k': {'l': 2}}}, 'events': [{'time': 1700000000000000002, "        \
    "'name': 'retry', 'attrs': {'n': 2}, 'dropped_attrs': 3}], 'links': [{'trace': '0x00000000000000000000000000000001', 'id': " \
    "'0x0000000000000002', 'state': 'c=d', 'attrs': {'k': 'v'}, 'flags': 1}], 'status': 2, 'message': 'no', 'state': 'a=b', "   \
    "'flags': 258, 'dropped_attrs': 1, 'dropped_events': 2, 'dropped_links': 3}"

Test(msgpack, every_member_of_a_span)
{
    cr_assert_eq(decode("{'v': 1, 'resource': {'service.name': 'shop', 'host.cpus': 8}, 'schema_url': 'http://s', 'scope': {'name': "
                        "'lib', 'version': '1.2', 'attrs': {'a': 'b'}}, 'spans': [" WHOLE_SPAN "]}"),
                 SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    assert_json("{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},"
                "{\"key\":\"host.cpus\",\"value\":{\"intValue\":\"8\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":"
                "\"1.2\",\"attributes\":[{\"key\":\"a\",\"value\":{\"stringValue\":\"b\"}}]},\"spans\":[{\"traceId\":\"" TRACE_HEX
                "\",\"spanId\":\"eee19b7ec3c1b174\",\"traceState\":\"a=b\",\"parentSpanId\":\"eee19b7ec3c1b173\",\"flags\":258,"
                "\"name\":\"GET /\",\"kind\":2,\"startTimeUnixNano\":\"1700000000000000001\",\"endTimeUnixNano\":"
                "\"1700000000000000005\",\"attributes\":[{\"key\":\"http.method\",\"value\":{\"stringValue\":\"GET\"}},{\"key\":"
                "\"n\",\"value\":{\"intValue\":\"-7\"}},{\"key\":\"big\",\"value\":{\"doubleValue\":1.8446744073709552e+19}},"
                "{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}},{\"key\":\"yes\",\"value\":{\"boolValue\":true}},{\"key\":\"no\","
                "\"value\":{}},{\"key\":\"raw\",\"value\":{\"bytesValue\":\"AP8=\"}},{\"key\":\"list\",\"value\":{\"arrayValue\":"
                "{\"values\":[{\"stringValue\":\"a\"},{\"intValue\":\"1\"},{\"arrayValue\":{\"values\":[{\"stringValue\":\"b\"}]}}]}"
                "}},{\"key\":\"map\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{\"kvlistValue\":{\"values\":"
                "[{\"key\":\"l\",\"value\":{\"intValue\":\"2\"}}]}}}]}}}],\"droppedAttributesCount\":1,\"events\":[{"
                "\"timeUnixNano\":\"1700000000000000002\",\"name\":\"retry\",\"attributes\":[{\"key\":\"n\",\"value\":{\"intValue\":"
                "\"2\"}}],\"droppedAttributesCount\":3}],\"droppedEventsCount\":2,\"links\":[{\"traceId\":"
                "\"00000000000000000000000000000001\",\"spanId\":\"0000000000000002\",\"traceState\":\"c=d\",\"attributes\":[{"
                "\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}],\"flags\":1}],\"droppedLinksCount\":3,\"status\":{\"message\":"
                "\"no\",\"code\":2}}]}],\"schemaUrl\":\"http://s\"}]}");
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_assert_eq(s->flags, SM_SPAN_ERROR | SM_SPAN_TRACESTATE | SM_SPAN_LINKS | SM_SPAN_W3C_RANDOM | SM_SPAN_LOCAL_PARENT |
                               SM_SPAN_EVENTS);
    cr_assert_eq(s->duration_ns, 4);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(sm_span_status(s), SM_STATUS_ERROR);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("GET /")));
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("shop")));
}

Test(msgpack, members_in_any_order)
{
    cr_assert_eq(decode("{'spans': [{'name': 'a', " IDS "}], 'later': [1, {'x': 2}], 'scope': {'name': 'lib'}, 'resource': "
                        "{'service.name': 'shop'}, 'v': 1}"),
                 SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("shop")));
    cr_assert_eq(sm_scopes_get(e.scopes, codec_env_span(&e, 0)->scope_id)->bytes.len, 5);
}

Test(msgpack, batches_in_a_row_have_their_own_resources)
{
    cr_assert_eq(decode("{'v': 1, 'resource': {'service.name': 'a'}, 'spans': [{" IDS "}]}"
                        "{'v': 1, 'spans': [{" IDS "}]}"
                        "{'v': 1, 'resource': {'service.name': 'c'}, 'spans': []}"
                        "{'v': 1, 'resource': {'service.name': 'd'}, 'spans': [{" IDS "}, {" IDS "}]}"),
                 SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 4);
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("a")));
    cr_assert_eq(codec_env_service(&e, 1).len, 0);
    cr_assert(sm_str_eq(codec_env_service(&e, 3), SM_STR("d")));
}

Test(msgpack, ids_may_be_hex_and_absent_things_nil)
{
    cr_assert_eq(decode(BATCH("{'trace': '5B8EFFF798038103D269B633813FC60C', 'id': 'eee19b7ec3c1b174', 'parent': null, 'name': null, "
                              "'kind': null, 'attrs': null, 'events': null, 'links': null, 'status': null, 'message': null, 'state': "
                              "null, 'flags': null, 'start': null, 'end': null}, {" IDS ", 'parent': ''}")),
                 SM_OK);
    cr_assert_eq(e.batch.count, 2, "%s", e.batch.reject_text);
    cr_assert_eq(e.batch.items[0].trace.hi, UINT64_C(0x5b8efff798038103));
    cr_assert_eq(codec_env_span(&e, 0)->span_id, UINT64_C(0xeee19b7ec3c1b174));
    cr_assert_eq(codec_env_span(&e, 0)->flags, SM_SPAN_NO_START | SM_SPAN_NO_DURATION);
    cr_assert_eq(codec_env_span(&e, 1)->parent_id, 0);
}

Test(msgpack, wanted_attributes_are_noted)
{
    cr_assert_eq(decode(BATCH("{" IDS ", 'attrs': {'x': [1], 'error': true, 'sampling.priority': 1, 'peer.service': 'db'}}")), SM_OK);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_assert_eq(s->flags & (SM_SPAN_ERROR_TAG | SM_SPAN_ERROR | SM_SPAN_PRIORITY),
                 SM_SPAN_ERROR_TAG | SM_SPAN_ERROR | SM_SPAN_PRIORITY);
    struct sm_value v;
    cr_assert(sm_span_value(s, sm_batch_bytes(&e.batch, 0), SM_SLOT_PEER_SERVICE, &v));
    cr_assert(sm_str_eq(v.bytes, SM_STR("db")));
}

/* A wanted key whose value is so long that the lengths around it take more bytes than were left for them. */
Test(msgpack, wanted_attribute_with_a_long_list)
{
    char text[2048] = BATCH("{" IDS ", 'attrs': {'peer.service': ["), *end = strstr(text, "]}");
    for (int i = 0; i < 100; i++)
        end += sprintf(end, "%s'%d'", i ? "," : "", i + 1000);
    strcpy(end, "]}}]}");
    cr_assert_eq(decode(text), SM_OK, "%s", e.err.text);
    const struct sm_span *s = codec_env_span(&e, 0);
    struct sm_value v;
    cr_assert(sm_span_value(s, sm_batch_bytes(&e.batch, 0), SM_SLOT_PEER_SERVICE, &v));
    cr_assert_eq(v.type, SM_VALUE_ARRAY);
    cr_assert_eq(v.bytes.len, 100 * 8);
}

Test(msgpack, spans_that_are_refused_alone)
{
    static const struct {
        const char *span;
        enum sm_reject reason;
    } cases[] = {
        {"{'id': '0xeee19b7ec3c1b174'}", SM_REJECT_TRACE_ID},
        {"{'trace': '0x00', 'id': '0xeee19b7ec3c1b174'}", SM_REJECT_TRACE_ID},
        {"{'trace': '0x00000000000000000000000000000000', 'id': '0xeee19b7ec3c1b174'}", SM_REJECT_TRACE_ID},
        {"{'trace': 'zb8efff798038103d269b633813fc60c', 'id': '0xeee19b7ec3c1b174'}", SM_REJECT_TRACE_ID},
        {"{'trace': [1, [2]], 'id': '0xeee19b7ec3c1b174'}", SM_REJECT_TRACE_ID},
        {"{'trace': '" TRACE_HEX "'}", SM_REJECT_SPAN_ID},
        {"{'trace': '" TRACE_HEX "', 'id': 17}", SM_REJECT_SPAN_ID},
        {"{" IDS ", 'parent': '0x01'}", SM_REJECT_PARENT_ID},
        {"{" IDS ", 'name': 1}", SM_REJECT_FIELD},
        {"{" IDS ", 'kind': 6}", SM_REJECT_FIELD},
        {"{" IDS ", 'kind': -1}", SM_REJECT_FIELD},
        {"{" IDS ", 'kind': 'server'}", SM_REJECT_FIELD},
        {"{" IDS ", 'status': 3}", SM_REJECT_FIELD},
        {"{" IDS ", 'start': -1}", SM_REJECT_TIME},
        {"{" IDS ", 'start': 1.5}", SM_REJECT_TIME},
        {"{" IDS ", 'end': 9223372036854775808}", SM_REJECT_TIME},
        {"{" IDS ", 'flags': 4294967296}", SM_REJECT_FIELD},
        {"{" IDS ", 'attrs': [1]}", SM_REJECT_FIELD},
        {"{" IDS ", 'events': {'a': 1}}", SM_REJECT_FIELD},
        {"{" IDS ", 'events': [1]}", SM_REJECT_FIELD},
        {"{" IDS ", 'links': [{'trace': '0x00'}]}", SM_REJECT_FIELD},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, "{'v': 1, 'spans': [{" IDS ", 'name': 'before'}, %s, {" IDS ", 'name': 'behind'}]}", cases[i].span);
        cr_assert_eq(decode(text), SM_OK, "%s: %s", cases[i].span, e.err.text);
        cr_assert_eq(e.batch.rejected_total, 1, "%s", cases[i].span);
        cr_assert_eq(e.batch.rejected[cases[i].reason], 1, "%s: %s", cases[i].span, e.batch.reject_text);
        cr_assert_eq(e.batch.count, 2);
        cr_assert(sm_str_eq(codec_env_name(&e, 1), SM_STR("behind")));
    }
}

Test(msgpack, payloads_that_are_refused_whole)
{
    static const struct {
        const char *json, *says;
        enum sm_rc rc;
    } cases[] = {
        {"1", "not a map", SM_E_INVALID},
        {"[]", "not a map", SM_E_INVALID},
        {"{}", "no version", SM_E_INVALID},
        {"{'spans': [{" IDS "}]}", "no version", SM_E_INVALID},
        {"{'v': 2, 'spans': []}", "version", SM_E_UNSUPPORTED},
        {"{'v': '1', 'spans': []}", "version", SM_E_INVALID},
        {"{'v': 1, 'spans': {}}", "not an array", SM_E_INVALID},
        {"{'v': 1, 'spans': [1]}", "a span is not a map", SM_E_INVALID},
        {"{'v': 1, 'spans': [{" IDS "}]} 7", "not a map", SM_E_INVALID},
        {"{'v': 1, 'schema_url': 1}", "schema_url", SM_E_INVALID},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(decode(cases[i].json), cases[i].rc, "%s", cases[i].json);
        cr_assert(strstr(e.err.text, cases[i].says), "%s: %s", cases[i].json, e.err.text);
        cr_assert_eq(e.batch.count + e.batch.rejected_total, 0);
    }
}

Test(msgpack, bytes_that_are_no_msgpack)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum sm_rc rc;
    } cases[] = {
        {"\xc1", 1, SM_E_INVALID},
        {"\x81\x01\x02", 3, SM_E_INVALID},                              /* a key that is no string */
        {"\x81\xa1v", 3, SM_E_TRUNCATED},
        {"\xdf\xff\xff\xff\xff\xa1v", 7, SM_E_TRUNCATED},               /* four thousand million members */
        {"\x82\xa1v\x01\xa5spans\xdd\xff\xff\xff\xff\x80\x80", 18, SM_E_TRUNCATED},
        {"\x82\xa1v\x01\xa1x\xdb\xff\xff\xff\xff" "ab", 13, SM_E_TRUNCATED},
        {"\x82\xa1v\x01\xa1x\xc9\xff\xff\xff\xff\x01", 12, SM_E_TRUNCATED},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, cases[i].bytes, cases[i].size), cases[i].rc, "%zu: %s", i, e.err.text);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, "", 0), SM_OK); /* no batch */
}

Test(msgpack, every_cut_is_refused)
{
    cr_assert_eq(decode(BATCH(WHOLE_SPAN)), SM_OK);
    for (size_t n = 1; n < bytes.size; n++) {
        cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, bytes.data, n), SM_E_TRUNCATED, "%zu", n);
        cr_assert_eq(e.batch.count, 0);
    }
}

Test(msgpack, extensions_are_no_attributes_but_are_passed_over)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
    for (unsigned as_attribute = 0; as_attribute < 2; as_attribute++) {
        msgpack_sbuffer_clear(&bytes);
        msgpack_of(&bytes, "{'v': 1, 'spans': [{" IDS ", 'x': 1}]}");
        bytes.size -= as_attribute ? 3 : 1;
        if (as_attribute) {
            msgpack_pack_str(&packer, 5);
            msgpack_pack_str_body(&packer, "attrs", 5);
            msgpack_pack_map(&packer, 1);
            msgpack_pack_str(&packer, 1);
            msgpack_pack_str_body(&packer, "k", 1);
        }
        msgpack_pack_ext(&packer, 5, 1);
        msgpack_pack_ext_body(&packer, "12345", 5);
        cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, bytes.data, bytes.size), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, !as_attribute);
        cr_assert_eq(e.batch.rejected[SM_REJECT_FIELD], as_attribute);
    }
}

Test(msgpack, text_that_is_not_utf8)
{
    static const char *const places[] = {"{" IDS ", 'name': 'a?b'}", "{" IDS ", 'attrs': {'a?b': 1}}", "{" IDS ", 'attrs': {'k': 'a?b'}}",
                                         "{" IDS ", 'attrs': {'k': ['a?b']}}", "{" IDS ", 'message': 'a?b'}",
                                         "{" IDS ", 'events': [{'name': 'a?b'}]}", "{" IDS ", 'state': 'a?b'}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(places); i++) {
        char text[1024];
        snprintf(text, sizeof text, BATCH("%s"), places[i]);
        cr_assert_eq(decode(text), SM_OK);
        cr_assert_eq(e.batch.count, 1);
        ((char *)memmem(bytes.data, bytes.size, "a?b", 3))[1] = '\xff';
        cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, bytes.data, bytes.size), SM_OK);
        cr_assert_eq(e.batch.rejected[SM_REJECT_UTF8], 1, "%s", places[i]);
    }
}

Test(msgpack, resources_that_are_refused_take_their_spans_with_them)
{
    static const struct {
        const char *batch;
        enum sm_reject reason;
    } cases[] = {
        {"{'v': 1, 'resource': [], 'spans': [{" IDS "}, {" IDS "}]}", SM_REJECT_FIELD},
        {"{'v': 1, 'scope': 1, 'spans': [{" IDS "}, {" IDS "}]}", SM_REJECT_FIELD},
        {"{'v': 1, 'scope': {'name': 1}, 'spans': [{" IDS "}, {" IDS "}]}", SM_REJECT_FIELD},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, BATCH("{" IDS "}") "%s" BATCH("{" IDS "}"), cases[i].batch);
        cr_assert_eq(decode(text), SM_OK);
        cr_assert_eq(e.batch.count, 2, "%s", cases[i].batch);
        cr_assert_eq(e.batch.rejected[cases[i].reason], 2);
    }
}

Test(msgpack, limits_refuse_spans)
{
    static const struct {
        const char *span;
        enum sm_reject reason;
    } cases[] = {
        {"{" IDS ", 'attrs': {'a': 1, 'b': 2, 'c': 3}}", SM_REJECT_ATTRIBUTES},
        {"{" IDS ", 'attrs': {'a': 1, 'b': 2}, 'attrs': {'c': 3}}", SM_REJECT_ATTRIBUTES},
        {"{" IDS ", 'events': [{'attrs': {'a': 1, 'b': 2, 'c': [3]}}]}", SM_REJECT_ATTRIBUTES},
        {"{" IDS ", 'attrs': {'k': '12345678901234567'}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'12345678901234567': 1}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'k': '0x0102030405060708090a0b0c0d0e0f1011'}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'k': ['12345', '12345', '12345']}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'k': ['12345', '12345', '12345', '4', {'a': 5}, {'b': [1]}]}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'k': {'12345': '12345', '123': '12345', 'a': 5}}}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'name': '12345678901234567'}", SM_REJECT_VALUE_SIZE},
        {"{" IDS ", 'attrs': {'k': [[[1]]]}}", SM_REJECT_DEPTH},
        {"{" IDS ", 'attrs': {'k': {'l': {'m': {}}}}}", SM_REJECT_DEPTH},
        {"{" IDS ", 'events': [{'name': '0123456789'}, {'name': '0123456789'}, {'name': '0123456789'}, {'name': '0123456789'}, "
         "{'name': '0123456789'}, {'name': '0123456789'}, {'name': '0123456789'}, {'name': '0123456789'}, {}, {}]}",
         SM_REJECT_SPAN_SIZE},
    };
    e.d.limits.attributes_max = 2;
    e.d.limits.value_bytes_max = 16;
    e.d.limits.depth_max = 2;
    e.d.limits.span_bytes_max = 100;
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, "{'v': 1, 'spans': [%s, {" IDS ", 'attrs': {'k': [[1]]}}]}", cases[i].span);
        cr_assert_eq(decode(text), SM_OK, "%s: %s", cases[i].span, e.err.text);
        cr_assert_eq(e.batch.rejected[cases[i].reason], 1, "%s: %s", cases[i].span, e.batch.reject_text);
        cr_assert_eq(e.batch.count, 1, "%s", cases[i].span);
    }
}

Test(msgpack, limit_of_spans)
{
    e.d.limits.spans_max = 2;
    cr_assert_eq(decode(BATCH("{" IDS "}, {" IDS "}")), SM_OK);
    cr_assert_eq(decode(BATCH("{" IDS "}, {" IDS "}, {" IDS "}")), SM_E_LIMIT);
    cr_assert_eq(decode(BATCH("{" IDS "}, {" IDS "}") BATCH("{" IDS "}")), SM_E_LIMIT);
    cr_assert_eq(e.batch.count, 0);
}

/* A million arrays within each other, where they are passed over and where they are read. */
Test(msgpack, nesting_without_end)
{
    enum { DEPTH = 1000000 };
    static const char *const places[] = {"{'v': 1, 'x': 1}", "{'v': 1, 'spans': [{" IDS ", 'attrs': {'k': 1}}]}",
                                         "{'v': 1, 'spans': [{" IDS ", 'name': 1}]}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(places); i++) {
        msgpack_sbuffer_clear(&bytes);
        msgpack_of(&bytes, places[i]);
        bytes.size--;
        for (unsigned n = 0; n < DEPTH; n++)
            msgpack_sbuffer_write(&bytes, "\x91", 1);
        msgpack_sbuffer_write(&bytes, "\xc0", 1);
        cr_assert_eq(codec_env_decode(&e, &sm_codec_msgpack, bytes.data, bytes.size), SM_OK, "%s: %s", places[i], e.err.text);
        cr_assert_eq(e.batch.rejected_total, i > 0);
    }
}

/* Every width that a number can have, as msgpack-c reads it. */
Test(msgpack, numbers_of_every_width)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum sm_msgpack_type type;
        int64_t i;
    } cases[] = {
        {"\x7f", 1, SM_MSGPACK_UINT, 127},
        {"\xcc\xff", 2, SM_MSGPACK_UINT, 255},
        {"\xcd\xff\xfe", 3, SM_MSGPACK_UINT, 0xfffe},
        {"\xce\xff\xff\xff\xfe", 5, SM_MSGPACK_UINT, 0xfffffffe},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xfe", 9, SM_MSGPACK_UINT, INT64_MAX - 1},
        {"\xff", 1, SM_MSGPACK_INT, -1},
        {"\xe0", 1, SM_MSGPACK_INT, -32},
        {"\xd0\x80", 2, SM_MSGPACK_INT, -128},
        {"\xd1\x80\x00", 3, SM_MSGPACK_INT, INT16_MIN},
        {"\xd2\x80\x00\x00\x00", 5, SM_MSGPACK_INT, INT32_MIN},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, SM_MSGPACK_INT, INT64_MIN},
        {"\xd0\x7f", 2, SM_MSGPACK_UINT, 127},
        {"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9, SM_MSGPACK_UINT, 5},
    };
    struct sm_msgpack_value v;
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_msgpack m = sm_msgpack_reader(cases[i].bytes, cases[i].size);
        cr_assert(sm_msgpack_next(&m, &v));
        cr_assert_eq(v.type, cases[i].type, "%zu", i);
        cr_assert_eq(v.i, cases[i].i, "%zu", i);
        cr_assert_eq(m.p, m.end);
    }
    struct sm_msgpack m = sm_msgpack_reader("\xca\x3f\x00\x00\x00\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", 14);
    for (int i = 0; i < 2; i++) {
        cr_assert(sm_msgpack_next(&m, &v));
        cr_assert_eq(v.type, SM_MSGPACK_DOUBLE);
        cr_assert_eq(v.d, 0.5);
    }
}
