/* One span of Jaeger's api_v2 in protobuf's JSON form, as jaeger-collector and the OpenTelemetry collector write it to Kafka
 * (encoding `json`, `jaeger_json`): ids in base64, times as RFC 3339, durations as seconds ("0.0015s"), enums by name or number,
 * 64-bit integers as strings or numbers. Names in camelCase or as the protobuf file has them.
 *
 * Members come in any order: references and the process, which need the ids and the arena to themselves, are passed over and read at
 * the end. A bad id or time refuses the span; what is no JSON or has members of the wrong type refuses the message. */
#include "base/base64.h"
#include "base/json.h"
#include "base/rfc3339.h"
#include "span/codec/jaeger.h"
#include "span/codec/json_room.h"

enum { KEY_SIZE_MAX = 32, READER_DEPTH = 16, ID_TEXT_MAX = 40 };

struct reader {
    struct sm_json j;
    struct sm_jaeger_in in;
    struct sm_json_room room; /* for texts of the tag at hand */
    struct sm_json references, process; /* at their values; p NULL: there are none */
};

static bool fail(struct reader *r, const char *text)
{
    return sm_json_fail(&r->j, text);
}

static bool need(struct reader *r, bool memory)
{
    return SM_LIKELY(memory) || fail(r, "out of memory");
}

/* ---- texts ---- */

static bool no_room(struct reader *r)
{
    r->in.build.no_memory |= r->room.no_memory;
    return fail(r, r->room.no_memory ? "out of memory" : "too many members of one name");
}

static bool read_text(struct reader *r, struct sm_str *text)
{
    struct sm_json_text t;
    *text = sm_str(r->j.start, 0);
    if (sm_json_null(&r->j))
        return true;
    return sm_json_string(&r->j, &t) && (sm_json_room_plain(&r->room, &t, text) || no_room(r));
}

static bool read_base64(struct reader *r, struct sm_str *bytes)
{
    struct sm_str text;
    if (!read_text(r, &text))
        return false;
    uint8_t *out = sm_json_room_take(&r->room, SM_BASE64_DECODED_MAX(text.len));
    if (!out)
        return no_room(r);
    const uint8_t *end = sm_base64_decode(text, out);
    if (!end)
        return fail(r, "invalid base64");
    *bytes = sm_str(out, (size_t)(end - out));
    return true;
}

/* The bytes of an id; anything that is none reads as no bytes, which refuses the span. */
static size_t read_id(struct reader *r, uint8_t out[SM_BASE64_DECODED_MAX(ID_TEXT_MAX)])
{
    struct sm_str text;
    const uint8_t *end = NULL;
    r->room.used = 0;
    if (read_text(r, &text) && text.len <= ID_TEXT_MAX)
        end = sm_base64_decode(text, out);
    return end ? (size_t)(end - out) : 0;
}

static void read_trace_id(struct reader *r, struct sm_trace_id *id)
{
    uint8_t bytes[SM_BASE64_DECODED_MAX(ID_TEXT_MAX)];
    bool is_one = read_id(r, bytes) == 16;
    *id = is_one ? (struct sm_trace_id){sm_load_be64(bytes), sm_load_be64(bytes + 8)} : (struct sm_trace_id){0};
}

static void read_span_id(struct reader *r, uint64_t *id)
{
    uint8_t bytes[SM_BASE64_DECODED_MAX(ID_TEXT_MAX)];
    *id = read_id(r, bytes) == 8 ? sm_load_be64(bytes) : 0;
}

/* ---- numbers and times ---- */

/* With or without quotes. */
static bool read_number(struct reader *r, struct sm_json_number *n)
{
    struct sm_str text;
    *n = (struct sm_json_number){.type = SM_JSON_INT};
    if (sm_json_peek(&r->j) == SM_JSON_NUMBER)
        return sm_json_number(&r->j, n);
    if (sm_json_null(&r->j))
        return true;
    return read_text(r, &text) && (sm_json_number_parse(text, n) || fail(r, "expected a number"));
}

static bool read_int(struct reader *r, int64_t *v)
{
    struct sm_json_number n;
    return read_number(r, &n) && (sm_json_number_int64(&n, v) || fail(r, "not a whole number of 64 bits"));
}

