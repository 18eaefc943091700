/* Putting a trace together from its stored parts. One gather belongs to one query; it keeps its memory from trace to trace. */
#ifndef SM_STORE_GATHER_H
#define SM_STORE_GATHER_H

#include "base/base.h"
#include "base/buf.h"
#include "store/list.h"
#include "store/record.h"

/* Parts of one trace beyond these are left out and the trace is marked SM_STORE_PARTIAL. */
#define SM_GATHER_PARTS_MAX 4096
#define SM_GATHER_BYTES_MAX (UINT64_C(256) << 20)

struct sm_part {
    struct sm_segment_view view;
    uint32_t ordinal;
    struct sm_trace_id id;
};

struct sm_gather {
    struct sm_block_reader *reader; /* borrowed */
    struct sm_part *parts;
    uint32_t part_count, part_capacity;
    struct sm_buf arena; /* records, when there are several */
    struct sm_record_spans spans;
    uint64_t *seen; /* hashes of spans */
    uint32_t seen_size;
    uint64_t blocks_read;
};

void sm_gather_init(struct sm_gather *g, struct sm_block_reader *reader);
void sm_gather_fini(struct sm_gather *g);

/* Finds the parts of the id (or, with SM_STORE_ID_LOW64, of all ids with its low half) in a list of segments: g->parts, by full id,
 * then by age. */
void sm_gather_find(struct sm_gather *g, const struct sm_segment_list *list, struct sm_trace_id id,
                    enum sm_store_id_match match);

/* Puts g->parts[from, to) together, which are of one id. *found borrows from the gather and its reader until the next call. False
 * when none of them could be read. */
bool sm_gather_assemble(struct sm_gather *g, uint32_t from, uint32_t to, struct sm_store_found *found);

/* The same for one record that is at hand. False when it is malformed. */
bool sm_gather_record(struct sm_gather *g, struct sm_str record, struct sm_store_found *found);

/* Fills root_service and root_operation (reads every span). */
void sm_gather_root(struct sm_store_found *found);

#endif
