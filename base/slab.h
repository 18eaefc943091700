/* Chunks from slabs: the memory of open and kept traces.
 *
 * One allocator per shard, used by its owner thread only: other threads hand whole traces back to the shard. Blocks of 2 MiB
 * come from the process allocator and are cut into pages of 32 KiB; a chunk is a run of 32-byte units in one page. The page
 * whose longest free run is the shortest that fits is used, and in it the run that fits best: over chunks that live for a
 * window that leaves about 4 % unused, rounding included (docs/decisions/0003-runs-of-units-not-size-classes.md). Empty blocks
 * beyond a reserve go back to the process allocator. Chunks beyond SM_SLAB_CHUNK_MAX are taken from there one by one. */
#ifndef SM_SLAB_H
#define SM_SLAB_H

#include "base/base.h"

#define SM_SLAB_CHUNK_MAX (UINT32_C(21) << 10)

struct sm_slab;

struct sm_slab *sm_slab_new(void);
void sm_slab_free(struct sm_slab *slab); /* every chunk must be home */

/* At least `size` bytes, more than 0, 32-byte aligned; *usable is what they were rounded up to. NULL when the process allocator
 * fails. */
void *sm_slab_alloc(struct sm_slab *slab, size_t size, uint32_t *usable) SM_MUST_USE;
/* Owner thread. `size` is any size between the asked one and the usable one. */
void sm_slab_release(struct sm_slab *slab, void *chunk, size_t size);

/* Bytes in chunks that are out, bytes of blocks taken from the process allocator. */
size_t sm_slab_bytes_used(const struct sm_slab *slab);
size_t sm_slab_bytes_held(const struct sm_slab *slab);

/* Gives empty blocks beyond `reserve_bytes` back. The owner calls it now and then. */
void sm_slab_trim(struct sm_slab *slab, size_t reserve_bytes);

#endif
