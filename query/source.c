/* Store and open windows as one. */
#include "query/source.h"
#include "base/hash.h"
#include "query/open_copy.h"
#include "span/attr.h"
#include "store/match.h"

#include <stdlib.h>

struct sm_source {
    struct sm_source_config config;
    struct sm_open_copy open;
    struct sm_encode_span *spans; /* of a trace that has stored and open parts */
    uint32_t span_capacity;
    uint64_t *seen; /* hashes of its spans */
    uint32_t seen_size;
};

struct sm_source *sm_source_new(const struct sm_source_config *config)
{
    struct sm_source *s = sm_xcalloc(1, sizeof *s);
    s->config = *config;
    return s;
}

void sm_source_free(struct sm_source *s)
{
    if (!s)
        return;
    sm_open_copy_fini(&s->open);
    free(s->spans);
    free(s->seen);
    free(s);
}

/* ---- putting a trace together ---- */

static uint64_t span_hash(const struct sm_encode_span *e)
{
    uint64_t h = sm_hash_combine(sm_hash_bytes(e->bytes.ptr, e->bytes.len), sm_hash_bytes(e->resource.ptr, e->resource.len));
    return h ? h : 1;
}

/* True when it was there before. 64-bit seeded hashes stand for the bytes. */
static bool seen_before(struct sm_source *s, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (s->seen_size - 1);
    for (; s->seen[at]; at = (at + 1) & (s->seen_size - 1)) {
        if (s->seen[at] == hash)
            return true;
    }
    s->seen[at] = hash;
    return false;
}

static void prepare_merge(struct sm_source *s, uint32_t spans)
{
    uint32_t size = 64;
    while (size < spans * 2)
        size *= 2;
    if (s->seen_size < size) {
        free(s->seen);
        s->seen = sm_xmalloc(size * sizeof *s->seen);
        s->seen_size = size;
    }
    memset(s->seen, 0, s->seen_size * sizeof *s->seen);
    if (s->span_capacity < spans) {
        s->span_capacity = spans;
        s->spans = sm_xrealloc(s->spans, spans * sizeof *s->spans);
    }
}

/* Fills s->spans with the stored spans and those of the window that are not among them; returns how many there are. */
static uint32_t merge_spans(struct sm_source *s, const struct sm_store_found *found, const struct sm_open_trace *open)
{
    uint32_t stored = found ? found->meta.span_count : 0, count = 0;
    prepare_merge(s, stored + open->count);
    for (uint32_t i = 0; i < stored; i++) {
        s->spans[count++] = found->spans[i];
        seen_before(s, span_hash(&found->spans[i]));
    }
    for (uint32_t i = 0; i < open->count; i++) {
        const struct sm_encode_span *e = &s->open.spans[open->first + i];
        if (!seen_before(s, span_hash(e)))
            s->spans[count++] = *e;
    }
    return count;
}

/* Times, errors and root of trace->spans. The root is the earliest span without parent, else the earliest. */
static void describe(struct sm_source_trace *trace)
{
    uint64_t root_start = UINT64_MAX;
    bool has_root = false;
    for (uint32_t i = 0; i < trace->span_count; i++) {
        struct sm_store_span span;
        sm_store_describe(&trace->spans[i], &span);
        trace->error_count += span.error;
        if (span.start_ns && (!trace->start_ns || span.start_ns < trace->start_ns))
            trace->start_ns = span.start_ns;
        if (span.start_ns)
            trace->end_ns = SM_MAX(trace->end_ns, span.start_ns + span.duration_ns);
        bool is_root = span.parent_id == 0;
        if (i == 0 || (is_root && !has_root) || (is_root == has_root && span.start_ns < root_start)) {
            root_start = span.start_ns;
            trace->root_service = span.service;
            trace->root_operation = span.name;
        }
        has_root |= is_root;
    }
}

static struct sm_source_trace stored_trace(const struct sm_store_found *found)
{
    const struct sm_store_meta *meta = &found->meta;
    return (struct sm_source_trace){.id = meta->id,
                                    .spans = found->spans,
                                    .span_count = meta->span_count,
                                    .error_count = meta->error_count,
                                    .start_ns = meta->start_ns,
                                    .end_ns = meta->end_ns,
                                    .root_service = found->root_service,
                                    .root_operation = found->root_operation,
                                    .open = meta->marks & SM_STORE_OPEN,
                                    .partial = meta->marks & SM_STORE_PARTIAL,
                                    .meta = meta};
}

