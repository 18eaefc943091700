/* Building Jaeger batches for tests: described spans as a thrift Batch, binary protocol. Independent of the codec under test. */
#ifndef SM_TEST_JAEGER_BUILD_H
#define SM_TEST_JAEGER_BUILD_H

#include "base/buf.h"

struct jaeger_tag {
    const char *key;
    int32_t type; /* STRING 0, DOUBLE 1, BOOL 2, LONG 3, BINARY 4 */
    const char *s;
    double d;
    bool b;
    int64_t i;
};

struct jaeger_ref {
    int32_t type; /* CHILD_OF 0, FOLLOWS_FROM 1 */
    uint64_t low, high, id;
};

struct jaeger_log {
    int64_t time_us;
    const struct jaeger_tag *fields;
    size_t field_count;
};

struct jaeger_span {
    uint64_t low, high, id, parent_id;
    const char *name; /* NULL: "op" */
    const struct jaeger_ref *refs;
    size_t ref_count;
    int32_t flags;
    int64_t start_us, duration_us;
    const struct jaeger_tag *tags;
    size_t tag_count;
    const struct jaeger_log *logs;
    size_t log_count;
};

struct jaeger_batch {
    const char *service;
    const struct jaeger_tag *tags;
    size_t tag_count;
    const struct jaeger_span *spans;
    size_t span_count;
    bool process_last; /* fields in any order */
};

static inline void jaeger_put_be(struct sm_buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;)
        sm_buf_putc(out, (char)(v >> 8 * i));
}

static inline void jaeger_put_field(struct sm_buf *out, uint8_t type, uint16_t id)
{
    sm_buf_putc(out, (char)type);
    jaeger_put_be(out, id, 2);
}

static inline void jaeger_put_i64(struct sm_buf *out, uint16_t id, uint64_t v)
{
    jaeger_put_field(out, 10, id);
    jaeger_put_be(out, v, 8);
}

static inline void jaeger_put_i32(struct sm_buf *out, uint16_t id, int32_t v)
{
    jaeger_put_field(out, 8, id);
    jaeger_put_be(out, (uint32_t)v, 4);
}

static inline void jaeger_put_text(struct sm_buf *out, uint16_t id, const char *text)
{
    jaeger_put_field(out, 11, id);
    jaeger_put_be(out, strlen(text), 4);
    sm_buf_puts(out, text);
}

static inline void jaeger_put_list(struct sm_buf *out, uint16_t id, size_t count)
{
    jaeger_put_field(out, 15, id);
    sm_buf_putc(out, 12);
    jaeger_put_be(out, count, 4);
}

static inline void jaeger_put_tag(struct sm_buf *out, const struct jaeger_tag *t)
{
    uint64_t bits;
    memcpy(&bits, &t->d, 8);
    jaeger_put_text(out, 1, t->key);
    jaeger_put_i32(out, 2, t->type);
    if (t->type == 0 || t->type == 4)
        jaeger_put_text(out, t->type == 0 ? 3 : 7, t->s);
    else if (t->type == 3)
        jaeger_put_i64(out, 6, (uint64_t)t->i);
    if (t->type == 1) {
        jaeger_put_field(out, 4, 4);
        jaeger_put_be(out, bits, 8);
    } else if (t->type == 2) {
        jaeger_put_field(out, 2, 5);
        sm_buf_putc(out, t->b);
    }
    sm_buf_putc(out, 0);
}

static inline void jaeger_put_tags(struct sm_buf *out, uint16_t id, const struct jaeger_tag *tags, size_t count)
{
    jaeger_put_list(out, id, count);
    for (size_t i = 0; i < count; i++)
        jaeger_put_tag(out, &tags[i]);
}

static inline void jaeger_put_ref(struct sm_buf *out, const struct jaeger_ref *r)
{
    jaeger_put_i32(out, 1, r->type);
    jaeger_put_i64(out, 2, r->low);
    jaeger_put_i64(out, 3, r->high);
    jaeger_put_i64(out, 4, r->id);
    sm_buf_putc(out, 0);
}

static inline void jaeger_put_log(struct sm_buf *out, const struct jaeger_log *l)
{
    jaeger_put_i64(out, 1, (uint64_t)l->time_us);
    jaeger_put_tags(out, 2, l->fields, l->field_count);
    sm_buf_putc(out, 0);
}

static inline void jaeger_put_span(struct sm_buf *out, const struct jaeger_span *s)
{
    jaeger_put_i64(out, 1, s->low);
    jaeger_put_i64(out, 2, s->high);
    jaeger_put_i64(out, 3, s->id);
    jaeger_put_i64(out, 4, s->parent_id);
    jaeger_put_text(out, 5, s->name ? s->name : "op");
    if (s->ref_count) {
        jaeger_put_list(out, 6, s->ref_count);
        for (size_t i = 0; i < s->ref_count; i++)
            jaeger_put_ref(out, &s->refs[i]);
    }
    jaeger_put_i32(out, 7, s->flags);
    jaeger_put_i64(out, 8, (uint64_t)s->start_us);
    jaeger_put_i64(out, 9, (uint64_t)s->duration_us);
    if (s->tag_count)
        jaeger_put_tags(out, 10, s->tags, s->tag_count);
    if (s->log_count) {
        jaeger_put_list(out, 11, s->log_count);
        for (size_t i = 0; i < s->log_count; i++)
            jaeger_put_log(out, &s->logs[i]);
    }
    sm_buf_putc(out, 0);
}

static inline void jaeger_put_process(struct sm_buf *out, const struct jaeger_batch *b)
{
    jaeger_put_field(out, 12, 1);
    jaeger_put_text(out, 1, b->service);
    if (b->tag_count)
        jaeger_put_tags(out, 2, b->tags, b->tag_count);
    sm_buf_putc(out, 0);
}

/* Appends a bare Batch. */
static inline void jaeger_build_batch(struct sm_buf *out, const struct jaeger_batch *b)
{
    if (!b->process_last)
        jaeger_put_process(out, b);
    jaeger_put_list(out, 2, b->span_count);
    for (size_t i = 0; i < b->span_count; i++)
        jaeger_put_span(out, &b->spans[i]);
    if (b->process_last)
        jaeger_put_process(out, b);
    sm_buf_putc(out, 0);
}

/* Appends it as the message emitBatch. */
static inline void jaeger_build_message(struct sm_buf *out, const struct jaeger_batch *b)
{
    jaeger_put_be(out, 0x80010004, 4);
    jaeger_put_be(out, 9, 4);
    sm_buf_puts(out, "emitBatch");
    jaeger_put_be(out, 0, 4);
    jaeger_put_field(out, 12, 1);
    jaeger_build_batch(out, b);
    sm_buf_putc(out, 0);
}

#endif
