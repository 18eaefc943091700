/* OTLP JSON: what becomes of each member, what is refused whole or span by span, what comes back out. */
#include "tests/support/codec_env.h"

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

TestSuite(otlp_json, .init = setup, .fini = teardown);

static enum sm_rc decode(const char *text)
{
    return codec_env_decode_text(&e, &sm_codec_otlp_json, text);
}

#define IDS "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\""

/* One span with ids and these members. */
static enum sm_rc decode_members(const char *members)
{
    char text[8192];
    snprintf(text, sizeof text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS "%s%s}]}]}]}", *members ? "," : "", members);
    return decode(text);
}

/* A span with one attribute "a" of this AnyValue. */
static enum sm_rc decode_value(const char *any)
{
    char members[4096];
    snprintf(members, sizeof members, "\"attributes\":[{\"key\":\"a\",\"value\":%s}]", any);
    return decode_members(members);
}

static const struct sm_span *span(void)
{
    cr_assert_eq(e.batch.count, 1);
    return codec_env_span(&e, 0);
}

static bool value_of(const char *key, struct sm_value *v)
{
    return sm_attr_find(sm_batch_bytes(&e.batch, 0), span()->size, SM_OTLP_ATTRIBUTES, sm_str_c(key), v);
}

static const char full[] =
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},"
    "{\"key\":\"pid\",\"value\":{\"intValue\":\"42\"}}],\"droppedAttributesCount\":1},\"scopeSpans\":[{\"scope\":{\"name\":\"lib\","
    "\"version\":\"1.0\",\"attributes\":[{\"key\":\"x\",\"value\":{\"boolValue\":true}}],\"droppedAttributesCount\":2},\"spans\":[{"
    "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"traceState\":\"ot=th:0\","
    "\"parentSpanId\":\"eee19b7ec3c1b173\",\"flags\":769,\"name\":\"I'm a server span\",\"kind\":2,"
    "\"startTimeUnixNano\":\"1544712660000000000\",\"endTimeUnixNano\":\"1544712661000000000\",\"attributes\":["
    "{\"key\":\"s\",\"value\":{\"stringValue\":\"v\\n\"}},{\"key\":\"error\",\"value\":{\"boolValue\":false}},"
    "{\"key\":\"d\",\"value\":{\"doubleValue\":0.5}},{\"key\":\"n\",\"value\":{\"doubleValue\":\"NaN\"}},"
    "{\"key\":\"arr\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"-1\"},{},{\"stringValue\":\"\"}]}}},"
    "{\"key\":\"kv\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{\"bytesValue\":\"AQL/\"}}]}}},"
    "{\"key\":\"empty\",\"value\":{}}],\"droppedAttributesCount\":3,\"events\":[{\"timeUnixNano\":\"1544712660300000000\","
    "\"name\":\"ev\",\"attributes\":[{\"key\":\"q\",\"value\":{\"intValue\":\"7\"}}],\"droppedAttributesCount\":4},{\"name\":\"two\"}],"
    "\"droppedEventsCount\":5,\"links\":[{\"traceId\":\"5b8efff798038103d269b633813fc60d\",\"spanId\":\"eee19b7ec3c1b175\","
    "\"traceState\":\"a=b\",\"attributes\":[{\"key\":\"l\",\"value\":{\"stringValue\":\"m\"}}],\"droppedAttributesCount\":6,"
    "\"flags\":257}],\"droppedLinksCount\":7,\"status\":{\"message\":\"bad\",\"code\":2}}],\"schemaUrl\":\"https://s\"}],"
    "\"schemaUrl\":\"https://r\"}]}";

Test(otlp_json, everything_round_trips)
{
    cr_assert_eq(decode(full), SM_OK, "%s", e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_otlp_json), full);
}

