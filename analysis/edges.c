/* Calls per edge and piece of time. */
#include "analysis/edges.h"

#include "base/hash.h"

#include <stdlib.h>

enum tier { TIER_MINUTE, TIER_HOUR, TIER_DAY };
static const uint32_t tier_minutes[] = {1, 60, 24 * 60};

enum {
    HIST_POOL_MAX = 256 << 20, /* bytes: a backstop, cells_max comes first */
    CELLS_RESERVE = 4096,      /* beyond cells_max, for the overflow edge */
};

struct edge {
    uint32_t parent, child; /* the key */
    uint32_t types;
};

struct cell_key {
    uint32_t edge;
    uint32_t start_min;
    uint16_t source;
    uint8_t tier;
    uint8_t zero;
};

struct cell {
    struct cell_key key;
    uint32_t reserved;
    uint64_t calls;
    uint64_t errors;
    struct sm_hist latency;
};

/* What is older than these minutes is joined or forgotten. */
struct cutoffs {
    uint32_t minutes, hours, days;
};

static void init_tables(struct sm_edges *e)
{
    sm_table_init(&e->edges, 2 * sizeof(uint32_t), sizeof(struct edge), e->config.edges_max + 1);
    sm_table_init(&e->cells, sizeof(struct cell_key), sizeof(struct cell), e->config.cells_max + CELLS_RESERVE);
    sm_hist_pool_init(&e->pool, HIST_POOL_MAX);
}

void sm_edges_init(struct sm_edges *e, const struct sm_edges_config *config)
{
    *e = (struct sm_edges){.config = *config};
    e->config.edges_max = SM_MIN(config->edges_max, SM_TABLE_COUNT_MAX / 2);
    e->config.cells_max = SM_MIN(config->cells_max, SM_TABLE_COUNT_MAX / 2);
    init_tables(e);
}

void sm_edges_fini(struct sm_edges *e)
{
    sm_table_fini(&e->edges);
    sm_table_fini(&e->cells);
    sm_hist_pool_fini(&e->pool);
}

/* The number of an edge; at the limit that of the overflow edge, for which there is always room. */
static uint32_t edge_number(struct sm_edges *e, uint32_t parent, uint32_t child, uint32_t types, bool *overflow)
{
    const uint32_t key[2] = {parent, child};
    uint64_t hash = sm_hash_u64((uint64_t)parent << 32 | child);
    uint32_t number;
    struct edge *edge = sm_table_find(&e->edges, hash, key, sizeof key, &number);
    *overflow = parent == SM_NAME_OVERFLOW && child == SM_NAME_OVERFLOW;
    if (!edge) {
        if (e->edges.count >= e->config.edges_max && !*overflow)
            return edge_number(e, SM_NAME_OVERFLOW, SM_NAME_OVERFLOW, types, overflow);
        number = e->edges.count;
        edge = sm_table_insert(&e->edges, hash, key);
    }
    edge->types |= types;
    return number;
}

static uint64_t cell_hash(const struct cell_key *key)
{
    return sm_hash_combine((uint64_t)key->edge << 32 | key->start_min, (uint64_t)key->source << 8 | key->tier);
}

static struct cell *cell_at(struct sm_edges *e, const struct cell_key *key)
{
    return sm_table_add(&e->cells, cell_hash(key), key, sizeof *key);
}

static void add_to_cell(struct sm_edges *e, struct cell *c, uint64_t calls, uint64_t errors,
                        const struct sm_hist *latency)
{
    c->calls += calls;
    c->errors += errors;
    sm_hist_merge(&c->latency, &e->pool, latency);
}

/* ---- Joining what is old ---- */

/* Where a cell goes; false: it is forgotten. */
static bool coarsen(struct cell_key *key, const struct cutoffs *cut)
{
    if (key->tier == TIER_MINUTE && key->start_min < cut->minutes)
        key->tier = TIER_HOUR;
    key->start_min -= key->start_min % tier_minutes[key->tier];
    if (key->tier == TIER_HOUR && key->start_min + tier_minutes[TIER_HOUR] <= cut->hours)
        key->tier = TIER_DAY;
    key->start_min -= key->start_min % tier_minutes[key->tier];
    return key->tier != TIER_DAY || key->start_min + tier_minutes[TIER_DAY] > cut->days;
}

