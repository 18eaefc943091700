/* Zipkin v1 thrift (zipkinCore.thrift), a list of structs decoded into canonical spans, read by either protocol:
 * zipkin_v1_thrift.c and zipkin_v1_compact.c define
 *
 *     THRIFT         the reader's struct, sm_thrift_reader or sm_thrift_compact
 *     THRIFT_(verb)  its functions
 *     THRIFT_NAME    the protocol's name for error texts
 *
 * and include this file. Broken framing and missing ids refuse the list. Unknown fields are passed over, annotations
 * without time or text are left out, as zipkin2 does. Binary annotations that are no strings become texts, where
 * zipkin2 drops them. */
#ifndef SM_ZIPKIN_V1_THRIFT_H
#define SM_ZIPKIN_V1_THRIFT_H

#include "base/json_out.h"
#include "base/text.h"
#include "span/codec/thrift_binary.h"
#include "span/codec/zipkin_v1.h"

#include <inttypes.h>

/* zipkinCore.AnnotationType */
enum annotation_type { TYPE_BOOL, TYPE_BYTES, TYPE_I16, TYPE_I32, TYPE_I64, TYPE_DOUBLE, TYPE_STRING };

#define FIELD(id, type) ((uint32_t)(uint16_t)(id) << 8 | (type))

struct reader {
    struct THRIFT t;
    struct sm_zipkin_v1 v;
    const uint8_t *endpoint_bytes; /* the last endpoint read in this span: the others are equal to it, as a rule */
    size_t endpoint_size;
    int16_t endpoint;
    const char *error; /* static text; NULL while all is well */
};

static bool fail(struct reader *r, const char *text)
{
    if (!r->error)
        r->error = text;
    return false;
}

static bool truncated(struct reader *r)
{
    return fail(r, "Truncated or malformed");
}

/* Puts U+FFFD in place of what is not UTF-8. */
static bool make_valid(struct reader *r, struct sm_str *text)
{
    if (SM_LIKELY(sm_text_valid((const uint8_t *)text->ptr, text->len)))
        return true;
    uint8_t *room = sm_zipkin_v1_text(&r->v, 3 * text->len);
    if (!room)
        return fail(r, "out of memory");
    *text = sm_str(room, sm_utf8_repair(room, text->ptr, text->len));
    return true;
}

static bool read_text(struct reader *r, struct sm_str *text)
{
    return THRIFT_(bytes)(&r->t, text) ? make_valid(r, text) : truncated(r);
}

/* The next field of a struct; its end has the id 0. *id is that of the field before on entry, 0 at first. */
SM_INLINE bool next_field(struct reader *r, uint8_t *type, int16_t *id)
{
    if (!THRIFT_(field)(&r->t, type, id))
        return false;
    if (*type == SM_THRIFT_STOP)
        *id = 0;
    return true;
}

static bool skip(struct reader *r, uint8_t type)
{
    return THRIFT_(skip)(&r->t, type, 0) || truncated(r);
}

/* Endpoint{1 ipv4 i32, 2 port i16, 3 service_name, 4 ipv6 binary}. */
static bool read_endpoint_fields(struct reader *r, struct sm_zipkin_v1_endpoint *e)
{
    uint8_t type;
    int16_t id = 0, port;
    int32_t ipv4;
    uint8_t octets[4];
    struct sm_str ipv6;
    while (next_field(r, &type, &id)) {
        bool ok = true;
        switch (FIELD(id, type)) {
        case FIELD(0, SM_THRIFT_STOP):
            return true;
        case FIELD(1, SM_THRIFT_I32):
            ok = THRIFT_(i32)(&r->t, &ipv4);
            sm_store_be32(octets, ok ? (uint32_t)ipv4 : 0);
            if (ok && ipv4)
                (void)sm_zipkin_address_take(&e->address, octets, sizeof octets);
            break;
        case FIELD(2, SM_THRIFT_I16):
            ok = THRIFT_(i16)(&r->t, &port);
            e->address.port = ok ? (uint16_t)port : 0;
            break;
        case FIELD(3, SM_THRIFT_STRING):
            ok = read_text(r, &e->service);
            break;
        case FIELD(4, SM_THRIFT_STRING):
            ok = THRIFT_(bytes)(&r->t, &ipv6);
            if (ok)
                (void)sm_zipkin_address_take(&e->address, (const uint8_t *)ipv6.ptr, ipv6.len);
            break;
        default:
            ok = skip(r, type);
            break;
        }
        if (!ok)
            return truncated(r);
    }
    return truncated(r);
}

/* No struct's bytes are the beginning of another's: the same bytes are the same endpoint. */
static bool read_endpoint(struct reader *r, int16_t *endpoint)
{
    const uint8_t *start = r->t.p;
    if (r->endpoint_size && THRIFT_(has)(&r->t, r->endpoint_size) &&
        memcmp(start, r->endpoint_bytes, r->endpoint_size) == 0) {
        r->t.p += r->endpoint_size;
        *endpoint = r->endpoint;
        return true;
    }
    struct sm_zipkin_v1_endpoint e = {.service = {"", 0}};
    if (!read_endpoint_fields(r, &e))
        return false;
    *endpoint = r->endpoint = sm_zipkin_v1_endpoint(&r->v, &e);
    r->endpoint_bytes = start;
    r->endpoint_size = (size_t)(r->t.p - start);
    return true;
}

