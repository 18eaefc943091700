/* Walking canonical span bytes: attributes, values, and values as text. */
#include "span/attr.h"

#include "span/lead.h"
#include "base/json_out.h"

/* Field numbers of common.proto `AnyValue`, `ArrayValue`, `KeyValueList`, `KeyValue`. */
enum { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_KVLIST, ANY_BYTES };
enum { ARRAY_VALUES = 1, KVLIST_VALUES = 1 };
enum { KV_KEY = 1, KV_VALUE };

static const struct sm_value empty_value = {.type = SM_VALUE_EMPTY};

/* Fields of another wire type than the schema's are skipped like unknown ones, as protobuf parsers do. */
static void take_member(const struct sm_pb_field *f, struct sm_value *value)
{
    if (f->wire == SM_PB_VARINT && f->number == ANY_BOOL)
        *value = (struct sm_value){.type = SM_VALUE_BOOL, .b = f->value != 0};
    else if (f->wire == SM_PB_VARINT && f->number == ANY_INT)
        *value = (struct sm_value){.type = SM_VALUE_INT, .i = (int64_t)f->value};
    else if (f->wire == SM_PB_FIXED64 && f->number == ANY_DOUBLE) {
        *value = (struct sm_value){.type = SM_VALUE_DOUBLE};
        memcpy(&value->d, &f->value, sizeof value->d);
    } else if (f->wire == SM_PB_BYTES) {
        static const enum sm_value_type types[] = {[ANY_STRING] = SM_VALUE_STRING,
                                                   [ANY_ARRAY] = SM_VALUE_ARRAY,
                                                   [ANY_KVLIST] = SM_VALUE_KVLIST,
                                                   [ANY_BYTES] = SM_VALUE_BYTES};
        if (f->number < SM_ARRAY_LEN(types) && types[f->number] != SM_VALUE_EMPTY)
            *value = (struct sm_value){.type = types[f->number], .bytes = sm_str(f->bytes, f->size)};
    }
}

bool sm_value_decode(const uint8_t *any, size_t size, struct sm_value *value)
{
    const uint8_t *p = any, *end = sm_pb_end(any, size);
    struct sm_pb_field f;
    *value = empty_value;
    while (sm_pb_next(&p, end, &f))
        take_member(&f, value);
    return p == end;
}

bool sm_value_at(const uint8_t *span_bytes, size_t span_size, uint32_t record, struct sm_value *value)
{
    size_t offset = SM_WANTED_OFFSET(record);
    uint64_t size;
    *value = empty_value;
    if (offset >= span_size)
        return false;
    const uint8_t *end = sm_pb_end(span_bytes, span_size);
    const uint8_t *any = sm_pb_varint(span_bytes + offset, end, &size);
    return any && size <= (uint64_t)(end - any) && sm_value_decode(any, (size_t)size, value);
}

bool sm_attr_decode(const uint8_t *kv, size_t size, struct sm_str *key, struct sm_value *value)
{
    const uint8_t *p = kv, *end = sm_pb_end(kv, size);
    struct sm_pb_field f;
    *key = (struct sm_str){NULL, 0};
    *value = empty_value;
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire != SM_PB_BYTES)
            continue;
        if (f.number == KV_KEY)
            *key = sm_str(f.bytes, f.size);
        else if (f.number == KV_VALUE && !sm_value_decode(f.bytes, f.size, value))
            return false;
    }
    return p == end;
}

bool sm_attr_next(struct sm_attr_iter *it, struct sm_str *key, struct sm_value *value)
{
    struct sm_pb_field f;
    while (sm_pb_next(&it->p, it->end, &f)) {
        if (f.number == it->field && f.wire == SM_PB_BYTES)
            return sm_attr_decode(f.bytes, f.size, key, value);
    }
    it->p = it->end;
    return false;
}

bool sm_attr_find(const void *message, size_t size, uint32_t field, struct sm_str key, struct sm_value *value)
{
    struct sm_attr_iter it = sm_attr_iter(message, size, field);
    struct sm_str k;
    while (sm_attr_next(&it, &k, value)) {
        if (sm_str_eq(k, key))
            return true;
    }
    *value = empty_value;
    return false;
}

