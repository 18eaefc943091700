/* A segment's compression dictionary: some recent records, so that a block of 64 KiB compresses as if it were much larger
 * (17 % less on disk: docs/decisions/0002-dictionary-per-segment.md) while a read still decompresses 64 KiB only.
 *
 * It lies in the segment file twice, before the first block that uses it, and once more in the footer; it is written as a chunk: a
 * block header with a magic of its own and the compressed content. The id is the CRC32C of the content.
 * Immutable, shared by all readers; the encoder's half is made for the writer when it first needs it. */
#ifndef SM_STORE_DICTIONARY_H
#define SM_STORE_DICTIONARY_H

#include "base/base.h"
#include "base/buf.h"

#include <zstd.h>

struct sm_dictionary {
    uint32_t id; /* never 0 */
    ZSTD_DDict *decoder;
    ZSTD_CDict *encoder; /* the writer's; NULL until sm_dictionary_for_writing */
    struct sm_buf content;
    struct sm_buf chunk; /* as it lies in the file */
};

#define SM_DICTIONARY_BYTES_MAX (UINT32_C(1) << 20)

/* From records. NULL when their checksum is 0. */
struct sm_dictionary *sm_dictionary_new(struct sm_str content, uint64_t salt);

/* From a chunk at the front of `size` bytes; NULL when it is none or damaged. */
struct sm_dictionary *sm_dictionary_parse(const uint8_t *chunk, size_t size, uint64_t salt);

void sm_dictionary_free(struct sm_dictionary *d);

ZSTD_CDict *sm_dictionary_for_writing(struct sm_dictionary *d, int level);

#endif
