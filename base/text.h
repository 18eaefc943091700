/* Is a short string inside a payload valid UTF-8? The fast answer for the common one: short and ASCII. */
#ifndef SM_TEXT_H
#define SM_TEXT_H

#include "base/base.h"
#include "base/utf8.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Reads up to 15 bytes past the end: only for bytes inside payloads (SM_PAYLOAD_SLOP). */
SM_INLINE bool sm_text_valid(const uint8_t *p, size_t n)
{
#if defined(__SSE2__)
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        if (SM_UNLIKELY(_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(p + i)))))
            return sm_utf8_valid(p, n);
    }
    unsigned high = (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(p + i)));
    return SM_LIKELY(!(high & ((1u << (n - i)) - 1))) || sm_utf8_valid(p, n);
#else
    return sm_utf8_valid(p, n);
#endif
}

#endif
