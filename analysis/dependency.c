/* Dependency graph and service graph: shards, merging, metrics. */
#include "analysis/dependency.h"

#include "analysis/calls.h"
#include "analysis/graph_keep.h"
#include "analysis/handover.h"
#include "analysis/late_links.h"
#include "analysis/linker.h"
#include "analysis/table.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

#define MINUTE_NS (60 * (uint64_t)SM_SEC)
#define DAY_NS    (24 * 60 * MINUTE_NS)

enum { DELTA_LINKS_MAX = 1 << 17, DELTA_HIST_MAX = 64 << 20, NODES_BYTES_EACH = 64 };

/* What is counted beside the graph. */
enum count {
    COUNT_LINKS,
    COUNT_LINKS_LOST, /* a delta was full */
    COUNT_TIMES_CORRECTED,
    COUNT_UNREACHABLE,
    COUNT_COARSENED,
    COUNT_UNPAIRED, /* by enum sm_kind */
    COUNTS = COUNT_UNPAIRED + SM_KIND_CONSUMER + 1
};

struct link_key {
    uint32_t parent, child; /* node ids */
    uint32_t minute;
    uint16_t source;
    uint16_t zero;
};

/* One edge in one minute in a delta: two cache lines. */
struct link_change {
    struct link_key key;
    uint64_t calls, errors;
    uint32_t types;
    uint8_t padding[28];
    struct sm_hist latency;
};
_Static_assert(sizeof(struct link_change) == 128, "two cache lines");

struct delta {
    struct sm_table links;
    struct sm_hist_pool pool;
    struct sm_calls_delta calls;
    uint64_t counts[COUNTS];
};

struct shard {
    struct sm_dependency *global;
    struct sm_linker *linker;
    struct sm_late_links *late;
    struct sm_handover handover;
    bool changed; /* the active delta is not empty */
    struct delta deltas[2];
};

struct sm_dependency {
    struct sm_dependency_config config;
    struct sm_names *nodes;
    struct sm_graph_keep *keep; /* NULL: what is known ends with the process */
    pthread_mutex_t mutex;      /* guards all below */
    struct sm_edges edges;
    struct sm_calls calls;
    uint64_t counts[COUNTS];
};

struct sm_dependency_config sm_dependency_config_default(const struct sm_names *services)
{
    return (struct sm_dependency_config){
        .services = services,
        .nodes_max = 20000,
        .edges = {.edges_max = 100000,
                  .cells_max = 100000,
                  .minutes_keep_min = 4 * 60,
                  .hours_keep_min = 7 * 24 * 60,
                  .days_keep_min = 90 * 24 * 60},
        .series_max = 20000,
        .stale_ns = 15 * MINUTE_NS,
        .peer_addresses = true,
        .nested_servers = true,
    };
}

struct sm_dependency *sm_dependency_new(const struct sm_dependency_config *config)
{
    struct sm_dependency *d = sm_xcalloc(1, sizeof *d);
    d->config = *config;
    d->nodes = sm_names_new(config->nodes_max, (size_t)config->nodes_max * NODES_BYTES_EACH + 4096);
    pthread_mutex_init(&d->mutex, NULL);
    sm_edges_init(&d->edges, &config->edges);
    sm_calls_init(&d->calls, config->series_max, config->stale_ns);
    return d;
}

void sm_dependency_free(struct sm_dependency *d)
{
    if (!d)
        return;
    sm_edges_fini(&d->edges);
    sm_calls_fini(&d->calls);
    pthread_mutex_destroy(&d->mutex);
    sm_graph_keep_free(d->keep);
    sm_names_free(d->nodes);
    free(d);
}

/* ---- Shard ---- */

static void *shard_new(void *global, unsigned number)
{
    (void)number;
    struct shard *s = sm_xcalloc(1, sizeof *s);
    s->global = global;
    const struct sm_dependency_config *config = &s->global->config;
    s->late = sm_late_links_new();
    s->linker = sm_linker_new(&(struct sm_linker_config){.peer_addresses = config->peer_addresses,
                                                         .nested_servers = config->nested_servers},
                              config->services, s->global->nodes);
    sm_handover_init(&s->handover);
    for (unsigned i = 0; i < 2; i++) {
        struct delta *d = &s->deltas[i];
        sm_table_init(&d->links, sizeof(struct link_key), sizeof(struct link_change), DELTA_LINKS_MAX);
        sm_hist_pool_init(&d->pool, DELTA_HIST_MAX);
        sm_calls_delta_init(&d->calls);
    }
    return s;
}

