/* Search: posting lists and rows give candidates per segment; these are visited newest first over all segments and verified on
 * their spans. A segment is opened only when nothing newer is left in those that are open. */
#include "base/hash.h"
#include "store/gather.h"
#include "store/internal.h"
#include "store/match.h"

#include <stdlib.h>

enum { LIMIT_DEFAULT = 20, BLOCKS_DEFAULT = 16384 };

/* Candidates in memory at one time; beyond it older segments are not searched (truncated). */
static const uint64_t candidates_max = UINT64_C(4) << 20;

const struct sm_store_query sm_store_query_default = {.kind = SM_STORE_KIND_ANY};

struct candidate {
    uint64_t start;
    uint32_t ordinal;
};

/* A segment in the search: a heap of candidates, newest on top. */
struct source {
    struct sm_segment_view view;
    uint64_t newest; /* start of the newest candidate it may have (closed), has (open) */
    bool open;
    struct candidate *heap;
    uint32_t count, capacity;
};

struct search {
    struct sm_store *store;
    const struct sm_store_query *query;
    struct sm_segment_list *list;
    struct source *sources;
    struct source **order; /* heap by newest */
    uint32_t order_count;
    uint64_t live;         /* candidates in memory */
    struct sm_block_reader *reader;
    struct sm_gather candidate, whole; /* one record; a trace put together */
    struct sm_matcher matcher;
    uint64_t *emitted; /* open addressing: hashes of ids */
    uint32_t emitted_size;
    uint32_t limit, blocks_max;
    struct sm_store_search_stats stats;
};

/* ---- candidates of one segment ---- */

/* Which posting lists a query asks for: the union of some, and that intersected with others. */
struct wanted_terms {
    const struct sm_store_query *query;
    struct sm_segment_view *view;
    uint32_t *numbers[3]; /* by group: names of service or operation, remote services, errors */
    uint32_t counts[3], capacities[3];
    uint32_t overflow; /* term number + 1 */
};

enum { GROUP_NAMES, GROUP_REMOTE, GROUP_ERROR, GROUPS };

static void want(struct wanted_terms *w, int group, uint32_t number)
{
    if (w->counts[group] == w->capacities[group]) {
        w->capacities[group] = SM_MAX(w->capacities[group] * 2, 16u);
        w->numbers[group] = sm_xrealloc(w->numbers[group], w->capacities[group] * sizeof *w->numbers[group]);
    }
    w->numbers[group][w->counts[group]++] = number;
}

static bool service_wanted(const struct sm_store_query *q, struct sm_str name)
{
    return !q->service.len || sm_match_name(q->service, name, q->fold_case);
}

static bool operation_wanted(const struct sm_store_query *q, const struct sm_index_term *term)
{
    /* On the whole trace, kind and name may be met by different spans. */
    bool kind = q->kind == SM_STORE_KIND_ANY || q->match == SM_STORE_MATCH_TRACE || q->kind == term->kind;
    return kind && service_wanted(q, term->a) && sm_match_name(q->operation, term->b, q->fold_case);
}

static void consider_term(void *ctx, const struct sm_index_term *term)
{
    struct wanted_terms *w = ctx;
    const struct sm_store_query *q = w->query;
    switch (term->type) {
    case SM_TERM_SERVICE:
        if (q->service.len && !q->operation.len && service_wanted(q, term->a))
            want(w, GROUP_NAMES, term->number);
        break;
    case SM_TERM_OPERATION:
        if (q->operation.len && operation_wanted(q, term))
            want(w, GROUP_NAMES, term->number);
        break;
    case SM_TERM_REMOTE:
        if (q->remote_service.len && service_wanted(q, term->a) &&
            sm_match_name(q->remote_service, term->b, q->fold_case))
            want(w, GROUP_REMOTE, term->number);
        break;
    case SM_TERM_ERROR:
        if (q->error_only)
            want(w, GROUP_ERROR, term->number);
        break;
    case SM_TERM_OVERFLOW:
        w->overflow = term->number + 1;
        break;
    }
}

/* The union of a group's posting lists; NULL when one is damaged. */
static roaring_bitmap_t *group_union(const struct wanted_terms *w, int group)
{
    roaring_bitmap_t *all = roaring_bitmap_create();
    for (uint32_t i = 0; all && i < w->counts[group]; i++) {
        roaring_bitmap_t *one;
        if (sm_segment_posting(w->view, w->numbers[group][i], &one) != SM_OK) {
            roaring_bitmap_free(all);
            return NULL;
        }
        roaring_bitmap_or_inplace(all, one);
        roaring_bitmap_free(one);
    }
    return all;
}

