/* Slab allocator of one shard: 2 MiB blocks, 64 KiB pages, size classes. */
#include "base/slab.h"

#include <stdlib.h>

enum {
    BLOCK_BYTES = 2 << 20,
    PAGE_BYTES = 64 << 10,
    PAGES_PER_BLOCK = BLOCK_BYTES / PAGE_BYTES,
    /* Partial pages are kept in lists by how full they are, so that the fullest is used first. */
    FULLNESS = 8,
    CLASSES_MAX = 128,
    CLASS_MIN = 64,
    PAGE_WORDS = PAGE_BYTES / CLASS_MIN / 64,
    SMALL_MAX = 4096, /* sixteen classes per doubling up to here, eight beyond */
};

/* Which chunks are free stands beside the page, not in the chunks: taking one and giving it back then touch no memory that has
 * been cold for seconds. The lowest free one is taken, so that the rest of a page may never be touched. */
struct page {
    struct page *next, *prev; /* in a partial list or the free list */
    uint8_t *memory;
    struct block *block;
    uint16_t used;     /* chunks out */
    uint16_t capacity; /* chunks in a page of this class */
    uint8_t class;
    uint8_t list;  /* fullness list it is in; FULLNESS: none (full or current) */
    uint8_t first; /* words of `free` before this one are 0 */
    uint64_t free[PAGE_WORDS]; /* a bit for each chunk */
};

struct block {
    uint8_t *memory; /* BLOCK_BYTES, aligned to it */
    struct block *next, *prev;
    struct page pages[PAGES_PER_BLOCK];
    unsigned pages_used;
};

struct class {
    uint32_t size;
    struct page *current;
    struct page *partial[FULLNESS];
};

struct sm_slab {
    struct class classes[CLASSES_MAX];
    unsigned class_count;
    struct page *pages_free;
    struct block *blocks;
    size_t bytes_used;
    size_t bytes_held;
    size_t big_bytes;
    uint8_t small_class[SMALL_MAX / 16 + 1]; /* by size / 16 rounded up */
};

/* Blocks are aligned to their size; the first page of a block starts with a pointer to its struct block. */
struct block_mark {
    struct block *block;
    uint8_t pad[56];
};

static unsigned class_of(const struct sm_slab *slab, size_t size)
{
    if (size <= SMALL_MAX)
        return slab->small_class[(size + 15) / 16];
    unsigned c = slab->small_class[SMALL_MAX / 16];
    while (slab->classes[c].size < size)
        c++;
    return c;
}

static void add_class(struct sm_slab *slab, uint32_t size)
{
    SM_ASSERT(slab->class_count < CLASSES_MAX);
    slab->classes[slab->class_count++].size = size;
}

struct sm_slab *sm_slab_new(void)
{
    struct sm_slab *slab = sm_xcalloc(1, sizeof *slab);
    for (uint32_t size = CLASS_MIN; size < 256; size += 16)
        add_class(slab, size);
    for (uint32_t base = 256; base < SMALL_MAX; base *= 2) {
        for (uint32_t size = base; size < base * 2; size += base / 16)
            add_class(slab, size);
    }
    for (uint32_t base = SMALL_MAX; base < 16384; base *= 2) {
        for (uint32_t size = base; size < base * 2; size += base / 8)
            add_class(slab, size);
    }
    add_class(slab, 16384);
    add_class(slab, SM_SLAB_CHUNK_MAX);
    unsigned c = 0;
    for (unsigned i = 0; i <= SMALL_MAX / 16; i++) {
        while (slab->classes[c].size < i * 16)
            c++;
        slab->small_class[i] = (uint8_t)c;
    }
    return slab;
}

static void list_push(struct page **head, struct page *page)
{
    page->prev = NULL;
    page->next = *head;
    if (*head)
        (*head)->prev = page;
    *head = page;
}

static void list_remove(struct page **head, struct page *page)
{
    if (page->prev)
        page->prev->next = page->next;
    else
        *head = page->next;
    if (page->next)
        page->next->prev = page->prev;
}

static bool block_new(struct sm_slab *slab)
{
    struct block *block = malloc(sizeof *block);
    uint8_t *memory = block ? aligned_alloc(BLOCK_BYTES, BLOCK_BYTES) : NULL;
    if (!memory) {
        free(block);
        return false;
    }
    block->memory = memory;
    block->pages_used = 0;
    block->prev = NULL;
    block->next = slab->blocks;
    if (slab->blocks)
        slab->blocks->prev = block;
    slab->blocks = block;
    ((struct block_mark *)memory)->block = block;
    for (unsigned i = PAGES_PER_BLOCK; i-- > 0;) {
        struct page *page = &block->pages[i];
        page->memory = memory + (size_t)i * PAGE_BYTES + (i == 0 ? sizeof(struct block_mark) : 0);
        page->block = block;
        list_push(&slab->pages_free, page);
    }
    slab->bytes_held += BLOCK_BYTES;
    return true;
}

static void block_free(struct sm_slab *slab, struct block *block)
{
    for (unsigned i = 0; i < PAGES_PER_BLOCK; i++)
        list_remove(&slab->pages_free, &block->pages[i]);
    if (block->prev)
        block->prev->next = block->next;
    else
        slab->blocks = block->next;
    if (block->next)
        block->next->prev = block->prev;
    slab->bytes_held -= BLOCK_BYTES;
    free(block->memory);
    free(block);
}

