/* Zipkin v2 JSON: a list of spans, decoded into canonical spans and encoded from spans of any origin.
 *
 * Reading follows zipkin2's reader where that is sensible (unknown and null fields are passed over; a bad id,
 * kind, port or an incomplete annotation refuses the list) and is kinder where clients get it wrong: hex digits of
 * either case, numbers with fraction or exponent or in quotes, tag values that are not strings, bytes that are not UTF-8. */
#include "base/json_out.h"
#include "base/utf8.h"
#include "span/codec/zipkin.h"
#include "span/codec/zipkin_json.h"

#include <arpa/inet.h>
#include <math.h>

/* A number, with or without quotes; false at errors and for null. */
static bool read_number(struct sm_json *j, struct sm_json_number *n)
{
    if (SM_LIKELY(sm_json_peek(j) == SM_JSON_NUMBER))
        return sm_json_number(j, n);
    if (sm_json_null(j))
        return false;
    struct sm_json_text text;
    if (!sm_json_string(j, &text))
        return false;
    return sm_json_number_parse(sm_str(text.ptr, text.len), n) || sm_json_fail(j, "expected a number");
}

static uint64_t micros_of(const struct sm_json_number *n)
{
    switch (n->type) {
    case SM_JSON_INT:
        return n->i > 0 ? (uint64_t)n->i : 0;
    case SM_JSON_UINT:
        return n->u;
    default:
        if (n->d <= 0)
            return 0;
        if (n->d >= 0x1p63)
            return UINT64_MAX;
        return n->d < 1 ? 1 : (uint64_t)llround(n->d);
    }
}

uint64_t sm_zipkin_json_micros(struct sm_json *j)
{
    struct sm_json_number n;
    return read_number(j, &n) ? micros_of(&n) : 0;
}

void sm_zipkin_json_bool(struct sm_json *j, bool *value)
{
    if (!sm_json_null(j))
        (void)sm_json_bool(j, value);
}

uint16_t sm_zipkin_json_port(struct sm_json *j)
{
    struct sm_json_number n;
    int64_t v;
    if (!read_number(j, &n))
        return 0;
    if (sm_json_number_int64(&n, &v) && v <= UINT16_MAX)
        return v > 0 ? (uint16_t)v : 0;
    (void)sm_json_fail(j, "invalid port");
    return 0;
}

enum { ID_SIZE_MAX = 6 * 32 }; /* of the longest id, were each character written as an escape */

/* The text of an id without escapes, which nobody writes; one that is too long for an id may keep them. */
static bool read_id_text(struct sm_json *j, uint8_t plain[ID_SIZE_MAX], struct sm_str *text)
{
    struct sm_json_text t;
    if (!sm_zipkin_json_text(j, &t))
        return false;
    sm_json_plain(&t, plain, ID_SIZE_MAX);
    *text = sm_str(t.ptr, t.len);
    return true;
}

bool sm_zipkin_json_trace_id(struct sm_json *j, struct sm_trace_id *id)
{
    struct sm_str text;
    uint8_t plain[ID_SIZE_MAX];
    if (!read_id_text(j, plain, &text))
        return false;
    if (SM_LIKELY(sm_trace_id_parse(text, id) == SM_OK))
        return true;
    return sm_json_fail(j, text.len == 0    ? "traceId is empty"
                           : text.len > 32 ? "traceId.length > 32"
                                           : "traceId is all zeros or not hex encoded");
}

bool sm_zipkin_json_id(struct sm_json *j, uint64_t *id)
{
    struct sm_str text;
    uint8_t plain[ID_SIZE_MAX];
    if (!read_id_text(j, plain, &text))
        return false;
    if (SM_LIKELY(sm_span_id_parse(text, id) == SM_OK))
        return true;
    return sm_json_fail(j, text.len == 0    ? "id is empty"
                           : text.len > 16 ? "id.length > 16"
                                           : "id is all zeros or not hex encoded");
}

static bool all_zeros(struct sm_str text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] == '0')
        n++;
    return n == text.len;
}

