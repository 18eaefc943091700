#include "bench/watch.h"

#include "bench/malloc_count.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static bool read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = 0;
    fclose(f);
    return n > 0;
}

static uint64_t status_kib(const char *status, const char *key)
{
    const char *at = strstr(status, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return t.tv_sec * SM_SEC + t.tv_nsec;
}

static bool read_ticks(int pid, struct bench_watch *w)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const char *at = read_file(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    unsigned long user, system;
    if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return false;
    int64_t tick_ns = SM_SEC / sysconf(_SC_CLK_TCK);
    w->user_ns = (int64_t)user * tick_ns;
    w->system_ns = (int64_t)system * tick_ns;
    return true;
}

static void read_memory(int pid, struct bench_watch *w)
{
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (!read_file(path, text, sizeof text))
        return;
    w->rss_bytes = status_kib(text, "VmRSS:") * SM_KIB;
    w->rss_peak_bytes = status_kib(text, "VmHWM:") * SM_KIB;
}

bool bench_watch_read(int pid, const char *allocations_file, struct bench_watch *w)
{
    clockid_t clock;
    *w = (struct bench_watch){.wall_ns = clock_ns(CLOCK_MONOTONIC)};
    if (clock_getcpuclockid(pid, &clock) != 0 || !read_ticks(pid, w))
        return false;
    w->cpu_ns = clock_ns(clock);
    read_memory(pid, w);
    if (allocations_file) {
        struct bench_malloc_calls calls = bench_malloc_count_read(allocations_file, pid);
        w->allocations = calls.all;
        w->worker_allocations = calls.workers;
    }
    return true;
}
