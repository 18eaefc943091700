/* OTLP JSON: ExportTraceServiceRequest / TracesData in protobuf's JSON form, as OTLP restricts it (opentelemetry-proto
 * docs/specification.md, "JSON Protobuf Encoding"): ids in hex, enums as numbers, 64-bit integers as numbers or strings.
 *
 * One document per payload: who reads files of one document per line splits them first. Kinder than the specification: hex of
 * either case, names in snake_case, enums by name, null for any member, and whole numbers beyond 64 bits in intValue, which
 * JavaScript writes, become doubles. A span with a bad id is refused alone; what is no JSON or has members of the wrong type
 * refuses the request.
 *
 * Members come in any order, so what spans belong to may follow them: scopes are set when their resource ends. */
#include "base/base64.h"
#include "base/json.h"
#include "span/attr.h"
#include "span/codec/build.h"
#include "span/codec/otlp_encode.h"

#include <math.h>

enum {
    KEY_SIZE_MAX = 64, /* longer keys are unknown ones */
    READER_DEPTH = 160, /* 32 values within values, four levels each at most, and what is around them */
    NO_GROUP = 0,
};

/* A range of the arena. */
struct range {
    uint32_t at, size;
};

/* The spans of one ScopeSpans, until their resource is known. Lies in the arena, unaligned. */
struct group {
    uint32_t first, count; /* items of the batch */
    struct range scope, schema_url;
    uint32_t reject;   /* enum sm_reject: the scope is unsound */
    uint32_t previous; /* offset of the group before it in the same resource; NO_GROUP */
};

struct reader {
    struct sm_json j;
    struct sm_build b;
    uint32_t last_group;
    bool too_many; /* spans */
    /* the span being read */
    struct sm_trace_id trace;
    uint64_t id, parent_id, start_ns, end_ns;
    uint64_t kind;
    enum sm_status status;
    struct range name;
};

/* Reads a member's value; false when the message has no member of that name (in camel case), and nothing has been read. */
typedef bool member_reader(struct reader *r, const struct sm_json_text *key, void *ctx);

static bool fail(struct reader *r, const char *text)
{
    return sm_json_fail(&r->j, text);
}

static bool room(struct reader *r, size_t n)
{
    return SM_LIKELY(sm_build_room(&r->b, n)) || fail(r, "out of memory");
}

/* some_name -> someName; false when the key is in camel case already. */
static bool camel_case(struct sm_json_text *key, uint8_t *buffer)
{
    size_t n = 0;
    if (key->len > KEY_SIZE_MAX || !memchr(key->ptr, '_', key->len))
        return false;
    for (size_t i = 0; i < key->len; i++) {
        bool upper = key->ptr[i] == '_' && i + 1 < key->len && key->ptr[i + 1] >= 'a' && key->ptr[i + 1] <= 'z';
        buffer[n++] = upper ? (uint8_t)(key->ptr[++i] - 'a' + 'A') : key->ptr[i];
    }
    *key = (struct sm_json_text){buffer, n, false};
    return true;
}

static void read_object(struct reader *r, member_reader *member, void *ctx)
{
    struct sm_json_text key;
    uint8_t buffer[KEY_SIZE_MAX];
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, buffer, sizeof buffer);
        if (sm_json_null(&r->j) || SM_LIKELY(member(r, &key, ctx)))
            continue;
        if (!camel_case(&key, buffer) || !member(r, &key, ctx))
            sm_json_skip(&r->j);
    }
}

/* Scalars */

static bool read_number(struct reader *r, struct sm_json_number *n)
{
    if (sm_json_peek(&r->j) == SM_JSON_NUMBER)
        return sm_json_number(&r->j, n);
    struct sm_json_text text;
    if (!sm_json_string(&r->j, &text))
        return false;
    return sm_json_number_parse(sm_str(text.ptr, text.len), n) || fail(r, "expected a number");
}

static uint64_t read_uint(struct reader *r, uint64_t max)
{
    struct sm_json_number n;
    uint64_t v = 0;
    if (read_number(r, &n) && (!sm_json_number_uint64(&n, &v) || v > max))
        (void)fail(r, "expected a whole number that is in range");
    return v;
}

