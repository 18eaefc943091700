/* From Jaeger's model to canonical spans. */
#include "span/codec/jaeger.h"

#include "base/json.h"
#include "base/text.h"
#include "span/attr.h"

/* Field numbers of trace.proto, common.proto and resource.proto. */
enum { RESOURCE_ATTRIBUTES = 1 };
enum { KEY = 1, VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4, ANY_BYTES = 7 };
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2, LINK_ATTRIBUTES = 4 };
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };

#define TIME_US_MAX (INT64_MAX / 1000)

enum sm_rc sm_jaeger_open(struct sm_jaeger_in *j, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint)
{
    j->scope_id = 0;
    j->process_reject = SM_REJECT_COUNT;
    return sm_build_open(&j->build, d, batch, size_hint);
}

void sm_jaeger_close(struct sm_jaeger_in *j)
{
    sm_build_close(&j->build);
}

uint64_t sm_jaeger_time_ns(struct sm_jaeger_in *j, int64_t us)
{
    if (SM_LIKELY(us >= 0 && us <= TIME_US_MAX))
        return (uint64_t)us * 1000;
    sm_build_refuse(&j->build, SM_REJECT_TIME);
    return 0;
}

uint64_t sm_jaeger_duration_ns(struct sm_jaeger_in *j, int64_t us)
{
    return sm_jaeger_time_ns(j, SM_MAX(us, INT64_C(0)));
}

/* ---- attributes ---- */

static size_t any_size(const struct sm_jaeger_tag *tag)
{
    switch (tag->type) {
    case SM_JAEGER_BOOL:
        return 2;
    case SM_JAEGER_INT:
        return 1 + sm_pb_varint_size((uint64_t)tag->i);
    case SM_JAEGER_DOUBLE:
        return 9;
    default:
        return 1 + sm_build_length_size(tag->text.len) + tag->text.len;
    }
}

static uint8_t *put_any(uint8_t *p, const struct sm_jaeger_tag *tag)
{
    uint64_t bits;
    switch (tag->type) {
    case SM_JAEGER_BOOL:
        return sm_pb_put_uint(p, ANY_BOOL, tag->b);
    case SM_JAEGER_INT:
        return sm_pb_put_uint(p, ANY_INT, (uint64_t)tag->i);
    case SM_JAEGER_DOUBLE:
        memcpy(&bits, &tag->d, sizeof bits);
        return sm_pb_put_fixed64(p, ANY_DOUBLE, bits);
    case SM_JAEGER_BINARY:
        return sm_build_text(p, ANY_BYTES, tag->text.ptr, tag->text.len);
    default:
        return sm_build_text(p, ANY_STRING, tag->text.ptr, tag->text.len);
    }
}

/* A KeyValue as field `field`. *length_at is where the length of its AnyValue stands, NULL when the tag is beyond a limit and
 * nothing was written. */
SM_INLINE bool put_attribute(struct sm_jaeger_in *j, uint32_t field, const struct sm_jaeger_tag *tag, uint8_t **length_at)
{
    struct sm_build *b = &j->build;
    *length_at = NULL;
    bool is_text = tag->type == SM_JAEGER_STRING || tag->type == SM_JAEGER_BINARY;
    if (SM_UNLIKELY(tag->key.len > b->d->limits.value_bytes_max || (is_text && tag->text.len > b->d->limits.value_bytes_max))) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return true;
    }
    size_t value_size = tag->type == SM_JAEGER_STRING
                            ? 1 + sm_build_length_size(tag->text.len) + tag->text.len
                            : any_size(tag);
    size_t size = 2 + sm_build_length_size(tag->key.len) + tag->key.len + sm_build_length_size(value_size) + value_size;
    if (!sm_build_room(b, size + 6))
        return false;
    uint8_t *p = b->p;
    *p++ = (uint8_t)SM_PB_TAG(field, SM_PB_BYTES);
    p = sm_build_length(p, size);
    p = sm_build_text(p, KEY, tag->key.ptr, tag->key.len);
    *p++ = SM_PB_TAG(VALUE, SM_PB_BYTES);
    *length_at = p;
    p = sm_build_length(p, value_size);
    b->p = tag->type == SM_JAEGER_STRING ? sm_build_text(p, ANY_STRING, tag->text.ptr, tag->text.len)
                                                   : put_any(p, tag);
    return true;
}

/* ---- text that is not UTF-8 ---- */

SM_INLINE bool is_valid(struct sm_str text)
{
    return sm_text_valid((const uint8_t *)text.ptr, text.len);
}

