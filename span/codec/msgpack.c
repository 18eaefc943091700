/* Span batches in msgpack, the agent protocol: docs/formats/agent-protocol.md.
 *
 * A payload is one batch after the other, each a map. Members come in any order: what spans belong to is remembered where it
 * stands and set when the batch ends. What breaks the form (not msgpack, not a map, no version) refuses the payload; a member of a
 * span with a wrong type or value refuses the span. */
#include "base/text.h"
#include "span/attr.h"
#include "span/codec/build.h"
#include "span/codec/msgpack_read.h"

enum { VERSION = 1 };

/* Field numbers of trace.proto, common.proto and resource.proto. */
enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2, SCOPE_ATTRIBUTES = 3 };
enum { KEY = 1, VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_KVLIST, ANY_BYTES };
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3, EVENT_DROPPED = 4 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_STATE = 3, LINK_ATTRIBUTES = 4, LINK_DROPPED = 5, LINK_FLAGS = 6 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };

struct reader {
    struct sm_msgpack m;
    struct sm_build b;
    const char *misfit; /* what broke the form, in words for the client; NULL */
    bool too_many;      /* spans */
    bool other_version;
    /* the span being read */
    struct sm_trace_id trace;
    uint64_t id, parent_id, start_ns, end_ns;
    uint64_t kind, status;
    struct sm_str message; /* in the payload */
    size_t name_at, name_size;
};

/* Readers are false when the document is broken or memory is exhausted; limits and wrong types mark the span as refused. */

static bool misfit(struct reader *r, const char *text)
{
    if (!r->misfit)
        r->misfit = text;
    return false;
}

SM_INLINE bool key_is(struct sm_str key, const char *name, size_t size)
{
    return key.len == size && memcmp(key.ptr, name, size) == 0;
}

#define IS(key, literal) key_is(key, literal, sizeof(literal) - 1)

/* Passes over a value of the wrong type. */
static bool refuse_value(struct reader *r, const struct sm_msgpack_value *v)
{
    sm_build_refuse(&r->b, SM_REJECT_FIELD);
    return sm_msgpack_skip_rest(&r->m, v);
}

/* A key of a map. */
SM_INLINE bool next_key(struct reader *r, struct sm_str *key)
{
    struct sm_msgpack_value v;
    if (SM_UNLIKELY(!sm_msgpack_next(&r->m, &v)))
        return false;
    *key = v.text;
    return v.type == SM_MSGPACK_STR || misfit(r, "a key of a map is not a string");
}

/* ---- scalars ---- */

/* A number that is not negative, up to max. Nil is 0. */
static bool read_uint(struct reader *r, uint64_t max, enum sm_reject reason, uint64_t *n)
{
    struct sm_msgpack_value v;
    *n = 0;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (v.type == SM_MSGPACK_NIL)
        return true;
    if (SM_UNLIKELY(v.type != SM_MSGPACK_UINT || v.u > max)) {
        sm_build_refuse(&r->b, reason);
        return sm_msgpack_skip_rest(&r->m, &v);
    }
    *n = v.u;
    return true;
}

/* An id of `size` bytes, as bytes or as hex digits; else marked as refused and zeros. *none: nil or empty. */
static bool read_id(struct reader *r, size_t size, enum sm_reject reason, struct sm_trace_id *id, bool *none)
{
    struct sm_msgpack_value v;
    *id = (struct sm_trace_id){0, 0};
    *none = true;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    bool text = v.type == SM_MSGPACK_STR || v.type == SM_MSGPACK_BIN;
    if (v.type == SM_MSGPACK_NIL || (text && v.text.len == 0))
        return true;
    *none = false;
    if (SM_LIKELY(text && v.text.len == size)) {
        *id = (struct sm_trace_id){size == 16 ? sm_load_be64(v.text.ptr) : 0, sm_load_be64(v.text.ptr + size - 8)};
        return true;
    }
    if (v.type == SM_MSGPACK_STR && v.text.len == 2 * size && sm_trace_id_parse(v.text, id) == SM_OK)
        return true;
    sm_build_refuse(&r->b, reason);
    return sm_msgpack_skip_rest(&r->m, &v);
}

