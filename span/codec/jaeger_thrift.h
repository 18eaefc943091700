/* Jaeger's thrift structs (jaeger-idl, thrift/jaeger.thrift), read by either protocol: jaeger_binary.c and jaeger_compact.c define
 *
 *     THRIFT         the reader's struct, sm_thrift_reader or sm_thrift_compact
 *     THRIFT_(verb)  its functions
 *     READ_ZIPKIN    sm_zipkin_v1_read_binary or sm_zipkin_v1_read_compact
 *
 * and include this file. Rules of thrift's generated code: fields in any order, the last of two counts, a field of another type
 * than it should have is skipped, a required field that is missing refuses the payload. */
#ifndef SM_JAEGER_THRIFT_H
#define SM_JAEGER_THRIFT_H

#include "span/codec/jaeger.h"
#include "span/codec/zipkin_v1.h"

enum { REFERENCES_KEPT = 4 };

struct reader {
    struct THRIFT t;
    struct sm_jaeger_in j;
    struct sm_jaeger_reference references[REFERENCES_KEPT]; /* of the span, unless there are more */
    uint32_t references_n;
    struct sm_batch *batch;
    bool too_many;
};

/* A field's id and type as one number to switch by. */
#define FIELD(id, type) ((uint32_t)(uint16_t)(id) << 8 | (type))
#define SEEN(id)        (1u << (id))

/* The next field; false at malformed input, and at the struct's end, where *end is set. */
SM_INLINE bool next_field(struct reader *r, int16_t *id, uint32_t *field, bool *end)
{
    uint8_t type;
    if (!THRIFT_(field)(&r->t, &type, id))
        return false;
    *end = type == SM_THRIFT_STOP;
    *field = FIELD(*id, type);
    return !*end;
}

/* ---- tags ---- */

/* The values that a Tag has members for; vType says which of them counts. */
struct tag_values {
    struct sm_str text, binary;
    int32_t type;
    bool b;
    int64_t i;
    double d;
};

static void choose_value(struct sm_jaeger_tag *tag, const struct tag_values *v)
{
    static const uint8_t unknown[32] = "unknown type"; /* texts are read for 16 bytes */
    switch (v->type) {
    case 0:
        tag->type = SM_JAEGER_STRING;
        tag->text = v->text;
        break;
    case 1:
        tag->type = SM_JAEGER_DOUBLE;
        tag->d = v->d;
        break;
    case 2:
        tag->type = SM_JAEGER_BOOL;
        tag->b = v->b;
        break;
    case 3:
        tag->type = SM_JAEGER_INT;
        tag->i = v->i;
        break;
    case 4:
        tag->type = SM_JAEGER_BINARY;
        tag->text = v->binary;
        break;
    default:
        tag->type = SM_JAEGER_STRING;
        tag->text = sm_str(unknown, 12);
    }
}

/* A tag as clients write it: key, type, value. False, and nothing is consumed, for any other. */
SM_INLINE bool read_usual_tag(struct reader *r, struct sm_jaeger_tag *tag)
{
    struct THRIFT t = r->t;
    int32_t type;
    bool ok = false;
    if (!THRIFT_(expect)(&t, 0, 1, SM_THRIFT_STRING) || !THRIFT_(bytes)(&t, &tag->key) ||
        !THRIFT_(expect)(&t, 1, 2, SM_THRIFT_I32) || !THRIFT_(i32)(&t, &type))
        return false;
    if (SM_LIKELY(type == 0)) {
        tag->type = SM_JAEGER_STRING;
        ok = THRIFT_(expect)(&t, 2, 3, SM_THRIFT_STRING) && THRIFT_(bytes)(&t, &tag->text);
    } else if (type == 3) {
        tag->type = SM_JAEGER_INT;
        ok = THRIFT_(expect)(&t, 2, 6, SM_THRIFT_I64) && THRIFT_(i64)(&t, &tag->i);
    } else if (type == 2) {
        tag->type = SM_JAEGER_BOOL;
        ok = THRIFT_(expect)(&t, 2, 5, SM_THRIFT_BOOL) && THRIFT_(bool)(&t, &tag->b);
    }
    if (!ok || !THRIFT_(expect_stop)(&t))
        return false;
    r->t = t;
    return true;
}

