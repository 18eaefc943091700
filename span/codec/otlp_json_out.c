/* OTLP JSON encoder: canonical spans as protobuf's JSON with ids in hex. Members stand in the order of the schema's fields. */
#include "base/json_out.h"
#include "span/attr.h"
#include "span/codec/otlp_encode.h"
#include "span/private.h"

/* Members of an object, separated by commas. */
struct members {
    struct sm_buf *out;
    bool any;
};

static void put_key(struct members *m, const char *key)
{
    sm_buf_puts(m->out, m->any ? ",\"" : "\"");
    sm_buf_puts(m->out, key);
    sm_buf_put(m->out, "\":", 2);
    m->any = true;
}

static void put_text(struct members *m, const char *key, struct sm_str text)
{
    if (text.len == 0)
        return;
    put_key(m, key);
    sm_json_put_string(m->out, text);
}

/* Of what came as varint the lower 32 bits count, as they do for protobuf's own readers. */
static void put_number(struct members *m, const char *key, uint32_t v)
{
    if (v == 0)
        return;
    put_key(m, key);
    sm_json_put_uint(m->out, v);
}

/* 64-bit numbers are strings in protobuf's JSON. */
static void put_enum(struct members *m, const char *key, uint64_t v)
{
    if ((int32_t)v == 0)
        return;
    put_key(m, key);
    sm_json_put_int(m->out, (int32_t)v);
}

static void put_nanos(struct members *m, const char *key, uint64_t v)
{
    if (v == 0)
        return;
    put_key(m, key);
    sm_buf_putc(m->out, '"');
    sm_json_put_uint(m->out, v);
    sm_buf_putc(m->out, '"');
}

/* An id of zeros is none: some SDKs write one for the parent of a root. */
static void put_hex(struct members *m, const char *key, struct sm_str id)
{
    static const char digits[] = "0123456789abcdef", zeros[16] = "";
    if (id.len == 0 || id.len > sizeof zeros || memcmp(id.ptr, zeros, id.len) == 0)
        return;
    char hex[32];
    for (size_t i = 0; i < id.len; i++) {
        hex[2 * i] = digits[(uint8_t)id.ptr[i] >> 4];
        hex[2 * i + 1] = digits[id.ptr[i] & 15];
    }
    put_key(m, key);
    sm_buf_putc(m->out, '"');
    sm_buf_put(m->out, hex, id.len * 2);
    sm_buf_putc(m->out, '"');
}

static void put_value(struct sm_buf *out, const struct sm_value *value, unsigned depth);

static void put_key_value(struct sm_buf *out, struct sm_str key, const struct sm_value *value, unsigned depth)
{
    sm_buf_puts(out, "{\"key\":");
    sm_json_put_string(out, key);
    sm_buf_puts(out, ",\"value\":");
    put_value(out, value, depth);
    sm_buf_putc(out, '}');
}

static void put_kvlist(struct sm_buf *out, struct sm_str list, unsigned depth)
{
    struct sm_attr_iter it = sm_attr_iter(list.ptr, list.len, 1);
    struct sm_str key;
    struct sm_value value;
    bool any = false;
    for (; sm_attr_next(&it, &key, &value); any = true) {
        if (any)
            sm_buf_putc(out, ',');
        put_key_value(out, key, &value, depth + 1);
    }
}

static void put_array(struct sm_buf *out, struct sm_str array, unsigned depth)
{
    const uint8_t *p = (const uint8_t *)array.ptr, *end = sm_pb_end(p, array.len);
    struct sm_pb_field f;
    struct sm_value value;
    bool any = false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 1 || f.wire != SM_PB_BYTES || !sm_value_decode(f.bytes, f.size, &value))
            continue;
        if (any)
            sm_buf_putc(out, ',');
        any = true;
        put_value(out, &value, depth + 1);
    }
}

/* An AnyValue; one that nests too deeply or is malformed has no member. */
static void put_value(struct sm_buf *out, const struct sm_value *value, unsigned depth)
{
    sm_buf_putc(out, '{');
    switch (depth > SM_VALUE_DEPTH_MAX ? SM_VALUE_EMPTY : value->type) {
    case SM_VALUE_EMPTY:
        break;
    case SM_VALUE_STRING:
        sm_buf_puts(out, "\"stringValue\":");
        sm_json_put_string(out, value->bytes);
        break;
    case SM_VALUE_BOOL:
        sm_buf_puts(out, value->b ? "\"boolValue\":true" : "\"boolValue\":false");
        break;
    case SM_VALUE_INT:
        sm_buf_puts(out, "\"intValue\":\"");
        sm_json_put_int(out, value->i);
        sm_buf_putc(out, '"');
        break;
    case SM_VALUE_DOUBLE:
        sm_buf_puts(out, "\"doubleValue\":");
        sm_json_put_double(out, value->d);
        break;
    case SM_VALUE_ARRAY:
        sm_buf_puts(out, "\"arrayValue\":{\"values\":[");
        put_array(out, value->bytes, depth);
        sm_buf_puts(out, "]}");
        break;
    case SM_VALUE_KVLIST:
        sm_buf_puts(out, "\"kvlistValue\":{\"values\":[");
        put_kvlist(out, value->bytes, depth);
        sm_buf_puts(out, "]}");
        break;
    case SM_VALUE_BYTES:
        sm_buf_puts(out, "\"bytesValue\":\"");
        sm_json_put_base64(out, value->bytes);
        sm_buf_putc(out, '"');
        break;
    }
    sm_buf_putc(out, '}');
}

