/* Assembly: copies the spans of a batch into their traces.
 *
 * The path of every span. Spans are taken in groups, so that the cache misses of look-ups and of places to write overlap; the
 * outcome does not depend on how they are grouped. Private to the shard, on its thread. */
#ifndef SM_ASSEMBLE_H
#define SM_ASSEMBLE_H

#include "base/base.h"
#include "span/batch.h"

struct sm_shard;

/* The spans with the given indexes, or all when indexes is NULL. Opens windows, and seals those that reach a limit of size, which
 * sets s->closed_over. */
void sm_assemble_batch(struct sm_shard *s, const struct sm_batch *b, const uint32_t *indexes, uint32_t count);

#endif
