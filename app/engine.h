/* The engine: everything between payloads and sinks, built from the configuration. The daemon puts listeners around it,
 * replay a file reader, tests a script; the engine is the same.
 *
 * Built and freed by one thread. */
#ifndef SM_ENGINE_H
#define SM_ENGINE_H

#include "analysis/dependency.h"
#include "analysis/spanmetrics.h"
#include "analysis/throughput.h"
#include "app/config.h"
#include "base/base.h"
#include "base/prom.h"
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "store/store.h"

enum { SM_ENGINE_ANALYZERS_MAX = 8, SM_ENGINE_SINKS_MAX = SM_FANOUT_SINKS_MAX };

#define SM_ENGINE_STORE_SINK "store"

struct sm_engine {
    const struct sm_config *config;
    uint64_t budget_bytes;
    unsigned workers, shards;
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_rules *rules;
    struct sm_dependency *dependency;   /* NULL: off */
    bool graph_kept;                    /* it has a log */
    struct sm_spanmetrics *span_metrics; /* NULL: off */
    struct sm_throughput *throughput;    /* NULL: sampling rates do not follow the traffic */
    struct sm_analyzer analyzers[SM_ENGINE_ANALYZERS_MAX];
    unsigned analyzer_count;
    struct sm_fanout *fanout;
    struct sm_pipeline *pipeline;
};

struct sm_engine_options {
    enum sm_placement placement;
    unsigned shards;  /* INLINE only; THREADS has one per worker */
    bool ordered;     /* sinks see an order that does not depend on the number of shards */
    bool memory_triggers;
    int64_t start_ns; /* INLINE: where time starts */
    struct sm_store *store; /* becomes the first sink, named SM_ENGINE_STORE_SINK; must outlive the engine. NULL: none */
    struct sm_graph_log *graph_log; /* keeps the dependency graph; with a store only, outlives the engine. NULL: none */
    const struct sm_fanout_sink *sinks; /* taken: closed at the end, also when the engine cannot be built */
    unsigned sink_count;
};

/* NULL after filling *err (with file, line and column when the configuration is to blame). */
struct sm_engine *sm_engine_new(const struct sm_config *config, const struct sm_engine_options *options,
                                struct sm_err *err) SM_MUST_USE;
/* The pipeline has been stopped (INLINE: closed). Stops the fan-out. NULL is allowed. */
void sm_engine_free(struct sm_engine *e);

/* Spans that the sink of this name took; 0 when there is none. Any thread. */
uint64_t sm_engine_delivered(const struct sm_engine *e, const char *sink);

/* After the fan-out has stopped: spans that a required sink (pipeline/fanout.h) did not take before the end. */
uint64_t sm_engine_lost_at_end(const struct sm_engine *e);

/* Control thread, about once a second: forgets what is stale. now_ns: Unix time, the same as arrivals. */
void sm_engine_expire(struct sm_engine *e, int64_t now_ns);

/* Once everything is merged and the store's sink has stopped: what is left of the dependency graph goes to its log. */
enum sm_rc sm_engine_flush_graph(struct sm_engine *e, int64_t now_ns, struct sm_err *err) SM_MUST_USE;

/* Registers the engine's metrics: own ones and those of the analyzers. */
void sm_engine_register_metrics(struct sm_engine *e, struct sm_prom_registry *registry);

#endif