/* `found` may be NULL. */
static struct sm_source_trace open_trace(struct sm_source *s, const struct sm_store_found *found,
                                         const struct sm_open_trace *open)
{
    uint32_t count = merge_spans(s, found, open);
    struct sm_source_trace trace = {.id = found ? found->meta.id : open->id,
                                    .spans = s->spans,
                                    .span_count = count,
                                    .open = open->in_window,
                                    .partial = found && found->meta.marks & SM_STORE_PARTIAL,
                                    .open_spans = count - (found ? found->meta.span_count : 0),
                                    .meta = found ? &found->meta : NULL};
    describe(&trace);
    return trace;
}

/* ---- by id ---- */

/* A shard puts 64-bit and 128-bit ids with one low half together; the open trace then has either form. */
static bool same_trace(struct sm_trace_id wanted, struct sm_trace_id open)
{
    return wanted.lo == open.lo && (wanted.hi == open.hi || open.hi == 0);
}

struct get {
    struct sm_source *source;
    struct sm_trace_id id;
    sm_source_trace_fn fn;
    void *ctx;
    bool found, stopped;
};

static void copy_open(void *ctx, const struct sm_trace *trace)
{
    struct sm_source *s = ctx;
    sm_open_copy_add(&s->open, trace, true, s->config.names, s->config.scopes);
}

static void copy_kept(void *ctx, const struct sm_trace *trace)
{
    struct sm_source *s = ctx;
    sm_open_copy_add(&s->open, trace, false, s->config.names, s->config.scopes);
}

static struct sm_open_trace *find_open(struct sm_source *s, struct sm_trace_id id)
{
    for (uint32_t i = 0; i < s->open.trace_count; i++) {
        if (!s->open.traces[i].done && same_trace(id, s->open.traces[i].id))
            return &s->open.traces[i];
    }
    return NULL;
}

static bool give(struct get *g, const struct sm_source_trace *trace)
{
    g->found = true;
    g->stopped = !g->fn(g->ctx, trace);
    return !g->stopped;
}

static bool get_stored(void *ctx, const struct sm_store_found *found)
{
    struct get *g = ctx;
    struct sm_open_trace *open = find_open(g->source, found->meta.id);
    struct sm_source_trace trace = open ? open_trace(g->source, found, open) : stored_trace(found);
    if (open)
        open->done = true;
    return give(g, &trace);
}

static void get_matching(struct get *g, enum sm_store_id_match match)
{
    struct sm_source *s = g->source;
    if (s->config.store && sm_store_get(s->config.store, g->id, match, get_stored, g) == SM_OK)
        g->found = true;
    for (uint32_t i = 0; i < s->open.trace_count && !g->stopped; i++) {
        struct sm_open_trace *open = &s->open.traces[i];
        if (open->done || !(match == SM_STORE_ID_LOW64 ? open->id.lo == g->id.lo : same_trace(g->id, open->id)))
            continue;
        struct sm_source_trace trace = open_trace(s, NULL, open);
        open->done = true;
        give(g, &trace);
    }
}

enum sm_rc sm_source_get(struct sm_source *s, struct sm_trace_id id, sm_source_trace_fn fn, void *ctx)
{
    struct get g = {.source = s, .id = id, .fn = fn, .ctx = ctx};
    sm_open_copy_reset(&s->open, SM_SOURCE_TRACE_BYTES_MAX);
    if (s->config.pipeline) {
        sm_pipeline_visit_open(s->config.pipeline, &id, copy_open, s);
        sm_pipeline_visit_kept(s->config.pipeline, &id, copy_kept, s);
    }
    sm_open_copy_finish(&s->open);
    get_matching(&g, SM_STORE_ID_EXACT);
    if (!g.found && id.hi == 0)
        get_matching(&g, SM_STORE_ID_LOW64);
    return g.found ? SM_OK : SM_E_NOTFOUND;
}

