/* Split-block bloom filter over 64-bit keys: 32-byte blocks of eight 32-bit words, one bit per word and key, so that a look-up
 * touches one cache line. About 12 bits a key give a false positive in some 400. */
#ifndef SM_STORE_FILTER_H
#define SM_STORE_FILTER_H

#include "base/base.h"

#define SM_FILTER_BLOCK_SIZE 32

/* Size in bytes for `keys` keys: a multiple of the block size, at least one block. */
size_t sm_filter_size(uint64_t keys);

/* `filter` starts as zeros. */
void sm_filter_add(uint8_t *filter, size_t size, uint64_t key);
/* False: certainly not added. A size that is no multiple of the block size answers true. */
bool sm_filter_maybe(const uint8_t *filter, size_t size, uint64_t key);

#endif