static bool read_any_tag(struct reader *r, struct sm_jaeger_tag *tag)
{
    static const uint8_t none[16]; /* texts are read for 16 bytes */
    struct tag_values v = {.text = sm_str(none, 0), .binary = sm_str(none, 0)};
    uint32_t field, seen = 0;
    int16_t id = 0;
    bool end = false, ok = true;
    while (ok && next_field(r, &id, &field, &end)) {
        switch (field) {
        case FIELD(1, SM_THRIFT_STRING):
            ok = THRIFT_(bytes)(&r->t, &tag->key);
            seen |= SEEN(1);
            break;
        case FIELD(2, SM_THRIFT_I32):
            ok = THRIFT_(i32)(&r->t, &v.type);
            seen |= SEEN(2);
            break;
        case FIELD(3, SM_THRIFT_STRING):
            ok = THRIFT_(bytes)(&r->t, &v.text);
            break;
        case FIELD(4, SM_THRIFT_DOUBLE):
            ok = THRIFT_(double)(&r->t, &v.d);
            break;
        case FIELD(5, SM_THRIFT_BOOL):
            ok = THRIFT_(bool)(&r->t, &v.b);
            break;
        case FIELD(6, SM_THRIFT_I64):
            ok = THRIFT_(i64)(&r->t, &v.i);
            break;
        case FIELD(7, SM_THRIFT_STRING):
            ok = THRIFT_(bytes)(&r->t, &v.binary);
            break;
        default:
            ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
        }
    }
    if (!end || seen != (SEEN(1) | SEEN(2)))
        return false;
    choose_value(tag, &v);
    return true;
}

/* The header of a list of structs. */
SM_INLINE bool list_of_structs(struct reader *r, uint32_t *count)
{
    uint8_t type;
    return THRIFT_(list)(&r->t, &type, count) && (type == SM_THRIFT_STRUCT || *count == 0);
}

