/* Zipkin v2 protobuf: ListOfSpans (zipkin-api zipkin.proto), decoded into canonical spans.
 *
 * One walk over the bytes. Broken framing, a missing or bad id and a bad port refuse the list, as zipkin2 does.
 * Annotations without time or text are left out, as zipkin2 does.
 *
 * Envoy writes span and parent ids in this format with their bytes reversed. Its root spans show it: their id is
 * the byte-reversed low half of the trace id, and so is the parent of the root's children. See is_reversed. */
#include "base/pb.h"
#include "base/text.h"
#include "span/codec/zipkin.h"

/* zipkin.proto3.Span */
enum span_field {
    TRACE_ID = 1,
    PARENT_ID = 2,
    ID = 3,
    KIND = 4,
    NAME = 5,
    TIMESTAMP = 6,
    DURATION = 7,
    LOCAL_ENDPOINT = 8,
    REMOTE_ENDPOINT = 9,
    ANNOTATIONS = 10,
    TAGS = 11,
    DEBUG_FLAG = 12,
    SHARED = 13,
};

/* What the spans of one service in one payload tell about the byte order of its ids. */
enum sign {
    SIGN_REVERSED = 1, /* an id is the byte-reversed low half of its trace id */
    SIGN_RIGHT = 2,    /* an id is the low half itself */
};

enum { ENVOY_COMPONENT = 1, ENVOY_NODE = 2 };

enum { SERVICES_MAX = 16 }; /* services of one payload that are judged; an Envoy has one */

struct reader {
    struct sm_zipkin_in z;
    struct {
        uint32_t scope_id;
        uint32_t signs;
    } services[SERVICES_MAX];
    uint32_t services_n;
    uint32_t first_scope;
    bool one_envoy;     /* all spans so far are of one service and have the tags that Envoy writes on every span */
    uint8_t envoy_tags; /* of this span: ENVOY_* */
    const char *error;  /* static text; NULL while all is well */
};

static bool fail(struct reader *r, const char *text)
{
    if (!r->error)
        r->error = text;
    return false;
}

static bool malformed(struct reader *r)
{
    return fail(r, "Malformed");
}

static bool out_of_memory(struct reader *r)
{
    return fail(r, "out of memory");
}

SM_INLINE bool is_valid(struct sm_str text)
{
    return sm_text_valid((const uint8_t *)text.ptr, text.len);
}

/* False when memory is exhausted. */
SM_INLINE bool make_valid(struct reader *r, struct sm_str *key, struct sm_str *value)
{
    return SM_LIKELY(is_valid(*key) && is_valid(*value)) || sm_zipkin_repair(&r->z, key, value) || out_of_memory(r);
}

SM_INLINE bool make_text_valid(struct reader *r, struct sm_str *text)
{
    struct sm_str none = {"", 0};
    return SM_LIKELY(is_valid(*text)) || sm_zipkin_repair(&r->z, text, &none) || out_of_memory(r);
}

/* Up to 8 bytes, big endian. */
static uint64_t read_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

static bool read_trace_id(struct reader *r, const uint8_t *p, size_t n)
{
    if (SM_LIKELY(n == 16))
        r->z.trace = (struct sm_trace_id){sm_load_be64(p), sm_load_be64(p + 8)};
    else if (n <= 8)
        r->z.trace = (struct sm_trace_id){0, read_be(p, n)};
    else if (n < 16)
        r->z.trace = (struct sm_trace_id){read_be(p, n - 8), sm_load_be64(p + n - 8)};
    else
        return fail(r, "traceId.length > 32");
    if ((r->z.trace.hi | r->z.trace.lo) == 0 && n)
        return fail(r, "traceId is all zeros");
    return true;
}

static bool read_id(struct reader *r, const uint8_t *p, size_t n)
{
    if (n > 8)
        return fail(r, "id.length > 16");
    r->z.id = SM_LIKELY(n == 8) ? sm_load_be64(p) : read_be(p, n);
    return r->z.id || n == 0 || fail(r, "id is all zeros");
}

static bool read_parent_id(struct reader *r, const uint8_t *p, size_t n)
{
    if (n > 8)
        return fail(r, "parentId.length > 16");
    r->z.parent_id = SM_LIKELY(n == 8) ? sm_load_be64(p) : read_be(p, n);
    return true;
}