/* The prefix of an enum's names is followed by the values in order. */
static uint64_t read_enum(struct reader *r, const char *const *names, size_t count)
{
    struct sm_json_text text;
    if (sm_json_peek(&r->j) == SM_JSON_NUMBER) {
        struct sm_json_number n;
        int64_t v = 0;
        if (read_number(r, &n) && (!sm_json_number_int64(&n, &v) || v != (int32_t)v))
            (void)fail(r, "expected a whole number that is in range");
        return (uint64_t)v;
    }
    if (!sm_json_string(&r->j, &text))
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (sm_str_eq(sm_str(text.ptr, text.len), sm_str_c(names[i])))
            return i;
    }
    (void)fail(r, "unknown name of an enum");
    return 0;
}

/* A string as a field. Returns its range; too long a one marks the span as refused. */
static struct range read_text_field(struct reader *r, uint32_t field)
{
    struct sm_build *b = &r->b;
    struct sm_json_text text;
    if (!sm_json_string(&r->j, &text) || !room(r, text.len + 8))
        return (struct range){0, 0};
    if (SM_UNLIKELY(text.len > b->d->limits.value_bytes_max && !text.escaped)) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return (struct range){0, 0};
    }
    if (SM_LIKELY(!text.escaped)) {
        b->p = sm_build_text(b->p, field, text.ptr, text.len);
        return (struct range){(uint32_t)(sm_build_offset(b) - text.len), (uint32_t)text.len};
    }
    uint8_t *content = b->p + 1 + sm_build_length_size(text.len);
    size_t n = sm_json_unescape(&text, content);
    if (n > b->d->limits.value_bytes_max)
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
    *b->p++ = (uint8_t)SM_PB_TAG(field, SM_PB_BYTES);
    b->p = sm_build_length(b->p, n);
    memmove(b->p, content, n);
    b->p += n;
    return (struct range){(uint32_t)(sm_build_offset(b) - n), (uint32_t)n};
}

static void put_uint_field(struct reader *r, uint32_t field, uint64_t v)
{
    if (v && room(r, 16))
        r->b.p = sm_pb_put_uint(r->b.p, field, v);
}

/* An id of `digits` hex digits as bytes; false when it is none. Empty is none too. */
static bool read_hex(struct reader *r, size_t digits, struct sm_trace_id *id)
{
    struct sm_json_text text;
    *id = (struct sm_trace_id){0, 0};
    if (!sm_json_string(&r->j, &text))
        return false;
    return text.len == digits && sm_trace_id_parse(sm_str(text.ptr, text.len), id) == SM_OK;
}

/* Values */

static void read_any(struct reader *r, uint32_t depth);

enum any_field { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_KVLIST, ANY_BYTES };

static void read_bytes_value(struct reader *r)
{
    struct sm_json_text text;
    size_t moved;
    uint8_t buffer[6 * 4];
    if (!sm_json_string(&r->j, &text) || !room(r, text.len + 8))
        return;
    sm_json_plain(&text, buffer, sizeof buffer);
    size_t at = sm_build_open_message(&r->b, ANY_BYTES);
    uint8_t *end = sm_base64_decode(sm_str(text.ptr, text.len), r->b.p);
    if (!end) {
        (void)fail(r, "invalid base64");
        return;
    }
    if ((size_t)(end - r->b.p) > r->b.d->limits.value_bytes_max)
        sm_build_refuse(&r->b, SM_REJECT_VALUE_SIZE);
    r->b.p = end;
    if (!sm_build_close_message(&r->b, at, &moved))
        (void)fail(r, "out of memory");
}

static void put_double(struct reader *r, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    if (room(r, 16))
        r->b.p = sm_pb_put_fixed64(r->b.p, ANY_DOUBLE, bits);
}

