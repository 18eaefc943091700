/* Records of a block: encoding spans as TracesData, decoding them. */
#include "store/record.h"
#include "base/pb.h"
#include "store/format.h"

#include <stdlib.h>

/* Field numbers of trace.proto. */
enum { TRACES_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2, RESOURCE_SPANS_SCHEMA_URL = 3 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2, SCOPE_SPANS_SCHEMA_URL = 3 };

#define NONE UINT32_MAX

/* A scope with spans; the first one of a resource also stands for the resource. */
struct sm_record_group {
    const struct sm_store_span *sample; /* any span of it */
    uint32_t span_first, span_last;
    uint32_t scope_next;    /* next scope of the same resource */
    uint32_t scope_last;    /* on the resource's first scope: the last of the chain */
    uint32_t resource_next; /* on the resource's first scope: the first scope of the next resource */
    uint64_t scope_size;    /* content of the ScopeSpans message */
    uint64_t resource_size; /* content of the ResourceSpans message */
};

void sm_record_scratch_fini(struct sm_record_scratch *scratch)
{
    free(scratch->groups);
    free(scratch->span_next);
    free(scratch->table);
    *scratch = (struct sm_record_scratch){0};
}

static bool same_view(struct sm_str a, struct sm_str b)
{
    return a.ptr == b.ptr && a.len == b.len;
}

static bool same_resource(const struct sm_encode_span *a, const struct sm_encode_span *b)
{
    return same_view(a->resource, b->resource) && same_view(a->resource_schema_url, b->resource_schema_url);
}

static bool same_scope(const struct sm_encode_span *a, const struct sm_encode_span *b)
{
    return same_resource(a, b) && same_view(a->scope, b->scope) && same_view(a->scope_schema_url, b->scope_schema_url);
}

