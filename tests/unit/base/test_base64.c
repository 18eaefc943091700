#include "base/base64.h"
#include "base/json_out.h"

#include <criterion/criterion.h>

Test(base64, both_alphabets_padded_or_not)
{
    static const struct {
        const char *text, *bytes; /* NULL: malformed */
    } cases[] = {{"", ""},           {"Zg==", "f"},   {"Zg", "f"},     {"Zm8=", "fo"},    {"Zm9v", "foo"}, {"Zm9vYg", "foob"},
                 {"--__", "\xfb\xef\xff"}, {"++//", "\xfb\xef\xff"}, {"Z", NULL}, {"Zm9vY", NULL}, {"Zm v", NULL},
                 {"Zm=v", NULL},     {"====", ""}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        uint8_t out[16];
        uint8_t *end = sm_base64_decode(sm_str_c(cases[i].text), out);
        cr_assert_eq(end == NULL, cases[i].bytes == NULL, "%s", cases[i].text);
        if (end)
            cr_assert(sm_str_eq(sm_str(out, (size_t)(end - out)), sm_str_c(cases[i].bytes)), "%s", cases[i].text);
    }
}

Test(base64, what_is_written_is_read)
{
    uint8_t bytes[50], out[SM_BASE64_DECODED_MAX(SM_JSON_BASE64_SIZE(sizeof bytes))];
    char text[SM_JSON_BASE64_SIZE(sizeof bytes)];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 37 + n);
        const char *text_end = sm_json_format_base64(sm_str(bytes, n), text);
        const uint8_t *end = sm_base64_decode(sm_str(text, (size_t)(text_end - text)), out);
        cr_assert(end && sm_str_eq(sm_str(out, (size_t)(end - out)), sm_str(bytes, n)), "%zu bytes", n);
    }
}
