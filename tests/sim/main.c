/* simulation [--seeds N] [--from S]: the whole pipeline, N times, each time as one seed tells. README.md says what is checked. */
#include "sim.h"

#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void say(const struct sim_plan *plan, unsigned shards, struct sm_buf *text)
{
    printf("seed %llu, %u shards (%s%s%s%s): %.*s  repeat with: simulation --seeds 1 --from %llu\n",
           (unsigned long long)plan->seed, shards, plan->exact ? "exact" : "rough", plan->memory ? ", memory" : "",
           plan->ordered ? ", ordered" : "", plan->caches_hold ? "" : ", small caches", SM_STR_ARG(sm_buf_str(text)),
           (unsigned long long)plan->seed);
}

/* The first line in which two texts differ. */
static void show_difference(struct sm_str a, struct sm_str b, struct sm_buf *text)
{
    size_t at = 0, line = 0;
    for (; at < a.len && at < b.len && a.ptr[at] == b.ptr[at]; at++)
        line = a.ptr[at] == '\n' ? at + 1 : line;
    sm_buf_printf(text, "differs from 1 shard:\n  1: %.*s\n  n: %.*s\n", (int)strcspn(a.ptr + line, "\n"), a.ptr + line,
                  (int)strcspn(b.ptr + line, "\n"), b.ptr + line);
}

static bool same_digest(const struct sim_run *run, struct sm_buf *first, struct sm_buf *text)
{
    struct sm_buf digest = {0};
    sim_digest(run, &digest);
    sm_buf_putc(&digest, '\0');
    bool ok = true;
    if (run->shards == 1) {
        *first = digest;
        return true;
    }
    ok = sm_str_eq(sm_buf_str(first), sm_buf_str(&digest));
    if (!ok)
        show_difference(sm_buf_str(first), sm_buf_str(&digest), text);
    sm_buf_fini(&digest);
    return ok;
}

static bool run_shards(const struct sim_plan *plan, const struct sim_traffic *traffic, unsigned shards,
                       struct sm_buf *first, struct sim_checked *sums)
{
    struct sim_run run = {.plan = plan, .traffic = traffic, .shards = shards};
    struct sm_buf text = {0};
    bool ok = sim_drive(&run, &text) && sim_bytes_check(&run, &text) &&
              (!plan->exact || sim_model_check(&run, sums, &text)) &&
              (plan->memory || !plan->caches_hold || same_digest(&run, first, &text));
    if (ok) {
        sums->refused += run.refused;
        sums->early += sm_pipeline_stat(run.engine->pipeline, SM_STAT_CLOSED_MEMORY);
        sim_run_free(&run);
    } else {
        say(plan, shards, &text);
    }
    sm_buf_fini(&text);
    return ok;
}

static bool run_seed(uint64_t seed, struct sim_checked *sums)
{
    static const unsigned shards[] = {1, 2, 4};
    struct sim_plan plan;
    struct sim_traffic traffic;
    struct sm_buf digest = {0};
    sim_plan_make(&plan, seed);
    sim_traffic_make(&traffic, &plan);
    bool ok = true;
    for (unsigned i = 0; i < SM_ARRAY_LEN(shards) && ok; i++)
        ok = run_shards(&plan, &traffic, shards[i], &digest, sums);
    if (ok) {
        sim_traffic_free(&traffic);
        sim_plan_free(&plan);
    }
    sm_buf_fini(&digest);
    return ok;
}

/* A broken assertion of the product: which seed it was. */
static char under_way[64];

static void on_abort(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, under_way, strlen(under_way));
    (void)written;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*end || end == text) {
        fprintf(stderr, "simulation: not a number: %s\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 200, from = 1, failed = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seeds") == 0)
            seeds = number(argv[i + 1]);
        else if (strcmp(argv[i], "--from") == 0)
            from = number(argv[i + 1]);
        else
            return fprintf(stderr, "usage: simulation [--seeds N] [--from S]\n"), 2;
    }
    struct sim_checked sums = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = open("/dev/null", O_WRONLY)});
    signal(SIGABRT, on_abort);
    for (uint64_t seed = from; seed < from + seeds; seed++) {
        snprintf(under_way, sizeof under_way, "simulation: aborted in seed %llu\n", (unsigned long long)seed);
        failed += !run_seed(seed, &sums);
    }
    printf("compared with the model: %llu windows (%llu late) of %llu spans, %llu duplicates, %llu calls of the graph\n",
           (unsigned long long)sums.windows, (unsigned long long)sums.late_windows, (unsigned long long)sums.spans,
           (unsigned long long)sums.duplicates, (unsigned long long)sums.graph_calls);
    printf("when memory was short: %llu payloads refused, %llu windows closed early\n", (unsigned long long)sums.refused,
           (unsigned long long)sums.early);
    printf("%llu passed, %llu failed\n", (unsigned long long)(seeds - failed), (unsigned long long)failed);
    return failed ? 1 : 0;
}