SM_INLINE bool tag_is_valid(const struct sm_jaeger_tag *tag)
{
    if (!is_valid(tag->key))
        return false;
    return tag->type != SM_JAEGER_STRING || is_valid(tag->text);
}

/* Appends the text, made valid; there is room for three times its size. */
static struct sm_str repair_text(struct sm_payload *room, struct sm_str text)
{
    uint8_t *start = room->data + room->size;
    size_t n = sm_utf8_repair(start, text.ptr, text.len);
    room->size += n;
    return sm_str(start, n);
}

typedef bool tag_function(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag);

/* Calls `then` with the tag's texts made valid. The copy comes from the pool and goes back at once. */
static SM_COLD bool repaired(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag, tag_function *then)
{
    struct sm_jaeger_tag good = *tag;
    size_t size = tag->key.len + (tag->type == SM_JAEGER_STRING ? tag->text.len : 0);
    if (size > 2 * (size_t)j->build.d->limits.value_bytes_max) {
        sm_build_refuse(&j->build, SM_REJECT_VALUE_SIZE);
        return true;
    }
    struct sm_payload *room = sm_payload_new(j->build.d->pool, 3 * size + SM_PAYLOAD_SLOP);
    if (!room) {
        j->build.no_memory = true;
        return false;
    }
    good.key = repair_text(room, tag->key);
    if (tag->type == SM_JAEGER_STRING)
        good.text = repair_text(room, tag->text);
    bool ok = then(j, &good);
    sm_payload_put(room);
    return ok;
}

/* ---- processes ---- */

static bool put_resource_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    uint8_t *length_at;
    j->build.attributes++;
    return put_attribute(j, RESOURCE_ATTRIBUTES, tag, &length_at);
}

bool sm_jaeger_process_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    return tag_is_valid(tag) ? put_resource_tag(j, tag) : repaired(j, tag, put_resource_tag);
}

/* The resource is built where the arena's next bytes go, and taken out again. */
bool sm_jaeger_process_begin(struct sm_jaeger_in *j, struct sm_str service)
{
    j->process_at = sm_build_offset(&j->build);
    j->span_reject = j->build.reject;
    j->span_attributes = j->build.attributes;
    j->build.reject = SM_REJECT_COUNT;
    j->build.attributes = 0;
    if (service.len == 0)
        return true;
    static const uint8_t key[32] = "service.name"; /* texts are read for 16 bytes */
    struct sm_jaeger_tag tag = {.key = sm_str(key, 12), .type = SM_JAEGER_STRING, .text = service};
    return sm_jaeger_process_tag(j, &tag);
}

void sm_jaeger_process_end(struct sm_jaeger_in *j)
{
    struct sm_build *b = &j->build;
    struct sm_str none = {"", 0}, bytes = sm_str(b->arena->data + j->process_at, sm_build_offset(b) - j->process_at);
    if (b->attributes > b->d->limits.attributes_max)
        sm_build_refuse(b, SM_REJECT_ATTRIBUTES);
    bool fits = b->reject == SM_REJECT_COUNT;
    const struct sm_resource *resource =
        fits ? sm_scopes_cache_resource(b->d->scopes, bytes, none, b->batch->epoch) : NULL;
    const struct sm_scope *scope =
        resource ? sm_scopes_cache_scope(b->d->scopes, resource, none, none, b->batch->epoch) : NULL;
    if (!scope)
        sm_build_refuse(b, SM_REJECT_SCOPES_FULL);
    j->process_reject = b->reject;
    j->scope_id = scope ? scope->id : 0;
    b->p = b->arena->data + j->process_at;
    b->reject = j->span_reject;
    b->attributes = j->span_attributes;
}

/* ---- spans ---- */

bool sm_jaeger_begin(struct sm_jaeger_in *j)
{
    size_t from = offsetof(struct sm_jaeger_in, name);
    memset((uint8_t *)j + from, 0, sizeof *j - from);
    return sm_build_span(&j->build);
}

static bool put_name(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    struct sm_build *b = &j->build;
    struct sm_str name = tag->key;
    if (SM_UNLIKELY(name.len > b->d->limits.value_bytes_max)) {
        sm_build_refuse(b, SM_REJECT_VALUE_SIZE);
        return true;
    }
    if (!sm_build_room(b, name.len + 8))
        return false;
    b->p = sm_build_text(b->p, SM_OTLP_NAME, name.ptr, name.len);
    j->name = (struct sm_jaeger_place){sm_build_offset(b) - name.len, name.len};
    return true;
}