static enum sm_rc add_overflow(const struct wanted_terms *w, roaring_bitmap_t *into)
{
    roaring_bitmap_t *overflow;
    if (!w->overflow)
        return SM_OK;
    enum sm_rc rc = sm_segment_posting(w->view, w->overflow - 1, &overflow);
    if (rc == SM_OK) {
        roaring_bitmap_or_inplace(into, overflow);
        roaring_bitmap_free(overflow);
    }
    return rc;
}

/* Intersects *result (NULL: everything) with a group. Names that did not fit into the dictionary may be any name. */
static enum sm_rc intersect(const struct wanted_terms *w, int group, roaring_bitmap_t **result)
{
    roaring_bitmap_t *set = group_union(w, group);
    if (!set || (group != GROUP_ERROR && add_overflow(w, set) != SM_OK)) {
        if (set)
            roaring_bitmap_free(set);
        return SM_E_INVALID;
    }
    if (!*result) {
        *result = set;
        return SM_OK;
    }
    roaring_bitmap_and_inplace(*result, set);
    roaring_bitmap_free(set);
    return SM_OK;
}

/* *result: the records that may match, NULL for all. */
static enum sm_rc evaluate(const struct sm_store_query *q, struct sm_segment_view *view, roaring_bitmap_t **result)
{
    struct wanted_terms w = {.query = q, .view = view};
    const bool asked[GROUPS] = {q->service.len || q->operation.len, q->remote_service.len > 0, q->error_only};
    *result = NULL;
    if (!asked[GROUP_NAMES] && !asked[GROUP_REMOTE] && !asked[GROUP_ERROR])
        return SM_OK;
    enum sm_rc rc = sm_segment_terms(view, consider_term, &w);
    for (int group = 0; group < GROUPS && rc == SM_OK; group++) {
        if (asked[group])
            rc = intersect(&w, group, result);
    }
    for (int group = 0; group < GROUPS; group++)
        free(w.numbers[group]);
    if (rc != SM_OK && *result) {
        roaring_bitmap_free(*result);
        *result = NULL;
    }
    return rc;
}

static bool times_overlap(const struct sm_store_query *q, uint64_t start_min, uint64_t end_max)
{
    if (!q->start_min_ns && !q->start_max_ns)
        return true;
    return start_min && end_max >= q->start_min_ns && (!q->start_max_ns || start_min <= q->start_max_ns);
}

static bool row_may_match(const struct sm_store_query *q, const struct sm_format_row *row)
{
    uint64_t end = row->duration > UINT64_MAX - row->start ? UINT64_MAX : row->start + row->duration;
    return row->duration >= q->duration_min_ns && times_overlap(q, row->start, end) && (!q->error_only || row->errors);
}

static bool zone_may_match(const struct sm_store_query *q, const struct sm_format_zone *zone)
{
    return zone->duration_max >= q->duration_min_ns && times_overlap(q, zone->start_min, zone->end_max) &&
           (!q->error_only || zone->flags & SM_ZONE_ERROR);
}

static void push_candidate(struct source *s, uint64_t start, uint32_t ordinal)
{
    if (s->count == s->capacity) {
        s->capacity = SM_MAX(s->capacity * 2, 64u);
        s->heap = sm_xrealloc(s->heap, s->capacity * sizeof *s->heap);
    }
    s->heap[s->count++] = (struct candidate){start, ordinal};
}

/* `latest` caps starts that lie in the future of their segment, so that they do not come first for ever. */
static enum sm_rc consider_row(const struct sm_store_query *q, struct source *s, uint32_t ordinal, uint64_t latest)
{
    struct sm_format_row row;
    enum sm_rc rc = sm_segment_row(&s->view, ordinal, &row);
    if (rc == SM_OK && row_may_match(q, &row))
        push_candidate(s, SM_MIN(row.start, latest), ordinal);
    return rc;
}

static enum sm_rc consider_posting(const struct sm_store_query *q, struct source *s, const roaring_bitmap_t *posting,
                                   uint64_t latest)
{
    roaring_uint32_iterator_t it;
    enum sm_rc rc = SM_OK;
    for (roaring_init_iterator(posting, &it); it.has_value && rc == SM_OK; roaring_advance_uint32_iterator(&it)) {
        if (it.current_value >= s->view.rows)
            break; /* written since the view was taken */
        rc = consider_row(q, s, it.current_value, latest);
    }
    return rc;
}

