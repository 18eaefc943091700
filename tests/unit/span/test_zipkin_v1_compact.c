/* Zipkin's spans in messages for Jaeger's agent: emitZipkinBatch in both protocols. What becomes of each field of version 1
 * is tested in test_zipkin_v1_thrift.c; here both protocols must give the same as the bare list does. */
#include "tests/support/codec_env.h"

#include <criterion/criterion.h>

enum { BINARY_ENVELOPE = 30 }; /* of the message, and the header of the arguments' only field */

static struct codec_env e;

static void setup(void)
{
    codec_env_init(&e);
}

static void teardown(void)
{
    codec_env_fini(&e);
}

TestSuite(zipkin_v1_compact, .init = setup, .fini = teardown);

/* Made with the official Python runtime: a call with all four annotations, an event and tags of several types, which becomes a span
 * of each side; and a local span of a service without a call. */
static const char compact[] =
    "8281010f656d69745a69706b696e4261746368192c1603280367657416061604195c1680897a180263731c15828080a00114a07e1805"
    "66726f6e7400001694897a180273721c15fdfbbff507140118046261636b000016f8897a180273731c15fdfbbff50714011804626163"
    "6b0000168c8a7a180263721c15828080a00114a07e180566726f6e74000016a8897a18046d6973731c15fdfbbff50714011804626163"
    "6b0000294c1809687474702e7061746818052f63617274150c1c15828080a00114a07e180566726f6e74000018026f6b18010115001c"
    "15fdfbbff507140118046261636b000018016e18040000000715061c15fdfbbff507140118046261636b00001802736118010115001c"
    "15fdfbbff507140118046261636b0000111680897a168c01160a00160e28056c6f63616c1610290c291c18026c631800150c1c158280"
    "80a00114a07e180566726f6e74000012160a160c0000";
static const char binary[] =
    "800100040000000f656d69745a69706b696e4261746368000000010f00010c000000020a0001fffffffffffffffe0b00030000000367"
    "65740a000400000000000000030a000500000000000000020f00060c000000050a000100000000000f42400b00020000000263730c00"
    "030800010a0000010600021f900b00030000000566726f6e7400000a000100000000000f424a0b00020000000273720c0003080001c0"
    "a80101060002ffff0b0003000000046261636b00000a000100000000000f427c0b00020000000273730c0003080001c0a80101060002"
    "ffff0b0003000000046261636b00000a000100000000000f42860b00020000000263720c00030800010a0000010600021f900b000300"
    "00000566726f6e7400000a000100000000000f42540b0002000000046d6973730c0003080001c0a80101060002ffff0b000300000004"
    "6261636b00000f00080c000000040b000100000009687474702e706174680b0002000000052f63617274080003000000060c00040800"
    "010a0000010600021f900b00030000000566726f6e7400000b0001000000026f6b0b00020000000101080003000000000c0004080001"
    "c0a80101060002ffff0b0003000000046261636b00000b0001000000016e0b00020000000400000007080003000000030c0004080001"
    "c0a80101060002ffff0b0003000000046261636b00000b00010000000273610b00020000000101080003000000000c0004080001c0a8"
    "0101060002ffff0b0003000000046261636b0000020009010a000a00000000000f42400a000b00000000000000460a000c0000000000"
    "000005000a000100000000000000070b0003000000056c6f63616c0a000400000000000000080f00060c000000000f00080c00000001"
    "0b0001000000026c630b000200000000080003000000060c00040800010a0000010600021f900b00030000000566726f6e7400000200"
    "09000a000a00000000000000050a000b00000000000000060000";

static const char json[] =
    "[{\"traceId\":\"0000000000000005fffffffffffffffe\",\"parentId\":\"0000000000000002\",\"id\":\"00000000000000"
    "03\",\"kind\":\"CLIENT\",\"name\":\"get\",\"timestamp\":1000000,\"duration\":70,\"localEndpoint\":{\"service"
    "Name\":\"front\",\"ipv4\":\"10.0.0.1\",\"port\":8080},\"remoteEndpoint\":{\"serviceName\":\"back\",\"ipv4\":"
    "\"192.168.1.1\",\"port\":65535},\"tags\":{\"http.path\":\"/cart\"},\"debug\":true},{\"traceId\":\"0000000000"
    "000005fffffffffffffffe\",\"parentId\":\"0000000000000002\",\"id\":\"0000000000000003\",\"kind\":\"SERVER\","
    "\"name\":\"get\",\"timestamp\":1000010,\"duration\":50,\"localEndpoint\":{\"serviceName\":\"back\",\"ipv4\":"
    "\"192.168.1.1\",\"port\":65535},\"annotations\":[{\"timestamp\":1000020,\"value\":\"miss\"}],\"tags\":{\"n\""
    ":\"7\",\"ok\":\"true\"},\"debug\":true,\"shared\":true},{\"traceId\":\"0000000000000007\",\"id\":\"000000000"
    "0000008\",\"name\":\"local\",\"timestamp\":5,\"duration\":6,\"localEndpoint\":{\"serviceName\":\"front\",\"i"
    "pv4\":\"10.0.0.1\",\"port\":8080}}]";

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[n++] = (uint8_t)byte;
    return n;
}

