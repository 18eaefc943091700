/* Jaeger's protobuf (jaeger-idl, proto/api_v2/model.proto): PostSpansRequest{batch=1: Batch{spans=1, process=2}}, and a Span by
 * itself with its own process, which is what Jaeger's and the OpenTelemetry collector write to Kafka (`protobuf`, `jaeger_proto`).
 *
 * Known fields of another wire type than they should have refuse the request, as malformed bytes do. A span's own process goes
 * before the batch's. */
#include "span/codec/jaeger.h"

enum { REQUEST_BATCH = 1 };
enum { BATCH_SPANS = 1, BATCH_PROCESS = 2 };
enum {
    SPAN_TRACE_ID = 1,
    SPAN_ID = 2,
    SPAN_NAME = 3,
    SPAN_REFERENCES = 4,
    SPAN_FLAGS = 5,
    SPAN_START = 6,
    SPAN_DURATION = 7,
    SPAN_TAGS = 8,
    SPAN_LOGS = 9,
    SPAN_PROCESS = 10,
};
enum { LOG_TIME = 1, LOG_FIELDS = 2 };

enum { REFERENCES_KEPT = 4 };

struct reader {
    struct sm_jaeger_in j;
    struct sm_batch *batch;
    struct sm_str process; /* the last one, whose scope is j.scope_id */
    bool has_process, too_many;
    /* Of the span: its first references, and where the others begin (NULL: nowhere), which are read again. */
    struct sm_jaeger_reference references[REFERENCES_KEPT];
    uint32_t references_n;
    const uint8_t *more_references;
};

/* The next field with a number up to `last` has the wire type that `wires` tells; *ok is false when one has another. */
static bool next_field(const uint8_t **p, const uint8_t *end, struct sm_pb_field *f, const uint8_t *wires, uint32_t last, bool *ok)
{
    if (!*ok || !sm_pb_next(p, end, f))
        return false;
    *ok = f->number > last || f->wire == wires[f->number];
    return *ok;
}

#define NEXT_FIELD(p, end, f, wires, ok) next_field(p, end, f, wires, SM_ARRAY_LEN(wires) - 1, ok)

/* ---- tags, times ---- */

/* The values that a KeyValue has, of which its type chooses one. Texts are read for 16 bytes. */
struct values {
    struct sm_str text, binary;
    uint64_t type, truth, integer, real;
};

static void choose_value(struct sm_jaeger_tag *tag, const struct values *v)
{
    static const uint8_t unknown[32] = "unknown type";
    tag->type = v->type <= SM_JAEGER_BINARY ? (enum sm_jaeger_type)v->type : SM_JAEGER_STRING;
    if (SM_LIKELY(v->type == SM_JAEGER_STRING))
        tag->text = v->text;
    else if (v->type == SM_JAEGER_BOOL)
        tag->b = v->truth != 0;
    else if (v->type == SM_JAEGER_INT)
        tag->i = (int64_t)v->integer;
    else if (v->type == SM_JAEGER_DOUBLE)
        memcpy(&tag->d, &v->real, sizeof tag->d);
    else
        tag->text = v->type == SM_JAEGER_BINARY ? v->binary : sm_str(unknown, 12);
}

_Static_assert(SM_JAEGER_STRING == 0 && SM_JAEGER_BOOL == 1 && SM_JAEGER_INT == 2 && SM_JAEGER_DOUBLE == 3 && SM_JAEGER_BINARY == 4,
               "in the order of ValueType");

/* KeyValue{key=1, v_type=2, v_str=3, v_bool=4, v_int64=5, v_float64=6, v_binary=7} in any legal shape. */
static bool read_tag_general(const uint8_t *p, size_t size, struct sm_jaeger_tag *tag)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_VARINT, SM_PB_BYTES, SM_PB_VARINT, SM_PB_VARINT, SM_PB_FIXED64, SM_PB_BYTES};
    static const uint8_t none[16];
    const uint8_t *end = p + size;
    struct values v = {.text = sm_str(none, 0), .binary = sm_str(none, 0)};
    struct sm_pb_field f;
    bool ok = true;
    tag->key = sm_str(none, 0);
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        switch (f.number) {
        case 1: tag->key = sm_str(f.bytes, f.size); break;
        case 2: v.type = f.value; break;
        case 3: v.text = sm_str(f.bytes, f.size); break;
        case 4: v.truth = f.value; break;
        case 5: v.integer = f.value; break;
        case 6: v.real = f.value; break;
        case 7: v.binary = sm_str(f.bytes, f.size); break;
        default: break;
        }
    }
    choose_value(tag, &v);
    return ok && p == end;
}

