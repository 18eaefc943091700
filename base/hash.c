/* Seeded hashing: XXH3 over bytes. */
#include "base/hash.h"

#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t sm_hash_seed = UINT64_C(0x5eed5eed5eed5eed);

void sm_hash_seed_random(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) == sizeof seed)
        sm_hash_seed = seed;
}

uint64_t sm_hash_bytes(const void *bytes, size_t n)
{
    return XXH3_64bits_withSeed(bytes, n, sm_hash_seed);
}
