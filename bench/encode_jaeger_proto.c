/* Jaeger's api_v2: PostSpansRequest{Batch{spans=1, process=2}}, as agents and exporters post it over gRPC. */
#include "bench/encode_jaeger.h"

#include "base/pb.h"
#include "bench/attrs.h"
#include "bench/encode.h"

static void put_bytes(struct bench_buf *b, uint32_t field, const void *bytes, size_t n)
{
    uint8_t *p = bench_buf_room(b, n + 16);
    b->len += (size_t)(sm_pb_put_bytes(p, field, bytes, n) - p);
}

static void put_text(struct bench_buf *b, uint32_t field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_uint(struct bench_buf *b, uint32_t field, uint64_t v)
{
    uint8_t *p = bench_buf_room(b, 16);
    b->len += (size_t)(sm_pb_put_uint(p, field, v) - p);
}

/* The message that `inner` holds, which is emptied. */
static void put_message(struct bench_buf *b, uint32_t field, struct bench_buf *inner)
{
    put_bytes(b, field, inner->ptr, inner->len);
    bench_buf_clear(inner);
}

static void put_id(struct bench_buf *b, uint32_t field, uint64_t id, struct bench_fields *fields)
{
    uint8_t bytes[8];
    sm_store_be64(bytes, id);
    put_bytes(b, field, bytes, 8);
    bench_fields_add(fields, BENCH_FIELD_SPAN_ID, b->len - 8);
}

static void put_trace_id(struct bench_buf *b, uint32_t field, const struct bench_span *s, struct bench_fields *fields)
{
    uint8_t bytes[16];
    sm_store_be64(bytes, s->trace_hi);
    sm_store_be64(bytes + 8, s->trace_lo);
    put_bytes(b, field, bytes, 16);
    bench_fields_add(fields, BENCH_FIELD_TRACE_ID, b->len - 16);
}

/* Timestamp{seconds=1, nanos=2} with numbers of five bytes each, so that it keeps its size when it is moved. */
static void put_time(struct bench_buf *b, uint32_t field, int64_t virtual_ns, struct bench_fields *fields)
{
    uint8_t time[12] = {1 << 3, [6] = 2 << 3};
    int64_t ns = BENCH_ENCODE_EPOCH_NS + virtual_ns;
    bench_body_put_varint5(time + 1, (uint32_t)(ns / SM_SEC));
    bench_body_put_varint5(time + 7, (uint32_t)(ns % SM_SEC));
    put_bytes(b, field, time, sizeof time);
    bench_fields_add(fields, BENCH_FIELD_TIME_PB, b->len - sizeof time + 1);
}

/* KeyValue{key=1, v_type=2, v_str=3, v_bool=4, v_int64=5, v_float64=6}. */
static void put_tag(struct bench_buf *b, uint32_t field, const struct bench_attr *a)
{
    static const uint8_t types[] = {[BENCH_ATTR_STRING] = 0, [BENCH_ATTR_BOOL] = 1, [BENCH_ATTR_INT] = 2, [BENCH_ATTR_DOUBLE] = 3};
    struct bench_buf tag = {0};
    uint64_t bits;
    put_text(&tag, 1, a->key);
    if (types[a->type])
        put_uint(&tag, 2, types[a->type]);
    if (a->type == BENCH_ATTR_STRING) {
        put_text(&tag, 3, a->string);
    } else if (a->type == BENCH_ATTR_DOUBLE) {
        memcpy(&bits, &a->real, 8);
        uint8_t *p = bench_buf_room(&tag, 16);
        tag.len += (size_t)(sm_pb_put_fixed64(p, 6, bits) - p);
    } else {
        put_uint(&tag, a->type == BENCH_ATTR_BOOL ? 4 : 5, (uint64_t)a->integer);
    }
    put_message(b, field, &tag);
    free(tag.ptr);
}

static void put_reference(struct bench_buf *b, const struct bench_span *s, struct bench_fields *fields)
{
    struct bench_buf ref = {0};
    struct bench_fields inner = {0};
    put_trace_id(&ref, 1, s, &inner);
    put_id(&ref, 2, s->parent, &inner);
    size_t n = ref.len;
    put_message(b, 4, &ref);
    bench_fields_append(fields, &inner, b->len - n);
    bench_fields_free(&inner);
    free(ref.ptr);
}

static void put_span(struct bench_buf *b, const struct bench_span *s, struct bench_words *words, struct bench_fields *fields)
{
    static const char *const kinds[] = {NULL, "internal", "server", "client", "producer", "consumer"};
    const struct bench_attr kind = {.key = "span.kind", .type = BENCH_ATTR_STRING, .string = kinds[words->kind]};
    const struct bench_attr error = {.key = "error", .type = BENCH_ATTR_BOOL, .integer = 1};
    struct bench_buf inner = {0};
    put_trace_id(b, 1, s, fields);
    put_id(b, 2, s->id, fields);
    put_text(b, 3, words->name);
    if (s->parent)
        put_reference(b, s, fields);
    put_uint(b, 5, 1);
    put_time(b, 6, s->start_ns, fields);
    put_uint(&inner, 1, (uint64_t)((s->end_ns - s->start_ns) / SM_SEC));
    put_uint(&inner, 2, (uint64_t)((s->end_ns - s->start_ns) % SM_SEC));
    put_message(b, 7, &inner);
    put_tag(b, 8, &kind);
    if (s->error)
        put_tag(b, 8, &error);
    for (uint32_t i = 0; i < words->attrs.n; i++)
        put_tag(b, 8, &words->attrs.at[i]);
    if (words->event.name) {
        const struct bench_attr name = {.key = "event", .type = BENCH_ATTR_STRING, .string = words->event.name};
        struct bench_fields moving = {0};
        put_time(&inner, 1, words->event.time_ns, &moving);
        put_tag(&inner, 2, &name);
        for (uint32_t i = 0; i < words->event.attrs.n; i++)
            put_tag(&inner, 2, &words->event.attrs.at[i]);
        size_t n = inner.len;
        put_message(b, 9, &inner);
        bench_fields_append(fields, &moving, b->len - n);
        bench_fields_free(&moving);
    }
    free(inner.ptr);
}

static void put_process(struct bench_buf *b, const struct bench_request *request)
{
    struct bench_buf process = {0};
    struct bench_attrs resource;
    bench_attrs_resource(request->service, request->instance, &resource);
    put_text(&process, 1, resource.at[0].string);
    for (uint32_t i = 0; i < resource.n; i++)
        put_tag(&process, 2, &resource.at[i]);
    put_message(b, 2, &process);
    free(process.ptr);
}

void bench_encode_jaeger_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                               struct bench_fields *fields)
{
    struct bench_buf batch = {0}, span = {0};
    struct bench_fields in_batch = {0}, in_span = {0};
    struct bench_words words;
    for (uint32_t i = 0; i < request->n; i++) {
        const struct bench_span *s = &gen->spans[gen->order[request->first + i]];
        bench_attrs_describe(s, &words);
        put_span(&span, s, &words, &in_span);
        size_t n = span.len;
        put_message(&batch, 1, &span);
        bench_fields_append(&in_batch, &in_span, batch.len - n);
        in_span.n = 0;
    }
    put_process(&batch, request);
    size_t n = batch.len;
    put_message(out, 1, &batch);
    bench_fields_append(fields, &in_batch, out->len - n);
    bench_fields_free(&in_span);
    bench_fields_free(&in_batch);
    free(span.ptr);
    free(batch.ptr);
}
