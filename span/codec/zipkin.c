/* From Zipkin's model to canonical spans. The other direction is in zipkin_out.c. */
#include "span/codec/zipkin.h"

#include "base/utf8.h"

#include <arpa/inet.h>

static bool ipv4_parse(const char *p, size_t n, uint8_t out[4])
{
    const char *end = p + n;
    for (unsigned i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        for (; p < end && *p >= '0' && *p <= '9' && digits < 4; p++, digits++)
            v = v * 10 + (unsigned)(*p - '0');
        if (digits == 0 || digits > 3 || v > 255)
            return false;
        out[i] = (uint8_t)v;
        if (i < 3 && (p == end || *p++ != '.'))
            return false;
    }
    return p == end;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n && *p == 0)
        p++, n--;
    return n == 0;
}

bool sm_zipkin_address_take(struct sm_zipkin_address *a, const uint8_t *bytes, size_t size)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback[4] = {[3] = 1};
    if (size == 4) {
        memcpy(a->ipv4, bytes, 4);
        a->has_ipv4 = true;
        return true;
    }
    if (size != 16)
        return false;
    bool compatible = is_zero(bytes, 12) && memcmp(bytes + 12, loopback, 4) != 0; /* ::a.b.c.d, but not ::1 */
    if (memcmp(bytes, mapped, 12) == 0 || compatible)
        return sm_zipkin_address_take(a, bytes + 12, 4);
    memcpy(a->ipv6, bytes, 16);
    a->has_ipv6 = true;
    return true;
}

bool sm_zipkin_address_parse(struct sm_zipkin_address *a, struct sm_str text)
{
    uint8_t bytes[16];
    char copy[INET6_ADDRSTRLEN];
    if (ipv4_parse(text.ptr, text.len, bytes))
        return sm_zipkin_address_take(a, bytes, 4);
    if (text.len < 2 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, bytes) != 1)
        return false;
    if (is_zero(bytes, 12) && !memchr(text.ptr, '.', text.len)) { /* as text it is compatible only when written like that */
        memcpy(a->ipv6, bytes, 16);
        a->has_ipv6 = true;
        return true;
    }
    return sm_zipkin_address_take(a, bytes, 16);
}

enum sm_rc sm_zipkin_open(struct sm_zipkin_in *z, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint)
{
    z->service_known = false;
    return sm_build_open(&z->build, d, batch, size_hint);
}

void sm_zipkin_close(struct sm_zipkin_in *z)
{
    sm_build_close(&z->build);
}

bool sm_zipkin_repair(struct sm_zipkin_in *z, struct sm_str *key, struct sm_str *value)
{
    size_t size = key->len + value->len, n;
    if (size > 2 * (size_t)z->build.d->limits.value_bytes_max) {
        sm_build_refuse(&z->build, SM_REJECT_VALUE_SIZE);
        return true;
    }
    uint8_t *scratch = sm_zipkin_scratch(z, 3 * size);
    if (!scratch)
        return false;
    n = sm_utf8_repair(scratch, key->ptr, key->len);
    *key = sm_str(scratch, n);
    *value = sm_str(scratch + n, sm_utf8_repair(scratch + n, value->ptr, value->len));
    return true;
}

bool sm_zipkin_begin(struct sm_zipkin_in *z)
{
    size_t from = offsetof(struct sm_zipkin_in, remote_service_size);
    memset((uint8_t *)z + from, 0, sizeof *z - from);
    return sm_build_span(&z->build);
}

bool sm_zipkin_name(struct sm_zipkin_in *z, struct sm_str name)
{
    struct sm_build *b = &z->build;
    if (SM_UNLIKELY(name.len > b->d->limits.value_bytes_max)) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return true;
    }
    if (!sm_build_room(b, name.len + 8))
        return false;
    uint8_t *p = b->p;
    *p++ = SM_PB_TAG(SM_OTLP_NAME, SM_PB_BYTES);
    p = sm_build_length(p, name.len);
    sm_utf8_lower(p, name.ptr, name.len);
    z->name_at = (size_t)(p - b->arena->data);
    z->name_size = name.len;
    b->p = p + name.len;
    return true;
}