static bool check_text(struct reader *r, struct sm_str text)
{
    if (SM_UNLIKELY(text.len > r->b.d->limits.value_bytes_max))
        sm_build_refuse(&r->b, SM_REJECT_VALUE_SIZE);
    else if (SM_UNLIKELY(!sm_text_valid((const uint8_t *)text.ptr, text.len)))
        sm_build_refuse(&r->b, SM_REJECT_UTF8);
    else
        return true;
    return false;
}

/* A text that may be written; empty when it is nil or refused. */
static bool read_text(struct reader *r, struct sm_str *text)
{
    struct sm_msgpack_value v;
    *text = (struct sm_str){"", 0};
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (SM_LIKELY(v.type == SM_MSGPACK_STR)) {
        if (check_text(r, v.text))
            *text = v.text;
        return true;
    }
    return v.type == SM_MSGPACK_NIL || refuse_value(r, &v);
}

/* A text as a field, if there is something in it. */
static bool read_text_field(struct reader *r, uint32_t field, size_t *size)
{
    struct sm_str text;
    if (!read_text(r, &text) || !sm_build_room(&r->b, text.len + 8))
        return false;
    if (text.len)
        r->b.p = sm_build_text(r->b.p, field, text.ptr, text.len);
    *size = text.len;
    return true;
}

static bool read_uint_field(struct reader *r, uint32_t field)
{
    uint64_t n;
    if (!read_uint(r, UINT32_MAX, SM_REJECT_FIELD, &n) || !sm_build_room(&r->b, 16))
        return false;
    if (n)
        r->b.p = sm_pb_put_uint(r->b.p, field, n);
    return true;
}

/* ---- values ---- */

static bool put_any(struct reader *r, uint32_t field, const struct sm_msgpack_value *v, uint32_t depth);

SM_INLINE bool is_many(const struct sm_msgpack_value *v)
{
    return v->type == SM_MSGPACK_ARRAY || v->type == SM_MSGPACK_MAP;
}

/* The content of an AnyValue that holds no others. False: there is no such value in OTLP, nothing was written. */
static bool put_scalar(struct sm_build *b, const struct sm_msgpack_value *v)
{
    double d;
    uint64_t bits;
    switch (v->type) {
    case SM_MSGPACK_NIL:
        return true;
    case SM_MSGPACK_BOOL:
        b->p = sm_pb_put_uint(b->p, ANY_BOOL, v->b);
        return true;
    case SM_MSGPACK_UINT:
    case SM_MSGPACK_INT:
        if (v->type == SM_MSGPACK_INT || v->u <= INT64_MAX) {
            b->p = sm_pb_put_uint(b->p, ANY_INT, v->u);
            return true;
        }
        d = (double)v->u; /* too large for OTLP's integers */
        break;
    case SM_MSGPACK_DOUBLE:
        d = v->d;
        break;
    default:
        return false;
    }
    memcpy(&bits, &d, sizeof bits);
    b->p = sm_pb_put_fixed64(b->p, ANY_DOUBLE, bits);
    return true;
}

/* Whether there are elements left to read; beyond the limit of a value they are passed over. */
static bool within_limit(struct reader *r, size_t at)
{
    if (SM_LIKELY(sm_build_offset(&r->b) - at <= r->b.d->limits.value_bytes_max))
        return true;
    sm_build_refuse(&r->b, SM_REJECT_VALUE_SIZE);
    return false;
}

static bool read_pair(struct reader *r, uint32_t field, uint32_t depth);

static bool put_elements(struct reader *r, const struct sm_msgpack_value *v, uint32_t depth)
{
    size_t at = sm_build_offset(&r->b);
    struct sm_msgpack_value element;
    for (uint32_t i = 0; i < v->count; i++) {
        if (!within_limit(r, at)) {
            if ((v->type == SM_MSGPACK_MAP && !sm_msgpack_skip(&r->m)) || !sm_msgpack_skip(&r->m))
                return false;
        } else if (v->type == SM_MSGPACK_MAP) {
            if (!read_pair(r, 1, depth))
                return false;
        } else if (!sm_msgpack_next(&r->m, &element) || !put_any(r, 1, &element, depth)) {
            return false;
        }
    }
    (void)within_limit(r, at);
    return true;
}

