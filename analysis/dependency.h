/* The analyzer of who calls whom: dependency graph (analysis/edges.h) and service graph (analysis/calls.h), both from
 * one walk over each trace (analysis/linker.h).
 *
 * A call counts in the minute of its callee's start, else its caller's, else the trace's, else the trace's arrival.
 * Clocks that are more than a day away from arrival are not believed: such a call counts in the minute of arrival, and
 * in a counter.
 *
 * The same traces make the same graph and the same series whatever the number of shards and the order of merging, as
 * long as no limit is reached.
 *
 * Threads: as pipeline/analyzer.h says. Everything that takes the global state may be called from any thread, apart
 * from merge (the control thread). At the end, ship and merge every shard twice: the first round may find a delta still
 * away. */
#ifndef SM_DEPENDENCY_H
#define SM_DEPENDENCY_H

#include "analysis/edges.h"
#include "base/base.h"
#include "base/prom.h"
#include "pipeline/analyzer.h"
#include "span/graph.h"
#include "span/series.h"
#include "store/graph_log.h"

struct sm_dependency;

struct sm_dependency_config {
    const struct sm_names *services; /* texts of resources' service ids */
    uint32_t nodes_max;              /* names of services and peers */
    struct sm_edges_config edges;
    uint32_t series_max; /* label sets of the service graph */
    uint64_t stale_ns;   /* a series of the service graph is forgotten when it had no call for so long */
    bool peer_addresses; /* name peers of clients by server.address and net.peer.name too */
    bool nested_servers; /* see sm_linker_config */
};

/* 20,000 nodes, 100,000 edges; minutes for 4 hours, hours for 7 days, days for 90 days, 100,000 cells together; 20,000
 * label sets, stale after 15 minutes; addresses name peers; servers may be nested. */
struct sm_dependency_config sm_dependency_config_default(const struct sm_names *services);

/* Shards (sm_dependency_ops.shard_new) are freed before it. */
struct sm_dependency *sm_dependency_new(const struct sm_dependency_config *config);
void sm_dependency_free(struct sm_dependency *d);

extern const struct sm_analyzer_ops sm_dependency_ops;

/* Joins old minutes and forgets stale series; called now and then (seconds). Unix time, the same as arrivals. */
void sm_dependency_expire(struct sm_dependency *d, uint64_t now_ns);

/* Forgets what a source said, before it is read again. */
void sm_dependency_forget_source(struct sm_dependency *d, uint16_t source);

/* The graph of [start_ms, end_ms), Unix time, of one source or of SM_EDGES_ANY_SOURCE. Free it with sm_graph_fini. */
void sm_dependency_snapshot(struct sm_dependency *d, int64_t start_ms, int64_t end_ms, uint32_t source,
                            struct sm_graph *out);

/* Keeps the graph in a log from here on (analysis/graph_keep.h); before any shard. The log is borrowed. */
void sm_dependency_keep(struct sm_dependency *d, struct sm_graph_log *log);

/* With a log: as sm_graph_keep_name_source and sm_graph_keep_flush. */
void sm_dependency_name_source(struct sm_dependency *d, uint16_t source, uint64_t name);
enum sm_rc sm_dependency_flush(struct sm_dependency *d, int64_t now_ns, bool all, struct sm_err *err);

/* The graph of [start_ms, end_ms): this run's, from memory, and that of former runs and recordings, from the log. */
void sm_dependency_history(struct sm_dependency *d, int64_t start_ms, int64_t end_ms, struct sm_graph *out);

/* The service graph's series, sorted. Free them with sm_series_set_fini. */
void sm_dependency_series(struct sm_dependency *d, struct sm_series_set *set);

/* Collectors for base/prom.h; ctx is the struct sm_dependency. The second one writes the analyzer's own state, the third one,
 * with a log, that of the log. */
void sm_dependency_collect(void *ctx, struct sm_prom *p);
void sm_dependency_collect_own(void *ctx, struct sm_prom *p);
void sm_dependency_collect_kept(void *ctx, struct sm_prom *p);

#endif
