/* Counting allocations of a process without changing it.
 *
 * bench_malloc_count.so, preloaded with LD_PRELOAD, counts the calls of malloc, calloc, realloc, aligned_alloc,
 * posix_memalign and memalign in a file that it maps (environment BENCH_MALLOC_COUNT_FILE): an array of cells of a
 * cache line, one for each thread (threads beyond the last share the last). Anyone may read the file at any time. */
#ifndef BENCH_MALLOC_COUNT_H
#define BENCH_MALLOC_COUNT_H

#include "base/base.h"

#include <stdatomic.h>

enum { BENCH_MALLOC_COUNT_THREADS = 64 };

struct bench_malloc_cell {
    _Atomic uint64_t calls;
    _Atomic uint64_t bytes;
    uint64_t unused[6];
};

/* Calls so far, all threads; 0 when there is no file. */
uint64_t bench_malloc_count_read(const char *path);

#endif
