/* The footer of a sealed segment: the index written behind the blocks, and reading it from a mapping.
 *
 * Opening reads trailer and directory only; each section's checksum is verified at its first use. Everything read is checked
 * against its bounds whatever the bytes say. Any thread may read; a section that turns out damaged stays so, and functions
 * then say SM_E_INVALID: the segment falls back on an index rebuilt from its blocks. */
#ifndef SM_STORE_FOOTER_H
#define SM_STORE_FOOTER_H

#include "base/base.h"
#include "base/buf.h"
#include "store/dictionary.h"
#include "store/format.h"
#include "store/index.h"

#include <roaring/roaring.h>
#include <stdatomic.h>

/* Appends the footer that `index` (and `dictionary`, which may be NULL) gives, to be written at `offset` of the file. The index's writer is at rest. */
void sm_footer_build(struct sm_index *index, const struct sm_dictionary *dictionary, uint64_t salt, uint64_t offset,
                     struct sm_buf *out);

struct sm_footer {
    struct sm_format_directory directory;
    uint64_t offset; /* in the file */
    const uint8_t *map; /* the file from map_offset on */
    size_t map_size;
    uint64_t map_offset;
    _Atomic uint8_t state[SM_SECTION_COUNT]; /* 0: not verified yet */
};

/* SM_E_NOTFOUND when the file does not end in a valid footer. */
enum sm_rc sm_footer_open(struct sm_footer *footer, int fd, uint64_t file_size, uint64_t salt) SM_MUST_USE;
void sm_footer_close(struct sm_footer *footer);

/* True when every section's checksum holds (reads all of it). */
bool sm_footer_verify(struct sm_footer *footer);

static inline uint32_t sm_footer_rows(const struct sm_footer *f)
{
    return (uint32_t)f->directory.summary.traces;
}

static inline uint32_t sm_footer_zones(const struct sm_footer *f)
{
    return (uint32_t)f->directory.summary.blocks;
}

/* *dictionary is NULL when the segment has none. */
enum sm_rc sm_footer_dictionary(struct sm_footer *footer, uint64_t salt, struct sm_dictionary **dictionary) SM_MUST_USE;

/* `i` is below the count. */
enum sm_rc sm_footer_row(struct sm_footer *footer, uint32_t i, struct sm_format_row *row) SM_MUST_USE;
enum sm_rc sm_footer_zone(struct sm_footer *footer, uint32_t i, struct sm_format_zone *zone) SM_MUST_USE;

/* As sm_index_find, sm_index_terms, sm_index_posting. */
enum sm_rc sm_footer_find(struct sm_footer *footer, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals, uint32_t max,
                          uint32_t *count) SM_MUST_USE;
enum sm_rc sm_footer_terms(struct sm_footer *footer, sm_index_term_fn fn, void *ctx) SM_MUST_USE;
enum sm_rc sm_footer_posting(struct sm_footer *footer, uint32_t term, roaring_bitmap_t **posting) SM_MUST_USE;

#endif