static void read_int_value(struct reader *r)
{
    struct sm_json_number n;
    int64_t v;
    if (!read_number(r, &n) || !room(r, 16))
        return;
    if (SM_LIKELY(sm_json_number_int64(&n, &v))) {
        r->b.p = sm_pb_put_uint(r->b.p, ANY_INT, (uint64_t)v);
        return;
    }
    double d = sm_json_number_double(&n);
    if (fabs(d) < 0x1p63)
        (void)fail(r, "intValue is not a whole number");
    else
        put_double(r, d);
}

static void read_double_value(struct reader *r)
{
    struct sm_json_number n;
    struct sm_json_text text;
    double d;
    if (sm_json_peek(&r->j) != SM_JSON_STRING) {
        if (read_number(r, &n))
            put_double(r, sm_json_number_double(&n));
    } else if (sm_json_string(&r->j, &text)) {
        if (sm_json_double_parse(sm_str(text.ptr, text.len), &d))
            put_double(r, d);
        else
            (void)fail(r, "expected a number");
    }
}

/* KeyValue{key=1, value=2} as a field of whatever is being written. Returns the offset of the AnyValue's length, 0 when the
 * attribute has none, and the key. */
struct key_value {
    struct range key;
    size_t any_length_at;
    uint32_t depth;
};

static bool read_key_value_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct key_value *kv = ctx;
    size_t moved;
    if (sm_json_is(key, "key")) {
        kv->key = read_text_field(r, 1);
    } else if (sm_json_is(key, "value")) {
        if (!room(r, 8))
            return true;
        size_t at = sm_build_open_message(&r->b, 2);
        read_any(r, kv->depth);
        if (!sm_build_close_message(&r->b, at, &moved))
            (void)fail(r, "out of memory");
        kv->any_length_at = at - 1;
    } else {
        return false;
    }
    return true;
}

static void read_key_value(struct reader *r, uint32_t field, struct key_value *kv)
{
    size_t moved = 0;
    if (!room(r, 8))
        return;
    size_t at = sm_build_open_message(&r->b, field);
    read_object(r, read_key_value_member, kv);
    if (!sm_build_close_message(&r->b, at, &moved))
        (void)fail(r, "out of memory");
    kv->key.at += (uint32_t)moved;
    kv->any_length_at += kv->any_length_at ? moved : 0;
}

/* Attributes that nobody wants keys of: of events, links, resources, scopes, and in values. */
static void read_attributes(struct reader *r, uint32_t field, uint32_t depth)
{
    uint32_t count = 0;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        struct key_value kv = {.depth = depth};
        read_key_value(r, field, &kv);
        count++;
    }
    if (count > r->b.d->limits.attributes_max)
        sm_build_refuse(&r->b, SM_REJECT_ATTRIBUTES);
}

struct list {
    bool keyed;
    uint32_t depth;
};

static bool read_list_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    const struct list *list = ctx;
    size_t moved;
    if (!sm_json_is(key, "values"))
        return false;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        if (list->keyed) {
            struct key_value kv = {.depth = list->depth};
            read_key_value(r, 1, &kv);
            continue;
        }
        if (!room(r, 8))
            return true;
        size_t at = sm_build_open_message(&r->b, 1);
        read_any(r, list->depth);
        if (!sm_build_close_message(&r->b, at, &moved))
            (void)fail(r, "out of memory");
    }
    return true;
}

static void read_list_value(struct reader *r, uint32_t field, uint32_t depth)
{
    struct list list = {.keyed = field == ANY_KVLIST, .depth = depth + 1};
    size_t moved;
    if (!room(r, 8))
        return;
    size_t at = sm_build_open_message(&r->b, field);
    read_object(r, read_list_member, &list);
    if (sm_build_offset(&r->b) - at > r->b.d->limits.value_bytes_max)
        sm_build_refuse(&r->b, SM_REJECT_VALUE_SIZE);
    if (!sm_build_close_message(&r->b, at, &moved))
        (void)fail(r, "out of memory");
}

static void read_bool_value(struct reader *r)
{
    bool v = false;
    if (sm_json_bool(&r->j, &v) && room(r, 8))
        r->b.p = sm_pb_put_uint(r->b.p, ANY_BOOL, v);
}

