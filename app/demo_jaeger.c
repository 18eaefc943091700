/* Thrift's compact protocol by hand: fields in order, so that headers have their short form. */
#include "app/demo_jaeger.h"

#include "base/pb.h"

#include <stdlib.h>

enum { SPAN_BYTES_MAX = 8192, PLACES = SM_DEMO_SHOP_COUNT * SM_DEMO_INSTANCES };

/* Types of the compact protocol, and of Jaeger's tags. */
enum { BOOL_TRUE = 1, I32 = 5, I64 = 6, BINARY = 8, LIST = 9, STRUCT = 12 };
enum { TAG_STRING = 0, TAG_BOOL = 2, TAG_LONG = 3 };

/* Spans of one process that wait. */
struct place {
    struct sm_buf spans;
    uint32_t count;
};

struct full {
    struct sm_buf bytes;
    uint32_t spans;
};

struct sm_demo_jaeger {
    struct place places[PLACES]; /* by service and instance */
    struct full *full;           /* datagrams that are complete */
    size_t full_count, given;
};

/* ---- compact protocol ---- */

static void put_varint(struct sm_buf *b, uint64_t v)
{
    uint8_t bytes[SM_PB_VARINT_SIZE_MAX];
    sm_buf_put(b, bytes, (size_t)(sm_pb_put_varint(bytes, v) - bytes));
}

