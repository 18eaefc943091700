/* Slab allocator of one shard: 2 MiB blocks, 32 KiB pages, runs of 32-byte units. */
#include "base/slab.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    BLOCK_BYTES = 2 << 20,
    PAGE_BYTES = 32 << 10,
    PAGES_PER_BLOCK = BLOCK_BYTES / PAGE_BYTES,
    UNIT_BYTES = 32,
    PAGE_UNITS = PAGE_BYTES / UNIT_BYTES,
    PAGE_WORDS = PAGE_UNITS / 64,
    LISTS = PAGE_UNITS + 1,
    LIST_WORDS = (LISTS + 63) / 64,
};

_Static_assert(SM_SLAB_CHUNK_MAX <= PAGE_BYTES - SM_CACHE_LINE, "every chunk fits into the first page of a block, too");

/* What is free stands beside the page, not in it: taking a chunk and giving it back touch no memory that has been cold for
 * seconds, and neighbours become one run by themselves. */
struct page {
    struct page *next, *prev; /* in the list of its longest run */
    struct block *block;
    uint16_t longest; /* units of the longest free run */
    uint64_t free[PAGE_WORDS]; /* a bit for each unit */
};

struct block {
    uint8_t *memory; /* BLOCK_BYTES, aligned to it */
    struct block *next, *prev;
    uint32_t units_used;
    struct page pages[PAGES_PER_BLOCK];
};

struct sm_slab {
    struct page *lists[LISTS];   /* by longest free run */
    uint64_t filled[LIST_WORDS]; /* which of them are not empty */
    struct block *blocks;
    size_t bytes_used;
    size_t bytes_held;
    size_t bytes_empty; /* of blocks without a chunk */
};

/* Blocks are aligned to their size and start with a pointer to their struct block, in units that are never free. */
struct block_mark {
    struct block *block;
    uint8_t pad[SM_CACHE_LINE - sizeof(struct block *)];
};

struct sm_slab *sm_slab_new(void)
{
    return sm_xcalloc(1, sizeof(struct sm_slab));
}

/* --- lists of pages --- */

static void list_add(struct sm_slab *slab, struct page *page)
{
    struct page **head = &slab->lists[page->longest];
    page->prev = NULL;
    page->next = *head;
    if (*head)
        (*head)->prev = page;
    *head = page;
    slab->filled[page->longest / 64] |= UINT64_C(1) << page->longest % 64;
}

static void list_remove(struct sm_slab *slab, struct page *page)
{
    if (page->next)
        page->next->prev = page->prev;
    if (page->prev) {
        page->prev->next = page->next;
        return;
    }
    slab->lists[page->longest] = page->next;
    if (!page->next)
        slab->filled[page->longest / 64] &= ~(UINT64_C(1) << page->longest % 64);
}

static void list_move(struct sm_slab *slab, struct page *page, unsigned longest)
{
    if (page->longest == longest)
        return;
    list_remove(slab, page);
    page->longest = (uint16_t)longest;
    list_add(slab, page);
}

/* The page whose longest run is the shortest of at least n units; NULL when there is none. */
static struct page *page_for(const struct sm_slab *slab, unsigned n)
{
    unsigned w = n / 64;
    uint64_t bits = slab->filled[w] & UINT64_MAX << n % 64;
    while (!bits) {
        if (++w == LIST_WORDS)
            return NULL;
        bits = slab->filled[w];
    }
    return slab->lists[w * 64 + (unsigned)__builtin_ctzll(bits)];
}

/* --- units of a page --- */

/* First unit from `at` on whose bit differs from those of `flip`, all ones or all zeros; PAGE_UNITS when there is none. */
static unsigned next_unit(const uint64_t *bits, unsigned at, uint64_t flip)
{
    unsigned w = at / 64;
    if (w == PAGE_WORDS)
        return PAGE_UNITS;
    uint64_t word = (bits[w] ^ flip) & UINT64_MAX << at % 64;
    while (!word) {
        if (++w == PAGE_WORDS)
            return PAGE_UNITS;
        word = bits[w] ^ flip;
    }
    return w * 64 + (unsigned)__builtin_ctzll(word);
}

/* Where the free run that ends before unit `end` begins. */
static unsigned run_start(const uint64_t *bits, unsigned end)
{
    while (end) {
        unsigned w = (end - 1) / 64, low = (end - 1) % 64;
        uint64_t used = ~bits[w] << (63 - low);
        if (used)
            return end - (unsigned)__builtin_clzll(used);
        end = w * 64;
    }
    return 0;
}

static void flip(uint64_t *bits, unsigned at, unsigned n)
{
    while (n) {
        unsigned low = at % 64, here = SM_MIN(n, 64 - low);
        bits[at / 64] ^= (here == 64 ? UINT64_MAX : (UINT64_C(1) << here) - 1) << low;
        at += here;
        n -= here;
    }
}

/* Takes n units out of the run that fits best; returns the first. *longest is the longest run afterwards. */
static unsigned take(struct page *page, unsigned n, unsigned *longest)
{
    unsigned best_at = 0, best = UINT32_MAX, first = 0, second = 0; /* first, second: of the longest runs */
    for (unsigned at = next_unit(page->free, 0, 0), end; at < PAGE_UNITS; at = next_unit(page->free, end, 0)) {
        end = next_unit(page->free, at, UINT64_MAX);
        unsigned size = end - at;
        second = SM_MAX(second, SM_MIN(first, size));
        first = SM_MAX(first, size);
        if (size >= n && size < best) {
            best = size;
            best_at = at;
        }
    }
    flip(page->free, best_at, n);
    *longest = best < first ? first : SM_MAX(second, best - n);
    return best_at;
}

