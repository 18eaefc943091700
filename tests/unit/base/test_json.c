#include "base/json.h"
#include "base/buf.h"
#include "base/json_out.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Reads a document as any reader would: all of it, exactly bounded (so that sanitizers see every byte too far). */
static enum sm_rc skip_document(const void *bytes, size_t size, struct sm_err *err)
{
    uint8_t *exact = malloc(size + !size);
    if (size)
        memcpy(exact, bytes, size);
    struct sm_json j = sm_json_reader(exact, size, SM_JSON_DEPTH_DEFAULT);
    sm_json_skip(&j);
    enum sm_rc rc = sm_json_end(&j, err);
    free(exact);
    return rc;
}

Test(json, well_formed_documents)
{
    static const char *const good[] = {
        "{}", "[]", " [ ] ", "null", "true", "false", "0", "-0", "12", "-1.5e-3", "1E+2", "1e999", "\"\"", "\"a\"",
        "{\"a\":1}", "{ \"a\" : [ 1 , 2 , { } ] , \"b\" : null }\r\n\t ", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        "\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \x7f\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "\"a string of more than sixteen bytes, then of more than thirty-two, with an escape \\n at the end\\u0000\"",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        struct sm_err err = {0};
        cr_assert_eq(skip_document(good[i], strlen(good[i]), &err), SM_OK, "%s: %s", good[i], err.text);
    }
}

Test(json, a_document_of_no_bytes_may_be_null)
{
    struct sm_json j = sm_json_reader(NULL, 0, SM_JSON_DEPTH_DEFAULT);
    struct sm_err err;
    sm_json_skip(&j);
    cr_expect_eq(sm_json_end(&j, &err), SM_E_TRUNCATED, "%s", sm_rc_name(sm_json_end(&j, &err)));
}