/* ---- looking at open windows, and at what is on its way from there to the store ---- */

/* What a visit of all open traces may still cost. */
struct scan {
    struct sm_source *source;
    bool kept; /* looks at traces on their way to the store, not at windows */
    const struct sm_store_query *query; /* of a search */
    struct sm_str service;              /* of a name list */
    bool fold_case;
    struct sm_name_set *names;
    uint32_t spans_left;
    bool truncated;
};

static bool windows_are_readable(const struct sm_source *s)
{
    return s->config.pipeline && sm_pipeline_gauges(s->config.pipeline).traces_open <= SM_SOURCE_OPEN_MAX;
}

static void visit_all(struct scan *scan, void (*visit)(void *ctx, const struct sm_trace *trace))
{
    struct sm_pipeline *p = scan->source->config.pipeline;
    sm_pipeline_visit_open(p, NULL, visit, scan);
    scan->kept = true;
    sm_pipeline_visit_kept(p, NULL, visit, scan);
}

static struct sm_str service_of(const struct sm_source *s, const struct sm_span *span)
{
    const struct sm_resource *resource = sm_scopes_get(s->config.scopes, span->scope_id)->resource;
    if (resource->service_id != SM_NAME_OVERFLOW)
        return sm_names_get(s->config.names, resource->service_id);
    struct sm_store_span described; /* the text is only in its bytes */
    sm_store_describe(&(struct sm_encode_span){.resource = resource->bytes}, &described);
    return described.service;
}

static struct sm_str name_of(const struct sm_source *s, const struct sm_span *span, const uint8_t *bytes)
{
    return span->name_id == SM_NAME_OVERFLOW ? sm_span_name_bytes(span, bytes)
                                             : sm_names_get(s->config.names, span->name_id);
}

static bool span_may_match(const struct scan *scan, const struct sm_span *span, const uint8_t *bytes)
{
    const struct sm_store_query *q = scan->query;
    if (q->service.len && !sm_match_name(q->service, service_of(scan->source, span), q->fold_case))
        return false;
    if (q->match == SM_STORE_MATCH_TRACE)
        return true;
    return (q->kind == SM_STORE_KIND_ANY || q->kind == (int)sm_span_kind(span)) && span->duration_ns >= q->duration_min_ns &&
           (!q->operation.len || sm_match_name(q->operation, name_of(scan->source, span, bytes), q->fold_case));
}

static bool times_overlap(const struct sm_store_query *q, const struct sm_trace *t)
{
    if (!q->start_min_ns && !q->start_max_ns)
        return true;
    return t->start_ns != UINT64_MAX && t->end_ns >= q->start_min_ns && (!q->start_max_ns || t->start_ns <= q->start_max_ns);
}

/* Cheap: heads only. What passes is copied and then matched in full. */
static bool trace_may_match(struct scan *scan, const struct sm_trace *t)
{
    if (!times_overlap(scan->query, t) || (scan->query->error_only && !(t->span_flags & SM_SPAN_ERROR)))
        return false;
    struct sm_trace_iter it = sm_trace_iter(t);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (sm_trace_next(&it, &span, &bytes)) {
        if (scan->spans_left == 0) {
            scan->truncated = true;
            return false;
        }
        scan->spans_left--;
        if (span_may_match(scan, span, bytes))
            return true;
    }
    return false;
}

static void copy_if_matching(void *ctx, const struct sm_trace *trace)
{
    struct scan *scan = ctx;
    struct sm_open_copy *copy = &scan->source->open;
    if (scan->spans_left == 0 || !trace_may_match(scan, trace))
        return;
    const struct sm_source_config *c = &scan->source->config;
    if (copy->trace_count == SM_SOURCE_COPY_TRACES_MAX || !sm_open_copy_add(copy, trace, !scan->kept, c->names, c->scopes))
        scan->truncated = true;
}

/* ---- search ---- */

struct search {
    struct sm_source *source;
    const struct sm_store_query *query;
    sm_source_trace_fn fn;
    void *ctx;
    struct sm_open_trace **order; /* matching open traces, newest first */
    uint32_t order_count, order_next;
    uint32_t limit, given;
    bool stopped;
};