uint64_t sm_zipkin_json_parent_id(struct sm_json *j)
{
    struct sm_str text;
    uint64_t id = 0;
    uint8_t plain[ID_SIZE_MAX];
    if (read_id_text(j, plain, &text) && SM_UNLIKELY(sm_span_id_parse(text, &id) != SM_OK)) {
        id = 0;
        if (text.len > 16 || !all_zeros(text))
            (void)sm_json_fail(j, text.len > 16 ? "parentId.length > 16" : "parentId is not hex encoded");
    }
    return id;
}

struct reader {
    struct sm_json j;
    struct sm_zipkin_in z;
    bool has_trace, has_id;
    bool v1; /* the list is in version 1 of the format */
};

static bool fail(struct reader *r, const char *text)
{
    return sm_json_fail(&r->j, text);
}

static bool out_of_memory(struct reader *r)
{
    return sm_json_fail(&r->j, "out of memory");
}

/* The text without escapes; lies in the arena's scratch room when there were some. */
static bool plain_text(struct reader *r, const struct sm_json_text *text, struct sm_str *plain)
{
    if (SM_LIKELY(!text->escaped)) {
        *plain = sm_str(text->ptr, text->len);
        return true;
    }
    uint8_t *scratch = sm_zipkin_scratch(&r->z, text->len);
    if (!scratch)
        return out_of_memory(r);
    *plain = sm_str(scratch, sm_json_unescape(text, scratch));
    return true;
}

static bool read_plain(struct reader *r, struct sm_str *plain)
{
    struct sm_json_text text;
    return sm_zipkin_json_text(&r->j, &text) && plain_text(r, &text, plain);
}

static void read_kind(struct reader *r)
{
    struct sm_str text;
    r->z.kind = SM_KIND_UNSPECIFIED;
    if (!read_plain(r, &text))
        return;
    if (sm_str_eq(text, SM_STR("CLIENT")))
        r->z.kind = SM_KIND_CLIENT;
    else if (sm_str_eq(text, SM_STR("SERVER")))
        r->z.kind = SM_KIND_SERVER;
    else if (sm_str_eq(text, SM_STR("PRODUCER")))
        r->z.kind = SM_KIND_PRODUCER;
    else if (sm_str_eq(text, SM_STR("CONSUMER")))
        r->z.kind = SM_KIND_CONSUMER;
    else
        (void)fail(r, "kind is not one of CLIENT, SERVER, PRODUCER, CONSUMER");
}

static void read_name(struct reader *r)
{
    struct sm_str text;
    if (read_plain(r, &text) && !sm_zipkin_name(&r->z, text))
        (void)out_of_memory(r);
}

static void read_endpoint(struct reader *r, bool local)
{
    struct sm_zipkin_address *address = local ? &r->z.local : &r->z.remote;
    struct sm_json_text key;
    struct sm_str text;
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (sm_json_is(&key, "serviceName")) {
            if (!read_plain(r, &text))
                continue;
            if (local)
                sm_zipkin_local_service(&r->z, text);
            else
                sm_zipkin_remote_service(&r->z, text);
        } else if (sm_json_is(&key, "ipv4") || sm_json_is(&key, "ipv6")) {
            if (read_plain(r, &text))
                (void)sm_zipkin_address_parse(address, text);
        } else if (sm_json_is(&key, "port")) {
            address->port = sm_zipkin_json_port(&r->j);
        } else {
            sm_json_skip(&r->j);
        }
    }
}

static void read_annotation(struct reader *r)
{
    struct sm_json_text key, value = {0};
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    uint64_t timestamp_us = 0;
    bool has_timestamp = false, has_value = false;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        if (sm_json_is(&key, "timestamp")) {
            has_timestamp = !sm_json_null(&r->j);
            timestamp_us = has_timestamp ? sm_zipkin_json_micros(&r->j) : 0;
        } else if (sm_json_is(&key, "value")) {
            has_value = sm_zipkin_json_text(&r->j, &value);
        } else {
            sm_json_skip(&r->j);
        }
    }
    struct sm_str text;
    if (r->j.error)
        return;
    if (!has_timestamp || !has_value)
        (void)fail(r, "Incomplete annotation");
    else if (plain_text(r, &value, &text) && !sm_zipkin_annotation(&r->z, timestamp_us, text))
        (void)out_of_memory(r);
}