/* Views are told apart by address, so addresses are what is hashed. */
static uint32_t view_hash(const struct sm_encode_span *s, bool with_scope)
{
    uint64_t h = (uintptr_t)s->resource.ptr + s->resource.len * 31 + (uintptr_t)s->resource_schema_url.ptr * 7;
    if (with_scope)
        h += (uintptr_t)s->scope.ptr * 3 + s->scope.len + (uintptr_t)s->scope_schema_url.ptr * 5 + 1;
    return (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* Room for `count` spans and an empty table; returns its mask. */
static uint32_t prepare(struct sm_record_scratch *s, uint32_t count)
{
    if (s->spans_capacity < count) {
        s->spans_capacity = SM_MAX(count, s->spans_capacity * 2);
        s->span_next = sm_xrealloc(s->span_next, s->spans_capacity * sizeof *s->span_next);
    }
    if (s->groups_capacity < count) {
        s->groups_capacity = SM_MAX(count, s->groups_capacity * 2);
        s->groups = sm_xrealloc(s->groups, s->groups_capacity * sizeof *s->groups);
    }
    uint32_t size = 16;
    while (size < count * 4) /* up to two entries per span, half full */
        size *= 2;
    if (s->table_size < size) {
        s->table = sm_xrealloc(s->table, size * sizeof *s->table);
        s->table_size = size;
    }
    memset(s->table, 0xff, size * sizeof *s->table);
    return size - 1;
}

/* The slot of the scope (or, without scope, of the resource) that `span` belongs to: holds a group number or NONE. */
static uint32_t *find_slot(struct sm_record_scratch *s, uint32_t mask, const struct sm_encode_span *span, bool with_scope)
{
    for (uint32_t i = view_hash(span, with_scope) & mask;; i = (i + 1) & mask) {
        uint32_t tagged = s->table[i];
        if (tagged == NONE)
            return &s->table[i];
        if ((tagged & 1) != with_scope)
            continue;
        const struct sm_encode_span *other = &s->groups[tagged >> 1].sample->encode;
        if (with_scope ? same_scope(span, other) : same_resource(span, other))
            return &s->table[i];
    }
}

static void link_to_resource(struct sm_record_scratch *s, uint32_t mask, uint32_t group, uint32_t *resource_last)
{
    struct sm_record_group *g = &s->groups[group];
    uint32_t *slot = find_slot(s, mask, &g->sample->encode, false);
    if (*slot == NONE) {
        *slot = group << 1;
        g->scope_last = group;
        if (*resource_last != NONE)
            s->groups[*resource_last].resource_next = group;
        *resource_last = group;
        return;
    }
    struct sm_record_group *head = &s->groups[*slot >> 1];
    s->groups[head->scope_last].scope_next = group;
    head->scope_last = group;
}

/* Fills groups and chains; returns the number of groups. */
static uint32_t group_spans(struct sm_record_scratch *s, const struct sm_store_span *spans, uint32_t count)
{
    uint32_t mask = prepare(s, count);
    uint32_t groups = 0, current = NONE, resource_last = NONE;
    for (uint32_t i = 0; i < count; i++) {
        s->span_next[i] = NONE;
        if (current == NONE || !same_scope(&spans[i].encode, &s->groups[current].sample->encode)) {
            uint32_t *slot = find_slot(s, mask, &spans[i].encode, true);
            if (*slot == NONE) {
                *slot = groups << 1 | 1;
                s->groups[groups] = (struct sm_record_group){.sample = &spans[i],
                                                             .span_first = NONE,
                                                             .scope_next = NONE,
                                                             .resource_next = NONE};
                current = groups++;
                link_to_resource(s, mask, current, &resource_last);
            } else {
                current = *slot >> 1;
            }
        }
        struct sm_record_group *g = &s->groups[current];
        if (g->span_first == NONE)
            g->span_first = i;
        else
            s->span_next[g->span_last] = i;
        g->span_last = i;
    }
    return groups;
}

static uint64_t optional_size(uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_bytes_size(field, s.len) : 0;
}

static void measure_scope(struct sm_record_group *g, const uint32_t *span_next, const struct sm_store_span *spans)
{
    const struct sm_encode_span *e = &g->sample->encode;
    g->scope_size = optional_size(SCOPE_SPANS_SCOPE, e->scope) + optional_size(SCOPE_SPANS_SCHEMA_URL, e->scope_schema_url);
    for (uint32_t i = g->span_first; i != NONE; i = span_next[i])
        g->scope_size += sm_pb_bytes_size(SCOPE_SPANS_SPANS, spans[i].encode.bytes.len);
}

/* Sizes of all messages, innermost first; returns the size of the TracesData. */
static uint64_t measure(struct sm_record_scratch *s, const struct sm_store_span *spans)
{
    uint64_t total = 0;
    for (uint32_t r = 0; r != NONE; r = s->groups[r].resource_next) {
        const struct sm_encode_span *e = &s->groups[r].sample->encode;
        uint64_t size = optional_size(RESOURCE_SPANS_RESOURCE, e->resource) +
                        optional_size(RESOURCE_SPANS_SCHEMA_URL, e->resource_schema_url);
        for (uint32_t g = r; g != NONE; g = s->groups[g].scope_next) {
            measure_scope(&s->groups[g], s->span_next, spans);
            size += sm_pb_bytes_size(RESOURCE_SPANS_SCOPE_SPANS, s->groups[g].scope_size);
        }
        s->groups[r].resource_size = size;
        total += sm_pb_bytes_size(TRACES_RESOURCE_SPANS, size);
    }
    return total;
}

static uint8_t *put_optional(uint8_t *p, uint32_t field, struct sm_str s)
{
    return s.len ? sm_pb_put_bytes(p, field, s.ptr, s.len) : p;
}

static uint8_t *put_head(uint8_t *p, uint32_t field, uint64_t size)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_BYTES));
    return sm_pb_put_varint(p, size);
}

static uint8_t *put_scope(const struct sm_record_scratch *s, const struct sm_record_group *g,
                          const struct sm_store_span *spans, uint8_t *p)
{
    const struct sm_encode_span *e = &g->sample->encode;
    p = put_head(p, RESOURCE_SPANS_SCOPE_SPANS, g->scope_size);
    p = put_optional(p, SCOPE_SPANS_SCOPE, e->scope);
    for (uint32_t i = g->span_first; i != NONE; i = s->span_next[i])
        p = sm_pb_put_bytes(p, SCOPE_SPANS_SPANS, spans[i].encode.bytes.ptr, spans[i].encode.bytes.len);
    return put_optional(p, SCOPE_SPANS_SCHEMA_URL, e->scope_schema_url);
}