Test(json, malformed_documents_with_position)
{
    static const struct {
        const char *text;
        enum sm_rc rc;
        const char *error;
    } bad[] = {
        {"", SM_E_TRUNCATED, "expected a value at byte 0"},
        {"  ", SM_E_TRUNCATED, "expected a value at byte 2"},
        {"{", SM_E_TRUNCATED, "expected a string at byte 1"},
        {"{\"a\"", SM_E_TRUNCATED, "expected ':' at byte 4"},
        {"{\"a\":", SM_E_TRUNCATED, "expected a value at byte 5"},
        {"{\"a\":1", SM_E_TRUNCATED, "expected ',' or '}' at byte 6"},
        {"{\"a\":1,", SM_E_TRUNCATED, "expected a string at byte 7"},
        {"{\"a\":1,}", SM_E_INVALID, "expected a string at byte 7"},
        {"{1:2}", SM_E_INVALID, "expected a string at byte 1"},
        {"[1", SM_E_TRUNCATED, "expected ',' or ']' at byte 2"},
        {"[1,]", SM_E_INVALID, "expected a value at byte 3"},
        {"[,1]", SM_E_INVALID, "expected a value at byte 1"},
        {"[1 2]", SM_E_INVALID, "expected ',' or ']' at byte 3"},
        {"[1}", SM_E_INVALID, "expected ',' or ']' at byte 2"},
        {"{} x", SM_E_INVALID, "trailing bytes after the document at byte 3"},
        {"nul", SM_E_TRUNCATED, "unexpected end at byte 3"},
        {"nuLL", SM_E_INVALID, "invalid literal at byte 0"},
        {"tru", SM_E_TRUNCATED, "unexpected end at byte 3"},
        {"True", SM_E_INVALID, "expected a value at byte 0"},
        {"NaN", SM_E_INVALID, "expected a value at byte 0"},
        {"01", SM_E_INVALID, "invalid number at byte 0"},
        {"-", SM_E_INVALID, "invalid number at byte 0"},
        {"+1", SM_E_INVALID, "expected a value at byte 0"},
        {"1.", SM_E_INVALID, "invalid number at byte 0"},
        {".5", SM_E_INVALID, "expected a value at byte 0"},
        {"1e", SM_E_INVALID, "invalid number at byte 0"},
        {"1e+", SM_E_INVALID, "invalid number at byte 0"},
        {"\"", SM_E_TRUNCATED, "unterminated string at byte 1"},
        {"\"abc", SM_E_TRUNCATED, "unterminated string at byte 4"},
        {"\"a\nb\"", SM_E_INVALID, "control character in a string at byte 2"},
        {"\"a string of more than sixteen bytes\x01\"", SM_E_INVALID, "control character in a string at byte 36"},
        {"\"\\q\"", SM_E_INVALID, "invalid escape at byte 1"},
        {"\"\\", SM_E_INVALID, "invalid escape at byte 1"},
        {"\"\\u12g4\"", SM_E_INVALID, "invalid escape at byte 1"},
        {"\"\\u12\"", SM_E_INVALID, "invalid escape at byte 1"},
        {"\"\\ud83d\\u12g4\"", SM_E_INVALID, "invalid escape at byte 7"},
        {"\"\\ud83d\\", SM_E_INVALID, "invalid escape at byte 7"},
        {"\"\xff\"", SM_E_INVALID, "invalid UTF-8 at byte 1"},
        {"\"\xed\xa0\x80\"", SM_E_INVALID, "invalid UTF-8 at byte 1"},
        {"\"\xc3", SM_E_INVALID, "invalid UTF-8 at byte 1"},
        {"\xef\xbb\xbf{}", SM_E_INVALID, "expected a value at byte 0"},
        {"'a'", SM_E_INVALID, "expected a value at byte 0"},
        {"/* c */ 1", SM_E_INVALID, "expected a value at byte 0"},
        {"\v1", SM_E_INVALID, "expected a value at byte 0"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", SM_E_INVALID, "nested too deeply at byte 32"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_err err = {0};
        cr_assert_eq(skip_document(bad[i].text, strlen(bad[i].text), &err), bad[i].rc, "%s: %s", bad[i].text, err.text);
        cr_assert_str_eq(err.text, bad[i].error, "%s", bad[i].text);
    }
    struct sm_err err;
    cr_assert_eq(skip_document("\"\0\"", 3, &err), SM_E_INVALID);
}

Test(json, every_prefix_of_a_document_is_refused)
{
    static const char text[] = "{\"key\":[1.5e3,\"caf\\u00e9 \xe2\x82\xac\",true,null,{\"a long key of twenty bytes\":\"v\"}]}";
    for (size_t n = 0; n < sizeof text - 1; n++)
        cr_assert_neq(skip_document(text, n, NULL), SM_OK, "%zu", n);
    cr_assert_eq(skip_document(text, sizeof text - 1, NULL), SM_OK);
}

Test(json, members_and_elements_are_read_in_order)
{
    static const char text[] = " { \"a\" : [ 1 , 2 , 3 ] , \"empty\" : { } , \"none\" : [ ] , \"s\" : \"x\" , \"b\" : true } ";
    struct sm_json j = sm_json_reader(text, sizeof text - 1, 2);
    struct sm_json_text key, value = {0};
    struct sm_json_number n;
    int64_t sum = 0;
    unsigned keys = 0;
    bool b = false;
    for (bool more = sm_json_object(&j, &key); more; more = sm_json_member(&j, &key), keys++) {
        if (sm_json_is(&key, "a")) {
            for (bool next = sm_json_array(&j); next; next = sm_json_element(&j)) {
                cr_assert(sm_json_number(&j, &n));
                sum = sum * 10 + n.i;
            }
        } else if (sm_json_is(&key, "s")) {
            cr_assert(sm_json_string(&j, &value));
        } else if (sm_json_is(&key, "b")) {
            cr_assert(sm_json_bool(&j, &b));
        } else {
            cr_assert(sm_json_skip(&j));
        }
    }
    cr_assert_eq(sm_json_end(&j, NULL), SM_OK);
    cr_assert_eq(keys, 5);
    cr_assert_eq(sum, 123);
    cr_assert(b);
    cr_assert(sm_json_is(&value, "x"));
    cr_assert_eq(j.depth, 0);
}

Test(json, first_error_sticks)
{
    struct sm_json j = sm_json_reader("[1,x]", 5, 4);
    struct sm_json_number n;
    cr_assert(sm_json_array(&j));
    cr_assert(sm_json_number(&j, &n));
    cr_assert(sm_json_element(&j));
    cr_assert_not(sm_json_number(&j, &n));
    cr_assert_not(sm_json_element(&j));
    cr_assert_not(sm_json_skip(&j));
    struct sm_err err;
    cr_assert_eq(sm_json_end(&j, &err), SM_E_INVALID);
    cr_assert_str_eq(err.text, "expected a number at byte 3");
}

Test(json, unescaping)
{
    static const char text[] = "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\uD83D\\ude00\\u0000z\"";
    static const char expected[] = "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0z";
    struct sm_json j = sm_json_reader(text, sizeof text - 1, 1);
    struct sm_json_text s;
    uint8_t out[sizeof text];
    cr_assert(sm_json_string(&j, &s));
    cr_assert(s.escaped);
    cr_assert_eq(sm_json_unescape(&s, out), sizeof expected - 1);
    cr_assert_arr_eq(out, expected, sizeof expected - 1);
}

/* JavaScript writes half a pair so, where it cut a text in the middle of one. */
Test(json, halves_of_surrogate_pairs_are_replaced)
{
    static const char text[] = "\"a\\ud83d|\\ude00|\\ude00\\ud83d|\\ud83d\\u0041|\\ud83d\\ud83d\\ude00|\\uD83D\"";
    static const char expected[] = "a\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd" "A|\xef\xbf\xbd\xf0\x9f\x98\x80|\xef\xbf\xbd";
    struct sm_json j = sm_json_reader(text, sizeof text - 1, 1);
    struct sm_json_text s;
    uint8_t out[sizeof text];
    cr_assert(sm_json_string(&j, &s));
    cr_assert_eq(sm_json_end(&j, NULL), SM_OK);
    cr_assert_eq(sm_json_unescape(&s, out), sizeof expected - 1);
    cr_assert_arr_eq(out, expected, sizeof expected - 1);
}

Test(json, strings_of_every_length_and_ending)
{
    char text[120];
    for (size_t n = 0; n < 100; n++) {
        for (unsigned escaped = 0; escaped < 2; escaped++) {
            memset(text, 'x', sizeof text);
            text[0] = '"';
            if (escaped && n >= 2)
                memcpy(text + n - 1, "\\n", 2);
            text[n + 1] = '"';
            struct sm_json j = sm_json_reader(text, n + 2, 1);
            struct sm_json_text s;
            cr_assert(sm_json_string(&j, &s));
            cr_assert_eq(s.len, n);
            cr_assert_eq(s.escaped, escaped && n >= 2);
            cr_assert_eq(sm_json_end(&j, NULL), SM_OK);
            j = sm_json_reader(text, n + 20, 1); /* the same with bytes behind it: the vector path */
            cr_assert(sm_json_string(&j, &s));
            cr_assert_eq(s.len, n);
            cr_assert_eq(s.escaped, escaped && n >= 2);
        }
    }
}

static struct sm_json_number parsed(const char *text)
{
    struct sm_json_number n, again;
    cr_assert(sm_json_number_parse(sm_str_c(text), &n), "%s", text);
    struct sm_json j = sm_json_reader(text, strlen(text), 1);
    cr_assert(sm_json_number(&j, &again), "%s", text);
    cr_assert_eq(n.type, again.type, "%s", text);
    cr_assert_eq(n.u, again.u, "%s", text);
    return n;
}

Test(json, integers_are_exact_to_64_bits)
{
    static const char *const signed_texts[] = {"0", "7", "-1", "123456789012345678", "999999999999999999",
                                               "1234567890123456789", "9223372036854775807", "-9223372036854775808"};
    for (size_t i = 0; i < SM_ARRAY_LEN(signed_texts); i++) {
        struct sm_json_number n = parsed(signed_texts[i]);
        cr_assert_eq(n.type, SM_JSON_INT, "%s", signed_texts[i]);
        cr_assert_eq(n.i, strtoll(signed_texts[i], NULL, 10), "%s", signed_texts[i]);
    }
    static const char *const unsigned_texts[] = {"9223372036854775808", "9999999999999999999", "10000000000000000000",
                                                 "18446744073709551615"};
    for (size_t i = 0; i < SM_ARRAY_LEN(unsigned_texts); i++) {
        struct sm_json_number n = parsed(unsigned_texts[i]);
        cr_assert_eq(n.type, SM_JSON_UINT, "%s", unsigned_texts[i]);
        cr_assert_eq(n.u, strtoull(unsigned_texts[i], NULL, 10), "%s", unsigned_texts[i]);
    }
}

Test(json, other_numbers_are_doubles_as_the_library_reads_them)
{
    static const char *const texts[] = {
        "-0", "0.5", "1e3", "1E-3", "5.0", "1.7976931348623157e308", "5e-324", "1e-400", "18446744073709551616",
        "-9223372036854775809", "123456789012345678901234567890", "0.1234567890123456789012345678901234567890",
        "9007199254740993.0", "1025396.9999999999", "1e22", "1e23", "-1.5e-300", "0e5", "0.000",
        "100000000000000000000000", "2.2250738585072011e-308",
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++) {
        struct sm_json_number n = parsed(texts[i]);
        double expected = strtod(texts[i], NULL);
        cr_assert_eq(n.type, SM_JSON_DOUBLE, "%s", texts[i]);
        cr_assert_eq(memcmp(&n.d, &expected, sizeof expected), 0, "%s", texts[i]);
    }
    uint64_t bits = 88172645463325252ull;
    for (unsigned i = 0; i < 20000; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        double v;
        char text[64];
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        snprintf(text, sizeof text, "%.*e", 1 + (int)(bits % 25), v);
        double expected = strtod(text, NULL);
        struct sm_json_number n;
        cr_assert_eq(sm_json_number_parse(sm_str_c(text), &n), isfinite(expected));
        if (isfinite(expected))
            cr_assert_eq(sm_json_number_double(&n), expected, "%s", text);
    }
}

Test(json, numbers_out_of_range_or_grammar)
{
    static const char *const bad[] = {"", "1e999", "-1e999", "01", "1x", " 1", "1 ", "--1", "0x10", "1.5.5", "Infinity", "1e1.5"};
    struct sm_json_number n;
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++)
        cr_assert_not(sm_json_number_parse(sm_str_c(bad[i]), &n), "%s", bad[i]);
    char digits[SM_JSON_NUMBER_SIZE_MAX + 2];
    memset(digits, '1', sizeof digits);
    cr_assert_not(sm_json_number_parse(sm_str(digits, sizeof digits), &n));
}

