/* Seeded hashing. Clients choose ids, keys and names, so every table is seeded: the process draws one random seed at start
 * (sm_hash_seed_random), tests and replay set a fixed one. Placement that must agree between processes and runs (routing,
 * sampling randomness) uses sm_hash_fixed64 instead, which takes an explicit seed. */
#ifndef SM_HASH_H
#define SM_HASH_H

#include "base/base.h"

extern uint64_t sm_hash_seed; /* set before the first table is made */

/* At the start of a daemon, before any other thread. */
void sm_hash_seed_random(void);

/* Any bytes (XXH3, 64 bits, process seed). */
uint64_t sm_hash_bytes(const void *bytes, size_t n);

/* One 64-bit value with an explicit seed: a full-avalanche mixer. */
SM_INLINE uint64_t sm_hash_fixed64(uint64_t v, uint64_t seed)
{
    v += seed;
    v ^= v >> 32;
    v *= UINT64_C(0xd6e8feb86659fd93);
    v ^= v >> 32;
    v *= UINT64_C(0xd6e8feb86659fd93);
    v ^= v >> 32;
    return v;
}

SM_INLINE uint64_t sm_hash_u64(uint64_t v)
{
    return sm_hash_fixed64(v, sm_hash_seed);
}

/* Two hashes as one; their order matters. */
SM_INLINE uint64_t sm_hash_combine(uint64_t a, uint64_t b)
{
    return sm_hash_fixed64(a ^ (b * UINT64_C(0x9e3779b97f4a7c15)), sm_hash_seed);
}

#endif
