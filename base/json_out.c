/* JSON writer. */
#include "base/json_out.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

size_t sm_json_format_uint(uint64_t v, char *out)
{
    char digits[SM_JSON_INT_SIZE_MAX];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

void sm_json_put_uint(struct sm_buf *out, uint64_t v)
{
    char text[SM_JSON_INT_SIZE_MAX];
    sm_buf_put(out, text, sm_json_format_uint(v, text));
}

void sm_json_put_int(struct sm_buf *out, int64_t v)
{
    if (v < 0)
        sm_buf_putc(out, '-');
    sm_json_put_uint(out, v < 0 ? UINT64_C(0) - (uint64_t)v : (uint64_t)v);
}

/* %g with 15 digits drops trailing zeros, so that the first precision that reads back is the shortest. Denormals carry
 * fewer digits than that and are searched from one digit up. */
size_t sm_json_format_double(double v, char *out)
{
    if (isnan(v))
        return (size_t)snprintf(out, SM_JSON_DOUBLE_SIZE_MAX, "NaN");
    if (isinf(v))
        return (size_t)snprintf(out, SM_JSON_DOUBLE_SIZE_MAX, v < 0 ? "-Infinity" : "Infinity");
    int n = 0;
    for (int precision = isnormal(v) || v == 0 ? 15 : 1; precision <= 17; precision++) {
        n = snprintf(out, SM_JSON_DOUBLE_SIZE_MAX, "%.*g", precision, v);
        if (strtod(out, NULL) == v)
            break;
    }
    return (size_t)n;
}

void sm_json_put_double(struct sm_buf *out, double v)
{
    char text[SM_JSON_DOUBLE_SIZE_MAX];
    size_t n = sm_json_format_double(v, text);
    if (isfinite(v)) {
        sm_buf_put(out, text, n);
        return;
    }
    sm_buf_putc(out, '"');
    sm_buf_put(out, text, n);
    sm_buf_putc(out, '"');
}

static const char hex_digits[] = "0123456789abcdef";

static void put_escape(struct sm_buf *out, uint8_t c)
{
    switch (c) {
    case '"':
        sm_buf_put(out, "\\\"", 2);
        return;
    case '\\':
        sm_buf_put(out, "\\\\", 2);
        return;
    case '\b':
        sm_buf_put(out, "\\b", 2);
        return;
    case '\f':
        sm_buf_put(out, "\\f", 2);
        return;
    case '\n':
        sm_buf_put(out, "\\n", 2);
        return;
    case '\r':
        sm_buf_put(out, "\\r", 2);
        return;
    case '\t':
        sm_buf_put(out, "\\t", 2);
        return;
    default: {
        char escape[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};
        sm_buf_put(out, escape, sizeof escape);
    }
    }
}

/* One character outside ASCII; returns the bytes consumed. */
static size_t put_multibyte(struct sm_buf *out, const uint8_t *p, const uint8_t *end)
{
    size_t n = sm_utf8_char(p, end);
    if (n == 0) {
        sm_buf_put(out, "\xef\xbf\xbd", 3);
        return 1;
    }
    if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8)
        sm_buf_put(out, p[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
    else
        sm_buf_put(out, p, n);
    return n;
}

void sm_json_put_escaped(struct sm_buf *out, struct sm_str text)
{
    if (text.len == 0)
        return;
    const uint8_t *p = (const uint8_t *)text.ptr, *end = p + text.len;
    while (p < end) {
        const uint8_t *special = sm_utf8_plain(p, end);
        sm_buf_put(out, p, (size_t)(special - p));
        p = special;
        if (p == end)
            return;
        if (*p < 0x80)
            put_escape(out, *p++);
        else
            p += put_multibyte(out, p, end);
    }
}

void sm_json_put_string(struct sm_buf *out, struct sm_str text)
{
    sm_buf_putc(out, '"');
    sm_json_put_escaped(out, text);
    sm_buf_putc(out, '"');
}

char *sm_json_format_base64(struct sm_str bytes, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 3; p += 3, left -= 3) {
        *out++ = alphabet[p[0] >> 2];
        *out++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = alphabet[p[2] & 63];
    }
    if (left) {
        uint8_t second = left == 2 ? p[1] : 0;
        *out++ = alphabet[p[0] >> 2];
        *out++ = alphabet[(p[0] & 3) << 4 | second >> 4];
        *out++ = left == 2 ? alphabet[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    return out;
}

void sm_json_put_base64(struct sm_buf *out, struct sm_str bytes)
{
    size_t size = SM_JSON_BASE64_SIZE(bytes.len);
    if (size == 0 || !sm_buf_reserve(out, size))
        return;
    sm_json_format_base64(bytes, (char *)out->data + out->size);
    out->size += size;
}

static size_t string_size(struct sm_str json, size_t at)
{
    size_t end = at + 1;
    while (end < json.len && json.ptr[end] != '"')
        end += json.ptr[end] == '\\' ? 2 : 1;
    return SM_MIN(end + 1, json.len) - at;
}

static void put_line(struct sm_buf *out, unsigned indent)
{
    sm_buf_printf(out, "\n%*s", (int)indent, "");
}

void sm_json_put_indented(struct sm_buf *out, struct sm_str json, unsigned spaces)
{
    unsigned indent = 0;
    for (size_t i = 0, n; i < json.len && !out->overflow; i += n) {
        char c = json.ptr[i], next = i + 1 < json.len ? json.ptr[i + 1] : '\0';
        bool opens = c == '{' || c == '[', closes = c == '}' || c == ']', is_empty = opens && (next == '}' || next == ']');
        n = c == '"' ? string_size(json, i) : is_empty ? 2 : 1;
        if (closes)
            put_line(out, indent -= SM_MIN(indent, spaces));
        sm_buf_put(out, json.ptr + i, n);
        if (c == ':')
            sm_buf_putc(out, ' ');
        else if (c == ',')
            put_line(out, indent);
        else if (opens && !is_empty)
            put_line(out, indent += spaces);
    }
}