/* Payloads hold spans of one service, as a rule. */
void sm_zipkin_local_service(struct sm_zipkin_in *z, struct sm_str name)
{
    if (SM_UNLIKELY(name.len > sizeof z->service)) {
        sm_build_refuse(&z->build, SM_REJECT_VALUE_SIZE);
        return;
    }
    z->has_scope = true;
    if (SM_LIKELY(z->service_known && z->service_size == name.len && memcmp(z->service, name.ptr, name.len) == 0)) {
        z->scope_id = z->service_scope;
        return;
    }
    uint8_t lower[SM_BUILD_SERVICE_MAX];
    sm_utf8_lower(lower, name.ptr, name.len);
    z->service_known = sm_build_service_scope(&z->build, lower, name.len, &z->service_scope) == SM_OK;
    if (!z->service_known)
        sm_build_refuse(&z->build, SM_REJECT_SCOPES_FULL);
    memcpy(z->service, name.ptr, name.len);
    z->service_size = name.len;
    z->scope_id = z->service_scope;
}

void sm_zipkin_remote_service(struct sm_zipkin_in *z, struct sm_str name)
{
    if (SM_UNLIKELY(name.len > sizeof z->remote_service)) {
        sm_build_refuse(&z->build, SM_REJECT_VALUE_SIZE);
        return;
    }
    sm_utf8_lower(z->remote_service, name.ptr, name.len);
    z->remote_service_size = name.len;
}

bool sm_zipkin_tag(struct sm_zipkin_in *z, struct sm_str key, struct sm_str value)
{
    if (SM_UNLIKELY(key.len == 16) && sm_str_eq(key, SM_STR("otel.status_code"))) {
        if (sm_str_eq(value, SM_STR("ERROR")))
            z->status_tag = SM_STATUS_ERROR;
        else if (sm_str_eq(value, SM_STR("OK")))
            z->status_tag = SM_STATUS_OK;
    }
    return sm_build_attribute(&z->build, (const uint8_t *)key.ptr, key.len, (const uint8_t *)value.ptr, value.len);
}

/* Largest time in microseconds whose nanoseconds fit a signed 64-bit number (the year 2262). */
#define TIME_US_MAX ((uint64_t)INT64_MAX / 1000)

/* Event{time=1, name=2}. */
bool sm_zipkin_annotation(struct sm_zipkin_in *z, uint64_t timestamp_us, struct sm_str value)
{
    struct sm_build *b = &z->build;
    if (SM_UNLIKELY(value.len > b->d->limits.value_bytes_max))
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
    if (SM_UNLIKELY(timestamp_us > TIME_US_MAX))
        sm_build_refuse(b, SM_REJECT_TIME);
    size_t size = 9 + 1 + sm_build_length_size(value.len) + value.len;
    if (!sm_build_room(b, size + 5))
        return false;
    uint8_t *p = b->p;
    *p++ = SM_PB_TAG(SM_OTLP_EVENTS, SM_PB_BYTES);
    p = sm_build_length(p, size);
    p = sm_pb_put_fixed64(p, 1, timestamp_us * 1000);
    b->p = sm_build_text(p, 2, value.ptr, value.len);
    b->head->flags |= SM_SPAN_EVENTS;
    return true;
}