static void shard_free(void *shard)
{
    struct shard *s = shard;
    if (!s)
        return;
    for (unsigned i = 0; i < 2; i++) {
        sm_table_fini(&s->deltas[i].links);
        sm_hist_pool_fini(&s->deltas[i].pool);
        sm_calls_delta_fini(&s->deltas[i].calls);
    }
    sm_linker_free(s->linker);
    sm_late_links_free(s->late);
    free(s);
}

static uint32_t minute_of(struct delta *d, const struct sm_link *link, const struct sm_view *view)
{
    uint64_t arrived_ns = (uint64_t)SM_MAX(view->trace->opened_ns, (int64_t)0);
    uint64_t at_ns = link->start_ns ? link->start_ns : view->start_ns ? view->start_ns : arrived_ns;
    uint64_t away_ns = at_ns > arrived_ns ? at_ns - arrived_ns : arrived_ns - at_ns;
    if (SM_UNLIKELY(away_ns > DAY_NS)) {
        d->counts[COUNT_TIMES_CORRECTED]++;
        at_ns = arrived_ns;
    }
    return (uint32_t)(at_ns / MINUTE_NS);
}

static void count_link(struct delta *d, const struct sm_link *link, const struct sm_view *view)
{
    struct link_key key = {link->parent, link->child, minute_of(d, link, view), view->trace->source, 0};
    uint64_t hash = sm_hash_combine((uint64_t)key.parent << 32 | key.child, (uint64_t)key.source << 32 | key.minute);
    struct link_change *c = sm_table_add(&d->links, hash, &key, sizeof key);
    d->counts[COUNT_LINKS]++;
    if (SM_UNLIKELY(!c)) {
        d->counts[COUNT_LINKS_LOST]++;
        return;
    }
    c->calls++;
    c->errors += link->error;
    c->types |= link->types;
    if (link->latency_ns != SM_LINKER_NO_TIME)
        sm_hist_observe(&c->latency, &d->pool, link->latency_ns, 1);
}

static void count_linked(struct shard *s, const struct sm_linked *linked, const struct sm_view *view)
{
    struct delta *d = &s->deltas[s->handover.active];
    for (uint32_t i = 0; i < linked->link_count; i++)
        count_link(d, &linked->links[i], view);
    for (uint32_t i = 0; i < linked->call_count; i++)
        sm_calls_delta_add(&d->calls, &linked->calls[i], (uint64_t)view->trace->last_ns);
    d->counts[COUNT_UNREACHABLE] += linked->unreachable;
    for (unsigned kind = 0; kind <= SM_KIND_CONSUMER; kind++)
        d->counts[COUNT_UNPAIRED + kind] += linked->unpaired[kind];
    s->changed = true;
}

static void observe(void *shard, const struct sm_view *view, const struct sm_view_scratch *scratch)
{
    (void)scratch;
    struct shard *s = shard;
    if (SM_UNLIKELY(view->context))
        count_linked(s, sm_late_links(s->late, s->linker, view), view);
    else
        count_linked(s, sm_linker_walk(s->linker, view), view);
}

static void ship(void *shard)
{
    struct shard *s = shard;
    if (s->changed && sm_handover_ship(&s->handover))
        s->changed = false;
}

/* ---- Merging ---- */

static void merge_links(struct sm_dependency *global, const struct delta *d)
{
    for (uint32_t i = 0; i < d->links.count; i++) {
        const struct link_change *c = sm_table_at(&d->links, i);
        struct sm_edge_calls calls = {.parent = c->key.parent,
                                      .child = c->key.child,
                                      .minute = c->key.minute,
                                      .source = c->key.source,
                                      .types = (uint8_t)c->types,
                                      .calls = c->calls,
                                      .errors = c->errors,
                                      .latency = &c->latency};
        sm_edges_add(&global->edges, &calls);
        if (global->keep)
            sm_graph_keep_add(global->keep, &calls);
    }
}

static void clear_delta(struct delta *d)
{
    sm_table_clear(&d->links);
    sm_hist_pool_reset(&d->pool);
    d->pool.coarsened = 0;
    sm_calls_delta_clear(&d->calls);
    memset(d->counts, 0, sizeof d->counts);
}

