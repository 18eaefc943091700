/* A part of the dependency graph: the calls of some minutes that one source saw in one run, as rows of bytes
 * (docs/formats/graph.md). Plain data, no thread of its own; reading trusts nothing. */
#ifndef SM_GRAPH_PART_H
#define SM_GRAPH_PART_H

#include "base/base.h"
#include "base/buf.h"
#include "span/graph.h"

/* Bytes of a part's rows, and of a name in them: longer ones are cut. */
#define SM_GRAPH_PART_ROWS_MAX (64 * SM_MIB)
#define SM_GRAPH_PART_NAME_MAX 1024

/* What tells one part from another. */
struct sm_graph_part_key {
    uint64_t source; /* 0: what the daemon received; else the content hash of a recording */
    uint64_t run;
    uint32_t minute;  /* the first one, since 1970 */
    uint32_t minutes; /* how many: 1, 60 or 1440 */
    uint32_t number;  /* minutes that change again after they were finished make another part */
};

struct sm_graph_part {
    struct sm_graph_part_key key;
    uint32_t version; /* of two records of one part the higher version counts, of equal ones the later record */
    uint32_t edges;   /* number of rows */
    struct sm_buf rows;
    struct sm_str parent; /* of the last row; borrowed from whoever put it */
};

/* Appends an edge to the rows; cheapest when edges with one parent follow each other. False: SM_GRAPH_PART_ROWS_MAX reached. */
bool sm_graph_part_put(struct sm_graph_part *part, const struct sm_graph_edge *edge) SM_MUST_USE;

/* The rows of one part, one call each, everything borrowed for the call; false at malformed ones, those before which were
 * given. */
typedef void (*sm_graph_edge_fn)(void *ctx, const struct sm_graph_edge *edge);
bool sm_graph_part_rows(struct sm_str rows, uint32_t edges, sm_graph_edge_fn fn, void *ctx);

#endif
