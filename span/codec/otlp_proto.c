/* OTLP protobuf: decoding ExportTraceServiceRequest / TracesData in place (opentelemetry-proto trace.proto).
 *
 * The canonical bytes of each span are the Span message as it lies in the payload. One walk validates every field, string
 * and attribute; nothing is built. Broken framing refuses the payload; a span that breaks a limit is refused alone.
 *
 * Cost matters here: attributes are nearly all of the bytes, so their common shape (a key and a string, one-byte lengths) has
 * a straight path and everything else goes through the general walk. */
#include "base/pb.h"
#include "base/text.h"
#include "span/attr.h"
#include "span/codec/codec.h"
#include "span/codec/otlp_encode.h"
#include "span/lead.h"
#include "span/private.h"

/* One span being walked. */
struct walk {
    struct sm_decoder *d;
    struct sm_span *span;
    uint32_t *wanted;
    const uint8_t *start; /* of the span's bytes */
    struct sm_trace_id trace;
    uint64_t end_ns;
    uint64_t startless_duration_ns; /* from the private field, */
    const uint8_t *private_length;  /* and where its length stands */
    uint64_t slots_seen[(SM_WANTED_MAX + 63) / 64];
    uint32_t attributes;
    uint8_t trace_id_size, span_id_size, parent_id_size;
    enum sm_reject reject; /* SM_REJECT_COUNT: none so far */
    const uint8_t *name;
    size_t name_size;
};

static void refuse(struct walk *w, enum sm_reject reason)
{
    if (w->reject == SM_REJECT_COUNT)
        w->reject = reason;
}

SM_INLINE void check_text(struct walk *w, const uint8_t *p, size_t n)
{
    if (SM_UNLIKELY(!sm_text_valid(p, n)))
        refuse(w, SM_REJECT_UTF8);
}

/* The same for a text that may be long: names, keys and messages are under the limit on values too. */
static void check_long_text(struct walk *w, const uint8_t *p, size_t n)
{
    if (SM_UNLIKELY(n > w->d->limits.value_bytes_max))
        refuse(w, SM_REJECT_VALUE_SIZE);
    check_text(w, p, n);
}

static bool walk_any(struct walk *w, const uint8_t *p, const uint8_t *end, uint32_t depth);

/* KeyValue of a kvlist or of an attribute list that nobody wants keys of. */
static bool walk_key_value(struct walk *w, const uint8_t *p, const uint8_t *end, uint32_t depth)
{
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1 && f.wire == SM_PB_BYTES)
            check_long_text(w, f.bytes, f.size);
        else if (f.number == 2 && f.wire == SM_PB_BYTES) {
            if (!walk_any(w, f.bytes, f.bytes + f.size, depth))
                return false;
        } else if (f.number <= 2) {
            return false;
        }
    }
    return p == end;
}

/* ArrayValue (repeated AnyValue values = 1) and KeyValueList (repeated KeyValue values = 1). */
static bool walk_list(struct walk *w, const uint8_t *p, const uint8_t *end, bool keyed, uint32_t depth)
{
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 1)
            continue;
        if (f.wire != SM_PB_BYTES)
            return false;
        const uint8_t *item_end = f.bytes + f.size;
        if (!(keyed ? walk_key_value(w, f.bytes, item_end, depth) : walk_any(w, f.bytes, item_end, depth)))
            return false;
    }
    return p == end;
}

static bool walk_any(struct walk *w, const uint8_t *p, const uint8_t *end, uint32_t depth)
{
    if (depth > w->d->limits.depth_max) {
        refuse(w, SM_REJECT_DEPTH);
        return true;
    }
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_VARINT, SM_PB_VARINT, SM_PB_FIXED64, SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES};
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number >= SM_ARRAY_LEN(wires))
            continue;
        if (f.wire != wires[f.number])
            return false;
        if (f.wire != SM_PB_BYTES)
            continue;
        if (f.size > w->d->limits.value_bytes_max)
            refuse(w, SM_REJECT_VALUE_SIZE);
        if (f.number == 1)
            check_text(w, f.bytes, f.size);
        else if ((f.number == 5 || f.number == 6) && !walk_list(w, f.bytes, f.bytes + f.size, f.number == 6, depth + 1))
            return false;
    }
    return p == end;
}