/* The value behind the key: a string, or a type that is not the default and its value. Readable for 16 bytes. */
SM_INLINE bool read_common_value(const uint8_t *p, const uint8_t *end, struct sm_jaeger_tag *tag)
{
    if (SM_LIKELY(p[0] == SM_PB_TAG(3, SM_PB_BYTES) && p[1] < 0x80)) {
        tag->type = SM_JAEGER_STRING;
        tag->text = sm_str(p + 2, p[1]);
        return p + 2 + p[1] == end;
    }
    uint64_t value = 0;
    if (p[0] != SM_PB_TAG(2, SM_PB_VARINT) || (p[1] != SM_JAEGER_INT && p[1] != SM_JAEGER_BOOL) ||
        p[2] != SM_PB_TAG(p[1] == SM_JAEGER_INT ? 5 : 4, SM_PB_VARINT) || end - p < 4 || sm_pb_varint(p + 3, end, &value) != end)
        return false;
    tag->type = (enum sm_jaeger_type)p[1];
    if (tag->type == SM_JAEGER_INT)
        tag->i = (int64_t)value;
    else
        tag->b = value != 0;
    return true;
}

/* The common shape: 0x0a keylen key, then a value; lengths of one byte. */
SM_INLINE bool read_tag(const uint8_t *p, size_t size, struct sm_jaeger_tag *tag)
{
    if (SM_LIKELY(size >= 4 && p[0] == SM_PB_TAG(1, SM_PB_BYTES) && p[1] < 0x80 && (size_t)p[1] + 2 < size)) {
        tag->key = sm_str(p + 2, p[1]);
        if (SM_LIKELY(read_common_value(p + 2 + p[1], p + size, tag)))
            return true;
    }
    return read_tag_general(p, size, tag);
}

typedef bool put_function(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag);

static bool take_tag(struct reader *r, const struct sm_pb_field *f, put_function *put)
{
    struct sm_jaeger_tag tag;
    return read_tag(f->bytes, f->size, &tag) && put(&r->j, &tag);
}

/* Timestamp and Duration{seconds=1, nanos=2}, absent ones 0. False when malformed. */
static bool read_seconds(const struct sm_pb_field *time, int64_t *seconds, int64_t *nanos)
{
    static const uint8_t wires[] = {0, SM_PB_VARINT, SM_PB_VARINT};
    const uint8_t *p = time->bytes, *end = sm_pb_end(p, time->size);
    struct sm_pb_field f;
    bool ok = true;
    *seconds = *nanos = 0;
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == 1)
            *seconds = (int64_t)f.value;
        else if (f.number == 2)
            *nanos = (int32_t)f.value;
    }
    return ok && p == end;
}

/* A negative duration, which clients with jumping clocks send, reads as 0. */
static bool read_time(struct reader *r, const struct sm_pb_field *time, bool duration, uint64_t *ns)
{
    int64_t seconds, nanos, sum;
    bool ok = read_seconds(time, &seconds, &nanos);
    if (__builtin_mul_overflow(seconds, SM_SEC, &sum) || __builtin_add_overflow(sum, nanos, &sum) || (sum < 0 && !duration)) {
        sm_build_refuse(&r->j.build, SM_REJECT_TIME);
        sum = 0;
    }
    *ns = (uint64_t)SM_MAX(sum, INT64_C(0));
    return ok;
}

/* ---- processes ---- */

static bool build_process(struct reader *r, struct sm_str process)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_BYTES};
    const uint8_t *p = (const uint8_t *)process.ptr, *end = sm_pb_end(p, process.len);
    struct sm_pb_field f;
    struct sm_str service = {"", 0};
    bool ok = true;
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == 1)
            service = sm_str(f.bytes, f.size);
    }
    if (!ok || p != end || !sm_jaeger_process_begin(&r->j, service))
        return false;
    p = (const uint8_t *)process.ptr;
    while (ok && NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == 2)
            ok = take_tag(r, &f, sm_jaeger_process_tag);
    }
    sm_jaeger_process_end(&r->j);
    return ok;
}

