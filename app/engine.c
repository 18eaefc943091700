/* Building the engine. The analyzers are listed here and nowhere else. */
#include "app/engine.h"

#include "app/memory_limit.h"
#include "app/own_metrics.h"
#include "app/rules_config.h"
#include "base/clock.h"
#include "sinks/store_sink.h"

#include <stdlib.h>

enum { NAME_BYTES_MAX = 256 << 20, SCOPE_BYTES_MAX = 256 << 20 };

static uint64_t amount(struct sm_config_amount a, uint64_t whole)
{
    return a.share > 0 ? (uint64_t)(a.share * (double)whole) : a.bytes;
}

static unsigned worker_count(const struct sm_config *c)
{
    return SM_MIN(c->workers ? c->workers : sm_processor_count(), (unsigned)SM_PIPELINE_WORKERS_MAX);
}

/* A daemon waits for its disk as long as it takes, within its queue; a replay has somebody who waits for it. */
static const struct sm_sink_retry store_retry = {200 * SM_MS, 5 * SM_SEC, SM_SINK_RETRY_FOREVER};
static const struct sm_sink_retry store_retry_replay = {100 * SM_MS, SM_SEC, 10 * SM_SEC};

/* The store's thread. What goes wrong is logged and tried again. */
static void tend_graph(void *ctx, int64_t now_ns)
{
    struct sm_err err;
    if (sm_dependency_flush(ctx, now_ns, false, &err) != SM_OK)
        return;
}

static struct sm_fanout_sink make_store_sink(struct sm_engine *e, const struct sm_engine_options *o)
{
    const struct sm_policy *policy = sm_rules_policy(e->rules);
    struct sm_store_sink_options options = {
        .store = o->store,
        .sync_ns = e->config->store.sync_ns,
        .recorded_time = o->ordered,
        .tend = e->graph_kept ? tend_graph : NULL,
        .tend_ctx = e->dependency,
        .rule_name = policy->rule_name,
        .rule_ctx = policy->rules,
    };
    return (struct sm_fanout_sink){
        .name = SM_ENGINE_STORE_SINK,
        .ops = &sm_store_sink_ops,
        .sink = sm_store_sink_new(&options),
        .retry = o->ordered ? store_retry_replay : store_retry,
        .required = true,
    };
}

static enum sm_rc make_fanout(struct sm_engine *e, const struct sm_engine_options *o, struct sm_err *err)
{
    struct sm_fanout_sink sinks[SM_ENGINE_SINKS_MAX];
    unsigned count = 0;
    if (o->store)
        sinks[count++] = make_store_sink(e, o);
    SM_ASSERT(count + o->sink_count <= SM_ENGINE_SINKS_MAX);
    for (unsigned i = 0; i < o->sink_count; i++) {
        sinks[count] = o->sinks[i];
        sinks[count++].required = !o->store; /* what is in the store can be sent again */
    }
    struct sm_fanout_config c = {
        .sinks = sinks,
        .sink_count = count,
        .shards = e->shards,
        .placement = o->placement == SM_PLACEMENT_INLINE ? SM_FANOUT_INLINE : SM_FANOUT_THREADS,
        .ordered = o->ordered,
        .queue_bytes_max = (uint64_t)((double)e->budget_bytes * e->config->memory.sinks),
        .seed = o->placement == SM_PLACEMENT_INLINE ? 1 : (uint64_t)sm_clock_wall_ns(),
        .names = e->names,
        .scopes = e->scopes,
    };
    e->fanout = sm_fanout_new(&c, err);
    return e->fanout ? SM_OK : err->rc;
}

static enum sm_rc make_pipeline(struct sm_engine *e, const struct sm_engine_options *o, struct sm_err *err)
{
    const struct sm_config *c = e->config;
    struct sm_pipeline_config p = {
        .placement = o->placement,
        .workers = e->workers,
        .shards = e->shards,
        .windows = sm_windows_default,
        .limits = c->codec,
        .kept_decisions_max = c->late.kept_max,
        .dropped_decisions_max = c->late.dropped_max,
        .skeleton_bytes_max = c->late.memory_bytes,
        .late_grace_ns = c->late.grace_ns,
        .memory_bytes = o->memory_triggers ? e->budget_bytes : 0,
        .memory_soft = c->memory.soft,
        .memory_hard = c->memory.hard,
        .start_ns = o->start_ns,
        .show_kept = o->store && o->placement == SM_PLACEMENT_THREADS,
        .names = e->names,
        .scopes = e->scopes,
        .wanted = e->wanted,
        .policy = sm_rules_policy(e->rules),
        .analyzers = e->analyzers,
        .analyzer_count = e->analyzer_count,
        .fanout = e->fanout,
    };
    p.windows.after_root_ns = c->windows.after_root_ns;
    p.windows.idle_ns = c->windows.idle_ns;
    p.windows.max_age_ns = c->windows.max_age_ns;
    p.windows.max_spans = c->windows.max_spans;
    p.windows.max_bytes = c->windows.max_bytes;
    e->pipeline = sm_pipeline_new(&p, err);
    return e->pipeline ? SM_OK : err->rc;
}