bool sm_span_value(const struct sm_span *span, const uint8_t *bytes, uint32_t slot, struct sm_value *value)
{
    const uint32_t *records = sm_span_wanted(span);
    for (uint32_t i = 0; i < span->n_wanted; i++) {
        if (SM_WANTED_SLOT(records[i]) == slot)
            return sm_value_at(bytes, span->size, records[i], value);
    }
    *value = empty_value;
    return false;
}

struct sm_str sm_span_name_bytes(const struct sm_span *span, const uint8_t *bytes)
{
    return sm_pb_last_bytes(sm_lead_rest(span, bytes), SM_OTLP_NAME);
}

static void put_json(const struct sm_value *value, struct sm_buf *out, unsigned depth);

/* Elements that are malformed or nest too deeply read as null. */
static void put_json_any(const uint8_t *any, size_t size, struct sm_buf *out, unsigned depth)
{
    struct sm_value element;
    if (depth < SM_VALUE_DEPTH_MAX && sm_value_decode(any, size, &element))
        put_json(&element, out, depth + 1);
    else
        sm_buf_put_str(out, SM_STR("null"));
}

static void put_json_array(struct sm_str array, struct sm_buf *out, unsigned depth)
{
    const uint8_t *p = (const uint8_t *)array.ptr, *end = sm_pb_end(p, array.len);
    struct sm_pb_field f;
    bool first = true;
    sm_buf_putc(out, '[');
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != ARRAY_VALUES || f.wire != SM_PB_BYTES)
            continue;
        if (!first)
            sm_buf_putc(out, ',');
        first = false;
        put_json_any(f.bytes, f.size, out, depth);
    }
    sm_buf_putc(out, ']');
}

static void put_json_kvlist(struct sm_str list, struct sm_buf *out, unsigned depth)
{
    struct sm_attr_iter it = sm_attr_iter(list.ptr, list.len, KVLIST_VALUES);
    struct sm_str key;
    struct sm_value element;
    bool first = true;
    sm_buf_putc(out, '{');
    while (sm_attr_next(&it, &key, &element)) {
        if (!first)
            sm_buf_putc(out, ',');
        first = false;
        sm_json_put_string(out, key);
        sm_buf_putc(out, ':');
        if (depth < SM_VALUE_DEPTH_MAX)
            put_json(&element, out, depth + 1);
        else
            sm_buf_put_str(out, SM_STR("null"));
    }
    sm_buf_putc(out, '}');
}

static void put_json(const struct sm_value *value, struct sm_buf *out, unsigned depth)
{
    switch (value->type) {
    case SM_VALUE_EMPTY:
        sm_buf_put_str(out, SM_STR("null"));
        break;
    case SM_VALUE_STRING:
        sm_json_put_string(out, value->bytes);
        break;
    case SM_VALUE_BOOL:
        sm_buf_puts(out, value->b ? "true" : "false");
        break;
    case SM_VALUE_INT:
        sm_json_put_int(out, value->i);
        break;
    case SM_VALUE_DOUBLE:
        sm_json_put_double(out, value->d);
        break;
    case SM_VALUE_ARRAY:
        put_json_array(value->bytes, out, depth);
        break;
    case SM_VALUE_KVLIST:
        put_json_kvlist(value->bytes, out, depth);
        break;
    case SM_VALUE_BYTES:
        sm_buf_putc(out, '"');
        sm_json_put_base64(out, value->bytes);
        sm_buf_putc(out, '"');
        break;
    }
}

void sm_value_json(const struct sm_value *value, struct sm_buf *out)
{
    put_json(value, out, 1);
}

void sm_value_text(const struct sm_value *value, struct sm_buf *out)
{
    switch (value->type) {
    case SM_VALUE_EMPTY:
        break;
    case SM_VALUE_STRING:
        sm_buf_put_str(out, value->bytes);
        break;
    case SM_VALUE_BYTES:
        sm_json_put_base64(out, value->bytes);
        break;
    case SM_VALUE_DOUBLE: {
        char text[SM_JSON_DOUBLE_SIZE_MAX];
        sm_buf_put(out, text, sm_json_format_double(value->d, text));
        break;
    }
    default:
        put_json(value, out, 1);
    }
}