/* "error" and "sampling.priority" have a meaning of their own beside being wanted. */
static void note_special(struct walk *w, uint32_t slot, const uint8_t *any, size_t size)
{
    struct sm_value v;
    if (slot > SM_SLOT_SAMPLING_PRIORITY || !sm_value_decode(any, size, &v))
        return;
    if (slot == SM_SLOT_ERROR) {
        bool off = (v.type == SM_VALUE_BOOL && !v.b) || (v.type == SM_VALUE_STRING && sm_str_eq(v.bytes, SM_STR("false")));
        w->span->flags |= SM_SPAN_ERROR_TAG | (off ? 0 : SM_SPAN_ERROR);
    } else if (slot == SM_SLOT_SAMPLING_PRIORITY) {
        if ((v.type == SM_VALUE_INT && v.i > 0) || (v.type == SM_VALUE_DOUBLE && v.d > 0))
            w->span->flags |= SM_SPAN_PRIORITY;
    }
}

_Static_assert(SM_SLOT_ERROR == 0 && SM_SLOT_SAMPLING_PRIORITY == 1, "note_special tests them with one comparison");

static void record(struct walk *w, uint32_t slot, const uint8_t *length_at, const uint8_t *any, size_t size)
{
    struct sm_span *s = w->span;
    uint64_t bit = UINT64_C(1) << (slot & 63);
    if (w->slots_seen[slot / 64] & bit)
        return; /* the first occurrence counts */
    w->slots_seen[slot / 64] |= bit;
    w->wanted[s->n_wanted++] = SM_WANTED_RECORD(slot, length_at - w->start);
    note_special(w, slot, any, size);
}

/* A span attribute in any legal shape. */
static bool walk_attribute_general(struct walk *w, const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f;
    const uint8_t *key = (const uint8_t *)"", *any = NULL;
    size_t key_size = 0, any_size = 0;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1 && f.wire == SM_PB_BYTES) {
            check_long_text(w, f.bytes, f.size);
            key = f.bytes;
            key_size = f.size;
        } else if (f.number == 2 && f.wire == SM_PB_BYTES) {
            if (!walk_any(w, f.bytes, f.bytes + f.size, 1))
                return false;
            any = f.bytes;
            any_size = f.size;
        } else if (f.number <= 2) {
            return false;
        }
    }
    if (p != end)
        return false;
    if (key_size && any) {
        uint32_t slot = sm_wanted_find(w->d->wanted, key, key_size);
        if (slot != SM_WANTED_NONE)
            record(w, slot, any - sm_pb_varint_size(any_size), any, any_size);
    }
    return true;
}

/* An AnyValue that is one integer or bool, and nothing else. */
SM_INLINE bool is_plain_number(const uint8_t *any, size_t size)
{
    if (any[0] != SM_PB_TAG(3, SM_PB_VARINT) && any[0] != SM_PB_TAG(2, SM_PB_VARINT))
        return false;
    size_t i = 1;
    while (i < size && any[i] >= 0x80)
        i++;
    return i + 1 == size && size < 1 + SM_PB_VARINT_SIZE_MAX;
}

