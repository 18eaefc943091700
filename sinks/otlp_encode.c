/* Two passes: the first lists the spans, sorts them into groups and adds up lengths; the second writes everything once, into
 * a buffer of the exact size. */
#include "sinks/otlp_encode.h"
#include "span/attr.h"
#include "span/private.h"
#include "span/threshold.h"
#include "span/tracestate.h"

#include <stdlib.h>

/* Field numbers of the enclosing messages. */
enum { RESOURCE_SPANS = 1, RESOURCE = 1, SCOPE_SPANS = 2, RESOURCE_SCHEMA_URL = 3, SCOPE = 1, SPANS = 2, SCOPE_SCHEMA_URL = 3 };

enum { NONE = UINT32_MAX, TABLE_INITIAL = 64 };

/* Two lengths and two tags of up to ten bytes each, for a new group in the estimate of the request's size. */
#define GROUP_OVERHEAD 48

/* One span of the request. */
struct entry {
    const uint8_t *bytes; /* without its lead; NULL: whole, at scratch_at in the scratch */
    union {
        const struct sm_trace *trace; /* whose span it is ... */
        size_t scratch_at;
    };
    const struct sm_span *span; /* ... and the head that says the lead */
    uint32_t size;
    uint32_t suffix_size; /* field 3 that is appended */
    size_t suffix_at;     /* in the scratch */
    uint32_t next;        /* of its group */
};

/* The spans of one scope. */
struct group {
    const struct sm_scope *scope;
    uint32_t scope_id;
    uint32_t first, last; /* entries */
    uint32_t next;        /* group of the same resource */
    size_t spans_size;    /* of all fields `spans` */
};

/* The scopes of one resource. */
struct resource_group {
    const struct sm_resource *resource;
    uint32_t first, last; /* groups */
};

struct sm_otlp_encoder {
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    bool keep_private;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct group *groups;
    size_t group_count, group_capacity;
    struct resource_group *resources;
    size_t resource_count, resource_capacity;
    uint32_t *table; /* group index + 1 by scope id: open addressing, never more than half full */
    size_t table_size;
    struct sm_buf scratch; /* suffixes and rewritten spans */
    struct sm_buf whole;   /* a span that is being rewritten */
    size_t estimate;       /* the request's size is not above it */
    /* the last suffix that was made for a span with a tracestate of its own: most spans of a trace have the same */
    struct sm_str own_incoming;
    size_t own_at;
    uint32_t own_size;
};

struct sm_otlp_encoder *sm_otlp_encoder_new(const struct sm_names *names, const struct sm_scopes *scopes, bool keep_private)
{
    struct sm_otlp_encoder *e = sm_xcalloc(1, sizeof *e);
    e->names = names;
    e->scopes = scopes;
    e->keep_private = keep_private;
    e->table_size = TABLE_INITIAL;
    e->table = sm_xcalloc(e->table_size, sizeof *e->table);
    return e;
}

void sm_otlp_encoder_free(struct sm_otlp_encoder *e)
{
    if (!e)
        return;
    free(e->entries);
    free(e->groups);
    free(e->resources);
    free(e->table);
    sm_buf_fini(&e->whole);
    sm_buf_fini(&e->scratch);
    free(e);
}

/* Room for one more element in an array that doubles. */
static void *grown(void *array, size_t count, size_t *capacity, size_t element_size)
{
    if (count < *capacity)
        return array;
    *capacity = SM_MAX(*capacity * 2, 64);
    return sm_xrealloc(array, *capacity * element_size);
}

/* --- groups ------------------------------------------------------------------------------------------------------ */

