/* Pooled receive buffers: power-of-two classes, LIFO reuse, a lock-free return stack for buffers put by other threads. */
#include "base/payload.h"

#include <stdlib.h>

enum { CLASS_MIN_LOG2 = 12, CLASS_MAX_LOG2 = 31, CLASSES = CLASS_MAX_LOG2 - CLASS_MIN_LOG2 + 1 };

struct sm_payload_pool {
    struct sm_payload *idle[CLASSES];
    size_t bytes_idle;
    size_t bytes_idle_max;
    size_t bytes_out;
    _Atomic(struct sm_payload *) returned SM_ALIGNED_LINE; /* pushed by any thread, emptied by the owner */
};

static unsigned class_of(size_t capacity)
{
    if (capacity <= (size_t)1 << CLASS_MIN_LOG2)
        return 0;
    return 64u - (unsigned)__builtin_clzll(capacity - 1) - CLASS_MIN_LOG2;
}

static size_t class_capacity(unsigned class)
{
    return (size_t)1 << (class + CLASS_MIN_LOG2);
}

struct sm_payload_pool *sm_payload_pool_new(size_t bytes_idle_max)
{
    struct sm_payload_pool *pool = aligned_alloc(SM_CACHE_LINE, sizeof *pool);
    SM_ASSERT(pool);
    memset(pool, 0, sizeof *pool);
    pool->bytes_idle_max = bytes_idle_max;
    return pool;
}

static void destroy(struct sm_payload *p)
{
    free(p->data);
    free(p);
}

static void make_idle(struct sm_payload_pool *pool, struct sm_payload *p)
{
    pool->bytes_out -= p->capacity;
    if (pool->bytes_idle + p->capacity > pool->bytes_idle_max) {
        destroy(p);
        return;
    }
    unsigned class = class_of(p->capacity);
    p->next = pool->idle[class];
    pool->idle[class] = p;
    pool->bytes_idle += p->capacity;
}

static void collect_returned(struct sm_payload_pool *pool)
{
    if (!atomic_load_explicit(&pool->returned, memory_order_relaxed))
        return;
    struct sm_payload *p = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (p) {
        struct sm_payload *next = p->next;
        make_idle(pool, p);
        p = next;
    }
}

void sm_payload_pool_free(struct sm_payload_pool *pool)
{
    if (!pool)
        return;
    collect_returned(pool);
    SM_ASSERT(pool->bytes_out == 0);
    for (unsigned i = 0; i < CLASSES; i++) {
        while (pool->idle[i]) {
            struct sm_payload *p = pool->idle[i];
            pool->idle[i] = p->next;
            destroy(p);
        }
    }
    free(pool);
}

struct sm_payload *sm_payload_new(struct sm_payload_pool *pool, size_t capacity)
{
    collect_returned(pool);
    unsigned class = class_of(capacity);
    if (class >= CLASSES)
        return NULL;
    struct sm_payload *p = pool->idle[class];
    if (p) {
        pool->idle[class] = p->next;
        pool->bytes_idle -= p->capacity;
    } else {
        p = malloc(sizeof *p);
        if (!p)
            return NULL;
        p->capacity = class_capacity(class);
        p->data = malloc(p->capacity + SM_PAYLOAD_SLOP);
        if (!p->data) {
            free(p);
            return NULL;
        }
        memset(p->data + p->capacity, 0, SM_PAYLOAD_SLOP);
        p->home = pool;
    }
    p->size = 0;
    p->arrived_ns = 0;
    p->next = NULL;
    atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
    pool->bytes_out += p->capacity;
    return p;
}

enum sm_rc sm_payload_reserve(struct sm_payload *p, size_t capacity)
{
    if (capacity <= p->capacity)
        return SM_OK;
    unsigned class = class_of(capacity);
    if (class >= CLASSES)
        return SM_E_NOMEM;
    uint8_t *data = realloc(p->data, class_capacity(class) + SM_PAYLOAD_SLOP);
    if (!data)
        return SM_E_NOMEM;
    p->home->bytes_out += class_capacity(class) - p->capacity;
    p->data = data;
    p->capacity = class_capacity(class);
    memset(p->data + p->capacity, 0, SM_PAYLOAD_SLOP);
    return SM_OK;
}

void sm_payload_ref(struct sm_payload *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void sm_payload_put(struct sm_payload *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct sm_payload *head = atomic_load_explicit(&p->home->returned, memory_order_relaxed);
    do {
        p->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&p->home->returned, &head, p, memory_order_release,
                                                    memory_order_relaxed));
}

size_t sm_payload_pool_bytes_out(const struct sm_payload_pool *pool)
{
    return pool->bytes_out;
}