static enum sm_rc consider_zones(const struct sm_store_query *q, struct source *s, uint64_t latest)
{
    for (uint32_t z = 0; z < s->view.zones; z++) {
        struct sm_format_zone zone;
        enum sm_rc rc = sm_segment_zone(&s->view, z, &zone);
        if (rc != SM_OK)
            return rc;
        if (!zone_may_match(q, &zone))
            continue;
        for (uint32_t i = 0; i < zone.traces && i < s->view.rows && zone.first < s->view.rows - i; i++) {
            rc = consider_row(q, s, zone.first + i, latest);
            if (rc != SM_OK)
                return rc;
        }
    }
    return SM_OK;
}

static enum sm_rc collect(const struct sm_store_query *q, struct source *s)
{
    struct sm_format_summary summary;
    roaring_bitmap_t *posting;
    s->count = 0;
    sm_segment_summary(&s->view, &summary);
    enum sm_rc rc = evaluate(q, &s->view, &posting);
    if (rc != SM_OK)
        return rc;
    if (posting) {
        rc = consider_posting(q, s, posting, summary.start_max);
        roaring_bitmap_free(posting);
    } else {
        rc = consider_zones(q, s, summary.start_max);
    }
    return rc == SM_OK && !sm_segment_usable(&s->view) ? SM_E_INVALID : rc;
}

/* ---- heap of candidates in a source ---- */

static bool newer(const struct candidate *a, const struct candidate *b)
{
    return a->start != b->start ? a->start > b->start : a->ordinal > b->ordinal;
}

static void sift_candidate(struct candidate *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t top = at, left = at * 2 + 1, right = left + 1;
        if (left < count && newer(&heap[left], &heap[top]))
            top = left;
        if (right < count && newer(&heap[right], &heap[top]))
            top = right;
        if (top == at)
            return;
        struct candidate c = heap[at];
        heap[at] = heap[top];
        heap[top] = c;
        at = top;
    }
}

static uint32_t pop_candidate(struct source *s)
{
    uint32_t ordinal = s->heap[0].ordinal;
    s->heap[0] = s->heap[--s->count];
    sift_candidate(s->heap, s->count, 0);
    s->newest = s->count ? s->heap[0].start : 0;
    return ordinal;
}

static void close_source(struct source *s)
{
    free(s->heap);
    s->heap = NULL;
    s->count = s->capacity = 0;
}

static void open_source(struct search *x, struct source *s)
{
    s->open = true;
    if (collect(x->query, s) != SM_OK) {
        sm_segment_repair(&s->view);
        if (collect(x->query, s) != SM_OK)
            s->count = 0;
    }
    for (uint32_t i = s->count / 2; i-- > 0;)
        sift_candidate(s->heap, s->count, i);
    s->newest = s->count ? s->heap[0].start : 0;
    x->live += s->count;
    x->stats.candidates += s->count;
}

/* ---- heap of sources ---- */

/* Of equally new ones the younger segment first. */
static bool source_before(const struct source *a, const struct source *b)
{
    return a->newest != b->newest ? a->newest > b->newest : a->view.segment->id > b->view.segment->id;
}

static void sift_source(struct search *x, uint32_t at)
{
    for (;;) {
        uint32_t top = at, left = at * 2 + 1, right = left + 1;
        if (left < x->order_count && source_before(x->order[left], x->order[top]))
            top = left;
        if (right < x->order_count && source_before(x->order[right], x->order[top]))
            top = right;
        if (top == at)
            return;
        struct source *s = x->order[at];
        x->order[at] = x->order[top];
        x->order[top] = s;
        at = top;
    }
}

static void drop_top_source(struct search *x)
{
    close_source(x->order[0]);
    x->order[0] = x->order[--x->order_count];
    sift_source(x, 0);
}

/* The newest candidate there is; false when there are none, or too many. */
static bool next_candidate(struct search *x, struct source **source, uint32_t *ordinal)
{
    while (x->order_count) {
        struct source *top = x->order[0];
        if (!top->open) {
            if (x->live > candidates_max) {
                x->stats.truncated = true;
                return false;
            }
            open_source(x, top);
            sift_source(x, 0);
        } else if (top->count == 0) {
            drop_top_source(x);
        } else {
            *source = top;
            *ordinal = pop_candidate(top);
            x->live--;
            sift_source(x, 0);
            return true;
        }
    }
    return false;
}

static void add_sources(struct search *x)
{
    x->sources = sm_xcalloc(SM_MAX(x->list->count, 1u), sizeof *x->sources);
    x->order = sm_xcalloc(SM_MAX(x->list->count, 1u), sizeof *x->order);
    for (uint32_t i = 0; i < x->list->count; i++) {
        struct source *s = &x->sources[i];
        struct sm_format_summary summary;
        s->view = sm_segment_view(x->list->segments[i]);
        sm_segment_summary(&s->view, &summary);
        bool timed = x->query->start_min_ns || x->query->start_max_ns;
        if (!s->view.rows || (timed && !times_overlap(x->query, summary.start_min, summary.end_max)))
            continue;
        s->newest = summary.start_max;
        x->order[x->order_count++] = s;
    }
    for (uint32_t i = x->order_count / 2; i-- > 0;)
        sift_source(x, i);
}