static void put_attributes(struct members *m, struct sm_str message, uint32_t field)
{
    struct sm_attr_iter it = sm_attr_iter(message.ptr, message.len, field);
    struct sm_str key;
    struct sm_value value;
    bool any = false;
    for (; sm_attr_next(&it, &key, &value); any = true) {
        if (any)
            sm_buf_putc(m->out, ',');
        else {
            put_key(m, "attributes");
            sm_buf_putc(m->out, '[');
        }
        put_key_value(m->out, key, &value, 1);
    }
    if (any)
        sm_buf_putc(m->out, ']');
}

/* The scalars of a message by field number, the last of each; fields above the array's end are left out. */
#define FIELDS_MAX 17
struct fields {
    struct sm_pb_field of[FIELDS_MAX];
};

static struct sm_str bytes_of(const struct fields *fields, uint32_t number)
{
    return sm_str(fields->of[number].bytes, fields->of[number].size);
}

static void collect(struct fields *fields, struct sm_str message)
{
    const uint8_t *p = (const uint8_t *)message.ptr, *end = sm_pb_end(p, message.len);
    struct sm_pb_field f;
    memset(fields, 0, sizeof *fields);
    while (sm_pb_next(&p, end, &f)) {
        if (f.number < FIELDS_MAX)
            fields->of[f.number] = f;
    }
}

static void put_event(struct sm_buf *out, struct sm_str event)
{
    struct members m = {.out = out};
    struct fields f;
    collect(&f, event);
    put_nanos(&m, "timeUnixNano", f.of[1].value);
    put_text(&m, "name", bytes_of(&f, 2));
    put_attributes(&m, event, 3);
    put_number(&m, "droppedAttributesCount", (uint32_t)f.of[4].value);
}

static void put_link(struct sm_buf *out, struct sm_str link)
{
    struct members m = {.out = out};
    struct fields f;
    collect(&f, link);
    put_hex(&m, "traceId", bytes_of(&f, 1));
    put_hex(&m, "spanId", bytes_of(&f, 2));
    put_text(&m, "traceState", bytes_of(&f, 3));
    put_attributes(&m, link, 4);
    put_number(&m, "droppedAttributesCount", (uint32_t)f.of[5].value);
    put_number(&m, "flags", (uint32_t)f.of[6].value);
}

static void put_all(struct members *m, const char *key, struct sm_str span, uint32_t field,
                    void (*put)(struct sm_buf *, struct sm_str))
{
    const uint8_t *p = (const uint8_t *)span.ptr, *end = sm_pb_end(p, span.len);
    struct sm_pb_field f;
    bool any = false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != field || f.wire != SM_PB_BYTES)
            continue;
        if (any)
            sm_buf_putc(m->out, ',');
        else {
            put_key(m, key);
            sm_buf_putc(m->out, '[');
        }
        any = true;
        sm_buf_putc(m->out, '{');
        put(m->out, sm_str(f.bytes, f.size));
        sm_buf_putc(m->out, '}');
    }
    if (any)
        sm_buf_putc(m->out, ']');
}

static void put_status(struct members *m, const struct fields *span)
{
    struct fields f;
    if (!span->of[SM_OTLP_STATUS].bytes)
        return;
    collect(&f, bytes_of(span, SM_OTLP_STATUS));
    put_key(m, "status");
    sm_buf_putc(m->out, '{');
    struct members status = {.out = m->out};
    put_text(&status, "message", bytes_of(&f, 2));
    put_enum(&status, "code", f.of[3].value);
    sm_buf_putc(m->out, '}');
}