Test(otlp_json, header_of_a_full_span)
{
    cr_assert_eq(decode(full), SM_OK, "%s", e.err.text);
    const struct sm_span *s = span();
    cr_assert_eq(e.batch.items[0].trace.hi, 0x5b8efff798038103);
    cr_assert_eq(e.batch.items[0].trace.lo, 0xd269b633813fc60c);
    cr_assert_eq(s->span_id, 0xeee19b7ec3c1b174);
    cr_assert_eq(s->parent_id, 0xeee19b7ec3c1b173);
    cr_assert_eq(s->start_ns, 1544712660000000000);
    cr_assert_eq(s->duration_ns, 1000000000);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(sm_span_status(s), SM_STATUS_ERROR);
    cr_assert_eq(s->flags, SM_SPAN_ERROR_TAG | SM_SPAN_ERROR | SM_SPAN_TRACESTATE | SM_SPAN_LINKS | SM_SPAN_EVENTS | SM_SPAN_REMOTE_PARENT);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("I'm a server span")));
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("shop")));
    cr_assert(sm_str_eq(codec_env_resource(&e, 0)->schema_url, SM_STR("https://r")));
    struct sm_value v;
    cr_assert(sm_span_value(s, sm_batch_bytes(&e.batch, 0), SM_SLOT_ERROR, &v));
    cr_assert_eq(v.type, SM_VALUE_BOOL);
}

/* The protobuf of the same request gives the same headers and, through the encoder, the same text. */
Test(otlp_json, agrees_with_the_protobuf_decoder)
{
    cr_assert_eq(decode(full), SM_OK);
    struct sm_span a = *span();
    struct sm_encode_span *spans = codec_env_spans(&e);
    struct sm_buf proto = {0};
    sm_codec_otlp_proto.encode(spans, 1, &proto);
    free(spans);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, proto.data, proto.size), SM_OK);
    cr_assert_arr_eq(&a, span(), sizeof a);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_otlp_json), full);
    sm_buf_fini(&proto);
}

/* Enumerations are open and signed, and of a varint its lower 32 bits count. */
Test(otlp_json, numbers_that_protobuf_cuts)
{
    static const uint8_t request[] = "\x0a\x33\x12\x31\x12\x2f\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567"
                                     "\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "\x50\x85\x80\x80\x80\x10" "\x60\x06";
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, request, sizeof request - 1), SM_OK, "%s", e.err.text);
    char first[1024];
    snprintf(first, sizeof first, "%s", codec_env_encode(&e, &sm_codec_otlp_json));
    cr_expect(strstr(first, "\"kind\":-1"), "%s", first);
    cr_expect(strstr(first, "\"droppedAttributesCount\":5,\"droppedEventsCount\":6"), "%s", first);
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_otlp_json, first), SM_OK, "%s", e.err.text);
    cr_expect_str_eq(codec_env_encode(&e, &sm_codec_otlp_json), first);
}

Test(otlp_json, ids_of_zeros_are_not_written)
{
    static const uint8_t request[] = "\x0a\x3a\x12\x38\x12\x36\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567"
                                     "\x22\x08\0\0\0\0\0\0\0\0" "\x6a\x0e\x0a\x02" "ab" "\x12\x08\0\0\0\0\0\0\0\0";
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, request, sizeof request - 1), SM_OK, "%s", e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_otlp_json),
                     "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"30313233343536373839616263646566\","
                     "\"spanId\":\"3031323334353637\",\"links\":[{\"traceId\":\"6162\"}]}]}]}]}");
}

Test(otlp_json, what_spans_belong_to_may_follow_them)
{
    cr_assert_eq(decode("{\"resourceSpans\":[{\"schemaUrl\":\"r\",\"scopeSpans\":["
                        "{\"spans\":[{" IDS "},{" IDS "}],\"scope\":{\"name\":\"one\"}},"
                        "{\"schemaUrl\":\"s\",\"spans\":[{" IDS "}],\"scope\":{\"name\":\"two\"}},{\"spans\":[]}],"
                        "\"resource\":{\"attributes\":[{\"value\":{\"stringValue\":\"late\"},\"key\":\"service.name\"}]}},"
                        "{\"scopeSpans\":[{\"spans\":[{" IDS "}]}]},{}]}"),
                 SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 4);
    static const char *const scopes[] = {"\x0a\x03one", "\x0a\x03one", "\x0a\x03two", ""};
    for (unsigned i = 0; i < 4; i++) {
        const struct sm_scope *scope = sm_scopes_get(e.scopes, codec_env_span(&e, i)->scope_id);
        cr_assert(sm_str_eq(scope->bytes, sm_str_c(scopes[i])), "%u", i);
        cr_assert(sm_str_eq(scope->schema_url, sm_str_c(i == 2 ? "s" : "")), "%u", i);
        cr_assert(sm_str_eq(codec_env_service(&e, i), sm_str_c(i < 3 ? "late" : "")), "%u", i);
        cr_assert(sm_str_eq(codec_env_resource(&e, i)->schema_url, sm_str_c(i < 3 ? "r" : "")), "%u", i);
    }
}