static void read_annotations(struct reader *r)
{
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j))
        read_annotation(r);
}

/* Key and value side by side in the scratch room, far enough apart to be read beyond their ends. */
static bool put_escaped_tag(struct reader *r, const struct sm_json_text *key, const struct sm_json_text *value)
{
    uint8_t *scratch = sm_zipkin_scratch(&r->z, key->len + value->len);
    if (!scratch)
        return false;
    struct sm_str plain_key = sm_str(scratch, sm_json_unescape(key, scratch));
    uint8_t *behind = scratch + plain_key.len;
    return sm_zipkin_tag(&r->z, plain_key, sm_str(behind, sm_json_unescape(value, behind)));
}

static void read_tags(struct reader *r)
{
    struct sm_json_text key, value;
    if (sm_json_null(&r->j))
        return;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        if (!sm_zipkin_json_text(&r->j, &value)) {
            (void)fail(r, "No value of a tag");
            return;
        }
        bool put = SM_LIKELY(!key.escaped && !value.escaped)
                       ? sm_zipkin_tag(&r->z, sm_str(key.ptr, key.len), sm_str(value.ptr, value.len))
                       : put_escaped_tag(r, &key, &value);
        if (SM_UNLIKELY(!put))
            (void)out_of_memory(r);
    }
}

/* Keys differ in length, but for parentId and duration. */
static void read_member(struct reader *r, const struct sm_json_text *key)
{
    switch (key->len) {
    case 2:
        if (sm_json_is(key, "id"))
            return (void)(r->has_id |= sm_zipkin_json_id(&r->j, &r->z.id));
        break;
    case 4:
        if (sm_json_is(key, "name"))
            return read_name(r);
        if (sm_json_is(key, "kind"))
            return read_kind(r);
        if (sm_json_is(key, "tags"))
            return read_tags(r);
        break;
    case 5:
        if (sm_json_is(key, "debug"))
            return sm_zipkin_json_bool(&r->j, &r->z.debug);
        break;
    case 6:
        if (sm_json_is(key, "shared"))
            return sm_zipkin_json_bool(&r->j, &r->z.shared);
        break;
    case 7:
        if (sm_json_is(key, "traceId"))
            return (void)(r->has_trace |= sm_zipkin_json_trace_id(&r->j, &r->z.trace));
        break;
    case 8:
        if (sm_json_is(key, "parentId"))
            return (void)(r->z.parent_id = sm_zipkin_json_parent_id(&r->j));
        if (sm_json_is(key, "duration"))
            return (void)(r->z.duration_us = sm_zipkin_json_micros(&r->j));
        break;
    case 9:
        if (sm_json_is(key, "timestamp"))
            return (void)(r->z.timestamp_us = sm_zipkin_json_micros(&r->j));
        break;
    case 11:
        if (sm_json_is(key, "annotations"))
            return read_annotations(r);
        break;
    case 13:
        if (sm_json_is(key, "localEndpoint"))
            return read_endpoint(r, true);
        break;
    case 14:
        if (sm_json_is(key, "remoteEndpoint"))
            return read_endpoint(r, false);
        break;
    case 17:
        r->v1 |= sm_json_is(key, "binaryAnnotations");
        break;
    default:
        break;
    }
    sm_json_skip(&r->j);
}

static void read_span(struct reader *r)
{
    struct sm_json_text key;
    uint8_t plain_key[SM_ZIPKIN_JSON_KEY_SIZE_MAX];
    if (!sm_zipkin_begin(&r->z)) {
        (void)out_of_memory(r);
        return;
    }
    r->has_trace = r->has_id = false;
    for (bool more = sm_json_object(&r->j, &key); more; more = sm_json_member(&r->j, &key)) {
        sm_json_plain(&key, plain_key, sizeof plain_key);
        read_member(r, &key);
    }
    if (r->v1)
        (void)fail(r, "version 1");
    else if (!r->has_trace || !r->has_id)
        (void)fail(r, r->has_trace ? "Missing : id" : r->has_id ? "Missing : traceId" : "Missing : traceId id");
    else if (!r->j.error && !sm_zipkin_commit(&r->z, SM_ORIGIN_ZIPKIN_V2))
        (void)out_of_memory(r);
}

