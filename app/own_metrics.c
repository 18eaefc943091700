/* Writing spanmill's own metrics. */
#include "app/own_metrics.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void write_stats(const struct sm_pipeline *pipeline, struct sm_prom *p)
{
    for (unsigned i = 0; i < SM_STAT_COUNT; i++) {
        const struct sm_stat_info *info = &sm_stat_infos[i];
        sm_prom_family(p, info->metric, SM_PROM_COUNTER, info->help);
        sm_prom_uint(p, sm_str_c(info->labels), sm_pipeline_stat(pipeline, (enum sm_stat)i));
    }
}

static uint64_t write_rejected(const struct sm_pipeline *pipeline, struct sm_prom *p)
{
    uint64_t sum = 0;
    sm_prom_family(p, "spanmill_spans_rejected_total", SM_PROM_COUNTER, "spans refused one by one, by reason");
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++) {
        struct sm_buf labels = {0};
        sm_prom_label(&labels, SM_STR("reason"), sm_str_c(sm_reject_name((enum sm_reject)i)));
        uint64_t n = sm_pipeline_rejected(pipeline, (enum sm_reject)i);
        sm_prom_uint(p, sm_buf_str(&labels), n);
        sm_buf_fini(&labels);
        sum += n;
    }
    return sum;
}

static void gauge(struct sm_prom *p, const char *name, const char *help, double value)
{
    sm_prom_family(p, name, SM_PROM_GAUGE, help);
    sm_prom_double(p, SM_STR(""), value);
}

void sm_own_metrics_pipeline(void *ctx, struct sm_prom *p)
{
    const struct sm_pipeline *pipeline = ctx;
    write_stats(pipeline, p);
    uint64_t rejected = write_rejected(pipeline, p);
    uint64_t received = sm_pipeline_stat(pipeline, SM_STAT_SPANS_RECEIVED) + sm_pipeline_stat(pipeline, SM_STAT_SPANS_RESTORED);
    sm_prom_family(p, "spanmill_spans_admitted_total", SM_PROM_COUNTER, "spans received, neither rejected nor duplicates");
    sm_prom_uint(p, SM_STR(""), received - rejected - sm_pipeline_stat(pipeline, SM_STAT_SPANS_DUPLICATE));
    struct sm_pipeline_gauges g = sm_pipeline_gauges(pipeline);
    gauge(p, "spanmill_spans_open", "spans in open windows or waiting for a decision", (double)g.spans_open);
    gauge(p, "spanmill_traces_open", "open windows", (double)g.traces_open);
    gauge(p, "spanmill_span_bytes_open", "canonical bytes of open spans", (double)g.bytes_open);
    gauge(p, "spanmill_memory_bytes", "memory held for traces and payloads", (double)g.memory_bytes);
    gauge(p, "spanmill_memory_limit_bytes", "the memory budget", (double)g.memory_limit_bytes);
    gauge(p, "spanmill_shard_stall_seconds_max", "longest single piece of work of a shard since start",
          (double)g.stall_ns_max / 1e9);
}

void sm_own_metrics_fanout(void *ctx, struct sm_prom *p)
{
    const struct sm_fanout *f = ctx;
    for (unsigned stat = 0; stat < SM_FANOUT_STAT_COUNT; stat++) {
        const struct sm_fanout_stat_info *info = &sm_fanout_stat_infos[stat];
        sm_prom_family(p, info->metric, strcmp(info->type, "gauge") == 0 ? SM_PROM_GAUGE : SM_PROM_COUNTER, info->help);
        for (unsigned sink = 0; sink < sm_fanout_sink_count(f); sink++) {
            struct sm_buf labels = {0};
            sm_prom_label(&labels, SM_STR("sink"), sm_str_c(sm_fanout_sink_name(f, sink)));
            if (info->labels[0])
                sm_buf_printf(&labels, ",%s", info->labels);
            sm_prom_uint(p, sm_buf_str(&labels), sm_fanout_stat(f, sink, (enum sm_fanout_stat)stat));
            sm_buf_fini(&labels);
        }
    }
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long total, resident = 0;
    if (f && fscanf(f, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void sm_own_metrics_process(void *ctx, struct sm_prom *p)
{
    (void)ctx;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    sm_prom_family(p, "spanmill_build_info", SM_PROM_GAUGE, "1; the labels say what was built");
    sm_prom_uint(p, SM_STR("version=\"" SM_VERSION "\""), 1);
    sm_prom_family(p, "process_cpu_seconds_total", SM_PROM_COUNTER, "user and system CPU time");
    sm_prom_double(p, SM_STR(""), seconds(usage.ru_utime) + seconds(usage.ru_stime));
    gauge(p, "process_resident_memory_bytes", "resident memory", resident_bytes());
}