Test(otlp_json, leniencies)
{
    cr_assert_eq(decode("{}"), SM_OK);
    cr_assert_eq(decode("{\"resource_spans\":[{\"scope_spans\":[{\"spans\":[{\"trace_id\":\"5B8EFFF798038103D269B633813FC60C\","
                        "\"span_id\":\"EEE19B7EC3C1B174\",\"parent_span_id\":\"0000000000000000\",\"start_time_unix_nano\":5,"
                        "\"end_time_unix_nano\":1e3,\"kind\":\"SPAN_KIND_CLIENT\",\"status\":{\"code\":\"STATUS_CODE_OK\"},"
                        "\"name\":null,\"attributes\":null,\"dropped_attributes_count\":\"3\",\"unknown_thing\":[{}]}]}]}]}"),
                 SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.items[0].trace.hi, 0x5b8efff798038103);
    cr_assert_eq(span()->span_id, 0xeee19b7ec3c1b174);
    cr_assert_eq(span()->parent_id, 0);
    cr_assert_eq(span()->start_ns, 5);
    cr_assert_eq(span()->duration_ns, 995);
    cr_assert_eq(sm_span_kind(span()), SM_KIND_CLIENT);
    cr_assert_eq(sm_span_status(span()), SM_STATUS_OK);
    cr_assert_eq(decode_members("\"name\":\"cut \\ud83d\""), SM_OK, "%s", e.err.text);
    cr_assert(strstr(codec_env_encode(&e, &sm_codec_otlp_json), "\"cut \xef\xbf\xbd\""));
    cr_assert_eq(decode_members("\"n\\u0061me\":\"x\",\"kind\":77,\"parentSpanId\":\"\",\"traceState\":\"\",\"startTimeUnixNano\":\"0\""), SM_OK);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("x")));
    cr_assert_eq(sm_span_kind(span()), SM_KIND_UNSPECIFIED);
    cr_assert_eq(span()->flags, SM_SPAN_NO_START | SM_SPAN_NO_DURATION);
}

Test(otlp_json, integers)
{
    static const struct {
        const char *text;
        enum sm_value_type type;
        double value;
    } cases[] = {
        {"7", SM_VALUE_INT, 7}, {"\"7\"", SM_VALUE_INT, 7}, {"-7", SM_VALUE_INT, -7}, {"1e3", SM_VALUE_INT, 1000},
        {"5.0", SM_VALUE_INT, 5}, {"\"-9223372036854775808\"", SM_VALUE_INT, -0x1p63},
        {"9223372036854776000", SM_VALUE_DOUBLE, 0x1p63}, {"\"18446744073709551615\"", SM_VALUE_DOUBLE, 0x1p64},
        {"1.7976931348623157e+308", SM_VALUE_DOUBLE, 1.7976931348623157e+308}, {"-1e19", SM_VALUE_DOUBLE, -1e19},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char any[100];
        struct sm_value v;
        snprintf(any, sizeof any, "{\"intValue\":%s}", cases[i].text);
        cr_assert_eq(decode_value(any), SM_OK, "%s: %s", any, e.err.text);
        cr_assert(value_of("a", &v));
        cr_assert_eq(v.type, cases[i].type, "%s", any);
        cr_assert_eq(v.type == SM_VALUE_INT ? (double)v.i : v.d, cases[i].value, "%s", any);
    }
}