/* The common shape: 0x0a keylen key 0x12 anylen any, where any is one string, integer, bool or double. */
SM_INLINE bool walk_attribute(struct walk *w, const uint8_t *p, const uint8_t *end)
{
    w->attributes++;
    size_t size = (size_t)(end - p);
    if (SM_UNLIKELY(size < 4 || p[0] != SM_PB_TAG(1, SM_PB_BYTES) || p[1] >= 0x80 || (size_t)p[1] + 4 > size))
        return walk_attribute_general(w, p, end);
    const uint8_t *key = p + 2;
    size_t key_size = p[1];
    const uint8_t *at = key + key_size;
    if (SM_UNLIKELY(at[0] != SM_PB_TAG(2, SM_PB_BYTES) || at[1] >= 0x80 || at + 2 + at[1] != end || at[1] < 2))
        return walk_attribute_general(w, p, end);
    const uint8_t *any = at + 2;
    size_t any_size = at[1];
    if (SM_LIKELY(any[0] == SM_PB_TAG(1, SM_PB_BYTES) && any[1] < 0x80 && (size_t)any[1] + 2 == any_size)) {
        /* Tags and lengths are below 0x80 here: one look at all of it tells whether both texts are ASCII. */
        if (SM_UNLIKELY(!sm_text_ascii(p, size))) {
            check_text(w, key, key_size);
            check_text(w, any + 2, any_size - 2);
        }
    } else {
        check_text(w, key, key_size);
        if (!is_plain_number(any, any_size) && !walk_any(w, any, end, 1))
            return false;
    }
    uint32_t slot = sm_wanted_find(w->d->wanted, key, key_size);
    if (SM_UNLIKELY(slot != SM_WANTED_NONE))
        record(w, slot, at + 1, any, any_size);
    return true;
}

/* Event{time=1, name=2, attributes=3, dropped=4}; Link{trace_id=1, span_id=2, trace_state=3, attributes=4, ...}. */
static bool walk_event_or_link(struct walk *w, const uint8_t *p, const uint8_t *end, bool link)
{
    uint32_t attributes = 0;
    uint32_t attributes_field = link ? 4 : 3, text_field = link ? 3 : 2;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == attributes_field) {
            if (f.wire != SM_PB_BYTES || !walk_key_value(w, f.bytes, f.bytes + f.size, 1))
                return false;
            attributes++;
        } else if (f.number == text_field) {
            if (f.wire != SM_PB_BYTES)
                return false;
            check_long_text(w, f.bytes, f.size);
        } else if (link ? (f.number <= 2 && f.wire != SM_PB_BYTES) : (f.number == 1 && f.wire != SM_PB_FIXED64)) {
            return false;
        }
    }
    if (attributes > w->d->limits.attributes_max)
        refuse(w, SM_REJECT_ATTRIBUTES);
    return p == end;
}

static bool walk_status(struct walk *w, const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 2) {
            if (f.wire != SM_PB_BYTES)
                return false;
            check_long_text(w, f.bytes, f.size);
        } else if (f.number == 3) {
            if (f.wire != SM_PB_VARINT)
                return false;
            uint8_t status = f.value <= SM_STATUS_ERROR ? (uint8_t)f.value : SM_STATUS_UNSET;
            w->span->kind_status = (uint8_t)((w->span->kind_status & 15) | status << 4);
        }
    }
    return p == end;
}

static void take_flags(struct walk *w, uint32_t flags)
{
    if (flags & 0x2)
        w->span->flags |= SM_SPAN_W3C_RANDOM;
    if (flags & 0x100)
        w->span->flags |= flags & 0x200 ? SM_SPAN_REMOTE_PARENT : SM_SPAN_LOCAL_PARENT;
}

static void take_trace_id(struct walk *w, const uint8_t *p, size_t size)
{
    w->trace_id_size = size > 255 ? 255 : (uint8_t)size;
    if (size == 16) {
        w->trace.hi = sm_load_be64(p);
        w->trace.lo = sm_load_be64(p + 8);
    }
}

static uint64_t take_span_id(const uint8_t *p, size_t size, uint8_t *seen)
{
    *seen = size > 255 ? 255 : (uint8_t)size;
    return size == 8 ? sm_load_be64(p) : 0;
}

/* The varint that ends before p. In front of it stands the last byte of a tag, which is below 0x80, too. */
static const uint8_t *varint_before(const uint8_t *p)
{
    for (p--; p[-1] >= 0x80;)
        p--;
    return p;
}

