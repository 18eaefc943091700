/* Jaeger thrift. Fields are written in the order of their ids, as every client does. */
#include "bench/encode_jaeger.h"

#include "bench/attrs.h"
#include "bench/encode.h"

enum type { TYPE_BOOL, TYPE_DOUBLE, TYPE_I32, TYPE_I64, TYPE_STRING, TYPE_LIST, TYPE_STRUCT };

struct writer {
    struct bench_buf *out;
    struct bench_fields *fields;
    bool compact;
    int16_t last; /* compact: id of the field before in this struct */
};

static void put_varint(struct writer *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        bench_buf_add_byte(w->out, (uint8_t)(v | 0x80));
    bench_buf_add_byte(w->out, (uint8_t)v);
}

static void put_big_endian(struct writer *w, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        bench_buf_add_byte(w->out, (uint8_t)(v >> 8 * bytes));
}

static uint8_t wire_of(const struct writer *w, enum type type)
{
    static const uint8_t binary[] = {2, 4, 8, 10, 11, 15, 12}, compact[] = {1, 7, 5, 6, 8, 9, 12};
    return w->compact ? compact[type] : binary[type];
}

static void put_head(struct writer *w, enum type type, int16_t id)
{
    if (w->compact) {
        bench_buf_add_byte(w->out, (uint8_t)((id - w->last) << 4 | wire_of(w, type)));
        w->last = id;
    } else {
        bench_buf_add_byte(w->out, wire_of(w, type));
        put_big_endian(w, (uint16_t)id, 2);
    }
}

