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
    _Atomic uint64_t thread; /* its kernel id; 0: cell unused */
    uint64_t unused[5];
};

/* Calls so far. */
struct bench_malloc_calls {
    uint64_t all;
    uint64_t workers; /* in threads named "worker...": the data path */
};

/* Reads the file of process `pid`; zeroes when there is none. */
struct bench_malloc_calls bench_malloc_count_read(const char *path, int pid);

#endif