/* What a codec of ours wrote when it transcoded the span, here or in the process that sent it. */
static void take_private(struct walk *w, const uint8_t *p, size_t size)
{
    struct sm_private priv;
    if (!sm_private_decode(p, size, &priv))
        return;
    sm_private_mark(&priv, w->span);
    w->startless_duration_ns = priv.duration_ns;
    w->private_length = varint_before(p);
}

static void record_private(struct walk *w)
{
    if (SM_UNLIKELY(w->span->zipkin))
        w->wanted[w->span->n_wanted++] = SM_WANTED_RECORD(SM_SLOT_PRIVATE, w->private_length - w->start);
}

/* Fields with a length. */
SM_INLINE bool walk_bytes_field(struct walk *w, uint32_t number, const uint8_t *p, size_t size)
{
    switch (number) {
    case SM_OTLP_ATTRIBUTES:
        return walk_attribute(w, p, p + size);
    case SM_OTLP_TRACE_ID:
        take_trace_id(w, p, size);
        return true;
    case SM_OTLP_SPAN_ID:
        w->span->span_id = take_span_id(p, size, &w->span_id_size);
        return true;
    case SM_OTLP_PARENT_SPAN_ID:
        w->span->parent_id = take_span_id(p, size, &w->parent_id_size);
        return true;
    case SM_OTLP_TRACE_STATE:
        check_long_text(w, p, size);
        if (size)
            w->span->flags |= SM_SPAN_TRACESTATE;
        return true;
    case SM_OTLP_NAME:
        check_long_text(w, p, size);
        w->name = p;
        w->name_size = size;
        return true;
    case SM_OTLP_EVENTS:
        w->span->flags |= SM_SPAN_EVENTS;
        return walk_event_or_link(w, p, p + size, false);
    case SM_OTLP_LINKS:
        w->span->flags |= SM_SPAN_LINKS;
        return walk_event_or_link(w, p, p + size, true);
    case SM_OTLP_STATUS:
        return walk_status(w, p, p + size);
    case SM_OTLP_KIND:
    case SM_OTLP_START:
    case SM_OTLP_END:
    case SM_OTLP_DROPPED_ATTRIBUTES:
    case SM_OTLP_DROPPED_EVENTS:
    case SM_OTLP_DROPPED_LINKS:
    case SM_OTLP_FLAGS:
        return false; /* a known field of another wire type */
    case SM_PRIVATE_FIELD:
        take_private(w, p, size);
        return true;
    default:
        return true; /* unknown: kept in the bytes, not looked at */
    }
}

/* Fields without a length. */
static bool walk_number_field(struct walk *w, uint32_t number, enum sm_pb_wire wire, uint64_t value)
{
    switch (number) {
    case SM_OTLP_KIND:
        w->span->kind_status = (uint8_t)((w->span->kind_status & 0xf0) | (value <= SM_KIND_CONSUMER ? value : 0));
        return wire == SM_PB_VARINT;
    case SM_OTLP_START:
        w->span->start_ns = value;
        return wire == SM_PB_FIXED64;
    case SM_OTLP_END:
        w->end_ns = value;
        return wire == SM_PB_FIXED64;
    case SM_OTLP_FLAGS:
        take_flags(w, (uint32_t)value);
        return wire == SM_PB_FIXED32;
    case SM_OTLP_DROPPED_ATTRIBUTES:
    case SM_OTLP_DROPPED_EVENTS:
    case SM_OTLP_DROPPED_LINKS:
        return wire == SM_PB_VARINT;
    case SM_OTLP_TRACE_ID:
    case SM_OTLP_SPAN_ID:
    case SM_OTLP_TRACE_STATE:
    case SM_OTLP_PARENT_SPAN_ID:
    case SM_OTLP_NAME:
    case SM_OTLP_ATTRIBUTES:
    case SM_OTLP_EVENTS:
    case SM_OTLP_LINKS:
    case SM_OTLP_STATUS:
        return false;
    default:
        return true;
    }
}

