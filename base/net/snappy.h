/* Snappy as bodies carry it, piece by piece: either one bare block, or a stream of chunks, each a block or plain bytes
 * of at most 64 KiB with a checksum. The stream's identifier at the start tells which: no block begins so.
 * Spec: snappy's format_description.txt and framing_format.txt. */
#ifndef SM_NET_SNAPPY_H
#define SM_NET_SNAPPY_H

#include "base/base.h"

struct sm_snappy_piece {
    const uint8_t *data; /* a view into the input */
    size_t size;
    size_t plain_size; /* as claimed; no more than a block of this size can hold */
    bool is_block;     /* else the bytes are plain */
    bool has_crc;
    uint32_t crc; /* of the plain bytes, masked */
};

struct sm_snappy_reader {
    const uint8_t *p, *end;
    bool is_framed;
};

struct sm_snappy_reader sm_snappy_reader(struct sm_str in);

/* The next piece, until p == end. SM_E_INVALID: no snappy, or a false claim. SM_E_TRUNCATED: ended early. A chunk that
 * holds nothing gives a piece without bytes. */
enum sm_rc sm_snappy_next(struct sm_snappy_reader *r, struct sm_snappy_piece *piece) SM_MUST_USE;

/* Writes exactly plain_size bytes. SM_E_INVALID: the piece is damaged, what was written is undefined. */
enum sm_rc sm_snappy_write(const struct sm_snappy_piece *piece, uint8_t *to) SM_MUST_USE;

#endif
