/* Zipkin v2 JSON: what becomes of each field, what is refused, what comes back out. */
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

TestSuite(zipkin_json, .init = setup, .fini = teardown);

static enum sm_rc decode(const char *text)
{
    return codec_env_decode_text(&e, &sm_codec_zipkin_json, text);
}

/* One span with ids and these members. */
static enum sm_rc decode_members(const char *members)
{
    char text[4096];
    snprintf(text, sizeof text, "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\"%s%s}]",
             *members ? "," : "", members);
    return decode(text);
}

static const struct sm_span *span(void)
{
    cr_assert_eq(e.batch.count, 1);
    return codec_env_span(&e, 0);
}

static void assert_round_trip(const char *text)
{
    cr_assert_eq(decode(text), SM_OK, "%s: %s", text, e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json), text);
}

Test(zipkin_json, full_span_becomes_header_and_canonical_bytes)
{
    cr_assert_eq(decode("[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"parentId\":\"6b221d5bc9e6496c\","
                        "\"id\":\"a2fb4a1d1a96d312\",\"kind\":\"SERVER\",\"name\":\"GET /API\",\"timestamp\":1472470996199000,"
                        "\"duration\":207000,\"localEndpoint\":{\"serviceName\":\"Frontend\",\"ipv4\":\"7.8.9.10\",\"port\":9092},"
                        "\"remoteEndpoint\":{\"serviceName\":\"Backend\",\"ipv6\":\"2001:db8::c001\",\"port\":51234},"
                        "\"annotations\":[{\"timestamp\":1472470996238000,\"value\":\"foo\"}],"
                        "\"tags\":{\"http.path\":\"/api\",\"error\":\"it broke\"},\"debug\":true,\"shared\":true}]"),
                 SM_OK, "%s", e.err.text);
    const struct sm_span *s = span();
    cr_assert_eq(e.batch.items[0].trace.hi, 0x463ac35c9f6413ad);
    cr_assert_eq(e.batch.items[0].trace.lo, 0x48485a3953bb6124);
    cr_assert_eq(s->span_id, 0xa2fb4a1d1a96d312);
    cr_assert_eq(s->parent_id, 0x6b221d5bc9e6496c);
    cr_assert_eq(s->start_ns, 1472470996199000000);
    cr_assert_eq(s->duration_ns, 207000000);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(sm_span_status(s), SM_STATUS_ERROR);
    cr_assert_eq(s->flags, SM_SPAN_SHARED | SM_SPAN_DEBUG | SM_SPAN_ERROR_TAG | SM_SPAN_ERROR | SM_SPAN_PRIVATE | SM_SPAN_EVENTS);
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("get /api")));
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("frontend")));
    cr_assert(codec_env_attribute(&e, 0, "peer.service", "backend"));
    struct sm_value peer;
    cr_assert(sm_span_value(s, sm_batch_bytes(&e.batch, 0), SM_SLOT_PEER_SERVICE, &peer));
    cr_assert(sm_str_eq(peer.bytes, SM_STR("backend")));
    struct sm_private priv;
    cr_assert(sm_private_find(sm_batch_bytes(&e.batch, 0), s->size, &priv));
    cr_assert_eq(priv.origin, SM_ORIGIN_ZIPKIN_V2);
    cr_assert_eq(priv.local.port, 9092);
    cr_assert_arr_eq(priv.local.ipv4, "\x07\x08\x09\x0a", 4);
    cr_assert_eq(priv.remote.port, 51234);
}