static void add_analyzer(struct sm_engine *e, const struct sm_analyzer_ops *ops, void *global)
{
    SM_ASSERT(e->analyzer_count < SM_ENGINE_ANALYZERS_MAX);
    e->analyzers[e->analyzer_count++] = (struct sm_analyzer){ops, global};
}

static void make_graph(struct sm_engine *e, const struct sm_engine_options *o)
{
    if (!e->config->analysis.graph.enabled)
        return;
    struct sm_dependency_config c = sm_dependency_config_default(e->names);
    c.edges.edges_max = e->config->analysis.graph.edges_max;
    c.nested_servers = e->config->analysis.graph.nested_servers;
    e->dependency = sm_dependency_new(&c);
    e->graph_kept = o->graph_log != NULL;
    if (e->graph_kept)
        sm_dependency_keep(e->dependency, o->graph_log);
    add_analyzer(e, &sm_dependency_ops, e->dependency);
}

static enum sm_rc make_span_metrics(struct sm_engine *e, struct sm_err *err)
{
    if (!e->config->analysis.span_metrics.enabled)
        return SM_OK;
    struct sm_spanmetrics_config c = sm_spanmetrics_config_default(e->names);
    c.series_max = SM_MIN(e->config->analysis.span_metrics.series_max, SM_SPANMETRICS_SERIES_MAX);
    const struct sm_config_strings *dimensions = &e->config->analysis.span_metrics.dimensions;
    enum sm_rc rc = SM_OK;
    for (size_t i = 0; i < dimensions->n && rc == SM_OK; i++)
        rc = sm_spanmetrics_config_dim(&c, e->wanted, sm_str_c(dimensions->items[i]), err);
    e->span_metrics = sm_spanmetrics_new(&c);
    add_analyzer(e, &sm_spanmetrics_ops, e->span_metrics);
    return rc;
}

/* Recordings have no clients that ask for rates. */
static enum sm_rc make_throughput(struct sm_engine *e, const struct sm_engine_options *o, struct sm_err *err)
{
    const struct sm_config *c = e->config;
    if (c->sampling.mode != SM_CONFIG_SAMPLING_ADAPTIVE || o->ordered)
        return SM_OK;
    struct sm_throughput_config t = {.adaptive = {
                                         .names = e->names,
                                         .target = c->sampling.adaptive.target,
                                         .initial = c->sampling.adaptive.initial,
                                         .least = c->sampling.adaptive.least,
                                         .lower_bound = c->sampling.adaptive.lower_bound,
                                         .tolerance = c->sampling.adaptive.tolerance,
                                         .interval_ns = c->sampling.adaptive.interval_ns,
                                         .intervals = c->sampling.adaptive.intervals,
                                         .operations_max = c->sampling.adaptive.operations_max,
                                     }};
    enum sm_rc rc = sm_throughput_config_keys(&t, e->wanted, err);
    if (rc != SM_OK)
        return rc;
    e->throughput = sm_throughput_new(&t, o->placement == SM_PLACEMENT_INLINE ? o->start_ns : sm_clock_wall_ns());
    add_analyzer(e, &sm_throughput_ops, e->throughput);
    return SM_OK;
}

/* What the fan-out would do. */
static void close_sinks(const struct sm_engine_options *o)
{
    for (unsigned i = 0; i < o->sink_count; i++)
        o->sinks[i].ops->close(o->sinks[i].sink);
}