bool sm_jaeger_name(struct sm_jaeger_in *j, struct sm_str name)
{
    struct sm_jaeger_tag tag = {.key = name, .type = SM_JAEGER_BINARY};
    return is_valid(name) ? put_name(j, &tag) : repaired(j, &tag, put_name);
}

static enum sm_kind kind_of(struct sm_str text)
{
    switch (text.len) {
    case 6:
        return memcmp(text.ptr, "server", 6) == 0   ? SM_KIND_SERVER
               : memcmp(text.ptr, "client", 6) == 0 ? SM_KIND_CLIENT
                                                    : SM_KIND_UNSPECIFIED;
    case 8:
        return memcmp(text.ptr, "internal", 8) == 0   ? SM_KIND_INTERNAL
               : memcmp(text.ptr, "producer", 8) == 0 ? SM_KIND_PRODUCER
               : memcmp(text.ptr, "consumer", 8) == 0 ? SM_KIND_CONSUMER
                                                      : SM_KIND_UNSPECIFIED;
    default:
        return SM_KIND_UNSPECIFIED;
    }
}

static void take_http_status(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    struct sm_json_number n;
    double d = tag->type == SM_JAEGER_DOUBLE ? tag->d : 0;
    if (tag->type == SM_JAEGER_INT)
        d = (double)tag->i;
    else if (tag->type == SM_JAEGER_STRING && sm_json_number_parse(tag->text, &n))
        d = sm_json_number_double(&n);
    j->http_status = d >= 100 && d < 1000 ? (uint32_t)d : 0;
}

static void take_status_code(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    if (tag->type != SM_JAEGER_STRING)
        return;
    if (sm_str_eq(tag->text, SM_STR("ERROR")))
        j->status_tag = SM_STATUS_ERROR;
    else if (sm_str_eq(tag->text, SM_STR("OK")))
        j->status_tag = SM_STATUS_OK;
}

/* The text that was just written. */
static void note_text(struct sm_jaeger_in *j, struct sm_jaeger_place *place, const struct sm_jaeger_tag *tag)
{
    if (tag->type == SM_JAEGER_STRING && place->size == 0)
        *place = (struct sm_jaeger_place){sm_build_offset(&j->build) - tag->text.len, tag->text.len};
}

/* Tags that say more than an attribute; told apart by their length first. */
static void note_special(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    switch (tag->key.len) {
    case 16:
        if (memcmp(tag->key.ptr, "http.status_code", 16) == 0)
            take_http_status(j, tag);
        else if (memcmp(tag->key.ptr, "otel.status_code", 16) == 0)
            take_status_code(j, tag);
        break;
    case 19:
        if (memcmp(tag->key.ptr, "http.status_message", 19) == 0)
            note_text(j, &j->http_message, tag);
        break;
    case 23:
        if (memcmp(tag->key.ptr, "otel.status_description", 23) == 0)
            note_text(j, &j->description, tag);
        break;
    default:
        break;
    }
}

/* span.kind becomes the kind the first time that it is one. */
static bool take_kind(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    if (memcmp(tag->key.ptr, "span.kind", 9) != 0 || tag->type != SM_JAEGER_STRING || j->kind)
        return false;
    j->kind = kind_of(tag->text);
    return j->kind != SM_KIND_UNSPECIFIED;
}

static bool put_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    uint8_t *length_at;
    j->build.attributes++;
    if (tag->key.len == 9 && take_kind(j, tag))
        return true;
    if (!put_attribute(j, SM_OTLP_ATTRIBUTES, tag, &length_at))
        return false;
    if (SM_UNLIKELY(!length_at))
        return true;
    note_special(j, tag);
    uint32_t slot = sm_wanted_find(j->build.d->wanted, (const uint8_t *)tag->key.ptr, tag->key.len);
    if (slot != SM_WANTED_NONE)
        sm_build_record(&j->build, slot, length_at);
    return true;
}

bool sm_jaeger_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    return SM_LIKELY(tag_is_valid(tag)) ? put_tag(j, tag) : repaired(j, tag, put_tag);
}

/* ---- logs ---- */

bool sm_jaeger_log_begin(struct sm_jaeger_in *j, size_t *at)
{
    if (!sm_build_room(&j->build, 8))
        return false;
    j->fields = 0;
    j->event_named = false;
    j->build.head->flags |= SM_SPAN_EVENTS;
    *at = sm_build_open_message(&j->build, SM_OTLP_EVENTS);
    return true;
}

