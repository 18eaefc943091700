/* Blocks: compressing records into one, reading and checking one, walking its records.
 *
 * A reader keeps the last few blocks that it decompressed, because candidates of a search tend to come from the same ones. A
 * reader belongs to one thread at a time. */
#ifndef SM_STORE_BLOCK_H
#define SM_STORE_BLOCK_H

#include "base/base.h"
#include "base/buf.h"
#include "store/dictionary.h"
#include "store/format.h"

/* ---- writing ---- */

struct sm_block_writer;

struct sm_block_writer *sm_block_writer_new(void);
void sm_block_writer_free(struct sm_block_writer *w);

/* The block, header and all, valid until the next call. `dictionary` may be NULL. */
struct sm_str sm_block_writer_pack(struct sm_block_writer *w, struct sm_str records, uint32_t traces, uint64_t first_seq,
                                   uint64_t salt, struct sm_dictionary *dictionary);

/* ---- reading ---- */

#define SM_BLOCK_READER_SLOTS 8

struct sm_block_reader;

struct sm_block_reader *sm_block_reader_new(void);
void sm_block_reader_free(struct sm_block_reader *r);

/* Decompresses a block's payload into `raw`, which has room for header->raw_size; false when it does not give exactly that, or
 * the dictionary that it needs is another. */
bool sm_block_unpack(struct sm_block_reader *r, const struct sm_format_block *header, const uint8_t *payload,
                     const struct sm_dictionary *dictionary, uint8_t *raw);

/* The decompressed records of the block that `zone` tells, from the file or from the reader's memory (segment id and block number
 * name it there). Valid until SM_BLOCK_READER_SLOTS - 1 further calls. SM_E_INVALID when it is damaged, SM_E_IO when reading failed.
 * *fresh tells whether it had to be decompressed. */
struct sm_block_file {
    int fd;
    uint64_t segment_id, salt;
    const struct sm_dictionary *dictionary; /* NULL: none */
};
enum sm_rc sm_block_read(struct sm_block_reader *r, const struct sm_block_file *file, uint32_t block,
                         const struct sm_format_zone *zone, struct sm_str *records, bool *fresh) SM_MUST_USE;

#endif
