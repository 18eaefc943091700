/* Values of HTTP headers that are lists (RFC 9110, 5.6.1): "a;q=0.5, b". Views into the value; any thread. */
#ifndef SM_HEADER_H
#define SM_HEADER_H

#include "base/base.h"

/* Cuts the text up to the next `separator` off the front of *rest; without blanks around it. */
struct sm_str sm_header_cut(struct sm_str *rest, char separator);

/* The same word, whatever its case. */
bool sm_header_is(struct sm_str word, struct sm_str other);

/* True when an Accept-Encoding header (12.5.3) takes gzip. Without the header nobody asked for it. */
bool sm_header_accepts_gzip(struct sm_str accept_encoding);

#endif
