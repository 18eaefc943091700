/* The tree of one trace as Zipkin sees it: pieces of one span merged, server halves below their client halves, one
 * root.
 *
 * Rules (zipkin2.internal.Trace and SpanNode):
 *   merge  Records with one span id are sorted: unshared before shared, clients first, then by local endpoint (none first).
 *          Neighbours with the same shared flag and endpoints that do not contradict each other are one node; of each field
 *          the first one that is there counts. A server behind a client becomes shared; a shared node without parent id takes
 *          that of the node before it.
 *   place  A node is found by its id, a shared one by id and endpoint. The parent of a shared node is the unshared one with
 *          its id. Others look for a shared parent with their own endpoint, then for the plain parent id. Where several nodes
 *          have one place, the last one has it and the others belong to no tree.
 *   root   The node without parent id that has the smallest id. What has no parent in the trace hangs on the root, or on
 *          nothing when there is no root. Circles of parents belong to no tree.
 * A trace whose records all have ids of their own, none of them shared, needs none of that: there a node is a record.
 *
 * Where these rules have nothing to go by (docs/decisions/0008-applications-behind-proxies.md):
 *   - Spans of other formats than Zipkin's have no address and cannot say that they are shared. They hang on the shared node in
 *     their own service, else on the first one, unless the client half is in their service; one that took over its client's id
 *     is one node with the shared ones behind it.
 *   - With `nested_servers` a shared server whose client half is not in the trace hangs on the server of another service that
 *     has its id, too, and holds it in time (span/nesting.h).
 *
 * Belongs to one thread; memory grows with the largest trace and stays. */
#ifndef SM_TREE_H
#define SM_TREE_H

#include "base/base.h"
#include "span/names.h"
#include "span/view.h"

#define SM_TREE_NONE    UINT32_MAX
#define SM_TREE_NO_TIME UINT64_MAX

/* Bits of sm_tree_node.flags. */
enum sm_node_flag {
    SM_NODE_ERROR = 1 << 0,     /* has a tag "error" or failed */
    SM_NODE_FAILED = 1 << 1,    /* status error */
    SM_NODE_HAS_CHILD = 1 << 2, /* something hangs on it, orphans on the root included */
    SM_NODE_SHARED = 1 << 3,    /* a server half below its client half */
    SM_NODE_OUTSIDE = 1 << 4,   /* belongs to no tree */
    SM_NODE_ANSWERED = 1 << 5,  /* is the nearest ancestor with a kind of some node with a kind */
    SM_NODE_PRIVATE = 1 << 6,   /* a record has our private field: its format was not OTLP */
};

struct sm_tree_node {
    uint64_t id;
    uint64_t parent_id;   /* 0: none; never its own */
    uint64_t start_ns;    /* 0: none */
    uint64_t duration_ns; /* SM_TREE_NO_TIME: none */
    uint32_t service;     /* names id of its service, SM_NAME_EMPTY: unknown */
    uint32_t parent;      /* the node above it by ids, SM_TREE_NONE for the root and for orphans */
    uint32_t ancestor;    /* the nearest node above it that has a kind, SM_TREE_NONE */
    uint32_t first_part;  /* its records: sm_tree_record */
    uint32_t part_count;
    uint8_t kind;  /* enum sm_kind; UNSPECIFIED also for internal spans */
    uint8_t flags; /* enum sm_node_flag */
};

struct sm_tree {
    struct sm_tree_node *nodes;
    uint32_t count;
    uint32_t root;        /* SM_TREE_NONE: no node lacks a parent id */
    uint32_t unreachable; /* records that belong to no tree */
    const struct sm_view *view;
    bool nested_servers; /* the caller's, after init: see above */
    uint32_t *order;     /* record numbers (of the view) in order of merging; NULL: node i is record i */
    struct sm_tree_scratch *scratch;
};

void sm_tree_init(struct sm_tree *t, const struct sm_names *services);
void sm_tree_fini(struct sm_tree *t);

/* Valid until the view goes or the next build. */
void sm_tree_build(struct sm_tree *t, const struct sm_view *view);

/* Part i of a node, in order of merging. */
SM_INLINE const struct sm_view_span *sm_tree_record(const struct sm_tree *t, const struct sm_tree_node *node,
                                                    uint32_t i)
{
    uint32_t at = node->first_part + i;
    return &t->view->spans[t->order ? t->order[at] : at];
}

#endif
