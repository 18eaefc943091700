/* Base64 (RFC 4648) on its way in. Writing it: base/json_out.h. */
#ifndef SM_BASE64_H
#define SM_BASE64_H

#include "base/base.h"

/* Bytes that a text of n characters may mean. */
#define SM_BASE64_DECODED_MAX(n) ((n) / 4 * 3 + 3)

/* Standard or URL-safe alphabet, padded or not, into SM_BASE64_DECODED_MAX(text.len) bytes. Returns the position behind what was
 * decoded, NULL when it is malformed. */
uint8_t *sm_base64_decode(struct sm_str text, uint8_t *out);

#endif
