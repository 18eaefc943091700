/* From canonical spans to Zipkin's model.
 *
 * Spans that came as Zipkin leave as they came, told by their private field. Others follow OpenTelemetry's mapping
 * ("Zipkin" in the specification's trace SDK exporters): what Zipkin has no field for becomes tags, events with attributes
 * become annotations of the form "name": {json}, links become tags otlp.link.N. */
#include "span/codec/zipkin.h"

#include "base/json_out.h"
#include "base/utf8.h"

#include <stdlib.h>

/* One span on its way out. Texts that are made here lie in z->texts, which moves while it grows: until the end such a text
 * has its offset in place of the pointer and is marked by OWN in its length. */
struct out {
    struct sm_zipkin_span *z;
    struct sm_private priv;
    bool zipkin; /* it came as Zipkin */
    uint64_t start_ns, end_ns;
    enum sm_kind kind;
    enum sm_status status;
    struct sm_str status_message;
    struct sm_str name, service, trace_state;
    uint64_t dropped_attributes, dropped_events, dropped_links;
    uint32_t links;
    bool has_error_attribute;
    unsigned peer_rank, remote_address_rank, remote_port_rank, local_address_rank, local_port_rank;
};

#define OWN ((size_t)1 << 63)

static struct sm_str own_text(struct out *o, size_t from)
{
    size_t len = o->z->texts.size - from;
    return len ? (struct sm_str){(const char *)(uintptr_t)from, len | OWN} : (struct sm_str){"", 0};
}

static void resolve(const struct sm_zipkin_span *z, struct sm_str *text)
{
    if (text->len & OWN)
        *text = sm_str(z->texts.data + (uintptr_t)text->ptr, text->len & ~OWN);
}

static struct sm_str lower_text(struct out *o, struct sm_str text)
{
    size_t from = o->z->texts.size;
    if (text.len == 0 || !sm_buf_reserve(&o->z->texts, text.len))
        return (struct sm_str){"", 0};
    sm_utf8_lower(o->z->texts.data + from, text.ptr, text.len);
    o->z->texts.size += text.len;
    return own_text(o, from);
}

static struct sm_str value_text(struct out *o, const struct sm_value *value)
{
    if (value->type == SM_VALUE_STRING)
        return value->bytes;
    size_t from = o->z->texts.size;
    sm_value_text(value, &o->z->texts);
    return own_text(o, from);
}

/* Arrays grow with the largest span seen. */
static void *grown(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 32;
    return sm_xrealloc(array, *capacity * size);
}

static void add_tag(struct out *o, struct sm_str key, struct sm_str value)
{
    struct sm_zipkin_span *z = o->z;
    z->tags = grown(z->tags, z->tag_count, &z->tag_capacity, sizeof *z->tags);
    z->tags[z->tag_count] = (struct sm_zipkin_tag){key, value, (uint32_t)z->tag_count};
    z->tag_count++;
}

static void add_number_tag(struct out *o, struct sm_str key, uint64_t number)
{
    size_t from = o->z->texts.size;
    if (number == 0)
        return;
    sm_json_put_uint(&o->z->texts, number);
    add_tag(o, key, own_text(o, from));
}

/* Attributes that name the peer, its address and port, best first. */
static const struct sm_str peer_keys[] = {
    SM_STR("service.peer.name"),    SM_STR("peer.service"),  SM_STR("server.address"), SM_STR("net.peer.name"),
    SM_STR("server.socket.domain"), SM_STR("net.sock.peer.name"), SM_STR("peer.hostname"), SM_STR("peer.address"),
    SM_STR("db.name"),
};
static const struct sm_str remote_address_keys[] = {
    SM_STR("network.peer.address"), SM_STR("net.sock.peer.addr"), SM_STR("net.peer.ip"),
    SM_STR("server.socket.address"), SM_STR("server.address"),
};
static const struct sm_str remote_port_keys[] = {
    SM_STR("network.peer.port"), SM_STR("net.sock.peer.port"), SM_STR("net.peer.port"), SM_STR("server.port"),
};
static const struct sm_str local_address_keys[] = {SM_STR("network.local.address"), SM_STR("net.host.ip")};
static const struct sm_str local_port_keys[] = {SM_STR("network.local.port"), SM_STR("net.host.port")};

