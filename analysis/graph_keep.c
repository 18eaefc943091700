/* From calls to parts of the log, and back to a graph. */
#include "analysis/graph_keep.h"

#include "base/hash.h"
#include "base/log.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    CELLS_MAX = 1 << 19,
    CELLS_FINISH = 1 << 18, /* a flush finishes everything when there are so many */
    HIST_BYTES_MAX = 128 << 20,
    WAITING_BYTES_MAX = 128 << 20,
    NODE_BYTES_EACH = 64,
};

struct cell_key {
    uint32_t parent, child; /* node ids */
    uint32_t minute;
    uint16_t source;
    uint16_t minutes;
};

struct cell {
    struct cell_key key;
    uint64_t calls, errors;
    uint32_t types, reserved;
    struct sm_hist latency;
};

/* The cells of one source and minute. */
struct minute {
    uint16_t source, minutes;
    uint32_t minute;
    uint32_t number;
    uint64_t calls; /* at the last flush */
    int64_t opened_ns, changed_ns;
    bool finished;
};

struct parts {
    struct sm_graph_part *items;
    uint32_t count;
};

struct sm_graph_keep {
    struct sm_graph_log *log;
    const struct sm_names *nodes;
    pthread_mutex_t mutex; /* guards cells, pool, source names */
    struct sm_table cells;
    struct sm_hist_pool pool;
    uint64_t *source_names;
    uint32_t source_count;
    _Atomic uint64_t calls_lost;
    /* The flushing thread's. */
    struct minute *minutes; /* sorted as cells are */
    uint32_t minute_count;
    struct parts waiting; /* finished, not written yet */
    uint32_t version, parts_made;
    int64_t flushed_ns;
    bool has_checkpoint;
};

static void init_cells(struct sm_graph_keep *k)
{
    sm_table_init(&k->cells, sizeof(struct cell_key), sizeof(struct cell), CELLS_MAX);
    sm_hist_pool_init(&k->pool, HIST_BYTES_MAX);
}

struct sm_graph_keep *sm_graph_keep_new(struct sm_graph_log *log, const struct sm_names *nodes)
{
    struct sm_graph_keep *k = sm_xcalloc(1, sizeof *k);
    k->log = log;
    k->nodes = nodes;
    pthread_mutex_init(&k->mutex, NULL);
    init_cells(k);
    return k;
}

static void free_parts(struct parts *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        sm_buf_fini(&p->items[i].rows);
    free(p->items);
    *p = (struct parts){0};
}

void sm_graph_keep_free(struct sm_graph_keep *k)
{
    if (!k)
        return;
    free_parts(&k->waiting);
    sm_table_fini(&k->cells);
    sm_hist_pool_fini(&k->pool);
    pthread_mutex_destroy(&k->mutex);
    free(k->source_names);
    free(k->minutes);
    free(k);
}

void sm_graph_keep_name_source(struct sm_graph_keep *k, uint16_t source, uint64_t name)
{
    pthread_mutex_lock(&k->mutex);
    if (source >= k->source_count) {
        k->source_names = sm_xrealloc(k->source_names, (source + (size_t)1) * sizeof *k->source_names);
        while (k->source_count <= source)
            k->source_names[k->source_count] = k->source_count, k->source_count++;
    }
    k->source_names[source] = name;
    pthread_mutex_unlock(&k->mutex);
}

/* ---- collecting ---- */

static bool add_cell(struct sm_graph_keep *k, const struct cell *from)
{
    uint64_t hash = sm_hash_combine((uint64_t)from->key.parent << 32 | from->key.child,
                                    (uint64_t)from->key.minute << 32 | (uint32_t)from->key.source << 16 | from->key.minutes);
    struct cell *c = sm_table_add(&k->cells, hash, &from->key, sizeof from->key);
    if (!c)
        return false;
    c->calls += from->calls;
    c->errors += from->errors;
    c->types |= from->types;
    sm_hist_merge(&c->latency, &k->pool, &from->latency);
    return true;
}