/* --- blocks --- */

static bool block_new(struct sm_slab *slab)
{
    struct block *block = malloc(sizeof *block);
    uint8_t *memory = block ? aligned_alloc(BLOCK_BYTES, BLOCK_BYTES) : NULL;
    if (!memory) {
        free(block);
        return false;
    }
    (void)madvise(memory, BLOCK_BYTES, MADV_HUGEPAGE); /* spans lie cold for a window; small pages serve where there are no huge ones */
    block->memory = memory;
    block->units_used = 0;
    block->prev = NULL;
    block->next = slab->blocks;
    if (slab->blocks)
        slab->blocks->prev = block;
    slab->blocks = block;
    ((struct block_mark *)memory)->block = block;
    for (unsigned i = PAGES_PER_BLOCK; i-- > 0;) {
        struct page *page = &block->pages[i];
        unsigned taken = i == 0 ? sizeof(struct block_mark) / UNIT_BYTES : 0;
        page->block = block;
        page->longest = (uint16_t)(PAGE_UNITS - taken);
        memset(page->free, 0xff, sizeof page->free);
        flip(page->free, 0, taken);
        list_add(slab, page);
    }
    slab->bytes_held += BLOCK_BYTES;
    slab->bytes_empty += BLOCK_BYTES;
    return true;
}

static void block_free(struct sm_slab *slab, struct block *block)
{
    for (unsigned i = 0; i < PAGES_PER_BLOCK; i++)
        list_remove(slab, &block->pages[i]);
    if (block->prev)
        block->prev->next = block->next;
    else
        slab->blocks = block->next;
    if (block->next)
        block->next->prev = block->prev;
    slab->bytes_held -= BLOCK_BYTES;
    slab->bytes_empty -= BLOCK_BYTES;
    free(block->memory);
    free(block);
}

/* --- chunks --- */

static void *big_alloc(struct sm_slab *slab, size_t size, uint32_t *usable)
{
    size = (size + 63) & ~(size_t)63;
    void *p = size <= UINT32_MAX ? aligned_alloc(64, size) : NULL;
    if (!p)
        return NULL;
    slab->bytes_used += size;
    slab->bytes_held += size;
    *usable = (uint32_t)size;
    return p;
}

static void big_release(struct sm_slab *slab, void *chunk, size_t size)
{
    size = (size + 63) & ~(size_t)63;
    slab->bytes_used -= size;
    slab->bytes_held -= size;
    free(chunk);
}

static unsigned units(size_t size)
{
    return (unsigned)((size + UNIT_BYTES - 1) / UNIT_BYTES);
}

void *sm_slab_alloc(struct sm_slab *slab, size_t size, uint32_t *usable)
{
    if (SM_UNLIKELY(size > SM_SLAB_CHUNK_MAX))
        return big_alloc(slab, size, usable);
    unsigned n = units(size);
    struct page *page = page_for(slab, n);
    if (SM_UNLIKELY(!page)) {
        if (!block_new(slab))
            return NULL;
        page = page_for(slab, n);
    }
    unsigned longest;
    unsigned at = take(page, n, &longest);
    list_move(slab, page, longest);
    struct block *block = page->block;
    slab->bytes_empty -= block->units_used ? 0 : BLOCK_BYTES;
    block->units_used += n;
    *usable = n * UNIT_BYTES;
    slab->bytes_used += *usable;
    return block->memory + (size_t)(page - block->pages) * PAGE_BYTES + (size_t)at * UNIT_BYTES;
}

void sm_slab_release(struct sm_slab *slab, void *chunk, size_t size)
{
    if (SM_UNLIKELY(size > SM_SLAB_CHUNK_MAX)) {
        big_release(slab, chunk, size);
        return;
    }
    unsigned n = units(size);
    uint8_t *memory = (uint8_t *)((uintptr_t)chunk & ~(uintptr_t)(BLOCK_BYTES - 1));
    struct block *block = ((struct block_mark *)memory)->block;
    size_t offset = (size_t)((uint8_t *)chunk - memory);
    struct page *page = &block->pages[offset / PAGE_BYTES];
    unsigned at = offset % PAGE_BYTES / UNIT_BYTES;
    flip(page->free, at, n);
    unsigned run = next_unit(page->free, at + n, UINT64_MAX) - run_start(page->free, at);
    if (run > page->longest)
        list_move(slab, page, run);
    block->units_used -= n;
    slab->bytes_empty += block->units_used ? 0 : BLOCK_BYTES;
    slab->bytes_used -= (size_t)n * UNIT_BYTES;
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
    struct block *next;
    for (struct block *block = slab->blocks; block && slab->bytes_empty > reserve_bytes; block = next) {
        next = block->next;
        if (block->units_used == 0)
            block_free(slab, block);
    }
}

void sm_slab_free(struct sm_slab *slab)
{
    if (!slab)
        return;
    SM_ASSERT(slab->bytes_used == 0);
    while (slab->blocks)
        block_free(slab, slab->blocks);
    free(slab);
}
