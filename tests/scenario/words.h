/* Reading options and values out of words, shared by all verbs. */
#ifndef SM_SCENARIO_WORDS_H
#define SM_SCENARIO_WORDS_H

#include "script.h"

/* "250ms", "-3s", "1h30m", "0"; units ns, us, ms, s, m, h, d. */
bool words_duration(const char *text, int64_t *ns);
/* Decimal, with KiB or MiB behind it. */
bool words_number(const char *text, uint64_t *n);
/* Hex digits in pairs, white space and anything else is an error. Returns bytes written, SIZE_MAX when malformed. */
size_t words_hex(const char *text, uint8_t *out, size_t size_max);

#endif
