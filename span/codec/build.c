/* Builder of canonical spans. */
#include "span/codec/build.h"

#include "base/json.h"
#include "span/attr.h"
#include "span/lead.h"
#include "span/private.h"

enum { ARENA_SLACK = 4096 };

enum sm_rc sm_build_open(struct sm_build *b, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint)
{
    *b = (struct sm_build){.d = d, .batch = batch, .reject = SM_REJECT_COUNT};
    b->arena = sm_payload_new(d->pool, size_hint + ARENA_SLACK);
    if (!b->arena)
        return SM_E_NOMEM;
    b->p = b->arena->data;
    b->limit = b->arena->data + b->arena->capacity;
    batch->payload = b->arena;
    batch->bytes = b->arena->data;
    return SM_OK;
}

void sm_build_close(struct sm_build *b)
{
    b->arena->size = sm_build_offset(b);
    b->batch->bytes = b->arena->data;
}

bool sm_build_grow(struct sm_build *b, size_t n)
{
    size_t used = sm_build_offset(b);
    b->arena->size = used;
    if (used + n > UINT32_MAX || sm_payload_reserve(b->arena, used + n) != SM_OK) {
        b->no_memory = true;
        return false;
    }
    b->p = b->arena->data + used;
    b->limit = b->arena->data + b->arena->capacity;
    return true;
}

bool sm_build_span(struct sm_build *b)
{
    b->head = sm_batch_begin(b->batch);
    if (!b->head || !sm_build_room(b, SM_BUILD_FRONT)) {
        b->no_memory = true;
        return false;
    }
    memset(b->head, 0, sizeof *b->head);
    b->wanted = (uint32_t *)(b->head + 1);
    b->p += SM_BUILD_FRONT;
    b->body_at = sm_build_offset(b);
    b->front_size = 0;
    b->attributes = 0;
    b->reject = SM_REJECT_COUNT;
    return true;
}

void sm_build_drop(struct sm_build *b)
{
    b->p = b->arena->data + b->body_at - SM_BUILD_FRONT;
}

const char *sm_build_reject_text(enum sm_reject reason)
{
    static const char *const texts[] = {
#define SM_REJECT(name, text, help) help,
#include "span/reject.def"
#undef SM_REJECT
    };
    return texts[reason];
}

void sm_build_commit(struct sm_build *b, struct sm_trace_id trace)
{
    size_t start = b->body_at - b->front_size, size = sm_build_offset(b) - start;
    if (b->attributes > b->d->limits.attributes_max)
        sm_build_refuse(b, SM_REJECT_ATTRIBUTES);
    if (size > b->d->limits.span_bytes_max)
        sm_build_refuse(b, SM_REJECT_SPAN_SIZE);
    if (SM_UNLIKELY(b->reject != SM_REJECT_COUNT)) {
        sm_batch_reject(b->batch, b->reject, sm_build_reject_text(b->reject));
        sm_build_drop(b);
        return;
    }
    for (unsigned i = 0; i < b->head->n_wanted; i++)
        b->wanted[i] += (uint32_t)b->front_size;
    b->head->size = (uint32_t)size & SM_SPAN_SIZE_MAX;
    sm_lead_mark(b->head, trace, sm_str(NULL, 0), b->arena->data + start);
    sm_batch_commit(b->batch, trace, (uint32_t)start);
}

bool sm_build_close_long_message(struct sm_build *b, size_t at, size_t *moved)
{
    size_t n = sm_build_offset(b) - at, extra = sm_build_length_size(n) - 1;
    if (!sm_build_room(b, extra))
        return false;
    memmove(b->arena->data + at + extra, b->arena->data + at, n);
    sm_pb_put_varint(b->arena->data + at - 1, n);
    b->p += extra;
    *moved = extra;
    return true;
}

static void fill_head(struct sm_span *s, uint64_t id, uint64_t parent_id, enum sm_kind kind, uint64_t start_ns, uint64_t end_ns)
{
    s->span_id = id;
    s->parent_id = parent_id;
    s->start_ns = start_ns;
    s->duration_ns = start_ns && end_ns > start_ns ? end_ns - start_ns : 0;
    s->kind_status |= kind <= SM_KIND_CONSUMER ? (uint8_t)kind : 0;
    if (start_ns == 0)
        s->flags |= SM_SPAN_NO_START;
}

