/* In-memory index: chunked rows, dictionary, terms with posting vectors, table of trace ids. */
#include "store/index.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROW_CHUNK = 8192, ZONE_CHUNK = 1024 };
#define ROW_CHUNKS  (SM_INDEX_ROWS_MAX / ROW_CHUNK)
#define ZONE_CHUNKS (SM_INDEX_ZONES_MAX / ZONE_CHUNK)
#define NONE        UINT32_MAX

static const uint64_t future_ns_max = UINT64_C(24) * 3600 * SM_SEC;
static const size_t dictionary_bytes_max = 32 * SM_MIB;

struct string {
    uint32_t offset, size;
};

/* Records with the same low 64 bits form a chain, newest first: a client that repeats one id costs nobody a search. */
struct id_entry {
    struct sm_trace_id id;
    uint32_t older;
};

struct term {
    uint8_t type, kind;
    uint32_t a, b;
    uint64_t stamp; /* the last staged record that has it: once per record */
    uint32_t *ordinals;
    uint32_t count, capacity;
};

/* Open addressing, entries are number + 1. */
struct table {
    uint32_t *slots;
    uint32_t size, used;
};

struct staged_term {
    uint32_t row, term;
};

struct sm_index {
    uint8_t *rows[ROW_CHUNKS];
    struct id_entry *ids[ROW_CHUNKS];
    uint8_t *zones[ZONE_CHUNKS];
    _Atomic uint32_t row_count, zone_count;

    pthread_rwlock_t lock; /* guards everything below against readers */
    struct sm_buf text;    /* of the strings */
    struct string *strings;
    uint32_t string_count, string_capacity;
    struct term *terms;
    uint32_t term_count, term_capacity;
    struct table string_table, term_table, id_table;
    struct sm_format_summary summary;

    /* the writer's own */
    struct sm_format_row *staged_rows;
    struct sm_trace_id *staged_ids;
    uint32_t staged_count, staged_capacity;
    struct staged_term *staged_terms;
    uint32_t staged_term_count, staged_term_capacity;
    struct sm_format_summary staged; /* what the staged records add */
    uint64_t stamp;
    uint64_t overflowed;
    struct sm_str last_service; /* spans of a service come in rows: its number without a look-up */
    uint32_t last_service_string;
};

static const struct sm_format_summary empty_summary = {
    .start_min = UINT64_MAX, .stored_min = INT64_MAX, .stored_max = INT64_MIN, .first_seq = UINT64_MAX};

struct sm_index *sm_index_new(void)
{
    struct sm_index *x = sm_xcalloc(1, sizeof *x);
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&x->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    x->summary = x->staged = empty_summary;
    return x;
}


void sm_index_free(struct sm_index *x)
{
    if (!x)
        return;
    for (uint32_t i = 0; i < ROW_CHUNKS && x->rows[i]; i++) {
        free(x->rows[i]);
        free(x->ids[i]);
    }
    for (uint32_t i = 0; i < ZONE_CHUNKS && x->zones[i]; i++)
        free(x->zones[i]);
    for (uint32_t i = 0; i < x->term_count; i++)
        free(x->terms[i].ordinals);
    free(x->terms);
    free(x->strings);
    sm_buf_fini(&x->text);
    free(x->string_table.slots);
    free(x->term_table.slots);
    free(x->id_table.slots);
    free(x->staged_rows);
    free(x->staged_ids);
    free(x->staged_terms);
    pthread_rwlock_destroy(&x->lock);
    free(x);
}

/* ---- hash tables ---- */

