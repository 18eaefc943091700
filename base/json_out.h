/* Writing JSON into a growable buffer: strings, numbers, base64. Punctuation is the caller's: documents here are written by
 * straight code that knows their shape, so that there is no writer state to keep or to check.
 *
 * Nothing fails: the buffer grows or, past its limit, remembers that it overflowed (base/buf.h). Any thread. */
#ifndef SM_JSON_OUT_H
#define SM_JSON_OUT_H

#include "base/base.h"
#include "base/buf.h"

/* Longest texts that the number writers produce, without a terminator. */
#define SM_JSON_INT_SIZE_MAX    20
#define SM_JSON_DOUBLE_SIZE_MAX 26

/* In quotes, escaped as RFC 8259 demands and no further (plus U+2028 and U+2029, which old JavaScript readers choke on).
 * Bytes that are not UTF-8 become U+FFFD, one per byte. */
void sm_json_put_string(struct sm_buf *out, struct sm_str text);
/* The same without the quotes, for strings written in parts. */
void sm_json_put_escaped(struct sm_buf *out, struct sm_str text);

void sm_json_put_int(struct sm_buf *out, int64_t v);
void sm_json_put_uint(struct sm_buf *out, uint64_t v);

/* The shortest digits that read back as the same double; whole numbers without a fraction ("1", "-0", "1e+21"). JSON has no
 * form for the others, which are written as the strings "NaN", "Infinity" and "-Infinity", as protobuf's JSON does. */
void sm_json_put_double(struct sm_buf *out, double v);

/* The same texts without a buffer and without quotes; returns the length. `out` holds SM_JSON_DOUBLE_SIZE_MAX bytes. */
size_t sm_json_format_uint(uint64_t v, char *out);
size_t sm_json_format_double(double v, char *out);

/* A document without white space between its tokens, as everything here writes it, again for people: one member or element a
 * line, indented by `spaces` a level, a space behind colons. */
void sm_json_put_indented(struct sm_buf *out, struct sm_str json, unsigned spaces);

/* RFC 4648 standard alphabet with padding, no quotes. */
void sm_json_put_base64(struct sm_buf *out, struct sm_str bytes);
#define SM_JSON_BASE64_SIZE(n) (((n) + 2) / 3 * 4)
/* The same without a buffer: SM_JSON_BASE64_SIZE(bytes.len) bytes. Returns the position behind them. */
char *sm_json_format_base64(struct sm_str bytes, char *out);

#endif