/* Status{message=2, code=3} from the tags error and otel.status_code; true when there is one to tell. */
static bool put_status(struct sm_zipkin_in *z)
{
    struct sm_build *b = &z->build;
    struct sm_value error = {.type = SM_VALUE_EMPTY};
    struct sm_str message = {"", 0};
    enum sm_status status = (enum sm_status)z->status_tag;
    if (b->head->flags & SM_SPAN_ERROR) {
        status = SM_STATUS_ERROR;
        b->head->size = (uint32_t)(sm_build_offset(b) - b->body_at);
        (void)sm_span_value(b->head, b->arena->data + b->body_at, SM_SLOT_ERROR, &error);
        if (error.type == SM_VALUE_STRING && !sm_str_eq(error.bytes, SM_STR("true")))
            message = error.bytes;
    }
    if (status == SM_STATUS_UNSET)
        return false;
    size_t message_at = message.len ? (size_t)((const uint8_t *)message.ptr - b->arena->data) : 0;
    size_t size = 2 + (message.len ? 1 + sm_build_length_size(message.len) + message.len : 0);
    if (!sm_build_room(b, size + 5))
        return false;
    uint8_t *p = b->p;
    *p++ = SM_PB_TAG(SM_OTLP_STATUS, SM_PB_BYTES);
    p = sm_build_length(p, size);
    if (message.len)
        p = sm_pb_put_bytes(p, 2, b->arena->data + message_at, message.len);
    b->p = sm_pb_put_uint(p, 3, status);
    b->head->kind_status = (uint8_t)(status << 4);
    if (status == SM_STATUS_ERROR)
        b->head->flags |= SM_SPAN_ERROR;
    return true;
}

/* The graph looks for the peer among the attributes. */
static bool put_peer(struct sm_zipkin_in *z, struct sm_private *priv)
{
    if (z->remote_service_size == 0)
        return true;
    struct sm_str service = sm_str(z->remote_service, z->remote_service_size);
    if (sm_build_has(&z->build, SM_SLOT_PEER_SERVICE)) {
        priv->remote.service = service;
        return true;
    }
    static const uint8_t key[32] = "peer.service";
    priv->flags |= SM_PRIVATE_PEER_ADDED;
    z->build.attributes--; /* not one of the sender's */
    return sm_build_attribute(&z->build, key, 12, z->remote_service, z->remote_service_size);
}

static void take_address(struct sm_private_endpoint *out, const struct sm_zipkin_address *a)
{
    out->ipv4 = a->has_ipv4 ? a->ipv4 : NULL;
    out->ipv6 = a->has_ipv6 ? a->ipv6 : NULL;
    out->port = a->port;
}

static bool put_private(struct sm_zipkin_in *z, struct sm_private *priv)
{
    if (z->shared && z->kind != SM_KIND_CLIENT)
        priv->flags |= SM_PRIVATE_SHARED;
    if (z->debug)
        priv->flags |= SM_PRIVATE_DEBUG;
    if (z->trace.hi == 0)
        priv->flags |= SM_PRIVATE_ID64;
    if (z->timestamp_us == 0)
        priv->duration_ns = z->duration_us * 1000;
    take_address(&priv->local, &z->local);
    take_address(&priv->remote, &z->remote);
    return sm_build_private(&z->build, priv);
}

bool sm_zipkin_commit(struct sm_zipkin_in *z, enum sm_origin origin)
{
    struct sm_build *b = &z->build;
    struct sm_private priv = {.origin = origin};
    if (z->parent_id == z->id)
        z->parent_id = 0;
    if (SM_UNLIKELY(z->timestamp_us > TIME_US_MAX || z->duration_us > TIME_US_MAX)) {
        sm_build_refuse(b, SM_REJECT_TIME);
        z->timestamp_us = z->duration_us = 0;
    }
    if (!z->has_scope)
        sm_zipkin_local_service(z, (struct sm_str){"", 0});
    if (put_status(z))
        priv.flags |= SM_PRIVATE_STATUS_DERIVED;
    if (!put_peer(z, &priv) || !put_private(z, &priv) || b->no_memory)
        return false;
    uint64_t start_ns = z->timestamp_us * 1000;
    uint64_t end_ns = start_ns && z->duration_us ? start_ns + z->duration_us * 1000 : 0;
    sm_build_front(b, z->trace, z->id, z->parent_id, z->kind, start_ns, end_ns);
    b->head->duration_ns = z->duration_us * 1000; /* also without a start */
    if (z->duration_us == 0)
        b->head->flags |= SM_SPAN_NO_DURATION;
    b->head->scope_id = z->scope_id;
    if (SM_LIKELY(b->reject == SM_REJECT_COUNT))
        sm_build_name(b, z->name_at, z->name_size);
    sm_build_commit(b, z->trace);
    return true;
}