/* Moves the cells that `becomes` leaves in place to a new table. */
static void rebuild(struct sm_graph_keep *k, bool (*becomes)(void *ctx, struct cell_key *key), void *ctx)
{
    struct sm_table old_cells = k->cells;
    struct sm_hist_pool old_pool = k->pool;
    init_cells(k);
    for (uint32_t i = 0; i < old_cells.count; i++) {
        struct cell c = *(const struct cell *)sm_table_at(&old_cells, i);
        if (becomes(ctx, &c.key))
            SM_ASSERT(add_cell(k, &c));
    }
    sm_table_fini(&old_cells);
    sm_hist_pool_fini(&old_pool);
}

static bool join(void *ctx, struct cell_key *key)
{
    uint16_t minutes = *(const uint16_t *)ctx;
    key->minutes = SM_MAX(key->minutes, minutes);
    key->minute -= key->minute % key->minutes;
    return true;
}

static SM_COLD void make_room(struct sm_graph_keep *k)
{
    static const uint16_t steps[] = {60, 1440};
    for (unsigned i = 0; i < SM_ARRAY_LEN(steps) && k->cells.count > CELLS_MAX / 4 * 3; i++)
        rebuild(k, join, (void *)(uintptr_t)&steps[i]);
}

void sm_graph_keep_add(struct sm_graph_keep *k, const struct sm_edge_calls *calls)
{
    struct cell c = {.key = {calls->parent, calls->child, calls->minute, calls->source, 1},
                     .calls = calls->calls,
                     .errors = calls->errors,
                     .types = calls->types,
                     .latency = *calls->latency};
    pthread_mutex_lock(&k->mutex);
    bool added = add_cell(k, &c);
    if (SM_UNLIKELY(!added)) {
        make_room(k);
        added = add_cell(k, &c);
    }
    pthread_mutex_unlock(&k->mutex);
    if (!added)
        k->calls_lost += c.calls;
}

/* ---- encoding: under the mutex ---- */

static int compare_minutes(const struct cell_key *x, uint16_t source, uint16_t minutes, uint32_t minute)
{
    if (x->source != source)
        return x->source < source ? -1 : 1;
    if (x->minutes != minutes)
        return x->minutes < minutes ? -1 : 1;
    return (x->minute > minute) - (x->minute < minute);
}

static int compare_cells(const void *a, const void *b, void *nodes)
{
    const struct cell_key *x = &(*(struct cell *const *)a)->key, *y = &(*(struct cell *const *)b)->key;
    int order = compare_minutes(x, y->source, y->minutes, y->minute);
    if (!order && x->parent != y->parent)
        order = sm_str_cmp(sm_names_get(nodes, x->parent), sm_names_get(nodes, y->parent));
    return order ? order : sm_str_cmp(sm_names_get(nodes, x->child), sm_names_get(nodes, y->child));
}

static struct cell **sorted_cells(struct sm_graph_keep *k)
{
    struct cell **cells = sm_xcalloc(k->cells.count + (size_t)1, sizeof *cells);
    for (uint32_t i = 0; i < k->cells.count; i++)
        cells[i] = sm_table_at(&k->cells, i);
    qsort_r(cells, k->cells.count, sizeof *cells, compare_cells, (void *)(uintptr_t)k->nodes);
    return cells;
}

static bool same_minute(const struct cell_key *x, const struct minute *m)
{
    return compare_minutes(x, m->source, m->minutes, m->minute) == 0;
}

/* The minute as the last flush saw it, or a new one. *at passes over the old ones, which are sorted. */
static struct minute find_minute(struct sm_graph_keep *k, const struct cell_key *key, uint32_t *at, int64_t now_ns)
{
    while (*at < k->minute_count &&
           compare_minutes(key, k->minutes[*at].source, k->minutes[*at].minutes, k->minutes[*at].minute) > 0)
        ++*at;
    if (*at < k->minute_count && same_minute(key, &k->minutes[*at]))
        return k->minutes[*at];
    return (struct minute){.source = key->source,
                           .minutes = key->minutes,
                           .minute = key->minute,
                           .number = sm_graph_log_run(k->log) ? k->parts_made++ : 0,
                           .opened_ns = now_ns,
                           .changed_ns = now_ns};
}