/* The canonical bytes must mean the same to the decoder of OTLP. */
Test(zipkin_json, canonical_bytes_decode_as_otlp_to_the_same_header)
{
    cr_assert_eq(decode_members("\"parentId\":\"1\",\"name\":\"n\",\"timestamp\":5,\"duration\":3,\"shared\":true,\"kind\":\"CONSUMER\","
                                "\"annotations\":[{\"timestamp\":1,\"value\":\"a\"}],\"tags\":{\"error\":\"\",\"sampling.priority\":\"1\"}"),
                 SM_OK);
    struct sm_span a = *span();
    uint8_t bytes[2048], scope_spans[2048], resource_spans[2048];
    size_t n = (size_t)(sm_pb_put_bytes(scope_spans, 2, sm_batch_bytes(&e.batch, 0), a.size) - scope_spans);
    n = (size_t)(sm_pb_put_bytes(resource_spans, 2, scope_spans, n) - resource_spans);
    n = (size_t)(sm_pb_put_bytes(bytes, 1, resource_spans, n) - bytes);
    uint32_t records[2] = {sm_span_wanted(span())[0], sm_span_wanted(span())[1]};
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, bytes, n), SM_OK);
    struct sm_span b = *span();
    a.scope_id = b.scope_id;
    cr_assert(a.flags & SM_SPAN_PRIORITY, "Zipkin says numbers as texts");
    a.flags &= (uint16_t)~SM_SPAN_PRIORITY;
    cr_assert_eq(a.flags, b.flags);
    cr_assert_arr_eq(&a, &b, sizeof a);
    cr_assert_arr_eq(records, sm_span_wanted(span()), sizeof records);
}

/* The side record leads to what a walk over all fields finds. */
Test(zipkin_json, private_field_has_a_side_record)
{
    cr_assert_eq(decode_members("\"localEndpoint\":{\"serviceName\":\"a\",\"ipv4\":\"1.2.3.4\",\"port\":80},\"kind\":\"CLIENT\","
                                "\"remoteEndpoint\":{\"serviceName\":\"b\"},\"tags\":{\"peer.service\":\"c\",\"error\":\"\"}"),
                 SM_OK, "%s", e.err.text);
    struct sm_private found, read;
    const uint8_t *bytes = sm_batch_bytes(&e.batch, 0);
    cr_assert(sm_private_find(bytes, span()->size, &found));
    cr_assert(sm_private_read(span(), bytes, &read));
    cr_assert_arr_eq(&read, &found, sizeof read);
    cr_assert(sm_str_eq(read.remote.service, SM_STR("b")));
    cr_assert_eq(span()->n_wanted, 3, "peer.service, error and the field");
}

Test(zipkin_json, round_trips)
{
    static const char *const texts[] = {
        "[]",
        "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\"}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"parentId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"kind\":\"CLIENT\"}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"duration\":7}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"timestamp\":7}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"localEndpoint\":{\"ipv4\":\"1.2.3.4\"},"
        "\"remoteEndpoint\":{\"port\":1}}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"localEndpoint\":{\"serviceName\":\"a\",\"ipv4\":\"1.2.3.4\","
        "\"ipv6\":\"2001:db8::1\",\"port\":80},\"remoteEndpoint\":{\"serviceName\":\"b\"},\"tags\":{\"a\":\"1\",\"error\":\"true\"}}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"remoteEndpoint\":{\"serviceName\":\"b\"},"
        "\"tags\":{\"peer.service\":\"c\"}}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"remoteEndpoint\":{\"serviceName\":\"b\"},"
        "\"tags\":{\"peer.service\":\"b\"}}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"tags\":{\"otel.status_code\":\"OK\",\"peer.service\":\"b\"}}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"annotations\":[{\"timestamp\":1,\"value\":\"a\"},"
        "{\"timestamp\":2,\"value\":\"\"}],\"debug\":true,\"shared\":true}]",
        "[{\"traceId\":\"48485a3953bb6124\",\"id\":\"0000000000000002\",\"name\":\"\xc3\xbc \\\"\\\\\\n\\u0000\","
        "\"tags\":{\"\\\"k\\\"\":\"v\\t\"}},{\"traceId\":\"1\",\"id\":\"0000000000000003\"}]",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(texts) - 1; i++)
        assert_round_trip(texts[i]);
    cr_assert_eq(decode(texts[SM_ARRAY_LEN(texts) - 1]), SM_OK);
    const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
    cr_assert(strstr(out, "\"name\":\"\xc3\xbc \\\"\\\\\\n\\u0000\",\"tags\":{\"\\\"k\\\"\":\"v\\t\"}},{\"traceId\":\"0000000000000001\""), "%s", out);
}