/* Doubles the table when it is three quarters full; `rehash` gives the hash of an entry's number. */
static void table_grow(struct sm_index *x, struct table *t, uint64_t (*hash_of)(const struct sm_index *, uint32_t))
{
    if (t->used * 4 < t->size * 3)
        return;
    uint32_t size = t->size ? t->size * 2 : 256;
    uint32_t *slots = sm_xcalloc(size, sizeof *slots);
    for (uint32_t i = 0; i < t->size; i++) {
        if (!t->slots[i])
            continue;
        uint32_t at = (uint32_t)hash_of(x, t->slots[i] - 1) & (size - 1);
        while (slots[at])
            at = (at + 1) & (size - 1);
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->size = size;
}

static void table_add(struct table *t, uint64_t hash, uint32_t number)
{
    uint32_t at = (uint32_t)hash & (t->size - 1);
    while (t->slots[at])
        at = (at + 1) & (t->size - 1);
    t->slots[at] = number + 1;
    t->used++;
}

struct sm_str sm_index_string(const struct sm_index *x, uint32_t i)
{
    return x->strings[i].size ? sm_str(x->text.data + x->strings[i].offset, x->strings[i].size) : SM_STR("");
}

static uint64_t string_hash(const struct sm_index *x, uint32_t i)
{
    struct sm_str s = sm_index_string(x, i);
    return sm_hash_bytes(s.ptr, s.len);
}

static uint64_t term_key_hash(uint8_t type, uint8_t kind, uint32_t a, uint32_t b)
{
    return sm_hash_u64((uint64_t)a << 32 ^ (uint64_t)b << 8 ^ (uint64_t)type << 4 ^ kind);
}

static uint64_t term_hash(const struct sm_index *x, uint32_t i)
{
    const struct term *t = &x->terms[i];
    return term_key_hash(t->type, t->kind, t->a, t->b);
}

static struct id_entry *id_entry(const struct sm_index *x, uint32_t i)
{
    return &x->ids[i / ROW_CHUNK][i % ROW_CHUNK];
}

static uint64_t id_hash(const struct sm_index *x, uint32_t i)
{
    return sm_hash_u64(id_entry(x, i)->id.lo);
}

/* ---- dictionary and terms ---- */

static uint32_t string_find(const struct sm_index *x, struct sm_str s, uint64_t hash)
{
    const struct table *t = &x->string_table;
    if (!t->size)
        return NONE;
    for (uint32_t at = (uint32_t)hash & (t->size - 1); t->slots[at]; at = (at + 1) & (t->size - 1)) {
        if (sm_str_eq(sm_index_string(x, t->slots[at] - 1), s))
            return t->slots[at] - 1;
    }
    return NONE;
}

static uint32_t string_intern(struct sm_index *x, struct sm_str s)
{
    uint64_t hash = sm_hash_bytes(s.ptr, s.len);
    uint32_t number = string_find(x, s, hash);
    if (number != NONE)
        return number;
    if (s.len > SM_INDEX_NAME_BYTES_MAX || x->string_count == SM_INDEX_STRINGS_MAX ||
        x->text.size + s.len > dictionary_bytes_max)
        return NONE;
    pthread_rwlock_wrlock(&x->lock);
    if (x->string_count == x->string_capacity) {
        x->string_capacity = SM_MAX(x->string_capacity * 2, 256u);
        x->strings = sm_xrealloc(x->strings, x->string_capacity * sizeof *x->strings);
    }
    table_grow(x, &x->string_table, string_hash);
    number = x->string_count++;
    x->strings[number] = (struct string){(uint32_t)x->text.size, (uint32_t)s.len};
    sm_buf_put_str(&x->text, s);
    table_add(&x->string_table, hash, number);
    pthread_rwlock_unlock(&x->lock);
    return number;
}

static uint32_t term_find(const struct sm_index *x, uint64_t hash, uint8_t type, uint8_t kind, uint32_t a, uint32_t b)
{
    const struct table *t = &x->term_table;
    if (!t->size)
        return NONE;
    for (uint32_t at = (uint32_t)hash & (t->size - 1); t->slots[at]; at = (at + 1) & (t->size - 1)) {
        const struct term *term = &x->terms[t->slots[at] - 1];
        if (term->a == a && term->b == b && term->type == type && term->kind == kind)
            return t->slots[at] - 1;
    }
    return NONE;
}

static uint32_t term_intern(struct sm_index *x, uint8_t type, uint8_t kind, uint32_t a, uint32_t b)
{
    uint64_t hash = term_key_hash(type, kind, a, b);
    uint32_t number = term_find(x, hash, type, kind, a, b);
    if (number != NONE)
        return number;
    if (x->term_count == SM_INDEX_TERMS_MAX && type != SM_TERM_OVERFLOW && type != SM_TERM_ERROR)
        return NONE;
    pthread_rwlock_wrlock(&x->lock);
    if (x->term_count == x->term_capacity) {
        x->term_capacity = SM_MAX(x->term_capacity * 2, 256u);
        x->terms = sm_xrealloc(x->terms, x->term_capacity * sizeof *x->terms);
    }
    table_grow(x, &x->term_table, term_hash);
    number = x->term_count++;
    x->terms[number] = (struct term){.type = type, .kind = kind, .a = a, .b = b};
    table_add(&x->term_table, hash, number);
    pthread_rwlock_unlock(&x->lock);
    return number;
}

/* ---- staging ---- */

static void stage_term_number(struct sm_index *x, uint32_t number)
{
    struct term *t = &x->terms[number];
    if (t->stamp == x->stamp)
        return;
    t->stamp = x->stamp;
    if (x->staged_term_count == x->staged_term_capacity) {
        x->staged_term_capacity = SM_MAX(x->staged_term_capacity * 2, 1024u);
        x->staged_terms = sm_xrealloc(x->staged_terms, x->staged_term_capacity * sizeof *x->staged_terms);
    }
    x->staged_terms[x->staged_term_count++] = (struct staged_term){x->staged_count, number};
}

/* The term's number; NONE when it had to be listed under overflow. */
static uint32_t stage_term(struct sm_index *x, uint8_t type, uint8_t kind, uint32_t a, uint32_t b)
{
    uint32_t number = a == NONE || b == NONE ? NONE : term_intern(x, type, kind, a, b);
    if (number == NONE) {
        x->overflowed++;
        stage_term_number(x, term_intern(x, SM_TERM_OVERFLOW, 0, 0, 0));
        return NONE;
    }
    stage_term_number(x, number);
    return number;
}

static uint32_t service_string(struct sm_index *x, struct sm_str service)
{
    if (x->last_service.ptr != service.ptr || x->last_service.len != service.len || !service.ptr) {
        x->last_service = service;
        x->last_service_string = string_intern(x, service);
    }
    return x->last_service_string;
}

/* Returns the operation term. */
static uint32_t stage_span(struct sm_index *x, const struct sm_store_span *span)
{
    uint32_t service = service_string(x, span->service);
    stage_term(x, SM_TERM_SERVICE, 0, service, 0);
    if (span->remote_service.len)
        stage_term(x, SM_TERM_REMOTE, 0, service, string_intern(x, span->remote_service));
    return stage_term(x, SM_TERM_OPERATION, span->kind, service, string_intern(x, span->name));
}

/* A root comes before a span with a parent, then the earlier one. */
static bool more_like_root(const struct sm_store_span *a, const struct sm_store_span *b)
{
    if ((a->parent_id == 0) != (b->parent_id == 0))
        return a->parent_id == 0;
    return a->start_ns < b->start_ns;
}

static void stage_spans(struct sm_index *x, const struct sm_store_span *spans, uint32_t count, struct sm_format_row *row)
{
    const struct sm_store_span *root = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t operation = stage_span(x, &spans[i]);
        row->errors += spans[i].error;
        row->duration = SM_MAX(row->duration, spans[i].duration_ns);
        if (!root || more_like_root(&spans[i], root)) {
            root = &spans[i];
            row->root_term = operation;
        }
    }
    if (row->errors)
        stage_term(x, SM_TERM_ERROR, 0, 0, 0);
}