static bool put_field(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    struct sm_build *b = &j->build;
    uint8_t *length_at;
    if (++j->fields > b->d->limits.attributes_max)
        sm_build_refuse(b, SM_REJECT_ATTRIBUTES);
    bool names = !j->event_named && tag->key.len == 5 && tag->type == SM_JAEGER_STRING && tag->text.len &&
                 tag->text.len <= b->d->limits.value_bytes_max && memcmp(tag->key.ptr, "event", 5) == 0;
    if (!names)
        return put_attribute(j, EVENT_ATTRIBUTES, tag, &length_at);
    if (!sm_build_room(b, tag->text.len + 8))
        return false;
    j->event_named = true;
    b->p = sm_build_text(b->p, EVENT_NAME, tag->text.ptr, tag->text.len);
    return true;
}

bool sm_jaeger_log_field(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag)
{
    return SM_LIKELY(tag_is_valid(tag)) ? put_field(j, tag) : repaired(j, tag, put_field);
}

bool sm_jaeger_log_end(struct sm_jaeger_in *j, size_t at, uint64_t time_ns)
{
    size_t moved;
    if (!sm_build_room(&j->build, 16))
        return false;
    j->build.p = sm_pb_put_fixed64(j->build.p, EVENT_TIME, time_ns);
    return sm_build_close_message(&j->build, at, &moved);
}

/* ---- references ---- */

/* The parent is parentSpanId, or else the first CHILD_OF of the same trace; a span is not its own parent. The reference that
 * says the same as parentSpanId is the parent's, a CHILD_OF before a FOLLOWS_FROM. */
void sm_jaeger_refer(struct sm_jaeger_in *j, const struct sm_jaeger_reference *r)
{
    uint32_t number = ++j->references;
    bool child = r->type == SM_JAEGER_CHILD_OF;
    if (!sm_trace_id_eq(r->trace, j->trace) || r->id == 0)
        return;
    if (r->id == j->id) {
        j->refers_to_itself = true;
    } else if (j->parent_id == 0 || j->parent_id == j->id) {
        if (!child)
            return;
        j->own_parent = j->parent_id != 0;
        j->parent_id = r->id;
        j->parent_reference = number;
    } else if (r->id == j->parent_id && (!j->parent_reference || (child && j->parent_follows))) {
        j->parent_reference = number;
        j->parent_follows = !child;
    }
}

static bool put_link(struct sm_jaeger_in *j, const struct sm_jaeger_reference *r)
{
    static const uint8_t key[32] = "opentracing.ref_type", types[2][32] = {"child_of", "follows_from"}; /* read for 16 bytes */
    bool child = r->type == SM_JAEGER_CHILD_OF;
    struct sm_jaeger_tag tag = {.key = sm_str(key, 20), .type = SM_JAEGER_STRING, .text = sm_str(types[!child], child ? 8 : 12)};
    uint8_t id[16], *length_at;
    size_t moved;
    if (!sm_build_room(&j->build, 64))
        return false;
    size_t at = sm_build_open_message(&j->build, SM_OTLP_LINKS);
    sm_store_be64(id, r->trace.hi);
    sm_store_be64(id + 8, r->trace.lo);
    j->build.p = sm_pb_put_bytes(j->build.p, LINK_TRACE_ID, id, 16);
    sm_store_be64(id, r->id);
    j->build.p = sm_pb_put_bytes(j->build.p, LINK_SPAN_ID, id, 8);
    j->build.head->flags |= SM_SPAN_LINKS;
    return put_attribute(j, LINK_ATTRIBUTES, &tag, &length_at) && sm_build_close_message(&j->build, at, &moved);
}

/* A span that names itself as its parent has none, or the first one that its references name; that it said so remains as its first
 * link, before all references, which is where Jaeger has it. */
static bool put_own_parent(struct sm_jaeger_in *j)
{
    if (j->parent_id == j->id)
        j->parent_id = 0;
    if (j->refers_to_itself)
        return true;
    j->references = 1;
    j->parent_reference += j->parent_reference != 0;
    return put_link(j, &(struct sm_jaeger_reference){SM_JAEGER_CHILD_OF, j->trace, j->id});
}

bool sm_jaeger_referred(struct sm_jaeger_in *j)
{
    j->references = 0;
    return SM_LIKELY(!j->own_parent && j->parent_id != j->id) || put_own_parent(j);
}

