/* Building views: one pass to lay the spans out and find duplicates, one to resolve parents. */
#include "span/view.h"

#include "base/hash.h"
#include "span/attr.h"

#include <stdlib.h>

/* Open addressing by span id; a slot belongs to the view under construction when its stamp says so, so that nothing needs
 * clearing between traces. */
struct slot {
    uint64_t span_id;
    uint32_t stamp;
    uint32_t first, last; /* indexes of the first and last span with this id */
};

/* A client may send any number of spans with one id; walks along them stop here, so that a trace costs O(spans). */
enum { SAME_ID_MAX = 32 };

struct sm_view_scratch {
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    struct sm_view view;
    uint32_t *marks; /* for cycle detection */
    uint32_t capacity;
    uint32_t span_count; /* that the table was laid out for */
    struct slot *slots;
    uint32_t mask;
    uint32_t stamp;
    /* the last scope looked up: spans of one scope stand together */
    uint32_t scope_id;
    const struct sm_resource *resource;
};

struct sm_view_scratch *sm_view_scratch_new(const struct sm_names *names, const struct sm_scopes *scopes)
{
    struct sm_view_scratch *s = sm_xcalloc(1, sizeof *s);
    s->names = names;
    s->scopes = scopes;
    s->mask = 63;
    s->slots = sm_xcalloc(s->mask + 1, sizeof *s->slots);
    return s;
}

void sm_view_scratch_free(struct sm_view_scratch *s)
{
    if (!s)
        return;
    free(s->view.spans);
    free(s->marks);
    free(s->slots);
    free(s);
}

/* Grows to the largest trace seen (bounded by windows.max_spans) and stays there. */
static void reserve(struct sm_view_scratch *s, uint32_t count)
{
    if (count > s->capacity) {
        uint32_t capacity = s->capacity ? s->capacity : 64;
        while (capacity < count)
            capacity *= 2;
        free(s->view.spans);
        free(s->marks);
        s->view.spans = sm_xmalloc(capacity * sizeof *s->view.spans);
        s->marks = sm_xmalloc(capacity * sizeof *s->marks);
        s->capacity = capacity;
    }
    if (count * 2 > s->mask) {
        while (count * 2 > s->mask)
            s->mask = s->mask * 2 + 1;
        free(s->slots);
        s->slots = sm_xcalloc(s->mask + 1, sizeof *s->slots);
        s->stamp = 0;
    }
    if (++s->stamp == 0) { /* wrapped */
        memset(s->slots, 0, (s->mask + 1) * sizeof *s->slots);
        s->stamp = 1;
    }
}

/* The slot of an id; small traces use the front of the table only, which stays in cache. */
static struct slot *find_slot(const struct sm_view_scratch *s, uint64_t span_id, uint32_t mask)
{
    uint32_t i = (uint32_t)sm_hash_u64(span_id) & mask;
    while (s->slots[i].stamp == s->stamp && s->slots[i].span_id != span_id)
        i = (i + 1) & mask;
    return &s->slots[i];
}

static uint32_t mask_for(const struct sm_view_scratch *s, uint32_t count)
{
    uint32_t mask = 63;
    while (count * 2 > mask)
        mask = mask * 2 + 1;
    return SM_MIN(mask, s->mask);
}

static bool server_side(const struct sm_span *span)
{
    enum sm_kind kind = sm_span_kind(span);
    return kind == SM_KIND_SERVER || kind == SM_KIND_CONSUMER || (span->flags & SM_SPAN_SHARED);
}

static uint32_t service_of(const struct sm_view_span *s)
{
    return s->resource ? s->resource->service_id : SM_NAME_EMPTY;
}

/* Ids, times, name, size, kind, status and flags; scope ids may have changed hands since. */
static bool same_head(const struct sm_span *a, const struct sm_span *b)
{
    return a->parent_id == b->parent_id && a->start_ns == b->start_ns && a->duration_ns == b->duration_ns &&
           a->name_id == b->name_id && ((a->flags ^ b->flags) & ~SM_SPAN_PRIVATE) == 0 && a->kind_status == b->kind_status;
}

