/* UTF-8 validation and string scanning. */
#include "base/utf8.h"

size_t sm_utf8_char(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    uint8_t a = p[0];
    if (a < 0x80)
        return 1;
    if (a < 0xc2)
        return 0;
    if (a < 0xe0)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (a < 0xf0) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        bool overlong = a == 0xe0 && p[1] < 0xa0;
        bool surrogate = a == 0xed && p[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (a > 0xf4 || left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
        return 0;
    bool overlong = a == 0xf0 && p[1] < 0x90;
    bool beyond = a == 0xf4 && p[1] > 0x8f;
    return overlong || beyond ? 0 : 4;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* High bit set in each byte that is special. Exact up to and including the lowest special byte: borrows of the subtractions
 * only travel upwards, and callers look at the lowest one alone. */
SM_INLINE uint64_t special_bytes(uint64_t w)
{
    uint64_t quote = w ^ ('"' * ONES), backslash = w ^ ('\\' * ONES);
    uint64_t below_space = w - 0x20 * ONES;
    return (((quote - ONES) | (backslash - ONES) | below_space) & ~w & HIGHS) | (w & HIGHS);
}

SM_INLINE bool is_special(uint8_t c)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

const uint8_t *sm_utf8_plain_portable(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t special = special_bytes(sm_load_le64(p));
        if (special)
            return p + (__builtin_ctzll(special) >> 3);
    }
    while (p < end && !is_special(*p))
        p++;
    return p;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static const uint8_t *plain_avx2(const uint8_t *p, const uint8_t *end)
{
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\'), space = _mm256_set1_epi8(0x20);
    for (; end - p >= 32; p += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)p);
        /* signed compare: bytes of 0x80 and above are negative, so below space as well */
        __m256i special = _mm256_or_si256(_mm256_cmpgt_epi8(space, v), _mm256_or_si256(_mm256_cmpeq_epi8(v, quote),
                                                                                    _mm256_cmpeq_epi8(v, backslash)));
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(special);
        if (mask)
            return p + __builtin_ctz(mask);
    }
    return sm_utf8_plain_portable(p, end);
}

const uint8_t *sm_utf8_plain(const uint8_t *p, const uint8_t *end)
{
    return __builtin_cpu_supports("avx2") ? plain_avx2(p, end) : sm_utf8_plain_portable(p, end);
}
#else
const uint8_t *sm_utf8_plain(const uint8_t *p, const uint8_t *end)
{
    return sm_utf8_plain_portable(p, end);
}
#endif

/* Skips ASCII a word at a time, then one character. */
bool sm_utf8_valid(const void *bytes, size_t size)
{
    const uint8_t *p = bytes, *end = p + size;
    while (p < end) {
        while (end - p >= 8 && !(sm_load_le64(p) & HIGHS))
            p += 8;
        while (p < end && *p < 0x80)
            p++;
        if (p == end)
            break;
        size_t n = sm_utf8_char(p, end);
        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

size_t sm_utf8_count_invalid(const void *bytes, size_t size)
{
    const uint8_t *p = (const uint8_t *)bytes, *end = p + size;
    size_t invalid = 0;
    while (p < end) {
        size_t n = sm_utf8_char(p, end);
        invalid += n == 0;
        p += n ? n : 1;
    }
    return invalid;
}

size_t sm_utf8_repair(uint8_t *out, const void *bytes, size_t size)
{
    const uint8_t *p = (const uint8_t *)bytes, *end = p + size;
    uint8_t *start = out;
    while (p < end) {
        size_t n = sm_utf8_char(p, end);
        memcpy(out, n ? p : (const uint8_t *)"\xef\xbf\xbd", n ? n : 3);
        out += n ? n : 3;
        p += n ? n : 1;
    }
    return (size_t)(out - start);
}

/* Upper-case letters at every `step` from first to last; lower case is `shift` above. In order. */
static const struct {
    uint16_t first, last;
    uint8_t step;
    int8_t shift;
} upper_case[] = {
    {0x00c0, 0x00d6, 1, 32}, {0x00d8, 0x00de, 1, 32}, {0x0100, 0x012e, 2, 1},  {0x0132, 0x0136, 2, 1},
    {0x0139, 0x0147, 2, 1},  {0x014a, 0x0176, 2, 1},  {0x0178, 0x0178, 1, -121}, {0x0179, 0x017d, 2, 1},
    {0x01cb, 0x01db, 2, 1},  {0x01de, 0x01ee, 2, 1},  {0x01f2, 0x01f4, 2, 1},  {0x01f8, 0x021e, 2, 1},
    {0x0222, 0x0232, 2, 1},  {0x0386, 0x0386, 1, 38}, {0x0388, 0x038a, 1, 37}, {0x038c, 0x038c, 1, 64},
    {0x038e, 0x038f, 1, 63}, {0x0391, 0x03a1, 1, 32}, {0x03a3, 0x03ab, 1, 32}, {0x03d8, 0x03ee, 2, 1},
    {0x0400, 0x040f, 1, 80}, {0x0410, 0x042f, 1, 32}, {0x0460, 0x0480, 2, 1},  {0x048a, 0x04be, 2, 1},
    {0x04c0, 0x04c0, 1, 15}, {0x04c1, 0x04cd, 2, 1},  {0x04d0, 0x052e, 2, 1},  {0x0531, 0x0556, 1, 48},
    {0x1e00, 0x1e94, 2, 1},  {0x1ea0, 0x1efe, 2, 1},  {0xff21, 0xff3a, 1, 32},
};

static uint32_t lower_character(uint32_t c)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(upper_case) && c >= upper_case[i].first; i++) {
        if (c <= upper_case[i].last)
            return (c - upper_case[i].first) % upper_case[i].step ? c : c + (uint32_t)(int32_t)upper_case[i].shift;
    }
    return c;
}

static void lower_multibyte(uint8_t *out, const uint8_t *p, size_t n)
{
    uint32_t c = n == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3f) : (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3f);
    c = lower_character(c);
    if (n == 3)
        out[0] = (uint8_t)(0xe0 | c >> 12);
    else
        out[0] = (uint8_t)(0xc0 | c >> 6);
    if (n == 3)
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[n - 1] = (uint8_t)(0x80 | (c & 0x3f));
}

void sm_utf8_lower(uint8_t *out, const void *text, size_t size)
{
    const uint8_t *p = text, *end = p + size;
    while (p < end) {
        while (end - p >= 8 && !(sm_load_le64(p) & HIGHS)) {
            uint64_t w = sm_load_le64(p);
            uint64_t upper = (w + (0x80 - 'A') * ONES) & ~(w + (0x80 - 'Z' - 1) * ONES) & HIGHS;
            sm_store_le64(out, w | upper >> 2);
            p += 8, out += 8;
        }
        while (p < end && *p < 0x80 && end - p < 8) {
            uint8_t c = *p++;
            *out++ = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
        }
        if (p == end)
            return;
        size_t n = sm_utf8_char(p, end);
        if (n == 2 || n == 3) {
            lower_multibyte(out, p, n);
        } else {
            n += n == 0;
            memmove(out, p, n);
            if (*out >= 'A' && *out <= 'Z')
                *out |= 0x20;
        }
        p += n, out += n;
    }
}
