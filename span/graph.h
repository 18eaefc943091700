/* A service-dependency graph as plain data: what analysis/ hands to queries, sinks and `spanmill graph`. */
#ifndef SM_GRAPH_H
#define SM_GRAPH_H

#include "base/base.h"
#include "span/hist.h"

/* What kinds of calls an edge stands for; bits, since one edge may stand for several. */
enum sm_edge_type {
    SM_EDGE_RPC = 1 << 0,       /* the child answered with a span of its own, or its parent's call to it is known */
    SM_EDGE_MESSAGING = 1 << 1, /* one side is a broker */
    SM_EDGE_DATABASE = 1 << 2,  /* the child is a database, known from its client's attributes */
    SM_EDGE_PEER = 1 << 3,      /* one side sent no spans; the other one named it */
};

/* "rpc", "messaging", ... joined with '+'. `out` holds SM_EDGE_TYPES_SIZE bytes. */
#define SM_EDGE_TYPES_SIZE 32
const char *sm_edge_types_text(uint32_t types, char out[SM_EDGE_TYPES_SIZE]);

struct sm_graph_edge {
    struct sm_str parent, child;
    uint32_t types; /* enum sm_edge_type */
    uint64_t calls;
    uint64_t errors;
    struct sm_hist latency; /* of the calls whose duration is known: latency.count may be less than calls */
};

/* Edges are sorted by parent, then child (byte order), each pair once. Start zero-initialised; whoever got it filled
 * frees it with sm_graph_fini. The strings and histograms are the graph's own. */
struct sm_graph {
    int64_t start_ms, end_ms; /* the range that was asked for, Unix time */
    struct sm_graph_edge *edges;
    size_t count;
    uint64_t calls_overflowed; /* calls in the range whose edge was over the limit; they stand at "(overflow)" */
    char *names;
    struct sm_hist_pool pool;
};

void sm_graph_fini(struct sm_graph *g);

/* NULL when there is no such edge. */
const struct sm_graph_edge *sm_graph_find(const struct sm_graph *g, struct sm_str parent, struct sm_str child);

#endif