Test(zipkin_json, canonical_order_of_annotations_and_tags)
{
    cr_assert_eq(decode_members("\"annotations\":[{\"value\":\"b\",\"timestamp\":2},{\"timestamp\":1,\"value\":\"z\"},"
                                "{\"timestamp\":2,\"value\":\"a\"},{\"timestamp\":2,\"value\":\"b\"}],"
                                "\"tags\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\"}"),
                 SM_OK);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\",\"annotations\":["
                     "{\"timestamp\":1,\"value\":\"z\"},{\"timestamp\":2,\"value\":\"a\"},{\"timestamp\":2,\"value\":\"b\"}],"
                     "\"tags\":{\"a\":\"2\",\"b\":\"3\"}}]");
}

Test(zipkin_json, rules_of_the_model)
{
    cr_assert_eq(decode_members("\"parentId\":\"a2fb4a1d1a96d312\",\"shared\":true,\"kind\":\"CLIENT\",\"name\":\"\",\"timestamp\":0,\"duration\":-5"), SM_OK);
    cr_assert_eq(span()->parent_id, 0, "its own parent");
    cr_assert_eq(span()->flags, SM_SPAN_PRIVATE | SM_SPAN_NO_START | SM_SPAN_NO_DURATION, "no client is shared");
    cr_assert_eq(span()->name_id, SM_NAME_EMPTY);
    cr_assert(codec_env_resource(&e, 0)->bytes.len == 0);
    cr_assert_eq(decode_members("\"parentId\":\"0000000000000000\""), SM_OK);
    cr_assert_eq(span()->parent_id, 0);
    cr_assert_eq(decode_members("\"parentId\":\"\",\"name\":null,\"kind\":null,\"tags\":null,\"annotations\":null,"
                                "\"localEndpoint\":null,\"timestamp\":null,\"debug\":null,\"unknown\":[{\"a\":1}]"),
                 SM_OK);
    cr_assert_eq(span()->parent_id, 0);
    cr_assert_eq(decode("[{\"traceId\":\"0000000000000000000000000000000a\",\"id\":\"B\"}]"), SM_OK);
    cr_assert(span()->flags & SM_SPAN_ID64);
    cr_assert_eq(e.batch.items[0].trace.lo, 10);
    cr_assert_eq(span()->span_id, 11);
}

Test(zipkin_json, leniencies)
{
    cr_assert_eq(decode_members("\"timestamp\":\"1472470996199000\",\"duration\":1025396.9999999999"), SM_OK, "%s", e.err.text);
    cr_assert_eq(span()->start_ns, 1472470996199000000);
    cr_assert_eq(span()->duration_ns, 1025397000);
    cr_assert_eq(decode_members("\"timestamp\":1.472470996199e15,\"duration\":0.25"), SM_OK);
    cr_assert_eq(span()->start_ns, 1472470996199000000);
    cr_assert_eq(span()->duration_ns, 1000);
    cr_assert_eq(decode_members("\"tags\":{\"n\":1.50,\"b\":true,\"o\":{\"x\": [1]}}"), SM_OK);
    cr_assert(codec_env_attribute(&e, 0, "n", "1.50"));
    cr_assert(codec_env_attribute(&e, 0, "b", "true"));
    cr_assert(codec_env_attribute(&e, 0, "o", "{\"x\": [1]}"));
    cr_assert_eq(decode("[{\"tr\\u0061ceId\":\"ABCDEF\",\"\\u0069d\":\"1\\u0032\"}]"), SM_OK, "%s", e.err.text);
    cr_assert_eq(span()->span_id, 0x12);
    cr_assert_eq(decode(""), SM_OK);
    cr_assert_eq(e.batch.count, 0);
}