/* Spans of one process follow each other, as a rule. */
static bool use_process(struct reader *r, struct sm_str process)
{
    bool same_bytes = process.ptr == r->process.ptr && process.len == r->process.len;
    if (r->has_process && (SM_LIKELY(same_bytes) || sm_str_eq(process, r->process)))
        return true;
    r->process = process;
    r->has_process = true;
    return build_process(r, process);
}

/* ---- spans ---- */

static bool read_log(struct reader *r, const struct sm_pb_field *log)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_BYTES};
    const uint8_t *p = log->bytes, *end = sm_pb_end(p, log->size);
    struct sm_pb_field f;
    uint64_t time_ns = 0;
    size_t at;
    bool ok = sm_jaeger_log_begin(&r->j, &at);
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == LOG_TIME)
            ok = read_time(r, &f, false, &time_ns);
        else if (f.number == LOG_FIELDS)
            ok = take_tag(r, &f, sm_jaeger_log_field);
    }
    return ok && p == end && sm_jaeger_log_end(&r->j, at, time_ns);
}

static struct sm_trace_id trace_id_of(const struct sm_pb_field *f)
{
    return f->size == 16 ? (struct sm_trace_id){sm_load_be64(f->bytes), sm_load_be64(f->bytes + 8)} : (struct sm_trace_id){0};
}

static uint64_t span_id_of(const struct sm_pb_field *f)
{
    return f->size == 8 ? sm_load_be64(f->bytes) : 0;
}

/* SpanRef{trace_id=1, span_id=2, ref_type=3}. */
static bool read_reference(const struct sm_pb_field *reference, struct sm_jaeger_reference *ref)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_BYTES, SM_PB_VARINT};
    const uint8_t *p = reference->bytes, *end = sm_pb_end(p, reference->size);
    struct sm_pb_field f;
    bool ok = true;
    *ref = (struct sm_jaeger_reference){0};
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == 1)
            ref->trace = trace_id_of(&f);
        else if (f.number == 2)
            ref->id = span_id_of(&f);
        else if (f.number == 3)
            ref->type = f.value == 0 ? SM_JAEGER_CHILD_OF : SM_JAEGER_FOLLOWS_FROM;
    }
    return ok && p == end;
}

/* `at`: where the field begins. */
static bool take_reference(struct reader *r, const struct sm_pb_field *f, const uint8_t *at)
{
    struct sm_jaeger_reference ref;
    if (!read_reference(f, &ref))
        return false;
    if (SM_LIKELY(r->references_n < REFERENCES_KEPT))
        r->references[r->references_n++] = ref;
    else if (!r->more_references)
        r->more_references = at;
    return true;
}

static bool put_reference(struct reader *r, const struct sm_jaeger_reference *ref, bool link)
{
    if (link)
        return sm_jaeger_link(&r->j, ref);
    sm_jaeger_refer(&r->j, ref);
    return true;
}

/* The span has been read up to `end` and is well-formed. */
static bool walk_references(struct reader *r, const uint8_t *end, bool link)
{
    const uint8_t *p = r->more_references;
    struct sm_jaeger_reference ref;
    struct sm_pb_field f;
    for (uint32_t i = 0; i < r->references_n; i++) {
        if (!put_reference(r, &r->references[i], link))
            return false;
    }
    while (p && sm_pb_next(&p, end, &f)) {
        if (f.number == SPAN_REFERENCES && !(read_reference(&f, &ref) && put_reference(r, &ref, link)))
            return false;
    }
    return true;
}

static bool put_references(struct reader *r, const uint8_t *end)
{
    if (r->references_n == 0)
        return true;
    return walk_references(r, end, false) && sm_jaeger_referred(&r->j) && walk_references(r, end, true);
}

