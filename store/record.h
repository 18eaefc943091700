/* A stored record: a small header (what the pipeline knew and decided) and the spans as OTLP TracesData.
 *
 * Encoding groups spans by resource and scope: those with the same views share one ResourceSpans / ScopeSpans message, in order
 * of first appearance. Span bytes are copied as they are. Decoding borrows from the record and trusts nothing in it. */
#ifndef SM_STORE_RECORD_H
#define SM_STORE_RECORD_H

#include "base/base.h"
#include "base/buf.h"
#include "store/store.h"

/* Working memory of the encoder, reused from trace to trace. Zero-initialise. */
struct sm_record_scratch {
    struct sm_record_group *groups;
    uint32_t *span_next; /* chains of the spans of a scope */
    uint32_t *table;
    uint32_t groups_capacity, spans_capacity, table_size;
};

void sm_record_scratch_fini(struct sm_record_scratch *scratch);

/* How many of the spans fit into one record of SM_STORE_RECORD_BYTES_MAX: at least 1 (a span is below 1 MiB; a resource or
 * scope that is too large for a record makes it 0). */
uint32_t sm_record_fit(const struct sm_store_span *spans, uint32_t count);

/* Appends the record to out. meta's counts and times must be those of these spans. */
void sm_record_encode(struct sm_record_scratch *scratch, const struct sm_store_meta *meta, const struct sm_store_span *spans,
                      struct sm_buf *out);

/* The record at the front of `size` bytes: its size, or 0 when malformed. */
uint32_t sm_record_size(const uint8_t *bytes, size_t size);

/* Spans of decoded records. Zero-initialise; recycle by setting count to 0. */
struct sm_record_spans {
    struct sm_encode_span *spans;
    uint32_t count, capacity;
};

void sm_record_spans_fini(struct sm_record_spans *spans);

/* Only the header. `size` is what sm_record_size gave. */
bool sm_record_meta(const uint8_t *record, uint32_t size, struct sm_store_meta *meta);

/* Header and spans (appended). meta->span_count is what was found. False when malformed (spans then holds what came before). */
bool sm_record_decode(const uint8_t *record, uint32_t size, struct sm_store_meta *meta, struct sm_record_spans *spans);

#endif
