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