static void put_span(struct sm_buf *out, struct sm_str span)
{
    struct members m = {.out = out};
    struct fields f;
    collect(&f, span);
    sm_buf_putc(out, '{');
    put_hex(&m, "traceId", bytes_of(&f, SM_OTLP_TRACE_ID));
    put_hex(&m, "spanId", bytes_of(&f, SM_OTLP_SPAN_ID));
    put_text(&m, "traceState", bytes_of(&f, SM_OTLP_TRACE_STATE));
    put_hex(&m, "parentSpanId", bytes_of(&f, SM_OTLP_PARENT_SPAN_ID));
    put_number(&m, "flags", (uint32_t)f.of[SM_OTLP_FLAGS].value);
    put_text(&m, "name", bytes_of(&f, SM_OTLP_NAME));
    put_enum(&m, "kind", f.of[SM_OTLP_KIND].value);
    put_nanos(&m, "startTimeUnixNano", f.of[SM_OTLP_START].value);
    put_nanos(&m, "endTimeUnixNano", f.of[SM_OTLP_END].value);
    put_attributes(&m, span, SM_OTLP_ATTRIBUTES);
    put_number(&m, "droppedAttributesCount", (uint32_t)f.of[SM_OTLP_DROPPED_ATTRIBUTES].value);
    if (f.of[SM_OTLP_EVENTS].bytes)
        put_all(&m, "events", span, SM_OTLP_EVENTS, put_event);
    put_number(&m, "droppedEventsCount", (uint32_t)f.of[SM_OTLP_DROPPED_EVENTS].value);
    if (f.of[SM_OTLP_LINKS].bytes)
        put_all(&m, "links", span, SM_OTLP_LINKS, put_link);
    put_number(&m, "droppedLinksCount", (uint32_t)f.of[SM_OTLP_DROPPED_LINKS].value);
    put_status(&m, &f);
    sm_buf_putc(out, '}');
}

/* Spans that did not come as OTLP are written as other receivers should see them. */
static void put_any_span(struct sm_buf *out, struct sm_str span, struct sm_buf *plain)
{
    struct sm_private priv;
    if (!sm_private_find((const uint8_t *)span.ptr, span.len, &priv)) {
        put_span(out, span);
        return;
    }
    sm_buf_clear(plain);
    sm_private_plain(span, plain);
    put_span(out, sm_buf_str(plain));
}

static void put_scope_spans(struct sm_buf *out, const struct sm_encode_span *spans, size_t count, struct sm_buf *plain)
{
    struct members m = {.out = out};
    struct fields f;
    sm_buf_putc(out, '{');
    if (spans[0].scope.len) {
        collect(&f, spans[0].scope);
        put_key(&m, "scope");
        sm_buf_putc(out, '{');
        struct members scope = {.out = out};
        put_text(&scope, "name", bytes_of(&f, 1));
        put_text(&scope, "version", bytes_of(&f, 2));
        put_attributes(&scope, spans[0].scope, 3);
        put_number(&scope, "droppedAttributesCount", (uint32_t)f.of[4].value);
        sm_buf_putc(out, '}');
    }
    put_key(&m, "spans");
    for (size_t i = 0; i < count; i++) {
        sm_buf_putc(out, i ? ',' : '[');
        put_any_span(out, spans[i].bytes, plain);
    }
    sm_buf_putc(out, ']');
    put_text(&m, "schemaUrl", spans[0].scope_schema_url);
    sm_buf_putc(out, '}');
}

static void put_resource_spans(struct sm_buf *out, const struct sm_encode_span *spans, size_t count, struct sm_buf *plain)
{
    struct members m = {.out = out};
    struct fields f;
    sm_buf_putc(out, '{');
    if (spans[0].resource.len) {
        collect(&f, spans[0].resource);
        put_key(&m, "resource");
        sm_buf_putc(out, '{');
        struct members resource = {.out = out};
        put_attributes(&resource, spans[0].resource, 1);
        put_number(&resource, "droppedAttributesCount", (uint32_t)f.of[2].value);
        sm_buf_putc(out, '}');
    }
    put_key(&m, "scopeSpans");
    for (size_t i = 0, n; i < count; i += n) {
        n = sm_otlp_scope_run(spans + i, count - i);
        sm_buf_putc(out, i ? ',' : '[');
        put_scope_spans(out, spans + i, n, plain);
    }
    sm_buf_putc(out, ']');
    put_text(&m, "schemaUrl", spans[0].resource_schema_url);
    sm_buf_putc(out, '}');
}

void sm_otlp_json_put_resource_spans(const struct sm_encode_span *spans, size_t count, struct sm_buf *out)
{
    struct sm_buf plain = {0};
    for (size_t i = 0, n; i < count; i += n) {
        n = sm_otlp_resource_run(spans + i, count - i);
        if (i)
            sm_buf_putc(out, ',');
        put_resource_spans(out, spans + i, n, &plain);
    }
    sm_buf_fini(&plain);
}

void sm_codec_otlp_json_encode(const struct sm_encode_span *spans, size_t count, struct sm_buf *out)
{
    sm_buf_puts(out, "{\"resourceSpans\":[");
    sm_otlp_json_put_resource_spans(spans, count, out);
    sm_buf_puts(out, "]}");
}