/* ArrayValue or KeyValueList. Recursion is bounded by the limit on depth. */
static bool put_many(struct reader *r, const struct sm_msgpack_value *v, uint32_t depth)
{
    size_t moved;
    if (SM_UNLIKELY(depth >= r->b.d->limits.depth_max)) {
        sm_build_refuse(&r->b, SM_REJECT_DEPTH);
        return sm_msgpack_skip_rest(&r->m, v);
    }
    if (!sm_build_room(&r->b, 8))
        return false;
    size_t at = sm_build_open_message(&r->b, v->type == SM_MSGPACK_MAP ? ANY_KVLIST : ANY_ARRAY);
    return put_elements(r, v, depth + 1) && sm_build_close_message(&r->b, at, &moved);
}

static bool put_bytes(struct reader *r, uint32_t field, const struct sm_msgpack_value *v)
{
    struct sm_build *b = &r->b;
    bool string = v->type == SM_MSGPACK_STR;
    if (string ? !check_text(r, v->text) : v->text.len > b->d->limits.value_bytes_max) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return true;
    }
    if (!sm_build_room(b, v->text.len + 16))
        return false;
    *b->p++ = (uint8_t)SM_PB_TAG(field, SM_PB_BYTES);
    b->p = sm_build_length(b->p, 1 + sm_build_length_size(v->text.len) + v->text.len);
    b->p = sm_build_text(b->p, string ? ANY_STRING : ANY_BYTES, v->text.ptr, v->text.len);
    return true;
}

/* An AnyValue as field `field`, of a value whose head was read. */
static bool put_any(struct reader *r, uint32_t field, const struct sm_msgpack_value *v, uint32_t depth)
{
    size_t moved;
    if (v->type == SM_MSGPACK_STR || v->type == SM_MSGPACK_BIN)
        return put_bytes(r, field, v);
    if (!sm_build_room(&r->b, 32))
        return false;
    size_t at = sm_build_open_message(&r->b, field);
    if (is_many(v)) {
        if (!put_many(r, v, depth))
            return false;
    } else if (!put_scalar(&r->b, v)) {
        sm_build_refuse(&r->b, SM_REJECT_FIELD);
    }
    return sm_build_close_message(&r->b, at, &moved);
}

/* KeyValue{key=1, value=2} as field `field`. *any_length_at is where the length of its AnyValue stands; 0: the key is beyond a
 * limit and nothing was written. */
static bool put_pair(struct reader *r, uint32_t field, struct sm_str key, const struct sm_msgpack_value *v, uint32_t depth,
                     size_t *any_length_at)
{
    struct sm_build *b = &r->b;
    size_t moved;
    *any_length_at = 0;
    if (!check_text(r, key))
        return sm_msgpack_skip_rest(&r->m, v);
    if (!sm_build_room(b, key.len + 16))
        return false;
    size_t at = sm_build_open_message(b, field);
    b->p = sm_build_text(b->p, KEY, key.ptr, key.len);
    size_t length_at = sm_build_offset(b) + 1;
    if (!put_any(r, VALUE, v, depth) || !sm_build_close_message(b, at, &moved))
        return false;
    *any_length_at = length_at + moved;
    return true;
}

static bool read_pair(struct reader *r, uint32_t field, uint32_t depth)
{
    struct sm_msgpack_value v;
    struct sm_str key;
    size_t at;
    return next_key(r, &key) && sm_msgpack_next(&r->m, &v) && put_pair(r, field, key, &v, depth, &at);
}

/* The head of a map; count 0 when it is nil or something else, which refuses the span. */
static bool read_map(struct reader *r, uint32_t *count)
{
    struct sm_msgpack_value v;
    *count = 0;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (SM_LIKELY(v.type == SM_MSGPACK_MAP))
        *count = v.count;
    else if (v.type != SM_MSGPACK_NIL)
        return refuse_value(r, &v);
    return true;
}

static bool read_array(struct reader *r, uint32_t *count)
{
    struct sm_msgpack_value v;
    *count = 0;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (SM_LIKELY(v.type == SM_MSGPACK_ARRAY))
        *count = v.count;
    else if (v.type != SM_MSGPACK_NIL)
        return refuse_value(r, &v);
    return true;
}

/* Passes over so many values, once there are more than limits allow. */
static bool skip_values(struct reader *r, uint64_t count, enum sm_reject reason)
{
    sm_build_refuse(&r->b, reason);
    for (; count; count--) {
        if (!sm_msgpack_skip(&r->m))
            return false;
    }
    return true;
}