static bool is_finished(const struct minute *m, uint64_t calls, int64_t now_ns)
{
    return (calls == m->calls && now_ns - m->changed_ns >= SM_GRAPH_KEEP_QUIET_NS) ||
           now_ns - m->opened_ns >= SM_GRAPH_KEEP_OPEN_NS || now_ns < m->opened_ns;
}

static struct sm_graph_part encode(struct sm_graph_keep *k, const struct minute *m, struct cell *const *cells, uint32_t count)
{
    struct sm_graph_part part = {
        .key = {.source = m->source < k->source_count ? k->source_names[m->source] : m->source,
                .run = sm_graph_log_run(k->log),
                .minute = m->minute,
                .minutes = m->minutes,
                .number = m->number},
        .version = sm_graph_log_run(k->log) ? k->version : 0,
    };
    for (uint32_t i = 0; i < count; i++) {
        const struct cell *c = cells[i];
        struct sm_graph_edge edge = {.parent = sm_names_get(k->nodes, c->key.parent),
                                     .child = sm_names_get(k->nodes, c->key.child),
                                     .types = c->types,
                                     .calls = c->calls,
                                     .errors = c->errors,
                                     .latency = c->latency};
        if (!sm_graph_part_put(&part, &edge))
            k->calls_lost += c->calls;
    }
    return part;
}

static void push_part(struct parts *p, struct sm_graph_part part)
{
    p->items = sm_xrealloc(p->items, (p->count + (size_t)1) * sizeof *p->items);
    p->items[p->count++] = part;
}

static bool is_open(void *ctx, struct cell_key *key)
{
    const struct sm_graph_keep *k = ctx;
    uint32_t low = 0, high = k->minute_count;
    while (low < high) {
        const struct minute *m = &k->minutes[(low + high) / 2];
        int order = compare_minutes(key, m->source, m->minutes, m->minute);
        if (!order)
            return !m->finished;
        if (order < 0)
            high = (low + high) / 2;
        else
            low = (low + high) / 2 + 1;
    }
    return true;
}

/* Forgets the finished minutes, whose parts wait to be written. */
static void forget_finished(struct sm_graph_keep *k)
{
    uint32_t left = 0;
    rebuild(k, is_open, k);
    for (uint32_t i = 0; i < k->minute_count; i++)
        if (!k->minutes[i].finished)
            k->minutes[left++] = k->minutes[i];
    k->minute_count = left;
}

/* Makes parts of all cells: of finished minutes in k->waiting, of the others in *open. */
static void encode_all(struct sm_graph_keep *k, int64_t now_ns, bool all, struct parts *open)
{
    uint32_t total = k->cells.count, found = 0, old = 0;
    struct cell **cells = sorted_cells(k);
    struct minute *minutes = sm_xcalloc(total + (size_t)1, sizeof *minutes);
    bool any = false;
    all = all || total >= CELLS_FINISH;
    for (uint32_t from = 0, to; from < total; from = to) {
        struct minute m = find_minute(k, &cells[from]->key, &old, now_ns);
        uint64_t calls = 0;
        for (to = from; to < total && same_minute(&cells[to]->key, &m); to++)
            calls += cells[to]->calls;
        m.finished = all || is_finished(&m, calls, now_ns);
        m.changed_ns = calls == m.calls ? m.changed_ns : now_ns;
        m.calls = calls;
        push_part(m.finished ? &k->waiting : open, encode(k, &m, cells + from, to - from));
        any |= m.finished;
        minutes[found++] = m;
    }
    free(cells);
    free(k->minutes);
    k->minutes = minutes;
    k->minute_count = found;
    if (any)
        forget_finished(k);
}

/* ---- writing ---- */