/* Moves all cells that `source` does not name to where they belong, with the edges that they need. */
static void rebuild(struct sm_edges *e, const struct cutoffs *cut, uint32_t forget_source)
{
    struct sm_edges old = *e;
    init_tables(e);
    e->pool.coarsened = old.pool.coarsened;
    for (uint32_t i = 0; i < old.cells.count; i++) {
        const struct cell *c = sm_table_at(&old.cells, i);
        struct cell_key key = c->key;
        if (key.source == forget_source)
            continue;
        if (!coarsen(&key, cut)) {
            e->calls_forgotten += c->calls;
            continue;
        }
        const struct edge *edge = sm_table_at(&old.edges, key.edge);
        bool overflow;
        key.edge = edge_number(e, edge->parent, edge->child, edge->types, &overflow);
        add_to_cell(e, cell_at(e, &key), c->calls, c->errors, &c->latency);
    }
    sm_edges_fini(&old);
}

static uint32_t before(uint32_t now_min, uint32_t age_min)
{
    return now_min > age_min ? now_min - age_min : 0;
}

/* Makes room, the less drastic way first. */
static SM_COLD void compact_early(struct sm_edges *e)
{
    static const uint32_t keep[][3] = {/* minutes, hours, days; in minutes */
                                       {30, 48 * 60, UINT32_MAX},
                                       {5, 6 * 60, UINT32_MAX},
                                       {0, 0, 14 * 24 * 60},
                                       {0, 0, 48 * 60}};
    for (unsigned i = 0; i < SM_ARRAY_LEN(keep) && e->cells.count > e->config.cells_max / 4 * 3; i++) {
        struct cutoffs cut = {before(e->newest_min, keep[i][0]), before(e->newest_min, keep[i][1]),
                              before(e->newest_min, keep[i][2])};
        rebuild(e, &cut, SM_EDGES_ANY_SOURCE);
    }
}

/* Joining is due when something is an hour past its time, so that it is done in batches. */
static bool is_due(const struct sm_edges *e, const struct cutoffs *cut)
{
    for (uint32_t i = 0; i < e->cells.count; i++) {
        const struct cell_key *key = sm_table_at(&e->cells, i);
        uint32_t end = key->start_min + tier_minutes[key->tier] + 60;
        if (end < (key->tier == TIER_MINUTE ? cut->minutes : key->tier == TIER_HOUR ? cut->hours : cut->days))
            return true;
    }
    return false;
}

void sm_edges_compact(struct sm_edges *e, uint32_t now_min)
{
    struct cutoffs cut = {before(now_min, e->config.minutes_keep_min), before(now_min, e->config.hours_keep_min),
                          before(now_min, e->config.days_keep_min)};
    if (!is_due(e, &cut))
        return;
    uint64_t forgotten = e->calls_forgotten;
    rebuild(e, &cut, SM_EDGES_ANY_SOURCE);
    e->calls_forgotten = forgotten; /* these were due, not pushed out */
}

void sm_edges_forget_source(struct sm_edges *e, uint16_t source)
{
    rebuild(e, &(struct cutoffs){0}, source);
}

void sm_edges_add(struct sm_edges *e, const struct sm_edge_calls *calls)
{
    e->newest_min = SM_MAX(e->newest_min, calls->minute);
    if (e->cells.count >= e->config.cells_max)
        compact_early(e);
    bool overflow;
    struct cell_key key = {.edge = edge_number(e, calls->parent, calls->child, calls->types, &overflow),
                           .start_min = calls->minute,
                           .source = calls->source};
    struct cell *c = NULL;
    if (e->cells.count < e->config.cells_max || overflow)
        c = cell_at(e, &key);
    else
        c = sm_table_find(&e->cells, cell_hash(&key), &key, sizeof key, NULL);
    if (!c && !overflow) {
        key.edge = edge_number(e, SM_NAME_OVERFLOW, SM_NAME_OVERFLOW, calls->types, &overflow);
        c = cell_at(e, &key);
    }
    if (overflow)
        e->calls_overflowed += calls->calls;
    if (c)
        add_to_cell(e, c, calls->calls, calls->errors, calls->latency);
    else
        e->calls_forgotten += calls->calls;
}

