/* A batch: the spans that one codec call found in one payload, before they are routed to shards.
 *
 * Spans lie as headers with side records (span/span.h) in `heads`; their canonical bytes lie in `bytes`: the payload itself
 * for OTLP protobuf, an arena payload for formats that are transcoded. A batch belongs to one worker and is recycled; it
 * goes home when every target shard has copied its spans. */
#ifndef SM_BATCH_H
#define SM_BATCH_H

#include "base/base.h"
#include "base/payload.h"
#include "span/span.h"

/* Why a span or payload was refused; counted per reason. */
enum sm_reject {
#define SM_REJECT(name, text, help) SM_REJECT_##name,
#include "span/reject.def"
#undef SM_REJECT
    SM_REJECT_COUNT
};

const char *sm_reject_name(enum sm_reject reason); /* the metric label */

struct sm_batch_item {
    struct sm_trace_id trace;
    uint32_t head;  /* offset of the struct sm_span in heads */
    uint32_t bytes; /* offset of its canonical bytes */
};

struct sm_batch {
    uint8_t *bytes;           /* what items point into; SM_PAYLOAD_SLOP readable bytes follow */
    struct sm_payload *payload; /* keeps `bytes` alive; one reference is the batch's */
    struct sm_batch_item *items;
    uint32_t count;
    uint32_t capacity;
    uint8_t *heads; /* 8-byte aligned */
    size_t heads_size;
    size_t heads_capacity;
    int64_t arrived_ns;
    uint32_t epoch;
    uint16_t source;
    uint32_t rejected[SM_REJECT_COUNT]; /* spans of this payload that were refused, by reason */
    uint32_t rejected_total;
    uint32_t repaired; /* spans whose ids came with their bytes reversed and were put right */
    char reject_text[96]; /* the first refusal in words, for partial success; empty if none */
    struct sm_batch *next;
};

/* Recycling: keeps the arrays. */
void sm_batch_clear(struct sm_batch *b);
void sm_batch_fini(struct sm_batch *b);

SM_INLINE struct sm_span *sm_batch_span(const struct sm_batch *b, uint32_t i)
{
    return (struct sm_span *)(b->heads + b->items[i].head);
}

SM_INLINE const uint8_t *sm_batch_bytes(const struct sm_batch *b, uint32_t i)
{
    return b->bytes + b->items[i].bytes;
}

/* Room for one more item and a header with all side records: returns where to write the header, or NULL when memory is
 * exhausted or offsets would pass 4 GiB. Call sm_batch_commit afterwards. */
struct sm_span *sm_batch_begin(struct sm_batch *b);

SM_INLINE void sm_batch_commit(struct sm_batch *b, struct sm_trace_id trace, uint32_t bytes_offset)
{
    b->items[b->count++] = (struct sm_batch_item){trace, (uint32_t)b->heads_size, bytes_offset};
    b->heads_size += sm_span_head_size((struct sm_span *)(b->heads + b->heads_size));
}

/* Takes the items from `count` on out again. */
SM_INLINE void sm_batch_truncate(struct sm_batch *b, uint32_t count)
{
    if (count == b->count)
        return;
    b->heads_size = b->items[count].head;
    b->count = count;
}

/* Counts a refused span. `text` is kept if it is the first. */
void sm_batch_reject(struct sm_batch *b, enum sm_reject reason, const char *text);

#endif
