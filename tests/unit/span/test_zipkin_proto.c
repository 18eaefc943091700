/* Zipkin v2 protobuf: what becomes of each field, what is refused, and Envoy's reversed ids. */
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

TestSuite(zipkin_proto, .init = setup, .fini = teardown);

/* A ListOfSpans that is put together field by field. */
static struct {
    uint8_t list[1 << 19], span[1 << 17];
    uint8_t *list_end, *span_end;
} m;

static void list_begin(void)
{
    m.list_end = m.list;
}

static void span_begin(void)
{
    m.span_end = m.span;
}

static void span_end(void)
{
    m.list_end = sm_pb_put_bytes(m.list_end, 1, m.span, (size_t)(m.span_end - m.span));
}

static void put_bytes(uint32_t field, const void *bytes, size_t size)
{
    m.span_end = sm_pb_put_bytes(m.span_end, field, bytes, size);
}

static void put_id(uint32_t field, uint64_t id)
{
    uint8_t bytes[8];
    sm_store_be64(bytes, id);
    put_bytes(field, bytes, 8);
}

static void put_tag(const char *key, const char *value)
{
    uint8_t entry[256], *p = sm_pb_put_bytes(entry, 1, key, strlen(key));
    p = sm_pb_put_bytes(p, 2, value, strlen(value));
    put_bytes(11, entry, (size_t)(p - entry));
}

static void put_service(const char *name)
{
    uint8_t endpoint[256];
    put_bytes(8, endpoint, (size_t)(sm_pb_put_bytes(endpoint, 1, name, strlen(name)) - endpoint));
}

static enum sm_rc decode_list(void)
{
    return codec_env_decode(&e, &sm_codec_zipkin_proto, m.list, (size_t)(m.list_end - m.list));
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        sscanf(hex, "%2x", &byte);
        out[n++] = (uint8_t)byte;
    }
    return n;
}

/* One span whose content is given in hex. */
static enum sm_rc decode_span_hex(const char *hex)
{
    list_begin();
    span_begin();
    m.span_end += from_hex(hex, m.span);
    span_end();
    return decode_list();
}

#define IDS "0a080102030405060708" "1a080102030405060709"

static void assert_json(const char *expected)
{
    const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
    cr_assert_str_eq(out, expected, "%s", out);
}

Test(zipkin_proto, vector_of_the_official_runtime)
{
    uint8_t bytes[64];
    size_t n = from_hex("0a2f0a0801020304050607081a08010203040506070820022a036765743140420f0000000000380542050a037376636801", bytes);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_proto, bytes, n), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    const struct sm_span *s = codec_env_span(&e, 0);
    cr_assert_eq(s->span_id, 0x0102030405060708);
    cr_assert_eq(s->start_ns, 1000000000);
    cr_assert_eq(s->duration_ns, 5000);
    cr_assert_eq(sm_span_kind(s), SM_KIND_SERVER);
    cr_assert_eq(s->flags, SM_SPAN_SHARED | SM_SPAN_ID64 | SM_SPAN_PRIVATE);
    cr_assert(sm_str_eq(codec_env_service(&e, 0), SM_STR("svc")));
    assert_json("[{\"traceId\":\"0102030405060708\",\"id\":\"0102030405060708\",\"kind\":\"SERVER\",\"name\":\"get\",\"timestamp\":1000000,"
                "\"duration\":5,\"localEndpoint\":{\"serviceName\":\"svc\"},\"shared\":true}]");
    for (size_t cut = 1; cut < n; cut++) {
        cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_proto, bytes, cut), SM_E_INVALID, "cut at %zu", cut);
        cr_assert_eq(e.batch.count, 0);
    }
}

#define BEFORE "[{\"traceId\":\"0102030405060708\",\"id\":\"0102030405060709\""
#define AFTER  "}]"

