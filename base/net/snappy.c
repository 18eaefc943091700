/* Reading snappy's chunks; libsnappy unpacks the blocks. */
#include "base/net/snappy.h"

#include "base/crc32c.h"

#include <snappy-c.h>

enum {
    CHUNK_BLOCK = 0x00,
    CHUNK_PLAIN = 0x01,
    CHUNK_SKIPPED_FIRST = 0x80, /* below: reserved, not to be passed over; from here on: passed over, padding too */
    CHUNK_IDENTIFIER = 0xff,
    HEADER_BYTES = 4,
    CRC_BYTES = 4,
    CHUNK_PLAIN_BYTES_MAX = 65536,
    RATIO_MAX = 22, /* a copy of 64 bytes takes three */
};

static const uint8_t identifier[] = {CHUNK_IDENTIFIER, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'};

static bool begins_stream(const uint8_t *p, const uint8_t *end)
{
    return (size_t)(end - p) >= sizeof identifier && memcmp(p, identifier, sizeof identifier) == 0;
}

struct sm_snappy_reader sm_snappy_reader(struct sm_str in)
{
    const uint8_t *p = (const uint8_t *)in.ptr, *end = p + in.len;
    return (struct sm_snappy_reader){.p = p, .end = end, .is_framed = in.len && begins_stream(p, end)};
}

static enum sm_rc set_block(struct sm_snappy_piece *piece)
{
    piece->is_block = true;
    if (snappy_uncompressed_length((const char *)piece->data, piece->size, &piece->plain_size) != SNAPPY_OK)
        return SM_E_INVALID;
    return piece->plain_size <= piece->size * RATIO_MAX ? SM_OK : SM_E_INVALID;
}

static enum sm_rc set_chunk(struct sm_snappy_piece *piece, uint8_t type)
{
    if (piece->size < CRC_BYTES)
        return SM_E_INVALID;
    piece->has_crc = true;
    piece->crc = sm_load_le32(piece->data);
    piece->data += CRC_BYTES;
    piece->size -= CRC_BYTES;
    piece->plain_size = piece->size;
    enum sm_rc rc = type == CHUNK_BLOCK ? set_block(piece) : SM_OK;
    return rc == SM_OK && piece->plain_size > CHUNK_PLAIN_BYTES_MAX ? SM_E_INVALID : rc;
}

enum sm_rc sm_snappy_next(struct sm_snappy_reader *r, struct sm_snappy_piece *piece)
{
    size_t left = (size_t)(r->end - r->p);
    if (!r->is_framed) {
        *piece = (struct sm_snappy_piece){.data = r->p, .size = left};
        r->p = r->end;
        return set_block(piece);
    }
    if (left < HEADER_BYTES)
        return SM_E_TRUNCATED;
    uint8_t type = r->p[0];
    size_t size = sm_load_le32(r->p) >> 8;
    if (size > left - HEADER_BYTES)
        return SM_E_TRUNCATED;
    bool is_identifier = begins_stream(r->p, r->end); /* streams in a row each have one */
    *piece = (struct sm_snappy_piece){.data = r->p + HEADER_BYTES, .size = size};
    r->p += HEADER_BYTES + size;
    if (type == CHUNK_BLOCK || type == CHUNK_PLAIN)
        return set_chunk(piece, type);
    piece->size = 0;
    return type >= CHUNK_SKIPPED_FIRST && (type != CHUNK_IDENTIFIER || is_identifier) ? SM_OK : SM_E_INVALID;
}

static uint32_t masked_crc(const uint8_t *bytes, size_t n)
{
    uint32_t crc = sm_crc32c(0, bytes, n);
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

enum sm_rc sm_snappy_write(const struct sm_snappy_piece *piece, uint8_t *to)
{
    size_t n = piece->plain_size;
    if (piece->is_block) {
        if (snappy_uncompress((const char *)piece->data, piece->size, (char *)to, &n) != SNAPPY_OK)
            return SM_E_INVALID;
    } else if (n) {
        memcpy(to, piece->data, n);
    }
    return piece->has_crc && masked_crc(to, n) != piece->crc ? SM_E_INVALID : SM_OK;
}