static bool read_kind(struct reader *r, uint64_t value)
{
    static const uint8_t kinds[] = {SM_KIND_UNSPECIFIED, SM_KIND_CLIENT, SM_KIND_SERVER, SM_KIND_PRODUCER,
                                    SM_KIND_CONSUMER};
    /* Enumerations are open in proto3: a value of tomorrow is no kind, not an error. */
    r->z.kind = value < SM_ARRAY_LEN(kinds) ? (enum sm_kind)kinds[value] : SM_KIND_UNSPECIFIED;
    return true;
}

/* Endpoint{service_name=1, ipv4=2, ipv6=3, port=4}. */
static bool read_endpoint(struct reader *r, const uint8_t *p, size_t n, bool local)
{
    struct sm_zipkin_address *address = local ? &r->z.local : &r->z.remote;
    const uint8_t *end = p + n;
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1 && f.wire == SM_PB_BYTES) {
            struct sm_str service = sm_str(f.bytes, f.size);
            if (!make_text_valid(r, &service))
                return false;
            if (local)
                sm_zipkin_local_service(&r->z, service);
            else
                sm_zipkin_remote_service(&r->z, service);
        } else if ((f.number == 2 || f.number == 3) && f.wire == SM_PB_BYTES) {
            (void)sm_zipkin_address_take(address, f.bytes, f.size);
        } else if (f.number == 4 && f.wire == SM_PB_VARINT) {
            if ((int32_t)f.value > UINT16_MAX)
                return fail(r, "Invalid port");
            address->port = (int32_t)f.value > 0 ? (uint16_t)f.value : 0;
        } else if (f.number <= 4) {
            return malformed(r);
        }
    }
    return p == end || malformed(r);
}

/* Annotation{timestamp=1, value=2}. */
static bool read_annotation(struct reader *r, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    struct sm_pb_field f;
    struct sm_str value = {"", 0};
    uint64_t timestamp_us = 0;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 1 && f.wire == SM_PB_FIXED64)
            timestamp_us = f.value;
        else if (f.number == 2 && f.wire == SM_PB_BYTES)
            value = sm_str(f.bytes, f.size);
        else if (f.number <= 2)
            return malformed(r);
    }
    if (p != end)
        return malformed(r);
    if (timestamp_us == 0 || value.len == 0)
        return true;
    return make_text_valid(r, &value) && (sm_zipkin_annotation(&r->z, timestamp_us, value) || out_of_memory(r));
}

SM_INLINE void note_envoy(struct reader *r, const uint8_t *key, size_t key_size, const uint8_t *value,
                          size_t value_size)
{
    if (SM_UNLIKELY(key_size == 9) && memcmp(key, "component", 9) == 0)
        r->envoy_tags |= value_size == 5 && memcmp(value, "proxy", 5) == 0 ? ENVOY_COMPONENT : 0;
    else if (SM_UNLIKELY(key_size == 7) && memcmp(key, "node_id", 7) == 0)
        r->envoy_tags |= ENVOY_NODE;
}

static bool put_tag(struct reader *r, struct sm_str key, struct sm_str value)
{
    note_envoy(r, (const uint8_t *)key.ptr, key.len, (const uint8_t *)value.ptr, value.len);
    return SM_LIKELY(sm_zipkin_tag(&r->z, key, value)) || out_of_memory(r);
}

/* A map entry {key=1, value=2} in any legal shape. One without a key is no tag. */
static bool read_tag_general(struct reader *r, const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    struct sm_str key = sm_str(p, 0), value = key; /* readable behind their ends */
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number > 2)
            continue;
        if (f.wire != SM_PB_BYTES)
            return malformed(r);
        if (f.number == 1)
            key = sm_str(f.bytes, f.size);
        else
            value = sm_str(f.bytes, f.size);
    }
    if (p != end)
        return malformed(r);
    return key.len == 0 || (make_valid(r, &key, &value) && put_tag(r, key, value));
}