Test(zipkin_json, addresses)
{
    static const struct {
        const char *member, *out;
    } cases[] = {
        {"\"ipv6\":\"1.2.3.4\"", "{\"ipv4\":\"1.2.3.4\"}"},
        {"\"ipv4\":\"2001:DB8::1\"", "{\"ipv6\":\"2001:db8::1\"}"},
        {"\"ipv6\":\"::ffff:1.2.3.4\"", "{\"ipv4\":\"1.2.3.4\"}"},
        {"\"ipv6\":\"::FFFF:0102:0304\"", "{\"ipv4\":\"1.2.3.4\"}"},
        {"\"ipv6\":\"::1\"", "{\"ipv6\":\"::1\"}"},
        {"\"ipv6\":\"::\"", "{\"ipv6\":\"::\"}"},
        {"\"ipv6\":\"::102:304\"", "{\"ipv6\":\"::102:304\"}"},
        {"\"ipv6\":\"::1.2.3.4\"", "{\"ipv4\":\"1.2.3.4\"}"},
        {"\"ipv4\":\"1.2.3.256\"", NULL}, {"\"ipv4\":\"1.2.3\"", NULL}, {"\"ipv4\":\"1.2.3.4.5\"", NULL},
        {"\"ipv4\":\"1.2..4\"", NULL}, {"\"ipv4\":\"host\"", NULL}, {"\"ipv4\":\"\"", NULL}, {"\"ipv6\":\"1::2::3\"", NULL},
        {"\"ipv4\":null,\"port\":0", NULL}, {"\"port\":-1", NULL},
        {"\"ipv6\":\"fe80::1%eth0-a-name-that-is-far-longer-than-any-address-may-be\"", NULL},
        {"\"port\":\"8080\"", "{\"port\":8080}"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char members[200], expected[200];
        snprintf(members, sizeof members, "\"localEndpoint\":{%s}", cases[i].member);
        cr_assert_eq(decode_members(members), SM_OK, "%s: %s", members, e.err.text);
        const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
        snprintf(expected, sizeof expected, "\"localEndpoint\":%s", cases[i].out);
        cr_assert_eq(strstr(out, cases[i].out ? expected : "localEndpoint") != NULL, cases[i].out != NULL, "%s: %s", members, out);
    }
}

Test(zipkin_json, refusals_say_why)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{}", "Expected a JSON_V2 encoded list"},
        {"null", "Expected a JSON_V2 encoded list"},
        {" ", "Expected a JSON_V2 encoded list"},
        {"\x0a\x02", "Expected a JSON_V2 encoded list"},
        {"[{\"traceId\":\"1\",\"id\":\"1\",\"binaryAnnotations\":[]}]", "Expected a JSON_V2 encoded list, but received: JSON_V1"},
        {"[{}]", "Missing : traceId id at byte 3 reading List<Span> from json"},
        {"[{\"id\":\"1\"}]", "Missing : traceId at byte 11 reading List<Span> from json"},
        {"[{\"traceId\":\"1\"}]", "Missing : id at byte 16 reading List<Span> from json"},
        {"[{\"traceId\":null,\"id\":\"1\"}]", "Missing : traceId at byte 26 reading List<Span> from json"},
        {"[{\"traceId\":\"\"", "traceId is empty at byte 14 reading List<Span> from json"},
        {"[{\"traceId\":\"0\"", "traceId is all zeros or not hex encoded at byte 15 reading List<Span> from json"},
        {"[{\"traceId\":\"g\"", "traceId is all zeros or not hex encoded at byte 15 reading List<Span> from json"},
        {"[{\"traceId\":\"000000000000000000000000000000001\"", "traceId.length > 32 at byte 47 reading List<Span> from json"},
        {"[{\"id\":\"\"", "id is empty at byte 9 reading List<Span> from json"},
        {"[{\"id\":\"00000000000000001\"", "id.length > 16 at byte 26 reading List<Span> from json"},
        {"[{\"id\":\"000\"", "id is all zeros or not hex encoded at byte 12 reading List<Span> from json"},
        {"[{\"parentId\":\"x\"", "parentId is not hex encoded at byte 16 reading List<Span> from json"},
        {"[{\"parentId\":\"00000000000000000\"", "parentId.length > 16 at byte 32 reading List<Span> from json"},
        {"[{\"kind\":\"client\"", "kind is not one of CLIENT, SERVER, PRODUCER, CONSUMER at byte 17 reading List<Span> from json"},
        {"[{\"tags\":{\"a\":null", "No value of a tag at byte 18 reading List<Span> from json"},
        {"[{\"annotations\":[{\"timestamp\":1}", "Incomplete annotation at byte 32 reading List<Span> from json"},
        {"[{\"annotations\":[{\"value\":\"a\"}", "Incomplete annotation at byte 30 reading List<Span> from json"},
        {"[{\"localEndpoint\":{\"port\":70000", "invalid port at byte 31 reading List<Span> from json"},
        {"[{\"timestamp\":\"x\"", "expected a number at byte 17 reading List<Span> from json"},
        {"[{\"debug\":\"true\"", "expected true or false at byte 10 reading List<Span> from json"},
        {"[null]", "expected an object at byte 1 reading List<Span> from json"},
        {"[{\"traceId\":\"1\",\"id\":\"1\"}", "expected ',' or ']' at byte 25 reading List<Span> from json"},
        {"[] x", "trailing bytes after the document at byte 3 reading List<Span> from json"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_neq(decode(cases[i].text), SM_OK, "%s", cases[i].text);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_str_eq(e.err.text, cases[i].error, "%s: %s", cases[i].text, e.err.text);
    }
    static const char nul_bytes[] = "[{\"traceId\":\"1\",\"id\":\"1\"}\0\0]";
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, nul_bytes, sizeof nul_bytes - 1), SM_E_INVALID);
}

