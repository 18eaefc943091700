/* Logarithmic histograms of durations. */
#include "span/hist.h"

#include <math.h>
#include <stdlib.h>

/* Lower bounds of the eight buckets of a doubling, in 64ths. */
static const uint8_t bounds_64th[SM_HIST_SUB + 1] = {64, 70, 76, 83, 91, 100, 108, 118, 128};

#define SUB_6(i)  i, i, i, i, i, i
#define SUB_7(i)  SUB_6(i), i
#define SUB_8(i)  SUB_7(i), i
#define SUB_9(i)  SUB_8(i), i
#define SUB_10(i) SUB_9(i), i
const uint8_t sm_hist_sub_of[64] = {SUB_6(0), SUB_6(1), SUB_7(2), SUB_8(3), SUB_9(4), SUB_8(5), SUB_10(6), SUB_10(7)};

enum { PAGE_BYTES = SM_HIST_SUB * sizeof(uint32_t), SLAB_BYTES = 64 << 10, CLASSES = 6, PAIRS_MAX = 8 };

struct sm_hist_slab {
    struct sm_hist_slab *next;
    uint8_t data[SLAB_BYTES] __attribute__((aligned(PAGE_BYTES)));
};

void sm_hist_pool_init(struct sm_hist_pool *pool, size_t bytes_max)
{
    *pool = (struct sm_hist_pool){.bytes_max = bytes_max};
}

void sm_hist_pool_fini(struct sm_hist_pool *pool)
{
    while (pool->slabs) {
        struct sm_hist_slab *next = pool->slabs->next;
        free(pool->slabs);
        pool->slabs = next;
    }
    *pool = (struct sm_hist_pool){.bytes_max = pool->bytes_max};
}

void sm_hist_pool_reset(struct sm_hist_pool *pool)
{
    pool->current = pool->slabs;
    pool->at = 0;
    memset(pool->free, 0, sizeof pool->free);
}

/* Moves to the next slab, taking a new one from the allocator if there is none. */
static bool next_slab(struct sm_hist_pool *pool)
{
    struct sm_hist_slab *slab = pool->current ? pool->current->next : pool->slabs;
    if (!slab) {
        if (pool->bytes_held + sizeof *slab > pool->bytes_max)
            return false;
        slab = malloc(sizeof *slab);
        if (!slab)
            return false;
        slab->next = NULL;
        pool->bytes_held += sizeof *slab;
        if (pool->current)
            pool->current->next = slab;
        else
            pool->slabs = slab;
    }
    pool->current = slab;
    pool->at = 0;
    return true;
}

static uint32_t *take_pages(struct sm_hist_pool *pool, unsigned class)
{
    if (pool->free[class]) {
        void *pages = pool->free[class];
        memcpy(&pool->free[class], pages, sizeof(void *));
        return pages;
    }
    uint32_t size = (uint32_t)PAGE_BYTES << class;
    if ((!pool->current || pool->at + size > SLAB_BYTES) && !next_slab(pool))
        return NULL;
    uint32_t *pages = (uint32_t *)(pool->current->data + pool->at);
    pool->at += size;
    return pages;
}

static void return_pages(struct sm_hist_pool *pool, uint32_t *pages, unsigned class)
{
    memcpy(pages, &pool->free[class], sizeof(void *));
    pool->free[class] = pages;
}

uint64_t sm_hist_bound_ns(unsigned bucket)
{
    if (bucket >= SM_HIST_BUCKETS - 1)
        return UINT64_MAX;
    int e = (int)(bucket / SM_HIST_SUB) - SM_HIST_LOW_EXP;
    uint64_t unit =
        UINT64_C(2000000) / 64 * bounds_64th[bucket % SM_HIST_SUB]; /* bucket 8i ends where doubling i starts */
    return e < 0 ? unit >> -e : unit << e;
}

static uint64_t lower_bound_ns(unsigned bucket)
{
    return bucket ? sm_hist_bound_ns(bucket - 1) : 0;
}