bool sm_jaeger_link(struct sm_jaeger_in *j, const struct sm_jaeger_reference *r)
{
    return ++j->references == j->parent_reference || put_link(j, r);
}

/* ---- the end of a span ---- */

/* Failed when the tag error says so, or else otel.status_code, or else HTTP's code. *message is what it is said to be. */
static enum sm_status find_status(struct sm_jaeger_in *j, struct sm_jaeger_place *message)
{
    struct sm_build *b = &j->build;
    struct sm_value error = {.type = SM_VALUE_EMPTY};
    *message = j->description.size ? j->description : j->http_message;
    if (b->head->flags & SM_SPAN_ERROR) {
        b->head->size = (uint32_t)(sm_build_offset(b) - b->body_at);
        (void)sm_span_value(b->head, b->arena->data + b->body_at, SM_SLOT_ERROR, &error);
        if (message->size == 0 && error.type == SM_VALUE_STRING && !sm_str_eq(error.bytes, SM_STR("true")))
            *message = (struct sm_jaeger_place){(size_t)((const uint8_t *)error.bytes.ptr - b->arena->data), error.bytes.len};
        return SM_STATUS_ERROR;
    }
    if (j->status_tag)
        return (enum sm_status)j->status_tag;
    bool client_error = j->http_status >= 400 && j->kind == SM_KIND_CLIENT;
    return client_error || (j->http_status >= 500 && j->http_status < 600) ? SM_STATUS_ERROR : SM_STATUS_UNSET;
}

/* Status{message=2, code=3}; only failures have a message. */
static bool put_status(struct sm_jaeger_in *j, struct sm_private *priv)
{
    struct sm_build *b = &j->build;
    struct sm_jaeger_place message;
    enum sm_status status = find_status(j, &message);
    if (status == SM_STATUS_UNSET)
        return true;
    priv->flags |= SM_PRIVATE_STATUS_DERIVED;
    if (status != SM_STATUS_ERROR)
        message.size = 0;
    size_t size = 2 + (message.size ? 1 + sm_build_length_size(message.size) + message.size : 0);
    if (!sm_build_room(b, size + 6))
        return false;
    uint8_t *p = b->p;
    *p++ = SM_PB_TAG(SM_OTLP_STATUS, SM_PB_BYTES);
    p = sm_build_length(p, size);
    if (message.size)
        p = sm_pb_put_bytes(p, STATUS_MESSAGE, b->arena->data + message.at, message.size);
    b->p = sm_pb_put_uint(p, STATUS_CODE, status);
    b->head->kind_status = (uint8_t)(status << 4);
    if (status == SM_STATUS_ERROR)
        b->head->flags |= SM_SPAN_ERROR;
    return true;
}

static bool put_private(struct sm_jaeger_in *j, struct sm_private *priv)
{
    priv->jaeger_flags = j->flags;
    priv->parent_reference = j->parent_reference;
    if (j->flags & 2)
        priv->flags |= SM_PRIVATE_DEBUG;
    if (j->trace.hi == 0)
        priv->flags |= SM_PRIVATE_ID64;
    if (j->parent_follows)
        priv->flags |= SM_PRIVATE_PARENT_FOLLOWS;
    if (j->start_ns == 0)
        priv->duration_ns = j->duration_ns;
    return sm_build_private(&j->build, priv);
}

/* The sum of a start and a duration that are each below 2^63 does not overflow. */
bool sm_jaeger_commit(struct sm_jaeger_in *j)
{
    struct sm_build *b = &j->build;
    struct sm_private priv = {.origin = SM_ORIGIN_JAEGER};
    if (j->trace.hi == 0 && j->trace.lo == 0)
        sm_build_refuse(b, SM_REJECT_TRACE_ID);
    if (j->id == 0)
        sm_build_refuse(b, SM_REJECT_SPAN_ID);
    if (SM_UNLIKELY(j->process_reject != SM_REJECT_COUNT))
        sm_build_refuse(b, j->process_reject);
    if (!put_status(j, &priv) || !put_private(j, &priv))
        return false;
    sm_build_front(b, j->trace, j->id, j->parent_id, j->kind, j->start_ns, j->start_ns ? j->start_ns + j->duration_ns : 0);
    b->head->duration_ns = j->duration_ns; /* also without a start */
    b->head->scope_id = j->scope_id;
    if (SM_LIKELY(b->reject == SM_REJECT_COUNT))
        sm_build_name(b, j->name.at, j->name.size);
    sm_build_commit(b, j->trace);
    return true;
}