static void put_int(struct writer *w, enum type type, int16_t id, int64_t v)
{
    put_head(w, type, id);
    if (w->compact)
        put_varint(w, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
    else
        put_big_endian(w, (uint64_t)v, type == TYPE_I32 ? 4 : 8);
}

/* A number that changes from round to round. */
static void put_moving(struct writer *w, int16_t id, int64_t v, enum bench_field compact, enum bench_field binary)
{
    put_head(w, TYPE_I64, id);
    size_t at = w->out->len;
    if (w->compact) {
        bench_body_put_varint10(bench_buf_room(w->out, 16), v);
        w->out->len += 10;
    } else {
        put_big_endian(w, (uint64_t)v, 8);
    }
    bench_fields_add(w->fields, w->compact ? compact : binary, at);
}

static void put_trace_id(struct writer *w, int16_t low_id, const struct bench_span *s)
{
    put_moving(w, low_id, (int64_t)s->trace_lo, BENCH_FIELD_COMPACT_TRACE_ID_LO, BENCH_FIELD_TRACE_ID_LO);
    put_moving(w, low_id + 1, (int64_t)s->trace_hi, BENCH_FIELD_COMPACT_TRACE_ID_HI, BENCH_FIELD_TRACE_ID_HI);
}

static void put_span_id(struct writer *w, int16_t id, uint64_t v)
{
    put_moving(w, id, (int64_t)v, BENCH_FIELD_COMPACT_SPAN_ID, BENCH_FIELD_SPAN_ID);
}

static void put_length(struct writer *w, size_t n)
{
    if (w->compact)
        put_varint(w, n);
    else
        put_big_endian(w, n, 4);
}

static void put_text(struct writer *w, int16_t id, const char *text)
{
    put_head(w, TYPE_STRING, id);
    put_length(w, strlen(text));
    bench_buf_add_c(w->out, text);
}

/* Of structs. */
static void put_list(struct writer *w, int16_t id, size_t n)
{
    put_head(w, TYPE_LIST, id);
    if (w->compact && n < 15) {
        bench_buf_add_byte(w->out, (uint8_t)(n << 4 | wire_of(w, TYPE_STRUCT)));
        return;
    }
    bench_buf_add_byte(w->out, (uint8_t)((w->compact ? 0xf0 : 0) | wire_of(w, TYPE_STRUCT)));
    put_length(w, n);
}

static int16_t begin(struct writer *w)
{
    int16_t outer = w->last;
    w->last = 0;
    return outer;
}

static void end(struct writer *w, int16_t outer)
{
    bench_buf_add_byte(w->out, 0);
    w->last = outer;
}

static void put_double(struct writer *w, int16_t id, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    put_head(w, TYPE_DOUBLE, id);
    put_big_endian(w, w->compact ? __builtin_bswap64(bits) : bits, 8);
}

static void put_bool(struct writer *w, int16_t id, bool v)
{
    put_head(w, TYPE_BOOL, id);
    if (!w->compact)
        bench_buf_add_byte(w->out, v);
    else if (!v)
        w->out->ptr[w->out->len - 1]++; /* the type says it: true 1, false 2 */
}

static void put_tag(struct writer *w, const struct bench_attr *a)
{
    static const uint8_t types[] = {[BENCH_ATTR_STRING] = 0, [BENCH_ATTR_DOUBLE] = 1, [BENCH_ATTR_BOOL] = 2, [BENCH_ATTR_INT] = 3};
    int16_t outer = begin(w);
    put_text(w, 1, a->key);
    put_int(w, TYPE_I32, 2, types[a->type]);
    if (a->type == BENCH_ATTR_STRING)
        put_text(w, 3, a->string);
    else if (a->type == BENCH_ATTR_DOUBLE)
        put_double(w, 4, a->real);
    else if (a->type == BENCH_ATTR_BOOL)
        put_bool(w, 5, a->integer);
    else
        put_int(w, TYPE_I64, 6, a->integer);
    end(w, outer);
}

static void put_tags(struct writer *w, int16_t id, const struct bench_attrs *attrs)
{
    put_list(w, id, attrs->n);
    for (uint32_t i = 0; i < attrs->n; i++)
        put_tag(w, &attrs->at[i]);
}

static int64_t micros(int64_t virtual_ns)
{
    return (BENCH_ENCODE_EPOCH_NS + virtual_ns) / 1000;
}

static void put_log(struct writer *w, const struct bench_event *event)
{
    const struct bench_attr name = {.key = "event", .type = BENCH_ATTR_STRING, .string = event->name};
    int16_t outer = begin(w);
    put_moving(w, 1, micros(event->time_ns), BENCH_FIELD_COMPACT_TIME_US, BENCH_FIELD_TIME_US_BE);
    put_list(w, 2, event->attrs.n + 1);
    put_tag(w, &name);
    for (uint32_t i = 0; i < event->attrs.n; i++)
        put_tag(w, &event->attrs.at[i]);
    end(w, outer);
}

static void put_reference(struct writer *w, const struct bench_span *s)
{
    int16_t outer = begin(w);
    put_int(w, TYPE_I32, 1, 0);
    put_trace_id(w, 2, s);
    put_span_id(w, 4, s->parent);
    end(w, outer);
}

/* Kind and failure are tags. */
static void put_span_tags(struct writer *w, const struct bench_span *s, const struct bench_words *words)
{
    static const char *const kinds[] = {NULL, "internal", "server", "client", "producer", "consumer"};
    const struct bench_attr kind = {.key = "span.kind", .type = BENCH_ATTR_STRING, .string = kinds[words->kind]};
    const struct bench_attr error = {.key = "error", .type = BENCH_ATTR_BOOL, .integer = 1};
    put_list(w, 10, words->attrs.n + 1 + (s->error ? 1 : 0));
    put_tag(w, &kind);
    if (s->error)
        put_tag(w, &error);
    for (uint32_t i = 0; i < words->attrs.n; i++)
        put_tag(w, &words->attrs.at[i]);
}

static void put_span(struct writer *w, const struct bench_span *s, struct bench_words *words)
{
    int16_t outer = begin(w);
    bench_attrs_describe(s, words);
    put_trace_id(w, 1, s);
    put_span_id(w, 3, s->id);
    if (s->parent)
        put_span_id(w, 4, s->parent);
    else
        put_int(w, TYPE_I64, 4, 0);
    put_text(w, 5, words->name);
    if (s->parent) {
        put_list(w, 6, 1);
        put_reference(w, s);
    }
    put_int(w, TYPE_I32, 7, 1);
    put_moving(w, 8, micros(s->start_ns), BENCH_FIELD_COMPACT_TIME_US, BENCH_FIELD_TIME_US_BE);
    put_int(w, TYPE_I64, 9, (s->end_ns - s->start_ns) / 1000);
    put_span_tags(w, s, words);
    if (words->event.name) {
        put_list(w, 11, 1);
        put_log(w, &words->event);
    }
    end(w, outer);
}

static void put_process(struct writer *w, const struct bench_request *request)
{
    struct bench_attrs resource;
    bench_attrs_resource(request->service, request->instance, &resource);
    put_head(w, TYPE_STRUCT, 1);
    int16_t outer = begin(w);
    put_text(w, 1, resource.at[0].string);
    put_tags(w, 2, &resource);
    end(w, outer);
}

static void put_envelope(struct writer *w)
{
    if (w->compact) {
        bench_buf_add(w->out, "\x82\x81\0\x09" "emitBatch", 13);
    } else {
        bench_buf_add(w->out, "\x80\1\0\4\0\0\0\x09" "emitBatch\0\0\0\0", 21);
    }
}

void bench_encode_jaeger(const struct bench_gen *gen, const struct bench_request *request, enum bench_jaeger_form form,
                         struct bench_buf *out, struct bench_fields *fields)
{
    struct writer w = {.out = out, .fields = fields, .compact = form == BENCH_JAEGER_COMPACT};
    struct bench_words *words = sm_xmalloc(sizeof *words);
    int16_t outer = 0;
    if (form != BENCH_JAEGER_BATCH) {
        put_envelope(&w);
        put_head(&w, TYPE_STRUCT, 1);
        outer = begin(&w);
    }
    put_process(&w, request);
    put_list(&w, 2, request->n);
    for (uint32_t i = 0; i < request->n; i++)
        put_span(&w, &gen->spans[gen->order[request->first + i]], words);
    end(&w, outer);
    if (form != BENCH_JAEGER_BATCH)
        end(&w, 0);
    free(words);
}
