/* Thrift's primitives: numbers of every length, sizes that cannot be, what is skipped. */
#include "span/codec/thrift_compact.h"

#include <criterion/criterion.h>

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* With bytes behind it a varint is read in one go, at the end byte by byte. */
Test(thrift, varints_of_every_length)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t values[] = {UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1, UINT64_MAX >> bit, UINT64_C(0x0123456789abcdef) >> bit};
        for (size_t i = 0; i < SM_ARRAY_LEN(values); i++) {
            uint8_t bytes[32];
            memset(bytes, 0xff, sizeof bytes);
            size_t n = put_varint(bytes, values[i]);
            for (size_t room = n; room <= sizeof bytes; room += sizeof bytes - n) {
                struct sm_thrift_compact t = {.p = bytes, .end = bytes + room};
                uint64_t v;
                cr_assert(sm_thrift_compact_varint(&t, &v));
                cr_expect_eq(v, values[i]);
                cr_expect_eq(t.p, bytes + n);
            }
            for (size_t room = 0; room < n; room++) {
                struct sm_thrift_compact t = {.p = bytes, .end = bytes + room};
                uint64_t v;
                cr_expect_not(sm_thrift_compact_varint(&t, &v));
            }
        }
    }
}

Test(thrift, varints_beyond_64_bits)
{
    static const char *const bad[] = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        for (size_t room = 10; room <= 11; room++) {
            struct sm_thrift_compact t = {.p = (const uint8_t *)bad[i], .end = (const uint8_t *)bad[i] + room};
            uint64_t v;
            cr_expect_not(sm_thrift_compact_varint(&t, &v), "%zu, %zu bytes", i, room);
        }
    }
}

static bool skips(uint8_t type, const char *bytes, size_t n)
{
    struct sm_thrift_reader t = {(const uint8_t *)bytes, (const uint8_t *)bytes + n};
    return sm_thrift_skip(&t, type, 0) && t.p == t.end;
}

static bool skips_compact(uint8_t type, const char *bytes, size_t n)
{
    struct sm_thrift_compact t = {.p = (const uint8_t *)bytes, .end = (const uint8_t *)bytes + n};
    return sm_thrift_compact_skip(&t, type, 0) && t.p == t.end;
}

#define BYTES(literal) literal, sizeof(literal) - 1

Test(thrift, every_type_is_skipped)
{
    cr_expect(skips(SM_THRIFT_BOOL, BYTES("\1")));
    cr_expect(skips(SM_THRIFT_I16, BYTES("\1\2")));
    cr_expect(skips(SM_THRIFT_DOUBLE, BYTES("\1\2\3\4\5\6\7\10")));
    cr_expect(skips(SM_THRIFT_STRING, BYTES("\0\0\0\2ab")));
    cr_expect(skips(SM_THRIFT_STRUCT, BYTES("\10\0\1\0\0\0\5\0")));
    cr_expect(skips(SM_THRIFT_LIST, BYTES("\3\0\0\0\2ab")));
    cr_expect(skips(SM_THRIFT_SET, BYTES("\13\0\0\0\1\0\0\0\1a")));
    cr_expect(skips(SM_THRIFT_MAP, BYTES("\3\13\0\0\0\1k\0\0\0\1v")));
    cr_expect(skips_compact(SM_THRIFT_BOOL, BYTES("")), "its value is in the field's header");
    cr_expect(skips_compact(SM_THRIFT_I64, BYTES("\xff\1")));
    cr_expect(skips_compact(SM_THRIFT_STRING, BYTES("\2ab")));
    cr_expect(skips_compact(SM_THRIFT_STRUCT, BYTES("\x11\x15\4\0")));
    cr_expect(skips_compact(SM_THRIFT_LIST, BYTES("\x21\1\2")), "bools in lists have a byte each");
    cr_expect(skips_compact(SM_THRIFT_LIST, BYTES("\xf3\2ab")));
    cr_expect(skips_compact(SM_THRIFT_MAP, BYTES("\0")));
    cr_expect(skips_compact(SM_THRIFT_MAP, BYTES("\1\x88\1k\1v")));
}

Test(thrift, sizes_that_cannot_be)
{
    cr_expect_not(skips(SM_THRIFT_STRING, BYTES("\x7f\xff\xff\xff")));
    cr_expect_not(skips(SM_THRIFT_STRING, BYTES("\xff\xff\xff\xff")));
    cr_expect_not(skips(SM_THRIFT_LIST, BYTES("\3\0\0\0\3ab")));
    cr_expect_not(skips(SM_THRIFT_LIST, BYTES("\0\0\0\0\2ab")), "no such type");
    cr_expect_not(skips(SM_THRIFT_MAP, BYTES("\3\3\x40\0\0\0a")));
    cr_expect_not(skips_compact(SM_THRIFT_LIST, BYTES("\xf3\xff\xff\xff\xff\x7f")));
    cr_expect_not(skips_compact(SM_THRIFT_LIST, BYTES("\xfe\1a")), "no such type");
    cr_expect_not(skips_compact(SM_THRIFT_MAP, BYTES("\2\x33" "abc")));
}

Test(thrift, depth_is_capped)
{
    char deep[3 * 2 * SM_THRIFT_DEPTH_MAX], compact[2 * SM_THRIFT_DEPTH_MAX + 2];
    for (unsigned depth = SM_THRIFT_DEPTH_MAX; depth <= SM_THRIFT_DEPTH_MAX + 1; depth++) {
        unsigned n = 0, m = 0;
        for (unsigned i = 1; i < depth; i++, n += 3, m++) {
            memcpy(deep + n, "\14\0\1", 3);
            compact[m] = '\x1c';
        }
        memset(deep + n, 0, depth);
        memset(compact + m, 0, depth);
        cr_expect_eq(skips(SM_THRIFT_STRUCT, deep, n + depth), depth <= SM_THRIFT_DEPTH_MAX);
        cr_expect_eq(skips_compact(SM_THRIFT_STRUCT, compact, m + depth), depth <= SM_THRIFT_DEPTH_MAX);
    }
}
