/* Memory and processors available to the process (cgroup v2, v1, machine). */
#include "app/memory_limit.h"

#include <sched.h>
#include <unistd.h>

/* The number in a file; UINT64_MAX when there is none ("max", no such file). */
static uint64_t read_number(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned long long v;
    if (!f)
        return UINT64_MAX;
    int n = fscanf(f, "%llu", &v);
    fclose(f);
    return n == 1 ? v : UINT64_MAX;
}

/* The limits of a cgroup v2 path and of all its ancestors. */
static uint64_t cgroup2_limit(char *path)
{
    uint64_t limit = UINT64_MAX;
    for (;;) {
        char file[4096 + 64];
        snprintf(file, sizeof file, "/sys/fs/cgroup%s/memory.max", path);
        limit = SM_MIN(limit, read_number(file));
        char *slash = strrchr(path, '/');
        if (!slash || !path[0])
            return limit;
        *slash = '\0';
    }
}

uint64_t sm_memory_limit_bytes(void)
{
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = SM_MIN(machine, read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[4096];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            limit = SM_MIN(limit, cgroup2_limit(line + 3));
    }
    if (f)
        fclose(f);
    return limit;
}

unsigned sm_processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)SM_MAX(CPU_COUNT(&set), 1);
    return (unsigned)SM_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
}