static const char big_list[] =
    "[{\"traceId\":\"463ac35c9f6413ad48485a3953bb6124\",\"id\":\"a2fb4a1d1a96d312\",\"name\":\"g\\u00e9t\",\"timestamp\":1.5,"
    "\"localEndpoint\":{\"serviceName\":\"\\u0041\",\"ipv4\":\"7.8.9.10\"},\"remoteEndpoint\":{\"serviceName\":\"\\u0042\"},"
    "\"annotations\":[{\"timestamp\":1472470996238000,\"value\":\"f\\noo\"}],\"tags\":{\"http\\u002epath\":\"/\xc3\xa4\",\"error\":true}}]";

Test(zipkin_json, truncated_anywhere_is_refused_whole)
{
    for (size_t n = 1; n < sizeof big_list - 1; n++) {
        cr_assert_neq(codec_env_decode(&e, &sm_codec_zipkin_json, big_list, n), SM_OK, "%zu", n);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_null(e.batch.payload);
    }
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, big_list, sizeof big_list - 1), SM_OK);
    cr_assert(codec_env_attribute(&e, 0, "http.path", "/\xc3\xa4"));
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("a")));
    cr_assert(sm_str_eq(codec_env_name(&e, 0), SM_STR("g\xc3\xa9t")));
}

Test(zipkin_json, any_changed_byte_stays_in_bounds)
{
    static char text[sizeof big_list];
    for (size_t i = 0; i < sizeof big_list - 1; i++) {
        for (unsigned v = 0; v < 256; v += 1 + (v >= 0x30 && v < 0x5b)) {
            memcpy(text, big_list, sizeof text);
            text[i] = (char)v;
            if (codec_env_decode(&e, &sm_codec_zipkin_json, text, sizeof text - 1) == SM_OK)
                (void)codec_env_encode(&e, &sm_codec_zipkin_json);
        }
    }
}

