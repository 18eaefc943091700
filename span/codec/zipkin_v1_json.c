/* Zipkin v1 JSON: a list of spans, decoded into canonical spans.
 *
 * Reading follows zipkin2's reader of version 1, with the leniencies of zipkin_json.h. Binary annotations whose
 * values are numbers or booleans become texts, where zipkin2 drops them. */
#include "span/codec/zipkin_json.h"
#include "span/codec/zipkin_v1.h"

struct reader {
    struct sm_json j;
    struct sm_zipkin_v1 v;
    const uint8_t *endpoint_bytes; /* the last endpoint read in this span: the others are equal to it, as a rule */
    size_t endpoint_size;
    int16_t endpoint;
    bool has_trace, has_id;
    bool v2; /* the list is in version 2 of the format */
};

static bool fail(struct reader *r, const char *text)
{
    return sm_json_fail(&r->j, text);
}

/* The text without escapes; it stays until the span is committed. */
static bool plain_text(struct reader *r, const struct sm_json_text *text, struct sm_str *plain)
{
    if (SM_LIKELY(!text->escaped)) {
        *plain = sm_str(text->ptr, text->len);
        return true;
    }
    uint8_t *room = sm_zipkin_v1_text(&r->v, text->len);
    if (!room)
        return fail(r, "out of memory");
    *plain = sm_str(room, sm_json_unescape(text, room));
    return true;
}

static bool read_plain(struct reader *r, struct sm_str *plain)
{
    struct sm_json_text text;
    return sm_zipkin_json_text(&r->j, &text) && plain_text(r, &text, plain);
}

/* False when nothing was said about the endpoint. */
static bool read_endpoint_members(struct reader *r, struct sm_zipkin_v1_endpoint *e)
{
    struct sm_json_text key;
    struct sm_str text;
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    bool any = false;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (sm_json_null(&r->j))
            continue;
        if (sm_json_is(&key, "serviceName")) {
            any |= read_plain(r, &e->service);
        } else if (sm_json_is(&key, "ipv4") || sm_json_is(&key, "ipv6")) {
            any = true;
            if (read_plain(r, &text))
                (void)sm_zipkin_address_parse(&e->address, text);
        } else if (sm_json_is(&key, "port")) {
            any = true;
            e->address.port = sm_zipkin_json_port(&r->j);
        } else {
            sm_json_skip(&r->j);
        }
    }
    return any;
}

static int16_t read_endpoint(struct reader *r)
{
    struct sm_zipkin_v1_endpoint e = {.service = {"", 0}};
    if (sm_json_null(&r->j))
        return SM_ZIPKIN_V1_NOBODY;
    const uint8_t *start = r->j.p;
    if (r->endpoint_size && (size_t)(r->j.end - start) >= r->endpoint_size &&
        memcmp(start, r->endpoint_bytes, r->endpoint_size) == 0) {
        r->j.p += r->endpoint_size;
        return r->endpoint;
    }
    bool said = read_endpoint_members(r, &e) && !r->j.error;
    int16_t endpoint = said ? sm_zipkin_v1_endpoint(&r->v, &e) : SM_ZIPKIN_V1_NOBODY;
    r->endpoint = endpoint;
    r->endpoint_bytes = start;
    r->endpoint_size = r->j.error ? 0 : (size_t)(r->j.p - start);
    return endpoint;
}

static void read_annotation(struct reader *r)
{
    struct sm_json_text key;
    struct sm_str value = {"", 0};
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    uint64_t timestamp_us = 0;
    int16_t endpoint = SM_ZIPKIN_V1_NOBODY;
    bool has_timestamp = false, has_value = false;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (sm_json_is(&key, "timestamp")) {
            has_timestamp = !sm_json_null(&r->j);
            timestamp_us = has_timestamp ? sm_zipkin_json_micros(&r->j) : 0;
        } else if (sm_json_is(&key, "value")) {
            has_value = read_plain(r, &value);
        } else if (sm_json_is(&key, "endpoint")) {
            endpoint = read_endpoint(r);
        } else {
            sm_json_skip(&r->j);
        }
    }
    if (r->j.error)
        return;
    if (!has_timestamp || !has_value)
        (void)fail(r, "Incomplete annotation");
    else
        sm_zipkin_v1_annotation(&r->v, timestamp_us, value, endpoint);
}

/* An address is a string, whatever it says, or true. */
static void put_binary_annotation(struct reader *r, struct sm_str key, enum sm_json_type type, struct sm_str value,
                                  int16_t endpoint)
{
    bool address = sm_zipkin_v1_is_address(key);
    if (type == SM_JSON_STRING || (type == SM_JSON_BOOL && (!address || sm_str_eq(value, SM_STR("true")))) ||
        (type == SM_JSON_NUMBER && !address))
        sm_zipkin_v1_tag(&r->v, key, value, endpoint);
}