static bool walk_fields(struct walk *w, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        /* One-byte tag and length: nearly every field. */
        if (SM_LIKELY((*p & 0x87) == SM_PB_BYTES && end - p >= 2 && p[1] < 0x80)) {
            size_t size = p[1];
            if (size > (size_t)(end - p - 2) || *p >> 3 == 0)
                return false;
            if (!walk_bytes_field(w, *p >> 3, p + 2, size))
                return false;
            p += 2 + size;
            continue;
        }
        struct sm_pb_field f;
        if (!sm_pb_next(&p, end, &f))
            return false;
        bool ok = f.wire == SM_PB_BYTES ? walk_bytes_field(w, f.number, f.bytes, f.size)
                                        : walk_number_field(w, f.number, f.wire, f.value);
        if (!ok)
            return false;
    }
    return true;
}

static void finish_times(struct walk *w)
{
    struct sm_span *s = w->span;
    if (s->start_ns == 0)
        s->flags |= SM_SPAN_NO_START;
    if (w->end_ns == 0)
        s->flags |= SM_SPAN_NO_DURATION;
    s->duration_ns = w->end_ns > s->start_ns && s->start_ns ? w->end_ns - s->start_ns : 0;
    if (s->start_ns == 0 && w->startless_duration_ns) {
        s->duration_ns = w->startless_duration_ns;
        s->flags &= (uint16_t)~SM_SPAN_NO_DURATION;
    }
}

static void check_ids(struct walk *w)
{
    if (w->trace_id_size != 16 || (w->trace.hi | w->trace.lo) == 0)
        refuse(w, SM_REJECT_TRACE_ID);
    else if (w->span_id_size != 8 || w->span->span_id == 0)
        refuse(w, SM_REJECT_SPAN_ID);
    else if (w->parent_id_size != 8 && w->parent_id_size != 0)
        refuse(w, SM_REJECT_PARENT_ID);
}

static const char *reject_text(enum sm_reject reason)
{
    static const char *const texts[] = {
#define SM_REJECT(name, text, help) help,
#include "span/reject.def"
#undef SM_REJECT
    };
    return texts[reason];
}

/* Member by member: of a whole struct the compiler makes a string instruction, which costs more than a short span. */
SM_INLINE void begin_walk(struct walk *w, struct sm_decoder *d, struct sm_span *span, const uint8_t *start)
{
    w->d = d;
    w->span = span;
    w->wanted = (uint32_t *)(span + 1);
    w->start = start;
    w->trace.hi = w->trace.lo = 0;
    w->end_ns = w->startless_duration_ns = 0;
    w->private_length = NULL;
    for (unsigned i = 0; i < SM_ARRAY_LEN(w->slots_seen); i++)
        w->slots_seen[i] = 0;
    w->attributes = 0;
    w->trace_id_size = w->span_id_size = w->parent_id_size = 0;
    w->reject = SM_REJECT_COUNT;
    w->name = NULL;
    w->name_size = 0;
}

/* All of a span but its scope. */
static enum sm_rc decode_span(struct sm_decoder *d, struct sm_batch *b, const uint8_t *p, size_t size)
{
    if (size > d->limits.span_bytes_max) {
        sm_batch_reject(b, SM_REJECT_SPAN_SIZE, reject_text(SM_REJECT_SPAN_SIZE));
        return SM_OK;
    }
    struct sm_span *s = sm_batch_begin(b);
    if (!s)
        return SM_E_NOMEM;
    memset(s, 0, sizeof *s);
    struct walk w;
    begin_walk(&w, d, s, p);
    if (!walk_fields(&w, p, p + size))
        return SM_E_INVALID;
    if (w.attributes > d->limits.attributes_max)
        refuse(&w, SM_REJECT_ATTRIBUTES);
    check_ids(&w);
    if (SM_UNLIKELY(w.reject != SM_REJECT_COUNT)) {
        sm_batch_reject(b, w.reject, reject_text(w.reject));
        return SM_OK;
    }
    record_private(&w);
    finish_times(&w);
    if (sm_span_status(s) == SM_STATUS_ERROR)
        s->flags |= SM_SPAN_ERROR;
    s->size = (uint32_t)size & SM_SPAN_SIZE_MAX;
    s->name_id = sm_names_cache_id(d->names_cache, sm_str(w.name, w.name_size));
    sm_lead_mark(s, w.trace, sm_str(w.name, w.name_size), p);
    sm_batch_commit(b, w.trace, (uint32_t)(p - b->bytes));
    return SM_OK;
}