static void stage_summary(struct sm_index *x, const struct sm_store_meta *meta, uint32_t spans)
{
    struct sm_format_summary *s = &x->staged;
    uint64_t latest = meta->stored_ns > 0 ? (uint64_t)meta->stored_ns + future_ns_max : UINT64_MAX;
    s->traces++;
    s->spans += spans;
    if (meta->start_ns) {
        s->start_min = SM_MIN(s->start_min, meta->start_ns);
        s->end_max = SM_MAX(s->end_max, meta->end_ns);
        if (meta->start_ns <= latest)
            s->start_max = SM_MAX(s->start_max, meta->start_ns);
    }
    s->stored_min = SM_MIN(s->stored_min, meta->stored_ns);
    s->stored_max = SM_MAX(s->stored_max, meta->stored_ns);
}

static void grow_staged_rows(struct sm_index *x)
{
    if (x->staged_count < x->staged_capacity)
        return;
    x->staged_capacity = SM_MAX(x->staged_capacity * 2, 256u);
    x->staged_rows = sm_xrealloc(x->staged_rows, x->staged_capacity * sizeof *x->staged_rows);
    x->staged_ids = sm_xrealloc(x->staged_ids, x->staged_capacity * sizeof *x->staged_ids);
}

bool sm_index_stage(struct sm_index *x, const struct sm_store_meta *meta, const struct sm_store_span *spans, uint32_t count)
{
    if (sm_index_rows(x) + x->staged_count >= SM_INDEX_ROWS_MAX || sm_index_zones(x) >= SM_INDEX_ZONES_MAX)
        return false;
    grow_staged_rows(x);
    x->stamp++;
    x->last_service = (struct sm_str){NULL, 0}; /* views of the last record are gone */
    struct sm_format_row row = {.start = meta->start_ns,
                                .duration = meta->end_ns > meta->start_ns ? meta->end_ns - meta->start_ns : 0,
                                .root_term = SM_FORMAT_TERM_NONE,
                                .block = sm_index_zones(x),
                                .spans = count};
    stage_spans(x, spans, count, &row);
    stage_summary(x, meta, count);
    x->staged_rows[x->staged_count] = row;
    x->staged_ids[x->staged_count] = meta->id;
    x->staged_count++;
    return true;
}

