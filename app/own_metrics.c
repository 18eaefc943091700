/* Writing spanmill's own metrics. */
#include "app/own_metrics.h"

#include "pipeline/sample/rules.h"
#include "query/service.h"
#include "store/store.h"

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
    gauge(p, "spanmill_spans_open", "spans in open windows or waiting for a decision, at the last tick", (double)g.spans_open);
    gauge(p, "spanmill_traces_open", "open windows", (double)g.traces_open);
    gauge(p, "spanmill_span_bytes_open", "canonical bytes of open spans", (double)g.bytes_open);
    gauge(p, "spanmill_memory_bytes", "memory held for traces and payloads", (double)g.memory_bytes);
    gauge(p, "spanmill_memory_limit_bytes", "the memory budget", (double)g.memory_limit_bytes);
    gauge(p, "spanmill_shard_stall_seconds_max", "longest single piece of work of a shard since start",
          (double)g.stall_ns_max / 1e9);
}

static void counter(struct sm_prom *p, const char *name, const char *help, uint64_t value)
{
    sm_prom_family(p, name, SM_PROM_COUNTER, help);
    sm_prom_uint(p, SM_STR(""), value);
}

static void write_rule(struct sm_prom *p, const char *rule, const char *outcome, uint64_t value)
{
    struct sm_buf labels = {0};
    sm_prom_label(&labels, SM_STR("rule"), sm_str_c(rule));
    sm_prom_label(&labels, SM_STR("outcome"), sm_str_c(outcome));
    sm_prom_uint(p, sm_buf_str(&labels), value);
    sm_buf_fini(&labels);
}

void sm_own_metrics_names(void *ctx, struct sm_prom *p)
{
    const struct sm_names *names = ctx;
    gauge(p, "spanmill_names", "distinct service and span names since start", (double)sm_names_count(names));
    counter(p, "spanmill_names_overflowed_total", "look-ups of names that limits.names_max left without a place", sm_names_overflowed(names));
}

void sm_own_metrics_rules(void *ctx, struct sm_prom *p)
{
    struct sm_rules *rules = ctx;
    const struct sm_policy *policy = sm_rules_policy(rules);
    sm_prom_family(p, "spanmill_rule_traces_total", SM_PROM_COUNTER,
                   "traces that a rule matched, by what it said (limited: left to its rate); shadow rules too");
    for (unsigned i = 0; i <= policy->rule_count; i++) {
        uint16_t rule = i < policy->rule_count ? (uint16_t)i : SM_RULE_DEFAULT;
        const char *name = policy->rule_name(rules, rule);
        struct sm_rule_counts c = sm_rules_counts(rules, rule);
        write_rule(p, name, "keep", c.keep);
        write_rule(p, name, "drop", c.drop);
        write_rule(p, name, "limited", c.limit);
    }
    counter(p, "spanmill_rule_regex_limits_total", "comparisons given up because a regular expression backtracked too long",
            sm_rules_regex_limits(rules));
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

static void gauge_uint(struct sm_prom *p, const char *name, const char *help, uint64_t value)
{
    sm_prom_family(p, name, SM_PROM_GAUGE, help);
    sm_prom_uint(p, SM_STR(""), value);
}

static void write_store_contents(const struct sm_store_stats *s, struct sm_prom *p)
{
    gauge_uint(p, "spanmill_store_segments", "segment files", s->segments);
    gauge_uint(p, "spanmill_store_traces", "stored traces; parts of one trace that came at different times count apiece", s->traces);
    gauge_uint(p, "spanmill_store_spans", "stored spans", s->spans);
    gauge_uint(p, "spanmill_store_bytes", "size of the segment files", s->bytes);
    gauge_uint(p, "spanmill_store_bytes_raw", "size of what is stored before compression", s->bytes_raw);
    gauge_uint(p, "spanmill_store_sequence_written", "number of the newest trace that can be read", s->written);
    gauge_uint(p, "spanmill_store_sequence_durable", "number of the newest trace that a crash of the machine leaves", s->durable);
    gauge(p, "spanmill_store_oldest_timestamp_seconds", "when the oldest trace was stored; 0: there is none",
          (double)s->stored_oldest_ns / 1e9);
}

static void write_store_repairs(const struct sm_store_stats *s, struct sm_prom *p)
{
    counter(p, "spanmill_store_tails_cut_total", "torn ends of segments that were cut when the store was opened", s->tails_cut);
    counter(p, "spanmill_store_tail_bytes_cut_total", "bytes of torn ends", s->tail_bytes_cut);
    counter(p, "spanmill_store_damaged_ranges_total", "stretches of segments that are not readable", s->damaged_ranges);
    counter(p, "spanmill_store_damaged_bytes_total", "bytes of such stretches", s->damaged_bytes);
    counter(p, "spanmill_store_damaged_blocks_total", "blocks that turned out to be damaged when they were read", s->damaged_blocks);
    counter(p, "spanmill_store_footers_rebuilt_total", "segments whose footer was missing or damaged", s->footers_rebuilt);
    counter(p, "spanmill_store_segments_set_aside_total", "files that hold nothing readable", s->segments_set_aside);
}

void sm_own_metrics_store_stats(void *ctx, struct sm_prom *p)
{
    const struct sm_store_stats *s = ctx;
    write_store_contents(s, p);
    counter(p, "spanmill_store_appended_traces_total", "traces written since start", s->appended_traces);
    counter(p, "spanmill_store_appended_spans_total", "spans written since start", s->appended_spans);
    counter(p, "spanmill_store_written_bytes_total", "bytes written since start, blocks and footers", s->written_bytes);
    counter(p, "spanmill_store_write_errors_total", "writes and syncs that failed", s->write_errors);
    counter(p, "spanmill_store_syncs_total", "syncs", s->syncs);
    counter(p, "spanmill_store_seals_total", "segments that were finished", s->seals);
    counter(p, "spanmill_store_removed_segments_total", "segments that retention removed", s->removed_segments);
    counter(p, "spanmill_store_removed_traces_total", "traces that retention removed", s->removed_traces);
    counter(p, "spanmill_store_names_overflowed_total", "spans whose names a segment's index did not take", s->names_overflowed);
    write_store_repairs(s, p);
}

void sm_own_metrics_store(void *ctx, struct sm_prom *p)
{
    struct sm_store_stats s;
    sm_store_stats(ctx, &s);
    sm_own_metrics_store_stats(&s, p);
}

void sm_own_metrics_query(void *ctx, struct sm_prom *p)
{
    const struct sm_query_counters *c = ctx;
    counter(p, "spanmill_query_requests_total", "requests to the query APIs", atomic_load(&c->requests));
    counter(p, "spanmill_query_refused_total", "requests refused because too many waited", atomic_load(&c->refused));
    counter(p, "spanmill_query_failed_total", "replies with a status of 400 or more", atomic_load(&c->failed));
    counter(p, "spanmill_query_abandoned_total", "requests whose client went away before their turn", atomic_load(&c->abandoned));
    gauge_uint(p, "spanmill_query_queued", "requests that wait", atomic_load(&c->queued));
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
