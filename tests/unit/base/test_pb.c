#include "base/pb.h"

#include <criterion/criterion.h>

static uint8_t bytes[64];

static struct sm_str upto(const uint8_t *end)
{
    return sm_str(bytes, (size_t)(end - bytes));
}

Test(pb, the_last_of_a_number_counts)
{
    uint8_t *p = sm_pb_put_bytes(bytes, 3, "first", 5);
    p = sm_pb_put_uint(p, 4, 7);
    p = sm_pb_put_bytes(p, 3, "last", 4);
    p = sm_pb_put_uint(p, 3, 1); /* no bytes */
    cr_expect(sm_str_eq(sm_pb_last_bytes(upto(p), 3), SM_STR("last")));
    cr_expect_null(sm_pb_last_bytes(upto(p), 4).ptr);
    cr_expect_null(sm_pb_last_bytes((struct sm_str){NULL, 0}, 3).ptr);
    p = sm_pb_put_bytes(p, 3, "", 0);
    cr_expect_not_null(sm_pb_last_bytes(upto(p), 3).ptr, "empty, but there");
}

Test(pb, nothing_is_read_beyond_malformed_bytes)
{
    uint8_t *p = sm_pb_put_bytes(bytes, 3, "first", 5);
    *p++ = SM_PB_TAG(0, SM_PB_VARINT);
    p = sm_pb_put_bytes(p, 3, "last", 4);
    cr_expect(sm_str_eq(sm_pb_last_bytes(upto(p), 3), SM_STR("first")));
}

Test(pb, sizes_are_those_of_what_is_written)
{
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t v = UINT64_C(1) << shift, read;
        for (unsigned less = 0; less < 2; less++) {
            uint8_t *end = sm_pb_put_varint(bytes, v - less);
            cr_assert_eq((size_t)(end - bytes), sm_pb_varint_size(v - less), "%lu", (unsigned long)(v - less));
            cr_assert(sm_pb_varint(bytes, end, &read) == end && read == v - less);
            cr_assert_null(sm_pb_varint(bytes, end - 1, &read), "cut off");
        }
    }
}