void sm_build_front(struct sm_build *b, struct sm_trace_id trace, uint64_t id, uint64_t parent_id, enum sm_kind kind,
                    uint64_t start_ns, uint64_t end_ns)
{
    fill_head(b->head, id, parent_id, kind, start_ns, end_ns);
    uint8_t front[SM_BUILD_FRONT], *p = front, bytes[16];
    sm_store_be64(bytes, trace.hi);
    sm_store_be64(bytes + 8, trace.lo);
    p = sm_pb_put_bytes(p, SM_OTLP_TRACE_ID, bytes, 16);
    sm_store_be64(bytes, id);
    p = sm_pb_put_bytes(p, SM_OTLP_SPAN_ID, bytes, 8);
    if (parent_id) {
        sm_store_be64(bytes, parent_id);
        p = sm_pb_put_bytes(p, SM_OTLP_PARENT_SPAN_ID, bytes, 8);
    }
    if (kind)
        p = sm_pb_put_uint(p, SM_OTLP_KIND, kind);
    if (start_ns)
        p = sm_pb_put_fixed64(p, SM_OTLP_START, start_ns);
    if (end_ns)
        p = sm_pb_put_fixed64(p, SM_OTLP_END, end_ns);
    b->front_size = (size_t)(p - front);
    memcpy(b->arena->data + b->body_at - b->front_size, front, b->front_size);
}

enum { ID_AT = 1 + 1 + 16 + 1 + 1, PARENT_ID_AT = ID_AT + 8 + 1 + 1 }; /* of the bytes that sm_build_front writes */

void sm_build_set_ids(struct sm_batch *batch, uint32_t i, uint64_t id, uint64_t parent_id)
{
    struct sm_span *s = sm_batch_span(batch, i);
    uint8_t *bytes = batch->bytes + batch->items[i].bytes;
    sm_store_be64(bytes + ID_AT, id);
    s->span_id = id;
    if (s->parent_id == 0)
        return;
    sm_store_be64(bytes + PARENT_ID_AT, parent_id);
    s->parent_id = parent_id;
}

/* "error" and "sampling.priority" have a meaning beside being wanted. A priority may be a number in a text. */
static void note_special(struct sm_build *b, uint32_t slot, const uint8_t *length_at)
{
    const uint8_t *end = b->p;
    struct sm_value v;
    struct sm_json_number n;
    uint64_t size;
    const uint8_t *any = sm_pb_varint(length_at, end, &size);
    if (!any || !sm_value_decode(any, (size_t)size, &v))
        return;
    if (slot == SM_SLOT_ERROR) {
        bool off = (v.type == SM_VALUE_BOOL && !v.b) || (v.type == SM_VALUE_STRING && sm_str_eq(v.bytes, SM_STR("false")));
        b->head->flags |= SM_SPAN_ERROR_TAG | (off ? 0 : SM_SPAN_ERROR);
    } else if ((v.type == SM_VALUE_INT && v.i > 0) || (v.type == SM_VALUE_DOUBLE && v.d > 0) ||
               (v.type == SM_VALUE_STRING && sm_json_number_parse(v.bytes, &n) && sm_json_number_double(&n) > 0)) {
        b->head->flags |= SM_SPAN_PRIORITY;
    }
}

bool sm_build_has(const struct sm_build *b, enum sm_slot slot)
{
    for (unsigned i = 0; i < b->head->n_wanted; i++) {
        if (SM_WANTED_SLOT(b->wanted[i]) == (uint32_t)slot)
            return true;
    }
    return false;
}

void sm_build_record(struct sm_build *b, uint32_t slot, const uint8_t *length_at)
{
    if (sm_build_has(b, (enum sm_slot)slot))
        return; /* the first occurrence counts */
    size_t offset = (size_t)(length_at - b->arena->data) - b->body_at;
    if (offset + SM_BUILD_FRONT > SM_SPAN_SIZE_MAX)
        return; /* the span is too large and will be refused */
    b->wanted[b->head->n_wanted++] = SM_WANTED_RECORD(slot, offset);
    if (slot == SM_SLOT_ERROR || slot == SM_SLOT_SAMPLING_PRIORITY)
        note_special(b, slot, length_at);
}