static bool read_double(struct reader *r, double *d)
{
    struct sm_json_number n;
    struct sm_str text;
    if (sm_json_peek(&r->j) != SM_JSON_STRING) {
        bool ok = read_number(r, &n);
        *d = ok ? sm_json_number_double(&n) : 0;
        return ok;
    }
    return read_text(r, &text) && (sm_json_double_parse(text, d) || fail(r, "expected a number"));
}

/* Go's zero time, which marshallers write for none, reads as none. */
static void read_time(struct reader *r, uint64_t *ns)
{
    static const char zero[] = "0001-01-01T00:00:00";
    struct sm_str text;
    int64_t v = 0;
    r->room.used = 0;
    if (!read_text(r, &text) || text.len == 0)
        return;
    bool none = text.len >= sizeof zero - 1 && memcmp(text.ptr, zero, sizeof zero - 1) == 0;
    if (!none && sm_rfc3339_parse(text, &v) != SM_OK)
        sm_build_refuse(&r->in.build, SM_REJECT_TIME);
    *ns = (uint64_t)v;
}

/* "12.000345s". A negative duration, which clients with jumping clocks send, reads as 0. */
static void read_duration(struct reader *r, uint64_t *ns)
{
    struct sm_str text;
    uint64_t whole = 0, part = 0, unit = (uint64_t)SM_SEC;
    r->room.used = 0;
    if (!read_text(r, &text) || text.len == 0)
        return;
    bool negative = text.ptr[0] == '-', ok = true;
    size_t i = negative, digits = i;
    for (; ok && i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        ok = !__builtin_mul_overflow(whole, 10, &whole) && !__builtin_add_overflow(whole, (uint64_t)(text.ptr[i] - '0'), &whole);
    ok = ok && i > digits;
    if (i < text.len && text.ptr[i] == '.') {
        for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
            part += (uint64_t)(text.ptr[i] - '0') * (unit /= 10);
    }
    ok = ok && i + 1 == text.len && text.ptr[i] == 's' && !__builtin_mul_overflow(whole, (uint64_t)SM_SEC, &whole) &&
         !__builtin_add_overflow(whole, part, &whole) && whole <= INT64_MAX;
    if (!ok)
        sm_build_refuse(&r->in.build, SM_REJECT_TIME);
    *ns = ok && !negative ? whole : 0;
}

/* ---- tags ---- */

/* A key as camelCase or as in the protobuf file. */
static bool is_key(const struct sm_json_text *key, const char *camel, const char *snake)
{
    struct sm_str text = sm_str(key->ptr, key->len);
    return sm_str_eq(text, sm_str_c(camel)) || (snake && sm_str_eq(text, sm_str_c(snake)));
}

/* ValueType by name or number; what it is not reads as a string. */
static bool read_type(struct reader *r, enum sm_jaeger_type *type)
{
    static const char *const names[] = {"STRING", "BOOL", "INT64", "FLOAT64", "BINARY"};
    struct sm_str text;
    int64_t number;
    *type = SM_JAEGER_STRING;
    if (sm_json_peek(&r->j) == SM_JSON_NUMBER) {
        if (!read_int(r, &number))
            return false;
        *type = number >= 0 && number <= SM_JAEGER_BINARY ? (enum sm_jaeger_type)number : SM_JAEGER_STRING;
        return true;
    }
    if (!read_text(r, &text))
        return false;
    for (unsigned i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (sm_str_eq(text, sm_str_c(names[i])))
            *type = (enum sm_jaeger_type)i;
    }
    return true;
}

/* The value members of a KeyValue; the type says which one counts. */
struct values {
    struct sm_str string, binary;
    int64_t number;
    double real;
    bool boolean;
};

static bool read_tag_member(struct reader *r, const struct sm_json_text *key, struct sm_jaeger_tag *tag, struct values *v)
{
    if (is_key(key, "key", NULL))
        return read_text(r, &tag->key);
    if (is_key(key, "vType", "v_type"))
        return read_type(r, &tag->type);
    if (is_key(key, "vStr", "v_str"))
        return read_text(r, &v->string);
    if (is_key(key, "vBool", "v_bool"))
        return sm_json_null(&r->j) || sm_json_bool(&r->j, &v->boolean);
    if (is_key(key, "vInt64", "v_int64"))
        return read_int(r, &v->number);
    if (is_key(key, "vFloat64", "v_float64"))
        return read_double(r, &v->real);
    if (is_key(key, "vBinary", "v_binary"))
        return read_base64(r, &v->binary);
    return sm_json_skip(&r->j);
}

static void choose_value(struct sm_jaeger_tag *tag, const struct values *v)
{
    switch (tag->type) {
    case SM_JAEGER_BOOL:
        tag->b = v->boolean;
        break;
    case SM_JAEGER_INT:
        tag->i = v->number;
        break;
    case SM_JAEGER_DOUBLE:
        tag->d = v->real;
        break;
    case SM_JAEGER_BINARY:
        tag->text = v->binary;
        break;
    default:
        tag->text = v->string;
        break;
    }
}

typedef bool put_function(struct sm_jaeger_in *in, const struct sm_jaeger_tag *tag);

static void read_tag(struct reader *r, put_function *put)
{
    struct sm_str none = sm_str(r->j.start, 0);
    struct sm_jaeger_tag tag = {.key = none, .type = SM_JAEGER_STRING};
    struct values v = {.string = none, .binary = none};
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    bool ok = true;
    r->room.used = 0;
    for (bool more = sm_json_object(&r->j, &key); more && ok; more = ok && sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        ok = read_tag_member(r, &key, &tag, &v);
    }
    choose_value(&tag, &v);
    if (!r->j.error)
        (void)need(r, put(&r->in, &tag));
}

static void read_tags(struct reader *r, put_function *put)
{
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read_tag(r, put);
}

/* ---- logs ---- */

static void read_log(struct reader *r)
{
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    uint64_t time_ns = 0;
    size_t at;
    if (!need(r, sm_jaeger_log_begin(&r->in, &at)))
        return;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (is_key(&key, "timestamp", NULL))
            read_time(r, &time_ns);
        else if (is_key(&key, "fields", NULL))
            read_tags(r, sm_jaeger_log_field);
        else
            sm_json_skip(&r->j);
    }
    if (!r->j.error)
        (void)need(r, sm_jaeger_log_end(&r->in, at, time_ns));
}

