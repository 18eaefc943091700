/* What the index needs of a span, read from its canonical bytes. */
#include "base/pb.h"
#include "span/attr.h"
#include "span/private.h"
#include "store/store.h"

enum { STATUS_CODE = 3, RESOURCE_ATTRIBUTES = 1 };

struct walk {
    struct sm_store_span *span;
    uint64_t end_ns;
    struct sm_str service_peer_name, peer_service;
    bool failed;
};

/* An "error" tag means failure unless it says false. */
static bool tag_says_error(const struct sm_value *value)
{
    if (value->type == SM_VALUE_BOOL)
        return value->b;
    return !(value->type == SM_VALUE_STRING && sm_str_eq(value->bytes, SM_STR("false")));
}

static void take_attribute(struct walk *w, const struct sm_pb_field *f)
{
    struct sm_str key;
    struct sm_value value;
    if (!sm_attr_decode(f->bytes, f->size, &key, &value))
        return;
    if (sm_str_eq(key, SM_STR("error")))
        w->failed |= tag_says_error(&value);
    else if (value.type != SM_VALUE_STRING)
        return;
    else if (!w->service_peer_name.len && sm_str_eq(key, SM_STR("service.peer.name")))
        w->service_peer_name = value.bytes;
    else if (!w->peer_service.len && sm_str_eq(key, SM_STR("peer.service")))
        w->peer_service = value.bytes;
}

static bool status_is_error(const struct sm_pb_field *status)
{
    const uint8_t *p = status->bytes, *end = p + status->size;
    struct sm_pb_field f = {0};
    uint64_t code = 0;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == STATUS_CODE && f.wire == SM_PB_VARINT)
            code = f.value;
    }
    return code == SM_STATUS_ERROR;
}

static void take_bytes(struct walk *w, const struct sm_pb_field *f)
{
    if (f->number == SM_OTLP_NAME)
        w->span->name = sm_str(f->bytes, f->size);
    else if (f->number == SM_OTLP_PARENT_SPAN_ID && f->size == 8)
        w->span->parent_id = sm_load_be64(f->bytes);
    else if (f->number == SM_OTLP_ATTRIBUTES)
        take_attribute(w, f);
    else if (f->number == SM_OTLP_STATUS)
        w->failed |= status_is_error(f);
}

static void take_field(struct walk *w, const struct sm_pb_field *f)
{
    if (f->wire == SM_PB_BYTES)
        take_bytes(w, f);
    else if (f->number == SM_OTLP_KIND && f->wire == SM_PB_VARINT)
        w->span->kind = f->value <= SM_KIND_CONSUMER ? (uint8_t)f->value : SM_KIND_UNSPECIFIED;
    else if (f->number == SM_OTLP_START && f->wire == SM_PB_FIXED64)
        w->span->start_ns = f->value;
    else if (f->number == SM_OTLP_END && f->wire == SM_PB_FIXED64)
        w->end_ns = f->value;
}

static struct sm_str service_of(struct sm_str resource)
{
    struct sm_value value;
    bool found = sm_attr_find(resource.ptr, resource.len, RESOURCE_ATTRIBUTES, SM_STR("service.name"), &value);
    return found && value.type == SM_VALUE_STRING ? value.bytes : (struct sm_str){NULL, 0};
}

/* A span without a start has its duration in the private field, if it has one. */
static uint64_t duration_of(struct sm_str span, uint64_t start_ns, uint64_t end_ns)
{
    struct sm_private priv;
    if (start_ns)
        return end_ns > start_ns ? end_ns - start_ns : 0;
    return sm_private_find((const uint8_t *)span.ptr, span.len, &priv) ? priv.duration_ns : 0;
}

void sm_store_describe(const struct sm_encode_span *encode, struct sm_store_span *span)
{
    *span = (struct sm_store_span){.encode = *encode, .service = service_of(encode->resource)};
    struct walk w = {.span = span};
    const uint8_t *p = (const uint8_t *)encode->bytes.ptr, *end = sm_pb_end(p, encode->bytes.len);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f))
        take_field(&w, &f);
    span->duration_ns = duration_of(encode->bytes, span->start_ns, w.end_ns);
    span->remote_service = w.service_peer_name.len ? w.service_peer_name : w.peer_service;
    span->error = w.failed;
}

void sm_store_summarise(const struct sm_store_span *spans, uint32_t count, struct sm_store_meta *meta)
{
    meta->span_count = count;
    meta->error_count = 0;
    meta->start_ns = meta->end_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct sm_store_span *s = &spans[i];
        meta->error_count += s->error;
        if (s->start_ns && (!meta->start_ns || s->start_ns < meta->start_ns))
            meta->start_ns = s->start_ns;
        if (s->start_ns) {
            uint64_t end = s->duration_ns > UINT64_MAX - s->start_ns ? UINT64_MAX : s->start_ns + s->duration_ns;
            meta->end_ns = SM_MAX(meta->end_ns, end);
        }
    }
}
