/* Scanning segment files: block by block, resuming at the next valid header after damage. */
#include "store/scan.h"
#include "base/crc32c.h"
#include "store/block.h"
#include "store/record.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOW_BYTES = 1 << 20, DISK_PAGE = 4096 };

struct walk {
    struct sm_scan *scan;
    uint8_t *window; /* file bytes [from, from + size) */
    size_t capacity, size;
    uint64_t from;
    struct sm_block_reader *unpacker;
    struct sm_buf raw;
    struct sm_record_spans decoded;
    struct sm_store_span *spans;
    uint32_t spans_capacity;
    bool sought_dictionary; /* all over the file */
};

/* Reads `size` bytes; pages that cannot be read become zeros. */
static void read_forgiving(int fd, uint8_t *p, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pread(fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            n = (ssize_t)SM_MIN((uint64_t)size, n == 0 ? size : DISK_PAGE - offset % DISK_PAGE);
            memset(p, 0, (size_t)n);
        }
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
}

/* `size` bytes of the file at `at`, or NULL when it ends before. */
static const uint8_t *look(struct walk *w, uint64_t at, size_t size)
{
    if (at > w->scan->file_size || size > w->scan->file_size - at)
        return NULL;
    if (at >= w->from && at + size <= w->from + w->size)
        return w->window + (at - w->from);
    size_t want = (size_t)SM_MIN(SM_MAX((uint64_t)size, (uint64_t)WINDOW_BYTES), w->scan->file_size - at);
    if (w->capacity < want) {
        free(w->window);
        w->window = sm_xmalloc(want);
        w->capacity = want;
    }
    read_forgiving(w->scan->fd, w->window, want, at);
    w->from = at;
    w->size = want;
    return w->window;
}

static bool stage_record(struct walk *w, const uint8_t *record, uint32_t size)
{
    struct sm_store_meta meta;
    w->decoded.count = 0;
    if (!sm_record_decode(record, size, &meta, &w->decoded))
        return false;
    if (!w->scan->index)
        return true;
    if (w->spans_capacity < w->decoded.count) {
        w->spans_capacity = SM_MAX(w->decoded.count, w->spans_capacity * 2);
        w->spans = sm_xrealloc(w->spans, w->spans_capacity * sizeof *w->spans);
    }
    for (uint32_t i = 0; i < w->decoded.count; i++)
        sm_store_describe(&w->decoded.spans[i], &w->spans[i]);
    return sm_index_stage(w->scan->index, &meta, w->spans, w->decoded.count);
}

static bool stage_records(struct walk *w, uint32_t traces)
{
    const uint8_t *p = w->raw.data, *end = p + w->raw.size;
    uint32_t count = 0;
    while (p < end) {
        uint32_t size = sm_record_size(p, (size_t)(end - p));
        if (!size || !stage_record(w, p, size))
            return false;
        p += size;
        count++;
    }
    return count == traces && count > 0;
}

static bool take_payload(struct walk *w, const struct sm_format_block *block, const uint8_t *payload)
{
    if (sm_crc32c(0, payload, block->size) != block->crc)
        return false;
    sm_buf_clear(&w->raw);
    sm_buf_reserve(&w->raw, block->raw_size);
    if (!sm_block_unpack(w->unpacker, block, payload, w->scan->dictionary, w->raw.data))
        return false;
    w->raw.size = block->raw_size;
    bool good = stage_records(w, block->traces);
    if (!good && w->scan->index)
        sm_index_discard(w->scan->index);
    return good;
}

/* The size of the dictionary chunk at `at`, which becomes the file's dictionary if there was none; 0 when there is none. */
static uint64_t take_dictionary(struct walk *w, uint64_t at)
{
    struct sm_format_block header;
    const uint8_t *head = look(w, at, SM_FORMAT_BLOCK_HEADER_SIZE);
    if (!head || !sm_format_block_unpack(head, SM_FORMAT_DICTIONARY_MAGIC, w->scan->salt, &header))
        return 0;
    size_t size = SM_FORMAT_BLOCK_HEADER_SIZE + (size_t)header.size;
    const uint8_t *chunk = look(w, at, size);
    struct sm_dictionary *d = chunk ? sm_dictionary_parse(chunk, size, w->scan->salt) : NULL;
    if (!d)
        return 0;
    if (w->scan->dictionary)
        sm_dictionary_free(d);
    else
        w->scan->dictionary = d;
    return size;
}