/* The common forms of an attribute are read in one step, others member by member: both say the same. */
Test(otlp_json, attributes_do_not_depend_on_white_space_and_order)
{
    static const char *const values[] = {
        "{\"stringValue\":\"x\"}", "{\"stringValue\":\"\"}", "{\"stringValue\":\"a\\u00e9\"}", "{\"stringValue\":null}", "{\"intValue\":0}",
        "{\"intValue\":\"8080\"}", "{\"intValue\":8080}", "{\"intValue\":-1}", "{\"intValue\":\"9223372036854775807\"}",
        "{\"intValue\":9223372036854775808}", "{\"intValue\":2.0}", "{\"intValue\":1e2}", "{\"intValue\":null}", "{\"boolValue\":true}",
        "{\"boolValue\":false}", "{\"boolValue\":null}", "{\"doubleValue\":1}", "{}", "null", "{\"intValue\":\"1\",\"stringValue\":\"x\"}",
    };
    static const char *const forms[] = {
        "\"attributes\":[{\"key\":\"error\",\"value\":%s}]", "\"attributes\":[{ \"key\":\"error\",\"value\":%s}]",
        "\"attributes\":[{\"key\":\"error\",\"value\" :%s}]", "\"attributes\":[{\"\\u006bey\":\"error\",\"value\":%s}]",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(values); i++) {
        char first[4096], members[1024];
        uint32_t records = 0;
        uint16_t flags = 0;
        for (size_t k = 0; k < SM_ARRAY_LEN(forms); k++) {
            snprintf(members, sizeof members, forms[k], values[i]);
            cr_assert_eq(decode_members(members), SM_OK, "%s: %s", members, e.err.text);
            if (k == 0) {
                snprintf(first, sizeof first, "%s", codec_env_encode(&e, &sm_codec_otlp_json));
                records = span()->n_wanted;
                flags = span()->flags;
            }
            cr_assert_str_eq(codec_env_encode(&e, &sm_codec_otlp_json), first, "%s", members);
            cr_assert_eq(span()->n_wanted, records, "%s", members);
            cr_assert_eq(span()->flags, flags, "%s", members);
        }
    }
}