Test(zipkin_proto, fields)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {IDS, BEFORE AFTER},
        {IDS "2001", BEFORE ",\"kind\":\"CLIENT\"" AFTER},
        {IDS "2003", BEFORE ",\"kind\":\"PRODUCER\"" AFTER},
        {IDS "2004", BEFORE ",\"kind\":\"CONSUMER\"" AFTER},
        {IDS "2005", BEFORE AFTER},                 /* a kind that is not known yet */
        {IDS "12080000000000000000", BEFORE AFTER}, /* a parent of zeros is none */
        {IDS "12080102030405060709", BEFORE AFTER}, /* nor is the span itself */
        {IDS "120107", "[{\"traceId\":\"0102030405060708\",\"parentId\":\"0000000000000007\",\"id\":\"0102030405060709\"}]"},
        {IDS "2a03474554", BEFORE ",\"name\":\"get\"" AFTER},
        {IDS "310700000000000000" "3805", BEFORE ",\"timestamp\":7,\"duration\":5" AFTER},
        {IDS "31ffffffffffffffff" "38ffffffffffffffffff01", BEFORE AFTER}, /* negative */
        {IDS "4206120401020304", BEFORE ",\"localEndpoint\":{\"ipv4\":\"1.2.3.4\"}" AFTER},
        {IDS "42051203010203", BEFORE AFTER}, /* no address has three bytes */
        {IDS "4a180a0142" "1a1020010db8000000000000000000000001" "209a05",
         BEFORE ",\"remoteEndpoint\":{\"serviceName\":\"b\",\"ipv6\":\"2001:db8::1\",\"port\":666}" AFTER},
        {IDS "4a12" "1a1000000000000000000000000000000005", BEFORE ",\"remoteEndpoint\":{\"ipv4\":\"0.0.0.5\"}" AFTER},
        {IDS "4a12" "1a1000000000000000000000000000000001", BEFORE ",\"remoteEndpoint\":{\"ipv6\":\"::1\"}" AFTER},
        {IDS "520c090700000000000000" "120161", BEFORE ",\"annotations\":[{\"timestamp\":7,\"value\":\"a\"}]" AFTER},
        {IDS "5209090700000000000000", BEFORE AFTER}, /* an annotation without a text */
        {IDS "5203120161", BEFORE AFTER},             /* or a time */
        {IDS "5a060a0161120162", BEFORE ",\"tags\":{\"a\":\"b\"}" AFTER},
        {IDS "5a061201620a0161", BEFORE ",\"tags\":{\"a\":\"b\"}" AFTER},
        {IDS "5a030a0161", BEFORE ",\"tags\":{\"a\":\"\"}" AFTER},
        {IDS "5a03120162", BEFORE AFTER}, /* a value without a key */
        {IDS "60016801", BEFORE ",\"debug\":true,\"shared\":true" AFTER},
        {IDS "20016801", BEFORE ",\"kind\":\"CLIENT\"" AFTER}, /* no client is shared */
        {IDS "7003" "7a0161" "820101ff", BEFORE AFTER},        /* unknown fields */
        {"0a0101" "1a0102", "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\"}]"},
        {"0a09010000000000000002" "1a0102", "[{\"traceId\":\"00000000000000010000000000000002\",\"id\":\"0000000000000002\"}]"},
        {"0a1000000000000000000000000000000001" "1a0102", "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\"}]"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        enum sm_rc rc = decode_span_hex(cases[i].hex);
        cr_assert_eq(rc, SM_OK, "%s: %s", cases[i].hex, e.err.text);
        assert_json(cases[i].json);
    }
}