/* Annotation{1 timestamp i64, 2 value, 3 host}. */
static bool read_annotation(struct reader *r)
{
    uint8_t type;
    int16_t id = 0, endpoint = SM_ZIPKIN_V1_NOBODY;
    int64_t timestamp_us = 0;
    struct sm_str value = {"", 0};
    bool has_value = false;
    while (next_field(r, &type, &id)) {
        bool ok = true;
        switch (FIELD(id, type)) {
        case FIELD(0, SM_THRIFT_STOP):
            if (timestamp_us > 0 && has_value)
                sm_zipkin_v1_annotation(&r->v, (uint64_t)timestamp_us, value, endpoint);
            return true;
        case FIELD(1, SM_THRIFT_I64):
            ok = THRIFT_(i64)(&r->t, &timestamp_us);
            break;
        case FIELD(2, SM_THRIFT_STRING):
            ok = has_value = read_text(r, &value);
            break;
        case FIELD(3, SM_THRIFT_STRUCT):
            ok = read_endpoint(r, &endpoint);
            break;
        default:
            ok = skip(r, type);
            break;
        }
        if (!ok)
            return truncated(r);
    }
    return truncated(r);
}

/* Numbers are big endian and as long as their type says. */
static size_t put_number(char *text, int32_t type, struct sm_str value)
{
    struct sm_thrift_reader t = {(const uint8_t *)value.ptr, (const uint8_t *)value.ptr + value.len};
    int16_t i16;
    int32_t i32;
    int64_t i64;
    double d;
    size_t n = 0;
    if (type == TYPE_BOOL && value.len == 1)
        n = (size_t)snprintf(text, SM_JSON_DOUBLE_SIZE_MAX, "%s", value.ptr[0] ? "true" : "false");
    else if (type == TYPE_I16 && value.len == 2 && sm_thrift_i16(&t, &i16))
        n = (size_t)snprintf(text, SM_JSON_DOUBLE_SIZE_MAX, "%d", i16);
    else if (type == TYPE_I32 && value.len == 4 && sm_thrift_i32(&t, &i32))
        n = (size_t)snprintf(text, SM_JSON_DOUBLE_SIZE_MAX, "%" PRId32, i32);
    else if (type == TYPE_I64 && value.len == 8 && sm_thrift_i64(&t, &i64))
        n = (size_t)snprintf(text, SM_JSON_DOUBLE_SIZE_MAX, "%" PRId64, i64);
    else if (type == TYPE_DOUBLE && value.len == 8 && sm_thrift_double(&t, &d))
        n = sm_json_format_double(d, text);
    return n;
}

/* A value that is no string as a text: bytes in base64, as version 1 writes them in JSON. One whose length is not
 * that of its type is left out. */
static bool put_other(struct reader *r, struct sm_str key, int32_t type, struct sm_str value, int16_t endpoint)
{
    bool bytes = type == TYPE_BYTES;
    char *text = (char *)sm_zipkin_v1_text(&r->v, bytes ? SM_JSON_BASE64_SIZE(value.len) : SM_JSON_DOUBLE_SIZE_MAX);
    if (!text)
        return fail(r, "out of memory");
    size_t n = bytes ? (size_t)(sm_json_format_base64(value, text) - text) : put_number(text, type, value);
    if (n || bytes)
        sm_zipkin_v1_tag(&r->v, key, sm_str(text, n), endpoint);
    return true;
}

static bool put_binary_annotation(struct reader *r, struct sm_str key, int32_t type, struct sm_str value,
                                  int16_t endpoint)
{
    if (SM_UNLIKELY(sm_zipkin_v1_is_address(key))) {
        if (type == TYPE_STRING || (type == TYPE_BOOL && value.len == 1 && value.ptr[0] == 1))
            sm_zipkin_v1_tag(&r->v, key, value, endpoint);
        return true;
    }
    if (SM_UNLIKELY(type != TYPE_STRING))
        return put_other(r, key, type, value, endpoint);
    if (!make_valid(r, &value))
        return false;
    sm_zipkin_v1_tag(&r->v, key, value, endpoint);
    return true;
}

