/* Posting lists: sets of record ordinals. In a file they are roaring bitmaps in the portable format of RoaringFormatSpec; the
 * CRoaring library does the set algebra. Its reader trusts the invariants inside a bitmap, so they are checked here first. */
#ifndef SM_STORE_POSTING_H
#define SM_STORE_POSTING_H

#include "base/base.h"
#include "base/buf.h"

#include <roaring/roaring.h>

/* Appends the bitmap of these ascending ordinals; returns its size. */
uint32_t sm_posting_write(const uint32_t *ordinals, uint32_t count, struct sm_buf *out);

/* NULL when the bytes are not a well-formed bitmap of values below `limit`. Free with roaring_bitmap_free. */
roaring_bitmap_t *sm_posting_read(const uint8_t *bytes, size_t size, uint32_t limit);

/* The check that reading begins with. */
bool sm_posting_valid(const uint8_t *bytes, size_t size);

#endif