static uint32_t *page_of(const struct sm_hist *h, unsigned page)
{
    return h->page + (unsigned)__builtin_popcount(h->pages & ((UINT32_C(1) << page) - 1)) * SM_HIST_SUB;
}

/* Makes room for a page that is not there yet; false at the pool's limit. */
static bool add_page(struct sm_hist *h, struct sm_hist_pool *pool, unsigned page)
{
    unsigned have = (unsigned)__builtin_popcount(h->pages);
    if (have == 1u << h->page_class) {
        uint32_t *larger = take_pages(pool, h->page_class + 1u);
        if (!larger)
            return false;
        memcpy(larger, h->page, have * (size_t)PAGE_BYTES);
        return_pages(pool, h->page, h->page_class);
        h->page = larger;
        h->page_class++;
    }
    uint32_t *at = page_of(h, page);
    uint32_t *end = h->page + have * SM_HIST_SUB;
    memmove(at + SM_HIST_SUB, at, (size_t)(end - at) * sizeof *at);
    memset(at, 0, PAGE_BYTES);
    h->pages |= UINT32_C(1) << page;
    return true;
}

/* Moves the pairs to pages; false (and unchanged) at the pool's limit. */
static bool pairs_to_pages(struct sm_hist *h, struct sm_hist_pool *pool)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < h->pair_count; i++)
        bits |= UINT32_C(1) << h->pairs.buckets[i] / SM_HIST_SUB;
    unsigned class = 0;
    while (1 << class < __builtin_popcount(bits))
        class ++;
    uint32_t *pages = take_pages(pool, class);
    if (!pages)
        return false;
    memset(pages, 0, (size_t)PAGE_BYTES << class);
    struct sm_hist paged = *h;
    paged.pages = bits;
    paged.page_class = (uint8_t) class;
    paged.page = pages;
    for (unsigned i = 0; i < h->pair_count; i++) {
        unsigned bucket = h->pairs.buckets[i];
        page_of(&paged, bucket / SM_HIST_SUB)[bucket % SM_HIST_SUB] = h->pairs.counts[i];
    }
    *h = paged;
    return true;
}

static unsigned distance(unsigned a, unsigned b)
{
    return a > b ? a - b : b - a;
}

/* Where an observation goes that has no place of its own. */
static uint32_t *nearest(struct sm_hist *h, unsigned bucket)
{
    if (!h->pages) {
        unsigned best = 0;
        for (unsigned i = 1; i < h->pair_count; i++)
            if (distance(h->pairs.buckets[i], bucket) < distance(h->pairs.buckets[best], bucket))
                best = i;
        return &h->pairs.counts[best];
    }
    unsigned best = SM_HIST_BUCKETS * 2;
    for (unsigned page = 0; page < 32; page++) {
        if (!(h->pages >> page & 1))
            continue;
        unsigned candidate = bucket < page * SM_HIST_SUB ? page * SM_HIST_SUB : page * SM_HIST_SUB + SM_HIST_SUB - 1;
        if (distance(candidate, bucket) < distance(best, bucket))
            best = candidate;
    }
    return &page_of(h, best / SM_HIST_SUB)[best % SM_HIST_SUB];
}

static uint32_t *paged_cell(struct sm_hist *h, struct sm_hist_pool *pool, unsigned bucket)
{
    unsigned page = bucket / SM_HIST_SUB;
    if (!(h->pages >> page & 1) && !add_page(h, pool, page))
        return NULL;
    return &page_of(h, page)[bucket % SM_HIST_SUB];
}

/* The count of a bucket, made if need be; NULL at the pool's limit. */
static uint32_t *cell(struct sm_hist *h, struct sm_hist_pool *pool, unsigned bucket)
{
    if (h->pages)
        return paged_cell(h, pool, bucket);
    for (unsigned i = 0; i < h->pair_count; i++)
        if (h->pairs.buckets[i] == bucket)
            return &h->pairs.counts[i];
    if (h->pair_count < PAIRS_MAX) {
        unsigned i = h->pair_count++;
        h->pairs.buckets[i] = (uint8_t)bucket;
        h->pairs.counts[i] = 0;
        return &h->pairs.counts[i];
    }
    return pairs_to_pages(h, pool) ? paged_cell(h, pool, bucket) : NULL;
}