static void drop_waiting(struct sm_graph_keep *k, uint32_t n)
{
    struct parts *w = &k->waiting;
    for (uint32_t i = 0; i < n; i++)
        sm_buf_fini(&w->items[i].rows);
    w->count -= n;
    if (n && w->count)
        memmove(w->items, w->items + n, w->count * sizeof *w->items);
}

/* Writes what waits, as far as possible. */
static enum sm_rc write_waiting(struct sm_graph_keep *k, struct sm_err *err)
{
    uint32_t done = 0;
    enum sm_rc rc = SM_OK;
    while (done < k->waiting.count && (rc = sm_graph_log_append(k->log, &k->waiting.items[done], err)) == SM_OK)
        done++;
    drop_waiting(k, done);
    return rc;
}

static void count_lost(void *ctx, const struct sm_graph_edge *edge)
{
    ((struct sm_graph_keep *)ctx)->calls_lost += edge->calls;
}

/* Gives up the oldest of what waits when it has become too much. */
static void limit_waiting(struct sm_graph_keep *k)
{
    size_t bytes = 0;
    uint32_t i = k->waiting.count;
    while (i && bytes + k->waiting.items[i - 1].rows.size <= WAITING_BYTES_MAX)
        bytes += k->waiting.items[--i].rows.size;
    for (uint32_t lost = 0; lost < i; lost++) {
        struct sm_graph_part *p = &k->waiting.items[lost];
        (void)sm_graph_part_rows(sm_buf_str(&p->rows), p->edges, count_lost, k);
    }
    drop_waiting(k, i);
}

/* What is not in a file of its hour yet. */
static enum sm_rc write_checkpoint(struct sm_graph_keep *k, const struct parts *open, int64_t now_ns, struct sm_err *err)
{
    struct sm_graph_part *parts = sm_xcalloc(open->count + (size_t)k->waiting.count + 1, sizeof *parts);
    uint32_t count = 0;
    for (uint32_t i = 0; i < k->waiting.count; i++)
        parts[count++] = k->waiting.items[i];
    for (uint32_t i = 0; i < open->count; i++)
        parts[count++] = open->items[i];
    enum sm_rc rc = SM_OK;
    if (count || k->has_checkpoint)
        rc = sm_graph_log_checkpoint(k->log, parts, count, now_ns, err);
    k->has_checkpoint = count || rc != SM_OK;
    free(parts);
    return rc;
}

enum sm_rc sm_graph_keep_flush(struct sm_graph_keep *k, int64_t now_ns, bool all, struct sm_err *err)
{
    struct parts open = {0};
    if (!all && now_ns >= k->flushed_ns && now_ns - k->flushed_ns < SM_GRAPH_KEEP_FLUSH_NS)
        return SM_OK;
    k->flushed_ns = now_ns;
    k->version++;
    pthread_mutex_lock(&k->mutex);
    encode_all(k, now_ns, all, &open);
    pthread_mutex_unlock(&k->mutex);
    enum sm_rc rc = write_waiting(k, err);
    struct sm_err second;
    enum sm_rc saved = write_checkpoint(k, &open, now_ns, rc == SM_OK ? err : &second);
    rc = rc == SM_OK ? saved : rc;
    limit_waiting(k);
    sm_graph_log_tend(k->log, now_ns, all);
    free_parts(&open);
    if (rc != SM_OK)
        sm_log(SM_LOG_ERROR, "graph_log_not_written", sm_kv("error", err->text));
    return rc;
}

/* ---- reading ---- */

struct sum {
    struct sm_names *names;
    struct sm_edges edges;
    struct sm_str parent; /* of the last edge, and its id */
    uint32_t parent_id;
};

static uint32_t node_id(struct sum *s, struct sm_str name)
{
    return sm_str_eq(name, sm_names_get(s->names, SM_NAME_OVERFLOW)) ? SM_NAME_OVERFLOW : sm_names_intern(s->names, name);
}

