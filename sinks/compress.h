/* Compressing request bodies: gzip (libdeflate) and zstd, at their fastest levels, which is where a sink's CPU is best
 * spent. One compressor per sink thread; memory is kept from call to call. */
#ifndef SM_COMPRESS_H
#define SM_COMPRESS_H

#include "base/base.h"
#include "base/buf.h"

struct sm_compress;

/* "gzip" or "zstd"; SM_E_UNSUPPORTED for other names. */
enum sm_rc sm_compress_new(const char *name, struct sm_compress **compress) SM_MUST_USE;
void sm_compress_free(struct sm_compress *c);

/* Appends the compressed form; `out` must not have a limit. */
void sm_compress_append(struct sm_compress *c, struct sm_str bytes, struct sm_buf *out);

#endif
