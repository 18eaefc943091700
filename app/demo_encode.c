/* The demo's spans in canonical form, then through the codecs. */
#include "app/demo_encode.h"

#include "base/hash.h"
#include "base/pb.h"
#include "span/attr.h"
#include "span/codec/codec.h"
#include "span/private.h"

#include <stdlib.h>

enum { SERVICES = SM_DEMO_SERVICE_COUNT };

/* Span flags (trace.proto): sampled, and whether the parent is remote. */
enum { FLAGS_LOCAL = 0x101, FLAGS_REMOTE = 0x301 };

/* A span in `bytes`. */
struct piece {
    enum sm_demo_service_id service;
    unsigned instance;
    size_t at, size;
};

struct sm_demo_encoder {
    struct sm_buf resources[SERVICES][SM_DEMO_INSTANCES];
    struct sm_buf scope;
    struct sm_buf bytes;
    struct piece *pieces;
    size_t count, capacity;
    struct sm_encode_span *spans; /* as many */
    struct sm_buf otlp, zipkin;
};

/* ---- protobuf ---- */

static void put_bytes(struct sm_buf *out, uint32_t field, const void *bytes, size_t size)
{
    sm_buf_reserve(out, sm_pb_bytes_size(field, size));
    out->size = (size_t)(sm_pb_put_bytes(out->data + out->size, field, bytes, size) - out->data);
}

static void put_text(struct sm_buf *out, uint32_t field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

static void put_id(struct sm_buf *out, uint32_t field, uint64_t id)
{
    uint8_t bytes[8];
    sm_store_be64(bytes, id);
    put_bytes(out, field, bytes, 8);
}

/* A number of any wire type whose writer is one of base/pb.h's. */
#define PUT_NUMBER(out, writer, field, value)                                                                          \
    do {                                                                                                               \
        sm_buf_reserve(out, 2 * SM_PB_VARINT_SIZE_MAX);                                                                \
        (out)->size = (size_t)(writer((out)->data + (out)->size, field, value) - (out)->data);                         \
    } while (0)

/* KeyValue { key = 1, value = 2: AnyValue { string_value = 1, int_value = 3 } } */
static void put_attribute(struct sm_buf *out, uint32_t field, const struct sm_demo_attribute *a)
{
    size_t key = strlen(a->key), text = a->text ? strlen(a->text) : 0;
    size_t value = a->text ? sm_pb_bytes_size(1, text) : 1 + sm_pb_varint_size((uint64_t)a->number);
    size_t size = sm_pb_bytes_size(1, key) + sm_pb_bytes_size(2, value);
    sm_buf_reserve(out, sm_pb_bytes_size(field, size));
    uint8_t *p = sm_pb_put_varint(out->data + out->size, SM_PB_TAG(field, SM_PB_BYTES));
    p = sm_pb_put_varint(p, size);
    p = sm_pb_put_bytes(p, 1, a->key, key);
    p = sm_pb_put_varint(p, SM_PB_TAG(2, SM_PB_BYTES));
    p = sm_pb_put_varint(p, value);
    p = a->text ? sm_pb_put_bytes(p, 1, a->text, text) : sm_pb_put_uint(p, 3, (uint64_t)a->number);
    out->size = (size_t)(p - out->data);
}

static void put_text_attribute(struct sm_buf *out, uint32_t field, const char *key, const char *text)
{
    put_attribute(out, field, &(struct sm_demo_attribute){.key = key, .text = text});
}

/* ---- resources ---- */

static void make_resource(struct sm_buf *out, const struct sm_demo_service *s, unsigned service, unsigned instance)
{
    char pod[64];
    uint64_t random = sm_hash_fixed64(service, instance + 1);
    snprintf(pod, sizeof pod, "%s-%08x-%05x", s->name, (unsigned)sm_hash_fixed64(service, 0),
             (unsigned)random & 0xfffff);
    put_text_attribute(out, 1, "service.name", s->name);
    put_text_attribute(out, 1, "service.namespace", "shop");
    put_text_attribute(out, 1, "service.version", s->version);
    put_text_attribute(out, 1, "service.instance.id", pod);
    put_text_attribute(out, 1, "deployment.environment.name", "demo");
    put_text_attribute(out, 1, "k8s.namespace.name", "shop");
    put_text_attribute(out, 1, "k8s.deployment.name", s->name);
    put_text_attribute(out, 1, "k8s.pod.name", pod);
    put_text_attribute(out, 1, "telemetry.sdk.name", "opentelemetry");
    put_text_attribute(out, 1, "telemetry.sdk.language", s->language);
}

struct sm_demo_encoder *sm_demo_encoder_new(void)
{
    struct sm_demo_encoder *e = sm_xcalloc(1, sizeof *e);
    for (unsigned i = 0; i < SERVICES; i++)
        for (unsigned k = 0; k < SM_DEMO_INSTANCES; k++)
            make_resource(&e->resources[i][k], &sm_demo_services[i], i, k);
    put_text(&e->scope, 1, "spanmill.demo");
    put_text(&e->scope, 2, SM_VERSION);
    return e;
}

void sm_demo_encoder_free(struct sm_demo_encoder *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < SERVICES; i++)
        for (unsigned k = 0; k < SM_DEMO_INSTANCES; k++)
            sm_buf_fini(&e->resources[i][k]);
    sm_buf_fini(&e->scope);
    sm_buf_fini(&e->bytes);
    sm_buf_fini(&e->otlp);
    sm_buf_fini(&e->zipkin);
    free(e->pieces);
    free(e->spans);
    free(e);
}

/* ---- spans ---- */