static void merge(void *global, void *shard)
{
    struct sm_dependency *to = global;
    struct shard *s = shard;
    int away = sm_handover_away(&s->handover);
    if (away < 0)
        return;
    struct delta *d = &s->deltas[away];
    d->counts[COUNT_COARSENED] = d->pool.coarsened;
    pthread_mutex_lock(&to->mutex);
    merge_links(to, d);
    sm_calls_merge(&to->calls, &d->calls);
    for (unsigned i = 0; i < COUNTS; i++)
        to->counts[i] += d->counts[i];
    pthread_mutex_unlock(&to->mutex);
    clear_delta(d);
    sm_handover_home(&s->handover);
}

const struct sm_analyzer_ops sm_dependency_ops = {
    .name = "dependency",
    .shard_new = shard_new,
    .shard_free = shard_free,
    .observe = observe,
    .ship = ship,
    .merge = merge,
};

void sm_dependency_expire(struct sm_dependency *d, uint64_t now_ns)
{
    pthread_mutex_lock(&d->mutex);
    sm_edges_compact(&d->edges, (uint32_t)(now_ns / MINUTE_NS));
    sm_calls_expire(&d->calls, now_ns);
    pthread_mutex_unlock(&d->mutex);
}

void sm_dependency_forget_source(struct sm_dependency *d, uint16_t source)
{
    pthread_mutex_lock(&d->mutex);
    sm_edges_forget_source(&d->edges, source);
    pthread_mutex_unlock(&d->mutex);
}

/* ---- Keeping ---- */

void sm_dependency_keep(struct sm_dependency *d, struct sm_graph_log *log)
{
    d->keep = sm_graph_keep_new(log, d->nodes);
}

void sm_dependency_name_source(struct sm_dependency *d, uint16_t source, uint64_t name)
{
    sm_graph_keep_name_source(d->keep, source, name);
}

enum sm_rc sm_dependency_flush(struct sm_dependency *d, int64_t now_ns, bool all, struct sm_err *err)
{
    return sm_graph_keep_flush(d->keep, now_ns, all, err);
}

void sm_dependency_collect_kept(void *ctx, struct sm_prom *p)
{
    struct sm_dependency *d = ctx;
    sm_graph_keep_collect(d->keep, p);
}

/* ---- Reading ---- */

void sm_dependency_history(struct sm_dependency *d, int64_t start_ms, int64_t end_ms, struct sm_graph *out)
{
    sm_dependency_snapshot(d, start_ms, end_ms, SM_EDGES_ANY_SOURCE, out);
    if (d->keep)
        sm_graph_keep_history(d->keep, d->config.edges.edges_max, out);
}

void sm_dependency_snapshot(struct sm_dependency *d, int64_t start_ms, int64_t end_ms, uint32_t source,
                            struct sm_graph *out)
{
    pthread_mutex_lock(&d->mutex);
    sm_edges_snapshot(&d->edges, d->nodes, start_ms, end_ms, source, out);
    pthread_mutex_unlock(&d->mutex);
}

void sm_dependency_series(struct sm_dependency *d, struct sm_series_set *set)
{
    pthread_mutex_lock(&d->mutex);
    sm_calls_snapshot(&d->calls, d->nodes, set);
    pthread_mutex_unlock(&d->mutex);
    sm_series_set_sort(set);
}

void sm_dependency_collect(void *ctx, struct sm_prom *p)
{
    struct sm_series_set set;
    sm_dependency_series(ctx, &set);
    sm_series_set_write(&set, p);
    sm_series_set_fini(&set);
}

/* The analyzer's own metrics: name, labels, type, help, and what is written. Rows with one name stand together. */
struct own_metric {
    const char *name;
    const char *labels;
    enum sm_prom_type type;
    const char *help;
    uint64_t (*read)(const struct sm_dependency *d);
    unsigned count; /* enum count, for rows without `read` */
};

static uint64_t read_nodes(const struct sm_dependency *d)
{
    return sm_names_count(d->nodes);
}

static uint64_t read_nodes_overflowed(const struct sm_dependency *d)
{
    return sm_names_overflowed(d->nodes);
}

static uint64_t read_edges(const struct sm_dependency *d)
{
    return d->edges.edges.count;
}

static uint64_t read_cells(const struct sm_dependency *d)
{
    return d->edges.cells.count;
}

static uint64_t read_calls_overflowed(const struct sm_dependency *d)
{
    return d->edges.calls_overflowed;
}

