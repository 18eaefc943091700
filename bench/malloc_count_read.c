#include "bench/malloc_count.h"

uint64_t bench_malloc_count_read(const char *path)
{
    struct bench_malloc_cell cells[BENCH_MALLOC_COUNT_THREADS];
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t n = fread(cells, sizeof cells[0], BENCH_MALLOC_COUNT_THREADS, f);
    fclose(f);
    uint64_t calls = 0;
    for (size_t i = 0; i < n; i++)
        calls += cells[i].calls;
    return calls;
}
