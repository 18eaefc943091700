/* A payload is one contiguous buffer that holds what a client sent in one request, message or datagram.
 *
 * Buffers are pooled per worker and recycled last-in first-out, because touching fresh memory costs more than decoding the
 * spans in it. Only the owning worker takes buffers from its pool; any thread may give one back (sm_payload_put), which
 * returns it to its home pool without freeing memory across threads.
 *
 * Reference counted: sm_payload_new by the worker starts at 1; each shard that still has spans to copy holds one more. */
#ifndef SM_PAYLOAD_H
#define SM_PAYLOAD_H

#include "base/base.h"

#include <stdatomic.h>

struct sm_payload_pool;

struct sm_payload {
    uint8_t *data;      /* capacity bytes; readable 16 bytes past capacity (for vector loads), contents undefined there */
    size_t size;        /* bytes that are valid */
    size_t capacity;
    int64_t arrived_ns; /* wall clock, message time or recorded time: the pipeline's only notion of "now" for it */
    _Atomic uint32_t refs;
    struct sm_payload_pool *home;
    struct sm_payload *next;
};

#define SM_PAYLOAD_SLOP 16

/* bytes_idle_max bounds what the pool keeps for reuse; buffers beyond it are freed. */
struct sm_payload_pool *sm_payload_pool_new(size_t bytes_idle_max);
/* Every payload must have come home. */
void sm_payload_pool_free(struct sm_payload_pool *pool);

/* Owner thread. A buffer with at least `capacity` bytes, size 0, one reference. NULL only when the allocator fails. */
struct sm_payload *sm_payload_new(struct sm_payload_pool *pool, size_t capacity) SM_MUST_USE;

/* Owner thread, while it holds the only reference: makes room for `capacity` bytes, keeps the first `size`. Data may move.
 * SM_E_NOMEM leaves the payload as it was. */
enum sm_rc sm_payload_reserve(struct sm_payload *p, size_t capacity) SM_MUST_USE;

/* Any thread that holds a reference. */
void sm_payload_ref(struct sm_payload *p);
void sm_payload_put(struct sm_payload *p);

/* Owner thread: bytes in buffers that are out (not idle), for the memory budget. */
size_t sm_payload_pool_bytes_out(const struct sm_payload_pool *pool);

#endif