/* Same key (side, compatible service) and same content. */
static bool same_record(const struct sm_view_span *a, const struct sm_view_span *b)
{
    if (a->span->size != b->span->size || server_side(a->span) != server_side(b->span))
        return false;
    if (!a->bytes) /* context: the head has to do */
        return same_head(a->span, b->span);
    uint32_t sa = service_of(a), sb = service_of(b);
    if (sa != sb && sa != SM_NAME_EMPTY && sb != SM_NAME_EMPTY)
        return false;
    return sm_lead_eq(a->span, b->span) && sm_str_eq(sm_lead_rest(a->span, a->bytes), sm_lead_rest(b->span, b->bytes));
}

static const struct sm_resource *resource_of(struct sm_view_scratch *s, uint32_t scope_id)
{
    if (s->resource && s->scope_id == scope_id)
        return s->resource;
    s->scope_id = scope_id;
    s->resource = sm_scopes_get(s->scopes, scope_id)->resource;
    return s->resource;
}

/* What names the peer of a call lies in memory that nobody has touched since the span came, and so do the addresses that tell Zipkin's
 * shared spans apart; analyzers will ask. */
static void prefetch_peer(const struct sm_span *span, const uint8_t *bytes)
{
    enum sm_kind kind = sm_span_kind(span);
    if ((kind == SM_KIND_SERVER || kind <= SM_KIND_INTERNAL) && !span->zipkin)
        return;
    const uint32_t *wanted = sm_span_wanted(span);
    for (unsigned i = 0; i < span->n_wanted; i++)
        __builtin_prefetch(bytes + SM_WANTED_OFFSET(wanted[i]));
}

/* Adds the span at index view.count unless it is a duplicate. */
static void add_span(struct sm_view_scratch *s, const struct sm_span *span, const uint8_t *bytes, uint32_t mask)
{
    struct sm_view *v = &s->view;
    struct sm_view_span *e = &v->spans[v->count];
    *e = (struct sm_view_span){span, bytes, resource_of(s, span->scope_id), SM_VIEW_NONE, SM_VIEW_NONE};
    struct slot *slot = find_slot(s, span->span_id, mask);
    if (slot->stamp != s->stamp) {
        *slot = (struct slot){span->span_id, s->stamp, v->count, v->count};
        v->count++;
        return;
    }
    uint32_t i = slot->first;
    for (unsigned walked = 0; i != SM_VIEW_NONE && walked < SAME_ID_MAX; walked++, i = v->spans[i].next_same_id) {
        if (same_record(&v->spans[i], e)) {
            ((struct sm_span *)(uintptr_t)span)->flags |= SM_SPAN_DUPLICATE; /* the trace is the caller's to mark */
            v->duplicates++;
            v->duplicate_bytes += span->size;
            return;
        }
    }
    v->spans[slot->last].next_same_id = v->count;
    slot->last = v->count++;
}

/* The client half that a shared server half belongs to: the first span with its id that is not shared. */
static uint32_t client_half(const struct sm_view *v, uint32_t first, uint32_t self)
{
    unsigned walked = 0;
    for (uint32_t i = first; i != SM_VIEW_NONE && walked++ < SAME_ID_MAX; i = v->spans[i].next_same_id) {
        if (i != self && !(v->spans[i].span->flags & SM_SPAN_SHARED))
            return i;
    }
    return SM_VIEW_NONE;
}

/* Of several halves with the parent's id the one in the span's own service is its parent, else the first. */
static uint32_t pick_parent(const struct sm_view *v, uint32_t first, uint32_t self)
{
    if (first == SM_VIEW_NONE || v->spans[first].next_same_id == SM_VIEW_NONE)
        return first == self ? SM_VIEW_NONE : first;
    uint32_t service = service_of(&v->spans[self]), fallback = SM_VIEW_NONE;
    unsigned walked = 0;
    for (uint32_t i = first; i != SM_VIEW_NONE && walked++ < SAME_ID_MAX; i = v->spans[i].next_same_id) {
        if (i == self)
            continue;
        if (service_of(&v->spans[i]) == service && server_side(v->spans[i].span))
            return i;
        if (fallback == SM_VIEW_NONE || (server_side(v->spans[i].span) && !server_side(v->spans[fallback].span)))
            fallback = i;
    }
    return fallback;
}