uint32_t sm_index_staged(const struct sm_index *x)
{
    return x->staged_count;
}

void sm_index_discard(struct sm_index *x)
{
    x->staged_count = 0;
    x->staged_term_count = 0;
    x->staged = empty_summary;
}

/* ---- publishing ---- */

static void put_row(struct sm_index *x, uint32_t i, const struct sm_format_row *row, struct sm_trace_id id)
{
    uint32_t chunk = i / ROW_CHUNK, at = i % ROW_CHUNK;
    if (!x->rows[chunk]) {
        x->rows[chunk] = sm_xmalloc((size_t)ROW_CHUNK * SM_FORMAT_ROW_SIZE);
        x->ids[chunk] = sm_xmalloc(ROW_CHUNK * sizeof *x->ids[chunk]);
    }
    sm_format_row_pack(row, x->rows[chunk] + (size_t)at * SM_FORMAT_ROW_SIZE);
    x->ids[chunk][at] = (struct id_entry){id, NONE};
}

static void widen_zone(struct sm_format_zone *zone, const struct sm_format_row *row)
{
    zone->duration_max = SM_MAX(zone->duration_max, row->duration);
    if (row->errors)
        zone->flags |= SM_ZONE_ERROR;
    if (!row->start)
        return;
    uint64_t end = row->duration > UINT64_MAX - row->start ? UINT64_MAX : row->start + row->duration;
    zone->start_min = SM_MIN(zone->start_min, row->start);
    zone->start_max = SM_MAX(zone->start_max, row->start);
    zone->end_max = SM_MAX(zone->end_max, end);
}

