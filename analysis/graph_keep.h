/* Keeps the dependency graph beyond the process: what was counted since the last minutes were finished, on its way to the log
 * (store/graph_log.h), and the sum of what former runs and recordings left there.
 *
 * Calls are collected by minute and source. Each flush writes the minutes that had no call for SM_GRAPH_KEEP_QUIET_NS, or
 * were open for SM_GRAPH_KEEP_OPEN_NS, to the log for good and forgets them; the rest goes to the checkpoint. A minute that
 * has calls again makes another part, so that sums are right whatever comes late.
 *
 * Limits: past CELLS_MAX edges times minutes, minutes are joined to hours, hours to days; then calls are lost to the log and
 * counted. What cannot be written waits, up to WAITING_BYTES_MAX.
 *
 * Threads: add and flush take a mutex; a flush encodes under it and writes without it. One thread flushes. Any thread reads. */
#ifndef SM_GRAPH_KEEP_H
#define SM_GRAPH_KEEP_H

#include "analysis/edges.h"
#include "base/prom.h"
#include "store/graph_log.h"

/* What a crash of the process loses: calls counted since the last flush. */
#define SM_GRAPH_KEEP_FLUSH_NS (5 * SM_SEC)
#define SM_GRAPH_KEEP_QUIET_NS (20 * SM_SEC)
#define SM_GRAPH_KEEP_OPEN_NS  (600 * SM_SEC)

struct sm_graph_keep;

/* Log and names of nodes are borrowed. */
struct sm_graph_keep *sm_graph_keep_new(struct sm_graph_log *log, const struct sm_names *nodes);
void sm_graph_keep_free(struct sm_graph_keep *k);

/* What a source is called in the log (a recording's content hash); its number if nothing was said. Before the flush. */
void sm_graph_keep_name_source(struct sm_graph_keep *k, uint16_t source, uint64_t name);

void sm_graph_keep_add(struct sm_graph_keep *k, const struct sm_edge_calls *calls);

/* Cheap when it is not time yet. `all`: finishes every minute, syncs, and tells through *err whether anything is left unwritten
 * (otherwise problems are logged, counted, and tried again). */
enum sm_rc sm_graph_keep_flush(struct sm_graph_keep *k, int64_t now_ns, bool all, struct sm_err *err);

/* Adds what the log has of [start_ms, end_ms), apart from this run's parts, to *graph, a filled graph of that range. At most
 * edges_max edges (further calls count at "(overflow)"). */
void sm_graph_keep_history(struct sm_graph_keep *k, uint32_t edges_max, struct sm_graph *graph);

/* Writes the metrics of the log. */
void sm_graph_keep_collect(struct sm_graph_keep *k, struct sm_prom *p);
/* The same of a log that does nothing, for help. */
void sm_graph_keep_metrics_sample(void *ctx, struct sm_prom *p);

#endif
