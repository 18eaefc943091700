/* bench_map: the longest time that a shard's map of open traces holds the shard up while it grows. Additions that make a
 * sub-table double are timed, by the thread's CPU clock, so that another process on the core is not taken for a stall. The same
 * additions are made several times over and the least time of each counts, for what a virtual machine loses to others is in that clock too. */
#include "bench/options.h"
#include "bench/random.h"
#include "pipeline/trace_map.h"

#include <getopt.h>
#include <stdlib.h>
#include <time.h>

static const char usage[] = "usage: bench_map [options]\n"
                            "  --traces N      open traces at the end (10m)\n"
                            "  --json\n";

enum { ROUNDS = 4, GROWTHS_MAX = 1 << 20 };

static int64_t step_ns[GROWTHS_MAX]; /* the least of each growth so far */

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * SM_SEC + t.tv_nsec;
}

/* Returns how often a sub-table grew. */
static uint32_t fill(uint64_t traces)
{
    struct sm_trace *trace = sm_xcalloc(1, sizeof *trace); /* of a trace the map reads only the id */
    struct sm_trace_map map;
    struct bench_random random = {1};
    uint32_t growths = 0;
    sm_trace_map_init(&map);
    for (uint64_t i = 0; i < traces; i++) {
        trace->id = (struct sm_trace_id){bench_random_u64(&random), bench_random_u64(&random)};
        uint64_t hash = sm_trace_map_hash(trace->id.lo);
        const struct sm_trace_map_table *table = &map.tables[hash >> SM_TRACE_MAP_SHIFT];
        uint32_t mask = table->mask;
        int64_t began_ns = table->used * 2 >= mask ? cpu_ns() : 0; /* perhaps about to grow */
        sm_trace_map_add(&map, hash, trace);
        if (table->mask == mask)
            continue;
        SM_ASSERT(began_ns && growths < GROWTHS_MAX);
        int64_t took_ns = cpu_ns() - began_ns;
        step_ns[growths] = step_ns[growths] ? SM_MIN(step_ns[growths], took_ns) : took_ns;
        growths++;
    }
    sm_trace_map_fini(&map);
    free(trace);
    return growths;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"traces", required_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    uint64_t traces = 10000000;
    bool json = false;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 't')
            traces = bench_options_count("traces", optarg);
        else if (c == 'j')
            json = true;
        else
            bench_options_fail("%s", usage);
    }
    uint32_t growths = 0;
    for (unsigned round = 0; round < ROUNDS; round++)
        growths = fill(traces);
    int64_t longest_ns = 0;
    for (uint32_t i = 0; i < growths; i++)
        longest_ns = SM_MAX(longest_ns, step_ns[i]);
    printf(json ? "{\"traces\": %llu, \"longest_ms\": %.4f, \"growths\": %u}\n"
                : "traces %llu, longest step of growth %.4f ms of %u\n",
           (unsigned long long)traces, (double)longest_ns / 1e6, growths);
    return 0;
}