Test(zipkin_json, error_tags)
{
    static const struct {
        const char *value;
        uint16_t flags;
        enum sm_status status;
        const char *message;
    } cases[] = {
        {"\"true\"", SM_SPAN_ERROR_TAG | SM_SPAN_ERROR, SM_STATUS_ERROR, ""},
        {"\"\"", SM_SPAN_ERROR_TAG | SM_SPAN_ERROR, SM_STATUS_ERROR, ""},
        {"\"time-out\"", SM_SPAN_ERROR_TAG | SM_SPAN_ERROR, SM_STATUS_ERROR, "time-out"},
        {"\"false\"", SM_SPAN_ERROR_TAG, SM_STATUS_UNSET, ""},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char members[100];
        snprintf(members, sizeof members, "\"tags\":{\"error\":%s}", cases[i].value);
        cr_assert_eq(decode_members(members), SM_OK);
        cr_assert_eq(span()->flags & (SM_SPAN_ERROR_TAG | SM_SPAN_ERROR), cases[i].flags, "%s", members);
        cr_assert_eq(sm_span_status(span()), cases[i].status);
        struct sm_str message = {0};
        const uint8_t *p = sm_batch_bytes(&e.batch, 0), *end = p + span()->size;
        struct sm_pb_field f, g;
        while (sm_pb_next(&p, end, &f)) {
            if (f.number != SM_OTLP_STATUS)
                continue;
            const uint8_t *q = f.bytes;
            while (sm_pb_next(&q, f.bytes + f.size, &g)) {
                if (g.number == 2)
                    message = sm_str(g.bytes, g.size);
            }
        }
        cr_assert(sm_str_eq(message, sm_str_c(cases[i].message)), "%s", members);
    }
    cr_assert_eq(decode_members("\"tags\":{\"otel.status_code\":\"OK\"}"), SM_OK);
    cr_assert_eq(sm_span_status(span()), SM_STATUS_OK);
    cr_assert_eq(decode_members("\"tags\":{\"otel.status_code\":\"ERROR\"}"), SM_OK);
    cr_assert_eq(sm_span_status(span()), SM_STATUS_ERROR);
    cr_assert_eq(span()->flags & (SM_SPAN_ERROR_TAG | SM_SPAN_ERROR), SM_SPAN_ERROR);
}

Test(zipkin_json, limits_refuse_the_span_alone)
{
    struct sm_buf text = {0};
    e.d.limits.attributes_max = 3;
    e.d.limits.value_bytes_max = 12;
    e.d.limits.span_bytes_max = 500;
    static const struct {
        const char *members;
        int reason; /* -1: none */
    } cases[] = {
        {"\"tags\":{\"a\":\"1234567890\",\"b\":\"\",\"c\":\"\"},\"remoteEndpoint\":{\"serviceName\":\"x\"}", -1},
        {"\"tags\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}", SM_REJECT_ATTRIBUTES},
        {"\"tags\":{\"a\":\"1234567890123\"}", SM_REJECT_VALUE_SIZE},
        {"\"name\":\"1234567890123\"", SM_REJECT_VALUE_SIZE},
        {"\"annotations\":[{\"timestamp\":1,\"value\":\"1234567890123\"}]", SM_REJECT_VALUE_SIZE},
        {"\"annotations\":[{\"timestamp\":1e18,\"value\":\"1\"}]", SM_REJECT_TIME},
        {"\"timestamp\":9223372036854775807", SM_REJECT_TIME},
        {"\"duration\":18446744073709551615", SM_REJECT_TIME},
        {"\"timestamp\":1e300", SM_REJECT_TIME},
    };
    sm_buf_putc(&text, '[');
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        sm_buf_printf(&text, "%s{\"traceId\":\"1\",\"id\":\"%zx\",%s}", i ? "," : "", i + 1, cases[i].members);
    sm_buf_puts(&text, ",{\"traceId\":\"1\",\"id\":\"aa\",\"annotations\":[");
    for (unsigned i = 0; i < 40; i++)
        sm_buf_printf(&text, "%s{\"timestamp\":%u,\"value\":\"x\"}", i ? "," : "", i);
    sm_buf_puts(&text, "]},{\"traceId\":\"1\",\"id\":\"bb\"}]");
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, text.data, text.size), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 2, "%u, %s", e.batch.count, e.batch.reject_text);
    cr_assert_eq(codec_env_span(&e, 0)->span_id, 1);
    cr_assert_eq(codec_env_span(&e, 1)->span_id, 0xbb);
    cr_assert_eq(e.batch.rejected_total, SM_ARRAY_LEN(cases));
    cr_assert_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 1);
    cr_assert_eq(e.batch.rejected[SM_REJECT_VALUE_SIZE], 3);
    cr_assert_eq(e.batch.rejected[SM_REJECT_TIME], 4);
    cr_assert_eq(e.batch.rejected[SM_REJECT_SPAN_SIZE], 1);
    cr_assert(*e.batch.reject_text);
    e.d.limits.spans_max = 10;
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, text.data, text.size), SM_E_LIMIT);
    cr_assert_str_eq(e.err.text, "more than 10 spans in one list");
    sm_buf_fini(&text);
}

