#include "base/utf8.h"

#include <criterion/criterion.h>

Test(utf8, scan_stops_at_each_special_byte_at_each_position)
{
    uint8_t text[100];
    for (unsigned c = 0; c < 256; c++) {
        bool special = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
        for (size_t at = 0; at < 70; at++) {
            memset(text, 'a', sizeof text);
            text[at] = (uint8_t)c;
            text[at + 1] = '"';
            const uint8_t *expected = text + at + (special ? 0 : 1);
            cr_assert_eq(sm_utf8_plain(text, text + 80), expected, "byte %u at %zu", c, at);
            cr_assert_eq(sm_utf8_plain_portable(text, text + 80), expected, "byte %u at %zu", c, at);
        }
    }
    memset(text, '~', sizeof text);
    for (size_t n = 0; n <= sizeof text; n++) {
        cr_assert_eq(sm_utf8_plain(text, text + n), text + n);
        cr_assert_eq(sm_utf8_plain_portable(text, text + n), text + n);
    }
}

Test(utf8, vector_and_portable_scans_agree_on_random_bytes)
{
    uint8_t text[257];
    uint64_t r = 88172645463325252ull;
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof text; i++) {
            r ^= r << 13, r ^= r >> 7, r ^= r << 17;
            text[i] = (r & 0x3f) == 0 ? (uint8_t)(r >> 8) : (uint8_t)(' ' + 1 + (r >> 8) % 60);
        }
        size_t from = r % 40, to = from + (r >> 32) % (sizeof text - from);
        cr_assert_eq(sm_utf8_plain(text + from, text + to), sm_utf8_plain_portable(text + from, text + to));
    }
}

/* The definition, spelled out by decoding. */
static bool valid_by_definition(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        unsigned length = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        if (length == 0 || i + length > n)
            return false;
        uint32_t c = length == 1 ? p[i] : p[i] & (0x7fu >> length);
        for (unsigned k = 1; k < length; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += length;
    }
    return true;
}

Test(utf8, validity_of_all_short_sequences)
{
    uint8_t text[4] = {0};
    for (uint32_t v = 0; v < 1u << 24; v += 1 + (v & 7)) {
        text[0] = (uint8_t)(v >> 16), text[1] = (uint8_t)(v >> 8), text[2] = (uint8_t)v;
        cr_assert_eq(sm_utf8_valid(text, 3), valid_by_definition(text, 3), "%06x", v);
    }
    for (uint32_t v = 0; v < 1u << 20; v++) { /* the four-byte forms: f0-f5, then steps through the rest */
        text[0] = (uint8_t)(0xef + (v >> 17)), text[1] = (uint8_t)(0x70 + ((v >> 10) & 127)),
        text[2] = (uint8_t)(0x7e + ((v >> 5) & 31) * 3), text[3] = (uint8_t)(0x7e + (v & 31) * 3);
        cr_assert_eq(sm_utf8_valid(text, 4), valid_by_definition(text, 4), "%02x%02x%02x%02x", text[0], text[1], text[2],
                     text[3]);
    }
}

Test(utf8, validity_after_ascii_of_any_length)
{
    uint8_t text[64];
    for (size_t n = 0; n < 40; n++) {
        memset(text, 'x', sizeof text);
        memcpy(text + n, "\xe2\x82\xac", 3);
        cr_assert(sm_utf8_valid(text, sizeof text));
        cr_assert(sm_utf8_valid(text, n + 3));
        cr_assert_not(sm_utf8_valid(text, n + 2));
        text[n + 1] = 'y';
        cr_assert_not(sm_utf8_valid(text, sizeof text));
    }
}

Test(utf8, lower_case)
{
    static const struct {
        const char *text, *lower;
    } cases[] = {
        {"", ""},
        {"GET /Orders/{ID}", "get /orders/{id}"},
        {"@AZ[`az{", "@az[`az{"},
        {"Zo\xc3\x8b GR\xc3\x9c\xc3\x9f \xc3\x97", "zo\xc3\xab gr\xc3\xbc\xc3\x9f \xc3\x97"},         /* \u00d7 is a sign */
        {"\xce\x91\xce\xa9 \xd0\x96\xd0\x81 \xc5\xb8", "\xce\xb1\xcf\x89 \xd0\xb6\xd1\x91 \xc3\xbf"}, /* Greek, Cyrillic, Latin */
        {"\xc4\xb0 \xc4\x80\xc4\x81", "\xc4\xb0 \xc4\x81\xc4\x81"},                                       /* dotted I stays */
        {"\xef\xbc\xa1 \xe6\x97\xa5 \xf0\x9f\x9a\x80Q", "\xef\xbd\x81 \xe6\x97\xa5 \xf0\x9f\x9a\x80q"},
        {"A\xff\xc3" "B\xe2\x80", "a\xff\xc3" "b\xe2\x80"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        uint8_t out[64];
        size_t n = strlen(cases[i].text);
        sm_utf8_lower(out, cases[i].text, n);
        cr_assert_arr_eq(out, cases[i].lower, n, "%s", cases[i].text);
        sm_utf8_lower(out, out, n);
        cr_assert_arr_eq(out, cases[i].lower, n, "in place, twice");
    }
}

Test(utf8, repair)
{
    static const struct {
        const char *text, *repaired;
        size_t invalid;
    } cases[] = {
        {"", "", 0},
        {"a \xc3\xa9 \xf0\x9f\x98\x80", "a \xc3\xa9 \xf0\x9f\x98\x80", 0},
        {"caf\xe9", "caf\xef\xbf\xbd", 1},
        {"\xed\xa0\xbd|", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|", 3}, /* half a surrogate pair */
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", 2},                      /* cut */
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd", 2},                      /* overlong */
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        uint8_t out[64];
        size_t n = strlen(cases[i].text), m = strlen(cases[i].repaired);
        cr_assert_eq(sm_utf8_count_invalid(cases[i].text, n), cases[i].invalid);
        cr_assert_eq(sm_utf8_repair(out, cases[i].text, n), m);
        cr_assert_arr_eq(out, cases[i].repaired, m, "%s", cases[i].text);
    }
}
