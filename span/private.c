/* The private field: reading, writing, and the translation for foreign receivers. */
#include "span/private.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/pb.h"
#include "span/attr.h"

#include <arpa/inet.h>

/* Members of the field's content. Stored: numbers never change. */
enum member {
    ORIGIN = 1,
    FLAGS = 2,
    LOCAL_IPV4 = 3,
    LOCAL_IPV6 = 4,
    LOCAL_PORT = 5,
    REMOTE_SERVICE = 6,
    REMOTE_IPV4 = 7,
    REMOTE_IPV6 = 8,
    REMOTE_PORT = 9,
    DURATION = 10,
    JAEGER_FLAGS = 11,
    PARENT_REFERENCE = 12,
};

/* Known members by wire type; the rest is skipped. */
static void take_number(struct sm_private *priv, uint32_t member, uint64_t value)
{
    switch (member) {
    case ORIGIN:
        priv->origin = value <= SM_ORIGIN_JAEGER ? (enum sm_origin)value : SM_ORIGIN_OTLP;
        break;
    case FLAGS:
        priv->flags = (uint32_t)value;
        break;
    case LOCAL_PORT:
        priv->local.port = (uint16_t)value;
        break;
    case REMOTE_PORT:
        priv->remote.port = (uint16_t)value;
        break;
    case DURATION:
        priv->duration_ns = value;
        break;
    case JAEGER_FLAGS:
        priv->jaeger_flags = (uint32_t)value;
        break;
    case PARENT_REFERENCE:
        priv->parent_reference = (uint32_t)value;
        break;
    default:
        break;
    }
}

static void take_bytes(struct sm_private *priv, uint32_t member, const uint8_t *bytes, size_t size)
{
    if (member == LOCAL_IPV4 && size == 4)
        priv->local.ipv4 = bytes;
    else if (member == LOCAL_IPV6 && size == 16)
        priv->local.ipv6 = bytes;
    else if (member == REMOTE_IPV4 && size == 4)
        priv->remote.ipv4 = bytes;
    else if (member == REMOTE_IPV6 && size == 16)
        priv->remote.ipv6 = bytes;
    else if (member == REMOTE_SERVICE)
        priv->remote.service = sm_str(bytes, size);
}

bool sm_private_decode(const uint8_t *content, size_t size, struct sm_private *priv)
{
    const uint8_t *p = content, *end = sm_pb_end(content, size);
    struct sm_pb_field f;
    *priv = (struct sm_private){0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire == SM_PB_VARINT)
            take_number(priv, f.number, f.value);
        else if (f.wire == SM_PB_BYTES)
            take_bytes(priv, f.number, f.bytes, f.size);
    }
    if (p == end)
        return true;
    *priv = (struct sm_private){0};
    return false;
}

bool sm_private_find(const uint8_t *span, size_t size, struct sm_private *priv)
{
    const uint8_t *p = span, *end = sm_pb_end(span, size);
    struct sm_pb_field f;
    bool found = false;
    *priv = (struct sm_private){0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == SM_PRIVATE_FIELD && f.wire == SM_PB_BYTES)
            found = sm_private_decode(f.bytes, f.size, priv);
    }
    return found;
}

bool sm_private_read(const struct sm_span *span, const uint8_t *bytes, struct sm_private *priv)
{
    const uint32_t *records = sm_span_wanted(span);
    for (unsigned i = 0; i < span->n_wanted; i++) {
        if (SM_WANTED_SLOT(records[i]) != SM_SLOT_PRIVATE)
            continue;
        uint64_t size;
        const uint8_t *end = sm_pb_end(bytes, span->size), *content = sm_pb_varint(bytes + SM_WANTED_OFFSET(records[i]), end, &size);
        return content && size <= (uint64_t)(end - content) && sm_private_decode(content, size, priv);
    }
    return false;
}

static uint8_t *put_number(uint8_t *p, enum member member, uint64_t value)
{
    return value ? sm_pb_put_uint(p, member, value) : p;
}

static uint8_t *put_address(uint8_t *p, enum member member, const uint8_t *address, size_t size)
{
    return address ? sm_pb_put_bytes(p, member, address, size) : p;
}