/* ScopeSpans and ResourceSpans have the same shape: what the spans belong to = 1, repeated members = 2, schema URL = 3. */
struct group {
    struct sm_str head, schema_url;
    uint32_t members;
};

/* Finds head and schema URL, which may stand behind the members, and checks the framing. */
static bool scan_group(const uint8_t *p, const uint8_t *end, struct group *g)
{
    *g = (struct group){{"", 0}, {"", 0}, 0};
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number > 3)
            continue;
        if (f.wire != SM_PB_BYTES)
            return false;
        if (f.number == 1)
            g->head = sm_str(f.bytes, f.size);
        else if (f.number == 2)
            g->members++;
        else
            g->schema_url = sm_str(f.bytes, f.size);
    }
    return p == end;
}

/* Resource{attributes=1} and InstrumentationScope{name=1, version=2, attributes=3}, which are interned by content: what was interned
 * before is sound. Why spans of it must be refused; SM_REJECT_COUNT: it is sound, too. */
static enum sm_reject check_head(struct sm_decoder *d, struct sm_str head, bool scope)
{
    struct walk w = {.d = d, .reject = SM_REJECT_COUNT};
    const uint8_t *p = (const uint8_t *)head.ptr, *end = p + head.len;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == (scope ? 3u : 1u)) {
            if (f.wire != SM_PB_BYTES || !walk_key_value(&w, f.bytes, f.bytes + f.size, 1))
                return SM_REJECT_FIELD;
            w.attributes++;
        } else if (scope && f.number <= 2) {
            if (f.wire != SM_PB_BYTES)
                return SM_REJECT_FIELD;
            check_long_text(&w, f.bytes, f.size);
        }
    }
    if (w.attributes > d->limits.attributes_max)
        refuse(&w, SM_REJECT_ATTRIBUTES);
    return p == end ? w.reject : SM_REJECT_FIELD;
}

static enum sm_rc refuse_members(struct sm_batch *b, uint32_t n, enum sm_reject reason)
{
    while (n--)
        sm_batch_reject(b, reason, reject_text(reason));
    return SM_OK;
}

/* The scope of spans is known when all of its message has been seen, since the schema URL stands behind them. */
static void set_scope(struct sm_batch *b, uint32_t first, uint32_t scope_id)
{
    for (uint32_t i = first; i < b->count; i++)
        sm_batch_span(b, i)->scope_id = scope_id;
}

/* Takes back the spans from `first` on. */
static enum sm_rc refuse_from(struct sm_batch *b, uint32_t first, enum sm_reject reason)
{
    uint32_t n = b->count - first;
    sm_batch_truncate(b, first);
    return refuse_members(b, n, reason);
}

