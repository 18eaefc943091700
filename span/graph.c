/* Dependency graphs as plain data. */
#include "span/graph.h"

#include <stdlib.h>

const char *sm_edge_types_text(uint32_t types, char out[SM_EDGE_TYPES_SIZE])
{
    static const char *const names[] = {"rpc", "messaging", "database", "peer"};
    char *at = out;
    for (unsigned i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (!(types >> i & 1))
            continue;
        if (at > out)
            *at++ = '+';
        at = stpcpy(at, names[i]);
    }
    *at = 0;
    return out;
}

void sm_graph_fini(struct sm_graph *g)
{
    free(g->edges);
    free(g->names);
    sm_hist_pool_fini(&g->pool);
    *g = (struct sm_graph){0};
}

const struct sm_graph_edge *sm_graph_find(const struct sm_graph *g, struct sm_str parent, struct sm_str child)
{
    size_t low = 0, high = g->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct sm_graph_edge *e = &g->edges[middle];
        int order = sm_str_cmp(e->parent, parent);
        if (!order)
            order = sm_str_cmp(e->child, child);
        if (!order)
            return e;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