static bool read_any_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    uint32_t depth = *(uint32_t *)ctx;
    if (sm_json_is(key, "stringValue"))
        (void)read_text_field(r, ANY_STRING);
    else if (sm_json_is(key, "intValue"))
        read_int_value(r);
    else if (sm_json_is(key, "boolValue"))
        read_bool_value(r);
    else if (sm_json_is(key, "doubleValue"))
        read_double_value(r);
    else if (sm_json_is(key, "arrayValue"))
        read_list_value(r, ANY_ARRAY, depth);
    else if (sm_json_is(key, "kvlistValue"))
        read_list_value(r, ANY_KVLIST, depth);
    else if (sm_json_is(key, "bytesValue"))
        read_bytes_value(r);
    else
        return false;
    return true;
}

/* The content of an AnyValue. Recursion is bounded by the limit on depth. */
static void read_any(struct reader *r, uint32_t depth)
{
    if (SM_UNLIKELY(depth > r->b.d->limits.depth_max)) {
        sm_build_refuse(&r->b, SM_REJECT_DEPTH);
        sm_json_skip(&r->j);
        return;
    }
    read_object(r, read_any_member, &depth);
}

/* Spans */

SM_INLINE bool take(struct sm_json *j, const char *text, size_t size)
{
    if ((size_t)(j->end - j->p) < size || memcmp(j->p, text, size) != 0)
        return false;
    j->p += size;
    return true;
}

#define TAKE(j, literal) take(j, literal, sizeof(literal) - 1)

/* A string, if one is next; anything else (null) is no error here. */
SM_INLINE bool take_string(struct sm_json *j, struct sm_json_text *text)
{
    return SM_LIKELY(j->p < j->end && *j->p == '"') && sm_json_string(j, text);
}

/* The rest of {"intValue":"8080"}} or {"intValue":8080}}, not negative; false when it is something else. */
static bool take_int_value(struct sm_json *j, int64_t *value)
{
    bool quoted = TAKE(j, "\"");
    const uint8_t *end = sm_json_small_int(j->p, j->end, value);
    if (!end)
        return false;
    j->p = end;
    return quoted ? TAKE(j, "\"}}") : TAKE(j, "}}");
}

static bool put_plain_attribute(struct reader *r, const struct sm_json_text *key)
{
    struct sm_json *j = &r->j;
    struct sm_build *b = &r->b;
    struct sm_json_text text;
    int64_t number = 0;
    if (TAKE(j, "stringValue\":"))
        return take_string(j, &text) && TAKE(j, "}}") && !text.escaped && text.len <= b->d->limits.value_bytes_max &&
               (sm_build_attribute(b, key->ptr, key->len, text.ptr, text.len) || fail(r, "out of memory"));
    uint8_t any[32], *p = any; /* read for 16 bytes */
    if (TAKE(j, "intValue\":") && take_int_value(j, &number))
        p = sm_pb_put_uint(any, ANY_INT, (uint64_t)number);
    else if (TAKE(j, "boolValue\":true}}"))
        p = sm_pb_put_uint(any, ANY_BOOL, true);
    else if (TAKE(j, "boolValue\":false}}"))
        p = sm_pb_put_uint(any, ANY_BOOL, false);
    return p > any && (sm_build_any_attribute(b, key->ptr, key->len, any, (size_t)(p - any)) || fail(r, "out of memory"));
}

/* Nearly every attribute: {"key":"...","value":{"stringValue":"..."}}, or a number, without white space or escapes. False: it is
 * something else, nothing has been read. */
static bool read_plain_attribute(struct reader *r)
{
    struct sm_json *j = &r->j;
    struct sm_json_text key;
    const uint8_t *begin = j->p;
    if (SM_LIKELY(TAKE(j, "{\"key\":") && take_string(j, &key) && TAKE(j, ",\"value\":{\"") && !key.escaped && key.len &&
                  key.len <= r->b.d->limits.value_bytes_max && put_plain_attribute(r, &key)))
        return true;
    if (!j->error)
        j->p = begin;
    return false;
}

