/* spanmill replay: recorded spans through the same stages, on recorded time. */
#include "app/command.h"
#include "app/replay.h"
#include "app/sinks_config.h"
#include "app/store_config.h"
#include "base/nearest.h"

#include <stdlib.h>
#include <unistd.h>

enum { OPTION_INTO = SM_OPTION_CONFIG_COUNT, OPTION_SHARDS, OPTION_QUIET };

struct options {
    struct sm_config_args config_args;
    unsigned shards;
    bool quiet;
    const char *into[SM_ENGINE_SINKS_MAX];
    size_t into_count;
    char **files;
    size_t file_count;
};

/* Where kept traces go. */
struct targets {
    const char *store_dir; /* NULL: none */
    const struct sm_config_sink *sinks[SM_ENGINE_SINKS_MAX];
    unsigned sink_count;
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

static size_t count_edges(struct sm_engine *e)
{
    struct sm_graph graph;
    sm_dependency_snapshot(e->dependency, 0, INT64_MAX, SM_EDGES_ANY_SOURCE, &graph);
    size_t count = graph.count;
    sm_graph_fini(&graph);
    return count;
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
    if (e->dependency)
        printf("edges: %zu\n", count_edges(e));
    if (t->records_refused || t->spans_rejected)
        printf("problems: %llu record%s and %llu span%s refused; first: %s\n", (unsigned long long)t->records_refused,
               t->records_refused == 1 ? "" : "s", (unsigned long long)t->spans_rejected, t->spans_rejected == 1 ? "" : "s",
               t->first_problem);
}

static uint64_t lost_spans(const struct sm_fanout *f, unsigned sink)
{
    return sm_fanout_stat(f, sink, SM_FANOUT_DROPPED_QUEUE_FULL) + sm_fanout_stat(f, sink, SM_FANOUT_DROPPED_RETRIES) +
           sm_fanout_stat(f, sink, SM_FANOUT_DROPPED_SHUTDOWN);
}

/* What was written where; false when something was not. */
static bool print_sinks(const struct sm_fanout *f)
{
    bool all = true;
    for (unsigned i = 0; i < sm_fanout_sink_count(f); i++) {
        uint64_t rejected = sm_fanout_stat(f, i, SM_FANOUT_REJECTED), lost = lost_spans(f, i);
        printf("into %s: %llu spans written, %llu refused, %llu lost\n", sm_fanout_sink_name(f, i),
               (unsigned long long)sm_fanout_stat(f, i, SM_FANOUT_DELIVERED), (unsigned long long)rejected,
               (unsigned long long)lost);
        all = all && rejected == 0 && lost == 0;
    }
    return all;
}

/* Not part of the output: it differs from run to run. */
static void print_speed(const struct sm_replay_totals *t)
{
    double seconds = (double)t->took_ns / 1e9;
    fprintf(stderr, "%llu spans in %.2f s: %.0f spans/s, %.0f MB/s\n", (unsigned long long)t->spans, seconds,
            (double)t->spans / seconds, (double)t->bytes / 1e6 / seconds);
}

static const struct sm_config_sink *find_sink(const struct sm_config *config, const char *name)
{
    for (size_t i = 0; i < config->sinks.n; i++) {
        if (strcmp(config->sinks.items[i].name, name) == 0)
            return &config->sinks.items[i];
    }
    return NULL;
}

static enum sm_rc no_such_sink(const struct sm_config *config, const char *name, struct sm_err *err)
{
    const char **names = sm_xcalloc(config->sinks.n + 1, sizeof *names);
    for (size_t i = 0; i < config->sinks.n; i++)
        names[i] = config->sinks.items[i].name;
    const char *near = sm_nearest(sm_str_c(name), names, config->sinks.n);
    enum sm_rc rc = near ? sm_err_set(err, SM_E_NOTFOUND, "--into sink:%.60s: there is no such sink; did you mean \"%s\"?", name, near)
                         : sm_err_set(err, SM_E_NOTFOUND, "--into sink:%.60s: the configuration has no such sink", name);
    free(names);
    return rc;
}

static enum sm_rc take_target(const struct sm_config *config, const char *text, struct targets *t, struct sm_err *err)
{
    if (strncmp(text, "sink:", 5) == 0) {
        const struct sm_config_sink *sink = find_sink(config, text + 5);
        if (!sink)
            return no_such_sink(config, text + 5, err);
        t->sinks[t->sink_count++] = sink;
        return SM_OK;
    }
    if (t->store_dir)
        return sm_err_set(err, SM_E_INVALID, "--into takes one store only");
    t->store_dir = strncmp(text, "store:", 6) == 0 ? text + 6 : text;
    return SM_OK;
}

static enum sm_rc take_targets(const struct sm_config *config, const struct options *o, struct targets *t, struct sm_err *err)
{
    enum sm_rc rc = SM_OK;
    *t = (struct targets){0};
    for (size_t i = 0; i < o->into_count && rc == SM_OK; i++)
        rc = take_target(config, o->into[i], t, err);
    return rc;
}

static struct sm_engine *make_engine(const struct sm_config *config, const struct options *o, const struct targets *t,
                                     struct sm_store *store, struct sm_graph_log *graph_log, struct sm_err *err)
{
    struct sm_replay_into into = {.store = store, .graph_log = graph_log, .sink_count = t->sink_count};
    for (unsigned i = 0; i < t->sink_count; i++)
        into.sinks[i] = sm_sinks_config_make(t->sinks[i]);
    return sm_replay_engine_new(config, o->shards, &into, err);
}

/* Replays into the sinks of the engine and says what came of it. */
static enum sm_rc run_files(struct sm_engine *e, const struct options *o, struct sm_err *err)
{
    struct sm_replay_totals totals;
    enum sm_rc rc = sm_replay_files(e, o->files, o->file_count, !o->quiet, &totals, err);
    if (rc != SM_OK)
        return rc;
    print_summary(e, &totals);
    if (!print_sinks(e->fanout))
        rc = sm_err_set(err, SM_E_IO, "not everything could be written");
    else if (totals.records_refused && totals.spans == 0)
        rc = sm_err_set(err, SM_E_INVALID, "none of the records could be read");
    if (!o->quiet)
        print_speed(&totals);
    return rc;
}

static enum sm_exit replay(const struct sm_config *config, const struct options *o)
{
    struct sm_err err;
    struct targets targets;
    struct sm_store *store = NULL;
    struct sm_graph_log *graph_log = NULL;
    struct sm_engine *e = NULL;
    sm_replay_fix_seed();
    enum sm_rc rc = take_targets(config, o, &targets, &err);
    if (rc == SM_OK && targets.store_dir)
        rc = sm_store_config_open_replay(targets.store_dir, &store, &err);
    if (rc == SM_OK && store && config->analysis.graph.enabled)
        rc = sm_store_config_open_replay_graph(targets.store_dir, &graph_log, &err);
    if (rc == SM_OK) {
        e = make_engine(config, o, &targets, store, graph_log, &err);
        rc = e ? run_files(e, o, &err) : err.rc;
    }
    if (rc != SM_OK)
        fprintf(stderr, "spanmill replay: %s\n", err.text);
    sm_engine_free(e);
    sm_graph_log_close(graph_log);
    sm_store_close(store);
    return rc == SM_OK ? SM_EXIT_OK : SM_EXIT_FAILURE;
}

static bool add_target(struct sm_args *args, struct options *o)
{
    if (o->into_count == SM_ARRAY_LEN(o->into)) {
        sm_args_usage(args, "--into can be given %zu times", SM_ARRAY_LEN(o->into));
        return false;
    }
    o->into[o->into_count++] = args->value;
    return true;
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
        if (option == SM_ARGS_ERROR || (option == OPTION_SHARDS && !take_shards(args, &o)) ||
            (option == OPTION_INTO && !add_target(args, &o)))
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
    .help = "Reads recordings, OTLP JSON lines, OTLP protobuf with a 4-byte big-endian length before each message, a JSON array\n"
            "of Zipkin spans, or traces that Jaeger's UI downloaded, plain or compressed with gzip or zstd; the contents tell\n"
            "which. A directory stands for the files in it and below, \"-\" for standard input. Windows close by recorded time,\n"
            "so that the result is that of a live run and the same every time. Writes nothing, except what is kept into the\n"
            "targets of --into: the directory of a store (created when absent; not one that a daemon has open), where traces\n"
            "have their recorded times and retention counts from these, or a sink of the configuration. A store also gets the\n"
            "dependency graph, of all traces; that of a file that is replayed again replaces what the file gave before.",
    .options = {SM_CONFIG_OPTIONS,
                [OPTION_INTO] = {"into", 'i', "TARGET", "write kept traces: DIR or store:DIR, or sink:NAME; may be repeated"},
                [OPTION_SHARDS] = {"shards", 'j', "N", "split the work over N shards; the result is the same (1)"},
                [OPTION_QUIET] = {"quiet", 'q', NULL, "no progress, no speed"}},
    .run = run,
};