static void read_logs(struct reader *r)
{
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read_log(r);
}

/* ---- references and process, at the end ---- */

static void read_reference(struct reader *r, struct sm_jaeger_reference *ref)
{
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    int64_t number;
    struct sm_str text;
    *ref = (struct sm_jaeger_reference){.type = SM_JAEGER_CHILD_OF};
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        r->room.used = 0;
        if (is_key(&key, "traceId", "trace_id"))
            read_trace_id(r, &ref->trace);
        else if (is_key(&key, "spanId", "span_id"))
            read_span_id(r, &ref->id);
        else if (!is_key(&key, "refType", "ref_type"))
            sm_json_skip(&r->j);
        else if (sm_json_peek(&r->j) == SM_JSON_NUMBER)
            ref->type = read_int(r, &number) && number == 0 ? SM_JAEGER_CHILD_OF : SM_JAEGER_FOLLOWS_FROM;
        else if (read_text(r, &text))
            ref->type = sm_str_eq(text, SM_STR("CHILD_OF")) || !text.len ? SM_JAEGER_CHILD_OF : SM_JAEGER_FOLLOWS_FROM;
    }
}

/* The list has been passed over: it is well-formed JSON. */
static void walk_references(struct reader *r, bool link)
{
    struct sm_jaeger_reference ref;
    r->j = r->references;
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        read_reference(r, &ref);
        if (r->j.error)
            return;
        if (!link)
            sm_jaeger_refer(&r->in, &ref);
        else if (!need(r, sm_jaeger_link(&r->in, &ref)))
            return;
    }
}