static size_t table_slot(const struct sm_otlp_encoder *e, uint32_t scope_id)
{
    size_t i = (scope_id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (e->table_size - 1);
    while (e->table[i] && e->groups[e->table[i] - 1].scope_id != scope_id)
        i = (i + 1) & (e->table_size - 1);
    return i;
}

static void table_grow(struct sm_otlp_encoder *e)
{
    free(e->table);
    sm_buf_fini(&e->whole);
    e->table_size *= 2;
    e->table = sm_xcalloc(e->table_size, sizeof *e->table);
    for (size_t i = 0; i < e->group_count; i++)
        e->table[table_slot(e, e->groups[i].scope_id)] = (uint32_t)i + 1;
}

/* Few resources are in one request; each is looked for once per scope of it. */
static uint32_t resource_index(struct sm_otlp_encoder *e, const struct sm_resource *resource)
{
    for (size_t i = e->resource_count; i-- > 0;) {
        if (e->resources[i].resource == resource)
            return (uint32_t)i;
    }
    e->resources = grown(e->resources, e->resource_count, &e->resource_capacity, sizeof *e->resources);
    e->resources[e->resource_count] = (struct resource_group){.resource = resource, .first = NONE, .last = NONE};
    e->estimate += GROUP_OVERHEAD + resource->bytes.len + resource->schema_url.len;
    return (uint32_t)e->resource_count++;
}

static uint32_t group_add(struct sm_otlp_encoder *e, uint32_t scope_id)
{
    const struct sm_scope *scope = sm_scopes_get(e->scopes, scope_id);
    uint32_t r_index = resource_index(e, scope->resource); /* may move e->resources */
    struct resource_group *r = &e->resources[r_index];
    e->groups = grown(e->groups, e->group_count, &e->group_capacity, sizeof *e->groups);
    uint32_t index = (uint32_t)e->group_count++;
    e->groups[index] =
        (struct group){.scope = scope, .scope_id = scope_id, .first = NONE, .last = NONE, .next = NONE};
    if (r->last == NONE)
        r->first = index;
    else
        e->groups[r->last].next = index;
    r->last = index;
    e->estimate += GROUP_OVERHEAD + scope->bytes.len + scope->schema_url.len;
    return index;
}

static uint32_t group_of(struct sm_otlp_encoder *e, uint32_t scope_id)
{
    size_t slot = table_slot(e, scope_id);
    if (SM_LIKELY(e->table[slot]))
        return e->table[slot] - 1;
    uint32_t index = group_add(e, scope_id);
    e->table[slot] = index + 1;
    if (e->group_count * 2 > e->table_size)
        table_grow(e);
    return index;
}

static void entry_add(struct sm_otlp_encoder *e, uint32_t scope_id, const struct entry *entry)
{
    e->entries = grown(e->entries, e->entry_count, &e->entry_capacity, sizeof *e->entries);
    uint32_t index = (uint32_t)e->entry_count++;
    e->entries[index] = *entry;
    e->entries[index].next = NONE;
    uint32_t group_index = group_of(e, scope_id); /* may move e->groups */
    struct group *g = &e->groups[group_index];
    if (g->last == NONE)
        g->first = index;
    else
        e->entries[g->last].next = index;
    g->last = index;
    size_t size = sm_pb_bytes_size(SPANS, (size_t)entry->size + entry->suffix_size);
    g->spans_size += size;
    e->estimate += size;
}

/* --- tracestate -------------------------------------------------------------------------------------------------- */

/* What sampling means for the spans of one trace. */
struct sampling {
    bool meaningful;      /* else nothing is appended */
    bool no_threshold;    /* kept without a probability: th goes */
    uint64_t threshold;   /* decided */
    uint64_t randomness;  /* to write where the span has no rv; SM_TRACESTATE_UNSET: none */
    size_t plain_at;      /* the suffix of spans without a tracestate of their own, in the scratch */
    uint32_t plain_size;
};

/* Appends a whole field 3 to the scratch and returns its size. */
static uint32_t put_suffix(struct sm_otlp_encoder *e, struct sm_str incoming, uint64_t threshold, uint64_t randomness)
{
    size_t text_max = SM_MIN(incoming.len, (size_t)SM_TRACESTATE_SIZE_MAX) + SM_TRACESTATE_GROWTH;
    sm_buf_reserve(&e->scratch, 2 * text_max + 16);
    uint8_t *start = e->scratch.data + e->scratch.size;
    char *text = (char *)start + text_max + 16; /* written behind, because its length goes before it */
    size_t size = sm_tracestate_write(incoming, threshold, randomness, text);
    uint8_t *end = sm_pb_put_bytes(start, SM_OTLP_TRACE_STATE, text, size);
    e->scratch.size += (size_t)(end - start);
    return (uint32_t)(end - start);
}

static struct sampling sampling_of(struct sm_otlp_encoder *e, const struct sm_trace *t)
{
    struct sampling s = {.no_threshold = t->counted_out, .threshold = t->threshold};
    s.meaningful = t->counted_out || t->threshold > SM_THRESHOLD_ALWAYS;
    s.randomness = s.meaningful && t->randomness_derived ? t->randomness : SM_TRACESTATE_UNSET;
    s.plain_at = e->scratch.size;
    if (s.meaningful && !t->counted_out)
        s.plain_size = put_suffix(e, (struct sm_str){NULL, 0}, t->threshold, s.randomness);
    e->own_incoming = (struct sm_str){NULL, 0};
    return s;
}

/* True when the incoming tracestate says what ours would say. */
static bool says_it_already(const struct sampling *s, const struct sm_tracestate *in, uint64_t randomness)
{
    if (in->malformed || randomness != in->randomness)
        return false;
    if (s->no_threshold)
        return in->threshold == SM_TRACESTATE_UNSET;
    return in->threshold != SM_TRACESTATE_UNSET && in->threshold >= s->threshold;
}

/* The suffix of a span that came with a tracestate. */
static void merge_suffix(struct sm_otlp_encoder *e, const struct sampling *s, struct sm_str incoming, struct entry *entry)
{
    if (!e->own_incoming.ptr || !sm_str_eq(incoming, e->own_incoming)) {
        struct sm_tracestate in;
        sm_tracestate_parse(incoming, &in);
        uint64_t randomness = in.randomness != SM_TRACESTATE_UNSET ? in.randomness : s->randomness;
        uint64_t threshold = s->threshold;
        if (s->no_threshold)
            threshold = SM_TRACESTATE_UNSET;
        else if (in.threshold != SM_TRACESTATE_UNSET)
            threshold = SM_MAX(in.threshold, threshold);
        e->own_incoming = incoming;
        e->own_at = e->scratch.size;
        e->own_size = says_it_already(s, &in, randomness) ? 0 : put_suffix(e, incoming, threshold, randomness);
    }
    entry->suffix_at = e->own_at;
    entry->suffix_size = e->own_size;
}

static struct sm_str tracestate_of(const struct sm_span *span, const uint8_t *bytes)
{
    struct sm_str fields = sm_lead_rest(span, bytes);
    return sm_tracestate_of_span((const uint8_t *)fields.ptr, fields.len);
}

static void choose_suffix(struct sm_otlp_encoder *e, const struct sampling *s, const struct sm_span *span,
                          const uint8_t *bytes, struct entry *entry)
{
    struct sm_str incoming = {NULL, 0};
    if (!s->meaningful)
        return;
    if (span->flags & SM_SPAN_TRACESTATE)
        incoming = tracestate_of(span, bytes);
    if (incoming.len) {
        merge_suffix(e, s, incoming, entry);
    } else {
        entry->suffix_at = s->plain_at;
        entry->suffix_size = s->plain_size;
    }
}

/* --- first pass -------------------------------------------------------------------------------------------------- */

/* A span that came with a 64-bit id and joined a trace of 128 bits leaves with the trace's. Transcoded spans begin with their
 * trace id. */
static void widen_trace_id(uint8_t *span, size_t size, struct sm_trace_id id)
{
    if (size >= 18 && span[0] == SM_PB_TAG(SM_OTLP_TRACE_ID, SM_PB_BYTES) && span[1] == 16)
        sm_store_be64(span + 2, id.hi);
}

/* The span without its private field, in the scratch. */
static void put_plain(struct sm_otlp_encoder *e, const struct sm_trace *trace, const struct sm_span *span, const uint8_t *bytes)
{
    sm_buf_clear(&e->whole);
    if (!sm_buf_reserve(&e->whole, span->size))
        return;
    (void)sm_lead_restore(e->whole.data, trace->id, span, bytes, e->names);
    sm_private_plain(sm_str(e->whole.data, span->size), &e->scratch);
}

static struct entry make_entry(struct sm_otlp_encoder *e, const struct sampling *s, const struct sm_trace *trace,
                               const struct sm_span *span, const uint8_t *bytes)
{
    struct entry entry = {.bytes = bytes, .trace = trace, .span = span, .size = span->size};
    choose_suffix(e, s, span, bytes, &entry);
    if ((span->flags & SM_SPAN_PRIVATE) && !e->keep_private) {
        entry.bytes = NULL;
        entry.scratch_at = e->scratch.size;
        put_plain(e, trace, span, bytes);
        entry.size = (uint32_t)(e->scratch.size - entry.scratch_at);
        if ((span->flags & SM_SPAN_ID64) && trace->id.hi)
            widen_trace_id(e->scratch.data + entry.scratch_at, entry.size, trace->id);
    }
    return entry;
}

/* Lists spans of one trace behind the first `skip`; false when the request is full. */
static bool list_trace(struct sm_otlp_encoder *e, const struct sm_trace *trace, uint64_t skip, size_t bytes_max)
{
    struct sampling s = sampling_of(e, trace);
    struct sm_trace_iter it = sm_trace_iter(trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (sm_trace_next(&it, &span, &bytes)) {
        if (skip) {
            skip--;
            continue;
        }
        __builtin_prefetch(bytes);
        struct entry entry = make_entry(e, &s, trace, span, bytes);
        if (e->entry_count && e->estimate + entry.size + entry.suffix_size + GROUP_OVERHEAD > bytes_max)
            return false;
        entry_add(e, span->scope_id, &entry);
    }
    return true;
}

static void list_batch(struct sm_otlp_encoder *e, const struct sm_sink_batch *batch, uint64_t skip, size_t bytes_max)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t spans = batch->traces[i]->span_count;
        if (skip >= spans) {
            skip -= spans;
            continue;
        }
        if (!list_trace(e, batch->traces[i], skip, bytes_max))
            return;
        skip = 0;
    }
}

