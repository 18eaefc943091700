/* Ids in hexadecimal and the names of kinds and statuses. */
#include "span/span.h"

static const char hex_digits[] = "0123456789abcdef";

static void put_hex64(uint64_t v, char *out)
{
    for (int i = 15; i >= 0; i--) {
        out[i] = hex_digits[v & 15];
        v >>= 4;
    }
}

void sm_trace_id_hex(struct sm_trace_id id, char out[SM_TRACE_ID_HEX_SIZE])
{
    put_hex64(id.hi, out);
    put_hex64(id.lo, out + 16);
    out[32] = '\0';
}

void sm_span_id_hex(uint64_t id, char out[SM_SPAN_ID_HEX_SIZE])
{
    put_hex64(id, out);
    out[16] = '\0';
}

/* Digit values; 0xff marks bytes that are not hexadecimal. */
static const uint8_t digit_values[256] = {
    [0 ... '0' - 1] = 0xff,       ['0'] = 0,  ['1'] = 1,  ['2'] = 2,  ['3'] = 3,  ['4'] = 4,  ['5'] = 5,
    ['6'] = 6,  ['7'] = 7,        ['8'] = 8,  ['9'] = 9,  ['9' + 1 ... 'A' - 1] = 0xff,
    ['A'] = 10, ['B'] = 11,       ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15, ['F' + 1 ... 'a' - 1] = 0xff,
    ['a'] = 10, ['b'] = 11,       ['c'] = 12, ['d'] = 13, ['e'] = 14, ['f'] = 15, ['f' + 1 ... 255] = 0xff,
};

/* Eight digits at once; false when one of them is something else. Bit 7 of each byte says what it is: once all are below 0x80 no sum
 * carries into the next. */
SM_INLINE bool parse_hex32(const char *digits, uint32_t *value)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t text = sm_load_le64(digits), decimal = text ^ each * '0', letter = (text | each * 0x20) ^ each * 0x60;
    if (text & each * 0x80)
        return false;
    uint64_t is_decimal = ~(decimal + each * (0x80 - 10)), is_letter = (letter + each * 0x7f) & ~(letter + each * (0x80 - 7));
    if (((is_decimal | is_letter) & each * 0x80) != each * 0x80)
        return false;
    uint64_t v = (text & each * 0x0f) + (text >> 6 & each) * 9;
    v = (v << 4 | v >> 8) & UINT64_C(0x00ff00ff00ff00ff); /* pairs, then fours, then all, the first digits lowest */
    v = (v | v >> 8) & UINT64_C(0x0000ffff0000ffff);
    *value = __builtin_bswap32((uint32_t)(v | v >> 16));
    return true;
}

/* At most 16 digits. The OR of all digit values shows at the end whether one was bad. */
static bool parse_hex64(const char *digits, size_t n, uint64_t *value)
{
    uint32_t high, low;
    if (SM_LIKELY(n == 16)) {
        bool ok = parse_hex32(digits, &high) && parse_hex32(digits + 8, &low);
        *value = ok ? (uint64_t)high << 32 | low : 0;
        return ok;
    }
    uint64_t v = 0;
    uint8_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t d = digit_values[(uint8_t)digits[i]];
        seen |= d;
        v = v << 4 | (d & 15);
    }
    *value = v;
    return seen < 16;
}

enum sm_rc sm_trace_id_parse(struct sm_str text, struct sm_trace_id *id)
{
    if (text.len == 0 || text.len > 32)
        return SM_E_INVALID;
    size_t high_len = text.len > 16 ? text.len - 16 : 0;
    struct sm_trace_id parsed;
    if (!parse_hex64(text.ptr, high_len, &parsed.hi) ||
        !parse_hex64(text.ptr + high_len, text.len - high_len, &parsed.lo) || (parsed.hi | parsed.lo) == 0)
        return SM_E_INVALID;
    *id = parsed;
    return SM_OK;
}

enum sm_rc sm_span_id_parse(struct sm_str text, uint64_t *id)
{
    uint64_t v;
    if (text.len == 0 || text.len > 16 || !parse_hex64(text.ptr, text.len, &v) || v == 0)
        return SM_E_INVALID;
    *id = v;
    return SM_OK;
}

const char *sm_kind_name(enum sm_kind kind)
{
    static const char *const names[] = {"unspecified", "internal", "server", "client", "producer", "consumer"};
    return (size_t)kind < SM_ARRAY_LEN(names) ? names[kind] : "unknown";
}

const char *sm_status_name(enum sm_status status)
{
    static const char *const names[] = {"unset", "ok", "error"};
    return (size_t)status < SM_ARRAY_LEN(names) ? names[status] : "unknown";
}
