/* The dependency graph over time: calls, errors and latency per edge, source and piece of time.
 *
 * Pieces of time start as minutes. sm_edges_compact joins what has become old: minutes to hours, hours to days; days
 * that are too old are forgotten. A source is what sm_trace.source says; one that is read again is forgotten first
 * (sm_edges_forget_source), so that nothing counts twice.
 *
 * Limits: past edges_max, calls go to one edge "(overflow)" -> "(overflow)". Past cells_max (pieces of time of all
 * edges), what is old is joined early, as far as needed; if nothing is left to join, the oldest days are forgotten and
 * counted.
 *
 * Not thread-safe: analysis/dependency.c holds a mutex around it. */
#ifndef SM_EDGES_H
#define SM_EDGES_H

#include "analysis/table.h"
#include "base/base.h"
#include "span/graph.h"
#include "span/names.h"

struct sm_edges_config {
    uint32_t edges_max;
    uint32_t cells_max;
    uint32_t minutes_keep_min; /* how long minutes stay minutes, in minutes */
    uint32_t hours_keep_min;   /* how long hours stay hours */
    uint32_t days_keep_min;    /* how long days stay */
};

/* Calls of one edge in one minute, as shards ship them. */
struct sm_edge_calls {
    uint32_t parent, child; /* node ids */
    uint32_t minute;        /* since 1970 */
    uint16_t source;
    uint8_t types; /* enum sm_edge_type */
    uint64_t calls, errors;
    const struct sm_hist *latency;
};

struct sm_edges {
    struct sm_edges_config config;
    struct sm_table edges; /* by parent and child */
    struct sm_table cells; /* by edge, piece of time and source */
    struct sm_hist_pool pool;
    uint32_t newest_min;       /* newest minute so far */
    uint64_t calls_overflowed; /* over edges_max */
    uint64_t calls_forgotten;  /* with the oldest days, because of cells_max */
};

#define SM_EDGES_ANY_SOURCE UINT32_MAX

void sm_edges_init(struct sm_edges *e, const struct sm_edges_config *config);
void sm_edges_fini(struct sm_edges *e);

/* Adds calls to their minute, within the limits above; the latency is copied. */
void sm_edges_add(struct sm_edges *e, const struct sm_edge_calls *calls);

/* Joins and forgets what is due. Cheap when nothing is. */
void sm_edges_compact(struct sm_edges *e, uint32_t now_min);

void sm_edges_forget_source(struct sm_edges *e, uint16_t source);

/* What falls into [start_ms, end_ms), Unix time: every piece of time that reaches into the range counts whole. */
void sm_edges_snapshot(const struct sm_edges *e, const struct sm_names *nodes, int64_t start_ms, int64_t end_ms,
                       uint32_t source, struct sm_graph *out);

#endif