static uint64_t read_calls_forgotten(const struct sm_dependency *d)
{
    return d->edges.calls_forgotten + d->counts[COUNT_LINKS_LOST];
}

static uint64_t read_coarsened(const struct sm_dependency *d)
{
    return d->counts[COUNT_COARSENED] + d->edges.pool.coarsened;
}

static uint64_t read_series(const struct sm_dependency *d)
{
    return d->calls.totals.count;
}

static uint64_t read_series_overflowed(const struct sm_dependency *d)
{
    return d->calls.overflowed;
}

static uint64_t read_series_expired(const struct sm_dependency *d)
{
    return d->calls.expired;
}

#define UNPAIRED_HELP "spans of calls whose other side is not known"

static const struct own_metric own_metrics[] = {
    {"spanmill_graph_nodes", "", SM_PROM_GAUGE, "names of services and peers", read_nodes, 0},
    {"spanmill_graph_nodes_overflowed_total", "", SM_PROM_COUNTER, "names over the limit of nodes",
     read_nodes_overflowed, 0},
    {"spanmill_graph_edges", "", SM_PROM_GAUGE, "edges of the dependency graph", read_edges, 0},
    {"spanmill_graph_cells", "", SM_PROM_GAUGE, "pieces of time of all edges", read_cells, 0},
    {"spanmill_graph_calls_total", "", SM_PROM_COUNTER, "calls counted in the dependency graph", NULL, COUNT_LINKS},
    {"spanmill_graph_calls_overflowed_total", "", SM_PROM_COUNTER, "calls counted at the overflow edge",
     read_calls_overflowed, 0},
    {"spanmill_graph_calls_lost_total", "", SM_PROM_COUNTER, "calls lost or forgotten early because of limits",
     read_calls_forgotten, 0},
    {"spanmill_graph_times_corrected_total", "", SM_PROM_COUNTER,
     "calls counted at their arrival because their clock was more than a day away from it", NULL,
     COUNT_TIMES_CORRECTED},
    {"spanmill_graph_latencies_coarsened_total", "", SM_PROM_COUNTER,
     "latencies counted in a neighbouring bucket because of the memory limit of histograms", read_coarsened, 0},
    {"spanmill_graph_unreachable_spans_total", "", SM_PROM_COUNTER,
     "spans outside of their trace's tree: circles of parents, clashing ids", NULL, COUNT_UNREACHABLE},
    {"spanmill_graph_unpaired_spans_total", "kind=\"server\"", SM_PROM_COUNTER, UNPAIRED_HELP, NULL,
     COUNT_UNPAIRED + SM_KIND_SERVER},
    {"spanmill_graph_unpaired_spans_total", "kind=\"client\"", SM_PROM_COUNTER, UNPAIRED_HELP, NULL,
     COUNT_UNPAIRED + SM_KIND_CLIENT},
    {"spanmill_graph_unpaired_spans_total", "kind=\"producer\"", SM_PROM_COUNTER, UNPAIRED_HELP, NULL,
     COUNT_UNPAIRED + SM_KIND_PRODUCER},
    {"spanmill_graph_unpaired_spans_total", "kind=\"consumer\"", SM_PROM_COUNTER, UNPAIRED_HELP, NULL,
     COUNT_UNPAIRED + SM_KIND_CONSUMER},
    {"spanmill_service_graph_series", "", SM_PROM_GAUGE, "label sets of the service graph", read_series, 0},
    {"spanmill_service_graph_overflowed_calls_total", "", SM_PROM_COUNTER,
     "calls counted in the overflow series because of the limit of label sets", read_series_overflowed, 0},
    {"spanmill_service_graph_expired_series_total", "", SM_PROM_COUNTER, "label sets forgotten as stale",
     read_series_expired, 0},
};

void sm_dependency_collect_own(void *ctx, struct sm_prom *p)
{
    struct sm_dependency *d = ctx;
    pthread_mutex_lock(&d->mutex);
    for (unsigned i = 0; i < SM_ARRAY_LEN(own_metrics); i++) {
        const struct own_metric *m = &own_metrics[i];
        sm_prom_family(p, m->name, m->type, m->help);
        sm_prom_uint(p, sm_str_c(m->labels), m->read ? m->read(d) : d->counts[m->count]);
    }
    pthread_mutex_unlock(&d->mutex);
}
