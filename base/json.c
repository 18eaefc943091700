/* JSON reader: the parts that are not worth inlining. */
#include "base/json.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

bool sm_json_fail(struct sm_json *j, const char *text)
{
    if (!j->error) {
        j->error = text;
        j->error_at = j->p;
    }
    j->p = j->end;
    return false;
}

static bool fail_at(struct sm_json *j, const uint8_t *at, const char *text)
{
    j->p = at;
    return sm_json_fail(j, text);
}

enum sm_rc sm_json_end(struct sm_json *j, struct sm_err *err)
{
    if (!j->error) {
        sm_json_space(j);
        if (j->p == j->end)
            return SM_OK;
        (void)sm_json_fail(j, "trailing bytes after the document");
    }
    enum sm_rc rc = j->error_at == j->end ? SM_E_TRUNCATED : SM_E_INVALID;
    return sm_err_set(err, rc, "%s at byte %zu", j->error, (size_t)(j->error_at - j->start));
}

/* Strings */

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p; -1 when they are not. */
static int32_t read_hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        int d = hex_value(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

enum { REPLACEMENT = 0xfffd };

/* Length of the escape at p (its backslash), 0 when it is malformed; *code is what it stands for. Half a surrogate pair stands for
 * U+FFFD, as in most readers: JavaScript writes it where a text was cut in the middle of a character. */
static size_t read_escape(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    static const uint8_t simple[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        *code = p[1] < sizeof simple ? simple[p[1]] : 0;
        return *code ? 2 : 0;
    }
    int32_t high = read_hex4(p + 2, end);
    if (high < 0)
        return 0;
    bool is_half = high >= 0xd800 && high <= 0xdfff;
    *code = is_half ? REPLACEMENT : (uint32_t)high;
    if (!is_half || high > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return 6;
    int32_t low = read_hex4(p + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 6;
    *code = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return 12;
}

bool sm_json_text_slow(struct sm_json *j, const uint8_t *p, struct sm_json_text *text)
{
    const uint8_t *begin = p, *end = j->end;
    bool escaped = false;
    for (;;) {
        p = sm_utf8_plain(p, end);
        if (p == end)
            return fail_at(j, end, "unterminated string");
        size_t n;
        if (*p == '"')
            break;
        if (*p == '\\') {
            uint32_t code;
            n = read_escape(p, end, &code);
            if (n == 0)
                return fail_at(j, p, "invalid escape");
            escaped = true;
        } else if (*p < 0x20) {
            return fail_at(j, p, "control character in a string");
        } else {
            n = sm_utf8_char(p, end);
            if (n == 0)
                return fail_at(j, p, "invalid UTF-8");
        }
        p += n;
    }
    *text = (struct sm_json_text){begin, (size_t)(p - begin), escaped};
    j->p = p + 1;
    return true;
}

static uint8_t *put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (uint8_t)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (uint8_t)(0xe0 | c >> 12);
        } else {
            *out++ = (uint8_t)(0xf0 | c >> 18);
            *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (uint8_t)(0x80 | (c & 0x3f));
    return out;
}

size_t sm_json_unescape(const struct sm_json_text *text, uint8_t *out)
{
    const uint8_t *p = text->ptr, *end = p + text->len;
    uint8_t *begin = out;
    while (p < end) {
        const uint8_t *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((backslash ? backslash : end) - p);
        memcpy(out, p, plain);
        out += plain;
        p += plain;
        if (!backslash)
            break;
        uint32_t code;
        size_t n = read_escape(p, end, &code);
        if (n == 0)
            break;
        out = put_utf8(out, code);
        p += n;
    }
    return (size_t)(out - begin);
}

void sm_json_plain(struct sm_json_text *text, uint8_t *buffer, size_t size)
{
    if (text->escaped && text->len <= size)
        *text = (struct sm_json_text){buffer, sm_json_unescape(text, buffer), false};
}

/* Literals */

static bool literal(struct sm_json *j, const char *text, size_t len)
{
    if ((size_t)(j->end - j->p) < len)
        return memcmp(j->p, text, (size_t)(j->end - j->p)) == 0 ? fail_at(j, j->end, "unexpected end")
                                                                : sm_json_fail(j, "invalid literal");
    if (memcmp(j->p, text, len) != 0)
        return sm_json_fail(j, "invalid literal");
    j->p += len;
    return true;
}

bool sm_json_bool(struct sm_json *j, bool *value)
{
    if (sm_json_peek(j) != SM_JSON_BOOL)
        return sm_json_fail(j, "expected true or false");
    *value = *j->p == 't';
    return *value ? literal(j, "true", 4) : literal(j, "false", 5);
}

/* Numbers */

struct decimal {
    uint64_t mantissa; /* first 19 significant digits */
    int64_t exponent;  /* of ten, for the mantissa */
    bool negative;
    bool whole;        /* neither fraction nor exponent */
    bool exact;        /* the mantissa holds all digits */
};

SM_INLINE bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') <= 9;
}

static const uint8_t *read_digits(const uint8_t *p, const uint8_t *end, struct decimal *d, unsigned *significant,
                                  bool fraction)
{
    for (; p < end && is_digit(*p); p++) {
        if (*significant < 19) {
            d->mantissa = d->mantissa * 10 + (*p - '0');
            *significant += d->mantissa != 0;
            d->exponent -= fraction;
        } else {
            d->exact &= *p == '0';
            d->exponent += !fraction;
        }
    }
    return p;
}

static const uint8_t *read_exponent(const uint8_t *p, const uint8_t *end, struct decimal *d)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !is_digit(*p))
        return NULL;
    int64_t exponent = 0;
    for (; p < end && is_digit(*p); p++)
        exponent = SM_MIN(exponent * 10 + (*p - '0'), INT64_C(1000000));
    d->exponent += negative ? -exponent : exponent;
    return p;
}