static uint64_t low_bits(unsigned n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static struct page *page_take(struct sm_slab *slab, unsigned class)
{
    if (!slab->pages_free && !block_new(slab))
        return NULL;
    struct page *page = slab->pages_free;
    list_remove(&slab->pages_free, page);
    size_t room = PAGE_BYTES - (size_t)(page->memory - page->block->memory) % PAGE_BYTES;
    page->block->pages_used++;
    page->class = (uint8_t)class;
    page->capacity = (uint16_t)(room / slab->classes[class].size);
    page->used = 0;
    page->list = FULLNESS;
    page->first = 0;
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        page->free[i] = low_bits(page->capacity - SM_MIN((unsigned)page->capacity, i * 64));
    return page;
}

static struct page *next_current(struct sm_slab *slab, unsigned c)
{
    struct class *class = &slab->classes[c];
    for (unsigned i = FULLNESS; i-- > 0;) {
        struct page *page = class->partial[i];
        if (page) {
            list_remove(&class->partial[i], page);
            page->list = FULLNESS;
            return page;
        }
    }
    return page_take(slab, c);
}

static void *big_alloc(struct sm_slab *slab, size_t size, uint32_t *usable)
{
    size = (size + 63) & ~(size_t)63;
    void *p = size <= UINT32_MAX ? aligned_alloc(64, size) : NULL;
    if (!p)
        return NULL;
    slab->big_bytes += size;
    slab->bytes_used += size;
    slab->bytes_held += size;
    *usable = (uint32_t)size;
    return p;
}

void *sm_slab_alloc(struct sm_slab *slab, size_t size, uint32_t *usable)
{
    if (SM_UNLIKELY(size > SM_SLAB_CHUNK_MAX))
        return big_alloc(slab, size, usable);
    unsigned c = class_of(slab, size);
    struct class *class = &slab->classes[c];
    struct page *page = class->current;
    if (SM_UNLIKELY(!page || page->used == page->capacity)) {
        page = next_current(slab, c);
        if (!page)
            return NULL;
        class->current = page;
    }
    while (!page->free[page->first])
        page->first++;
    unsigned bit = (unsigned)__builtin_ctzll(page->free[page->first]);
    page->free[page->first] &= page->free[page->first] - 1;
    page->used++;
    slab->bytes_used += class->size;
    *usable = class->size;
    return page->memory + (size_t)(page->first * 64u + bit) * class->size;
}

static struct page *page_of(void *chunk)
{
    uint8_t *memory = (uint8_t *)((uintptr_t)chunk & ~(uintptr_t)(BLOCK_BYTES - 1));
    struct block *block = ((struct block_mark *)memory)->block;
    return &block->pages[((uint8_t *)chunk - memory) / PAGE_BYTES];
}

static void page_give_back(struct sm_slab *slab, struct page *page)
{
    page->block->pages_used--;
    list_push(&slab->pages_free, page);
}

void sm_slab_release(struct sm_slab *slab, void *chunk, size_t size)
{
    if (SM_UNLIKELY(size > SM_SLAB_CHUNK_MAX)) {
        size = (size + 63) & ~(size_t)63;
        slab->big_bytes -= size;
        slab->bytes_used -= size;
        slab->bytes_held -= size;
        free(chunk);
        return;
    }
    struct page *page = page_of(chunk);
    struct class *class = &slab->classes[page->class];
    uint32_t index = (uint32_t)((uint8_t *)chunk - page->memory) / class->size;
    page->free[index / 64] |= UINT64_C(1) << (index % 64);
    page->first = SM_MIN(page->first, (uint8_t)(index / 64));
    page->used--;
    slab->bytes_used -= class->size;
    if (page == class->current)
        return;
    unsigned list = page->used * FULLNESS / page->capacity;
    list = SM_MIN(list, (unsigned)FULLNESS - 1);
    if (page->used == 0) {
        if (page->list != FULLNESS)
            list_remove(&class->partial[page->list], page);
        page_give_back(slab, page);
        return;
    }
    if (page->list != list) {
        if (page->list != FULLNESS)
            list_remove(&class->partial[page->list], page);
        list_push(&class->partial[list], page);
        page->list = (uint8_t)list;
    }
}

size_t sm_slab_bytes_used(const struct sm_slab *slab)
{
    return slab->bytes_used;
}

size_t sm_slab_bytes_held(const struct sm_slab *slab)
{
    return slab->bytes_held;
}

void sm_slab_trim(struct sm_slab *slab, size_t reserve_bytes)
{
    size_t empty = 0;
    for (struct block *block = slab->blocks; block;) {
        struct block *next = block->next;
        if (block->pages_used == 0) {
            empty += BLOCK_BYTES;
            if (empty > reserve_bytes)
                block_free(slab, block);
        }
        block = next;
    }
}

void sm_slab_free(struct sm_slab *slab)
{
    if (!slab)
        return;
    SM_ASSERT(slab->bytes_used == 0);
    for (unsigned c = 0; c < slab->class_count; c++) {
        if (slab->classes[c].current)
            page_give_back(slab, slab->classes[c].current);
    }
    while (slab->blocks)
        block_free(slab, slab->blocks);
    free(slab);
}