SM_INLINE bool read_tags(struct reader *r, bool (*put)(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag))
{
    struct sm_jaeger_tag tag;
    uint32_t count;
    if (!list_of_structs(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (SM_UNLIKELY(!read_usual_tag(r, &tag)) && !read_any_tag(r, &tag))
            return false;
        if (!put(&r->j, &tag))
            return false;
    }
    return true;
}

/* ---- processes ---- */

static bool read_process(struct reader *r)
{
    static const uint8_t none[16];
    struct sm_str service = sm_str(none, 0);
    const uint8_t *tags_at = NULL;
    uint32_t field, seen = 0;
    int16_t id = 0;
    bool end = false, ok = true;
    while (ok && next_field(r, &id, &field, &end)) {
        if (field == FIELD(1, SM_THRIFT_STRING)) {
            ok = THRIFT_(bytes)(&r->t, &service);
            seen |= SEEN(1);
            continue;
        }
        if (field == FIELD(2, SM_THRIFT_LIST))
            tags_at = r->t.p;
        ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
    }
    if (!end || seen != SEEN(1) || !sm_jaeger_process_begin(&r->j, service))
        return false;
    const uint8_t *behind = r->t.p;
    r->t.p = tags_at;
    ok = !tags_at || read_tags(r, sm_jaeger_process_tag);
    r->t.p = behind;
    sm_jaeger_process_end(&r->j);
    return ok;
}

/* ---- logs and references ---- */

static bool read_log(struct reader *r)
{
    uint32_t field, seen = 0;
    uint64_t time_ns = 0;
    int64_t us;
    size_t at;
    int16_t id = 0;
    bool end = false, ok = sm_jaeger_log_begin(&r->j, &at);
    while (ok && next_field(r, &id, &field, &end)) {
        switch (field) {
        case FIELD(1, SM_THRIFT_I64):
            ok = THRIFT_(i64)(&r->t, &us);
            time_ns = ok ? sm_jaeger_time_ns(&r->j, us) : 0;
            seen |= SEEN(1);
            break;
        case FIELD(2, SM_THRIFT_LIST):
            ok = read_tags(r, sm_jaeger_log_field);
            seen |= SEEN(2);
            break;
        default:
            ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
        }
    }
    return end && seen == (SEEN(1) | SEEN(2)) && sm_jaeger_log_end(&r->j, at, time_ns);
}

static bool read_logs(struct reader *r)
{
    uint32_t count;
    if (!list_of_structs(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_log(r))
            return false;
    }
    return true;
}

static struct sm_jaeger_reference reference_of(int32_t type, int64_t low, int64_t high, int64_t id)
{
    return (struct sm_jaeger_reference){
        .type = type == 0 ? SM_JAEGER_CHILD_OF : SM_JAEGER_FOLLOWS_FROM,
        .trace = {(uint64_t)high, (uint64_t)low},
        .id = (uint64_t)id,
    };
}

/* All fields in their order. False, and nothing is consumed, for any other form. */
SM_INLINE bool read_usual_reference(struct reader *r, struct sm_jaeger_reference *ref)
{
    struct THRIFT t = r->t;
    int32_t type;
    int64_t low, high, id;
    if (!THRIFT_(expect)(&t, 0, 1, SM_THRIFT_I32) || !THRIFT_(i32)(&t, &type) ||
        !THRIFT_(expect)(&t, 1, 2, SM_THRIFT_I64) || !THRIFT_(i64)(&t, &low) ||
        !THRIFT_(expect)(&t, 2, 3, SM_THRIFT_I64) || !THRIFT_(i64)(&t, &high) ||
        !THRIFT_(expect)(&t, 3, 4, SM_THRIFT_I64) || !THRIFT_(i64)(&t, &id) || !THRIFT_(expect_stop)(&t))
        return false;
    *ref = reference_of(type, low, high, id);
    r->t = t;
    return true;
}

static bool read_reference(struct reader *r, struct sm_jaeger_reference *ref)
{
    uint32_t field, seen = 0;
    int32_t type = 0;
    int64_t v[5] = {0};
    int16_t id = 0;
    if (SM_LIKELY(read_usual_reference(r, ref)))
        return true;
    bool end = false, ok = true;
    while (ok && next_field(r, &id, &field, &end)) {
        switch (field) {
        case FIELD(1, SM_THRIFT_I32):
            ok = THRIFT_(i32)(&r->t, &type);
            seen |= SEEN(1);
            break;
        case FIELD(2, SM_THRIFT_I64):
        case FIELD(3, SM_THRIFT_I64):
        case FIELD(4, SM_THRIFT_I64):
            ok = THRIFT_(i64)(&r->t, &v[id]);
            seen |= SEEN(id);
            break;
        default:
            ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
        }
    }
    *ref = reference_of(type, v[2], v[3], v[4]);
    return end && seen == (SEEN(1) | SEEN(2) | SEEN(3) | SEEN(4));
}

/* References are understood once the span's ids are known: few are kept, a long list is only checked and read again then. */
static bool take_references(struct reader *r, const uint8_t **long_list)
{
    struct sm_jaeger_reference ref;
    uint32_t count;
    *long_list = r->t.p;
    if (!list_of_structs(r, &count))
        return false;
    r->references_n = 0;
    if (count <= REFERENCES_KEPT)
        *long_list = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_reference(r, &ref))
            return false;
        if (!*long_list)
            r->references[r->references_n++] = ref;
    }
    return true;
}

static bool put_kept_references(struct reader *r)
{
    for (uint32_t i = 0; i < r->references_n; i++)
        sm_jaeger_refer(&r->j, &r->references[i]);
    if (!sm_jaeger_referred(&r->j))
        return false;
    for (uint32_t i = 0; i < r->references_n; i++) {
        if (!sm_jaeger_link(&r->j, &r->references[i]))
            return false;
    }
    return true;
}

static bool read_references(struct reader *r, bool link)
{
    struct sm_jaeger_reference ref;
    uint32_t count;
    if (!list_of_structs(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_reference(r, &ref))
            return false;
        if (!link)
            sm_jaeger_refer(&r->j, &ref);
        else if (!sm_jaeger_link(&r->j, &ref))
            return false;
    }
    return true;
}