static uint32_t resolve_parent(const struct sm_view_scratch *s, uint32_t i, uint32_t mask)
{
    const struct sm_view *v = &s->view;
    const struct sm_span *span = v->spans[i].span;
    if (span->flags & SM_SPAN_SHARED) {
        uint32_t client = client_half(v, find_slot(s, span->span_id, mask)->first, i);
        if (client != SM_VIEW_NONE)
            return client;
    }
    if (span->parent_id == 0 || span->parent_id == span->span_id)
        return SM_VIEW_NONE;
    const struct slot *slot = find_slot(s, span->parent_id, mask);
    return slot->stamp == s->stamp ? pick_parent(v, slot->first, i) : SM_VIEW_NONE;
}

/* Cuts parent links that lead back to the span itself, so that nobody who follows parents can hang. */
static uint32_t cut_cycles(struct sm_view *v, uint32_t *marks)
{
    uint32_t cut = 0;
    memset(marks, 0, v->count * sizeof *marks);
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t j = i;
        while (!marks[j]) {
            marks[j] = i + 1;
            uint32_t parent = v->spans[j].parent;
            if (parent == SM_VIEW_NONE)
                break;
            if (marks[parent] == i + 1) {
                v->spans[j].parent = SM_VIEW_NONE;
                cut++;
                break;
            }
            j = parent;
        }
    }
    return cut;
}

static uint32_t pick_root(const struct sm_view *v)
{
    uint32_t orphan = SM_VIEW_NONE;
    for (uint32_t i = 0; i < v->count; i++) {
        const struct sm_view_span *e = &v->spans[i];
        if (e->parent != SM_VIEW_NONE)
            continue;
        if (e->span->parent_id == 0)
            return i;
        if (orphan == SM_VIEW_NONE || e->span->start_ns < v->spans[orphan].span->start_ns)
            orphan = i;
    }
    return orphan;
}

const struct sm_view *sm_view_build_late(struct sm_view_scratch *s, struct sm_trace *trace, const struct sm_span *context,
                                         uint32_t context_count)
{
    s->span_count = trace->span_count + context_count;
    reserve(s, s->span_count);
    struct sm_view *v = &s->view;
    v->trace = trace;
    v->count = 0;
    v->duplicates = v->duplicate_bytes = 0;
    v->start_ns = trace->start_ns == UINT64_MAX ? 0 : trace->start_ns;
    v->duration_ns = trace->end_ns > trace->start_ns ? trace->end_ns - trace->start_ns : 0;
    v->error = trace->span_flags & SM_SPAN_ERROR;
    s->resource = NULL;
    uint32_t mask = mask_for(s, s->span_count);
    for (uint32_t i = 0; i < context_count; i++)
        add_span(s, &context[i], NULL, mask);
    v->context = v->count;
    v->duplicates = v->duplicate_bytes = 0; /* heads of the context may be alike: those are not the trace's */
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (sm_trace_next(&it, &span, &bytes)) {
        prefetch_peer(span, bytes);
        add_span(s, span, bytes, mask);
    }
    for (uint32_t i = 0; i < v->count; i++)
        v->spans[i].parent = resolve_parent(s, i, mask);
    v->cycles = cut_cycles(v, s->marks);
    v->root = pick_root(v);
    return v;
}

const struct sm_view *sm_view_build(struct sm_view_scratch *s, struct sm_trace *trace)
{
    return sm_view_build_late(s, trace, NULL, 0);
}

uint32_t sm_view_find(const struct sm_view_scratch *s, uint64_t span_id)
{
    const struct slot *slot = find_slot(s, span_id, mask_for(s, s->span_count));
    return slot->stamp == s->stamp ? slot->first : SM_VIEW_NONE;
}

struct sm_str sm_view_name(const struct sm_view_scratch *s, const struct sm_view_span *e)
{
    if (SM_UNLIKELY(e->span->name_id == SM_NAME_OVERFLOW) && e->bytes)
        return sm_span_name_bytes(e->span, e->bytes);
    return sm_names_get(s->names, e->span->name_id);
}

struct sm_str sm_view_service(const struct sm_view_scratch *s, const struct sm_view_span *e)
{
    return sm_names_get(s->names, service_of(e));
}
