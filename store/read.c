/* Reading a store other than by search: traces by id, everything, names, statistics, checking. */
#include "base/hash.h"
#include "store/gather.h"
#include "store/internal.h"
#include "store/match.h"
#include "store/scan.h"

#include <stdlib.h>

struct sm_segment_list *sm_store_list(struct sm_store *store)
{
    pthread_mutex_lock(&store->lock);
    struct sm_segment_list *list = store->list;
    sm_list_ref(list);
    pthread_mutex_unlock(&store->lock);
    return list;
}

struct sm_block_reader *sm_store_reader_get(struct sm_store *store)
{
    struct sm_block_reader *reader = NULL;
    pthread_mutex_lock(&store->lock);
    if (store->reader_count)
        reader = store->readers[--store->reader_count];
    pthread_mutex_unlock(&store->lock);
    return reader ? reader : sm_block_reader_new();
}

void sm_store_reader_put(struct sm_store *store, struct sm_block_reader *reader)
{
    pthread_mutex_lock(&store->lock);
    if (store->reader_count < SM_STORE_READERS_IDLE) {
        store->readers[store->reader_count++] = reader;
        reader = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    sm_block_reader_free(reader);
}

/* ---- by id ---- */

/* The end of the parts with the same id as parts[from]. */
static uint32_t same_id_until(const struct sm_gather *g, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < g->part_count && sm_trace_id_eq(g->parts[to].id, g->parts[from].id))
        to++;
    return to;
}

enum sm_rc sm_store_get(struct sm_store *store, struct sm_trace_id id, enum sm_store_id_match match, sm_store_found_fn fn,
                        void *ctx)
{
    struct sm_segment_list *list = sm_store_list(store);
    struct sm_block_reader *reader = sm_store_reader_get(store);
    struct sm_gather g;
    enum sm_rc rc = SM_E_NOTFOUND;
    sm_gather_init(&g, reader);
    sm_gather_find(&g, list, id, match);
    for (uint32_t from = 0, to; from < g.part_count; from = to) {
        struct sm_store_found found;
        to = same_id_until(&g, from);
        if (!sm_gather_assemble(&g, from, to, &found))
            continue;
        rc = SM_OK;
        sm_gather_root(&found);
        if (!fn(ctx, &found))
            break;
    }
    sm_gather_fini(&g);
    sm_store_reader_put(store, reader);
    sm_list_put(list);
    return rc;
}

/* ---- everything ---- */

static bool each_record(struct sm_gather *g, struct sm_str records, sm_store_found_fn fn, void *ctx)
{
    const uint8_t *p = (const uint8_t *)records.ptr, *end = p + records.len;
    for (uint32_t size; (size = sm_record_size(p, (size_t)(end - p))) != 0; p += size) {
        struct sm_store_found found;
        if (!sm_gather_record(g, sm_str(p, size), &found))
            continue;
        sm_gather_root(&found);
        if (!fn(ctx, &found))
            return false;
    }
    return true;
}

static bool each_block(struct sm_gather *g, struct sm_segment_view *view, sm_store_found_fn fn, void *ctx)
{
    if (!sm_segment_usable(view))
        sm_segment_repair(view);
    for (uint32_t block = 0; block < view->zones; block++) {
        struct sm_str records;
        bool fresh;
        if (sm_segment_block(view, g->reader, block, &records, &fresh) == SM_OK && !each_record(g, records, fn, ctx))
            return false;
    }
    return true;
}

void sm_store_iterate(struct sm_store *store, sm_store_found_fn fn, void *ctx)
{
    struct sm_segment_list *list = sm_store_list(store);
    struct sm_block_reader *reader = sm_store_reader_get(store);
    struct sm_gather g;
    sm_gather_init(&g, reader);
    for (uint32_t i = 0; i < list->count; i++) {
        struct sm_segment_view view = sm_segment_view(list->segments[i]);
        if (!each_block(&g, &view, fn, ctx))
            break;
    }
    sm_gather_fini(&g);
    sm_store_reader_put(store, reader);
    sm_list_put(list);
}

/* ---- names ---- */

struct name {
    struct sm_str text; /* in `texts`, as an offset until all are collected */
    size_t offset;
    uint8_t kind;
};

/* Distinct (name, kind) pairs. */
struct names {
    enum sm_term_type type;
    struct sm_str service;
    bool fold_case;
    struct sm_buf texts;
    struct name *items;
    uint32_t count, capacity;
    uint32_t *table; /* item + 1 */
    uint32_t table_size;
};