/* The common shape: 0x0a keylen key 0x12 valuelen value, lengths of one byte. */
SM_INLINE bool read_tag(struct reader *r, const uint8_t *p, size_t n)
{
    if (SM_UNLIKELY(n < 5 || p[0] != SM_PB_TAG(1, SM_PB_BYTES) || p[1] >= 0x80 || p[1] == 0 || (size_t)p[1] + 4 > n))
        return read_tag_general(r, p, n);
    size_t key_size = p[1];
    const uint8_t *at = p + 2 + key_size;
    if (SM_UNLIKELY(at[0] != SM_PB_TAG(2, SM_PB_BYTES) || at[1] >= 0x80 || at + 2 + at[1] != p + n))
        return read_tag_general(r, p, n);
    struct sm_str key = sm_str(p + 2, key_size), value = sm_str(at + 2, at[1]);
    if (SM_UNLIKELY(!sm_text_ascii(p, n)) && !make_valid(r, &key, &value)) /* tags and lengths are below 0x80 */
        return false;
    return put_tag(r, key, value);
}

static bool read_name(struct reader *r, const uint8_t *p, size_t n)
{
    struct sm_str name = sm_str(p, n);
    return make_text_valid(r, &name) && (sm_zipkin_name(&r->z, name) || out_of_memory(r));
}

/* Fields with a length. */
SM_INLINE bool read_bytes_field(struct reader *r, uint32_t number, const uint8_t *p, size_t n)
{
    switch (number) {
    case TAGS:
        return read_tag(r, p, n);
    case TRACE_ID:
        return read_trace_id(r, p, n);
    case PARENT_ID:
        return read_parent_id(r, p, n);
    case ID:
        return read_id(r, p, n);
    case NAME:
        return read_name(r, p, n);
    case LOCAL_ENDPOINT:
        return read_endpoint(r, p, n, true);
    case REMOTE_ENDPOINT:
        return read_endpoint(r, p, n, false);
    case ANNOTATIONS:
        return read_annotation(r, p, n);
    case KIND:
    case TIMESTAMP:
    case DURATION:
    case DEBUG_FLAG:
    case SHARED:
        return malformed(r); /* a known field of another wire type */
    default:
        return true;
    }
}

/* Fields without a length. Times beyond the signed range are negative to zipkin2: absent. */
static bool read_number_field(struct reader *r, const struct sm_pb_field *f)
{
    uint64_t positive = (int64_t)f->value > 0 ? f->value : 0;
    switch (f->number) {
    case TIMESTAMP:
        r->z.timestamp_us = positive;
        return f->wire == SM_PB_FIXED64 || malformed(r);
    case DURATION:
        r->z.duration_us = positive;
        return f->wire == SM_PB_VARINT || malformed(r);
    case KIND:
        return f->wire == SM_PB_VARINT ? read_kind(r, f->value) : malformed(r);
    case DEBUG_FLAG:
        r->z.debug = f->value;
        return f->wire == SM_PB_VARINT || malformed(r);
    case SHARED:
        r->z.shared = f->value;
        return f->wire == SM_PB_VARINT || malformed(r);
    default:
        return f->number > SHARED || malformed(r);
    }
}

static bool read_fields(struct reader *r, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        /* One-byte tag and length: nearly every field. */
        if (SM_LIKELY((*p & 0x87) == SM_PB_BYTES && end - p >= 2 && p[1] < 0x80)) {
            size_t n = p[1];
            if (n > (size_t)(end - p - 2) || *p >> 3 == 0)
                return fail(r, "Truncated");
            if (!read_bytes_field(r, *p >> 3, p + 2, n))
                return false;
            p += 2 + n;
            continue;
        }
        struct sm_pb_field f;
        if (!sm_pb_next(&p, end, &f))
            return malformed(r);
        if (!(f.wire == SM_PB_BYTES ? read_bytes_field(r, f.number, f.bytes, f.size) : read_number_field(r, &f)))
            return false;
    }
    return true;
}

/* What the ids of a span say about their byte order: the root of an Envoy trace has the low half of the trace id
 * for its id. */
static uint32_t signs_of(struct sm_trace_id trace, uint64_t id, uint64_t parent_id)
{
    uint64_t root = parent_id ? parent_id : id, reversed = __builtin_bswap64(trace.lo);
    if (trace.lo == reversed)
        return 0;
    return (root == reversed ? SIGN_REVERSED : 0) | (root == trace.lo ? SIGN_RIGHT : 0);
}

static uint32_t find_signs(const struct reader *r, uint32_t scope_id)
{
    for (uint32_t i = 0; i < r->services_n; i++) {
        if (r->services[i].scope_id == scope_id)
            return r->services[i].signs;
    }
    return 0;
}