/* BinaryAnnotation{1 key, 2 value, 3 annotation_type i32, 4 host}. */
static bool read_binary_annotation(struct reader *r)
{
    uint8_t type;
    int16_t id = 0, endpoint = SM_ZIPKIN_V1_NOBODY;
    int32_t value_type = -1;
    struct sm_str key = {"", 0}, value = {"", 0};
    bool has_key = false, has_value = false;
    while (next_field(r, &type, &id)) {
        bool ok = true;
        switch (FIELD(id, type)) {
        case FIELD(0, SM_THRIFT_STOP):
            return !has_key || !has_value || put_binary_annotation(r, key, value_type, value, endpoint);
        case FIELD(1, SM_THRIFT_STRING):
            ok = has_key = read_text(r, &key);
            break;
        case FIELD(2, SM_THRIFT_STRING):
            ok = has_value = THRIFT_(bytes)(&r->t, &value);
            break;
        case FIELD(3, SM_THRIFT_I32):
            ok = THRIFT_(i32)(&r->t, &value_type);
            break;
        case FIELD(4, SM_THRIFT_STRUCT):
            ok = read_endpoint(r, &endpoint);
            break;
        default:
            ok = skip(r, type);
            break;
        }
        if (!ok)
            return truncated(r);
    }
    return truncated(r);
}

static bool read_list_of(struct reader *r, bool (*read)(struct reader *r))
{
    const uint8_t *start = r->t.p;
    uint8_t type;
    uint32_t count;
    if (!THRIFT_(list)(&r->t, &type, &count))
        return truncated(r);
    if (SM_UNLIKELY(type != SM_THRIFT_STRUCT)) {
        r->t.p = start;
        return skip(r, SM_THRIFT_LIST);
    }
    for (; count; count--) {
        if (!read(r))
            return false;
    }
    return true;
}

static bool read_micros(struct reader *r, uint64_t *us)
{
    int64_t v;
    if (!THRIFT_(i64)(&r->t, &v))
        return truncated(r);
    *us = v > 0 ? (uint64_t)v : 0;
    return true;
}

static bool read_id(struct reader *r, uint64_t *id)
{
    return THRIFT_(i64)(&r->t, (int64_t *)id) || truncated(r);
}

static bool read_field(struct reader *r, int16_t id, uint8_t type)
{
    struct sm_zipkin_v1 *v = &r->v;
    switch (FIELD(id, type)) {
    case FIELD(1, SM_THRIFT_I64):
        return read_id(r, &v->trace.lo);
    case FIELD(3, SM_THRIFT_STRING):
        return read_text(r, &v->name);
    case FIELD(4, SM_THRIFT_I64):
        return read_id(r, &v->id);
    case FIELD(5, SM_THRIFT_I64):
        return read_id(r, &v->parent_id);
    case FIELD(6, SM_THRIFT_LIST):
        return read_list_of(r, read_annotation);
    case FIELD(8, SM_THRIFT_LIST):
        return read_list_of(r, read_binary_annotation);
    case FIELD(9, SM_THRIFT_BOOL):
        return THRIFT_(bool)(&r->t, &v->debug) || truncated(r);
    case FIELD(10, SM_THRIFT_I64):
        return read_micros(r, &v->timestamp_us);
    case FIELD(11, SM_THRIFT_I64):
        return read_micros(r, &v->duration_us);
    case FIELD(12, SM_THRIFT_I64):
        return read_id(r, &v->trace.hi);
    default:
        return skip(r, type);
    }
}

static bool read_span(struct reader *r)
{
    struct sm_zipkin_v1 *v = &r->v;
    uint8_t type;
    int16_t id = 0;
    sm_zipkin_v1_begin(v);
    r->endpoint_size = 0;
    do {
        if (!next_field(r, &type, &id))
            return truncated(r);
        if (type != SM_THRIFT_STOP && !read_field(r, id, type))
            return false;
    } while (type != SM_THRIFT_STOP);
    if ((v->trace.hi | v->trace.lo) == 0)
        return fail(r, "traceId is missing or zero");
    if (v->id == 0)
        return fail(r, "id is missing or zero");
    return sm_zipkin_v1_commit(v) || fail(r, "out of memory");
}

/* Some reporters write the type of strings for that of structs. */
static enum sm_rc read_spans(struct reader *r, struct sm_batch *batch, struct sm_err *err)
{
    uint32_t spans_max = r->v.z.build.d->limits.spans_max;
    uint8_t type;
    uint32_t count;
    if (!THRIFT_(list)(&r->t, &type, &count) || (type != SM_THRIFT_STRUCT && type != SM_THRIFT_STRING))
        return sm_err_set(err, SM_E_INVALID, "Expected a THRIFT encoded list");
    for (; count && !r->error; count--) {
        if (batch->count + batch->rejected_total >= spans_max)
            return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one list", spans_max);
        (void)read_span(r);
    }
    if (r->v.z.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    return r->error ? sm_err_set(err, SM_E_INVALID, "%s reading List<Span> from " THRIFT_NAME, r->error) : SM_OK;
}

/* A list at the cursor, which is behind it afterwards. On failure the batch is cleared. */
static enum sm_rc read_list(struct sm_decoder *d, struct THRIFT *t, size_t payload_size, struct sm_batch *batch,
                            struct sm_err *err)
{
    struct reader r;
    r.t = *t;
    r.error = NULL;
    if (sm_zipkin_v1_open(&r.v, d, batch, payload_size) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    enum sm_rc rc = read_spans(&r, batch, err);
    sm_zipkin_v1_close(&r.v, rc);
    *t = r.t;
    return rc;
}

#endif