Test(otlp_json, common_attributes_that_are_wrong_are_refused)
{
    static const char *const values[] = {"{\"intValue\":08}", "{\"intValue\":\"08\"}", "{\"intValue\":\"1}", "{\"intValue\":1\"}", "{\"boolValue\":truex}",
                                         "{\"stringValue\":\"x}", "{\"intValue\":1,}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(values); i++)
        cr_assert_neq(decode_value(values[i]), SM_OK, "%s", values[i]);
}

Test(otlp_json, doubles_and_bytes)
{
    struct sm_value v;
    cr_assert_eq(decode_value("{\"doubleValue\":\"-Infinity\"}"), SM_OK);
    cr_assert(value_of("a", &v));
    cr_assert_eq(v.d, -INFINITY);
    cr_assert_eq(decode_value("{\"doubleValue\":\"1.5\"}"), SM_OK);
    cr_assert(value_of("a", &v));
    cr_assert_eq(v.d, 1.5);
    static const struct {
        const char *text, *bytes;
        size_t size;
    } cases[] = {
        {"", "", 0}, {"AQ==", "\1", 1}, {"AQ", "\1", 1}, {"AQI=", "\1\2", 2}, {"AQID", "\1\2\3", 3}, {"-_-_", "\xfb\xff\xbf", 3},
        {"+/+/", "\xfb\xff\xbf", 3}, {"AQID\\u0042\\u0041==", "\1\2\3\4", 4},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char any[100];
        snprintf(any, sizeof any, "{\"bytesValue\":\"%s\"}", cases[i].text);
        cr_assert_eq(decode_value(any), SM_OK, "%s: %s", any, e.err.text);
        cr_assert(value_of("a", &v));
        cr_assert_eq(v.type, SM_VALUE_BYTES);
        cr_assert(sm_str_eq(v.bytes, sm_str(cases[i].bytes, cases[i].size)), "%s", any);
    }
}

Test(otlp_json, malformed_requests_are_refused_whole)
{
    static const char *const members[] = {
        "\"name\":5", "\"kind\":\"SERVER\"", "\"kind\":2147483648", "\"kind\":1.5", "\"startTimeUnixNano\":-1", "\"startTimeUnixNano\":1.5",
        "\"startTimeUnixNano\":\"x\"", "\"startTimeUnixNano\":18446744073709551616", "\"flags\":4294967296", "\"traceId\":5",
        "\"attributes\":{}", "\"attributes\":[null]", "\"attributes\":[5]", "\"attributes\":[{\"key\":5}]",
        "\"attributes\":[{\"key\":\"a\",\"value\":5}]", "\"attributes\":[{\"value\":{\"intValue\":1.5}}]",
        "\"attributes\":[{\"value\":{\"intValue\":\"x\"}}]", "\"attributes\":[{\"value\":{\"boolValue\":1}}]",
        "\"attributes\":[{\"value\":{\"doubleValue\":NaN}}]", "\"attributes\":[{\"value\":{\"doubleValue\":1e999}}]",
        "\"attributes\":[{\"value\":{\"bytesValue\":\"A\"}}]", "\"attributes\":[{\"value\":{\"bytesValue\":\"A*==\"}}]",
        "\"attributes\":[{\"value\":{\"stringValue\":1}}]", "\"attributes\":[{\"value\":{\"arrayValue\":[]}}]",
        "\"events\":[{\"timeUnixNano\":\"\"}]", "\"status\":5", "\"status\":{\"code\":\"ERROR\"}", "\"name\":\"\\ud80\"",
        "\"name\":\"\xff\"", "\"name\":\"a\",", "\"name\"",
    };
    static const char *const documents[] = {"", " ", "null", "[]", "5", "\"x\"", "{\"resourceSpans\":{}}", "{\"resourceSpans\":[5]}",
                                            "{} {}", "\xff\xfe{\0", "{\"resourceSpans\":[{\"resource\":5}]}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(members); i++) {
        enum sm_rc rc = decode_members(members[i]);
        cr_assert(rc == SM_E_INVALID || rc == SM_E_TRUNCATED, "%s", members[i]);
        cr_assert_eq(e.batch.count, 0);
    }
    for (size_t i = 0; i < SM_ARRAY_LEN(documents); i++) {
        enum sm_rc rc = decode(documents[i]);
        cr_assert(rc == SM_E_INVALID || rc == SM_E_TRUNCATED, "%s", documents[i]);
        cr_assert(strstr(e.err.text, "not a valid ExportTraceServiceRequest: "), "%s", e.err.text);
    }
}

Test(otlp_json, truncated_anywhere_is_refused_whole)
{
    for (size_t n = 0; n < sizeof full - 1; n++) {
        cr_assert_neq(codec_env_decode(&e, &sm_codec_otlp_json, full, n), SM_OK, "%zu", n);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_null(e.batch.payload);
    }
}

Test(otlp_json, any_changed_byte_stays_in_bounds)
{
    static char text[sizeof full];
    for (size_t i = 0; i < sizeof full - 1; i++) {
        for (unsigned v = 0; v < 256; v += 1 + (v >= 0x30 && v < 0x5b) * 3) {
            memcpy(text, full, sizeof text);
            text[i] = (char)v;
            if (codec_env_decode(&e, &sm_codec_otlp_json, text, sizeof text - 1) == SM_OK)
                (void)codec_env_encode(&e, &sm_codec_otlp_json);
        }
    }
}

Test(otlp_json, bad_ids_refuse_the_span_alone)
{
    static const struct {
        const char *ids;
        enum sm_reject reason;
    } cases[] = {
        {"\"spanId\":\"eee19b7ec3c1b174\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"\",\"spanId\":\"eee19b7ec3c1b174\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"eee19b7ec3c1b174\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"5b8efff798038103d269b633813fc60g\",\"spanId\":\"eee19b7ec3c1b174\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"W47/95gDgQPSabYzgT/GDA==\",\"spanId\":\"7uGbfsPBsXQ=\"", SM_REJECT_TRACE_ID},
        {"\"traceId\":\"5b8efff798038103d269b633813fc60c\"", SM_REJECT_SPAN_ID},
        {"\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"0000000000000000\"", SM_REJECT_SPAN_ID},
        {"\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"174\"", SM_REJECT_SPAN_ID},
        {IDS ",\"parentSpanId\":\"174\"", SM_REJECT_PARENT_ID},
        {IDS ",\"parentSpanId\":\"x000000000000000\"", SM_REJECT_PARENT_ID},
        {IDS ",\"links\":[{\"traceId\":\"12\"}]", SM_REJECT_FIELD},
        {IDS ",\"links\":[{\"spanId\":\"0000000000000000\"}]", SM_REJECT_FIELD},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char text[1000];
        snprintf(text, sizeof text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS "},{%s},{" IDS "}]}]}]}", cases[i].ids);
        cr_assert_eq(decode(text), SM_OK, "%s: %s", text, e.err.text);
        cr_assert_eq(e.batch.count, 2, "%s", cases[i].ids);
        cr_assert_eq(e.batch.rejected_total, 1);
        cr_assert_eq(e.batch.rejected[cases[i].reason], 1, "%s", cases[i].ids);
    }
}

/* An AnyValue that nests `depth` values. */
static char *nested(unsigned depth, const char *open, const char *close)
{
    struct sm_buf b = {0};
    for (unsigned i = 1; i < depth; i++)
        sm_buf_puts(&b, open);
    sm_buf_puts(&b, "{\"intValue\":1}");
    for (unsigned i = 1; i < depth; i++)
        sm_buf_puts(&b, close);
    sm_buf_putc(&b, '\0');
    return (char *)b.data;
}

Test(otlp_json, limits_refuse_the_span_alone)
{
    static const char array_open[] = "{\"arrayValue\":{\"values\":[", list_open[] = "{\"kvlistValue\":{\"values\":[{\"value\":";
    char *fits = nested(32, list_open, "}]}}"), *too_deep = nested(33, array_open, "]}}");
    cr_assert_eq(decode_value(fits), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    cr_assert_eq(decode_value(too_deep), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.rejected[SM_REJECT_DEPTH], 1);
    free(fits);
    free(too_deep);
    too_deep = nested(60, array_open, "]}}");
    cr_assert_eq(decode_value(too_deep), SM_E_INVALID, "deeper than any reader goes");
    free(too_deep);
    e.d.limits.value_bytes_max = 10;
    e.d.limits.attributes_max = 2;
    e.d.limits.span_bytes_max = 200;
    static const struct {
        const char *members;
        enum sm_reject reason;
    } cases[] = {
        {"\"name\":\"12345678901\"", SM_REJECT_VALUE_SIZE},
        {"\"name\":\"1234567890\\n\"", SM_REJECT_VALUE_SIZE},
        {"\"attributes\":[{\"value\":{\"stringValue\":\"12345678901\"}}]", SM_REJECT_VALUE_SIZE},
        {"\"attributes\":[{\"value\":{\"bytesValue\":\"AAAAAAAAAAAAAAA=\"}}]", SM_REJECT_VALUE_SIZE},
        {"\"attributes\":[{},{},{}]", SM_REJECT_ATTRIBUTES},
        {"\"events\":[{\"attributes\":[{},{},{}]}]", SM_REJECT_ATTRIBUTES},
        {"\"attributes\":[{\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"01234567\"}]}}}]", SM_REJECT_VALUE_SIZE},
        {"\"events\":[{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},"
         "{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},"
         "{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"},{\"name\":\"0123456789\"}]",
         SM_REJECT_SPAN_SIZE},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(decode_members(cases[i].members), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_eq(e.batch.rejected[cases[i].reason], 1, "%s", cases[i].members);
    }
    cr_assert_eq(decode_members("\"name\":\"1234567890\",\"attributes\":[{},{}]"), SM_OK);
    cr_assert_eq(e.batch.count, 1);
    e.d.limits.spans_max = 1;
    cr_assert_eq(decode("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{},{}]}]}]}"), SM_E_LIMIT);
    cr_assert_str_eq(e.err.text, "more than 1 spans in one request");
}

Test(otlp_json, unsound_scopes_and_resources_refuse_their_spans)
{
    e.d.limits.attributes_max = 1;
    static const char request[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS ",\"name\":\"a\"}],\"scope\":{\"name\":\"one\"}},"
        "{\"spans\":[{" IDS ",\"name\":\"b\"},{" IDS ",\"name\":\"c\"}],\"scope\":{\"attributes\":[{},{}]}},"
        "{\"spans\":[{" IDS ",\"name\":\"d\"}]}]},"
        "{\"resource\":{\"attributes\":[{},{}]},\"scopeSpans\":[{\"spans\":[{" IDS ",\"name\":\"e\"}]}]},"
        "{\"scopeSpans\":[{\"spans\":[{" IDS ",\"name\":\"f\"}]}]}]}";
    cr_assert_eq(decode(request), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 3);
    cr_assert_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 3);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("a")));
    cr_assert(sm_str_eq(codec_env_name(&e, 1), SM_STR("d")));
    cr_assert(sm_str_eq(codec_env_name(&e, 2), SM_STR("f")));
}

Test(otlp_json, full_scope_table_refuses_spans)
{
    sm_scopes_cache_free(e.d.scopes);
    sm_scopes_free(e.scopes);
    e.scopes = sm_scopes_new(e.d.names, 2, 1 << 20);
    e.d.scopes = sm_scopes_cache_new(e.scopes, e.d.names_cache);
    cr_assert_eq(decode("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS "}]},{\"spans\":[{" IDS "}],\"schemaUrl\":\"s\"}]}]}"), SM_OK);
    cr_assert_eq(e.batch.count, 1);
    cr_assert_eq(e.batch.rejected[SM_REJECT_SCOPES_FULL], 1);
}

