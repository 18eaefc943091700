/* A hash table of fixed-size entries in order of insertion: what deltas and global states of analyzers are made of.
 *
 * Entries lie in chunks that never move, so that a pointer to one stays valid until the table is cleared, and are
 * numbered from 0 in order of insertion. There is no removal: a delta is cleared as a whole after it was drained (which
 * keeps its memory), and whoever must forget some entries builds a new table of the others. An entry starts with its
 * key; keys are compared as bytes, so padding must be zero. Entries are zero behind the key when they are new.
 *
 * Not thread-safe. Memory grows with the largest number of entries so far, up to the limit given at the start; chunks
 * and slots are then used again. */
#ifndef SM_TABLE_H
#define SM_TABLE_H

#include "base/base.h"

#define SM_TABLE_CHUNK 256 /* entries */
/* A slot holds 32 bits of hash, which also place it, so a table cannot have more slots than that. */
#define SM_TABLE_COUNT_MAX (UINT32_C(1) << 24)

struct sm_table {
    uint64_t *slots; /* upper half: upper half of the hash; lower half: 1 + entry number; 0: free */
    uint32_t mask;
    uint32_t count;
    uint32_t count_max;
    uint32_t key_size;
    uint32_t entry_size;
    uint32_t chunk_count;
    uint8_t **chunks;
};

/* entry_size is rounded up to 8 bytes; count_max at most SM_TABLE_COUNT_MAX. */
void sm_table_init(struct sm_table *t, uint32_t key_size, uint32_t entry_size, uint32_t count_max);
void sm_table_fini(struct sm_table *t);
/* Empties it, keeps the memory. */
void sm_table_clear(struct sm_table *t);

/* Bytes held. */
size_t sm_table_bytes(const struct sm_table *t);

/* The out-of-line part of sm_table_add: `key` is not there. */
void *sm_table_insert(struct sm_table *t, uint64_t hash, const void *key);

/* Entry number i, below count. */
SM_INLINE void *sm_table_at(const struct sm_table *t, uint32_t i)
{
    return t->chunks[i / SM_TABLE_CHUNK] + (size_t)(i % SM_TABLE_CHUNK) * t->entry_size;
}

/* Fetches the entry that a look-up of this hash will most likely find: its first two cache lines. */
SM_INLINE void sm_table_prefetch(const struct sm_table *t, uint64_t hash)
{
    uint64_t slot = t->slots[(uint32_t)(hash >> 32) & t->mask];
    if (!slot)
        return;
    const char *entry = sm_table_at(t, (uint32_t)slot - 1);
    __builtin_prefetch(entry, 1);
    __builtin_prefetch(entry + SM_CACHE_LINE, 1);
}

/* The entry with this key, NULL when there is none. key_size must be the table's, as a constant for the compiler's
 * sake. `number` (may be NULL) gets the entry's number. */
SM_INLINE void *sm_table_find(const struct sm_table *t, uint64_t hash, const void *key, size_t key_size,
                              uint32_t *number)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t i = tag & t->mask; t->slots[i]; i = (i + 1) & t->mask) {
        if ((uint32_t)(t->slots[i] >> 32) != tag)
            continue;
        uint32_t at = (uint32_t)t->slots[i] - 1;
        void *entry = sm_table_at(t, at);
        if (memcmp(entry, key, key_size) == 0) {
            if (number)
                *number = at;
            return entry;
        }
    }
    return NULL;
}

/* The entry with this key, a new one if there was none; NULL when the table is at its limit. */
SM_INLINE void *sm_table_add(struct sm_table *t, uint64_t hash, const void *key, size_t key_size)
{
    void *entry = sm_table_find(t, hash, key, key_size, NULL);
    return SM_LIKELY(entry != NULL) ? entry : sm_table_insert(t, hash, key);
}

#endif