bool sm_build_private(struct sm_build *b, const struct sm_private *priv)
{
    if (!sm_build_room(b, sm_private_size_max(priv)))
        return false;
    size_t length_at = sm_build_offset(b) - b->body_at + sm_pb_varint_size(SM_PB_TAG(SM_PRIVATE_FIELD, SM_PB_BYTES));
    b->p = sm_private_put(b->p, priv);
    sm_private_mark(priv, b->head);
    if (b->head->zipkin && length_at + SM_BUILD_FRONT <= SM_SPAN_SIZE_MAX) /* else the span is too large and will be refused */
        b->wanted[b->head->n_wanted++] = SM_WANTED_RECORD(SM_SLOT_PRIVATE, length_at);
    return true;
}

/* A KeyValue with a value whose AnyValue has `any_size` bytes, up to the length of that; where it goes, NULL when memory is exhausted. */
SM_INLINE uint8_t *open_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, size_t any_size)
{
    size_t kv_size = 2 + sm_build_length_size(key_size) + key_size + sm_build_length_size(any_size) + any_size;
    if (SM_UNLIKELY(!sm_build_room(b, kv_size + 5)))
        return NULL;
    uint8_t *p = b->p;
    *p++ = SM_PB_TAG(SM_OTLP_ATTRIBUTES, SM_PB_BYTES);
    p = sm_build_length(p, kv_size);
    p = sm_build_text(p, 1, key, key_size);
    *p++ = SM_PB_TAG(2, SM_PB_BYTES);
    return p;
}

SM_INLINE void close_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, const uint8_t *length_at)
{
    uint32_t slot = sm_wanted_find(b->d->wanted, key, key_size);
    if (SM_UNLIKELY(slot != SM_WANTED_NONE))
        sm_build_record(b, slot, length_at);
}

bool sm_build_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size)
{
    b->attributes++;
    if (SM_UNLIKELY(value_size > b->d->limits.value_bytes_max || key_size > b->d->limits.value_bytes_max)) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return true;
    }
    size_t any_size = 1 + sm_build_length_size(value_size) + value_size;
    uint8_t *length_at = open_attribute(b, key, key_size, any_size);
    if (SM_UNLIKELY(!length_at))
        return false;
    b->p = sm_build_text(sm_build_length(length_at, any_size), 1, value, value_size);
    close_attribute(b, key, key_size, length_at);
    return true;
}

bool sm_build_any_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, const uint8_t *any, size_t any_size)
{
    b->attributes++;
    uint8_t *length_at = open_attribute(b, key, key_size, any_size);
    if (SM_UNLIKELY(!length_at))
        return false;
    b->p = sm_build_copy(sm_build_length(length_at, any_size), any, any_size);
    close_attribute(b, key, key_size, length_at);
    return true;
}

/* Resource{attributes=1: KeyValue{key=1: "service.name", value=2: AnyValue{string=1}}}; empty without a service. */
static size_t put_service_resource(uint8_t *out, const uint8_t *service, size_t size)
{
    if (size == 0)
        return 0;
    size_t any_size = 1 + sm_build_length_size(size) + size;
    size_t kv_size = 2 + sizeof "service.name" - 1 + 1 + sm_build_length_size(any_size) + any_size;
    uint8_t *p = out;
    *p++ = SM_PB_TAG(1, SM_PB_BYTES);
    p = sm_build_length(p, kv_size);
    p = sm_pb_put_bytes(p, 1, "service.name", sizeof "service.name" - 1);
    *p++ = SM_PB_TAG(2, SM_PB_BYTES);
    p = sm_build_length(p, any_size);
    p = sm_pb_put_bytes(p, 1, service, size);
    return (size_t)(p - out);
}

enum sm_rc sm_build_service_scope(struct sm_build *b, const uint8_t *service, size_t size, uint32_t *scope_id)
{
    uint8_t bytes[SM_BUILD_SERVICE_MAX + 64];
    struct sm_str none = {"", 0};
    SM_ASSERT(size <= SM_BUILD_SERVICE_MAX);
    size_t n = put_service_resource(bytes, service, size);
    const struct sm_resource *resource = sm_scopes_cache_resource(b->d->scopes, sm_str(bytes, n), none, b->batch->epoch);
    const struct sm_scope *scope =
        resource ? sm_scopes_cache_scope(b->d->scopes, resource, none, none, b->batch->epoch) : NULL;
    if (!scope)
        return SM_E_LIMIT;
    *scope_id = scope->id;
    return SM_OK;
}