Test(otlp_json, long_values_move_what_follows_their_length)
{
    struct sm_buf text = {0};
    char *value = malloc(40001);
    memset(value, 'x', 40000);
    value[40000] = '\0';
    static const size_t sizes[] = {100, 120, 121, 124, 125, 126, 127, 128, 129, 16380, 16384, 40000};
    for (size_t i = 0; i < SM_ARRAY_LEN(sizes); i++) {
        sm_buf_clear(&text);
        sm_buf_puts(&text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS ",\"attributes\":[");
        sm_buf_printf(&text, "{\"value\":{\"stringValue\":\"%.*s\"},\"key\":\"peer.service\"},", (int)sizes[i], value);
        sm_buf_printf(&text, "{\"key\":\"db.name\",\"value\":{\"stringValue\":\"%.*s\"}}]}]}]}]}", (int)sizes[i], value);
        cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_json, text.data, text.size), SM_OK, "%s", e.err.text);
        static const enum sm_slot slots[] = {SM_SLOT_PEER_SERVICE, SM_SLOT_DB_NAME};
        for (unsigned k = 0; k < 2; k++) {
            struct sm_value v;
            cr_assert(sm_span_value(span(), sm_batch_bytes(&e.batch, 0), slots[k], &v), "%zu", sizes[i]);
            cr_assert_eq(v.bytes.len, sizes[i]);
        }
    }
    free(value);
    sm_buf_fini(&text);
}