static void put_zone(struct sm_index *x, uint32_t i, const struct sm_format_zone *zone)
{
    uint32_t chunk = i / ZONE_CHUNK;
    if (!x->zones[chunk])
        x->zones[chunk] = sm_xmalloc((size_t)ZONE_CHUNK * SM_FORMAT_ZONE_SIZE);
    sm_format_zone_pack(zone, x->zones[chunk] + (size_t)(i % ZONE_CHUNK) * SM_FORMAT_ZONE_SIZE);
}

static void post(struct term *t, uint32_t ordinal)
{
    if (t->count == t->capacity) {
        t->capacity = SM_MAX(t->capacity * 2, 4u);
        t->ordinals = sm_xrealloc(t->ordinals, t->capacity * sizeof *t->ordinals);
    }
    t->ordinals[t->count++] = ordinal;
}

static void merge_summary(struct sm_format_summary *into, const struct sm_format_summary *from)
{
    into->traces += from->traces;
    into->spans += from->spans;
    into->start_min = SM_MIN(into->start_min, from->start_min);
    into->start_max = SM_MAX(into->start_max, from->start_max);
    into->end_max = SM_MAX(into->end_max, from->end_max);
    into->stored_min = SM_MIN(into->stored_min, from->stored_min);
    into->stored_max = SM_MAX(into->stored_max, from->stored_max);
}

/* The slot of the chain with these low bits, or the free one where it would be. */
static uint32_t *id_slot(const struct sm_index *x, uint64_t lo)
{
    const struct table *t = &x->id_table;
    uint32_t at = (uint32_t)sm_hash_u64(lo) & (t->size - 1);
    while (t->slots[at] && id_entry(x, t->slots[at] - 1)->id.lo != lo)
        at = (at + 1) & (t->size - 1);
    return &t->slots[at];
}

static void publish_id(struct sm_index *x, uint32_t ordinal)
{
    table_grow(x, &x->id_table, id_hash);
    struct id_entry *entry = id_entry(x, ordinal);
    uint32_t *slot = id_slot(x, entry->id.lo);
    if (*slot)
        entry->older = *slot - 1;
    else
        x->id_table.used++;
    *slot = ordinal + 1;
}

static void publish_locked(struct sm_index *x, uint32_t first, uint64_t first_seq, uint32_t raw_size)
{
    for (uint32_t i = 0; i < x->staged_count; i++)
        publish_id(x, first + i);
    for (uint32_t i = 0; i < x->staged_term_count; i++)
        post(&x->terms[x->staged_terms[i].term], first + x->staged_terms[i].row);
    merge_summary(&x->summary, &x->staged);
    x->summary.blocks++;
    x->summary.bytes_raw += raw_size;
    x->summary.first_seq = SM_MIN(x->summary.first_seq, first_seq);
    x->summary.last_seq = SM_MAX(x->summary.last_seq, first_seq + x->staged_count - 1);
}

void sm_index_commit(struct sm_index *x, uint64_t offset, uint32_t size, uint32_t raw_size, uint64_t first_seq)
{
    uint32_t first = sm_index_rows(x), block = sm_index_zones(x);
    if (!x->staged_count)
        return;
    struct sm_format_zone zone = {
        .offset = offset, .start_min = UINT64_MAX, .size = size, .first = first, .traces = x->staged_count};
    for (uint32_t i = 0; i < x->staged_count; i++) {
        put_row(x, first + i, &x->staged_rows[i], x->staged_ids[i]);
        widen_zone(&zone, &x->staged_rows[i]);
    }
    put_zone(x, block, &zone);
    pthread_rwlock_wrlock(&x->lock);
    publish_locked(x, first, first_seq, raw_size);
    atomic_store_explicit(&x->zone_count, block + 1, memory_order_release);
    atomic_store_explicit(&x->row_count, first + x->staged_count, memory_order_release);
    pthread_rwlock_unlock(&x->lock);
    sm_index_discard(x);
}

uint64_t sm_index_overflowed(const struct sm_index *x)
{
    return x->overflowed;
}