Test(json, exact_conversions)
{
    static const struct {
        const char *text;
        bool fits_int, fits_uint;
    } cases[] = {
        {"5", true, true}, {"-5", true, false}, {"5.0", true, true}, {"1e3", true, true}, {"1.5", false, false},
        {"9223372036854775808", false, true}, {"-9223372036854775808", true, false}, {"1e19", false, true},
        {"1e20", false, false}, {"-1e19", false, false}, {"-0", true, true},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_json_number n = parsed(cases[i].text);
        int64_t s;
        uint64_t u;
        cr_assert_eq(sm_json_number_int64(&n, &s), cases[i].fits_int, "%s", cases[i].text);
        cr_assert_eq(sm_json_number_uint64(&n, &u), cases[i].fits_uint, "%s", cases[i].text);
        if (cases[i].fits_int)
            cr_assert_eq((double)s, strtod(cases[i].text, NULL));
    }
}

Test(json, raw_text_of_a_value)
{
    struct sm_json j = sm_json_reader("[ {\"a\": [1]} ,2]", 16, 4);
    struct sm_str text;
    cr_assert(sm_json_array(&j));
    cr_assert(sm_json_raw(&j, &text));
    cr_assert(sm_str_eq(text, SM_STR("{\"a\": [1]}")));
    cr_assert(sm_json_element(&j));
}