/* The copies in front of the blocks are damaged: another one lies in the footer. */
static void seek_dictionary(struct walk *w)
{
    if (w->sought_dictionary)
        return;
    w->sought_dictionary = true;
    for (uint64_t at = SM_FORMAT_FILE_HEADER_SIZE; at < w->scan->file_size && !w->scan->dictionary; at++) {
        const uint8_t *p = look(w, at, 1);
        size_t left = (size_t)(w->from + w->size - at);
        const uint8_t *m = memchr(p, 'M', left);
        at += m ? (uint64_t)(m - p) : left - 1;
        if (m)
            take_dictionary(w, at);
    }
}

/* Takes the block at `at`; its size, or 0 when there is no whole one. */
static uint64_t take_block(struct walk *w, uint64_t at)
{
    struct sm_format_block block;
    const uint8_t *head = look(w, at, SM_FORMAT_BLOCK_HEADER_SIZE);
    if (!head || !sm_format_block_unpack(head, SM_FORMAT_BLOCK_MAGIC, w->scan->salt, &block))
        return 0;
    if (block.dictionary && !w->scan->dictionary)
        seek_dictionary(w);
    const uint8_t *payload = look(w, at + SM_FORMAT_BLOCK_HEADER_SIZE, block.size);
    if (!payload || !take_payload(w, &block, payload))
        return 0;
    uint64_t size = SM_FORMAT_BLOCK_HEADER_SIZE + (uint64_t)block.size;
    if (w->scan->index)
        sm_index_commit(w->scan->index, at, (uint32_t)size, block.raw_size, block.first_seq);
    w->scan->blocks++;
    return size;
}

static uint64_t skip_footer(struct walk *w, uint64_t at)
{
    uint64_t size;
    const uint8_t *head = look(w, at, SM_FORMAT_FOOTER_HEADER_SIZE);
    if (!head || !sm_format_footer_unpack(head, w->scan->salt, &size))
        return 0;
    return size >= SM_FORMAT_FOOTER_HEADER_SIZE && size <= w->scan->file_size - at ? size : 0;
}

static bool header_at(struct walk *w, uint64_t at)
{
    struct sm_format_block block;
    const uint8_t *head = look(w, at, SM_FORMAT_BLOCK_HEADER_SIZE);
    return (head && (sm_format_block_unpack(head, SM_FORMAT_BLOCK_MAGIC, w->scan->salt, &block) ||
                     sm_format_block_unpack(head, SM_FORMAT_DICTIONARY_MAGIC, w->scan->salt, &block))) ||
           skip_footer(w, at);
}

/* The next place at or behind `at` where a header is valid; the file's end when there is none. Magics begin with an M. */
static uint64_t find_header(struct walk *w, uint64_t at)
{
    while (at < w->scan->file_size) {
        const uint8_t *p = look(w, at, 1);
        size_t left = (size_t)(w->from + w->size - at);
        const uint8_t *m = memchr(p, 'M', left);
        if (!m) {
            at += left;
            continue;
        }
        at += (uint64_t)(m - p);
        if (header_at(w, at))
            return at;
        at++;
    }
    return w->scan->file_size;
}

static void report_damage(struct sm_scan *scan, uint64_t from, uint64_t to)
{
    scan->damaged_ranges++;
    scan->damaged_bytes += to - from;
    if (scan->damage)
        scan->damage(scan->ctx, from, to - from);
}

static void walk_file(struct walk *w)
{
    struct sm_scan *scan = w->scan;
    uint64_t at = SM_FORMAT_FILE_HEADER_SIZE;
    scan->end = SM_MIN(at, scan->file_size);
    while (at < scan->file_size) {
        uint64_t size = take_block(w, at);
        if (!size)
            size = take_dictionary(w, at);
        if (!size) {
            size = skip_footer(w, at);
            scan->footers += size > 0;
        }
        if (size) {
            if (at != scan->end)
                report_damage(scan, scan->end, at);
            at += size;
            scan->end = at;
        } else {
            at = find_header(w, at + 1);
        }
    }
}

void sm_scan_run(struct sm_scan *scan)
{
    struct walk w = {.scan = scan, .unpacker = sm_block_reader_new()};
    scan->dictionary = NULL;
    scan->blocks = scan->footers = scan->damaged_ranges = scan->damaged_bytes = 0;
    walk_file(&w);
    sm_block_reader_free(w.unpacker);
    sm_buf_fini(&w.raw);
    sm_record_spans_fini(&w.decoded);
    free(w.spans);
    free(w.window);
}