/* The rank (from 1) of a key if it is better than the best so far, else 0. */
static unsigned better(struct sm_str key, const struct sm_str *keys, size_t count, unsigned best)
{
    for (unsigned i = 0; i < count && (best == 0 || i + 1 < best); i++) {
        if (sm_str_eq(key, keys[i]))
            return i + 1;
    }
    return 0;
}

static void take_port(const struct sm_value *value, uint16_t *port)
{
    char digits[8] = "";
    int64_t v = value->type == SM_VALUE_INT ? value->i : 0;
    if (value->type == SM_VALUE_STRING && value->bytes.len < sizeof digits) {
        memcpy(digits, value->bytes.ptr, value->bytes.len);
        v = strtol(digits, NULL, 10);
    }
    if (v > 0 && v <= UINT16_MAX)
        *port = (uint16_t)v;
}

#define BETTER(keys, best) better(key, keys, SM_ARRAY_LEN(keys), best)

static void look_for_address(unsigned *best, unsigned rank, struct sm_zipkin_endpoint *endpoint, const struct sm_value *value)
{
    struct sm_zipkin_address parsed = {.port = endpoint->address.port};
    if (rank && value->type == SM_VALUE_STRING && sm_zipkin_address_parse(&parsed, value->bytes)) {
        endpoint->address = parsed;
        *best = rank;
    }
}

/* What an attribute of a span that did not come as Zipkin says about the endpoints. */
static void look_for_endpoints(struct out *o, struct sm_str key, const struct sm_value *value)
{
    struct sm_zipkin_span *z = o->z;
    unsigned rank = BETTER(peer_keys, o->peer_rank);
    struct sm_zipkin_address address;
    if (rank && value->type == SM_VALUE_STRING && value->bytes.len && (rank <= 2 || !sm_zipkin_address_parse(&address, value->bytes))) {
        z->remote.service = value->bytes;
        o->peer_rank = rank;
    }
    look_for_address(&o->remote_address_rank, BETTER(remote_address_keys, o->remote_address_rank), &z->remote, value);
    look_for_address(&o->local_address_rank, BETTER(local_address_keys, o->local_address_rank), &z->local, value);
    if ((rank = BETTER(remote_port_keys, o->remote_port_rank))) {
        take_port(value, &z->remote.address.port);
        o->remote_port_rank = rank;
    }
    if ((rank = BETTER(local_port_keys, o->local_port_rank))) {
        take_port(value, &z->local.address.port);
        o->local_port_rank = rank;
    }
}

static void take_attribute(struct out *o, const struct sm_pb_field *f)
{
    struct sm_str key;
    struct sm_value value;
    if (!sm_attr_decode(f->bytes, f->size, &key, &value))
        return;
    if (!o->zipkin)
        look_for_endpoints(o, key, &value);
    o->has_error_attribute |= sm_str_eq(key, SM_STR("error"));
    add_tag(o, key, value_text(o, &value));
}

/* Attributes of an event or link as a JSON object. */
static void put_attributes_json(struct sm_buf *out, const uint8_t *message, size_t size, uint32_t field)
{
    struct sm_attr_iter it = sm_attr_iter(message, size, field);
    struct sm_str key;
    struct sm_value value;
    char separator = '{';
    while (sm_attr_next(&it, &key, &value)) {
        sm_buf_putc(out, separator);
        separator = ',';
        sm_json_put_string(out, key);
        sm_buf_putc(out, ':');
        sm_value_json(&value, out);
    }
    if (separator == '{')
        sm_buf_putc(out, '{');
    sm_buf_putc(out, '}');
}

enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3 };

static void take_event(struct out *o, const uint8_t *event, size_t size)
{
    struct sm_zipkin_span *z = o->z;
    const uint8_t *p = event;
    struct sm_zipkin_annotation annotation = {0, {"", 0}};
    struct sm_pb_field f;
    bool has_attributes = false;
    while (sm_pb_next(&p, event + size, &f)) {
        if (f.number == EVENT_TIME)
            annotation.timestamp_us = f.value / 1000;
        else if (f.number == EVENT_NAME)
            annotation.value = sm_str(f.bytes, f.size);
        has_attributes |= f.number == EVENT_ATTRIBUTES;
    }
    if (has_attributes) {
        size_t from = z->texts.size;
        sm_json_put_string(&z->texts, annotation.value);
        sm_buf_put(&z->texts, ": ", 2);
        put_attributes_json(&z->texts, event, size, EVENT_ATTRIBUTES);
        annotation.value = own_text(o, from);
    }
    z->annotations = grown(z->annotations, z->annotation_count, &z->annotation_capacity, sizeof *z->annotations);
    z->annotations[z->annotation_count++] = annotation;
}

enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_TRACE_STATE = 3, LINK_ATTRIBUTES = 4, LINK_DROPPED = 5 };

static void put_id_hex(struct sm_buf *out, struct sm_str id)
{
    for (size_t i = 0; i < id.len; i++)
        sm_buf_printf(out, "%02x", (uint8_t)id.ptr[i]);
}

/* otlp.link.N = trace id|span id|trace state|attributes|dropped, as the OpenTelemetry Collector writes it. */
static void take_link(struct out *o, const uint8_t *link, size_t size)
{
    struct sm_buf *texts = &o->z->texts;
    struct sm_str ids[LINK_ATTRIBUTES] = {{0}};
    const uint8_t *p = link;
    struct sm_pb_field f;
    uint64_t dropped = 0;
    while (sm_pb_next(&p, link + size, &f)) {
        if (f.number <= LINK_TRACE_STATE && f.wire == SM_PB_BYTES)
            ids[f.number] = sm_str(f.bytes, f.size);
        else if (f.number == LINK_DROPPED)
            dropped = f.value;
    }
    size_t from = texts->size;
    sm_buf_printf(texts, "otlp.link.%u", o->links++);
    struct sm_str key = own_text(o, from);
    from = texts->size;
    put_id_hex(texts, ids[LINK_TRACE_ID]);
    sm_buf_putc(texts, '|');
    put_id_hex(texts, ids[LINK_SPAN_ID]);
    sm_buf_putc(texts, '|');
    sm_buf_put_str(texts, ids[LINK_TRACE_STATE]);
    sm_buf_putc(texts, '|');
    put_attributes_json(texts, link, size, LINK_ATTRIBUTES);
    sm_buf_putc(texts, '|');
    sm_json_put_uint(texts, dropped);
    add_tag(o, key, own_text(o, from));
}

static void take_status(struct out *o, const uint8_t *status, size_t size)
{
    const uint8_t *p = status;
    struct sm_pb_field f;
    while (sm_pb_next(&p, status + size, &f)) {
        if (f.number == 2 && f.wire == SM_PB_BYTES)
            o->status_message = sm_str(f.bytes, f.size);
        else if (f.number == 3 && f.value <= SM_STATUS_ERROR)
            o->status = (enum sm_status)f.value;
    }
}

static void take_id(const struct sm_pb_field *f, uint64_t *id)
{
    if (f->size == 8)
        *id = sm_load_be64(f->bytes);
}

static void take_bytes_field(struct out *o, const struct sm_pb_field *f)
{
    switch (f->number) {
    case SM_OTLP_ATTRIBUTES:
        take_attribute(o, f);
        break;
    case SM_OTLP_EVENTS:
        take_event(o, f->bytes, f->size);
        break;
    case SM_OTLP_LINKS:
        take_link(o, f->bytes, f->size);
        break;
    case SM_OTLP_TRACE_ID:
        if (f->size == 16)
            o->z->trace = (struct sm_trace_id){sm_load_be64(f->bytes), sm_load_be64(f->bytes + 8)};
        break;
    case SM_OTLP_SPAN_ID:
        take_id(f, &o->z->id);
        break;
    case SM_OTLP_PARENT_SPAN_ID:
        take_id(f, &o->z->parent_id);
        break;
    case SM_OTLP_TRACE_STATE:
        o->trace_state = sm_str(f->bytes, f->size);
        break;
    case SM_OTLP_NAME:
        o->name = sm_str(f->bytes, f->size);
        break;
    case SM_OTLP_STATUS:
        take_status(o, f->bytes, f->size);
        break;
    default:
        break;
    }
}

static void take_number_field(struct out *o, uint32_t number, uint64_t value)
{
    switch (number) {
    case SM_OTLP_KIND:
        o->kind = value <= SM_KIND_CONSUMER ? (enum sm_kind)value : SM_KIND_UNSPECIFIED;
        break;
    case SM_OTLP_START:
        o->start_ns = value;
        break;
    case SM_OTLP_END:
        o->end_ns = value;
        break;
    case SM_OTLP_DROPPED_ATTRIBUTES:
        o->dropped_attributes = value;
        break;
    case SM_OTLP_DROPPED_EVENTS:
        o->dropped_events = value;
        break;
    case SM_OTLP_DROPPED_LINKS:
        o->dropped_links = value;
        break;
    default:
        break;
    }
}