/* What the writer writes, the reader reads. */
Test(json, strings_round_trip_through_the_writer)
{
    uint64_t r = 88172645463325252ull;
    struct sm_buf out = {0};
    uint8_t text[200], back[1400];
    for (unsigned round = 0; round < 5000; round++) {
        size_t n = 0;
        while (n < 60) {
            r ^= r << 13, r ^= r >> 7, r ^= r << 17;
            uint32_t kind = r % 8;
            if (kind < 5)
                text[n++] = (uint8_t)(r >> 16) & 0x7f;
            else if (kind == 5)
                memcpy(text + n, "\xc3\xbc", 2), n += 2;
            else if (kind == 6)
                memcpy(text + n, "\xe2\x80\xa8", 3), n += 3;
            else
                memcpy(text + n, "\xf0\x9f\x98\x80", 4), n += 4;
        }
        sm_buf_clear(&out);
        sm_json_put_string(&out, sm_str(text, n));
        struct sm_json j = sm_json_reader(out.data, out.size, 1);
        struct sm_json_text s;
        cr_assert(sm_json_string(&j, &s));
        cr_assert_eq(sm_json_end(&j, NULL), SM_OK);
        cr_assert_eq(sm_json_unescape(&s, back), n);
        cr_assert_arr_eq(back, text, n);
    }
    sm_buf_fini(&out);
}

Test(json, doubles_in_quotes_may_be_no_numbers)
{
    double d;
    cr_expect(sm_json_double_parse(SM_STR("-1.5e3"), &d) && d == -1500);
    cr_expect(sm_json_double_parse(SM_STR("18446744073709551615"), &d) && d == 0x1p64);
    cr_expect(sm_json_double_parse(SM_STR("NaN"), &d) && isnan(d));
    cr_expect(sm_json_double_parse(SM_STR("Infinity"), &d) && d == INFINITY);
    cr_expect(sm_json_double_parse(SM_STR("-Infinity"), &d) && d == -INFINITY);
    static const char *const none[] = {"", "nan", "Inf", "+Infinity", "1.5 ", "0x1"};
    for (size_t i = 0; i < SM_ARRAY_LEN(none); i++)
        cr_expect_not(sm_json_double_parse(sm_str_c(none[i]), &d), "%s", none[i]);
}
