/* Blocks: zstd level 1 with a checksummed header. */
#include "store/block.h"
#include "base/crc32c.h"
#include "base/file.h"

#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 1 };

/* Buffers beyond this size are given back after use. */
static const size_t keep_bytes_max = 4 * SM_MIB;

struct sm_block_writer {
    ZSTD_CCtx *zstd;
    struct sm_buf out;
};

struct sm_block_writer *sm_block_writer_new(void)
{
    struct sm_block_writer *w = sm_xcalloc(1, sizeof *w);
    w->zstd = ZSTD_createCCtx();
    SM_ASSERT(w->zstd);
    return w;
}

void sm_block_writer_free(struct sm_block_writer *w)
{
    if (!w)
        return;
    ZSTD_freeCCtx(w->zstd);
    sm_buf_fini(&w->out);
    free(w);
}

struct sm_str sm_block_writer_pack(struct sm_block_writer *w, struct sm_str records, uint32_t traces, uint64_t first_seq,
                                   uint64_t salt, struct sm_dictionary *dictionary)
{
    if (w->out.capacity > keep_bytes_max)
        sm_buf_fini(&w->out);
    sm_buf_clear(&w->out);
    size_t bound = ZSTD_compressBound(records.len);
    sm_buf_reserve(&w->out, SM_FORMAT_BLOCK_HEADER_SIZE + bound);
    uint8_t *payload = w->out.data + SM_FORMAT_BLOCK_HEADER_SIZE;
    ZSTD_CDict *encoder = dictionary ? sm_dictionary_for_writing(dictionary, LEVEL) : NULL;
    size_t size = encoder ? ZSTD_compress_usingCDict(w->zstd, payload, bound, records.ptr, records.len, encoder)
                          : ZSTD_compressCCtx(w->zstd, payload, bound, records.ptr, records.len, LEVEL);
    SM_ASSERT(!ZSTD_isError(size));
    struct sm_format_block header = {.size = (uint32_t)size,
                                     .raw_size = (uint32_t)records.len,
                                     .crc = sm_crc32c(0, payload, size),
                                     .traces = traces,
                                     .first_seq = first_seq,
                                     .dictionary = encoder ? dictionary->id : 0};
    sm_format_block_pack(&header, SM_FORMAT_BLOCK_MAGIC, salt, w->out.data);
    w->out.size = SM_FORMAT_BLOCK_HEADER_SIZE + size;
    return sm_buf_str(&w->out);
}

struct slot {
    uint64_t segment_id;
    uint32_t block;
    uint32_t size; /* 0: empty */
    size_t capacity;
    uint8_t *records;
    uint64_t used; /* tick of the last use */
};

struct sm_block_reader {
    ZSTD_DCtx *zstd;
    struct sm_buf compressed;
    struct slot slots[SM_BLOCK_READER_SLOTS];
    uint64_t tick;
};

struct sm_block_reader *sm_block_reader_new(void)
{
    struct sm_block_reader *r = sm_xcalloc(1, sizeof *r);
    r->zstd = ZSTD_createDCtx();
    SM_ASSERT(r->zstd);
    return r;
}

void sm_block_reader_free(struct sm_block_reader *r)
{
    if (!r)
        return;
    ZSTD_freeDCtx(r->zstd);
    sm_buf_fini(&r->compressed);
    for (unsigned i = 0; i < SM_BLOCK_READER_SLOTS; i++)
        free(r->slots[i].records);
    free(r);
}

bool sm_block_unpack(struct sm_block_reader *r, const struct sm_format_block *header, const uint8_t *payload,
                     const struct sm_dictionary *dictionary, uint8_t *raw)
{
    size_t size;
    if (!header->dictionary)
        size = ZSTD_decompressDCtx(r->zstd, raw, header->raw_size, payload, header->size);
    else if (dictionary && dictionary->id == header->dictionary)
        size = ZSTD_decompress_usingDDict(r->zstd, raw, header->raw_size, payload, header->size, dictionary->decoder);
    else
        return false;
    return size == header->raw_size;
}

static struct slot *oldest_slot(struct sm_block_reader *r)
{
    struct slot *oldest = &r->slots[0];
    for (unsigned i = 1; i < SM_BLOCK_READER_SLOTS; i++) {
        if (r->slots[i].used < oldest->used)
            oldest = &r->slots[i];
    }
    return oldest;
}

static struct slot *find_slot(struct sm_block_reader *r, uint64_t segment_id, uint32_t block)
{
    for (unsigned i = 0; i < SM_BLOCK_READER_SLOTS; i++) {
        struct slot *s = &r->slots[i];
        if (s->size && s->segment_id == segment_id && s->block == block)
            return s;
    }
    return NULL;
}

static void size_slot(struct slot *s, uint32_t size)
{
    if (s->capacity < size || s->capacity > SM_MAX((size_t)size, keep_bytes_max)) {
        free(s->records);
        s->records = sm_xmalloc(size);
        s->capacity = size;
    }
    s->size = 0;
}

/* Reads the block's bytes into r->compressed and checks them. */
static enum sm_rc fetch(struct sm_block_reader *r, const struct sm_block_file *file, const struct sm_format_zone *zone,
                        struct sm_format_block *header)
{
    if (zone->size < SM_FORMAT_BLOCK_HEADER_SIZE || zone->size > 2 * SM_FORMAT_BLOCK_RAW_MAX)
        return SM_E_INVALID;
    if (r->compressed.capacity > keep_bytes_max)
        sm_buf_fini(&r->compressed);
    sm_buf_clear(&r->compressed);
    sm_buf_reserve(&r->compressed, zone->size);
    enum sm_rc rc = sm_file_read_at(file->fd, r->compressed.data, zone->size, zone->offset);
    if (rc != SM_OK)
        return rc;
    const uint8_t *payload = r->compressed.data + SM_FORMAT_BLOCK_HEADER_SIZE;
    if (!sm_format_block_unpack(r->compressed.data, SM_FORMAT_BLOCK_MAGIC, file->salt, header) ||
        header->size != zone->size - SM_FORMAT_BLOCK_HEADER_SIZE || header->traces != zone->traces ||
        sm_crc32c(0, payload, header->size) != header->crc)
        return SM_E_INVALID;
    return SM_OK;
}

enum sm_rc sm_block_read(struct sm_block_reader *r, const struct sm_block_file *file, uint32_t block,
                         const struct sm_format_zone *zone, struct sm_str *records, bool *fresh)
{
    struct slot *s = find_slot(r, file->segment_id, block);
    *fresh = !s;
    if (!s) {
        struct sm_format_block header;
        enum sm_rc rc = fetch(r, file, zone, &header);
        if (rc != SM_OK)
            return rc;
        s = oldest_slot(r);
        size_slot(s, header.raw_size);
        const uint8_t *payload = r->compressed.data + SM_FORMAT_BLOCK_HEADER_SIZE;
        if (!sm_block_unpack(r, &header, payload, file->dictionary, s->records))
            return SM_E_INVALID;
        s->segment_id = file->segment_id;
        s->block = block;
        s->size = header.raw_size;
    }
    s->used = ++r->tick;
    *records = sm_str(s->records, s->size);
    return SM_OK;
}
