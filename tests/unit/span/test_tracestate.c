#include "span/tracestate.h"

#include "base/pb.h"

#include <criterion/criterion.h>

#define UNSET SM_TRACESTATE_UNSET

static const struct {
    const char *text;
    uint64_t threshold, randomness;
    bool malformed;
} reads[] = {
    {"", UNSET, UNSET, false},
    {"ot=th:8", UINT64_C(0x80000000000000), UNSET, false},
    {"ot=th:0", 0, UNSET, false},
    {"ot=rv:090a0b0c0d0e0f", UNSET, UINT64_C(0x090a0b0c0d0e0f), false},
    {"ot=th:fd70a;rv:ffffffffffffff", UINT64_C(0xfd70a000000000), UINT64_C(0xffffffffffffff), false},
    {"a=b, ot=rv:00000000000001;th:c ,x=y", UINT64_C(0xc0000000000000), 1, false},
    {"ot=other:1;th:4;more:x.y-z_", UINT64_C(0x40000000000000), UNSET, false},
    {"ot=th:", UNSET, UNSET, true},
    {"ot=th:xyz", UNSET, UNSET, true},
    {"ot=th:FF", UNSET, UNSET, true},
    {"ot=th:123456789abcdef", UNSET, UNSET, true},
    {"ot=rv:1", UNSET, UNSET, true},
    {"ot=th:8;rv:g0000000000000", UINT64_C(0x80000000000000), UNSET, true},
    {"ot=th:8,ot=th:4", UINT64_C(0x80000000000000), UNSET, false},
    {"ot=th:8;th:4", UINT64_C(0x80000000000000), UNSET, false},
    {"not=th:8", UNSET, UNSET, false},
    {"ot", UNSET, UNSET, false},
    {"ot=", UNSET, UNSET, false},
    {"=th:8", UNSET, UNSET, false},
    {"ot=th:8=9", UNSET, UNSET, false},
    {"ot=th:8\x01", UNSET, UNSET, false},
    {",,,;;;===", UNSET, UNSET, false},
    {"ot=;;;:;th;th:2", UINT64_C(0x20000000000000), UNSET, false},
};

Test(tracestate, reads)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(reads); i++) {
        struct sm_tracestate ts;
        sm_tracestate_parse(sm_str_c(reads[i].text), &ts);
        cr_expect(ts.threshold == reads[i].threshold && ts.randomness == reads[i].randomness &&
                      ts.malformed == reads[i].malformed,
                  "%s: th %lx rv %lx malformed %d", reads[i].text, (unsigned long)ts.threshold,
                  (unsigned long)ts.randomness, ts.malformed);
    }
}

static const struct {
    const char *incoming;
    uint64_t threshold, randomness;
    const char *written;
} writes[] = {
    {"", UNSET, UNSET, ""},
    {"", 0, UNSET, "ot=th:0"},
    {"", UINT64_C(0xe6660000000000), UNSET, "ot=th:e666"},
    {"", UINT64_C(0xe6660000000000), 15, "ot=th:e666;rv:0000000000000f"},
    {"", UNSET, 15, "ot=rv:0000000000000f"},
    {"", SM_THRESHOLD_NEVER, UNSET, ""},
    {"a=1,b=2", UINT64_C(0x80000000000000), UNSET, "ot=th:8,a=1,b=2"},
    {"a=1, ot=th:4;p:8;rv:00000000000001;z:q ,b=2", UINT64_C(0x80000000000000), 1,
     "ot=th:8;rv:00000000000001;p:8;z:q,a=1,b=2"},
    {"a=1,ot=th:4", UNSET, UNSET, "a=1"},
    {"ot=p:8", UNSET, UNSET, "ot=p:8"},
    {"a=1,ot=th:4,ot=th:5,b=2", 0, UNSET, "ot=th:0,a=1,b=2"},
    {"bad,A=1,a=\x80,=x,ok@v=1,,\t k = v ", 0, UNSET, "ot=th:0,ok@v=1"},
    {"ot=bad;also_bad:1;x:\"", 0, UNSET, "ot=th:0"},
};

Test(tracestate, writes)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(writes); i++) {
        char out[200];
        size_t n = sm_tracestate_write(sm_str_c(writes[i].incoming), writes[i].threshold, writes[i].randomness, out);
        cr_expect(sm_str_eq(sm_str(out, n), sm_str_c(writes[i].written)), "%s -> %.*s", writes[i].incoming, (int)n, out);
    }
}

Test(tracestate, at_most_32_members_survive)
{
    char in[400], out[400 + SM_TRACESTATE_GROWTH];
    size_t size = 0;
    for (int i = 0; i < 40; i++)
        size += (size_t)sprintf(in + size, "%sk%d=v", i ? "," : "", i);
    size_t n = sm_tracestate_write(sm_str(in, size), 0, UNSET, out);
    unsigned commas = 0;
    for (size_t i = 0; i < n; i++)
        commas += out[i] == ',';
    cr_expect_eq(commas, 31);
    cr_expect_eq(memcmp(out, "ot=th:0,k0=v,", 13), 0);
}

/* Whatever comes in: what is written stays in its bounds and says what was asked for. */
Test(tracestate, garbage_never_breaks_what_is_written)
{
    static const char letters[] = "ot=th:rv:;;,,== 08f_-a@\t\xff";
    uint32_t state = 12345;
    for (int round = 0; round < 20000; round++) {
        char in[120], out[sizeof in + SM_TRACESTATE_GROWTH + 1];
        size_t size = (size_t)round % sizeof in;
        for (size_t i = 0; i < size; i++) {
            state = state * 1664525 + 1013904223;
            in[i] = letters[(state >> 16) % sizeof letters];
        }
        memset(out, '!', sizeof out);
        uint64_t th = round & 1 ? UINT64_C(0x12345678901234) : UNSET, rv = round & 2 ? UINT64_C(0x23456789abcdef) : UNSET;
        size_t n = sm_tracestate_write(sm_str(in, size), th, rv, out);
        cr_assert_leq(n, size + SM_TRACESTATE_GROWTH);
        cr_assert_eq(out[size + SM_TRACESTATE_GROWTH], '!');
        struct sm_tracestate ts;
        sm_tracestate_parse(sm_str(out, n), &ts);
        cr_assert(ts.threshold == th && ts.randomness == rv && !ts.malformed, "%.*s -> %.*s", (int)size, in, (int)n, out);
    }
}

Test(tracestate, of_a_span_the_last_one_counts)
{
    uint8_t span[100] = {0}, *p = span;
    cr_expect_eq(sm_tracestate_of_span(span, 0).len, 0);
    p = sm_pb_put_bytes(p, 3, "a=1", 3);
    p = sm_pb_put_bytes(p, 5, "name", 4);
    p = sm_pb_put_bytes(p, 3, "ot=th:8", 7);
    cr_expect(sm_str_eq(sm_tracestate_of_span(span, (size_t)(p - span)), SM_STR("ot=th:8")));
    cr_expect(sm_str_eq(sm_tracestate_of_span(span, (size_t)(p - span) - 1), SM_STR("a=1")), "cut short");
}