Test(zipkin_proto, refusals_say_why)
{
    static const struct {
        const char *hex, *error;
    } cases[] = {
        {"", "Missing : traceId id"},
        {"1a0102", "Missing : traceId"},
        {"0a0101", "Missing : id"},
        {"0a0100" "1a0102", "traceId is all zeros"},
        {"0a0101" "1a0100", "id is all zeros"},
        {"0a110000000000000000000000000000000001" "1a0102", "traceId.length > 32"},
        {"0a0101" "1a09000000000000000001", "id.length > 16"},
        {IDS "1209000000000000000001", "parentId.length > 16"},
        {IDS "0801", "Malformed"},                   /* a trace id that is a number */
        {IDS "2a", "Malformed"},                     /* cut */
        {IDS "2a0561", "Truncated"},                 /* a text that is longer than its span */
        {IDS "2101", "Malformed"},                   /* a kind of 8 bytes, cut */
        {IDS "220101", "Malformed"},                 /* a kind that is a text */
        {IDS "3007", "Malformed"},                   /* a timestamp that is a varint */
        {IDS "390700000000000000", "Malformed"},     /* a duration that is fixed */
        {IDS "42020801", "Malformed"},               /* a service name that is a number */
        {IDS "520308011201", "Malformed"},           /* a time that is a varint */
        {IDS "5a020a05", "Malformed"},               /* a key that is longer than its entry */
        {IDS "5a020801", "Malformed"},               /* a key that is a number */
        {IDS "0b", "Malformed"},                     /* a group */
        {IDS "0200", "Truncated"},                   /* field 0 */
        {IDS "38ffffffffffffffffffff01", "Malformed"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char error[100];
        snprintf(error, sizeof error, "%s reading List<Span> from proto3", cases[i].error);
        cr_assert_eq(decode_span_hex(cases[i].hex), SM_E_INVALID, "%s", cases[i].hex);
        cr_assert_eq(e.batch.count, 0);
        cr_assert_str_eq(e.err.text, error, "%s: %s", cases[i].hex, e.err.text);
    }
    static const uint8_t number[] = {0x08, 0x01}, huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x07};
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_proto, number, sizeof number), SM_E_INVALID);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_proto, huge, sizeof huge), SM_E_INVALID);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_proto, "", 0), SM_OK, "an empty list");
}

Test(zipkin_proto, texts_that_are_not_utf8_are_repaired)
{
    static const uint8_t long_shape[] = "\x12\x02v\xff\x0a\x01k"; /* value before key */
    uint8_t annotation[16], *p = sm_pb_put_fixed64(annotation, 1, 5);
    p = sm_pb_put_bytes(p, 2, "x\xff", 2);
    list_begin();
    span_begin();
    put_id(1, 1);
    put_id(3, 2);
    put_bytes(5, "A\xff", 2);
    put_service("\xed\xa0\x80S");
    put_bytes(10, annotation, (size_t)(p - annotation));
    put_tag("a\xc0", "caf\xe9");
    put_bytes(11, long_shape, sizeof long_shape - 1);
    span_end();
    cr_assert_eq(decode_list(), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 1);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"name\":\"a\xef\xbf\xbd\",\"localEndpoint\":"
                     "{\"serviceName\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbds\"},\"annotations\":[{\"timestamp\":5,\"value\":\"x\xef\xbf\xbd\"}],"
                     "\"tags\":{\"a\xef\xbf\xbd\":\"caf\xef\xbf\xbd\",\"k\":\"v\xef\xbf\xbd\"}}]");
}

/* A span that breaks a rule of its own does not take the others with it. */
Test(zipkin_proto, limits_refuse_one_span)
{
    static char long_value[70000], invalid[70000];
    memset(long_value, 'x', sizeof long_value);
    memset(invalid, 0xff, sizeof invalid);
    list_begin();
    for (unsigned i = 1; i <= 6; i++) {
        span_begin();
        put_id(1, 1);
        put_id(3, i);
        if (i == 2)
            put_bytes(5, invalid, 30000); /* too long with three bytes for one */
        else if (i == 3)
            put_bytes(5, invalid, sizeof invalid);
        else if (i == 4)
            put_bytes(5, long_value, sizeof long_value);
        span_end();
    }
    cr_assert_eq(decode_list(), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, 3);
    cr_assert_eq(e.batch.rejected[SM_REJECT_VALUE_SIZE], 3);
    e.d.limits.spans_max = 5;
    cr_assert_eq(decode_list(), SM_E_LIMIT);
    e.d.limits = sm_codec_limits_default;
    e.d.limits.attributes_max = 2;
    list_begin();
    span_begin();
    put_id(1, 1);
    put_id(3, 1);
    for (unsigned i = 0; i < 3; i++)
        put_tag("a", "b");
    span_end();
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.rejected[SM_REJECT_ATTRIBUTES], 1);
}

#define ROOT UINT64_C(0xb6fa0717a447879f)
#define SWAPPED(id) __builtin_bswap64(id)

