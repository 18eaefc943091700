#include "base/base.h"

#include <criterion/criterion.h>

Test(base, str_order_is_bytewise_then_shorter_first)
{
    cr_assert(sm_str_cmp(SM_STR("a"), SM_STR("ab")) < 0);
    cr_assert(sm_str_cmp(SM_STR("b"), SM_STR("ab")) > 0);
    cr_assert(sm_str_cmp(SM_STR("\xff"), SM_STR("a")) > 0);
    cr_assert(sm_str_eq(SM_STR(""), (struct sm_str){NULL, 0}));
}

Test(base, err_keeps_code_and_text)
{
    struct sm_err err;
    cr_assert_eq(sm_err_set(&err, SM_E_LIMIT, "%d bytes", 7), SM_E_LIMIT);
    cr_assert_str_eq(err.text, "7 bytes");
    cr_assert_str_eq(sm_rc_name(err.rc), "limit");
}

Test(base, big_endian_round_trip)
{
    uint8_t bytes[8];
    sm_store_be64(bytes, 0x0102030405060708);
    cr_assert_eq(bytes[0], 1);
    cr_assert_eq(sm_load_be64(bytes), 0x0102030405060708);
    cr_assert_eq(sm_load_be32(bytes + 4), 0x05060708);
}
