/* spanmill replay: recorded spans through the same stages, on recorded time. */
#include "app/command.h"
#include "app/replay.h"

#include <stdlib.h>
#include <unistd.h>

enum { OPTION_SHARDS = SM_OPTION_CONFIG_COUNT, OPTION_QUIET };

struct options {
    struct sm_config_args config_args;
    unsigned shards;
    bool quiet;
    char **files;
    size_t file_count;
};

static void print_rules(struct sm_engine *e)
{
    const struct sm_policy *policy = sm_rules_policy(e->rules);
    printf("rules:\n");
    for (unsigned i = 0; i <= policy->rule_count; i++) {
        uint16_t rule = i < policy->rule_count ? (uint16_t)i : SM_RULE_DEFAULT;
        struct sm_rule_counts c = sm_rules_counts(e->rules, rule);
        printf("  %-24s matched %10llu  keep %10llu  drop %10llu  rate-limited %10llu\n", policy->rule_name(policy->rules, rule),
               (unsigned long long)c.matched, (unsigned long long)c.keep, (unsigned long long)c.drop,
               (unsigned long long)c.limit);
    }
}

static void print_summary(struct sm_engine *e, const struct sm_replay_totals *t)
{
    const struct sm_pipeline *p = e->pipeline;
    printf("files: %llu\nspans: %llu received, %llu kept, %llu sampled out, %llu duplicate, %llu rejected\n",
           (unsigned long long)t->files, (unsigned long long)t->spans, (unsigned long long)sm_pipeline_stat(p, SM_STAT_SPANS_KEPT),
           (unsigned long long)sm_pipeline_stat(p, SM_STAT_SPANS_SAMPLED_OUT),
           (unsigned long long)sm_pipeline_stat(p, SM_STAT_SPANS_DUPLICATE), (unsigned long long)t->spans_rejected);
    printf("traces: %llu kept, %llu sampled out\n", (unsigned long long)sm_pipeline_stat(p, SM_STAT_TRACES_KEPT),
           (unsigned long long)sm_pipeline_stat(p, SM_STAT_TRACES_SAMPLED_OUT));
    print_rules(e);
    if (t->records_refused || t->spans_rejected)
        printf("problems: %llu records and %llu spans refused; first: %s\n", (unsigned long long)t->records_refused,
               (unsigned long long)t->spans_rejected, t->first_problem);
}

/* Not part of the output: it differs from run to run. */
static void print_speed(const struct sm_replay_totals *t)
{
    double seconds = (double)t->took_ns / 1e9;
    fprintf(stderr, "%llu spans in %.2f s: %.0f spans/s, %.0f MB/s\n", (unsigned long long)t->spans, seconds,
            (double)t->spans / seconds, (double)t->bytes / 1e6 / seconds);
}

static enum sm_exit replay(const struct sm_config *config, const struct options *o)
{
    struct sm_err err;
    struct sm_engine *e = sm_replay_engine_new(config, o->shards, &err);
    if (!e) {
        fprintf(stderr, "spanmill replay: %s\n", err.text);
        return SM_EXIT_FAILURE;
    }
    struct sm_replay_totals totals;
    enum sm_rc rc = sm_replay_files(e, o->files, o->file_count, !o->quiet, &totals, &err);
    if (rc == SM_OK)
        print_summary(e, &totals);
    else
        fprintf(stderr, "spanmill replay: %s\n", err.text);
    if (rc == SM_OK && !o->quiet)
        print_speed(&totals);
    sm_engine_free(e);
    return rc == SM_OK ? SM_EXIT_OK : SM_EXIT_FAILURE;
}

/* False after reporting. */
static bool take_shards(struct sm_args *args, struct options *o)
{
    char *end;
    unsigned long n = strtoul(args->value, &end, 10);
    if (*end || n < 1 || n > SM_PIPELINE_SHARDS_MAX) {
        sm_args_usage(args, "--shards takes a number from 1 to %d", SM_PIPELINE_SHARDS_MAX);
        return false;
    }
    o->shards = (unsigned)n;
    return true;
}

static enum sm_exit run(struct sm_args *args)
{
    struct options o = {.shards = 1};
    int option;
    enum sm_exit code = SM_EXIT_USAGE;
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR || (option == OPTION_SHARDS && !take_shards(args, &o)))
            goto out;
        if (option == SM_ARGS_OPERAND) {
            o.files = sm_xrealloc(o.files, (o.file_count + 1) * sizeof *o.files);
            o.files[o.file_count++] = (char *)(uintptr_t)args->value;
        } else if (option == OPTION_QUIET) {
            o.quiet = true;
        } else {
            sm_config_args_take(&o.config_args, option, args->value);
        }
    }
    if (!o.file_count) {
        code = sm_args_usage(args, "needs at least one FILE (\"-\" for standard input)");
        goto out;
    }
    struct sm_config *config = sm_config_args_load(&o.config_args);
    if (!config)
        goto out;
    code = replay(config, &o);
    sm_config_free(config);
out:
    free(o.files);
    return code;
}

const struct sm_command sm_command_replay = {
    .name = "replay",
    .operands = "FILE...",
    .summary = "try rules on recorded spans, rebuild a graph, fill a store",
    .help = "Reads recordings, OTLP JSON lines, OTLP protobuf with a 4-byte big-endian length before each message, or a JSON array\n"
            "of Zipkin spans, plain or compressed with gzip or zstd; the contents tell which. Windows close by recorded time,\n"
            "so that the result is that of a live run and the same every time. Writes nothing.",
    .options = {SM_CONFIG_OPTIONS,
                [OPTION_SHARDS] = {"shards", 'j', "N", "split the work over N shards; the result is the same (1)"},
                [OPTION_QUIET] = {"quiet", 'q', NULL, "no progress, no speed"}},
    .run = run,
};