/* Attributes that nobody wants keys of: of events, links, resources, scopes. */
static bool read_attributes(struct reader *r, uint32_t field)
{
    uint32_t count;
    if (!read_map(r, &count))
        return false;
    if (count > r->b.d->limits.attributes_max)
        return skip_values(r, 2 * (uint64_t)count, SM_REJECT_ATTRIBUTES);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_pair(r, field, 0))
            return false;
    }
    return true;
}

static bool read_span_attribute(struct reader *r)
{
    struct sm_build *b = &r->b;
    struct sm_msgpack_value v;
    struct sm_str key;
    size_t any_length_at;
    if (!next_key(r, &key) || !sm_msgpack_next(&r->m, &v))
        return false;
    if (SM_LIKELY(v.type == SM_MSGPACK_STR && sm_text_valid((const uint8_t *)key.ptr, key.len) &&
                  sm_text_valid((const uint8_t *)v.text.ptr, v.text.len)))
        return sm_build_attribute(b, (const uint8_t *)key.ptr, key.len, (const uint8_t *)v.text.ptr, v.text.len);
    b->attributes++;
    if (!put_pair(r, SM_OTLP_ATTRIBUTES, key, &v, 0, &any_length_at))
        return false;
    uint32_t slot = any_length_at ? sm_wanted_find(b->d->wanted, (const uint8_t *)key.ptr, key.len) : SM_WANTED_NONE;
    if (SM_UNLIKELY(slot != SM_WANTED_NONE))
        sm_build_record(b, slot, b->arena->data + any_length_at);
    return true;
}

static bool read_span_attributes(struct reader *r)
{
    uint32_t count;
    if (!read_map(r, &count))
        return false;
    if (SM_UNLIKELY(count + r->b.attributes > r->b.d->limits.attributes_max))
        return skip_values(r, 2 * (uint64_t)count, SM_REJECT_ATTRIBUTES);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_span_attribute(r))
            return false;
    }
    return true;
}

/* ---- events and links ---- */

static bool read_event_member(struct reader *r, struct sm_str key)
{
    uint64_t ns;
    size_t size;
    if (IS(key, "time")) {
        if (!read_uint(r, UINT64_MAX, SM_REJECT_TIME, &ns) || !sm_build_room(&r->b, 16))
            return false;
        if (ns)
            r->b.p = sm_pb_put_fixed64(r->b.p, EVENT_TIME, ns);
        return true;
    }
    if (IS(key, "name"))
        return read_text_field(r, EVENT_NAME, &size);
    if (IS(key, "attrs"))
        return read_attributes(r, EVENT_ATTRIBUTES);
    if (IS(key, "dropped_attrs"))
        return read_uint_field(r, EVENT_DROPPED);
    return sm_msgpack_skip(&r->m);
}

/* An id of a link must be there. */
static bool read_link_id(struct reader *r, uint32_t field, size_t size)
{
    struct sm_trace_id id;
    uint8_t bytes[16];
    bool none;
    if (!read_id(r, size, SM_REJECT_FIELD, &id, &none) || !sm_build_room(&r->b, 32))
        return false;
    sm_store_be64(bytes, id.hi);
    sm_store_be64(bytes + 8, id.lo);
    r->b.p = sm_pb_put_bytes(r->b.p, field, bytes + 16 - size, size);
    return true;
}

static bool read_link_member(struct reader *r, struct sm_str key)
{
    uint64_t flags;
    size_t size;
    if (IS(key, "trace"))
        return read_link_id(r, LINK_TRACE_ID, 16);
    if (IS(key, "id"))
        return read_link_id(r, LINK_SPAN_ID, 8);
    if (IS(key, "state"))
        return read_text_field(r, LINK_STATE, &size);
    if (IS(key, "attrs"))
        return read_attributes(r, LINK_ATTRIBUTES);
    if (IS(key, "dropped_attrs"))
        return read_uint_field(r, LINK_DROPPED);
    if (IS(key, "flags")) {
        if (!read_uint(r, UINT32_MAX, SM_REJECT_FIELD, &flags) || !sm_build_room(&r->b, 16))
            return false;
        if (flags)
            r->b.p = sm_pb_put_fixed32(r->b.p, LINK_FLAGS, (uint32_t)flags);
        return true;
    }
    return sm_msgpack_skip(&r->m);
}

typedef bool member_reader(struct reader *r, struct sm_str key);

static bool read_members(struct reader *r, member_reader *member)
{
    struct sm_str key;
    uint32_t count;
    if (!read_map(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!next_key(r, &key) || !member(r, key))
            return false;
    }
    return true;
}

