/* Zipkin v1 thrift: what becomes of each field, what is refused. The conversion itself is in test_zipkin_v1.c. */
#include "tests/support/codec_env.h"

#include "span/codec/thrift_binary.h"

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

TestSuite(zipkin_v1_thrift, .init = setup, .fini = teardown);

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[n++] = (uint8_t)byte;
    return n;
}

static enum sm_rc decode_hex(const char *hex)
{
    static uint8_t bytes[4096];
    return codec_env_decode(&e, &sm_codec_zipkin_v1_thrift, bytes, from_hex(hex, bytes));
}

#define LIST1 "0c00000001"
#define IDS   "0a00010000000000000001" "0a00040000000000000002"
#define ENDPOINT(field) "0c" field "080001" "01020304" "060002" "ff90" "0b0003" "00000001" "61" "00" /* a 1.2.3.4:65424 */
#define ANNOTATION "0a0001" "000000000000000a" "0b0002" "00000001" "78"
#define KEY "0b0001" "00000001" "6b"
#define VALUE(size, hex) "0b0002" "000000" size hex
#define TYPE(n) "080003" "000000" n
#define BEFORE "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\""
#define LOCAL ",\"localEndpoint\":{\"serviceName\":\"a\",\"ipv4\":\"1.2.3.4\",\"port\":65424}"

Test(zipkin_v1_thrift, fields)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {"", "[]"},
        {"0c00000000", "[]"},
        {LIST1 IDS "00", BEFORE "}]"},
        {"0b00000001" IDS "00", BEFORE "}]"}, /* the type of strings, as some reporters write */
        {LIST1 IDS "0a000c00000000000000ff" "00", "[{\"traceId\":\"00000000000000ff0000000000000001\",\"id\":\"0000000000000002\"}]"},
        {LIST1 IDS "0a00050000000000000007" "00", "[{\"traceId\":\"0000000000000001\",\"parentId\":\"0000000000000007\",\"id\":\"0000000000000002\"}]"},
        {LIST1 IDS "0b00030000000347455400", BEFORE ",\"name\":\"get\"}]"},
        {LIST1 IDS "0a000a0000000000000005" "0a000b0000000000000007" "02000901" "00", BEFORE ",\"timestamp\":5,\"duration\":7,\"debug\":true}]"},
        {LIST1 IDS "0a000affffffffffffffff" "02000900" "00", BEFORE "}]"},
        {LIST1 IDS "0f0006" "0c00000001" ANNOTATION ENDPOINT("0003") "00" "00",
         BEFORE LOCAL ",\"annotations\":[{\"timestamp\":10,\"value\":\"x\"}]}]"},
        {LIST1 IDS "0f0006" "0c00000002" ANNOTATION ENDPOINT("0003") "00" "0a0001" "000000000000000b" "0b0002" "00000001" "79" ENDPOINT("0003") "00" "00",
         BEFORE LOCAL ",\"annotations\":[{\"timestamp\":10,\"value\":\"x\"},{\"timestamp\":11,\"value\":\"y\"}]}]"},
        {LIST1 IDS "0f0006" "0c00000001" "0b0002" "00000001" "78" "00" "00", BEFORE "}]"}, /* no time */
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("01", "76") TYPE("06") ENDPOINT("0004") "00" "00",
         BEFORE LOCAL ",\"tags\":{\"k\":\"v\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("00", "") TYPE("06") "00" "00", BEFORE ",\"tags\":{\"k\":\"\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("01", "01") TYPE("00") "00" "00", BEFORE ",\"tags\":{\"k\":\"true\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("01", "00") TYPE("00") "00" "00", BEFORE ",\"tags\":{\"k\":\"false\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("03", "ff0102") TYPE("01") "00" "00", BEFORE ",\"tags\":{\"k\":\"/wEC\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("02", "fffe") TYPE("02") "00" "00", BEFORE ",\"tags\":{\"k\":\"-2\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("04", "000000c8") TYPE("03") "00" "00", BEFORE ",\"tags\":{\"k\":\"200\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("08", "8000000000000000") TYPE("04") "00" "00", BEFORE ",\"tags\":{\"k\":\"-9223372036854775808\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("08", "3fe0000000000000") TYPE("05") "00" "00", BEFORE ",\"tags\":{\"k\":\"0.5\"}}]"},
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("03", "000001") TYPE("03") "00" "00", BEFORE "}]"}, /* no i32 has three bytes */
        {LIST1 IDS "0f0008" "0c00000001" KEY VALUE("01", "76") TYPE("63") "00" "00", BEFORE "}]"},     /* a type of tomorrow */
        {LIST1 IDS "0f0008" "0c00000001" KEY TYPE("06") "00" "00", BEFORE "}]"},                       /* no value */
        {LIST1 IDS "0f0008" "0c00000001" "0b0001" "00000002" "7361" VALUE("01", "01") TYPE("00") ENDPOINT("0004") "00" "00",
         BEFORE ",\"remoteEndpoint\":{\"serviceName\":\"a\",\"ipv4\":\"1.2.3.4\",\"port\":65424}}]"},
        {LIST1 IDS "0f0008" "0c00000001" "0b0001" "00000002" "7361" VALUE("01", "00") TYPE("00") ENDPOINT("0004") "00" "00", BEFORE "}]"},
        {LIST1 IDS "0f0006" "0c00000001" ANNOTATION "0c0003" "0b0004" "00000010" "20010db8000000000000000000000001" "00" "00" "00",
         BEFORE ",\"localEndpoint\":{\"ipv6\":\"2001:db8::1\"},\"annotations\":[{\"timestamp\":10,\"value\":\"x\"}]}]"},
        /* unknown fields of every type, and a known one of another type */
        {LIST1 IDS "020063" "01" "030063" "01" "040063" "0000000000000000" "060063" "0001" "080063" "00000001" "0a0063" "0000000000000001"
         "0b0063" "00000001" "61" "0c0063" "0c0001" "00" "00" "0d0063" "0b0800000001" "00000001" "61" "00000002" "0e0063" "0300000001" "01"
         "0f0063" "0b00000002" "00000000" "00000000" "080001" "00000009" "00", BEFORE "}]"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(decode_hex(cases[i].hex), SM_OK, "case %zu: %s", i, e.err.text);
        const char *out = codec_env_encode(&e, &sm_codec_zipkin_json);
        cr_assert_str_eq(out, cases[i].json, "case %zu: %s", i, out);
        size_t n = strlen(cases[i].hex) / 2;
        for (size_t cut = 1; cut < n; cut++) {
            static uint8_t bytes[4096];
            from_hex(cases[i].hex, bytes);
            cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_v1_thrift, bytes, cut), SM_E_INVALID, "case %zu cut at %zu", i, cut);
        }
    }
}