static bool read_field(struct reader *r, const struct sm_pb_field *f)
{
    struct sm_jaeger_in *j = &r->j;
    switch (f->number) {
    case SPAN_TRACE_ID:
        j->trace = trace_id_of(f);
        return true;
    case SPAN_ID:
        j->id = span_id_of(f);
        return true;
    case SPAN_NAME:
        return sm_jaeger_name(j, sm_str(f->bytes, f->size));
    case SPAN_FLAGS:
        j->flags = (uint32_t)f->value;
        return true;
    case SPAN_START:
        return read_time(r, f, false, &j->start_ns);
    case SPAN_DURATION:
        return read_time(r, f, true, &j->duration_ns);
    case SPAN_TAGS:
        return take_tag(r, f, sm_jaeger_tag);
    case SPAN_LOGS:
        return read_log(r, f);
    default:
        return true;
    }
}

static bool read_span(struct reader *r, struct sm_str span, struct sm_str batch_process)
{
    static const uint8_t wires[] = {0,           SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES, SM_PB_VARINT,
                                    SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES, SM_PB_BYTES};
    const uint8_t *p = (const uint8_t *)span.ptr, *end = sm_pb_end(p, span.len), *from = p;
    struct sm_str process = batch_process;
    struct sm_pb_field f;
    bool ok = sm_jaeger_begin(&r->j);
    r->references_n = 0;
    r->more_references = NULL;
    for (; NEXT_FIELD(&p, end, &f, wires, &ok); from = p) {
        if (f.number == SPAN_PROCESS)
            process = sm_str(f.bytes, f.size);
        else if (f.number == SPAN_REFERENCES)
            ok = take_reference(r, &f, from);
        else
            ok = read_field(r, &f);
    }
    return ok && p == end && use_process(r, process) && put_references(r, end) && sm_jaeger_commit(&r->j);
}

/* The process stands behind the spans, as a rule: it is looked for first. */
static bool read_batch(struct reader *r, struct sm_str batch)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES, SM_PB_BYTES};
    const uint8_t *p = (const uint8_t *)batch.ptr, *end = sm_pb_end(p, batch.len);
    struct sm_str process = {"", 0};
    struct sm_pb_field f;
    uint32_t spans = 0;
    bool ok = true;
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        spans += f.number == BATCH_SPANS;
        if (f.number == BATCH_PROCESS)
            process = sm_str(f.bytes, f.size);
    }
    r->too_many = spans > r->j.build.d->limits.spans_max - r->batch->count - r->batch->rejected_total;
    if (!ok || p != end || r->too_many)
        return false;
    p = (const uint8_t *)batch.ptr;
    while (ok && sm_pb_next(&p, end, &f)) {
        if (f.number == BATCH_SPANS)
            ok = read_span(r, sm_str(f.bytes, f.size), process);
    }
    return ok;
}

static bool read_request(struct reader *r, const uint8_t *p, size_t size)
{
    static const uint8_t wires[] = {0, SM_PB_BYTES};
    const uint8_t *end = p + size;
    struct sm_pb_field f;
    bool ok = true;
    while (NEXT_FIELD(&p, end, &f, wires, &ok)) {
        if (f.number == REQUEST_BATCH)
            ok = read_batch(r, sm_str(f.bytes, f.size));
    }
    return ok && p == end;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, bool one_span, struct sm_err *err)
{
    struct reader r;
    r.batch = batch;
    r.has_process = r.too_many = false;
    if (sm_jaeger_open(&r.j, d, batch, payload->size + payload->size / 4) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    bool ok = one_span ? read_span(&r, sm_str(payload->data, payload->size), (struct sm_str){"", 0})
                       : read_request(&r, payload->data, payload->size);
    if (ok) {
        sm_jaeger_close(&r.j);
        return SM_OK;
    }
    sm_batch_clear(batch);
    if (r.j.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (r.too_many)
        return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one request", d->limits.spans_max);
    return sm_err_set(err, SM_E_INVALID, "malformed protobuf: not a jaeger.api_v2.%s", one_span ? "Span" : "PostSpansRequest");
}

static enum sm_rc decode_request(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return decode(d, payload, batch, false, err);
}

static enum sm_rc decode_span(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return decode(d, payload, batch, true, err);
}

const struct sm_codec sm_codec_jaeger_proto = {
    .name = "jaeger_proto",
    .decode = decode_request,
};

const struct sm_codec sm_codec_jaeger_span = {
    .name = "jaeger_span",
    .decode = decode_span,
};