static void read_span_attributes(struct reader *r)
{
    struct sm_build *b = &r->b;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        if (SM_LIKELY(read_plain_attribute(r)))
            continue;
        struct key_value kv = {.depth = 1};
        read_key_value(r, SM_OTLP_ATTRIBUTES, &kv);
        b->attributes++;
        if (!kv.any_length_at || kv.key.size == 0)
            continue;
        uint32_t slot = sm_wanted_find(b->d->wanted, b->arena->data + kv.key.at, kv.key.size);
        if (SM_UNLIKELY(slot != SM_WANTED_NONE))
            sm_build_record(b, slot, b->arena->data + kv.any_length_at);
    }
}

static void put_fixed64_field(struct reader *r, uint32_t field)
{
    uint64_t v = read_uint(r, UINT64_MAX);
    if (v && room(r, 16))
        r->b.p = sm_pb_put_fixed64(r->b.p, field, v);
}

static bool read_event_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    if (sm_json_is(key, "timeUnixNano"))
        put_fixed64_field(r, 1);
    else if (sm_json_is(key, "name"))
        (void)read_text_field(r, 2);
    else if (sm_json_is(key, "attributes"))
        read_attributes(r, 3, 1);
    else if (sm_json_is(key, "droppedAttributesCount"))
        put_uint_field(r, 4, read_uint(r, UINT32_MAX));
    else
        return false;
    return true;
}

/* Ids of links are bytes of their length, or absent. */
static void read_link_id(struct reader *r, uint32_t field, size_t size)
{
    struct sm_json_text text;
    struct sm_trace_id id;
    uint8_t bytes[16];
    if (!sm_json_string(&r->j, &text) || text.len == 0 || !room(r, 32))
        return;
    if (text.len != size * 2 || sm_trace_id_parse(sm_str(text.ptr, text.len), &id) != SM_OK) {
        sm_build_refuse(&r->b, SM_REJECT_FIELD);
        return;
    }
    sm_store_be64(bytes, id.hi);
    sm_store_be64(bytes + 8, id.lo);
    r->b.p = sm_pb_put_bytes(r->b.p, field, bytes + 16 - size, size);
}

static bool read_link_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    if (sm_json_is(key, "traceId"))
        read_link_id(r, 1, 16);
    else if (sm_json_is(key, "spanId"))
        read_link_id(r, 2, 8);
    else if (sm_json_is(key, "traceState"))
        (void)read_text_field(r, 3);
    else if (sm_json_is(key, "attributes"))
        read_attributes(r, 4, 1);
    else if (sm_json_is(key, "droppedAttributesCount"))
        put_uint_field(r, 5, read_uint(r, UINT32_MAX));
    else if (sm_json_is(key, "flags")) {
        uint64_t flags = read_uint(r, UINT32_MAX);
        if (flags && room(r, 16))
            r->b.p = sm_pb_put_fixed32(r->b.p, 6, (uint32_t)flags);
    } else {
        return false;
    }
    return true;
}

static bool read_status_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    static const char *const names[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};
    (void)ctx;
    if (sm_json_is(key, "message")) {
        (void)read_text_field(r, 2);
    } else if (sm_json_is(key, "code")) {
        uint64_t code = read_enum(r, names, SM_ARRAY_LEN(names));
        r->status = code <= SM_STATUS_ERROR ? (enum sm_status)code : SM_STATUS_UNSET;
        put_uint_field(r, 3, code);
    } else {
        return false;
    }
    return true;
}

static void read_message(struct reader *r, uint32_t field, member_reader *member)
{
    size_t moved;
    if (!room(r, 8))
        return;
    size_t at = sm_build_open_message(&r->b, field);
    read_object(r, member, NULL);
    if (!sm_build_close_message(&r->b, at, &moved))
        (void)fail(r, "out of memory");
}

static void read_messages(struct reader *r, uint32_t field, uint16_t flag, member_reader *member)
{
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        r->b.head->flags |= flag;
        read_message(r, field, member);
    }
}