static struct sm_str name_text(const struct names *n, uint32_t i)
{
    return sm_str(n->texts.data + n->items[i].offset, n->items[i].text.len);
}

static uint32_t *name_slot(const struct names *n, struct sm_str text, uint8_t kind)
{
    uint64_t hash = sm_hash_bytes(text.ptr, text.len) + kind;
    uint32_t at = (uint32_t)hash & (n->table_size - 1);
    for (; n->table[at]; at = (at + 1) & (n->table_size - 1)) {
        uint32_t i = n->table[at] - 1;
        if (n->items[i].kind == kind && sm_str_eq(name_text(n, i), text))
            break;
    }
    return &n->table[at];
}

static void grow_names(struct names *n)
{
    if (n->count * 2 < n->table_size)
        return;
    n->table_size = SM_MAX(n->table_size * 2, 256u);
    free(n->table);
    n->table = sm_xcalloc(n->table_size, sizeof *n->table);
    for (uint32_t i = 0; i < n->count; i++)
        *name_slot(n, name_text(n, i), n->items[i].kind) = i + 1;
}

static void add_name(struct names *n, struct sm_str text, uint8_t kind)
{
    grow_names(n);
    uint32_t *slot = name_slot(n, text, kind);
    if (*slot)
        return;
    if (n->count == n->capacity) {
        n->capacity = SM_MAX(n->capacity * 2, 64u);
        n->items = sm_xrealloc(n->items, n->capacity * sizeof *n->items);
    }
    n->items[n->count] = (struct name){.text = {NULL, text.len}, .offset = n->texts.size, .kind = kind};
    sm_buf_put_str(&n->texts, text);
    *slot = ++n->count;
}

static void collect_name(void *ctx, const struct sm_index_term *term)
{
    struct names *n = ctx;
    if (term->type != n->type)
        return;
    if (term->type == SM_TERM_SERVICE)
        add_name(n, term->a, SM_KIND_UNSPECIFIED);
    else if (sm_match_name(n->service, term->a, n->fold_case))
        add_name(n, term->b, term->kind);
}

static int compare_names(const void *x, const void *y)
{
    const struct name *a = x, *b = y;
    int c = sm_str_cmp(a->text, b->text);
    return c ? c : (int)a->kind - (int)b->kind;
}

static void list_names(struct sm_store *store, struct names *n, sm_store_name_fn fn, void *ctx)
{
    struct sm_segment_list *list = sm_store_list(store);
    for (uint32_t i = 0; i < list->count; i++) {
        struct sm_segment_view view = sm_segment_view(list->segments[i]);
        if (sm_segment_terms(&view, collect_name, n) != SM_OK) {
            sm_segment_repair(&view);
            if (sm_segment_terms(&view, collect_name, n) != SM_OK)
                continue;
        }
    }
    sm_list_put(list);
    for (uint32_t i = 0; i < n->count; i++)
        n->items[i].text.ptr = (const char *)n->texts.data + n->items[i].offset;
    if (n->count)
        qsort(n->items, n->count, sizeof *n->items, compare_names);
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->items[i].text.len)
            fn(ctx, n->items[i].text, (enum sm_kind)n->items[i].kind);
    }
    free(n->items);
    free(n->table);
    sm_buf_fini(&n->texts);
}

void sm_store_services(struct sm_store *store, sm_store_name_fn fn, void *ctx)
{
    struct names n = {.type = SM_TERM_SERVICE};
    list_names(store, &n, fn, ctx);
}

void sm_store_operations(struct sm_store *store, struct sm_str service, bool fold_case, sm_store_name_fn fn, void *ctx)
{
    struct names n = {.type = SM_TERM_OPERATION, .service = service, .fold_case = fold_case};
    list_names(store, &n, fn, ctx);
}

void sm_store_remote_services(struct sm_store *store, struct sm_str service, bool fold_case, sm_store_name_fn fn, void *ctx)
{
    struct names n = {.type = SM_TERM_REMOTE, .service = service, .fold_case = fold_case};
    list_names(store, &n, fn, ctx);
}

/* ---- statistics ---- */

static void add_segment_stats(struct sm_segment *segment, struct sm_store_stats *stats)
{
    struct sm_segment_view view = sm_segment_view(segment);
    struct sm_format_summary s;
    sm_segment_summary(&view, &s);
    stats->segments++;
    stats->traces += s.traces;
    stats->spans += s.spans;
    stats->bytes_raw += s.bytes_raw;
    stats->bytes += atomic_load(&segment->size);
    if (!s.traces)
        return;
    if (!stats->stored_oldest_ns || s.stored_min < stats->stored_oldest_ns)
        stats->stored_oldest_ns = s.stored_min;
    stats->stored_newest_ns = SM_MAX(stats->stored_newest_ns, s.stored_max);
}

