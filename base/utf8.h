/* UTF-8: validation and the scan for bytes that a JSON string cannot hold as they are.
 *
 * Well-formed as Unicode defines it: no overlong forms, no surrogates, nothing past U+10FFFF. Vectorised with AVX2 where the
 * processor has it (chosen at run time), else one word at a time; both give the same answers. No alignment and no
 * readable bytes past `end` are needed. */
#ifndef SM_UTF8_H
#define SM_UTF8_H

#include "base/base.h"

/* Position of the first byte that is a quote, a backslash, a control character (below 0x20) or outside ASCII; else end. */
const uint8_t *sm_utf8_plain(const uint8_t *p, const uint8_t *end);

/* Length (1-4) of the well-formed character at p, 0 when there is none. p < end. */
size_t sm_utf8_char(const uint8_t *p, const uint8_t *end);

bool sm_utf8_valid(const void *bytes, size_t size);

/* How many bytes are part of no character. */
size_t sm_utf8_count_invalid(const void *bytes, size_t size);

/* Copies with U+FFFD in place of each byte that is part of no character: two bytes more for each, three times `size` at most.
 * Returns the length. */
size_t sm_utf8_repair(uint8_t *out, const void *bytes, size_t size);

/* Lower case, character by character, for the scripts that names are written in: Latin, Greek, Cyrillic, Armenian, full-width
 * forms (Unicode's simple mappings where upper and lower case have equally many bytes; the rest stays). `out` takes `size`
 * bytes and may be the text itself. Bytes that are not UTF-8 stay. */
void sm_utf8_lower(uint8_t *out, const void *text, size_t size);

/* The portable twin of sm_utf8_plain, for tests to compare with. */
const uint8_t *sm_utf8_plain_portable(const uint8_t *p, const uint8_t *end);

#endif
