/* A segment: one file of blocks, with its index in memory (active, or rebuilt) or in its footer (sealed).
 *
 * Reference counted: the store's list holds one reference, every reader of the list another; the last one closes the file, so
 * that a segment which retention unlinked stays readable for those who are in it.
 *
 * Readers go through a view, which fixes what they see: so many rows, by this index. When a footer turns out damaged the view's
 * functions say SM_E_INVALID; sm_segment_repair then rebuilds an index from the blocks (once, for everyone) and renews the view,
 * and the reader starts over with this segment. */
#ifndef SM_STORE_SEGMENT_H
#define SM_STORE_SEGMENT_H

#include "base/base.h"
#include "store/block.h"
#include "store/env.h"
#include "store/footer.h"
#include "store/index.h"

#include <pthread.h>
#include <stdatomic.h>

struct sm_segment {
    _Atomic uint32_t refs;
    uint64_t id, salt;
    char name[SM_FORMAT_NAME_SIZE];
    int fd;
    struct sm_store_env *env;
    bool sealed;         /* has a good footer */
    bool footer_damaged; /* found at opening: it had one that is no good */
    struct sm_footer footer;
    _Atomic(struct sm_index *) index; /* NULL: the footer serves */
    _Atomic(struct sm_dictionary *) dictionary; /* NULL: none, or not loaded from the footer yet */
    _Atomic bool dictionary_loaded;
    _Atomic bool footer_wanted;       /* the writer should write one: none there, or it is damaged */
    _Atomic uint64_t size;            /* of the file, as far as it is known to be good */
    pthread_mutex_t lock;             /* rebuilding; bad blocks */
    uint32_t *bad_blocks;
    _Atomic uint32_t bad_count;
};

/* A new file with its header. */
enum sm_rc sm_segment_create(int dir_fd, uint64_t id, uint64_t salt, struct sm_store_env *env, struct sm_segment **segment,
                             struct sm_err *err) SM_MUST_USE;

/* An existing file. Without a good footer its blocks are scanned; unless env->read_only a torn tail is cut off.
 * SM_E_NOTFOUND: there is no readable block in it (but there were bytes). SM_E_UNSUPPORTED: a newer format. */
enum sm_rc sm_segment_open(int dir_fd, uint64_t id, uint64_t salt, struct sm_store_env *env, struct sm_segment **segment,
                           struct sm_err *err) SM_MUST_USE;

void sm_segment_ref(struct sm_segment *s);
void sm_segment_put(struct sm_segment *s);

/* ---- writer ---- */

/* Appends bytes at the segment's size (retrying short writes) and moves it. On failure the file is cut back. */
enum sm_rc sm_segment_write(struct sm_segment *s, const void *bytes, size_t size, struct sm_err *err) SM_MUST_USE;
/* Makes `content` the segment's dictionary, which it has not got yet, and writes it. */
enum sm_rc sm_segment_set_dictionary(struct sm_segment *s, struct sm_str content, struct sm_err *err) SM_MUST_USE;
enum sm_rc sm_segment_sync(struct sm_segment *s, struct sm_err *err) SM_MUST_USE;
/* Writes [from, size) of the file once more from what reading gives: after a failed sync, when the kernel may have forgotten
 * that these pages are dirty. */
enum sm_rc sm_segment_rewrite(struct sm_segment *s, uint64_t from, struct sm_err *err) SM_MUST_USE;

/* Writes and syncs a footer from the index in memory; afterwards the file can be opened as sealed. */
enum sm_rc sm_segment_write_footer(struct sm_segment *s, struct sm_err *err) SM_MUST_USE;

/* ---- readers ---- */

struct sm_segment_view {
    struct sm_segment *segment;
    struct sm_index *index; /* NULL: the footer */
    uint32_t rows, zones;
};

struct sm_segment_view sm_segment_view(struct sm_segment *s);
void sm_segment_repair(struct sm_segment_view *view);

/* False when rows, zones or dictionary are damaged: repair first. To be called before records are read. */
bool sm_segment_usable(const struct sm_segment_view *view);

void sm_segment_summary(const struct sm_segment_view *view, struct sm_format_summary *summary);

/* `i` below the view's count. */
enum sm_rc sm_segment_row(const struct sm_segment_view *view, uint32_t i, struct sm_format_row *row) SM_MUST_USE;
enum sm_rc sm_segment_zone(const struct sm_segment_view *view, uint32_t i, struct sm_format_zone *zone) SM_MUST_USE;
enum sm_rc sm_segment_find(const struct sm_segment_view *view, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals,
                           uint32_t max, uint32_t *count) SM_MUST_USE;
enum sm_rc sm_segment_terms(const struct sm_segment_view *view, sm_index_term_fn fn, void *ctx) SM_MUST_USE;
/* Ordinals may lie beyond the view's rows when the segment is being written: ignore them. */
enum sm_rc sm_segment_posting(const struct sm_segment_view *view, uint32_t term, roaring_bitmap_t **posting) SM_MUST_USE;

/* The records of a block. SM_E_IO: not readable or damaged (counted once per block); its records are lost to readers. */
enum sm_rc sm_segment_block(const struct sm_segment_view *view, struct sm_block_reader *reader, uint32_t block,
                            struct sm_str *records, bool *fresh) SM_MUST_USE;

/* One record, borrowed from the reader's memory. SM_E_INVALID, SM_E_IO as above. */
enum sm_rc sm_segment_record(const struct sm_segment_view *view, struct sm_block_reader *reader, uint32_t ordinal,
                             struct sm_str *record, bool *fresh) SM_MUST_USE;

#endif
