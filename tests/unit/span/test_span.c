#include "span/span.h"

#include <criterion/criterion.h>

Test(span, ids_print_as_lower_case_hex_of_fixed_width)
{
    char trace[SM_TRACE_ID_HEX_SIZE], id[SM_SPAN_ID_HEX_SIZE];
    sm_trace_id_hex((struct sm_trace_id){0x1ull, 0xabcdef0123456789ull}, trace);
    cr_assert_str_eq(trace, "0000000000000001abcdef0123456789");
    sm_span_id_hex(0xf0ull, id);
    cr_assert_str_eq(id, "00000000000000f0");
}

Test(span, trace_ids_of_one_to_32_digits_parse)
{
    static const struct {
        const char *text;
        struct sm_trace_id id;
    } good[] = {
        {"1", {0, 1}},
        {"ABCDEF", {0, 0xabcdef}},
        {"ffffffffffffffff", {0, UINT64_MAX}},
        {"1ffffffffffffffff", {1, UINT64_MAX}},
        {"0123456789abcdef0123456789ABCDEF", {0x0123456789abcdefull, 0x0123456789abcdefull}},
        {"00000000000000000000000000000001", {0, 1}},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        struct sm_trace_id id;
        cr_assert_eq(sm_trace_id_parse(sm_str_c(good[i].text), &id), SM_OK, "%s", good[i].text);
        cr_assert(sm_trace_id_eq(id, good[i].id), "%s", good[i].text);
    }
}

Test(span, malformed_ids_are_refused)
{
    static const char *const bad[] = {
        "", "0", "00000000000000000000000000000000", "0123456789abcdef0123456789abcdef0", "12g4", "/", ":", "@", "G", "`",
        "12\xff", "-1", " 1",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_trace_id trace;
        uint64_t id;
        cr_assert_eq(sm_trace_id_parse(sm_str_c(bad[i]), &trace), SM_E_INVALID, "%s", bad[i]);
        cr_assert_eq(sm_span_id_parse(sm_str_c(bad[i]), &id), SM_E_INVALID, "%s", bad[i]);
    }
    uint64_t id;
    cr_assert_eq(sm_span_id_parse(SM_STR("0123456789abcdef0"), &id), SM_E_INVALID);
    cr_assert_eq(sm_span_id_parse(SM_STR("0a"), &id), SM_OK);
    cr_assert_eq(id, 10);
}

/* Eight digits are read at once: each byte at each place. */
Test(span, every_byte_at_every_place_of_an_id)
{
    for (unsigned place = 0; place < 16; place++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[17] = "fFaA0099eEbB1188";
            uint64_t id = 0;
            text[place] = (char)c;
            bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
            cr_assert_eq(sm_span_id_parse(sm_str(text, 16), &id) == SM_OK, is_digit, "%u at %u", c, place);
            cr_assert_eq(id, is_digit ? strtoull(text, NULL, 16) : 0, "%u at %u", c, place);
        }
    }
}

Test(span, names_of_kinds)
{
    cr_assert_str_eq(sm_kind_name(SM_KIND_UNSPECIFIED), "unspecified");
    cr_assert_str_eq(sm_kind_name(SM_KIND_CONSUMER), "consumer");
    cr_assert_str_eq(sm_kind_name((enum sm_kind)9), "unknown");
    cr_assert_str_eq(sm_status_name(SM_STATUS_ERROR), "error");
    cr_assert_str_eq(sm_status_name((enum sm_status)3), "unknown");
}