Test(zipkin_v1_thrift, refusals)
{
    static const char *const cases[] = {
        "0a00000000",                               /* a list of numbers */
        "0cffffffff" IDS "00",                      /* a negative count */
        "0c7fffffff" IDS "00",                      /* a count beyond the bytes */
        LIST1 "0a00040000000000000002" "00",        /* no trace id */
        LIST1 "0a00010000000000000001" "00",        /* no id */
        LIST1 IDS "0b0003ffffffff" "00",            /* a text of a negative length */
        LIST1 IDS "4d0001" "00",                    /* a type that does not exist */
        LIST1 IDS "0f0006" "0cffffffff" "00",       /* annotations, a negative count */
        LIST1 IDS "0d0063" "0b0b7fffffff" "00",     /* a map beyond the bytes */
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_eq(decode_hex(cases[i]), SM_E_INVALID, "case %zu", i);
        cr_assert_eq(e.batch.count, 0);
        cr_assert(strstr(e.err.text, "TBinary") || strstr(e.err.text, "THRIFT"), "%s", e.err.text);
    }
}

Test(zipkin_v1_thrift, texts_that_are_not_utf8_are_repaired)
{
    cr_assert_eq(decode_hex(LIST1 IDS "0b0003" "00000002" "6eff" "0f0008" "0c00000001" "0b0001" "00000002" "6bff" "0b0002" "00000002" "ff76"
                                      "080003" "00000006" "00" "00"), SM_OK, "%s", e.err.text);
    cr_assert_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json),
                     "[{\"traceId\":\"0000000000000001\",\"id\":\"0000000000000002\",\"name\":\"n\xef\xbf\xbd\","
                     "\"tags\":{\"k\xef\xbf\xbd\":\"\xef\xbf\xbdv\"}}]");
}

Test(zipkin_v1_thrift, nesting_is_capped)
{
    char hex[4096];
    for (unsigned depth = 1; depth <= 20; depth++) {
        size_t n = (size_t)snprintf(hex, sizeof hex, LIST1 IDS);
        for (unsigned i = 0; i < depth; i++)
            n += (size_t)snprintf(hex + n, sizeof hex - n, "0c0063");
        for (unsigned i = 0; i < depth + 1; i++)
            n += (size_t)snprintf(hex + n, sizeof hex - n, "00");
        cr_assert_eq(decode_hex(hex), depth <= SM_THRIFT_DEPTH_MAX ? SM_OK : SM_E_INVALID, "depth %u", depth);
    }
}
