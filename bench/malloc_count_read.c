#include "bench/malloc_count.h"

static bool is_worker(int pid, uint64_t thread)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%llu/comm", pid, (unsigned long long)thread);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool read = fgets(name, sizeof name, f) != NULL;
    fclose(f);
    return read && strncmp(name, "worker", 6) == 0;
}

struct bench_malloc_calls bench_malloc_count_read(const char *path, int pid)
{
    struct bench_malloc_cell cells[BENCH_MALLOC_COUNT_THREADS];
    struct bench_malloc_calls calls = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return calls;
    size_t n = fread(cells, sizeof cells[0], BENCH_MALLOC_COUNT_THREADS, f);
    fclose(f);
    for (size_t i = 0; i < n; i++) {
        calls.all += cells[i].calls;
        if (cells[i].thread && is_worker(pid, cells[i].thread))
            calls.workers += cells[i].calls;
    }
    return calls;
}
