/* Is a string inside a payload ASCII, is it valid UTF-8? Fast for the common one: short and ASCII. */
#ifndef SM_TEXT_H
#define SM_TEXT_H

#include "base/base.h"
#include "base/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Both read up to 15 bytes past the end: only for bytes inside payloads (SM_PAYLOAD_SLOP). */

SM_INLINE bool sm_text_ascii(const uint8_t *p, size_t n)
{
#if defined(__SSE2__)
    __m128i any = _mm_setzero_si128();
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        any = _mm_or_si128(any, _mm_loadu_si128((const __m128i *)(p + i)));
    unsigned last = (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(p + i))) & ((1u << (n - i)) - 1);
    return !((unsigned)_mm_movemask_epi8(any) | last);
#else
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any < 0x80;
#endif
}

SM_INLINE bool sm_text_valid(const uint8_t *p, size_t n)
{
    return SM_LIKELY(sm_text_ascii(p, n)) || sm_utf8_valid(p, n);
}

#endif