static void put_references(struct reader *r)
{
    struct sm_json behind = r->j;
    if (!r->references.p) {
        (void)need(r, sm_jaeger_referred(&r->in));
        return;
    }
    walk_references(r, false);
    if (!r->j.error && need(r, sm_jaeger_referred(&r->in)))
        walk_references(r, true);
    behind.error = r->j.error;
    behind.error_at = r->j.error_at;
    r->j = behind;
}

/* The service first, wherever it stands. */
static void walk_process(struct reader *r, bool tags)
{
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    struct sm_str service = sm_str(r->j.start, 0);
    r->j = r->process;
    r->room.used = 0;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (!tags && is_key(&key, "serviceName", "service_name"))
            (void)read_text(r, &service);
        else if (tags && is_key(&key, "tags", NULL))
            read_tags(r, sm_jaeger_process_tag);
        else
            sm_json_skip(&r->j);
    }
    if (!tags && !r->j.error)
        (void)need(r, sm_jaeger_process_begin(&r->in, service));
}

static void put_process(struct reader *r)
{
    struct sm_json behind = r->j;
    if (r->process.p) {
        walk_process(r, false);
        if (!r->j.error)
            walk_process(r, true);
    } else {
        (void)need(r, sm_jaeger_process_begin(&r->in, sm_str(r->j.start, 0)));
    }
    if (!r->j.error)
        sm_jaeger_process_end(&r->in);
    behind.error = r->j.error;
    behind.error_at = r->j.error_at;
    r->j = behind;
}

/* ---- the span ---- */

static void pass_over(struct reader *r, struct sm_json *at)
{
    *at = r->j;
    if (sm_json_null(&r->j))
        at->p = NULL;
    else
        sm_json_skip(&r->j);
}

static void read_flags(struct reader *r)
{
    int64_t flags;
    if (read_int(r, &flags))
        r->in.flags = (uint32_t)flags;
}

static void read_name(struct reader *r)
{
    struct sm_str name;
    if (read_text(r, &name))
        (void)need(r, sm_jaeger_name(&r->in, name));
}

static void read_member(struct reader *r, const struct sm_json_text *key)
{
    r->room.used = 0;
    if (is_key(key, "traceId", "trace_id"))
        read_trace_id(r, &r->in.trace);
    else if (is_key(key, "spanId", "span_id"))
        read_span_id(r, &r->in.id);
    else if (is_key(key, "operationName", "operation_name"))
        read_name(r);
    else if (is_key(key, "references", NULL))
        pass_over(r, &r->references);
    else if (is_key(key, "flags", NULL))
        read_flags(r);
    else if (is_key(key, "startTime", "start_time"))
        read_time(r, &r->in.start_ns);
    else if (is_key(key, "duration", NULL))
        read_duration(r, &r->in.duration_ns);
    else if (is_key(key, "tags", NULL))
        read_tags(r, sm_jaeger_tag);
    else if (is_key(key, "logs", NULL))
        read_logs(r);
    else if (is_key(key, "process", NULL))
        pass_over(r, &r->process);
    else
        sm_json_skip(&r->j);
}

static void read_span(struct reader *r)
{
    struct sm_json_text key;
    uint8_t plain_key[KEY_SIZE_MAX];
    if (!need(r, sm_jaeger_begin(&r->in)))
        return;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        read_member(r, &key);
    }
    if (!r->j.error)
        put_process(r);
    if (!r->j.error)
        put_references(r);
    if (!r->j.error)
        (void)need(r, sm_jaeger_commit(&r->in));
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r = {.j = sm_json_reader(payload->data, payload->size, READER_DEPTH),
                       .room = sm_json_room(d->pool, payload->size)};
    if (sm_jaeger_open(&r.in, d, batch, payload->size + payload->size / 4) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    read_span(&r);
    sm_json_room_fini(&r.room);
    enum sm_rc rc = sm_json_end(&r.j, err);
    if (rc == SM_OK) {
        sm_jaeger_close(&r.in);
        return SM_OK;
    }
    bool no_memory = r.in.build.no_memory;
    sm_batch_clear(batch);
    return no_memory ? sm_err_set(err, SM_E_NOMEM, "out of memory") : rc;
}

const struct sm_codec sm_codec_jaeger_json = {
    .name = "jaeger_json",
    .decode = decode,
};