static const struct {
    const struct sm_codec *codec;
    const char *hex;
} messages[] = {{&sm_codec_jaeger_compact, compact}, {&sm_codec_jaeger_binary, binary}};

Test(zipkin_v1_compact, both_protocols_say_what_the_list_says)
{
    uint8_t bytes[1024];
    size_t n = from_hex(binary, bytes);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_v1_thrift, bytes + BINARY_ENVELOPE, n - BINARY_ENVELOPE - 1), SM_OK);
    char *list = strdup(codec_env_encode(&e, &sm_codec_zipkin_json));
    cr_expect_str_eq(list, json);
    for (size_t i = 0; i < SM_ARRAY_LEN(messages); i++) {
        n = from_hex(messages[i].hex, bytes);
        cr_assert_eq(codec_env_decode(&e, messages[i].codec, bytes, n), SM_OK, "%s", e.err.text);
        cr_expect_str_eq(codec_env_encode(&e, &sm_codec_zipkin_json), list);
    }
    free(list);
}

Test(zipkin_v1_compact, every_prefix_is_refused)
{
    uint8_t bytes[1024];
    for (size_t i = 0; i < SM_ARRAY_LEN(messages); i++) {
        for (size_t n = from_hex(messages[i].hex, bytes); n-- > 0;) {
            cr_expect_neq(codec_env_decode(&e, messages[i].codec, bytes, n), SM_OK, "%s, %zu bytes", messages[i].codec->name, n);
            cr_expect_eq(e.batch.count, 0);
            cr_expect_neq(e.err.text[0], '\0');
        }
    }
}

#define COMPACT  "8281000f656d69745a69706b696e4261746368"
#define BINARY   "0000000f656d69745a69706b696e42617463680400000000"
#define SPAN     "16023604" /* field 1: trace 1, field 4: id 2 */

Test(zipkin_v1_compact, arguments)
{
    static const struct {
        const struct sm_codec *codec;
        const char *hex;
        enum sm_rc rc;
        uint32_t spans;
    } cases[] = {
        {&sm_codec_jaeger_compact, COMPACT "190c" "00", SM_OK, 0},
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN "00" "00", SM_OK, 1},
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN "00" "1501" "00", SM_OK, 1},          /* a further argument */
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN "00" "0902" "1c" SPAN "00" "00", SM_OK, 1}, /* the list again */
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN, SM_E_INVALID, 0},
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN "00", SM_E_TRUNCATED, 0},
        {&sm_codec_jaeger_compact, COMPACT "191c" SPAN "00" "1f00", SM_E_INVALID, 0},
        {&sm_codec_jaeger_compact, COMPACT "00", SM_E_TRUNCATED, 0},
        {&sm_codec_jaeger_compact, COMPACT "291c" SPAN "00" "00", SM_E_TRUNCATED, 0}, /* another argument, not this one */
        {&sm_codec_jaeger_compact, COMPACT "1c00" "00", SM_E_TRUNCATED, 0},            /* of another type */
        {&sm_codec_jaeger_compact, COMPACT "191c" "1602" "00" "00", SM_E_INVALID, 0},  /* a span without id */
        {&sm_codec_jaeger_compact, COMPACT "1915" "02" "00", SM_E_INVALID, 0},         /* a list of numbers */
        {&sm_codec_jaeger_compact, COMPACT "19fcffffffff0f" SPAN "0000", SM_E_INVALID, 0},
        {&sm_codec_jaeger_binary, BINARY "0f00010c00000000" "00", SM_OK, 0},
        {&sm_codec_jaeger_binary, BINARY "00", SM_E_TRUNCATED, 0},
        {&sm_codec_jaeger_binary, BINARY "0f00010c7fffffff" "00", SM_E_INVALID, 0},
    };
    uint8_t bytes[256];
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_eq(codec_env_decode(&e, cases[i].codec, bytes, from_hex(cases[i].hex, bytes)), cases[i].rc, "case %zu: %s", i, e.err.text);
        cr_expect_eq(e.batch.count, cases[i].spans, "case %zu", i);
    }
}

Test(zipkin_v1_compact, more_spans_than_allowed)
{
    uint8_t bytes[64];
    e.d.limits.spans_max = 1;
    cr_expect_eq(codec_env_decode(&e, &sm_codec_jaeger_compact, bytes, from_hex(COMPACT "192c" SPAN "00" SPAN "00" "00", bytes)), SM_E_LIMIT);
    cr_expect_eq(e.batch.count, 0);
}
