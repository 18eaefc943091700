/* Traces from parts: finding, merging, leaving out spans that occur twice. */
#include "store/gather.h"
#include "base/hash.h"

#include <stdlib.h>

void sm_gather_init(struct sm_gather *g, struct sm_block_reader *reader)
{
    *g = (struct sm_gather){.reader = reader};
}

void sm_gather_fini(struct sm_gather *g)
{
    free(g->parts);
    free(g->seen);
    sm_buf_fini(&g->arena);
    sm_record_spans_fini(&g->spans);
}

/* ---- finding ---- */

static void add_part(struct sm_gather *g, const struct sm_segment_view *view, uint32_t ordinal, struct sm_trace_id id)
{
    if (g->part_count == g->part_capacity) {
        g->part_capacity = SM_MAX(g->part_capacity * 2, 16u);
        g->parts = sm_xrealloc(g->parts, g->part_capacity * sizeof *g->parts);
    }
    g->parts[g->part_count++] = (struct sm_part){*view, ordinal, id};
}

enum { FIND_BATCH = 1024 };

/* Looks the id up, and makes sure that the rows it leads to can be read. */
static bool look_up(const struct sm_segment_view *view, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals,
                    uint32_t *count)
{
    return sm_segment_find(view, lo, ids, ordinals, FIND_BATCH, count) == SM_OK &&
           (*count == 0 || sm_segment_usable(view));
}

static void find_in(struct sm_gather *g, struct sm_segment *segment, struct sm_trace_id id, enum sm_store_id_match match)
{
    struct sm_trace_id ids[FIND_BATCH];
    uint32_t ordinals[FIND_BATCH], count;
    struct sm_segment_view view = sm_segment_view(segment);
    if (!look_up(&view, id.lo, ids, ordinals, &count)) {
        sm_segment_repair(&view);
        if (!look_up(&view, id.lo, ids, ordinals, &count))
            return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (match == SM_STORE_ID_LOW64 || ids[i].hi == id.hi)
            add_part(g, &view, ordinals[i], ids[i]);
    }
}

/* By id, then by age. */
static int compare_parts(const void *x, const void *y)
{
    const struct sm_part *a = x, *b = y;
    if (a->id.hi != b->id.hi)
        return a->id.hi < b->id.hi ? -1 : 1;
    if (a->view.segment->id != b->view.segment->id)
        return a->view.segment->id < b->view.segment->id ? -1 : 1;
    return (a->ordinal > b->ordinal) - (a->ordinal < b->ordinal);
}

void sm_gather_find(struct sm_gather *g, const struct sm_segment_list *list, struct sm_trace_id id,
                    enum sm_store_id_match match)
{
    g->part_count = 0;
    for (uint32_t i = 0; i < list->count && g->part_count < SM_GATHER_PARTS_MAX; i++)
        find_in(g, list->segments[i], id, match);
    if (g->part_count > 1)
        qsort(g->parts, g->part_count, sizeof *g->parts, compare_parts);
}

/* ---- merging ---- */

static uint64_t span_hash(const struct sm_encode_span *s)
{
    uint64_t h = sm_hash_combine(sm_hash_bytes(s->bytes.ptr, s->bytes.len), sm_hash_bytes(s->resource.ptr, s->resource.len));
    return h ? h : 1;
}

/* True when a span with this hash was there before. 64-bit seeded hashes stand for the bytes. */
static bool seen_before(struct sm_gather *g, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (g->seen_size - 1);
    for (; g->seen[at]; at = (at + 1) & (g->seen_size - 1)) {
        if (g->seen[at] == hash)
            return true;
    }
    g->seen[at] = hash;
    return false;
}

static void leave_out_duplicates(struct sm_gather *g, struct sm_store_found *found)
{
    uint32_t size = 64, kept = 0;
    while (size < g->spans.count * 2)
        size *= 2;
    if (g->seen_size < size) {
        free(g->seen);
        g->seen = sm_xmalloc(size * sizeof *g->seen);
        g->seen_size = size;
    }
    memset(g->seen, 0, g->seen_size * sizeof *g->seen);
    for (uint32_t i = 0; i < g->spans.count; i++) {
        if (!seen_before(g, span_hash(&g->spans.spans[i])))
            g->spans.spans[kept++] = g->spans.spans[i];
    }
    found->duplicates = g->spans.count - kept;
    g->spans.count = kept;
}

