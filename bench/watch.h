/* What a process has used so far, read from /proc while it runs: CPU time, memory, allocations. */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "base/base.h"

struct bench_watch {
    int64_t wall_ns;
    int64_t cpu_ns;  /* user and system, all threads, exact */
    int64_t user_ns; /* ticks: good to 10 ms */
    int64_t system_ns;
    uint64_t rss_bytes;
    uint64_t rss_peak_bytes;
    uint64_t allocations;        /* calls of malloc and kin, when bench_malloc_count.so counts them */
    uint64_t worker_allocations; /* those of threads named "worker..." */
};

/* allocations_file may be NULL. False: no such process. */
bool bench_watch_read(int pid, const char *allocations_file, struct bench_watch *w);

#endif