static void read_trace_id(struct reader *r)
{
    if (!read_hex(r, 32, &r->trace))
        sm_build_refuse(&r->b, SM_REJECT_TRACE_ID);
}

static void read_span_id(struct reader *r)
{
    struct sm_trace_id id;
    if (!read_hex(r, 16, &id))
        sm_build_refuse(&r->b, SM_REJECT_SPAN_ID);
    r->id = id.lo;
}

static bool is_absent_id(const struct sm_json_text *text)
{
    return text->len == 0 || (text->len == 16 && memcmp(text->ptr, "0000000000000000", 16) == 0);
}

static void read_parent_id(struct reader *r)
{
    struct sm_json_text text;
    r->parent_id = 0;
    if (!sm_json_string(&r->j, &text) || is_absent_id(&text))
        return;
    if (text.len != 16 || sm_span_id_parse(sm_str(text.ptr, text.len), &r->parent_id) != SM_OK)
        sm_build_refuse(&r->b, SM_REJECT_PARENT_ID);
}

static void read_trace_state(struct reader *r)
{
    if (read_text_field(r, SM_OTLP_TRACE_STATE).size)
        r->b.head->flags |= SM_SPAN_TRACESTATE;
}

static void read_kind(struct reader *r)
{
    static const char *const names[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                        "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
    r->kind = read_enum(r, names, SM_ARRAY_LEN(names));
}

static void read_flags(struct reader *r)
{
    uint32_t flags = (uint32_t)read_uint(r, UINT32_MAX);
    if (!flags || !room(r, 16))
        return;
    r->b.p = sm_pb_put_fixed32(r->b.p, SM_OTLP_FLAGS, flags);
    if (flags & 0x2)
        r->b.head->flags |= SM_SPAN_W3C_RANDOM;
    if (flags & 0x100)
        r->b.head->flags |= flags & 0x200 ? SM_SPAN_REMOTE_PARENT : SM_SPAN_LOCAL_PARENT;
}

/* By the length of the name first. */
static bool read_span_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    switch (key->len) {
    case 4:
        if (sm_json_is(key, "name"))
            r->name = read_text_field(r, SM_OTLP_NAME);
        else if (sm_json_is(key, "kind"))
            read_kind(r);
        else
            return false;
        return true;
    case 5:
        if (sm_json_is(key, "links"))
            read_messages(r, SM_OTLP_LINKS, SM_SPAN_LINKS, read_link_member);
        else if (sm_json_is(key, "flags"))
            read_flags(r);
        else
            return false;
        return true;
    case 6:
        if (sm_json_is(key, "spanId"))
            read_span_id(r);
        else if (sm_json_is(key, "events"))
            read_messages(r, SM_OTLP_EVENTS, SM_SPAN_EVENTS, read_event_member);
        else if (sm_json_is(key, "status"))
            read_message(r, SM_OTLP_STATUS, read_status_member);
        else
            return false;
        return true;
    case 10:
        if (sm_json_is(key, "attributes"))
            read_span_attributes(r);
        else if (sm_json_is(key, "traceState"))
            read_trace_state(r);
        else
            return false;
        return true;
    case 17:
        if (sm_json_is(key, "startTimeUnixNano"))
            r->start_ns = read_uint(r, UINT64_MAX);
        else if (sm_json_is(key, "droppedLinksCount"))
            put_uint_field(r, SM_OTLP_DROPPED_LINKS, read_uint(r, UINT32_MAX));
        else
            return false;
        return true;
    default:
        break;
    }
    if (sm_json_is(key, "traceId"))
        read_trace_id(r);
    else if (sm_json_is(key, "parentSpanId"))
        read_parent_id(r);
    else if (sm_json_is(key, "endTimeUnixNano"))
        r->end_ns = read_uint(r, UINT64_MAX);
    else if (sm_json_is(key, "droppedEventsCount"))
        put_uint_field(r, SM_OTLP_DROPPED_EVENTS, read_uint(r, UINT32_MAX));
    else if (sm_json_is(key, "droppedAttributesCount"))
        put_uint_field(r, SM_OTLP_DROPPED_ATTRIBUTES, read_uint(r, UINT32_MAX));
    else
        return false;
    return true;
}