static void read_binary_annotation(struct reader *r)
{
    struct sm_json_text name;
    struct sm_str key = {"", 0}, value = {"", 0};
    uint8_t plain_name[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    enum sm_json_type type = SM_JSON_NONE;
    int16_t endpoint = SM_ZIPKIN_V1_NOBODY;
    bool has_key = false;
    for (bool more = sm_json_object(&r->j, &name); more; more = sm_json_member(&r->j, &name)) {
        sm_json_plain(&name, plain_name, sizeof plain_name);
        if (sm_json_is(&name, "key")) {
            has_key = read_plain(r, &key);
        } else if (sm_json_is(&name, "value")) {
            type = sm_json_peek(&r->j);
            (void)read_plain(r, &value);
        } else if (sm_json_is(&name, "endpoint")) {
            endpoint = read_endpoint(r);
        } else {
            sm_json_skip(&r->j);
        }
    }
    if (r->j.error)
        return;
    if (!has_key)
        (void)fail(r, "No key");
    else
        put_binary_annotation(r, key, type, value, endpoint);
}

static void read_list_of(struct reader *r, void (*read)(struct reader *r))
{
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read(r);
}

static void read_member(struct reader *r, const struct sm_json_text *key)
{
    if (sm_json_is(key, "traceId"))
        r->has_trace |= sm_zipkin_json_trace_id(&r->j, &r->v.trace);
    else if (sm_json_is(key, "id"))
        r->has_id |= sm_zipkin_json_id(&r->j, &r->v.id);
    else if (sm_json_is(key, "parentId"))
        r->v.parent_id = sm_zipkin_json_parent_id(&r->j);
    else if (sm_json_is(key, "name"))
        (void)read_plain(r, &r->v.name);
    else if (sm_json_is(key, "timestamp"))
        r->v.timestamp_us = sm_zipkin_json_micros(&r->j);
    else if (sm_json_is(key, "duration"))
        r->v.duration_us = sm_zipkin_json_micros(&r->j);
    else if (sm_json_is(key, "annotations"))
        read_list_of(r, read_annotation);
    else if (sm_json_is(key, "binaryAnnotations"))
        read_list_of(r, read_binary_annotation);
    else if (sm_json_is(key, "debug"))
        sm_zipkin_json_bool(&r->j, &r->v.debug);
    else {
        r->v2 |= sm_json_is(key, "localEndpoint") || sm_json_is(key, "remoteEndpoint") || sm_json_is(key, "tags");
        sm_json_skip(&r->j);
    }
}

static void read_span(struct reader *r)
{
    struct sm_json_text key;
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    sm_zipkin_v1_begin(&r->v);
    r->endpoint_size = 0;
    r->has_trace = r->has_id = false;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        read_member(r, &key);
    }
    if (r->v2)
        (void)fail(r, "version 2");
    else if (!r->has_trace || !r->has_id)
        (void)fail(r, r->has_trace ? "Missing : id" : r->has_id ? "Missing : traceId" : "Missing : traceId id");
    else if (!r->j.error && !sm_zipkin_v1_commit(&r->v))
        (void)fail(r, "out of memory");
}

static enum sm_rc read_list(struct reader *r, struct sm_batch *batch, struct sm_err *err)
{
    uint32_t spans_max = r->v.z.build.d->limits.spans_max;
    if (sm_json_peek(&r->j) != SM_JSON_ARRAY)
        return sm_err_set(err, SM_E_INVALID, "Expected a JSON_V1 encoded list");
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        if (batch->count + batch->rejected_total >= spans_max)
            return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one list", spans_max);
        read_span(r);
    }
    struct sm_err why;
    enum sm_rc rc = sm_json_end(&r->j, &why);
    if (r->v.z.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (r->v2)
        return sm_err_set(err, SM_E_INVALID, "Expected a JSON_V1 encoded list, but received: JSON_V2");
    return rc == SM_OK ? SM_OK : sm_err_set(err, rc, "%s reading List<Span> from json", why.text);
}

static enum sm_rc decode_text(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r;
    r.j = sm_json_reader(payload->data, payload->size, SM_JSON_DEPTH_DEFAULT);
    r.v2 = false;
    if (sm_zipkin_v1_open(&r.v, d, batch, payload->size) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    enum sm_rc rc = payload->size ? read_list(&r, batch, err) : SM_OK;
    sm_zipkin_v1_close(&r.v, rc);
    return rc;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return sm_zipkin_json_decode(d, payload, batch, err, decode_text);
}

const struct sm_codec sm_codec_zipkin_v1_json = {
    .name = "zipkin_v1_json",
    .decode = decode,
};