static uint8_t *put_traces_data(const struct sm_record_scratch *s, const struct sm_store_span *spans, uint8_t *p)
{
    for (uint32_t r = 0; r != NONE; r = s->groups[r].resource_next) {
        const struct sm_encode_span *e = &s->groups[r].sample->encode;
        p = put_head(p, TRACES_RESOURCE_SPANS, s->groups[r].resource_size);
        p = put_optional(p, RESOURCE_SPANS_RESOURCE, e->resource);
        for (uint32_t g = r; g != NONE; g = s->groups[g].scope_next)
            p = put_scope(s, &s->groups[g], spans, p);
        p = put_optional(p, RESOURCE_SPANS_SCHEMA_URL, e->resource_schema_url);
    }
    return p;
}

static void put_header(const struct sm_store_meta *meta, struct sm_str rule, uint32_t size, uint8_t *p)
{
    sm_store_le32(p, size);
    uint16_t header_size = (uint16_t)(SM_FORMAT_RECORD_HEADER_SIZE + rule.len);
    uint16_t rule_len = (uint16_t)rule.len;
    p[4] = (uint8_t)header_size;
    p[5] = (uint8_t)(header_size >> 8);
    p[6] = meta->verdict;
    p[7] = meta->trigger;
    sm_store_be64(p + 8, meta->id.hi);
    sm_store_be64(p + 16, meta->id.lo);
    sm_store_le64(p + 24, meta->start_ns);
    sm_store_le64(p + 32, meta->end_ns);
    sm_store_le64(p + 40, (uint64_t)meta->stored_ns);
    sm_store_le64(p + 48, meta->threshold);
    sm_store_be64(p + 56, meta->randomness); /* mostly the id's low bytes: in the same order they compress away */
    sm_store_le32(p + 64, meta->span_count);
    sm_store_le32(p + 68, meta->error_count);
    p[72] = (uint8_t)meta->marks;
    p[73] = (uint8_t)(meta->marks >> 8);
    p[74] = (uint8_t)rule_len;
    p[75] = (uint8_t)(rule_len >> 8);
    sm_store_le32(p + 76, 0);
    if (rule.len)
        memcpy(p + SM_FORMAT_RECORD_HEADER_SIZE, rule.ptr, rule.len);
}

/* Upper bound of what a span adds when nothing is shared. */
static uint64_t span_bound(const struct sm_encode_span *e)
{
    return e->bytes.len + e->resource.len + e->resource_schema_url.len + e->scope.len + e->scope_schema_url.len +
           7 * (1 + SM_PB_VARINT_SIZE_MAX);
}

uint32_t sm_record_fit(const struct sm_store_span *spans, uint32_t count)
{
    uint64_t size = SM_FORMAT_RECORD_HEADER_SIZE + SM_STORE_RULE_BYTES_MAX;
    for (uint32_t i = 0; i < count; i++) {
        bool shared = i && same_scope(&spans[i].encode, &spans[i - 1].encode);
        size += shared ? spans[i].encode.bytes.len + 1 + SM_PB_VARINT_SIZE_MAX : span_bound(&spans[i].encode);
        if (size > SM_STORE_RECORD_BYTES_MAX)
            return i;
    }
    return count;
}

void sm_record_encode(struct sm_record_scratch *scratch, const struct sm_store_meta *meta, const struct sm_store_span *spans,
                      struct sm_buf *out)
{
    struct sm_str rule = sm_str(meta->rule.ptr, SM_MIN(meta->rule.len, (size_t)SM_STORE_RULE_BYTES_MAX));
    uint64_t data_size = 0;
    if (meta->span_count) {
        group_spans(scratch, spans, meta->span_count);
        data_size = measure(scratch, spans);
    }
    uint64_t size = SM_FORMAT_RECORD_HEADER_SIZE + rule.len + data_size;
    SM_ASSERT(size <= SM_FORMAT_BLOCK_RAW_MAX);
    sm_buf_reserve(out, size);
    uint8_t *p = out->data + out->size;
    put_header(meta, rule, (uint32_t)size, p);
    uint8_t *data = p + SM_FORMAT_RECORD_HEADER_SIZE + rule.len;
    uint8_t *end = meta->span_count ? put_traces_data(scratch, spans, data) : data;
    SM_ASSERT(end == p + size);
    out->size += size;
}