static enum sm_rc read_list(struct reader *r, struct sm_batch *batch, struct sm_err *err)
{
    uint32_t spans_max = r->z.build.d->limits.spans_max;
    if (sm_json_peek(&r->j) != SM_JSON_ARRAY)
        return sm_err_set(err, SM_E_INVALID, "Expected a JSON_V2 encoded list");
    for (bool more = sm_json_array(&r->j); more; more = sm_json_element(&r->j)) {
        if (batch->count + batch->rejected_total == spans_max)
            return sm_err_set(err, SM_E_LIMIT, "more than %u spans in one list", spans_max);
        read_span(r);
    }
    struct sm_err why;
    enum sm_rc rc = sm_json_end(&r->j, &why);
    if (r->z.build.no_memory)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (r->v1)
        return sm_err_set(err, SM_E_INVALID, "Expected a JSON_V2 encoded list, but received: JSON_V1");
    return rc == SM_OK ? SM_OK : sm_err_set(err, rc, "%s reading List<Span> from json", why.text);
}

enum sm_rc sm_zipkin_json_decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err,
                                 sm_zipkin_json_decoder *decode)
{
    enum sm_rc rc = decode(d, payload, batch, err);
    if (SM_LIKELY(rc != SM_E_INVALID) || sm_zipkin_form_of(sm_str(payload->data, payload->size)) != SM_ZIPKIN_JSON)
        return rc;
    size_t invalid = sm_utf8_count_invalid(payload->data, payload->size);
    if (invalid == 0 || invalid > payload->size / 4)
        return rc;
    struct sm_payload *good = sm_payload_new(d->pool, payload->size + 2 * invalid);
    if (!good)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    good->size = sm_utf8_repair(good->data, payload->data, payload->size);
    rc = decode(d, good, batch, err);
    sm_payload_put(good);
    return rc;
}

/* Zipkin takes an empty body for an empty list. */
static enum sm_rc decode_text(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct reader r;
    r.j = sm_json_reader(payload->data, payload->size, SM_JSON_DEPTH_DEFAULT);
    r.v1 = false;
    if (sm_zipkin_open(&r.z, d, batch, payload->size + payload->size / 4) != SM_OK)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    enum sm_rc rc = payload->size ? read_list(&r, batch, err) : SM_OK;
    if (rc == SM_OK)
        sm_zipkin_close(&r.z);
    else
        sm_batch_clear(batch);
    return rc;
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return sm_zipkin_json_decode(d, payload, batch, err, decode_text);
}

static void put_address(struct sm_buf *out, const char *key, int family, const uint8_t *address, bool *first)
{
    static const uint8_t zeros[12];
    char text[INET6_ADDRSTRLEN];
    if (!inet_ntop(family, address, text, sizeof text))
        return;
    if (family == AF_INET6 && memcmp(address, zeros, sizeof zeros) == 0 && strchr(text, '.')) /* which reads as one of IPv4 */
        snprintf(text, sizeof text, "::%x:%x", address[12] << 8 | address[13], address[14] << 8 | address[15]);
    sm_buf_printf(out, "%s\"%s\":\"%s\"", *first ? "" : ",", key, text);
    *first = false;
}

static void put_endpoint(struct sm_buf *out, const char *key, const struct sm_zipkin_endpoint *e)
{
    bool first = true;
    if (!e->service.len && !e->address.has_ipv4 && !e->address.has_ipv6 && !e->address.port)
        return;
    sm_buf_printf(out, ",\"%s\":{", key);
    if (e->service.len) {
        sm_buf_puts(out, "\"serviceName\":");
        sm_json_put_string(out, e->service);
        first = false;
    }
    if (e->address.has_ipv4)
        put_address(out, "ipv4", AF_INET, e->address.ipv4, &first);
    if (e->address.has_ipv6)
        put_address(out, "ipv6", AF_INET6, e->address.ipv6, &first);
    if (e->address.port)
        sm_buf_printf(out, "%s\"port\":%u", first ? "" : ",", e->address.port);
    sm_buf_putc(out, '}');
}