Test(zipkin_json, texts_that_are_not_utf8_are_repaired)
{
    static const char v2[] = "[{\"traceId\":\"1\",\"id\":\"2\",\"name\":\"caf\xe9\",\"tags\":{\"user_agent\":\"\xed\xa0\xbd\",\"a\":\"\xc3\xa9\"}},"
                             "{\"traceId\":\"1\",\"id\":\"3\"}]";
    static const char v1[] = "[{\"traceId\":\"1\",\"id\":\"2\",\"name\":\"caf\xe9\",\"binaryAnnotations\":[{\"key\":\"k\",\"value\":\"\xff\"}]}]";
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_json, v2), SM_OK, "%s", e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"name\":\"caf\xef\xbf\xbd\",\"tags\":{\"a\":\"\xc3\xa9\","
                     "\"user_agent\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}},{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000003\"}]");
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_v1_json, v1), SM_OK, "%s", e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"name\":\"caf\xef\xbf\xbd\",\"tags\":{\"k\":\"\xef\xbf\xbd\"}}]");
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_json, "[{\"traceId\":\"1\",\"id\":\"2\",\"name\":\"caf\xe9\"},]"), SM_E_INVALID);
    cr_assert_eq(codec_env_decode_text(&e, &sm_codec_zipkin_json, "[{\"\xff\xff\xff\xff\xff\xff\xff\xff\":1}]"), SM_E_INVALID);
    cr_assert(strstr(e.err.text, "invalid UTF-8"), "%s", e.err.text);
}

Test(zipkin_json, arena_grows_under_large_and_escaped_spans)
{
    struct sm_buf text = {0};
    sm_buf_putc(&text, '[');
    for (unsigned i = 0; i < 50; i++) {
        sm_buf_printf(&text, "%s{\"traceId\":\"1\",\"id\":\"%x\",\"localEndpoint\":{\"serviceName\":\"s%u\"},\"tags\":{", i ? "," : "", i + 1, i % 3);
        for (unsigned k = 0; k < 200; k++)
            sm_buf_printf(&text, "%s\"k%u\":\"\"", k ? "," : "", k);
        sm_buf_puts(&text, ",\"long\":\"");
        for (unsigned k = 0; k < 30000; k++)
            sm_buf_putc(&text, 'x');
        sm_buf_puts(&text, "\\n\"}}");
    }
    sm_buf_putc(&text, ']');
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, text.data, text.size), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 50);
    for (unsigned i = 0; i < 50; i++) {
        struct sm_value v;
        const uint8_t *bytes = sm_batch_bytes(&e.batch, i);
        cr_assert(sm_attr_find(bytes, codec_env_span(&e, i)->size, SM_OTLP_ATTRIBUTES, SM_STR("long"), &v));
        cr_assert_eq(v.bytes.len, 30001);
        cr_assert_eq(v.bytes.ptr[30000], '\n');
        cr_assert_eq(codec_env_service(&e, i).ptr[1], (char)('0' + i % 3));
    }
    sm_buf_fini(&text);
}
