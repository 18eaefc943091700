/* Times as text (RFC 3339). */
#ifndef SM_RFC3339_H
#define SM_RFC3339_H

#include "base/base.h"

/* RFC 3339 with up to nine digits of a second, years 1970 to 2261. A space where the sign of the zone should be reads as '+',
 * which is what a client makes of it that does not encode its queries. */
enum sm_rc sm_rfc3339_parse(struct sm_str text, int64_t *ns) SM_MUST_USE;

#endif