static enum sm_rc build(struct sm_engine *e, const struct sm_engine_options *o, struct sm_err *err)
{
    const struct sm_config *c = e->config;
    bool in_threads = o->placement == SM_PLACEMENT_THREADS;
    e->budget_bytes = amount(c->memory.budget, sm_memory_limit_bytes());
    e->workers = in_threads ? worker_count(c) : 1;
    e->shards = in_threads ? e->workers : SM_MAX(o->shards, 1u);
    e->names = sm_names_new(c->limits.names_max, NAME_BYTES_MAX);
    sm_names_reserve(e->names, c->limits.names_max / 16, NAME_BYTES_MAX / 16);
    e->scopes = sm_scopes_new(e->names, c->limits.scopes_max, SCOPE_BYTES_MAX);
    e->wanted = sm_wanted_new(1);
    enum sm_rc rc = sm_rules_config_compile(c, e->wanted, &e->rules, err);
    make_graph(e, o);
    if (rc == SM_OK)
        rc = make_span_metrics(e, err);
    if (rc == SM_OK)
        rc = make_throughput(e, o, err);
    if (rc != SM_OK) {
        close_sinks(o);
        return rc;
    }
    rc = make_fanout(e, o, err);
    if (rc == SM_OK)
        rc = make_pipeline(e, o, err);
    return rc;
}

struct sm_engine *sm_engine_new(const struct sm_config *config, const struct sm_engine_options *options, struct sm_err *err)
{
    struct sm_engine *e = sm_xcalloc(1, sizeof *e);
    e->config = config;
    if (build(e, options, err) == SM_OK)
        return e;
    sm_engine_free(e);
    return NULL;
}

void sm_engine_free(struct sm_engine *e)
{
    if (!e)
        return;
    if (e->fanout)
        sm_fanout_stop(e->fanout, 0);
    sm_pipeline_free(e->pipeline);
    sm_fanout_free(e->fanout);
    sm_dependency_free(e->dependency);
    sm_spanmetrics_free(e->span_metrics);
    sm_throughput_free(e->throughput);
    sm_rules_free(e->rules);
    sm_wanted_free(e->wanted);
    sm_scopes_free(e->scopes);
    sm_names_free(e->names);
    free(e);
}

uint64_t sm_engine_delivered(const struct sm_engine *e, const char *sink)
{
    for (unsigned i = 0; i < sm_fanout_sink_count(e->fanout); i++) {
        if (strcmp(sm_fanout_sink_name(e->fanout, i), sink) == 0)
            return sm_fanout_stat(e->fanout, i, SM_FANOUT_DELIVERED);
    }
    return 0;
}

uint64_t sm_engine_lost_at_end(const struct sm_engine *e)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < sm_fanout_sink_count(e->fanout); i++) {
        if (sm_fanout_sink_required(e->fanout, i))
            lost += sm_fanout_stat(e->fanout, i, SM_FANOUT_DROPPED_SHUTDOWN);
    }
    return lost;
}

void sm_engine_expire(struct sm_engine *e, int64_t now_ns)
{
    if (e->dependency)
        sm_dependency_expire(e->dependency, (uint64_t)now_ns);
    if (e->span_metrics)
        sm_spanmetrics_expire(e->span_metrics, (uint64_t)now_ns);
    if (e->throughput)
        sm_throughput_step(e->throughput, now_ns);
}

enum sm_rc sm_engine_flush_graph(struct sm_engine *e, int64_t now_ns, struct sm_err *err)
{
    return e->graph_kept ? sm_dependency_flush(e->dependency, now_ns, true, err) : SM_OK;
}

void sm_engine_register_metrics(struct sm_engine *e, struct sm_prom_registry *registry)
{
    sm_prom_registry_add(registry, "pipeline", sm_own_metrics_pipeline, e->pipeline);
    sm_prom_registry_add(registry, "names", sm_own_metrics_names, e->names);
    sm_prom_registry_add(registry, "rules", sm_own_metrics_rules, e->rules);
    sm_prom_registry_add(registry, "fanout", sm_own_metrics_fanout, e->fanout);
    if (e->span_metrics) {
        sm_prom_registry_add(registry, "span_metrics", sm_spanmetrics_collect, e->span_metrics);
        sm_prom_registry_add(registry, "span_metrics_own", sm_spanmetrics_collect_own, e->span_metrics);
    }
    if (e->dependency) {
        sm_prom_registry_add(registry, "dependency", sm_dependency_collect, e->dependency);
        sm_prom_registry_add(registry, "dependency_own", sm_dependency_collect_own, e->dependency);
        if (e->graph_kept)
            sm_prom_registry_add(registry, "dependency_kept", sm_dependency_collect_kept, e->dependency);
    }
    if (e->throughput)
        sm_prom_registry_add(registry, "throughput", sm_throughput_collect, e->throughput);
    sm_prom_registry_add(registry, "process", sm_own_metrics_process, NULL);
}