/* One pass: a second one would wait for memory at each span, one after the other. */
static enum sm_rc decode_scope_spans(struct sm_decoder *d, struct sm_batch *b, const uint8_t *p, const uint8_t *end,
                                     const struct sm_resource *resource)
{
    struct sm_str head = {"", 0}, schema_url = {"", 0};
    uint32_t first = b->count;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number > 3)
            continue;
        if (f.wire != SM_PB_BYTES)
            return SM_E_INVALID;
        if (f.number == 1) {
            head = sm_str(f.bytes, f.size);
        } else if (f.number == 3) {
            schema_url = sm_str(f.bytes, f.size);
        } else if (b->count + b->rejected_total >= d->limits.spans_max) {
            return SM_E_LIMIT;
        } else {
            enum sm_rc rc = decode_span(d, b, f.bytes, f.size);
            if (rc != SM_OK)
                return rc;
        }
    }
    if (p != end)
        return SM_E_INVALID;
    const struct sm_scope *scope = resource ? sm_scopes_cache_find_scope(d->scopes, resource, head, schema_url, b->epoch) : NULL;
    enum sm_reject reject = scope ? SM_REJECT_COUNT : check_head(d, head, true);
    if (SM_UNLIKELY(reject != SM_REJECT_COUNT))
        return refuse_from(b, first, reject);
    if (SM_UNLIKELY(!scope))
        scope = sm_scopes_cache_scope(d->scopes, resource, head, schema_url, b->epoch);
    if (!scope)
        return refuse_from(b, first, SM_REJECT_SCOPES_FULL);
    set_scope(b, first, scope->id);
    return SM_OK;
}

/* Spans of a resource that cannot be taken. */
static enum sm_rc refuse_scope_spans(struct sm_batch *b, const uint8_t *p, const uint8_t *end, enum sm_reject reason)
{
    struct group g;
    return scan_group(p, end, &g) ? refuse_members(b, g.members, reason) : SM_E_INVALID;
}

static enum sm_rc decode_resource_spans(struct sm_decoder *d, struct sm_batch *b, const uint8_t *p, const uint8_t *end)
{
    struct group g;
    if (!scan_group(p, end, &g))
        return SM_E_INVALID;
    const struct sm_resource *resource = sm_scopes_cache_find_resource(d->scopes, g.head, g.schema_url, b->epoch);
    enum sm_reject reject = resource ? SM_REJECT_COUNT : check_head(d, g.head, false);
    if (SM_UNLIKELY(!resource && reject == SM_REJECT_COUNT))
        resource = sm_scopes_cache_resource(d->scopes, g.head, g.schema_url, b->epoch);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 2)
            continue;
        const uint8_t *group_end = f.bytes + f.size;
        enum sm_rc rc = reject == SM_REJECT_COUNT ? decode_scope_spans(d, b, f.bytes, group_end, resource)
                                                  : refuse_scope_spans(b, f.bytes, group_end, reject);
        if (rc != SM_OK)
            return rc;
    }
    return SM_OK;
}

static enum sm_rc decode_payload(struct sm_decoder *d, struct sm_batch *b, const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 1)
            continue;
        if (f.wire != SM_PB_BYTES)
            return SM_E_INVALID;
        enum sm_rc rc = decode_resource_spans(d, b, f.bytes, f.bytes + f.size);
        if (rc != SM_OK)
            return rc;
    }
    return p == end ? SM_OK : SM_E_INVALID;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *b, struct sm_err *err)
{
    sm_payload_ref(payload);
    b->payload = payload;
    b->bytes = payload->data;
    enum sm_rc rc = decode_payload(d, b, payload->data, payload->data + payload->size);
    if (rc == SM_OK)
        return SM_OK;
    sm_batch_clear(b);
    if (rc == SM_E_LIMIT)
        return sm_err_set(err, rc, "more than %u spans in one request", d->limits.spans_max);
    if (rc == SM_E_NOMEM)
        return sm_err_set(err, rc, "out of memory");
    return sm_err_set(err, rc, "the body is not a valid ExportTraceServiceRequest");
}

const struct sm_codec sm_codec_otlp_proto = {
    .name = "otlp_proto",
    .decode = decode,
    .encode = sm_codec_otlp_proto_encode,
};

const struct sm_codec_limits sm_codec_limits_default = {
    .attributes_max = 1024,
    .value_bytes_max = 65536,
    .span_bytes_max = SM_SPAN_SIZE_MAX,
    .depth_max = 32,
    .spans_max = 1000000,
    .repair_ids = true,
};
