/* Hash tables with entries in order of insertion. */
#include "analysis/table.h"

#include <stdlib.h>

enum { SLOTS_MIN = 64 };

void sm_table_init(struct sm_table *t, uint32_t key_size, uint32_t entry_size, uint32_t count_max)
{
    SM_ASSERT(count_max <= SM_TABLE_COUNT_MAX && key_size <= entry_size);
    *t = (struct sm_table){
        .slots = sm_xcalloc(SLOTS_MIN, sizeof *t->slots),
        .mask = SLOTS_MIN - 1,
        .count_max = count_max,
        .key_size = key_size,
        .entry_size = (entry_size + 7) & ~7u,
    };
}

void sm_table_fini(struct sm_table *t)
{
    for (uint32_t i = 0; i < t->chunk_count; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->slots);
    *t = (struct sm_table){0};
}

void sm_table_clear(struct sm_table *t)
{
    if (t->count)
        memset(t->slots, 0, (t->mask + (size_t)1) * sizeof *t->slots);
    t->count = 0;
}

size_t sm_table_bytes(const struct sm_table *t)
{
    return (t->mask + (size_t)1) * sizeof *t->slots + (size_t)t->chunk_count * SM_TABLE_CHUNK * t->entry_size;
}

static void place(uint64_t *slots, uint32_t mask, uint64_t slot)
{
    uint32_t i = (uint32_t)(slot >> 32) & mask;
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = slot;
}

static void grow_slots(struct sm_table *t)
{
    uint32_t mask = t->mask * 2 + 1;
    uint64_t *slots = sm_xcalloc(mask + (size_t)1, sizeof *slots);
    for (uint32_t i = 0; i <= t->mask; i++)
        if (t->slots[i])
            place(slots, mask, t->slots[i]);
    free(t->slots);
    t->slots = slots;
    t->mask = mask;
}

static void add_chunk(struct sm_table *t)
{
    size_t size = (size_t)SM_TABLE_CHUNK * t->entry_size;
    void *chunk = aligned_alloc(SM_CACHE_LINE, (size + SM_CACHE_LINE - 1) & ~(size_t)(SM_CACHE_LINE - 1));
    SM_ASSERT(chunk);
    t->chunks = sm_xrealloc(t->chunks, (t->chunk_count + 1) * sizeof *t->chunks);
    t->chunks[t->chunk_count++] = chunk;
}

void *sm_table_insert(struct sm_table *t, uint64_t hash, const void *key)
{
    if (t->count == t->count_max)
        return NULL;
    if (t->count >= t->mask / 2)
        grow_slots(t);
    if (t->count == t->chunk_count * SM_TABLE_CHUNK)
        add_chunk(t);
    uint8_t *entry = sm_table_at(t, t->count);
    memcpy(entry, key, t->key_size);
    memset(entry + t->key_size, 0, t->entry_size - t->key_size);
    t->count++;
    place(t->slots, t->mask, hash >> 32 << 32 | t->count);
    return entry;
}