static void add(struct sm_hist *h, struct sm_hist_pool *pool, unsigned bucket, uint32_t n)
{
    uint32_t *count = cell(h, pool, bucket);
    if (SM_UNLIKELY(!count)) {
        count = nearest(h, bucket);
        pool->coarsened += n;
    }
    *count = n > UINT32_MAX - *count ? UINT32_MAX : *count + n;
}

static void add_sum(struct sm_hist *h, uint64_t ns)
{
    if (__builtin_add_overflow(h->sum_ns, ns, &h->sum_ns))
        h->sum_ns = UINT64_MAX;
}

void sm_hist_observe(struct sm_hist *h, struct sm_hist_pool *pool, uint64_t ns, uint32_t times)
{
    if (!times)
        return;
    ns = SM_MIN(ns, SM_HIST_NS_MAX);
    add(h, pool, sm_hist_bucket(ns), times);
    h->count += times;
    uint64_t sum;
    add_sum(h, __builtin_mul_overflow(ns, (uint64_t)times, &sum) ? UINT64_MAX : sum);
}

void sm_hist_merge(struct sm_hist *into, struct sm_hist_pool *pool, const struct sm_hist *from)
{
    for (unsigned i = 0; !from->pages && i < from->pair_count; i++)
        add(into, pool, from->pairs.buckets[i], from->pairs.counts[i]);
    const uint32_t *counts = from->page;
    for (uint32_t left = from->pages; left; left &= left - 1) {
        unsigned first = (unsigned)__builtin_ctz(left) * SM_HIST_SUB;
        for (unsigned i = 0; i < SM_HIST_SUB; i++, counts++)
            if (*counts)
                add(into, pool, first + i, *counts);
    }
    into->count += from->count;
    add_sum(into, from->sum_ns);
}

void sm_hist_release(struct sm_hist *h, struct sm_hist_pool *pool)
{
    if (h->pages)
        return_pages(pool, h->page, h->page_class);
    *h = (struct sm_hist){0};
}

void sm_hist_add_counts(const struct sm_hist *h, uint64_t counts[SM_HIST_BUCKETS])
{
    for (unsigned i = 0; !h->pages && i < h->pair_count; i++)
        counts[h->pairs.buckets[i]] += h->pairs.counts[i];
    const uint32_t *page = h->page;
    for (uint32_t left = h->pages; left; left &= left - 1, page += SM_HIST_SUB) {
        unsigned first = (unsigned)__builtin_ctz(left) * SM_HIST_SUB;
        for (unsigned i = 0; i < SM_HIST_SUB && first + i < SM_HIST_BUCKETS; i++)
            counts[first + i] += page[i];
    }
}

uint64_t sm_hist_quantile_ns(const struct sm_hist *h, double q)
{
    uint64_t counts[SM_HIST_BUCKETS] = {0}, total = 0;
    sm_hist_add_counts(h, counts);
    for (unsigned i = 0; i < SM_HIST_BUCKETS; i++)
        total += counts[i];
    if (!total)
        return 0;
    q = q < 0 ? 0 : q > 1 ? 1 : q;
    uint64_t rank = (uint64_t)ceil(q * (double)total), seen = 0;
    rank = rank ? SM_MIN(rank, total) - 1 : 0;
    unsigned bucket = 0;
    for (; seen + counts[bucket] <= rank; bucket++)
        seen += counts[bucket];
    if (bucket == SM_HIST_BUCKETS - 1)
        return lower_bound_ns(bucket);
    return lower_bound_ns(bucket) + (sm_hist_bound_ns(bucket) - lower_bound_ns(bucket)) / 2;
}
