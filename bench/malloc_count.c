/* The preloaded library: wraps the allocator that would have been used (glibc's or jemalloc's) and counts calls. */
#include "bench/malloc_count.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
int posix_memalign(void **p, size_t alignment, size_t size);
void free(void *p);

enum { EARLY_BYTES = 65536 };

static struct bench_malloc_cell nowhere[BENCH_MALLOC_COUNT_THREADS];
static struct bench_malloc_cell *cells = nowhere;
static _Atomic uint32_t threads;
static _Thread_local uint32_t my_cell __attribute__((tls_model("initial-exec"))); /* 0: not chosen yet */

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);
static void *(*next_memalign)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void (*next_free)(void *);

/* dlsym itself may allocate before the real allocator is known: such memory comes from here and is never given back. */
static char early[EARLY_BYTES] __attribute__((aligned(16)));
static size_t early_used;

static void *early_alloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (early_used + size > sizeof early)
        return NULL;
    early_used += size;
    return early + early_used - size;
}

static bool is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void find(void *slot, const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(slot, &symbol, sizeof symbol);
}

static void map_cells(void)
{
    const char *path = getenv("BENCH_MALLOC_COUNT_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (fd < 0)
        return;
    void *p = MAP_FAILED;
    if (ftruncate(fd, sizeof nowhere) == 0)
        p = mmap(NULL, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        cells = p;
}

static void __attribute__((constructor)) set_up(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    find(&next_free, "free");
    find(&next_calloc, "calloc");
    find(&next_realloc, "realloc");
    find(&next_aligned_alloc, "aligned_alloc");
    find(&next_memalign, "memalign");
    find(&next_posix_memalign, "posix_memalign");
    find(&next_malloc, "malloc");
    map_cells();
}

static void count(size_t size)
{
    if (my_cell == 0) {
        uint32_t mine = atomic_fetch_add(&threads, 1) + 1;
        my_cell = SM_MIN(mine, (uint32_t)BENCH_MALLOC_COUNT_THREADS);
        cells[my_cell - 1].thread = (uint64_t)gettid();
    }
    struct bench_malloc_cell *c = &cells[my_cell - 1];
    atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->bytes, size, memory_order_relaxed);
}

void *malloc(size_t size)
{
    if (!next_malloc)
        set_up();
    if (!next_malloc)
        return early_alloc(size);
    count(size);
    return next_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (!next_malloc)
        set_up();
    if (!next_malloc)
        return size && n > EARLY_BYTES / size ? NULL : early_alloc(n * size); /* static memory is zero */
    count(n * size);
    return next_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    if (!next_malloc)
        set_up();
    if (!next_malloc || is_early(p)) {
        char *moved = malloc(size);
        if (moved && p)
            memcpy(moved, p, SM_MIN(size, (size_t)(early + sizeof early - (char *)p)));
        return moved;
    }
    count(size);
    return next_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (!next_malloc)
        set_up();
    count(size);
    return next_aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size)
{
    if (!next_malloc)
        set_up();
    count(size);
    return next_memalign(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    if (!next_malloc)
        set_up();
    count(size);
    return next_posix_memalign(p, alignment, size);
}

void free(void *p)
{
    if (p && !is_early(p))
        next_free(p);
}
