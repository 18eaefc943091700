/* Reading a segment file from front to back without trusting its footer: to rebuild an index after a crash, and to check.
 *
 * Blocks that are whole are taken; dictionary chunks and footers are stepped over. Anything else is damage up to the next header that is valid; what
 * is not followed by any valid header is the tail. Bytes that the disk refuses to give read as zeros. */
#ifndef SM_STORE_SCAN_H
#define SM_STORE_SCAN_H

#include "base/base.h"
#include "store/dictionary.h"
#include "store/index.h"

struct sm_scan {
    /* in */
    int fd;
    uint64_t file_size;
    uint64_t salt;
    struct sm_index *index; /* takes the records; NULL: only check */
    void (*damage)(void *ctx, uint64_t offset, uint64_t size); /* may be NULL */
    void *ctx;
    /* out */
    uint64_t end;           /* behind the last block or footer */
    uint64_t blocks, footers;
    uint64_t damaged_ranges, damaged_bytes; /* between blocks; the tail is not among them */
    struct sm_dictionary *dictionary;       /* found in the file; the caller's; NULL: none */
};

void sm_scan_run(struct sm_scan *scan);

#endif
