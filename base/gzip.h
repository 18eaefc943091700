/* Writing gzip (RFC 1952) piece by piece, one member, for replies that are made while they are sent: at no time is more than a
 * piece and its compressed form in memory. Fastest level: text of metrics shrinks to a twentieth anyway. */
#ifndef SM_GZIP_H
#define SM_GZIP_H

#include "base/base.h"
#include "base/buf.h"

struct sm_gzip;

/* NULL when memory is exhausted. */
struct sm_gzip *sm_gzip_new(void) SM_MUST_USE;
void sm_gzip_free(struct sm_gzip *z);

/* Appends what has become of `bytes` so far to `out`. */
void sm_gzip_put(struct sm_gzip *z, struct sm_str bytes, struct sm_buf *out);
/* Appends the rest; nothing may be put afterwards. */
void sm_gzip_end(struct sm_gzip *z, struct sm_buf *out);

#endif