/* Reads a number by the grammar; the position behind it, or NULL. */
static const uint8_t *read_decimal(const uint8_t *p, const uint8_t *end, struct decimal *d)
{
    unsigned significant = 0;
    *d = (struct decimal){.whole = true, .exact = true};
    if (p < end && *p == '-') {
        d->negative = true;
        p++;
    }
    const uint8_t *digits = p;
    p = read_digits(p, end, d, &significant, false);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (p < end && *p == '.') {
        d->whole = false;
        digits = ++p;
        p = read_digits(p, end, d, &significant, true);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        d->whole = false;
        p = read_exponent(p + 1, end, d);
    }
    return p;
}

/* Exact when mantissa and power of ten both are doubles without error; else the C library does it. */
static bool decimal_double(const struct decimal *d, const uint8_t *text, size_t len, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->exact && d->mantissa <= UINT64_C(1) << 53 && d->exponent >= -22 && d->exponent <= 22) {
        double v = (double)d->mantissa;
        v = d->exponent < 0 ? v / powers[-d->exponent] : v * powers[d->exponent];
        *value = d->negative ? -v : v;
        return true;
    }
    char copy[SM_JSON_NUMBER_SIZE_MAX + 1];
    if (len > SM_JSON_NUMBER_SIZE_MAX)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *value = strtod(copy, NULL);
    return isfinite(*value);
}

static bool decimal_number(const struct decimal *d, const uint8_t *text, size_t len, struct sm_json_number *number)
{
    if (d->whole && d->exact && d->exponent == 0 && !(d->negative && d->mantissa == 0)) {
        if (d->mantissa <= INT64_MAX) {
            *number = (struct sm_json_number){.type = SM_JSON_INT, .i = (int64_t)d->mantissa};
            if (d->negative)
                number->i = -number->i;
            return true;
        }
        if (d->negative && d->mantissa == UINT64_C(1) << 63) {
            *number = (struct sm_json_number){.type = SM_JSON_INT, .i = INT64_MIN};
            return true;
        }
        if (!d->negative) {
            *number = (struct sm_json_number){.type = SM_JSON_UINT, .u = d->mantissa};
            return true;
        }
    }
    number->type = SM_JSON_DOUBLE;
    return decimal_double(d, text, len, &number->d);
}

/* Whole numbers of 20 digits that fit 64 bits (10^19 and above), which the mantissa does not hold. */
static bool twenty_digits(const uint8_t *text, size_t len, uint64_t *value)
{
    if (len != 20)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]) || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, text[i] - '0', &v))
            return false;
    }
    *value = v;
    return true;
}

static bool convert(const struct decimal *d, const uint8_t *text, size_t len, struct sm_json_number *number)
{
    uint64_t big;
    if (d->whole && !d->negative && twenty_digits(text, len, &big)) {
        *number = (struct sm_json_number){.type = SM_JSON_UINT, .u = big};
        return true;
    }
    return decimal_number(d, text, len, number);
}