/* The service's name, and in spans that did not come as Zipkin the other attributes as tags. */
static void take_resource(struct out *o, struct sm_str resource)
{
    struct sm_attr_iter it = sm_attr_iter(resource.ptr, resource.len, 1);
    struct sm_str key;
    struct sm_value value;
    while (sm_attr_next(&it, &key, &value)) {
        if (sm_str_eq(key, SM_STR("service.name")) && value.type == SM_VALUE_STRING)
            o->service = value.bytes;
        else if (!o->zipkin)
            add_tag(o, key, value_text(o, &value));
    }
}

static void add_scope_tags(struct out *o, struct sm_str scope)
{
    const uint8_t *p = (const uint8_t *)scope.ptr, *end = sm_pb_end(p, scope.len);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire != SM_PB_BYTES || f.size == 0)
            continue;
        struct sm_str text = sm_str(f.bytes, f.size);
        if (f.number == 1) {
            add_tag(o, SM_STR("otel.scope.name"), text);
            add_tag(o, SM_STR("otel.library.name"), text);
        } else if (f.number == 2) {
            add_tag(o, SM_STR("otel.scope.version"), text);
            add_tag(o, SM_STR("otel.library.version"), text);
        }
    }
}

/* Zipkin takes any tag "error" for a failure. */
static void drop_error_tags(struct sm_zipkin_span *z)
{
    size_t n = 0;
    for (size_t i = 0; i < z->tag_count; i++) {
        if (z->tags[i].key.len & OWN || !sm_str_eq(z->tags[i].key, SM_STR("error")))
            z->tags[n++] = z->tags[i];
    }
    z->tag_count = n;
}

static void add_status_tags(struct out *o)
{
    if (o->status == SM_STATUS_ERROR) {
        add_tag(o, SM_STR("otel.status_code"), SM_STR("ERROR"));
        if (o->status_message.len || !o->has_error_attribute)
            add_tag(o, SM_STR("error"), o->status_message);
        return;
    }
    drop_error_tags(o->z);
    if (o->status == SM_STATUS_OK)
        add_tag(o, SM_STR("otel.status_code"), SM_STR("OK"));
}

static void finish_foreign(struct out *o, struct sm_str scope)
{
    struct sm_zipkin_span *z = o->z;
    add_scope_tags(o, scope);
    add_status_tags(o);
    if (o->trace_state.len)
        add_tag(o, SM_STR("w3c.tracestate"), o->trace_state);
    add_number_tag(o, SM_STR("otel.dropped_attributes_count"), o->dropped_attributes);
    add_number_tag(o, SM_STR("otel.dropped_events_count"), o->dropped_events);
    add_number_tag(o, SM_STR("otel.dropped_links_count"), o->dropped_links);
    if (o->kind != SM_KIND_CLIENT && o->kind != SM_KIND_PRODUCER)
        z->remote.service = (struct sm_str){"", 0};
    z->remote.service = lower_text(o, z->remote.service);
    z->timestamp_us = o->start_ns / 1000;
    if (o->end_ns > o->start_ns)
        z->duration_us = SM_MAX((o->end_ns - o->start_ns) / 1000, UINT64_C(1));
    z->name = lower_text(o, o->name);
    z->local.service = lower_text(o, o->service);
}

static void take_private_address(struct sm_zipkin_address *address, const struct sm_private_endpoint *endpoint)
{
    address->has_ipv4 = endpoint->ipv4 != NULL;
    if (endpoint->ipv4)
        memcpy(address->ipv4, endpoint->ipv4, sizeof address->ipv4);
    address->has_ipv6 = endpoint->ipv6 != NULL;
    if (endpoint->ipv6)
        memcpy(address->ipv6, endpoint->ipv6, sizeof address->ipv6);
    address->port = endpoint->port;
}

/* The attribute that we added for the remote service is the last one of its key. */
static void take_added_peer(struct sm_zipkin_span *z)
{
    for (size_t i = z->tag_count; i-- > 0;) {
        if (sm_str_eq(z->tags[i].key, SM_STR("peer.service"))) {
            z->remote.service = z->tags[i].value;
            memmove(&z->tags[i], &z->tags[i + 1], (z->tag_count - i - 1) * sizeof *z->tags);
            z->tag_count--;
            return;
        }
    }
}