static void read_span(struct reader *r)
{
    struct sm_build *b = &r->b;
    size_t from = offsetof(struct reader, trace);
    memset((uint8_t *)r + from, 0, sizeof *r - from);
    if (!sm_build_span(b)) {
        (void)fail(r, "out of memory");
        return;
    }
    read_object(r, read_span_member, NULL);
    if (r->j.error)
        return;
    if ((r->trace.hi | r->trace.lo) == 0)
        sm_build_refuse(b, SM_REJECT_TRACE_ID);
    if (r->id == 0)
        sm_build_refuse(b, SM_REJECT_SPAN_ID);
    sm_build_front(b, r->trace, r->id, r->parent_id, (enum sm_kind)r->kind, r->start_ns, r->end_ns);
    b->head->kind_status |= (uint8_t)(r->status << 4);
    if (r->status == SM_STATUS_ERROR)
        b->head->flags |= SM_SPAN_ERROR;
    if (r->end_ns == 0)
        b->head->flags |= SM_SPAN_NO_DURATION;
    if (SM_LIKELY(b->reject == SM_REJECT_COUNT))
        sm_build_name(b, r->name.at, r->name.size);
    sm_build_commit(b, r->trace);
}

/* What spans belong to */

static bool read_resource_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    if (sm_json_is(key, "attributes"))
        read_attributes(r, 1, 1);
    else if (sm_json_is(key, "droppedAttributesCount"))
        put_uint_field(r, 2, read_uint(r, UINT32_MAX));
    else
        return false;
    return true;
}

static bool read_scope_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    if (sm_json_is(key, "name"))
        (void)read_text_field(r, 1);
    else if (sm_json_is(key, "version"))
        (void)read_text_field(r, 2);
    else if (sm_json_is(key, "attributes"))
        read_attributes(r, 3, 1);
    else if (sm_json_is(key, "droppedAttributesCount"))
        put_uint_field(r, 4, read_uint(r, UINT32_MAX));
    else
        return false;
    return true;
}

/* The message's content into the arena, between spans. *reject says why it cannot be used. */
static struct range read_head(struct reader *r, member_reader *member, uint32_t *reject)
{
    r->b.reject = SM_REJECT_COUNT;
    size_t at = sm_build_offset(&r->b);
    read_object(r, member, NULL);
    *reject = r->b.reject;
    return (struct range){(uint32_t)at, (uint32_t)(sm_build_offset(&r->b) - at)};
}

static struct range read_schema_url(struct reader *r)
{
    r->b.reject = SM_REJECT_COUNT;
    return read_text_field(r, 1);
}

static void read_spans(struct reader *r)
{
    const struct sm_batch *batch = r->b.batch;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        if (batch->count + batch->rejected_total >= r->b.d->limits.spans_max) {
            r->too_many = true;
            (void)fail(r, "too many spans");
            return;
        }
        read_span(r);
    }
}

static bool read_scope_spans_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct group *g = ctx;
    if (sm_json_is(key, "spans"))
        read_spans(r);
    else if (sm_json_is(key, "scope") || sm_json_is(key, "instrumentationLibrary"))
        g->scope = read_head(r, read_scope_member, &g->reject);
    else if (sm_json_is(key, "schemaUrl"))
        g->schema_url = read_schema_url(r);
    else
        return false;
    return true;
}

static void read_scope_spans(struct reader *r)
{
    struct group g = {.first = r->b.batch->count, .reject = SM_REJECT_COUNT, .previous = r->last_group};
    read_object(r, read_scope_spans_member, &g);
    g.count = r->b.batch->count - g.first;
    if (g.count == 0 || !room(r, sizeof g + 1))
        return;
    r->b.p++; /* so that no offset is NO_GROUP */
    r->last_group = (uint32_t)sm_build_offset(&r->b);
    memcpy(r->b.p, &g, sizeof g);
    r->b.p += sizeof g;
}

struct resource_spans {
    struct range resource, schema_url;
    uint32_t reject;
};