Test(otlp_json, spans_that_came_as_zipkin_are_written_plainly)
{
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_json,
                                       "[{\"traceId\":\"1\",\"id\":\"2\",\"timestamp\":5,\"duration\":1,\"name\":\"n\",\"shared\":true,"
                                       "\"localEndpoint\":{\"serviceName\":\"s\",\"ipv4\":\"1.2.3.4\"},\"tags\":{\"error\":\"true\"}}]"),
                 SM_OK);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_otlp_json),
                     "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}}]},"
                     "\"scopeSpans\":[{\"spans\":[{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000002\","
                     "\"name\":\"n\",\"startTimeUnixNano\":\"5000\",\"endTimeUnixNano\":\"6000\",\"attributes\":["
                     "{\"key\":\"network.local.address\",\"value\":{\"stringValue\":\"1.2.3.4\"}},"
                     "{\"key\":\"zipkin.shared\",\"value\":{\"boolValue\":true}}],\"status\":{\"code\":2}}]}]}]}");
}

Test(otlp_json, spans_leave_as_zipkin)
{
    cr_assert_eq(decode(full), SM_OK);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"parentId\":\"eee19b7ec3c1b173\",\"id\":\"eee19b7ec3c1b174\","
                     "\"kind\":\"SERVER\",\"name\":\"i'm a server span\",\"timestamp\":1544712660000000,\"duration\":1000000,"
                     "\"localEndpoint\":{\"serviceName\":\"shop\"},\"annotations\":[{\"timestamp\":0,\"value\":\"two\"},"
                     "{\"timestamp\":1544712660300000,\"value\":\"\\\"ev\\\": {\\\"q\\\":7}\"}],\"tags\":{\"arr\":\"[-1,null,\\\"\\\"]\","
                     "\"d\":\"0.5\",\"empty\":\"\",\"error\":\"bad\",\"kv\":\"{\\\"k\\\":\\\"AQL/\\\"}\",\"n\":\"NaN\","
                     "\"otel.dropped_attributes_count\":\"3\",\"otel.dropped_events_count\":\"5\",\"otel.dropped_links_count\":\"7\","
                     "\"otel.library.name\":\"lib\",\"otel.library.version\":\"1.0\",\"otel.scope.name\":\"lib\","
                     "\"otel.scope.version\":\"1.0\",\"otel.status_code\":\"ERROR\",\"otlp.link.0\":"
                     "\"5b8efff798038103d269b633813fc60d|eee19b7ec3c1b175|a=b|{\\\"l\\\":\\\"m\\\"}|6\",\"pid\":\"42\",\"s\":\"v\\n\","
                     "\"w3c.tracestate\":\"ot=th:0\"}}]");
}