static void forget(struct sm_otlp_encoder *e)
{
    e->entry_count = e->group_count = e->resource_count = e->estimate = 0;
    memset(e->table, 0, e->table_size * sizeof *e->table);
    sm_buf_clear(&e->scratch);
}

/* --- second pass ------------------------------------------------------------------------------------------------- */

static size_t optional_size(uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_bytes_size(field, s.len) : 0;
}

static uint8_t *put_optional(uint8_t *p, uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_put_bytes(p, field, s.ptr, s.len) : p;
}

static uint8_t *put_header(uint8_t *p, uint32_t field, size_t size)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_BYTES));
    return sm_pb_put_varint(p, size);
}

static size_t group_size(const struct group *g)
{
    return optional_size(SCOPE, g->scope->bytes) + g->spans_size + optional_size(SCOPE_SCHEMA_URL, g->scope->schema_url);
}

static size_t resource_size(const struct sm_otlp_encoder *e, const struct resource_group *r)
{
    size_t size = optional_size(RESOURCE, r->resource->bytes) + optional_size(RESOURCE_SCHEMA_URL, r->resource->schema_url);
    for (uint32_t i = r->first; i != NONE; i = e->groups[i].next)
        size += sm_pb_bytes_size(SCOPE_SPANS, group_size(&e->groups[i]));
    return size;
}