/* Eight ASCII digits at once, most significant first; false when one of them is something else. */
SM_INLINE bool read_eight_digits(const uint8_t *p, uint32_t *value)
{
    uint64_t v = sm_load_le64(p) - UINT64_C(0x3030303030303030);
    if ((v | (v + UINT64_C(0x7676767676767676))) & UINT64_C(0x8080808080808080))
        return false;
    v = v * 10 + (v >> 8); /* pairs, in every other byte */
    v = ((v & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
         ((v >> 16) & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >> 32;
    *value = (uint32_t)v;
    return true;
}

const uint8_t *sm_json_small_int(const uint8_t *p, const uint8_t *end, int64_t *value)
{
    const uint8_t *digits = p;
    uint64_t v = 0;
    uint32_t eight;
    while (end - p >= 8 && p - digits <= 8 && read_eight_digits(p, &eight)) {
        v = v * 100000000 + eight;
        p += 8;
    }
    for (; p < end && is_digit(*p); p++) {
        if (p - digits == 19)
            return NULL;
        v = v * 10 + (*p - '0');
    }
    bool plain = p > digits && (p - digits == 1 || *digits != '0') && v <= INT64_MAX;
    bool ends = p == end || (*p != '.' && (*p | 0x20) != 'e');
    *value = (int64_t)v;
    return plain && ends ? p : NULL;
}

bool sm_json_number(struct sm_json *j, struct sm_json_number *number)
{
    if (sm_json_peek(j) != SM_JSON_NUMBER)
        return sm_json_fail(j, "expected a number");
    const uint8_t *p = sm_json_small_int(j->p, j->end, &number->i);
    if (SM_LIKELY(p)) {
        number->type = SM_JSON_INT;
        j->p = p;
        return true;
    }
    struct decimal d;
    p = read_decimal(j->p, j->end, &d);
    if (!p)
        return sm_json_fail(j, "invalid number");
    if (!convert(&d, j->p, (size_t)(p - j->p), number))
        return sm_json_fail(j, "number out of range");
    j->p = p;
    return true;
}

bool sm_json_number_parse(struct sm_str text, struct sm_json_number *number)
{
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    struct decimal d;
    number->type = SM_JSON_INT;
    if (sm_json_small_int(p, end, &number->i) == end)
        return true;
    return read_decimal(p, end, &d) == end && convert(&d, p, text.len, number);
}

bool sm_json_number_int64(const struct sm_json_number *number, int64_t *value)
{
    if (number->type == SM_JSON_INT) {
        *value = number->i;
        return true;
    }
    if (number->type == SM_JSON_UINT || number->d < -0x1p63 || number->d >= 0x1p63 || number->d != trunc(number->d))
        return false;
    *value = (int64_t)number->d;
    return true;
}

bool sm_json_number_uint64(const struct sm_json_number *number, uint64_t *value)
{
    switch (number->type) {
    case SM_JSON_INT:
        *value = (uint64_t)number->i;
        return number->i >= 0;
    case SM_JSON_UINT:
        *value = number->u;
        return true;
    default:
        if (number->d < 0 || number->d >= 0x1p64 || number->d != trunc(number->d))
            return false;
        *value = (uint64_t)number->d;
        return true;
    }
}

double sm_json_number_double(const struct sm_json_number *number)
{
    return number->type == SM_JSON_INT ? (double)number->i : number->type == SM_JSON_UINT ? (double)number->u : number->d;
}

bool sm_json_double_parse(struct sm_str text, double *value)
{
    static const struct {
        struct sm_str name;
        double value;
    } names[] = {{{"NaN", 3}, NAN}, {{"Infinity", 8}, INFINITY}, {{"-Infinity", 9}, -INFINITY}};
    struct sm_json_number n;
    for (size_t i = 0; i < SM_ARRAY_LEN(names); i++) {
        *value = names[i].value;
        if (sm_str_eq(text, names[i].name))
            return true;
    }
    if (!sm_json_number_parse(text, &n))
        return false;
    *value = sm_json_number_double(&n);
    return true;
}

/* Skipping */

static bool skip_scalar(struct sm_json *j, enum sm_json_type type)
{
    struct sm_json_text text;
    struct decimal d;
    const uint8_t *p;
    bool b;
    switch (type) {
    case SM_JSON_STRING:
        return sm_json_string(j, &text);
    case SM_JSON_NUMBER:
        p = read_decimal(j->p, j->end, &d);
        if (!p)
            return sm_json_fail(j, "invalid number");
        j->p = p;
        return true;
    case SM_JSON_BOOL:
        return sm_json_bool(j, &b);
    case SM_JSON_NULL:
        return literal(j, "null", 4);
    default:
        return sm_json_fail(j, "expected a value");
    }
}

/* Recursion is bounded by the reader's depth limit. */
bool sm_json_skip(struct sm_json *j)
{
    enum sm_json_type type = sm_json_peek(j);
    if (type == SM_JSON_OBJECT) {
        struct sm_json_text key;
        for (bool more = sm_json_object(j, &key); more; more = sm_json_member(j, &key))
            sm_json_skip(j);
    } else if (type == SM_JSON_ARRAY) {
        for (bool more = sm_json_array(j); more; more = sm_json_element(j))
            sm_json_skip(j);
    } else {
        return skip_scalar(j, type);
    }
    return !j->error;
}

bool sm_json_raw(struct sm_json *j, struct sm_str *text)
{
    sm_json_space(j);
    const uint8_t *begin = j->p;
    if (!sm_json_skip(j))
        return false;
    *text = sm_str(begin, (size_t)(j->p - begin));
    return true;
}