static void finish_zipkin(struct out *o)
{
    struct sm_zipkin_span *z = o->z;
    take_private_address(&z->local.address, &o->priv.local);
    take_private_address(&z->remote.address, &o->priv.remote);
    z->remote.service = o->priv.remote.service;
    if (o->priv.flags & SM_PRIVATE_PEER_ADDED)
        take_added_peer(z);
    z->timestamp_us = o->start_ns / 1000;
    z->duration_us = (o->end_ns > o->start_ns ? o->end_ns - o->start_ns : o->priv.duration_ns) / 1000;
    z->name = o->name;
    z->local.service = o->service;
}

static int compare_tags(const void *a, const void *b)
{
    const struct sm_zipkin_tag *x = a, *y = b;
    int c = sm_str_cmp(x->key, y->key);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int compare_annotations(const void *a, const void *b)
{
    const struct sm_zipkin_annotation *x = a, *y = b;
    if (x->timestamp_us != y->timestamp_us)
        return x->timestamp_us < y->timestamp_us ? -1 : 1;
    return sm_str_cmp(x->value, y->value);
}

static void order_tags(struct sm_zipkin_span *z)
{
    size_t n = 0;
    if (z->tag_count == 0)
        return;
    qsort(z->tags, z->tag_count, sizeof *z->tags, compare_tags);
    for (size_t i = 1; i < z->tag_count; i++) {
        if (!sm_str_eq(z->tags[n].key, z->tags[i].key))
            n++;
        z->tags[n] = z->tags[i];
    }
    z->tag_count = n + 1;
}

static void order_annotations(struct sm_zipkin_span *z)
{
    size_t n = 0;
    if (z->annotation_count == 0)
        return;
    qsort(z->annotations, z->annotation_count, sizeof *z->annotations, compare_annotations);
    for (size_t i = 1; i < z->annotation_count; i++) {
        if (compare_annotations(&z->annotations[n], &z->annotations[i]) != 0)
            z->annotations[++n] = z->annotations[i];
    }
    z->annotation_count = n + 1;
}

static void resolve_texts(struct sm_zipkin_span *z)
{
    resolve(z, &z->name);
    resolve(z, &z->local.service);
    resolve(z, &z->remote.service);
    for (size_t i = 0; i < z->tag_count; i++) {
        resolve(z, &z->tags[i].key);
        resolve(z, &z->tags[i].value);
    }
    for (size_t i = 0; i < z->annotation_count; i++)
        resolve(z, &z->annotations[i].value);
}

static void reset(struct sm_zipkin_span *z)
{
    struct sm_zipkin_span old = *z;
    *z = (struct sm_zipkin_span){.annotations = old.annotations,
                                 .annotation_capacity = old.annotation_capacity,
                                 .tags = old.tags,
                                 .tag_capacity = old.tag_capacity,
                                 .texts = old.texts};
    sm_buf_clear(&z->texts);
}

bool sm_zipkin_span_from(struct sm_zipkin_span *z, const struct sm_encode_span *span)
{
    struct out o = {.z = z};
    const uint8_t *p = (const uint8_t *)span->bytes.ptr, *end = sm_pb_end(p, span->bytes.len);
    struct sm_pb_field f;
    reset(z);
    (void)sm_private_find(p, span->bytes.len, &o.priv);
    o.zipkin = o.priv.origin == SM_ORIGIN_ZIPKIN_V2 || o.priv.origin == SM_ORIGIN_ZIPKIN_V1;
    take_resource(&o, span->resource);
    while (sm_pb_next(&p, end, &f)) {
        if (f.wire == SM_PB_BYTES)
            take_bytes_field(&o, &f);
        else
            take_number_field(&o, f.number, f.value);
    }
    if (p != end || z->id == 0 || (z->trace.hi | z->trace.lo) == 0)
        return false;
    z->kind = o.kind == SM_KIND_INTERNAL ? SM_KIND_UNSPECIFIED : o.kind;
    z->shared = o.priv.flags & SM_PRIVATE_SHARED;
    z->debug = o.priv.flags & SM_PRIVATE_DEBUG;
    if (o.zipkin)
        finish_zipkin(&o);
    else
        finish_foreign(&o, span->scope);
    resolve_texts(z);
    order_tags(z);
    order_annotations(z);
    return true;
}

void sm_zipkin_span_fini(struct sm_zipkin_span *z)
{
    free(z->annotations);
    free(z->tags);
    sm_buf_fini(&z->texts);
    *z = (struct sm_zipkin_span){0};
}