static bool search_give(struct search *x, const struct sm_source_trace *trace)
{
    x->given++;
    x->stopped = !x->fn(x->ctx, trace) || x->given == x->limit;
    return !x->stopped;
}

struct stored_part {
    struct search *search;
    struct sm_open_trace *open;
};

static bool give_with_stored(void *ctx, const struct sm_store_found *found)
{
    struct stored_part *part = ctx;
    struct sm_source_trace trace = open_trace(part->search->source, found, part->open);
    search_give(part->search, &trace);
    return false;
}

/* Gives an open trace, with what the store has of it. */
static void search_give_open(struct search *x, struct sm_open_trace *open)
{
    struct sm_store *store = x->source->config.store;
    struct stored_part part = {x, open};
    open->done = true;
    if (store && sm_store_get(store, open->id, SM_STORE_ID_EXACT, give_with_stored, &part) == SM_OK)
        return;
    struct sm_source_trace trace = open_trace(x->source, NULL, open);
    search_give(x, &trace);
}

/* The open traces that are newer than this. */
static void search_give_newer(struct search *x, uint64_t start_ns)
{
    while (!x->stopped && x->order_next < x->order_count && x->order[x->order_next]->start_ns >= start_ns) {
        struct sm_open_trace *open = x->order[x->order_next++];
        if (!open->done)
            search_give_open(x, open);
    }
}

static struct sm_open_trace *among_open(const struct search *x, struct sm_trace_id id)
{
    for (uint32_t i = 0; i < x->order_count; i++) {
        if (same_trace(id, x->order[i]->id))
            return x->order[i];
    }
    return NULL;
}

static bool search_stored(void *ctx, const struct sm_store_found *found)
{
    struct search *x = ctx;
    search_give_newer(x, found->meta.start_ns);
    if (x->stopped)
        return false;
    struct sm_open_trace *open = among_open(x, found->meta.id);
    if (open && open->done)
        return true;
    struct sm_source_trace trace = open ? open_trace(x->source, found, open) : stored_trace(found);
    if (open)
        open->done = true;
    return search_give(x, &trace);
}

static int newest_first(const void *a, const void *b)
{
    const struct sm_open_trace *x = *(struct sm_open_trace *const *)a, *y = *(struct sm_open_trace *const *)b;
    return x->start_ns != y->start_ns ? (x->start_ns > y->start_ns ? -1 : 1) : sm_trace_id_cmp(x->id, y->id);
}

static void order_open(struct search *x)
{
    struct sm_open_copy *copy = &x->source->open;
    struct sm_matcher matcher = {.query = x->query};
    x->order = sm_xmalloc(SM_MAX(copy->trace_count, 1u) * sizeof *x->order);
    for (uint32_t i = 0; i < copy->trace_count; i++) {
        struct sm_open_trace *t = &copy->traces[i];
        if (sm_match_trace(&matcher, &copy->spans[t->first], t->count) == SM_MATCH_YES)
            x->order[x->order_count++] = t;
    }
    sm_buf_fini(&matcher.text);
    if (x->order_count)
        qsort(x->order, x->order_count, sizeof(struct sm_open_trace *), newest_first);
}

/* Copies what may match of the open windows; true when limits left something out. */
static bool copy_matching(struct sm_source *s, const struct sm_store_query *query)
{
    struct scan scan = {.source = s, .query = query, .spans_left = SM_SOURCE_SCAN_SPANS_MAX};
    sm_open_copy_reset(&s->open, SM_SOURCE_COPY_BYTES_MAX);
    if (windows_are_readable(s)) {
        sm_buf_reserve(&s->open.text, SM_SOURCE_COPY_BYTES_MAX); /* here rather than on the workers' threads */
        visit_all(&scan, copy_if_matching);
    } else {
        scan.truncated = s->config.pipeline != NULL;
    }
    sm_open_copy_finish(&s->open);
    return scan.truncated;
}

static bool query_is_valid(const struct sm_store_query *q)
{
    return q->term_count <= SM_STORE_TERMS_MAX && q->limit <= SM_STORE_LIMIT_MAX && !q->accept;
}