static void add_edge(void *ctx, const struct sm_graph_edge *edge)
{
    struct sum *s = ctx;
    if (!s->parent.ptr || !sm_str_eq(s->parent, edge->parent)) {
        s->parent_id = node_id(s, edge->parent);
        s->parent = sm_names_get(s->names, s->parent_id);
    }
    struct sm_edge_calls calls = {.parent = s->parent_id,
                                  .child = node_id(s, edge->child),
                                  .types = (uint8_t)edge->types,
                                  .calls = edge->calls,
                                  .errors = edge->errors,
                                  .latency = &edge->latency};
    sm_edges_add(&s->edges, &calls);
}

void sm_graph_keep_history(struct sm_graph_keep *k, uint32_t edges_max, struct sm_graph *graph)
{
    struct sm_edges_config config = {.edges_max = edges_max, .cells_max = edges_max + 8};
    uint32_t nodes_max = 2 * SM_MIN(edges_max, UINT32_C(1) << 18) + 2;
    struct sum s = {.names = sm_names_new(nodes_max, (size_t)nodes_max * NODE_BYTES_EACH)};
    sm_edges_init(&s.edges, &config);
    for (size_t i = 0; i < graph->count; i++)
        add_edge(&s, &graph->edges[i]);
    uint64_t run = sm_graph_log_run(k->log);
    int64_t start_ms = graph->start_ms, end_ms = graph->end_ms;
    sm_graph_log_read(k->log, start_ms, end_ms, run, add_edge, &s);
    sm_graph_fini(graph);
    sm_edges_snapshot(&s.edges, s.names, 0, INT64_MAX, SM_EDGES_ANY_SOURCE, graph);
    graph->start_ms = start_ms;
    graph->end_ms = end_ms;
    sm_edges_fini(&s.edges);
    sm_names_free(s.names);
}

/* ---- metrics ---- */

static void put_metrics(const struct sm_graph_log_stats *s, uint64_t calls_lost, struct sm_prom *p)
{
    const struct {
        const char *name, *help;
        enum sm_prom_type type;
        uint64_t value;
    } rows[] = {
        {"spanmill_graph_log_files", "files of the dependency graph, one an hour", SM_PROM_GAUGE, s->files},
        {"spanmill_graph_log_bytes", "size of these files", SM_PROM_GAUGE, s->bytes},
        {"spanmill_graph_log_parts_written_total", "minutes of the graph that were finished", SM_PROM_COUNTER, s->parts_written},
        {"spanmill_graph_log_written_bytes_total", "bytes written, checkpoints too", SM_PROM_COUNTER, s->bytes_written},
        {"spanmill_graph_log_write_errors_total", "writes and syncs that failed", SM_PROM_COUNTER, s->write_errors},
        {"spanmill_graph_log_syncs_total", "syncs", SM_PROM_COUNTER, s->syncs},
        {"spanmill_graph_log_removed_files_total", "files that retention removed", SM_PROM_COUNTER, s->files_removed},
        {"spanmill_graph_log_tails_cut_total", "torn ends of files that were cut", SM_PROM_COUNTER, s->tails_cut},
        {"spanmill_graph_log_damaged_total", "records or stretches that could not be read, each time they were met",
         SM_PROM_COUNTER, s->damaged},
        {"spanmill_graph_log_calls_lost_total", "calls that are missing in the log because of limits", SM_PROM_COUNTER,
         calls_lost},
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(rows); i++) {
        sm_prom_family(p, rows[i].name, rows[i].type, rows[i].help);
        sm_prom_uint(p, SM_STR(""), rows[i].value);
    }
}

void sm_graph_keep_collect(struct sm_graph_keep *k, struct sm_prom *p)
{
    struct sm_graph_log_stats s;
    sm_graph_log_stats(k->log, &s);
    put_metrics(&s, k->calls_lost, p);
}

void sm_graph_keep_metrics_sample(void *ctx SM_UNUSED, struct sm_prom *p)
{
    put_metrics(&(struct sm_graph_log_stats){0}, 0, p);
}