/* ---- verifying ---- */

static uint64_t id_hash(struct sm_trace_id id)
{
    uint64_t h = sm_hash_combine(id.lo, id.hi);
    return h ? h : 1;
}

/* The id's place among those that were given out: its hash or 0. */
static uint64_t *emitted_slot(struct search *x, struct sm_trace_id id)
{
    uint64_t hash = id_hash(id);
    uint32_t at = (uint32_t)hash & (x->emitted_size - 1);
    while (x->emitted[at] && x->emitted[at] != hash)
        at = (at + 1) & (x->emitted_size - 1);
    return &x->emitted[at];
}

/* Puts the whole trace together; the candidate's own record is `found` when it is the only part. */
static bool gather_whole(struct search *x, struct sm_trace_id id, struct sm_store_found *found)
{
    sm_gather_find(&x->whole, x->list, id, SM_STORE_ID_EXACT);
    if (x->whole.part_count < 2)
        return true;
    return sm_gather_assemble(&x->whole, 0, x->whole.part_count, found);
}

/* True when the candidate's trace is an answer; *found is then all of it. */
static bool verify(struct search *x, struct source *s, uint32_t ordinal, struct sm_store_found *found)
{
    struct sm_str record;
    bool fresh;
    enum sm_rc rc = sm_segment_record(&s->view, x->reader, ordinal, &record, &fresh);
    x->stats.blocks_read += fresh;
    if (rc != SM_OK || !sm_gather_record(&x->candidate, record, found) || *emitted_slot(x, found->meta.id))
        return false;
    enum sm_match_result result = sm_match_trace(&x->matcher, found->spans, found->meta.span_count);
    if (result == SM_MATCH_NO || !gather_whole(x, found->meta.id, found))
        return false;
    if (result == SM_MATCH_SOME)
        result = found->parts > 1 ? sm_match_trace(&x->matcher, found->spans, found->meta.span_count) : SM_MATCH_NO;
    return result == SM_MATCH_YES && (!x->query->accept || x->query->accept(x->query->accept_ctx, found));
}

static void run(struct search *x, sm_store_found_fn fn, void *ctx)
{
    struct source *source;
    uint32_t ordinal;
    while (x->stats.found < x->limit && next_candidate(x, &source, &ordinal)) {
        struct sm_store_found found;
        if (x->stats.blocks_read + x->whole.blocks_read >= x->blocks_max) {
            x->stats.truncated = true;
            return;
        }
        if (!verify(x, source, ordinal, &found))
            continue;
        *emitted_slot(x, found.meta.id) = id_hash(found.meta.id);
        x->stats.found++;
        sm_gather_root(&found);
        if (!fn(ctx, &found))
            return;
    }
}

static void size_emitted(struct search *x)
{
    x->emitted_size = 64;
    while (x->emitted_size < x->limit * 2)
        x->emitted_size *= 2;
    x->emitted = sm_xcalloc(x->emitted_size, sizeof *x->emitted);
}

static void end_search(struct search *x)
{
    for (uint32_t i = 0; i < x->list->count; i++)
        close_source(&x->sources[i]);
    free(x->sources);
    free(x->order);
    free(x->emitted);
    sm_gather_fini(&x->candidate);
    sm_gather_fini(&x->whole);
    sm_buf_fini(&x->matcher.text);
    sm_store_reader_put(x->store, x->reader);
    sm_list_put(x->list);
}

enum sm_rc sm_store_search(struct sm_store *store, const struct sm_store_query *query, sm_store_found_fn fn, void *ctx,
                           struct sm_store_search_stats *stats)
{
    if (query->limit > SM_STORE_LIMIT_MAX || query->term_count > SM_STORE_TERMS_MAX)
        return SM_E_INVALID;
    struct search x = {.store = store,
                       .query = query,
                       .list = sm_store_list(store),
                       .reader = sm_store_reader_get(store),
                       .matcher = {.query = query},
                       .limit = query->limit ? query->limit : LIMIT_DEFAULT,
                       .blocks_max = query->blocks_max ? query->blocks_max : BLOCKS_DEFAULT};
    sm_gather_init(&x.candidate, x.reader);
    sm_gather_init(&x.whole, x.reader);
    size_emitted(&x);
    add_sources(&x);
    run(&x, fn, ctx);
    x.stats.blocks_read += x.whole.blocks_read;
    if (stats)
        *stats = x.stats;
    end_search(&x);
    return SM_OK;
}