static uint8_t *put_content(uint8_t *p, const struct sm_private *priv)
{
    p = put_number(p, ORIGIN, priv->origin);
    p = put_number(p, FLAGS, priv->flags);
    p = put_address(p, LOCAL_IPV4, priv->local.ipv4, 4);
    p = put_address(p, LOCAL_IPV6, priv->local.ipv6, 16);
    p = put_number(p, LOCAL_PORT, priv->local.port);
    if (priv->remote.service.len)
        p = sm_pb_put_bytes(p, REMOTE_SERVICE, priv->remote.service.ptr, priv->remote.service.len);
    p = put_address(p, REMOTE_IPV4, priv->remote.ipv4, 4);
    p = put_address(p, REMOTE_IPV6, priv->remote.ipv6, 16);
    p = put_number(p, REMOTE_PORT, priv->remote.port);
    p = put_number(p, DURATION, priv->duration_ns);
    p = put_number(p, JAEGER_FLAGS, priv->jaeger_flags);
    return put_number(p, PARENT_REFERENCE, priv->parent_reference);
}

/* The content is written behind room for a one-byte length and moved in the rare case that it needs more. */
uint8_t *sm_private_put(uint8_t *p, const struct sm_private *priv)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(SM_PRIVATE_FIELD, SM_PB_BYTES));
    uint8_t *content = p + 1;
    size_t size = (size_t)(put_content(content, priv) - content);
    unsigned length_size = sm_pb_varint_size(size);
    if (SM_UNLIKELY(length_size > 1))
        memmove(p + length_size, content, size);
    return sm_pb_put_varint(p, size) + size;
}

uint16_t sm_private_span_flags(const struct sm_private *priv)
{
    uint16_t flags = SM_SPAN_PRIVATE;
    if (priv->flags & SM_PRIVATE_SHARED)
        flags |= SM_SPAN_SHARED;
    if (priv->flags & SM_PRIVATE_DEBUG)
        flags |= SM_SPAN_DEBUG;
    if (priv->flags & SM_PRIVATE_ID64)
        flags |= SM_SPAN_ID64;
    return flags;
}

void sm_private_mark(const struct sm_private *priv, struct sm_span *span)
{
    span->flags |= sm_private_span_flags(priv);
    span->zipkin = priv->origin == SM_ORIGIN_ZIPKIN_V1 || priv->origin == SM_ORIGIN_ZIPKIN_V2;
}

/* Writing for foreign receivers */

/* Attributes are small: key and value up to an address or a number. */
static void put_attribute(struct sm_buf *out, struct sm_str key, const uint8_t *any, size_t any_size)
{
    size_t size = sm_pb_bytes_size(1, key.len) + sm_pb_bytes_size(2, any_size);
    if (!sm_buf_reserve(out, sm_pb_bytes_size(SM_OTLP_ATTRIBUTES, size)))
        return;
    uint8_t *p = out->data + out->size;
    p = sm_pb_put_varint(p, SM_PB_TAG(SM_OTLP_ATTRIBUTES, SM_PB_BYTES));
    p = sm_pb_put_varint(p, size);
    p = sm_pb_put_bytes(p, 1, key.ptr, key.len);
    p = sm_pb_put_bytes(p, 2, any, any_size);
    out->size = (size_t)(p - out->data);
}

static void add_string(struct sm_str span, struct sm_buf *out, struct sm_str key, const char *text)
{
    struct sm_value present;
    uint8_t any[INET6_ADDRSTRLEN + 4];
    if (!sm_attr_find(span.ptr, span.len, SM_OTLP_ATTRIBUTES, key, &present))
        put_attribute(out, key, any, (size_t)(sm_pb_put_bytes(any, 1, text, strlen(text)) - any));
}

enum { ANY_BOOL = 2, ANY_INT = 3 };

static void add_number(struct sm_str span, struct sm_buf *out, struct sm_str key, unsigned any_member, uint64_t value)
{
    struct sm_value present;
    uint8_t any[1 + SM_PB_VARINT_SIZE_MAX];
    if (!sm_attr_find(span.ptr, span.len, SM_OTLP_ATTRIBUTES, key, &present))
        put_attribute(out, key, any, (size_t)(sm_pb_put_uint(any, any_member, value) - any));
}