/* An array of maps, each a message of its own. */
static bool read_messages(struct reader *r, uint32_t field, uint16_t flag, member_reader *member)
{
    uint32_t count;
    size_t moved;
    if (!read_array(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        r->b.head->flags |= flag;
        if (!sm_build_room(&r->b, 8))
            return false;
        size_t at = sm_build_open_message(&r->b, field);
        if (!read_members(r, member) || !sm_build_close_message(&r->b, at, &moved))
            return false;
        if (SM_UNLIKELY(sm_build_offset(&r->b) - r->b.body_at > r->b.d->limits.span_bytes_max))
            return skip_values(r, count - i - 1, SM_REJECT_SPAN_SIZE);
    }
    return true;
}

/* ---- spans ---- */

static bool read_name(struct reader *r)
{
    if (!read_text_field(r, SM_OTLP_NAME, &r->name_size))
        return false;
    r->name_at = sm_build_offset(&r->b) - r->name_size;
    return true;
}

static bool read_trace_state(struct reader *r)
{
    size_t size;
    if (!read_text_field(r, SM_OTLP_TRACE_STATE, &size))
        return false;
    if (size)
        r->b.head->flags |= SM_SPAN_TRACESTATE;
    return true;
}

static bool read_flags(struct reader *r)
{
    uint64_t flags;
    if (!read_uint(r, UINT32_MAX, SM_REJECT_FIELD, &flags) || !sm_build_room(&r->b, 16))
        return false;
    if (!flags)
        return true;
    r->b.p = sm_pb_put_fixed32(r->b.p, SM_OTLP_FLAGS, (uint32_t)flags);
    if (flags & 0x2)
        r->b.head->flags |= SM_SPAN_W3C_RANDOM;
    if (flags & 0x100)
        r->b.head->flags |= flags & 0x200 ? SM_SPAN_REMOTE_PARENT : SM_SPAN_LOCAL_PARENT;
    return true;
}

static bool read_span_id(struct reader *r, enum sm_reject reason, uint64_t *id)
{
    struct sm_trace_id read;
    bool none;
    bool ok = read_id(r, 8, reason, &read, &none);
    *id = read.lo;
    return ok;
}

/* Told apart by length first. */
static bool read_span_member(struct reader *r, struct sm_str key)
{
    bool none;
    switch (key.len) {
    case 2:
        if (IS(key, "id"))
            return read_span_id(r, SM_REJECT_SPAN_ID, &r->id);
        break;
    case 3:
        if (IS(key, "end"))
            return read_uint(r, INT64_MAX, SM_REJECT_TIME, &r->end_ns);
        break;
    case 4:
        if (IS(key, "name"))
            return read_name(r);
        if (IS(key, "kind"))
            return read_uint(r, SM_KIND_CONSUMER, SM_REJECT_FIELD, &r->kind);
        break;
    case 5:
        if (IS(key, "trace"))
            return read_id(r, 16, SM_REJECT_TRACE_ID, &r->trace, &none);
        if (IS(key, "start"))
            return read_uint(r, INT64_MAX, SM_REJECT_TIME, &r->start_ns);
        if (IS(key, "attrs"))
            return read_span_attributes(r);
        if (IS(key, "links"))
            return read_messages(r, SM_OTLP_LINKS, SM_SPAN_LINKS, read_link_member);
        if (IS(key, "flags"))
            return read_flags(r);
        if (IS(key, "state"))
            return read_trace_state(r);
        break;
    case 6:
        if (IS(key, "parent"))
            return read_span_id(r, SM_REJECT_PARENT_ID, &r->parent_id);
        if (IS(key, "status"))
            return read_uint(r, SM_STATUS_ERROR, SM_REJECT_FIELD, &r->status);
        if (IS(key, "events"))
            return read_messages(r, SM_OTLP_EVENTS, SM_SPAN_EVENTS, read_event_member);
        break;
    case 7:
        if (IS(key, "message"))
            return read_text(r, &r->message);
        break;
    case 13:
        if (IS(key, "dropped_attrs"))
            return read_uint_field(r, SM_OTLP_DROPPED_ATTRIBUTES);
        if (IS(key, "dropped_links"))
            return read_uint_field(r, SM_OTLP_DROPPED_LINKS);
        break;
    case 14:
        if (IS(key, "dropped_events"))
            return read_uint_field(r, SM_OTLP_DROPPED_EVENTS);
        break;
    default:
        break;
    }
    return sm_msgpack_skip(&r->m);
}

/* Status{message=2, code=3}. */
static bool put_status(struct reader *r)
{
    struct sm_build *b = &r->b;
    size_t n = r->message.len, size = (n ? 1 + sm_build_length_size(n) + n : 0) + (r->status ? 2 : 0);
    if (size == 0)
        return true;
    if (!sm_build_room(b, size + 8))
        return false;
    *b->p++ = SM_PB_TAG(SM_OTLP_STATUS, SM_PB_BYTES);
    b->p = sm_build_length(b->p, size);
    if (n)
        b->p = sm_build_text(b->p, STATUS_MESSAGE, r->message.ptr, n);
    if (r->status)
        b->p = sm_pb_put_uint(b->p, STATUS_CODE, r->status);
    b->head->kind_status = (uint8_t)(r->status << 4);
    if (r->status == SM_STATUS_ERROR)
        b->head->flags |= SM_SPAN_ERROR;
    return true;
}

/* The scope follows when the batch ends. */
static bool read_span(struct reader *r)
{
    struct sm_build *b = &r->b;
    struct sm_msgpack_value v;
    struct sm_str key;
    size_t from = offsetof(struct reader, trace);
    memset((uint8_t *)r + from, 0, sizeof *r - from);
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (v.type != SM_MSGPACK_MAP)
        return misfit(r, "a span is not a map");
    if (!sm_build_span(b))
        return false;
    for (uint32_t i = 0; i < v.count; i++) {
        if (!next_key(r, &key) || !read_span_member(r, key))
            return false;
    }
    if ((r->trace.hi | r->trace.lo) == 0)
        sm_build_refuse(b, SM_REJECT_TRACE_ID);
    if (r->id == 0)
        sm_build_refuse(b, SM_REJECT_SPAN_ID);
    if (!put_status(r))
        return false;
    sm_build_front(b, r->trace, r->id, r->parent_id, (enum sm_kind)r->kind, r->start_ns, r->end_ns);
    if (r->end_ns == 0)
        b->head->flags |= SM_SPAN_NO_DURATION;
    if (SM_LIKELY(b->reject == SM_REJECT_COUNT))
        sm_build_name(b, r->name_at, r->name_size);
    sm_build_commit(b, r->trace);
    return true;
}

static bool read_spans(struct reader *r)
{
    const struct sm_batch *batch = r->b.batch;
    struct sm_msgpack_value v;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (v.type != SM_MSGPACK_ARRAY)
        return misfit(r, "spans is not an array");
    r->too_many = v.count > r->b.d->limits.spans_max - batch->count - batch->rejected_total;
    if (r->too_many)
        return false;
    for (uint32_t i = 0; i < v.count; i++) {
        if (!read_span(r))
            return false;
    }
    return true;
}

/* ---- what spans belong to ---- */

/* Where the values stand in the payload; NULL: not there. */
struct heads {
    const uint8_t *resource, *scope;
    struct sm_str schema_url;
    bool has_version;
};

static bool read_scope_member(struct reader *r, struct sm_str key)
{
    size_t size;
    if (IS(key, "name"))
        return read_text_field(r, SCOPE_NAME, &size);
    if (IS(key, "version"))
        return read_text_field(r, SCOPE_VERSION, &size);
    if (IS(key, "attrs"))
        return read_attributes(r, SCOPE_ATTRIBUTES);
    return sm_msgpack_skip(&r->m);
}

/* Builds a message at the arena's end from a value that was passed over before. */
static bool build_head(struct reader *r, const uint8_t *at, bool scope)
{
    const uint8_t *here = r->m.p;
    if (!at)
        return true;
    r->m.p = at;
    bool ok = scope ? read_members(r, read_scope_member) : read_attributes(r, RESOURCE_ATTRIBUTES);
    r->m.p = here;
    return ok;
}

/* What the arena holds between two offsets. */
static struct sm_str between(const struct reader *r, size_t from, size_t to)
{
    return to > from ? sm_str(r->b.arena->data + from, to - from) : (struct sm_str){"", 0};
}

static void refuse_spans(struct sm_batch *batch, uint32_t first, enum sm_reject reason)
{
    uint32_t count = batch->count - first;
    sm_batch_truncate(batch, first);
    for (uint32_t i = 0; i < count; i++)
        sm_batch_reject(batch, reason, sm_build_reject_text(reason));
}

/* Gives the batch's spans, those from `first` on, their scope. */
static bool end_batch(struct reader *r, const struct heads *h, uint32_t first)
{
    struct sm_build *b = &r->b;
    const struct sm_resource *resource = NULL;
    const struct sm_scope *scope = NULL;
    struct sm_str none = {"", 0};
    size_t at = sm_build_offset(b);
    b->reject = SM_REJECT_COUNT;
    (void)check_text(r, h->schema_url);
    if (!build_head(r, h->resource, false))
        return false;
    size_t scope_at = sm_build_offset(b);
    if (!build_head(r, h->scope, true))
        return false;
    if (b->reject == SM_REJECT_COUNT)
        resource = sm_scopes_cache_resource(b->d->scopes, between(r, at, scope_at), h->schema_url, b->batch->epoch);
    if (resource)
        scope = sm_scopes_cache_scope(b->d->scopes, resource, between(r, scope_at, sm_build_offset(b)), none, b->batch->epoch);
    b->p = b->arena->data + at;
    if (!scope) {
        refuse_spans(b->batch, first, b->reject == SM_REJECT_COUNT ? SM_REJECT_SCOPES_FULL : b->reject);
        return true;
    }
    for (uint32_t i = first; i < b->batch->count; i++)
        sm_batch_span(b->batch, i)->scope_id = scope->id;
    return true;
}

static bool read_version(struct reader *r, struct heads *h)
{
    struct sm_msgpack_value v;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    h->has_version = v.type == SM_MSGPACK_UINT && v.u == VERSION;
    r->other_version = !h->has_version && v.type == SM_MSGPACK_UINT;
    return h->has_version || misfit(r, "v is not 1, which is the version that is understood here");
}

static bool read_schema_url(struct reader *r, struct heads *h)
{
    struct sm_msgpack_value v;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (v.type != SM_MSGPACK_STR && v.type != SM_MSGPACK_NIL)
        return misfit(r, "schema_url is not a string");
    if (v.type == SM_MSGPACK_STR)
        h->schema_url = v.text;
    return true;
}

static bool read_batch_member(struct reader *r, struct sm_str key, struct heads *h)
{
    if (IS(key, "v"))
        return read_version(r, h);
    if (IS(key, "spans"))
        return read_spans(r);
    if (IS(key, "schema_url"))
        return read_schema_url(r, h);
    if (IS(key, "resource"))
        h->resource = r->m.p;
    else if (IS(key, "scope"))
        h->scope = r->m.p;
    return sm_msgpack_skip(&r->m);
}

static bool read_batch(struct reader *r)
{
    static const uint8_t none[SM_PAYLOAD_SLOP];
    struct heads h = {.schema_url = sm_str(none, 0)}; /* texts are read beyond their end */
    struct sm_msgpack_value v;
    struct sm_str key;
    uint32_t first = r->b.batch->count;
    if (!sm_msgpack_next(&r->m, &v))
        return false;
    if (v.type != SM_MSGPACK_MAP)
        return misfit(r, "a batch is not a map");
    for (uint32_t i = 0; i < v.count; i++) {
        if (!next_key(r, &key) || !read_batch_member(r, key, &h))
            return false;
    }
    return h.has_version ? end_batch(r, &h, first) : misfit(r, "a batch has no version v");
}

static enum sm_rc say_why(const struct reader *r, struct sm_err *err)
{
    if (r->b.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (r->too_many)
        return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one message", r->b.d->limits.spans_max);
    if (r->misfit)
        return sm_err_set(err, r->other_version ? SM_E_UNSUPPORTED : SM_E_INVALID, "not a batch of spans: %s", r->misfit);
    return sm_err_set(err, r->m.truncated ? SM_E_TRUNCATED : SM_E_INVALID, "malformed msgpack: %s", r->m.error);
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r = {.m = sm_msgpack_reader(payload->data, payload->size)};
    if (sm_build_open(&r.b, d, batch, payload->size + payload->size / 4) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    bool ok = true;
    while (ok && r.m.p < r.m.end)
        ok = read_batch(&r);
    if (ok) {
        sm_build_close(&r.b);
        return SM_OK;
    }
    sm_batch_clear(batch);
    return say_why(&r, err);
}

const struct sm_codec sm_codec_msgpack = {
    .name = "msgpack",
    .decode = decode,
};
