#include "base/base.h"

#include <criterion/criterion.h>

Test(base, str_order_is_bytewise_then_shorter_first)
{
    cr_assert(sm_str_cmp(SM_STR("a"), SM_STR("ab")) < 0);
    cr_assert(sm_str_cmp(SM_STR("b"), SM_STR("ab")) > 0);
    cr_assert(sm_str_cmp(SM_STR("\xff"), SM_STR("a")) > 0);
    cr_assert(sm_str_eq(SM_STR(""), (struct sm_str){NULL, 0}));
}

Test(base, blanks_around_a_text_go)
{
    cr_expect(sm_str_eq(sm_str_trim(SM_STR(" \t a b\t ")), SM_STR("a b")));
    cr_expect(sm_str_eq(sm_str_trim(SM_STR(" \t ")), SM_STR("")));
    cr_expect(sm_str_eq(sm_str_trim((struct sm_str){NULL, 0}), SM_STR("")));
    cr_expect(sm_str_eq(sm_str_trim(SM_STR("a\r")), SM_STR("a\r")), "no blank");
}

Test(base, lines_end_in_either_way)
{
    struct sm_str text = SM_STR(" one \r\n\ntwo\r \n\r\nlast");
    static const char *const lines[] = {"one", "", "two\r", "", "last"};
    for (size_t i = 0; i < SM_ARRAY_LEN(lines); i++) {
        cr_assert(text.len);
        struct sm_str line = sm_str_cut_line(&text);
        cr_expect(sm_str_eq(line, sm_str_c(lines[i])), "%zu: %.*s", i, SM_STR_ARG(line));
    }
    cr_expect_eq(text.len, 0);
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