static uint64_t counted(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void sm_store_stats(struct sm_store *store, struct sm_store_stats *stats)
{
    struct sm_store_counters *c = &store->env.counters;
    *stats = (struct sm_store_stats){
        .written = sm_store_written(store),
        .durable = sm_store_durable(store),
        .appended_traces = counted(&c->appended_traces),
        .appended_spans = counted(&c->appended_spans),
        .written_bytes = counted(&c->written_bytes),
        .write_errors = counted(&c->write_errors),
        .syncs = counted(&c->syncs),
        .seals = counted(&c->seals),
        .removed_segments = counted(&c->removed_segments),
        .removed_traces = counted(&c->removed_traces),
        .tails_cut = counted(&c->tails_cut),
        .tail_bytes_cut = counted(&c->tail_bytes_cut),
        .damaged_ranges = counted(&c->damaged_ranges),
        .damaged_bytes = counted(&c->damaged_bytes),
        .damaged_blocks = counted(&c->damaged_blocks),
        .footers_rebuilt = counted(&c->footers_rebuilt),
        .segments_set_aside = counted(&c->segments_set_aside),
        .names_overflowed = counted(&c->names_overflowed),
    };
    struct sm_segment_list *list = sm_store_list(store);
    for (uint32_t i = 0; i < list->count; i++)
        add_segment_stats(list->segments[i], stats);
    sm_list_put(list);
}

void sm_store_segments(struct sm_store *store, void (*fn)(void *ctx, const struct sm_store_segment_info *info), void *ctx)
{
    struct sm_segment_list *list = sm_store_list(store);
    for (uint32_t i = 0; i < list->count; i++) {
        struct sm_segment *segment = list->segments[i];
        struct sm_segment_view view = sm_segment_view(segment);
        struct sm_format_summary s;
        sm_segment_summary(&view, &s);
        fn(ctx, &(struct sm_store_segment_info){.file = segment->name,
                                                .sealed = segment->sealed,
                                                .bytes = atomic_load(&segment->size),
                                                .traces = s.traces,
                                                .spans = s.spans,
                                                .blocks = s.blocks,
                                                .start_min_ns = s.start_min == UINT64_MAX ? 0 : s.start_min,
                                                .start_max_ns = s.start_max,
                                                .stored_min_ns = s.traces ? s.stored_min : 0,
                                                .stored_max_ns = s.traces ? s.stored_max : 0});
    }
    sm_list_put(list);
}

/* ---- checking ---- */

struct check {
    const struct sm_segment *segment;
    void (*fn)(void *ctx, const char *file, uint64_t offset, const char *what);
    void *ctx;
};

static void report(const struct check *c, uint64_t offset, const char *what)
{
    if (c->fn)
        c->fn(c->ctx, c->segment->name, offset, what);
}

static void report_range(void *ctx, uint64_t offset, uint64_t size)
{
    char what[64];
    snprintf(what, sizeof what, "%llu bytes are no readable block", (unsigned long long)size);
    report(ctx, offset, what);
}

static uint64_t check_segment(struct check *c, struct sm_segment *segment)
{
    uint64_t size = atomic_load(&segment->size);
    struct sm_scan scan = {.fd = segment->fd, .file_size = size, .salt = segment->salt, .damage = report_range, .ctx = c};
    c->segment = segment;
    sm_scan_run(&scan);
    sm_dictionary_free(scan.dictionary);
    uint64_t damage = scan.damaged_ranges;
    if (scan.end < size) {
        report_range(c, scan.end, size - scan.end);
        damage++;
    }
    if (segment->sealed && !sm_footer_verify(&segment->footer)) {
        report(c, segment->footer.offset, "footer is damaged; it is rebuilt when it is used");
        damage++;
    }
    return damage;
}

uint64_t sm_store_check(struct sm_store *store, void (*fn)(void *ctx, const char *file, uint64_t offset, const char *what),
                        void *ctx)
{
    struct sm_segment_list *list = sm_store_list(store);
    struct check c = {.fn = fn, .ctx = ctx};
    uint64_t damage = 0;
    for (uint32_t i = 0; i < list->count; i++)
        damage += check_segment(&c, list->segments[i]);
    sm_list_put(list);
    return damage;
}
