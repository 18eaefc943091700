/* The shared name table (append-only, mutex on insert) and the per-worker caches in front of it. */
#include "span/names.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BLOCK_NAMES = 4096, BLOCKS_MAX = 1024, ARENA_BYTES = 64 << 10 };

struct arena {
    struct arena *next;
    char bytes[];
};

struct slot {
    uint32_t hash;
    uint32_t id; /* SM_NAME_OVERFLOW: free */
};

/* Open addressing over ids; the texts stay in the blocks. */
struct index {
    struct slot *slots;
    uint32_t mask;
    uint32_t used;
};

struct sm_names {
    struct sm_str *blocks[BLOCKS_MAX];
    pthread_mutex_t mutex; /* guards everything below, and writing to blocks */
    struct index index;    /* once closed nobody writes to it: caches read it without the mutex */
    struct index later;    /* names of sm_names_intern after that */
    struct arena *arenas;
    char *arena_at;
    size_t arena_left;
    size_t bytes;
    size_t bytes_max;
    size_t bytes_reserved;
    uint32_t count_max;
    uint32_t count_reserved;
    atomic_bool closed; /* a name of a cache found no room */
    _Atomic uint32_t count;
    _Atomic uint64_t overflowed;
};

struct sm_names_cache {
    struct sm_names *names;
    struct index index;
};

static void index_init(struct index *index, uint32_t capacity)
{
    index->slots = sm_xcalloc(capacity, sizeof *index->slots);
    index->mask = capacity - 1;
    index->used = 0;
}

struct sm_str sm_names_get(const struct sm_names *names, uint32_t id)
{
    return names->blocks[id / BLOCK_NAMES][id % BLOCK_NAMES];
}

static uint32_t hash_of(struct sm_str text)
{
    return (uint32_t)sm_hash_bytes(text.ptr, text.len);
}

/* The slot that holds the text, or the free one where it would go. */
static struct slot *index_find(const struct index *index, const struct sm_names *names, struct sm_str text, uint32_t hash)
{
    for (uint32_t i = hash & index->mask;; i = (i + 1) & index->mask) {
        struct slot *slot = &index->slots[i];
        if (slot->id == SM_NAME_OVERFLOW)
            return slot;
        if (slot->hash == hash && sm_str_eq(sm_names_get(names, slot->id), text))
            return slot;
    }
}

static void index_grow(struct index *index)
{
    struct index bigger;
    index_init(&bigger, (index->mask + 1) * 2);
    for (uint32_t i = 0; i <= index->mask; i++) {
        struct slot slot = index->slots[i];
        if (slot.id == SM_NAME_OVERFLOW)
            continue;
        uint32_t to = slot.hash & bigger.mask;
        while (bigger.slots[to].id != SM_NAME_OVERFLOW)
            to = (to + 1) & bigger.mask;
        bigger.slots[to] = slot;
    }
    bigger.used = index->used;
    free(index->slots);
    *index = bigger;
}

static void index_set(struct index *index, struct slot *slot, uint32_t hash, uint32_t id)
{
    *slot = (struct slot){hash, id};
    if (++index->used * 2 > index->mask)
        index_grow(index);
}

static const char *store_text(struct sm_names *names, struct sm_str text)
{
    if (text.len > names->arena_left) {
        size_t size = SM_MAX((size_t)ARENA_BYTES, text.len);
        struct arena *arena = sm_xmalloc(sizeof *arena + size);
        arena->next = names->arenas;
        names->arenas = arena;
        names->arena_at = arena->bytes;
        names->arena_left = size;
    }
    char *at = names->arena_at;
    memcpy(at, text.ptr, text.len);
    names->arena_at += text.len;
    names->arena_left -= text.len;
    return at;
}

static void append(struct sm_names *names, uint32_t id, struct sm_str text)
{
    if (id % BLOCK_NAMES == 0)
        names->blocks[id / BLOCK_NAMES] = sm_xcalloc(BLOCK_NAMES, sizeof(struct sm_str));
    names->blocks[id / BLOCK_NAMES][id % BLOCK_NAMES] = text;
    names->bytes += text.len;
    atomic_store_explicit(&names->count, id + 1, memory_order_release);
}

struct sm_names *sm_names_new(uint32_t count_max, size_t bytes_max)
{
    struct sm_names *names = sm_xcalloc(1, sizeof *names);
    SM_ASSERT(count_max <= (uint32_t)BLOCK_NAMES * BLOCKS_MAX);
    names->count_max = SM_MAX(count_max, 2u);
    names->bytes_max = bytes_max;
    pthread_mutex_init(&names->mutex, NULL);
    index_init(&names->index, 1024);
    index_init(&names->later, 16);
    append(names, SM_NAME_OVERFLOW, SM_STR("(overflow)"));
    append(names, SM_NAME_EMPTY, SM_STR(""));
    names->bytes = 0;
    return names;
}

void sm_names_free(struct sm_names *names)
{
    if (!names)
        return;
    for (struct arena *a = names->arenas; a;) {
        struct arena *next = a->next;
        free(a);
        a = next;
    }
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        free(names->blocks[i]);
    free(names->index.slots);
    free(names->later.slots);
    pthread_mutex_destroy(&names->mutex);
    free(names);
}