static bool put_references(struct reader *r, const uint8_t *long_list)
{
    const uint8_t *behind = r->t.p;
    if (SM_LIKELY(!long_list))
        return put_kept_references(r);
    r->t.p = long_list;
    if (!read_references(r, false) || !sm_jaeger_referred(&r->j))
        return false;
    r->t.p = long_list;
    bool ok = read_references(r, true);
    r->t.p = behind;
    return ok;
}

/* ---- spans ---- */

enum {
    SPAN_REQUIRED = SEEN(1) | SEEN(2) | SEEN(3) | SEEN(4) | SEEN(5) | SEEN(7) | SEEN(8) | SEEN(9),
};

static bool read_span_text(struct reader *r)
{
    struct sm_str name;
    return THRIFT_(bytes)(&r->t, &name) && sm_jaeger_name(&r->j, name);
}

static bool read_span(struct reader *r)
{
    const uint8_t *long_list = NULL;
    uint32_t field, seen = 0;
    int64_t v[10] = {0};
    int32_t flags = 0;
    int16_t id = 0;
    bool end = false, ok = sm_jaeger_begin(&r->j);
    r->references_n = 0;
    while (ok && next_field(r, &id, &field, &end)) {
        switch (field) {
        case FIELD(1, SM_THRIFT_I64):
        case FIELD(2, SM_THRIFT_I64):
        case FIELD(3, SM_THRIFT_I64):
        case FIELD(4, SM_THRIFT_I64):
        case FIELD(8, SM_THRIFT_I64):
        case FIELD(9, SM_THRIFT_I64):
            ok = THRIFT_(i64)(&r->t, &v[id]);
            seen |= SEEN(id);
            break;
        case FIELD(5, SM_THRIFT_STRING):
            ok = read_span_text(r);
            seen |= SEEN(5);
            break;
        case FIELD(7, SM_THRIFT_I32):
            ok = THRIFT_(i32)(&r->t, &flags);
            seen |= SEEN(7);
            break;
        case FIELD(10, SM_THRIFT_LIST):
            ok = read_tags(r, sm_jaeger_tag);
            break;
        case FIELD(11, SM_THRIFT_LIST):
            ok = read_logs(r);
            break;
        case FIELD(6, SM_THRIFT_LIST):
            ok = take_references(r, &long_list);
            break;
        default:
            ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
        }
    }
    if (!end || (seen & SPAN_REQUIRED) != SPAN_REQUIRED)
        return false;
    r->j.trace = (struct sm_trace_id){(uint64_t)v[2], (uint64_t)v[1]};
    r->j.id = (uint64_t)v[3];
    r->j.parent_id = (uint64_t)v[4];
    r->j.flags = (uint32_t)flags;
    r->j.start_ns = sm_jaeger_time_ns(&r->j, v[8]);
    r->j.duration_ns = sm_jaeger_duration_ns(&r->j, v[9]);
    return put_references(r, long_list) && sm_jaeger_commit(&r->j);
}

static bool read_spans(struct reader *r)
{
    uint32_t count, spans_max = r->j.build.d->limits.spans_max;
    if (!list_of_structs(r, &count))
        return false;
    if (count > spans_max) {
        r->too_many = true;
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_span(r))
            return false;
    }
    return true;
}

/* Spans that come before their process wait for it. */
static bool read_batch(struct reader *r)
{
    const uint8_t *spans_at = NULL;
    uint32_t field, seen = 0;
    int16_t id = 0;
    bool end = false, ok = true;
    while (ok && next_field(r, &id, &field, &end)) {
        if (field == FIELD(1, SM_THRIFT_STRUCT) && !seen) {
            ok = read_process(r);
            seen |= SEEN(1);
        } else if (field == FIELD(2, SM_THRIFT_LIST) && seen == SEEN(1)) {
            ok = read_spans(r);
            seen |= SEEN(2);
        } else {
            if (field == FIELD(2, SM_THRIFT_LIST) && !spans_at)
                spans_at = r->t.p;
            ok = THRIFT_(skip)(&r->t, (uint8_t)field, 0);
        }
    }
    if (!end || !(seen & SEEN(1)))
        return false;
    if (seen & SEEN(2))
        return true;
    const uint8_t *behind = r->t.p;
    r->t.p = spans_at;
    ok = spans_at && read_spans(r);
    r->t.p = behind;
    return ok;
}