enum sm_rc sm_source_search(struct sm_source *s, const struct sm_store_query *query, sm_source_trace_fn fn, void *ctx,
                            bool *truncated)
{
    if (!query_is_valid(query))
        return SM_E_INVALID;
    struct search x = {.source = s, .query = query, .fn = fn, .ctx = ctx, .limit = query->limit ? query->limit : 20};
    struct sm_store_search_stats stats = {0};
    enum sm_rc rc = SM_OK;
    bool cut = copy_matching(s, query);
    order_open(&x);
    if (s->config.store) {
        struct sm_store_query stored = *query; /* some of what it finds may have been given already */
        stored.limit = SM_MIN(x.limit + x.order_count, (uint32_t)SM_STORE_LIMIT_MAX);
        rc = sm_store_search(s->config.store, &stored, search_stored, &x, &stats);
    }
    if (rc == SM_OK)
        search_give_newer(&x, 0);
    free(x.order);
    if (truncated)
        *truncated = cut || stats.truncated;
    return rc;
}

/* ---- names ---- */

static void add_stored_name(void *ctx, struct sm_str name, enum sm_kind kind)
{
    if (name.len)
        sm_name_set_add(ctx, name, (uint8_t)kind);
}

static void visit_names(struct sm_source *s, struct scan *scan, void (*visit)(void *ctx, const struct sm_trace *trace))
{
    scan->source = s;
    scan->spans_left = SM_SOURCE_SCAN_SPANS_MAX;
    if (windows_are_readable(s))
        visit_all(scan, visit);
}

static bool next_span(struct scan *scan, struct sm_trace_iter *it, const struct sm_span **span, const uint8_t **bytes)
{
    if (scan->spans_left == 0)
        return false;
    scan->spans_left--;
    return sm_trace_next(it, span, bytes);
}

static void note_services(void *ctx, const struct sm_trace *trace)
{
    struct scan *scan = ctx;
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    uint32_t last_scope = UINT32_MAX;
    while (next_span(scan, &it, &span, &bytes)) {
        if (span->scope_id != last_scope)
            add_stored_name(scan->names, service_of(scan->source, span), SM_KIND_UNSPECIFIED);
        last_scope = span->scope_id;
    }
}

void sm_source_services(struct sm_source *s, struct sm_name_set *names)
{
    visit_names(s, &(struct scan){.names = names}, note_services);
    if (s->config.store)
        sm_store_services(s->config.store, add_stored_name, names);
}

static void note_operations(void *ctx, const struct sm_trace *trace)
{
    struct scan *scan = ctx;
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (next_span(scan, &it, &span, &bytes)) {
        if (sm_match_name(scan->service, service_of(scan->source, span), scan->fold_case))
            add_stored_name(scan->names, name_of(scan->source, span, bytes), sm_span_kind(span));
    }
}

void sm_source_operations(struct sm_source *s, struct sm_str service, bool fold_case, struct sm_name_set *names)
{
    visit_names(s, &(struct scan){.names = names, .service = service, .fold_case = fold_case}, note_operations);
    if (s->config.store)
        sm_store_operations(s->config.store, service, fold_case, add_stored_name, names);
}

static void note_remote_services(void *ctx, const struct sm_trace *trace)
{
    struct scan *scan = ctx;
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (next_span(scan, &it, &span, &bytes)) {
        if (!sm_match_name(scan->service, service_of(scan->source, span), scan->fold_case))
            continue;
        struct sm_store_span described;
        sm_store_describe(&(struct sm_encode_span){.bytes = sm_lead_rest(span, bytes)}, &described);
        add_stored_name(scan->names, described.remote_service, SM_KIND_UNSPECIFIED);
    }
}

static void add_remote_name(void *ctx, struct sm_str name, enum sm_kind kind)
{
    (void)kind;
    add_stored_name(ctx, name, SM_KIND_UNSPECIFIED);
}

void sm_source_remote_services(struct sm_source *s, struct sm_str service, bool fold_case, struct sm_name_set *names)
{
    visit_names(s, &(struct scan){.names = names, .service = service, .fold_case = fold_case}, note_remote_services);
    if (s->config.store)
        sm_store_remote_services(s->config.store, service, fold_case, add_remote_name, names);
}