uint32_t sm_names_count(const struct sm_names *names)
{
    return atomic_load_explicit(&names->count, memory_order_acquire);
}

uint64_t sm_names_overflowed(const struct sm_names *names)
{
    return atomic_load_explicit(&names->overflowed, memory_order_relaxed);
}

void sm_names_reserve(struct sm_names *names, uint32_t count, size_t bytes)
{
    names->count_reserved = count;
    names->bytes_reserved = bytes;
}

static uint32_t overflow(struct sm_names *names)
{
    atomic_fetch_add_explicit(&names->overflowed, 1, memory_order_relaxed);
    return SM_NAME_OVERFLOW;
}

static bool has_room(const struct sm_names *names, size_t text_len, uint32_t count_reserved, size_t bytes_reserved)
{
    return (uint64_t)atomic_load_explicit(&names->count, memory_order_relaxed) + count_reserved < names->count_max &&
           names->bytes + text_len + bytes_reserved <= names->bytes_max;
}

/* With the mutex. The slot of the text, or the free one where it would go, and its index. */
static struct slot *find_in_both(struct sm_names *names, struct sm_str text, uint32_t hash, struct index **index)
{
    *index = &names->index;
    struct slot *slot = index_find(*index, names, text, hash);
    if (slot->id != SM_NAME_OVERFLOW || !atomic_load_explicit(&names->closed, memory_order_relaxed))
        return slot;
    *index = &names->later;
    return index_find(*index, names, text, hash);
}

static uint32_t add(struct sm_names *names, struct index *index, struct slot *slot, struct sm_str text, uint32_t hash)
{
    uint32_t id = atomic_load_explicit(&names->count, memory_order_relaxed);
    append(names, id, (struct sm_str){store_text(names, text), text.len});
    index_set(index, slot, hash, id);
    return id;
}

uint32_t sm_names_intern(struct sm_names *names, struct sm_str text)
{
    if (text.len == 0)
        return SM_NAME_EMPTY;
    uint32_t hash = hash_of(text);
    pthread_mutex_lock(&names->mutex);
    struct index *index;
    struct slot *slot = find_in_both(names, text, hash, &index);
    uint32_t id = slot->id;
    if (id == SM_NAME_OVERFLOW)
        id = has_room(names, text.len, 0, 0) ? add(names, index, slot, text, hash) : overflow(names);
    pthread_mutex_unlock(&names->mutex);
    return id;
}

uint32_t sm_names_find(struct sm_names *names, struct sm_str text)
{
    if (text.len == 0)
        return SM_NAME_EMPTY;
    struct index *index;
    pthread_mutex_lock(&names->mutex);
    uint32_t id = find_in_both(names, text, hash_of(text), &index)->id;
    pthread_mutex_unlock(&names->mutex);
    return id;
}

struct sm_names_cache *sm_names_cache_new(struct sm_names *names)
{
    struct sm_names_cache *cache = sm_xcalloc(1, sizeof *cache);
    cache->names = names;
    index_init(&cache->index, 1024);
    return cache;
}

void sm_names_cache_free(struct sm_names_cache *cache)
{
    if (!cache)
        return;
    free(cache->index.slots);
    free(cache);
}

/* With the mutex. The first name that finds no room closes the table to caches. */
static uint32_t intern_for_cache(struct sm_names *names, struct sm_str text, uint32_t hash)
{
    struct index *index;
    struct slot *slot = find_in_both(names, text, hash, &index);
    if (slot->id != SM_NAME_OVERFLOW)
        return slot->id;
    bool closed = atomic_load_explicit(&names->closed, memory_order_relaxed);
    if (!closed && has_room(names, text.len, names->count_reserved, names->bytes_reserved))
        return add(names, index, slot, text, hash);
    atomic_store_explicit(&names->closed, true, memory_order_release);
    return overflow(names);
}

/* A name that this cache has not seen yet. */
static uint32_t first_sight(struct sm_names *names, struct sm_str text, uint32_t hash)
{
    if (atomic_load_explicit(&names->closed, memory_order_acquire)) {
        uint32_t id = index_find(&names->index, names, text, hash)->id;
        return id == SM_NAME_OVERFLOW ? overflow(names) : id;
    }
    pthread_mutex_lock(&names->mutex);
    uint32_t id = intern_for_cache(names, text, hash);
    pthread_mutex_unlock(&names->mutex);
    return id;
}

uint32_t sm_names_cache_id(struct sm_names_cache *cache, struct sm_str text)
{
    if (text.len == 0)
        return SM_NAME_EMPTY;
    uint32_t hash = hash_of(text);
    struct slot *slot = index_find(&cache->index, cache->names, text, hash);
    if (SM_LIKELY(slot->id != SM_NAME_OVERFLOW))
        return slot->id;
    uint32_t id = first_sight(cache->names, text, hash);
    if (id != SM_NAME_OVERFLOW)
        index_set(&cache->index, slot, hash, id);
    return id;
}