/* The arguments of Agent.emitBatch: {1: Batch}. */
static bool read_arguments(struct reader *r)
{
    uint32_t field;
    int16_t id = 0;
    bool end = false, ok = true, found = false;
    while (ok && next_field(r, &id, &field, &end)) {
        bool is_batch = field == FIELD(1, SM_THRIFT_STRUCT) && !found;
        found |= is_batch;
        ok = is_batch ? read_batch(r) : THRIFT_(skip)(&r->t, (uint8_t)field, 0);
    }
    return end && found;
}

/* Reads with `read` from the cursor on. */
static enum sm_rc decode_jaeger(struct sm_decoder *d, struct THRIFT t, size_t payload_size, struct sm_batch *batch,
                                struct sm_err *err, bool (*read)(struct reader *r))
{
    struct reader r;
    r.t = t;
    r.batch = batch;
    r.too_many = false;
    if (sm_jaeger_open(&r.j, d, batch, payload_size + payload_size / 2) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (read(&r)) {
        sm_jaeger_close(&r.j);
        return SM_OK;
    }
    sm_batch_clear(batch);
    if (r.j.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (r.too_many)
        return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one batch", d->limits.spans_max);
    return sm_err_set(err, r.t.p == r.t.end ? SM_E_TRUNCATED : SM_E_INVALID, "malformed thrift: not a jaeger.Batch");
}

/* The arguments of Agent.emitZipkinBatch: {1: list of Zipkin's spans}. */
static enum sm_rc decode_zipkin(struct sm_decoder *d, struct THRIFT t, size_t payload_size, struct sm_batch *batch,
                                struct sm_err *err)
{
    uint8_t type = SM_THRIFT_STOP;
    int16_t id = 0;
    bool found = false, ok;
    do {
        ok = THRIFT_(field)(&t, &type, &id);
        if (ok && type == SM_THRIFT_LIST && id == 1 && !found) {
            enum sm_rc rc = READ_ZIPKIN(d, &t, payload_size, batch, err);
            if (rc != SM_OK)
                return rc;
            found = true;
        } else if (ok && type != SM_THRIFT_STOP) {
            ok = THRIFT_(skip)(&t, type, 0);
        }
    } while (ok && type != SM_THRIFT_STOP);
    if (ok && found)
        return SM_OK;
    sm_batch_clear(batch);
    return sm_err_set(err, t.p == t.end ? SM_E_TRUNCATED : SM_E_INVALID, "malformed thrift: not a list of Zipkin's spans");
}

static struct THRIFT cursor(const struct sm_payload *payload)
{
    return (struct THRIFT){.p = payload->data, .end = payload->data + payload->size};
}

/* A message for Jaeger's agent. */
static enum sm_rc decode_message(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct THRIFT t = cursor(payload);
    struct sm_str name;
    uint8_t type;
    if (!THRIFT_(message)(&t, &name, &type))
        return sm_err_set(err, SM_E_INVALID, "not a thrift message of this protocol");
    if (type != SM_THRIFT_CALL && type != SM_THRIFT_ONEWAY)
        return sm_err_set(err, SM_E_INVALID, "a thrift message of type %u, neither call nor oneway", type);
    if (SM_LIKELY(sm_str_eq(name, SM_STR("emitBatch"))))
        return decode_jaeger(d, t, payload->size, batch, err, read_arguments);
    if (sm_str_eq(name, SM_STR("emitZipkinBatch")))
        return decode_zipkin(d, t, payload->size, batch, err);
    return sm_err_set(err, SM_E_UNSUPPORTED, "no such method: %.*s", (int)SM_MIN(name.len, (size_t)64), name.ptr);
}

#endif