static void add_signs(struct reader *r, uint32_t scope_id, uint32_t signs)
{
    uint32_t i = 0;
    while (i < r->services_n && r->services[i].scope_id != scope_id)
        i++;
    if (i == SERVICES_MAX)
        return;
    if (i == r->services_n) {
        r->services[i].scope_id = scope_id;
        r->services[i].signs = 0;
        r->services_n++;
    }
    r->services[i].signs |= signs;
}

static void note_signs(struct reader *r, const struct sm_batch *batch)
{
    uint32_t signs = signs_of(r->z.trace, r->z.id, r->z.parent_id);
    if (SM_UNLIKELY(signs))
        add_signs(r, r->z.scope_id, signs);
    if (batch->count == 1)
        r->first_scope = r->z.scope_id;
    r->one_envoy &= r->envoy_tags == (ENVOY_COMPONENT | ENVOY_NODE) && r->first_scope == r->z.scope_id;
}

static bool read_span(struct reader *r, const struct sm_batch *batch, const uint8_t *p, size_t n)
{
    if (!sm_zipkin_begin(&r->z))
        return out_of_memory(r);
    r->envoy_tags = 0;
    if (!read_fields(r, p, p + n))
        return false;
    if ((r->z.trace.hi | r->z.trace.lo) == 0 || r->z.id == 0)
        return fail(r, r->z.id ? "Missing : traceId" : (r->z.trace.hi | r->z.trace.lo) ? "Missing : id" : "Missing : traceId id");
    if (!sm_zipkin_commit(&r->z, SM_ORIGIN_ZIPKIN_V2))
        return out_of_memory(r);
    note_signs(r, batch);
    return true;
}

/* Are the ids of this span reversed? One span that shows it convicts the spans of the same service in the same
 * body; between signs of both orders each span is judged alone. A body without signs, as the proxies behind the
 * second one send them, is convicted if it holds the spans of one Envoy and nothing else: every Envoy that writes
 * this format writes it so. */
static bool is_reversed(const struct reader *r, const struct sm_batch *batch, uint32_t i)
{
    const struct sm_span *s = sm_batch_span(batch, i);
    uint32_t signs = find_signs(r, s->scope_id);
    if (signs & SIGN_RIGHT)
        return signs_of(batch->items[i].trace, s->span_id, s->parent_id) == SIGN_REVERSED;
    return signs || r->one_envoy;
}

static void repair_ids(const struct reader *r, struct sm_batch *batch)
{
    if (SM_LIKELY(r->services_n == 0 && !r->one_envoy) || !r->z.build.d->limits.repair_ids)
        return;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct sm_span *s = sm_batch_span(batch, i);
        if (!is_reversed(r, batch, i))
            continue;
        sm_build_set_ids(batch, i, __builtin_bswap64(s->span_id), __builtin_bswap64(s->parent_id));
        batch->repaired++;
    }
}

static enum sm_rc read_list(struct reader *r, struct sm_batch *batch, const uint8_t *p, size_t size, struct sm_err *err)
{
    const uint8_t *end = p + size;
    uint32_t spans_max = r->z.build.d->limits.spans_max;
    struct sm_pb_field f;
    while (!r->error && sm_pb_next(&p, end, &f)) {
        if (f.number != 1)
            continue;
        if (f.wire != SM_PB_BYTES)
            (void)malformed(r);
        else if (batch->count + batch->rejected_total == spans_max)
            return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one list", spans_max);
        else
            (void)read_span(r, batch, f.bytes, f.size);
    }
    if (r->z.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (!r->error && p != end)
        (void)fail(r, "Truncated");
    return r->error ? sm_err_set(err, SM_E_INVALID, "%s reading List<Span> from proto3", r->error) : SM_OK;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r;
    r.services_n = 0;
    r.one_envoy = true;
    r.error = NULL;
    if (sm_zipkin_open(&r.z, d, batch, payload->size + payload->size / 2) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    enum sm_rc rc = read_list(&r, batch, payload->data, payload->size, err);
    if (rc == SM_OK) {
        sm_zipkin_close(&r.z);
        repair_ids(&r, batch);
    } else {
        sm_batch_clear(batch);
    }
    return rc;
}

const struct sm_codec sm_codec_zipkin_proto = {
    .name = "zipkin_proto",
    .decode = decode,
};