uint32_t sm_record_size(const uint8_t *bytes, size_t size)
{
    if (size < SM_FORMAT_RECORD_HEADER_SIZE)
        return 0;
    uint32_t record = sm_load_le32(bytes);
    return record >= SM_FORMAT_RECORD_HEADER_SIZE && record <= size ? record : 0;
}

static uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

bool sm_record_meta(const uint8_t *p, uint32_t size, struct sm_store_meta *meta)
{
    uint32_t header_size = load_le16(p + 4), rule_len = load_le16(p + 74);
    if (header_size > size || header_size < SM_FORMAT_RECORD_HEADER_SIZE + rule_len)
        return false;
    *meta = (struct sm_store_meta){
        .id = {.hi = sm_load_be64(p + 8), .lo = sm_load_be64(p + 16)},
        .start_ns = sm_load_le64(p + 24),
        .end_ns = sm_load_le64(p + 32),
        .stored_ns = (int64_t)sm_load_le64(p + 40),
        .threshold = sm_load_le64(p + 48),
        .randomness = sm_load_be64(p + 56),
        .span_count = sm_load_le32(p + 64),
        .error_count = sm_load_le32(p + 68),
        .marks = load_le16(p + 72),
        .verdict = p[6],
        .trigger = p[7],
        .rule = sm_str(p + SM_FORMAT_RECORD_HEADER_SIZE, rule_len),
    };
    return true;
}

void sm_record_spans_fini(struct sm_record_spans *spans)
{
    free(spans->spans);
    *spans = (struct sm_record_spans){0};
}

static void push(struct sm_record_spans *spans, const struct sm_encode_span *span)
{
    if (spans->count == spans->capacity) {
        spans->capacity = SM_MAX(spans->capacity * 2, 64u);
        spans->spans = sm_xrealloc(spans->spans, spans->capacity * sizeof *spans->spans);
    }
    spans->spans[spans->count++] = *span;
}

static struct sm_str field_str(const struct sm_pb_field *f)
{
    return sm_str(f->bytes, f->size);
}

/* The fields of a message that are not its repeated member: first `head` (resource or scope), then the schema URL. */
static bool read_shared(const uint8_t *p, const uint8_t *end, uint32_t head_field, uint32_t schema_field, struct sm_str *head,
                        struct sm_str *schema_url)
{
    struct sm_pb_field f;
    *head = *schema_url = (struct sm_str){NULL, 0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire == SM_PB_BYTES && f.number == head_field)
            *head = field_str(&f);
        else if (f.wire == SM_PB_BYTES && f.number == schema_field)
            *schema_url = field_str(&f);
    }
    return p == end;
}

static bool decode_scope_spans(struct sm_str message, struct sm_encode_span *span, struct sm_record_spans *out)
{
    const uint8_t *p = (const uint8_t *)message.ptr, *end = sm_pb_end(p, message.len);
    struct sm_pb_field f;
    if (!read_shared(p, end, SCOPE_SPANS_SCOPE, SCOPE_SPANS_SCHEMA_URL, &span->scope, &span->scope_schema_url))
        return false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != SCOPE_SPANS_SPANS || f.wire != SM_PB_BYTES)
            continue;
        span->bytes = field_str(&f);
        push(out, span);
    }
    return true;
}

static bool decode_resource_spans(struct sm_str message, struct sm_record_spans *out)
{
    const uint8_t *p = (const uint8_t *)message.ptr, *end = sm_pb_end(p, message.len);
    struct sm_encode_span span = {0};
    struct sm_pb_field f;
    if (!read_shared(p, end, RESOURCE_SPANS_RESOURCE, RESOURCE_SPANS_SCHEMA_URL, &span.resource, &span.resource_schema_url))
        return false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == RESOURCE_SPANS_SCOPE_SPANS && f.wire == SM_PB_BYTES &&
            !decode_scope_spans(field_str(&f), &span, out))
            return false;
    }
    return true;
}

bool sm_record_decode(const uint8_t *record, uint32_t size, struct sm_store_meta *meta, struct sm_record_spans *spans)
{
    if (!sm_record_meta(record, size, meta))
        return false;
    const uint8_t *p = record + load_le16(record + 4), *end = record + size;
    uint32_t before = spans->count;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == TRACES_RESOURCE_SPANS && f.wire == SM_PB_BYTES && !decode_resource_spans(field_str(&f), spans))
            return false;
    }
    meta->span_count = spans->count - before;
    return p == end;
}