static uint8_t *put_whole(uint8_t *p, const struct sm_otlp_encoder *e, const struct entry *entry)
{
    if (SM_LIKELY(entry->bytes != NULL))
        return sm_lead_restore(p, entry->trace->id, entry->span, entry->bytes, e->names);
    memcpy(p, e->scratch.data + entry->scratch_at, entry->size);
    return p + entry->size;
}

static uint8_t *put_span(uint8_t *p, const struct sm_otlp_encoder *e, const struct entry *entry)
{
    p = put_header(p, SPANS, (size_t)entry->size + entry->suffix_size);
    p = put_whole(p, e, entry);
    if (entry->suffix_size)
        memcpy(p, e->scratch.data + entry->suffix_at, entry->suffix_size);
    return p + entry->suffix_size;
}

static uint8_t *put_group(uint8_t *p, const struct sm_otlp_encoder *e, const struct group *g)
{
    p = put_header(p, SCOPE_SPANS, group_size(g));
    p = put_optional(p, SCOPE, g->scope->bytes);
    for (uint32_t i = g->first; i != NONE; i = e->entries[i].next)
        p = put_span(p, e, &e->entries[i]);
    return put_optional(p, SCOPE_SCHEMA_URL, g->scope->schema_url);
}

static void put_resource(struct sm_buf *out, const struct sm_otlp_encoder *e, const struct resource_group *r)
{
    uint8_t *p = put_header(out->data + out->size, RESOURCE_SPANS, resource_size(e, r));
    p = put_optional(p, RESOURCE, r->resource->bytes);
    for (uint32_t i = r->first; i != NONE; i = e->groups[i].next)
        p = put_group(p, e, &e->groups[i]);
    p = put_optional(p, RESOURCE_SCHEMA_URL, r->resource->schema_url);
    out->size = (size_t)(p - out->data);
}

uint64_t sm_otlp_encode(struct sm_otlp_encoder *e, const struct sm_sink_batch *batch, uint64_t skip, size_t bytes_max,
                        struct sm_buf *out)
{
    forget(e);
    list_batch(e, batch, skip, bytes_max);
    sm_buf_reserve(out, e->estimate);
    for (size_t i = 0; i < e->resource_count; i++)
        put_resource(out, e, &e->resources[i]);
    return e->entry_count;
}