static void put_ids(struct sm_buf *out, const struct sm_zipkin_span *z)
{
    char trace[SM_TRACE_ID_HEX_SIZE], id[SM_SPAN_ID_HEX_SIZE];
    sm_trace_id_hex(z->trace, trace);
    sm_buf_puts(out, "{\"traceId\":\"");
    sm_buf_puts(out, z->trace.hi ? trace : trace + 16);
    if (z->parent_id) {
        sm_span_id_hex(z->parent_id, id);
        sm_buf_puts(out, "\",\"parentId\":\"");
        sm_buf_puts(out, id);
    }
    sm_span_id_hex(z->id, id);
    sm_buf_puts(out, "\",\"id\":\"");
    sm_buf_puts(out, id);
    sm_buf_putc(out, '"');
}

static void put_number(struct sm_buf *out, const char *key, uint64_t v)
{
    if (v == 0)
        return;
    sm_buf_puts(out, key);
    sm_json_put_uint(out, v);
}

static void put_annotations(struct sm_buf *out, const struct sm_zipkin_span *z)
{
    for (size_t i = 0; i < z->annotation_count; i++) {
        sm_buf_puts(out, i ? ",{\"timestamp\":" : ",\"annotations\":[{\"timestamp\":");
        sm_json_put_uint(out, z->annotations[i].timestamp_us);
        sm_buf_puts(out, ",\"value\":");
        sm_json_put_string(out, z->annotations[i].value);
        sm_buf_putc(out, '}');
    }
    if (z->annotation_count)
        sm_buf_putc(out, ']');
}

static void put_tags(struct sm_buf *out, const struct sm_zipkin_span *z)
{
    for (size_t i = 0; i < z->tag_count; i++) {
        sm_buf_puts(out, i ? "," : ",\"tags\":{");
        sm_json_put_string(out, z->tags[i].key);
        sm_buf_putc(out, ':');
        sm_json_put_string(out, z->tags[i].value);
    }
    if (z->tag_count)
        sm_buf_putc(out, '}');
}

static void put_span(struct sm_buf *out, const struct sm_zipkin_span *z)
{
    static const char *const kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    put_ids(out, z);
    if (z->kind) {
        sm_buf_puts(out, ",\"kind\":\"");
        sm_buf_puts(out, kinds[z->kind]);
        sm_buf_putc(out, '"');
    }
    if (z->name.len) {
        sm_buf_puts(out, ",\"name\":");
        sm_json_put_string(out, z->name);
    }
    put_number(out, ",\"timestamp\":", z->timestamp_us);
    put_number(out, ",\"duration\":", z->duration_us);
    put_endpoint(out, "localEndpoint", &z->local);
    put_endpoint(out, "remoteEndpoint", &z->remote);
    put_annotations(out, z);
    put_tags(out, z);
    if (z->debug)
        sm_buf_puts(out, ",\"debug\":true");
    if (z->shared)
        sm_buf_puts(out, ",\"shared\":true");
    sm_buf_putc(out, '}');
}

static void encode(const struct sm_encode_span *spans, size_t count, struct sm_buf *out)
{
    struct sm_zipkin_span z = {0};
    char separator = '[';
    for (size_t i = 0; i < count; i++) {
        if (!sm_zipkin_span_from(&z, &spans[i]))
            continue;
        sm_buf_putc(out, separator);
        separator = ',';
        put_span(out, &z);
    }
    sm_buf_puts(out, separator == '[' ? "[]" : "]");
    sm_zipkin_span_fini(&z);
}

const struct sm_codec sm_codec_zipkin_json = {
    .name = "zipkin_json",
    .decode = decode,
    .encode = encode,
};
