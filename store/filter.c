/* Split-block bloom filter. The construction is the one of the Parquet format specification, with our mixer for keys. */
#include "store/filter.h"
#include "base/hash.h"

/* Filters lie in files: the seed is part of the format. */
static const uint64_t format_seed = UINT64_C(0x7370616e6d696c6c);

static const uint32_t salts[8] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

enum { BITS_PER_KEY = 12 };

size_t sm_filter_size(uint64_t keys)
{
    uint64_t blocks = (keys * BITS_PER_KEY + SM_FILTER_BLOCK_SIZE * 8 - 1) / (SM_FILTER_BLOCK_SIZE * 8);
    return SM_MAX(blocks, 1u) * SM_FILTER_BLOCK_SIZE;
}

/* Offset of the key's block; the low half of the hash picks the bits in it. */
static size_t block_of(size_t size, uint64_t hash)
{
    uint64_t blocks = size / SM_FILTER_BLOCK_SIZE;
    return (size_t)((hash >> 32) * blocks >> 32) * SM_FILTER_BLOCK_SIZE;
}

static uint32_t bit_of(uint32_t hash, unsigned word)
{
    return UINT32_C(1) << (hash * salts[word] >> 27);
}

void sm_filter_add(uint8_t *filter, size_t size, uint64_t key)
{
    uint64_t hash = sm_hash_fixed64(key, format_seed);
    uint8_t *block = filter + block_of(size, hash);
    for (unsigned w = 0; w < 8; w++)
        sm_store_le32(block + w * 4, sm_load_le32(block + w * 4) | bit_of((uint32_t)hash, w));
}

bool sm_filter_maybe(const uint8_t *filter, size_t size, uint64_t key)
{
    if (size == 0 || size % SM_FILTER_BLOCK_SIZE)
        return true;
    uint64_t hash = sm_hash_fixed64(key, format_seed);
    const uint8_t *block = filter + block_of(size, hash);
    for (unsigned w = 0; w < 8; w++) {
        if (!(sm_load_le32(block + w * 4) & bit_of((uint32_t)hash, w)))
            return false;
    }
    return true;
}