/* ---- Snapshots ---- */

static bool in_range(const struct cell_key *key, int64_t start_ms, int64_t end_ms, uint32_t source)
{
    int64_t from_ms = (int64_t)key->start_min * 60000, to_ms = from_ms + (int64_t)tier_minutes[key->tier] * 60000;
    return from_ms < end_ms && to_ms > start_ms && (source == SM_EDGES_ANY_SOURCE || source == key->source);
}

static int compare_edges(const void *a, const void *b)
{
    const struct sm_graph_edge *x = a, *y = b;
    int order = sm_str_cmp(x->parent, y->parent);
    return order ? order : sm_str_cmp(x->child, y->child);
}

/* Gives the graph its own copies of all names. */
static void copy_names(struct sm_graph *g)
{
    size_t size = 0;
    for (size_t i = 0; i < g->count; i++)
        size += g->edges[i].parent.len + g->edges[i].child.len;
    char *at = g->names = sm_xmalloc(size + 1);
    for (size_t i = 0; i < g->count; i++) {
        struct sm_graph_edge *edge = &g->edges[i];
        memcpy(at, edge->parent.ptr, edge->parent.len);
        edge->parent.ptr = at;
        at += edge->parent.len;
        memcpy(at, edge->child.ptr, edge->child.len);
        edge->child.ptr = at;
        at += edge->child.len;
    }
}

/* Names that differ as ids read the same when one of them is "(overflow)". */
static void join_equal_edges(struct sm_graph *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct sm_graph_edge *edge = &g->edges[i], *last = kept ? &g->edges[kept - 1] : NULL;
        if (last && compare_edges(last, edge) == 0) {
            last->calls += edge->calls;
            last->errors += edge->errors;
            last->types |= edge->types;
            sm_hist_merge(&last->latency, &g->pool, &edge->latency);
            sm_hist_release(&edge->latency, &g->pool);
        } else {
            g->edges[kept++] = *edge;
        }
    }
    g->count = kept;
}

void sm_edges_snapshot(const struct sm_edges *e, const struct sm_names *nodes, int64_t start_ms, int64_t end_ms,
                       uint32_t source, struct sm_graph *out)
{
    *out = (struct sm_graph){.start_ms = start_ms, .end_ms = end_ms};
    sm_hist_pool_init(&out->pool, HIST_POOL_MAX);
    uint32_t *place = sm_xcalloc(e->edges.count + (size_t)1, sizeof *place); /* 1 + index in out->edges, by edge */
    out->edges = sm_xcalloc(e->edges.count + (size_t)1, sizeof *out->edges);
    for (uint32_t i = 0; i < e->cells.count; i++) {
        const struct cell *c = sm_table_at(&e->cells, i);
        if (!in_range(&c->key, start_ms, end_ms, source))
            continue;
        const struct edge *edge = sm_table_at(&e->edges, c->key.edge);
        if (!place[c->key.edge]) {
            place[c->key.edge] = (uint32_t)++out->count;
            struct sm_graph_edge *fresh = &out->edges[out->count - 1];
            fresh->parent = sm_names_get(nodes, edge->parent);
            fresh->child = sm_names_get(nodes, edge->child);
            fresh->types = edge->types;
        }
        struct sm_graph_edge *to = &out->edges[place[c->key.edge] - 1];
        to->calls += c->calls;
        to->errors += c->errors;
        sm_hist_merge(&to->latency, &out->pool, &c->latency);
        if (edge->parent == SM_NAME_OVERFLOW && edge->child == SM_NAME_OVERFLOW)
            out->calls_overflowed += c->calls;
    }
    free(place);
    copy_names(out);
    qsort(out->edges, out->count, sizeof *out->edges, compare_edges);
    join_equal_edges(out);
}