static void add_endpoint(struct sm_str span, struct sm_buf *out, const struct sm_private_endpoint *endpoint,
                         struct sm_str address_key, struct sm_str port_key)
{
    char text[INET6_ADDRSTRLEN];
    if (endpoint->ipv4 && inet_ntop(AF_INET, endpoint->ipv4, text, sizeof text))
        add_string(span, out, address_key, text);
    else if (endpoint->ipv6 && inet_ntop(AF_INET6, endpoint->ipv6, text, sizeof text))
        add_string(span, out, address_key, text);
    if (endpoint->port)
        add_number(span, out, port_key, ANY_INT, endpoint->port);
}

/* OTLP's span must end, and not before it starts. */
static void add_times(struct sm_str span, struct sm_buf *out, const struct sm_private *priv, uint64_t start_ns,
                      uint64_t end_ns)
{
    uint8_t field[1 + 8];
    if (start_ns == 0)
        add_number(span, out, SM_STR("otel.zipkin.absentField.startTime"), ANY_BOOL, true);
    if (end_ns == 0) {
        uint64_t end = start_ns ? start_ns : priv->duration_ns;
        sm_buf_put(out, field, (size_t)(sm_pb_put_fixed64(field, SM_OTLP_END, end) - field));
    }
}

/* The tag error=true says no more than the status that was made from it. */
static bool is_derived_error(const struct sm_private *priv, struct sm_str key, const struct sm_value *value)
{
    if (!(priv->flags & SM_PRIVATE_STATUS_DERIVED) || !sm_str_eq(key, SM_STR("error")))
        return false;
    return value->type == SM_VALUE_BOOL ? value->b
                                        : value->type == SM_VALUE_STRING && sm_str_eq(value->bytes, SM_STR("true"));
}

/* Keys seen so far: a filter, so that only what hits it is looked for. */
struct keys_seen {
    uint64_t bits[64];
};

static bool note_key(struct keys_seen *seen, struct sm_str key)
{
    uint64_t hash = sm_hash_bytes(key.ptr, key.len), bit = UINT64_C(1) << (hash & 63), *word = &seen->bits[hash >> 6 & 63];
    bool hit = *word & bit;
    *word |= bit;
    return hit;
}

/* Attributes that foreign receivers shall not get: the derived error, and what repeats a key (Jaeger's tags may), since OTLP's keys
 * are unique. `before`: the fields of the span before this one. */
static bool is_left_out(const struct sm_private *priv, struct keys_seen *seen, const struct sm_pb_field *f, struct sm_str before)
{
    struct sm_str key;
    struct sm_value value, earlier;
    if (f->number != SM_OTLP_ATTRIBUTES || f->wire != SM_PB_BYTES || !sm_attr_decode(f->bytes, f->size, &key, &value))
        return false;
    if (is_derived_error(priv, key, &value))
        return true;
    return priv->origin == SM_ORIGIN_JAEGER && note_key(seen, key) &&
           sm_attr_find(before.ptr, before.len, SM_OTLP_ATTRIBUTES, key, &earlier);
}

void sm_private_plain(struct sm_str span, struct sm_buf *out)
{
    struct sm_private priv;
    if (!sm_private_find((const uint8_t *)span.ptr, span.len, &priv)) {
        sm_buf_put_str(out, span);
        return;
    }
    const uint8_t *p = (const uint8_t *)span.ptr, *end = sm_pb_end(p, span.len), *from = p;
    struct sm_pb_field f;
    struct keys_seen seen = {0};
    uint64_t start_ns = 0, end_ns = 0;
    for (; sm_pb_next(&p, end, &f); from = p) {
        if (f.number == SM_OTLP_START)
            start_ns = f.value;
        else if (f.number == SM_OTLP_END)
            end_ns = f.value;
        struct sm_str before = sm_str(span.ptr, (size_t)(from - (const uint8_t *)span.ptr));
        if (f.number != SM_PRIVATE_FIELD && !is_left_out(&priv, &seen, &f, before))
            sm_buf_put(out, from, (size_t)(p - from));
    }
    add_endpoint(span, out, &priv.local, SM_STR("network.local.address"), SM_STR("network.local.port"));
    add_endpoint(span, out, &priv.remote, SM_STR("network.peer.address"), SM_STR("network.peer.port"));
    if (priv.flags & SM_PRIVATE_SHARED)
        add_number(span, out, SM_STR("zipkin.shared"), ANY_BOOL, true);
    if (priv.flags & SM_PRIVATE_DEBUG)
        add_number(span, out, SM_STR("sampling.priority"), ANY_INT, 1);
    add_times(span, out, &priv, start_ns, end_ns);
}