/* ---- reading ---- */

uint32_t sm_index_rows(const struct sm_index *x)
{
    return atomic_load_explicit(&x->row_count, memory_order_acquire);
}

uint32_t sm_index_zones(const struct sm_index *x)
{
    return atomic_load_explicit(&x->zone_count, memory_order_acquire);
}

const uint8_t *sm_index_row_bytes(const struct sm_index *x, uint32_t i)
{
    return x->rows[i / ROW_CHUNK] + (size_t)(i % ROW_CHUNK) * SM_FORMAT_ROW_SIZE;
}

const uint8_t *sm_index_zone_bytes(const struct sm_index *x, uint32_t i)
{
    return x->zones[i / ZONE_CHUNK] + (size_t)(i % ZONE_CHUNK) * SM_FORMAT_ZONE_SIZE;
}

void sm_index_row(const struct sm_index *x, uint32_t i, struct sm_format_row *row)
{
    sm_format_row_unpack(sm_index_row_bytes(x, i), row);
}

void sm_index_zone(const struct sm_index *x, uint32_t i, struct sm_format_zone *zone)
{
    sm_format_zone_unpack(sm_index_zone_bytes(x, i), zone);
}

struct sm_trace_id sm_index_id(const struct sm_index *x, uint32_t i)
{
    return id_entry(x, i)->id;
}

void sm_index_summary(struct sm_index *x, struct sm_format_summary *summary)
{
    pthread_rwlock_rdlock(&x->lock);
    *summary = x->summary;
    pthread_rwlock_unlock(&x->lock);
}

uint32_t sm_index_find(struct sm_index *x, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals, uint32_t max)
{
    uint32_t n = 0;
    pthread_rwlock_rdlock(&x->lock);
    uint32_t at = x->id_table.size ? *id_slot(x, lo) : 0;
    for (uint32_t i = at ? at - 1 : NONE; i != NONE && n < max; i = id_entry(x, i)->older) {
        ids[n] = sm_index_id(x, i);
        ordinals[n++] = i;
    }
    pthread_rwlock_unlock(&x->lock);
    return n;
}

void sm_index_terms(struct sm_index *x, sm_index_term_fn fn, void *ctx)
{
    pthread_rwlock_rdlock(&x->lock);
    for (uint32_t i = 0; i < x->term_count; i++) {
        const struct term *t = &x->terms[i];
        struct sm_index_term term = {.type = t->type, .kind = t->kind, .number = i};
        if (t->count == 0)
            continue;
        if (t->type == SM_TERM_SERVICE || t->type == SM_TERM_OPERATION || t->type == SM_TERM_REMOTE)
            term.a = sm_index_string(x, t->a);
        if (t->type == SM_TERM_OPERATION || t->type == SM_TERM_REMOTE)
            term.b = sm_index_string(x, t->b);
        fn(ctx, &term);
    }
    pthread_rwlock_unlock(&x->lock);
}

roaring_bitmap_t *sm_index_posting(struct sm_index *x, uint32_t term)
{
    roaring_bitmap_t *bitmap;
    pthread_rwlock_rdlock(&x->lock);
    bitmap = roaring_bitmap_of_ptr(x->terms[term].count, x->terms[term].ordinals);
    pthread_rwlock_unlock(&x->lock);
    SM_ASSERT(bitmap);
    return bitmap;
}

uint32_t sm_index_string_count(const struct sm_index *x)
{
    return x->string_count;
}

uint32_t sm_index_term_count(const struct sm_index *x)
{
    return x->term_count;
}

void sm_index_term(const struct sm_index *x, uint32_t i, struct sm_format_term *term, const uint32_t **ordinals,
                   uint32_t *count)
{
    const struct term *t = &x->terms[i];
    *term = (struct sm_format_term){.type = t->type, .kind = t->kind, .a = t->a, .b = t->b};
    *ordinals = t->ordinals;
    *count = t->count;
}
