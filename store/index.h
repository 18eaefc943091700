/* The index of a segment in memory: for the active segment, and for one whose footer is missing or damaged.
 *
 * One writer stages the records of a block (sm_index_stage), then publishes them when the block is in the file
 * (sm_index_commit) or forgets them (sm_index_discard). Rows, ids and zones lie in chunks that never move, so readers use any
 * below the count they loaded without a lock; names, terms and posting lists are guarded by a lock that the writer takes for
 * a few microseconds per block and readers while they copy what they need.
 *
 * Names longer than SM_INDEX_NAME_BYTES_MAX, and any beyond the limits below, are not in the dictionary; their records are
 * listed under the overflow term, which makes them candidates for every name. */
#ifndef SM_STORE_INDEX_H
#define SM_STORE_INDEX_H

#include "base/base.h"
#include "base/buf.h"
#include "store/format.h"
#include "store/store.h"

#include <roaring/roaring.h>

#define SM_INDEX_NAME_BYTES_MAX 1024
#define SM_INDEX_STRINGS_MAX    (UINT32_C(1) << 18)
#define SM_INDEX_TERMS_MAX      (UINT32_C(1) << 17)
#define SM_INDEX_ROWS_MAX       (UINT32_C(1) << 25)
#define SM_INDEX_ZONES_MAX      (UINT32_C(1) << 23)

struct sm_index;

struct sm_index *sm_index_new(void);
void sm_index_free(struct sm_index *index);

/* ---- writer ---- */

/* Stages one record with these spans. False when the index has no room for another record (limits above). */
bool sm_index_stage(struct sm_index *index, const struct sm_store_meta *meta, const struct sm_store_span *spans, uint32_t count);
uint32_t sm_index_staged(const struct sm_index *index);

/* Publishes what was staged as the block at `offset`; `size` counts header and compressed bytes. */
void sm_index_commit(struct sm_index *index, uint64_t offset, uint32_t size, uint32_t raw_size, uint64_t first_seq);
void sm_index_discard(struct sm_index *index);

/* Spans whose names did not fit. */
uint64_t sm_index_overflowed(const struct sm_index *index);

/* ---- readers ---- */

uint32_t sm_index_rows(const struct sm_index *index); /* published */
uint32_t sm_index_zones(const struct sm_index *index);

/* `i` must be below a count that was loaded before. */
void sm_index_row(const struct sm_index *index, uint32_t i, struct sm_format_row *row);
void sm_index_zone(const struct sm_index *index, uint32_t i, struct sm_format_zone *zone);
const uint8_t *sm_index_row_bytes(const struct sm_index *index, uint32_t i);
const uint8_t *sm_index_zone_bytes(const struct sm_index *index, uint32_t i);
struct sm_trace_id sm_index_id(const struct sm_index *index, uint32_t i);

void sm_index_summary(struct sm_index *index, struct sm_format_summary *summary);

/* Ordinals of the records whose id has these low 64 bits, up to `max`; returns how many. */
uint32_t sm_index_find(struct sm_index *index, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals, uint32_t max);

/* A term with its names; the views are valid during the callback only, which must be short and must not call back. */
struct sm_index_term {
    uint8_t type, kind;
    uint32_t number;
    struct sm_str a, b;
};
typedef void (*sm_index_term_fn)(void *ctx, const struct sm_index_term *term);
void sm_index_terms(struct sm_index *index, sm_index_term_fn fn, void *ctx);

/* A copy of a posting list as it is now. */
roaring_bitmap_t *sm_index_posting(struct sm_index *index, uint32_t term);

/* ---- for writing a footer, with the writer at rest ---- */

uint32_t sm_index_string_count(const struct sm_index *index);
struct sm_str sm_index_string(const struct sm_index *index, uint32_t i);
uint32_t sm_index_term_count(const struct sm_index *index);
/* The term's numbers (a, b as string numbers) and its ordinals. */
void sm_index_term(const struct sm_index *index, uint32_t i, struct sm_format_term *term, const uint32_t **ordinals,
                   uint32_t *count);

#endif