static void put_span(uint64_t trace_lo, uint64_t parent, uint64_t id, const char *service, bool envoy)
{
    uint8_t trace[16];
    sm_store_be64(trace, 0x1122334455667788);
    sm_store_be64(trace + 8, trace_lo);
    span_begin();
    put_bytes(1, trace, 16);
    if (parent)
        put_id(2, parent);
    put_id(3, id);
    if (service)
        put_service(service);
    if (envoy) {
        put_tag("component", "proxy");
        put_tag("node_id", "sidecar~10.0.0.1");
    }
    span_end();
}

static void assert_ids(uint32_t i, uint64_t parent, uint64_t id)
{
    const struct sm_span *s = codec_env_span(&e, i);
    cr_assert_eq(s->span_id, id, "span %u: %016llx", i, (unsigned long long)s->span_id);
    cr_assert_eq(s->parent_id, parent, "span %u: %016llx", i, (unsigned long long)s->parent_id);
    char expected[64];
    snprintf(expected, sizeof expected, "\"id\":\"%016llx\"", (unsigned long long)id);
    cr_assert(strstr(codec_env_encode(&e, &sm_codec_zipkin_json), expected), "the bytes say the same: %s", (char *)e.out.data);
}

Test(zipkin_proto, reversed_ids_of_a_root_and_its_service_are_put_right)
{
    list_begin();
    put_span(ROOT, 0, SWAPPED(ROOT), "ingress", false);
    put_span(ROOT, SWAPPED(ROOT), SWAPPED(UINT64_C(0x0102030405060708)), "ingress", false);
    put_span(7, SWAPPED(UINT64_C(0x0102030405060709)), SWAPPED(UINT64_C(0x11)), "ingress", false);
    put_span(8, 0x12, 0x13, "another", false);
    cr_assert_eq(decode_list(), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.repaired, 3);
    assert_ids(0, 0, ROOT);
    assert_ids(1, ROOT, 0x0102030405060708);
    assert_ids(2, 0x0102030405060709, 0x11);
    assert_ids(3, 0x12, 0x13);
}

Test(zipkin_proto, reversed_parent_alone_shows_it)
{
    list_begin();
    put_span(ROOT, SWAPPED(ROOT), SWAPPED(UINT64_C(5)), NULL, false);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 1);
    assert_ids(0, ROOT, 5);
}

Test(zipkin_proto, a_body_of_one_envoy_without_the_root)
{
    list_begin();
    put_span(ROOT, 0x0100000000000000, 0x0200000000000000, "b", true);
    put_span(ROOT, 0x0200000000000000, 0x0300000000000000, "b", true);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 2);
    assert_ids(0, 1, 2);
    assert_ids(1, 2, 3);
    put_span(ROOT, 0x0200000000000000, 0x0300000000000000, "b", false);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 0, "a span that is not Envoy's");
    list_begin();
    put_span(ROOT, 0x0100000000000000, 0x0200000000000000, "b", true);
    put_span(ROOT, 0x0100000000000000, 0x0200000000000000, "c", true);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 0, "two services: not from an Envoy itself");
}

Test(zipkin_proto, ids_in_order_stay)
{
    list_begin();
    put_span(ROOT, 0, ROOT, "b", true);
    put_span(ROOT, ROOT, 0x0300000000000000, "b", true);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 0);
    assert_ids(1, ROOT, 0x0300000000000000);
    put_span(UINT64_C(0x5500000000000000), 0, 0x55, "b", true);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 1, "signs of both orders: the span alone");
    assert_ids(1, ROOT, 0x0300000000000000);
    assert_ids(2, 0, 0x5500000000000000);
    list_begin();
    put_span(UINT64_C(0x1200000000000012), 0, UINT64_C(0x1200000000000012), "b", false);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 0, "the same in both orders");
}

Test(zipkin_proto, repair_can_be_turned_off)
{
    e.d.limits.repair_ids = false;
    list_begin();
    put_span(ROOT, 0, SWAPPED(ROOT), "ingress", true);
    cr_assert_eq(decode_list(), SM_OK);
    cr_assert_eq(e.batch.repaired, 0);
    assert_ids(0, 0, SWAPPED(ROOT));
}