static void put_zigzag(struct sm_buf *b, int64_t v)
{
    put_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

/* `step` is the distance from the field before. */
static void put_field(struct sm_buf *b, unsigned step, unsigned type)
{
    sm_buf_putc(b, (char)(step << 4 | type));
}

static void put_stop(struct sm_buf *b)
{
    sm_buf_putc(b, 0);
}

static void put_i64(struct sm_buf *b, unsigned step, int64_t v)
{
    put_field(b, step, I64);
    put_zigzag(b, v);
}

static void put_i32(struct sm_buf *b, unsigned step, int32_t v)
{
    put_field(b, step, I32);
    put_zigzag(b, v);
}

static void put_text(struct sm_buf *b, unsigned step, const char *text)
{
    put_field(b, step, BINARY);
    put_varint(b, strlen(text));
    sm_buf_puts(b, text);
}

static void put_list(struct sm_buf *b, unsigned step, size_t count)
{
    put_field(b, step, LIST);
    sm_buf_putc(b, (char)(SM_MIN(count, (size_t)15) << 4 | STRUCT));
    if (count >= 15)
        put_varint(b, count);
}

/* ---- Jaeger's structs ---- */

/* Tag{1 key, 2 vType, 3 vStr, 5 vBool, 6 vLong} */
static void put_text_tag(struct sm_buf *b, const char *key, const char *value)
{
    put_text(b, 1, key);
    put_i32(b, 1, TAG_STRING);
    put_text(b, 1, value);
    put_stop(b);
}

static void put_true_tag(struct sm_buf *b, const char *key)
{
    put_text(b, 1, key);
    put_i32(b, 1, TAG_BOOL);
    put_field(b, 3, BOOL_TRUE);
    put_stop(b);
}

static void put_number_tag(struct sm_buf *b, const char *key, int64_t value)
{
    put_text(b, 1, key);
    put_i32(b, 1, TAG_LONG);
    put_i64(b, 4, value);
    put_stop(b);
}

static void put_tags(struct sm_buf *b, const struct sm_demo_span *s)
{
    put_list(b, 1, s->attribute_count + 1u + s->failed);
    put_text_tag(b, "span.kind", sm_kind_name(s->kind));
    for (unsigned i = 0; i < s->attribute_count; i++) {
        const struct sm_demo_attribute *a = &s->attributes[i];
        if (a->text)
            put_text_tag(b, a->key, a->text);
        else
            put_number_tag(b, a->key, a->number);
    }
    if (s->failed)
        put_true_tag(b, "error");
}

/* Log{1 timestamp, 2 fields}: what was raised. */
static void put_logs(struct sm_buf *b, const struct sm_demo_span *s)
{
    put_list(b, 1, 1);
    put_i64(b, 1, s->end_ns / SM_US);
    put_list(b, 1, 3);
    put_text_tag(b, "event", "error");
    put_text_tag(b, "error.kind", s->error);
    put_text_tag(b, "message", s->message);
    put_stop(b);
}

/* Span{1 traceIdLow, 2 traceIdHigh, 3 spanId, 4 parentSpanId, 5 operationName, 7 flags, 8 startTime, 9 duration, 10 tags, 11 logs}; the
 * parent is said by its id alone, as clients do for a single one. */
static void put_span(struct sm_buf *b, struct sm_trace_id trace, const struct sm_demo_span *s)
{
    put_i64(b, 1, (int64_t)trace.lo);
    put_i64(b, 1, (int64_t)trace.hi);
    put_i64(b, 1, (int64_t)s->id);
    put_i64(b, 1, (int64_t)s->parent_id);
    put_text(b, 1, s->name);
    put_i32(b, 2, 1); /* sampled */
    put_i64(b, 1, s->start_ns / SM_US);
    put_i64(b, 1, s->end_ns / SM_US - s->start_ns / SM_US);
    put_tags(b, s);
    if (s->error)
        put_logs(b, s);
    put_stop(b);
}

/* Message emitBatch(1: Batch{1 Process{1 serviceName, 2 tags}, 2 spans}). */
static void put_message(struct sm_buf *b, unsigned place, const struct place *p)
{
    char address[32];
    unsigned service = place / SM_DEMO_INSTANCES, instance = place % SM_DEMO_INSTANCES;
    sm_buf_put(b, "\x82\x81\0\x09" "emitBatch", 13);
    put_field(b, 1, STRUCT);
    put_field(b, 1, STRUCT);
    put_text(b, 1, sm_demo_services[service].name);
    put_list(b, 1, 2);
    put_text_tag(b, "jaeger.version", "Go-2.30.0");
    snprintf(address, sizeof address, "10.42.%u.%u", service, 2 + instance);
    put_text_tag(b, "ip", address);
    put_stop(b);
    put_list(b, 1, p->count);
    sm_buf_put_str(b, sm_buf_str(&p->spans));
    put_stop(b);
    put_stop(b);
}

/* ---- datagrams ---- */

static void close_datagram(struct sm_demo_jaeger *j, unsigned place)
{
    struct place *p = &j->places[place];
    j->full = sm_xrealloc(j->full, (j->full_count + 1) * sizeof *j->full);
    struct full *full = &j->full[j->full_count++];
    *full = (struct full){.spans = p->count};
    put_message(&full->bytes, place, p);
    sm_buf_clear(&p->spans);
    p->count = 0;
}

static void forget_given(struct sm_demo_jaeger *j)
{
    for (size_t i = 0; i < j->full_count; i++)
        sm_buf_fini(&j->full[i].bytes);
    j->full_count = j->given = 0;
}

struct sm_demo_jaeger *sm_demo_jaeger_new(void)
{
    return sm_xcalloc(1, sizeof(struct sm_demo_jaeger));
}

void sm_demo_jaeger_free(struct sm_demo_jaeger *j)
{
    if (!j)
        return;
    forget_given(j);
    for (unsigned i = 0; i < PLACES; i++)
        sm_buf_fini(&j->places[i].spans);
    free(j->full);
    free(j);
}

void sm_demo_jaeger_add(struct sm_demo_jaeger *j, const struct sm_demo_trace *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct sm_demo_span *s = &t->spans[i];
        if (!s->by_jaeger)
            continue;
        unsigned place = s->service * SM_DEMO_INSTANCES + s->instance;
        struct place *p = &j->places[place];
        put_span(&p->spans, t->id, s);
        p->count++;
        if (p->spans.size > SM_DEMO_DATAGRAM_MAX - SPAN_BYTES_MAX)
            close_datagram(j, place);
    }
}

bool sm_demo_jaeger_next(struct sm_demo_jaeger *j, struct sm_demo_request *datagram)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (j->places[i].count)
            close_datagram(j, i);
    }
    if (j->given == j->full_count) {
        forget_given(j);
        return false;
    }
    const struct full *full = &j->full[j->given++];
    *datagram = (struct sm_demo_request){sm_buf_str(&full->bytes), full->spans};
    return true;
}