/* Event { time_unix_nano = 1, name = 2, attributes = 3 } */
static void put_exception(struct sm_buf *out, const struct sm_demo_span *s)
{
    struct sm_buf event = {0};
    PUT_NUMBER(&event, sm_pb_put_fixed64, 1, (uint64_t)s->end_ns);
    put_text(&event, 2, "exception");
    put_text_attribute(&event, 3, "exception.type", s->error);
    put_text_attribute(&event, 3, "exception.message", s->message);
    put_bytes(out, SM_OTLP_EVENTS, event.data, event.size);
    sm_buf_fini(&event);
}

/* Status { message = 2, code = 3 } */
static void put_status(struct sm_buf *out, const struct sm_demo_span *s)
{
    struct sm_buf status = {0};
    if (s->message)
        put_text(&status, 2, s->message);
    PUT_NUMBER(&status, sm_pb_put_uint, 3, SM_STATUS_ERROR);
    put_bytes(out, SM_OTLP_STATUS, status.data, status.size);
    sm_buf_fini(&status);
}

/* What Zipkin says and OTLP has no place for; its error is a tag. */
static void put_zipkin(struct sm_buf *out, const struct sm_demo_span *s)
{
    const uint8_t address[4] = {10, 42, (uint8_t)s->service, (uint8_t)(2 + s->instance)};
    struct sm_private private = {
        .origin = SM_ORIGIN_ZIPKIN_V2,
        .flags = s->shared ? SM_PRIVATE_SHARED : 0,
        .local = {.ipv4 = address, .port = (uint16_t)sm_demo_services[s->service].port},
    };
    sm_buf_reserve(out, sm_private_size_max(&private));
    out->size = (size_t)(sm_private_put(out->data + out->size, &private) - out->data);
}

static void put_span(struct sm_buf *out, struct sm_trace_id trace, const struct sm_demo_span *s)
{
    uint8_t id[16];
    sm_store_be64(id, trace.hi);
    sm_store_be64(id + 8, trace.lo);
    put_bytes(out, SM_OTLP_TRACE_ID, id, 16);
    put_id(out, SM_OTLP_SPAN_ID, s->id);
    if (s->parent_id)
        put_id(out, SM_OTLP_PARENT_SPAN_ID, s->parent_id);
    put_text(out, SM_OTLP_NAME, s->name);
    PUT_NUMBER(out, sm_pb_put_uint, SM_OTLP_KIND, s->kind);
    PUT_NUMBER(out, sm_pb_put_fixed64, SM_OTLP_START, (uint64_t)s->start_ns);
    PUT_NUMBER(out, sm_pb_put_fixed64, SM_OTLP_END, (uint64_t)s->end_ns);
    for (unsigned i = 0; i < s->attribute_count; i++)
        put_attribute(out, SM_OTLP_ATTRIBUTES, &s->attributes[i]);
    if (sm_demo_span_is_zipkin(s)) {
        put_zipkin(out, s);
        return;
    }
    if (s->error)
        put_exception(out, s);
    if (s->failed)
        put_status(out, s);
    bool remote = s->parent_id && (s->kind == SM_KIND_SERVER || s->kind == SM_KIND_CONSUMER);
    PUT_NUMBER(out, sm_pb_put_fixed32, SM_OTLP_FLAGS, remote ? FLAGS_REMOTE : FLAGS_LOCAL);
}

void sm_demo_encoder_add(struct sm_demo_encoder *e, const struct sm_demo_trace *t)
{
    if (e->count + t->count > e->capacity) {
        e->capacity = 2 * (e->count + t->count);
        e->pieces = sm_xrealloc(e->pieces, e->capacity * sizeof *e->pieces);
        e->spans = sm_xrealloc(e->spans, e->capacity * sizeof *e->spans);
    }
    for (unsigned i = 0; i < t->count; i++) {
        const struct sm_demo_span *s = &t->spans[i];
        size_t at = e->bytes.size;
        if (s->by_jaeger)
            continue;
        put_span(&e->bytes, t->id, s);
        e->pieces[e->count++] = (struct piece){s->service, s->instance, at, e->bytes.size - at};
    }
}

/* ---- requests ---- */

/* By resource, so that its spans share a group; the shop's services are before the proxies. */
static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->service != y->service)
        return x->service < y->service ? -1 : 1;
    if (x->instance != y->instance)
        return x->instance < y->instance ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

void sm_demo_encoder_finish(struct sm_demo_encoder *e, struct sm_demo_request *otlp, struct sm_demo_request *zipkin)
{
    size_t n_otlp = 0;
    if (e->count)
        qsort(e->pieces, e->count, sizeof *e->pieces, compare_pieces);
    for (size_t i = 0; i < e->count; i++) {
        const struct piece *piece = &e->pieces[i];
        e->spans[i] = (struct sm_encode_span){
            .resource = sm_buf_str(&e->resources[piece->service][piece->instance]),
            .scope = sm_buf_str(&e->scope),
            .bytes = sm_str(e->bytes.data + piece->at, piece->size),
        };
        n_otlp += piece->service < SM_DEMO_SHOP_COUNT;
    }
    sm_buf_clear(&e->otlp);
    sm_buf_clear(&e->zipkin);
    if (n_otlp)
        sm_codec_otlp_proto.encode(e->spans, n_otlp, &e->otlp);
    if (e->count > n_otlp)
        sm_codec_zipkin_json.encode(e->spans + n_otlp, e->count - n_otlp, &e->zipkin);
    *otlp = (struct sm_demo_request){sm_buf_str(&e->otlp), n_otlp};
    *zipkin = (struct sm_demo_request){sm_buf_str(&e->zipkin), e->count - n_otlp};
    e->count = 0;
    sm_buf_clear(&e->bytes);
}