static bool read_resource_spans_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    struct resource_spans *rs = ctx;
    if (sm_json_is(key, "scopeSpans") || sm_json_is(key, "instrumentationLibrarySpans")) {
        for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
            read_scope_spans(r);
    } else if (sm_json_is(key, "resource")) {
        rs->resource = read_head(r, read_resource_member, &rs->reject);
    } else if (sm_json_is(key, "schemaUrl")) {
        rs->schema_url = read_schema_url(r);
    } else {
        return false;
    }
    return true;
}

static struct sm_str text_of(const struct reader *r, struct range range)
{
    return range.size ? sm_str(r->b.arena->data + range.at, range.size) : (struct sm_str){"", 0};
}

/* Takes a group's spans back out of the batch. */
static void refuse_group(struct sm_batch *batch, const struct group *g, enum sm_reject reason)
{
    uint32_t behind = g->first + g->count;
    memmove(batch->items + g->first, batch->items + behind, (batch->count - behind) * sizeof *batch->items);
    batch->count -= g->count;
    for (uint32_t i = 0; i < g->count; i++)
        sm_batch_reject(batch, reason, sm_build_reject_text(reason));
}

static void close_group(struct reader *r, const struct group *g, const struct sm_resource *resource, enum sm_reject reject)
{
    struct sm_batch *batch = r->b.batch;
    if (g->reject != SM_REJECT_COUNT)
        reject = (enum sm_reject)g->reject;
    if (reject != SM_REJECT_COUNT) {
        refuse_group(batch, g, reject);
        return;
    }
    const struct sm_scope *scope =
        resource ? sm_scopes_cache_scope(r->b.d->scopes, resource, text_of(r, g->scope), text_of(r, g->schema_url), batch->epoch)
                 : NULL;
    if (!scope) {
        refuse_group(batch, g, SM_REJECT_SCOPES_FULL);
        return;
    }
    for (uint32_t i = g->first; i < g->first + g->count; i++)
        sm_batch_span(batch, i)->scope_id = scope->id;
}

static void read_resource_spans(struct reader *r)
{
    struct resource_spans rs = {.reject = SM_REJECT_COUNT};
    r->last_group = NO_GROUP;
    read_object(r, read_resource_spans_member, &rs);
    if (r->j.error || r->last_group == NO_GROUP)
        return;
    const struct sm_resource *resource = NULL;
    if (rs.reject == SM_REJECT_COUNT)
        resource = sm_scopes_cache_resource(r->b.d->scopes, text_of(r, rs.resource), text_of(r, rs.schema_url), r->b.batch->epoch);
    /* from the last to the first, so that taking one out leaves the positions of those to come */
    for (uint32_t at = r->last_group; at != NO_GROUP;) {
        struct group g;
        memcpy(&g, r->b.arena->data + at, sizeof g);
        close_group(r, &g, resource, (enum sm_reject)rs.reject);
        at = g.previous;
    }
}

static bool read_document_member(struct reader *r, const struct sm_json_text *key, void *ctx)
{
    (void)ctx;
    if (!sm_json_is(key, "resourceSpans"))
        return false;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read_resource_spans(r);
    return true;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r;
    struct sm_err why;
    r.j = sm_json_reader(payload->data, payload->size, READER_DEPTH);
    r.too_many = false;
    if (sm_build_open(&r.b, d, batch, payload->size) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    read_object(&r, read_document_member, NULL);
    enum sm_rc rc = sm_json_end(&r.j, &why);
    if (rc == SM_OK) {
        sm_build_close(&r.b);
        return SM_OK;
    }
    sm_batch_clear(batch);
    if (r.b.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    return r.too_many ? sm_err_set(err, SM_E_LIMIT, "more than %u spans in one request", d->limits.spans_max)
                : sm_err_set(err, rc, "the body is not a valid ExportTraceServiceRequest: %s", why.text);
}

const struct sm_codec sm_codec_otlp_json = {
    .name = "otlp_json",
    .decode = decode,
    .encode = sm_codec_otlp_json_encode,
};