static void merge_meta(struct sm_store_meta *into, const struct sm_store_meta *part)
{
    if (part->start_ns && (!into->start_ns || part->start_ns < into->start_ns))
        into->start_ns = part->start_ns;
    into->end_ns = SM_MAX(into->end_ns, part->end_ns);
    into->marks |= part->marks;
    into->error_count += part->error_count;
}

/* Counting errors anew is needed only when spans were left out. */
static void finish_meta(const struct sm_gather *g, struct sm_store_found *found)
{
    found->meta.span_count = g->spans.count;
    found->spans = g->spans.spans;
    if (!found->duplicates)
        return;
    found->meta.error_count = 0;
    for (uint32_t i = 0; i < g->spans.count; i++) {
        struct sm_store_span span;
        sm_store_describe(&g->spans.spans[i], &span);
        found->meta.error_count += span.error;
    }
}

bool sm_gather_record(struct sm_gather *g, struct sm_str record, struct sm_store_found *found)
{
    *found = (struct sm_store_found){.parts = 1};
    g->spans.count = 0;
    if (!sm_record_decode((const uint8_t *)record.ptr, (uint32_t)record.len, &found->meta, &g->spans))
        return false;
    finish_meta(g, found);
    return true;
}

static bool read_part(struct sm_gather *g, struct sm_part *part, struct sm_str *record)
{
    bool fresh;
    struct sm_store_meta meta;
    enum sm_rc rc = sm_segment_record(&part->view, g->reader, part->ordinal, record, &fresh);
    g->blocks_read += fresh;
    return rc == SM_OK && sm_record_meta((const uint8_t *)record->ptr, (uint32_t)record->len, &meta) &&
           sm_trace_id_eq(meta.id, part->id);
}

/* Copies the parts' records into the arena, one after the other. */
static void copy_parts(struct sm_gather *g, uint32_t from, uint32_t to, struct sm_store_found *found)
{
    struct sm_str record;
    sm_buf_clear(&g->arena);
    for (uint32_t i = from; i < to; i++) {
        if (!read_part(g, &g->parts[i], &record))
            continue;
        if (found->parts == SM_GATHER_PARTS_MAX || g->arena.size + record.len > SM_GATHER_BYTES_MAX) {
            found->meta.marks |= SM_STORE_PARTIAL;
            return;
        }
        sm_buf_put_str(&g->arena, record);
        found->parts++;
    }
}

static void decode_copies(struct sm_gather *g, struct sm_store_found *found)
{
    bool first = true;
    uint16_t marks = found->meta.marks;
    for (size_t at = 0; at < g->arena.size;) {
        struct sm_store_meta meta;
        uint32_t size = sm_record_size(g->arena.data + at, g->arena.size - at);
        if (sm_record_decode(g->arena.data + at, size, &meta, &g->spans)) {
            if (first)
                found->meta = meta;
            else
                merge_meta(&found->meta, &meta);
            first = false;
        }
        at += size;
    }
    found->meta.marks |= marks;
}

bool sm_gather_assemble(struct sm_gather *g, uint32_t from, uint32_t to, struct sm_store_found *found)
{
    struct sm_str record;
    if (to - from == 1)
        return read_part(g, &g->parts[from], &record) && sm_gather_record(g, record, found);
    *found = (struct sm_store_found){0};
    g->spans.count = 0;
    copy_parts(g, from, to, found);
    decode_copies(g, found);
    leave_out_duplicates(g, found);
    finish_meta(g, found);
    return found->parts > 0;
}

/* A root comes before a span with a parent, then the earlier one. */
static bool more_like_root(const struct sm_store_span *a, const struct sm_store_span *b)
{
    if ((a->parent_id == 0) != (b->parent_id == 0))
        return a->parent_id == 0;
    return a->start_ns < b->start_ns;
}

void sm_gather_root(struct sm_store_found *found)
{
    struct sm_store_span root, span;
    for (uint32_t i = 0; i < found->meta.span_count; i++) {
        sm_store_describe(&found->spans[i], &span);
        if (i == 0 || more_like_root(&span, &root))
            root = span;
    }
    if (found->meta.span_count) {
        found->root_service = root.service;
        found->root_operation = root.name;
    }
}
