/* Compression dictionaries of segments. */
#include "store/dictionary.h"
#include "base/crc32c.h"
#include "store/format.h"

#include <stdlib.h>

enum { CHUNK_LEVEL = 3 };

static void pack_chunk(struct sm_dictionary *d, uint64_t salt)
{
    size_t bound = ZSTD_compressBound(d->content.size);
    sm_buf_reserve(&d->chunk, SM_FORMAT_BLOCK_HEADER_SIZE + bound);
    uint8_t *payload = d->chunk.data + SM_FORMAT_BLOCK_HEADER_SIZE;
    size_t size = ZSTD_compress(payload, bound, d->content.data, d->content.size, CHUNK_LEVEL);
    SM_ASSERT(!ZSTD_isError(size));
    struct sm_format_block header = {.size = (uint32_t)size,
                                     .raw_size = (uint32_t)d->content.size,
                                     .crc = sm_crc32c(0, payload, size),
                                     .dictionary = d->id};
    sm_format_block_pack(&header, SM_FORMAT_DICTIONARY_MAGIC, salt, d->chunk.data);
    d->chunk.size = SM_FORMAT_BLOCK_HEADER_SIZE + size;
}

/* Raw content, never a trained dictionary: records begin with their size, which is below any magic number of zstd's. */
static bool make_decoder(struct sm_dictionary *d)
{
    d->id = sm_crc32c(0, d->content.data, d->content.size);
    d->decoder = ZSTD_createDDict(d->content.data, d->content.size);
    return d->id != 0 && d->decoder;
}

struct sm_dictionary *sm_dictionary_new(struct sm_str content, uint64_t salt)
{
    struct sm_dictionary *d = sm_xcalloc(1, sizeof *d);
    sm_buf_put_str(&d->content, content);
    if (!make_decoder(d)) {
        sm_dictionary_free(d);
        return NULL;
    }
    pack_chunk(d, salt);
    return d;
}

struct sm_dictionary *sm_dictionary_parse(const uint8_t *chunk, size_t size, uint64_t salt)
{
    struct sm_format_block header;
    if (size < SM_FORMAT_BLOCK_HEADER_SIZE ||
        !sm_format_block_unpack(chunk, SM_FORMAT_DICTIONARY_MAGIC, salt, &header) ||
        header.size > size - SM_FORMAT_BLOCK_HEADER_SIZE || header.raw_size > SM_DICTIONARY_BYTES_MAX)
        return NULL;
    const uint8_t *payload = chunk + SM_FORMAT_BLOCK_HEADER_SIZE;
    if (sm_crc32c(0, payload, header.size) != header.crc)
        return NULL;
    struct sm_dictionary *d = sm_xcalloc(1, sizeof *d);
    sm_buf_reserve(&d->content, header.raw_size);
    d->content.size = header.raw_size;
    sm_buf_put(&d->chunk, chunk, SM_FORMAT_BLOCK_HEADER_SIZE + header.size);
    if (ZSTD_decompress(d->content.data, header.raw_size, payload, header.size) != header.raw_size || !make_decoder(d) ||
        d->id != header.dictionary) {
        sm_dictionary_free(d);
        return NULL;
    }
    return d;
}

void sm_dictionary_free(struct sm_dictionary *d)
{
    if (!d)
        return;
    ZSTD_freeDDict(d->decoder);
    ZSTD_freeCDict(d->encoder);
    sm_buf_fini(&d->content);
    sm_buf_fini(&d->chunk);
    free(d);
}

ZSTD_CDict *sm_dictionary_for_writing(struct sm_dictionary *d, int level)
{
    if (!d->encoder)
        d->encoder = ZSTD_createCDict(d->content.data, d->content.size, level);
    return d->encoder;
}