Test(otlp_json, zipkin_remote_endpoint_from_attributes)
{
    static const struct {
        const char *kind, *attributes, *expected;
    } cases[] = {
        {"3", "{\"key\":\"server.address\",\"value\":{\"stringValue\":\"B\"}},{\"key\":\"peer.service\",\"value\":{\"stringValue\":\"A\"}}",
         "\"remoteEndpoint\":{\"serviceName\":\"a\"}"},
        {"4", "{\"key\":\"db.name\",\"value\":{\"stringValue\":\"shop\"}},{\"key\":\"net.peer.port\",\"value\":{\"intValue\":\"5432\"}}",
         "\"remoteEndpoint\":{\"serviceName\":\"shop\",\"port\":5432}"},
        {"3", "{\"key\":\"server.address\",\"value\":{\"stringValue\":\"10.0.0.1\"}},{\"key\":\"server.port\",\"value\":{\"stringValue\":\"80\"}}",
         "\"remoteEndpoint\":{\"ipv4\":\"10.0.0.1\",\"port\":80}"},
        {"2", "{\"key\":\"network.peer.address\",\"value\":{\"stringValue\":\"::1\"}},{\"key\":\"peer.service\",\"value\":{\"stringValue\":\"a\"}}",
         "\"remoteEndpoint\":{\"ipv6\":\"::1\"}"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char members[1000];
        snprintf(members, sizeof members, "\"kind\":%s,\"attributes\":[%s]", cases[i].kind, cases[i].attributes);
        cr_assert_eq(decode_members(members), SM_OK, "%s", e.err.text);
        const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
        cr_assert(strstr(out, cases[i].expected), "%s: %s", members, out);
    }
}

Test(otlp_json, no_error_tag_without_error_status_in_zipkin)
{
    cr_assert_eq(decode_members("\"attributes\":[{\"key\":\"error\",\"value\":{\"boolValue\":false}}]"), SM_OK);
    cr_assert_null(strstr(codec_env_encode(&e, &sm_codec_zipkin_json), "error"));
    cr_assert_eq(decode_members("\"attributes\":[{\"key\":\"error\",\"value\":{\"boolValue\":true}}],\"status\":{\"code\":2}"), SM_OK);
    cr_assert(strstr(codec_env_encode(&e, &sm_codec_zipkin_json), "\"error\":\"true\""));
    cr_assert_eq(decode_members("\"status\":{\"code\":2}"), SM_OK);
    cr_assert(strstr(codec_env_encode(&e, &sm_codec_zipkin_json), "\"error\":\"\""));
}
