/* Segment footers: building from an index, reading through a mapping. */
#include "store/footer.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "store/filter.h"
#include "store/posting.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- writing ---- */

struct builder {
    struct sm_index *index;
    struct sm_buf *out;
    size_t base;     /* where the footer begins in out */
    uint64_t offset; /* the same place in the file */
    struct sm_format_directory directory;
};

static void begin(struct builder *b, enum sm_format_section type)
{
    b->directory.sections[type].offset = b->offset + (b->out->size - b->base);
}

static void finish(struct builder *b, enum sm_format_section type)
{
    struct sm_format_range *range = &b->directory.sections[type];
    size_t at = b->base + (size_t)(range->offset - b->offset);
    range->size = b->out->size - at;
    range->crc = sm_crc32c(0, b->out->data + at, range->size);
}

static uint8_t *extend(struct sm_buf *out, size_t size)
{
    sm_buf_reserve(out, size);
    uint8_t *at = out->data + out->size;
    out->size += size;
    return at;
}

static int compare_ids(const void *x, const void *y)
{
    const struct sm_format_id *a = x, *b = y;
    if (a->lo != b->lo)
        return a->lo < b->lo ? -1 : 1;
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return (a->ordinal > b->ordinal) - (a->ordinal < b->ordinal);
}

static void build_ids(struct builder *b)
{
    uint32_t count = sm_index_rows(b->index);
    struct sm_format_id *ids = sm_xmalloc(SM_MAX(count, 1u) * sizeof *ids);
    for (uint32_t i = 0; i < count; i++) {
        struct sm_trace_id id = sm_index_id(b->index, i);
        ids[i] = (struct sm_format_id){.lo = id.lo, .hi = id.hi, .ordinal = i};
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    begin(b, SM_SECTION_IDS);
    uint8_t *p = extend(b->out, (size_t)count * SM_FORMAT_ID_SIZE);
    for (uint32_t i = 0; i < count; i++)
        sm_format_id_pack(&ids[i], p + (size_t)i * SM_FORMAT_ID_SIZE);
    finish(b, SM_SECTION_IDS);
    free(ids);
}

static void build_filter(struct builder *b)
{
    uint32_t count = sm_index_rows(b->index);
    size_t size = sm_filter_size(count);
    begin(b, SM_SECTION_FILTER);
    uint8_t *filter = extend(b->out, size);
    memset(filter, 0, size);
    for (uint32_t i = 0; i < count; i++)
        sm_filter_add(filter, size, sm_index_id(b->index, i).lo);
    finish(b, SM_SECTION_FILTER);
}

static void build_rows(struct builder *b)
{
    uint32_t rows = sm_index_rows(b->index), zones = sm_index_zones(b->index);
    begin(b, SM_SECTION_ROWS);
    for (uint32_t i = 0; i < rows; i++)
        sm_buf_put(b->out, sm_index_row_bytes(b->index, i), SM_FORMAT_ROW_SIZE);
    finish(b, SM_SECTION_ROWS);
    begin(b, SM_SECTION_ZONES);
    for (uint32_t i = 0; i < zones; i++)
        sm_buf_put(b->out, sm_index_zone_bytes(b->index, i), SM_FORMAT_ZONE_SIZE);
    finish(b, SM_SECTION_ZONES);
}

static void build_strings(struct builder *b)
{
    uint32_t count = sm_index_string_count(b->index), offset = 0;
    begin(b, SM_SECTION_STRINGS);
    uint8_t *p = extend(b->out, 4 + ((size_t)count + 1) * 4);
    sm_store_le32(p, count);
    for (uint32_t i = 0; i < count; i++) {
        sm_store_le32(p + 4 + (size_t)i * 4, offset);
        offset += (uint32_t)sm_index_string(b->index, i).len;
    }
    sm_store_le32(p + 4 + (size_t)count * 4, offset);
    for (uint32_t i = 0; i < count; i++)
        sm_buf_put_str(b->out, sm_index_string(b->index, i));
    finish(b, SM_SECTION_STRINGS);
}

/* Terms keep their numbers (rows refer to them); a term without records has an empty posting. */
static void build_terms(struct builder *b)
{
    uint32_t count = sm_index_term_count(b->index);
    struct sm_format_term *terms = sm_xmalloc(SM_MAX(count, 1u) * sizeof *terms);
    begin(b, SM_SECTION_POSTINGS);
    size_t from = b->out->size;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *ordinals;
        uint32_t n;
        sm_index_term(b->index, i, &terms[i], &ordinals, &n);
        terms[i].posting_offset = b->out->size - from;
        terms[i].posting_size = n ? sm_posting_write(ordinals, n, b->out) : 0;
    }
    finish(b, SM_SECTION_POSTINGS);
    begin(b, SM_SECTION_TERMS);
    uint8_t *p = extend(b->out, (size_t)count * SM_FORMAT_TERM_SIZE);
    for (uint32_t i = 0; i < count; i++)
        sm_format_term_pack(&terms[i], p + (size_t)i * SM_FORMAT_TERM_SIZE);
    finish(b, SM_SECTION_TERMS);
    free(terms);
}

static void build_dictionary(struct builder *b, const struct sm_dictionary *dictionary)
{
    begin(b, SM_SECTION_DICTIONARY);
    sm_buf_put(b->out, dictionary->chunk.data, dictionary->chunk.size);
    finish(b, SM_SECTION_DICTIONARY);
}

static void build_end(struct builder *b, uint64_t salt)
{
    struct sm_format_trailer trailer = {.directory_offset = b->offset + (b->out->size - b->base),
                                        .footer_offset = b->offset};
    uint8_t *p = extend(b->out, SM_FORMAT_DIRECTORY_SIZE_MAX);
    trailer.directory_size = sm_format_directory_pack(&b->directory, p);
    trailer.directory_crc = sm_crc32c(0, p, trailer.directory_size);
    b->out->size -= SM_FORMAT_DIRECTORY_SIZE_MAX - trailer.directory_size;
    sm_format_trailer_pack(&trailer, salt, extend(b->out, SM_FORMAT_TRAILER_SIZE));
    sm_format_footer_pack(b->out->size - b->base, salt, b->out->data + b->base);
}

void sm_footer_build(struct sm_index *index, const struct sm_dictionary *dictionary, uint64_t salt, uint64_t offset,
                     struct sm_buf *out)
{
    struct builder b = {.index = index, .out = out, .base = out->size, .offset = offset};
    sm_index_summary(index, &b.directory.summary);
    extend(out, SM_FORMAT_FOOTER_HEADER_SIZE);
    build_ids(&b);
    build_filter(&b);
    build_rows(&b);
    build_strings(&b);
    build_terms(&b);
    if (dictionary)
        build_dictionary(&b, dictionary);
    build_end(&b, salt);
}

/* ---- opening ---- */

/* Reads and checks trailer and directory. */
static bool read_directory(int fd, uint64_t file_size, uint64_t salt, struct sm_footer *f, uint64_t *directory_offset)
{
    uint8_t bytes[SM_FORMAT_TRAILER_SIZE], directory[SM_FORMAT_DIRECTORY_SIZE_MAX];
    struct sm_format_trailer trailer;
    if (file_size < SM_FORMAT_TRAILER_SIZE ||
        sm_file_read_at(fd, bytes, sizeof bytes, file_size - SM_FORMAT_TRAILER_SIZE) != SM_OK ||
        !sm_format_trailer_unpack(bytes, salt, &trailer))
        return false;
    uint64_t end = file_size - SM_FORMAT_TRAILER_SIZE;
    if (trailer.directory_offset > end || trailer.directory_size != end - trailer.directory_offset ||
        trailer.footer_offset > trailer.directory_offset || trailer.directory_size > sizeof directory)
        return false;
    f->offset = trailer.footer_offset;
    *directory_offset = trailer.directory_offset;
    return sm_file_read_at(fd, directory, trailer.directory_size, trailer.directory_offset) == SM_OK &&
           sm_crc32c(0, directory, trailer.directory_size) == trailer.directory_crc &&
           sm_format_directory_unpack(directory, trailer.directory_size, &f->directory);
}

static bool sections_add_up(const struct sm_footer *f, uint64_t directory_offset)
{
    const struct sm_format_range *s = f->directory.sections;
    for (int type = 1; type < SM_SECTION_COUNT; type++) {
        if (s[type].size && (s[type].offset < f->offset || s[type].offset > directory_offset ||
                             s[type].size > directory_offset - s[type].offset))
            return false;
    }
    const struct sm_format_summary *sum = &f->directory.summary;
    return sum->traces <= SM_INDEX_ROWS_MAX && sum->blocks <= SM_INDEX_ZONES_MAX &&
           s[SM_SECTION_IDS].size == sum->traces * SM_FORMAT_ID_SIZE &&
           s[SM_SECTION_ROWS].size == sum->traces * SM_FORMAT_ROW_SIZE &&
           s[SM_SECTION_ZONES].size == sum->blocks * SM_FORMAT_ZONE_SIZE &&
           s[SM_SECTION_TERMS].size % SM_FORMAT_TERM_SIZE == 0;
}

enum sm_rc sm_footer_open(struct sm_footer *f, int fd, uint64_t file_size, uint64_t salt)
{
    uint64_t directory_offset;
    *f = (struct sm_footer){0};
    if (!read_directory(fd, file_size, salt, f, &directory_offset) || !sections_add_up(f, directory_offset))
        return SM_E_NOTFOUND;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    f->map_offset = f->offset / page * page;
    f->map_size = (size_t)(file_size - f->map_offset);
    void *map = mmap(NULL, f->map_size, PROT_READ, MAP_SHARED, fd, (off_t)f->map_offset);
    if (map == MAP_FAILED)
        return SM_E_NOTFOUND;
    f->map = map;
    return SM_OK;
}

void sm_footer_close(struct sm_footer *f)
{
    if (f->map)
        munmap((void *)f->map, f->map_size);
    f->map = NULL;
}

/* ---- reading ---- */

enum { SECTION_UNKNOWN, SECTION_GOOD, SECTION_BAD };

/* The section's bytes, or NULL when they are damaged. Two threads may verify the same section; both find the same. */
static const uint8_t *section(struct sm_footer *f, enum sm_format_section type, size_t *size)
{
    const struct sm_format_range *range = &f->directory.sections[type];
    *size = (size_t)range->size;
    if (!range->size) /* its offset means nothing */
        return f->map;
    const uint8_t *bytes = f->map + (range->offset - f->map_offset);
    uint8_t state = atomic_load_explicit(&f->state[type], memory_order_acquire);
    if (state == SECTION_UNKNOWN) {
        state = sm_crc32c(0, bytes, *size) == range->crc ? SECTION_GOOD : SECTION_BAD;
        atomic_store_explicit(&f->state[type], state, memory_order_release);
    }
    return state == SECTION_GOOD ? bytes : NULL;
}

bool sm_footer_verify(struct sm_footer *f)
{
    size_t size;
    for (int type = 1; type < SM_SECTION_COUNT; type++) {
        if (!section(f, (enum sm_format_section)type, &size))
            return false;
    }
    return true;
}

enum sm_rc sm_footer_dictionary(struct sm_footer *f, uint64_t salt, struct sm_dictionary **dictionary)
{
    size_t size;
    *dictionary = NULL;
    const uint8_t *chunk = section(f, SM_SECTION_DICTIONARY, &size);
    if (!chunk)
        return SM_E_INVALID;
    if (!size)
        return SM_OK;
    *dictionary = sm_dictionary_parse(chunk, size, salt);
    return *dictionary ? SM_OK : SM_E_INVALID;
}

enum sm_rc sm_footer_row(struct sm_footer *f, uint32_t i, struct sm_format_row *row)
{
    size_t size;
    const uint8_t *rows = section(f, SM_SECTION_ROWS, &size);
    if (!rows)
        return SM_E_INVALID;
    sm_format_row_unpack(rows + (size_t)i * SM_FORMAT_ROW_SIZE, row);
    return SM_OK;
}

enum sm_rc sm_footer_zone(struct sm_footer *f, uint32_t i, struct sm_format_zone *zone)
{
    size_t size;
    const uint8_t *zones = section(f, SM_SECTION_ZONES, &size);
    if (!zones)
        return SM_E_INVALID;
    sm_format_zone_unpack(zones + (size_t)i * SM_FORMAT_ZONE_SIZE, zone);
    return SM_OK;
}

/* The first entry that is not below `lo`. */
static uint32_t lower_bound(const uint8_t *ids, uint32_t count, uint64_t lo)
{
    uint32_t from = 0;
    while (count) {
        uint32_t half = count / 2;
        if (sm_load_le64(ids + (size_t)(from + half) * SM_FORMAT_ID_SIZE) < lo) {
            from += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return from;
}

enum sm_rc sm_footer_find(struct sm_footer *f, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals, uint32_t max,
                          uint32_t *count)
{
    size_t size;
    *count = 0;
    const uint8_t *filter = section(f, SM_SECTION_FILTER, &size);
    if (!filter)
        return SM_E_INVALID;
    if (!sm_filter_maybe(filter, size, lo))
        return SM_OK;
    const uint8_t *entries = section(f, SM_SECTION_IDS, &size);
    if (!entries)
        return SM_E_INVALID;
    uint32_t rows = sm_footer_rows(f);
    for (uint32_t i = lower_bound(entries, rows, lo); i < rows && *count < max; i++) {
        struct sm_format_id entry;
        sm_format_id_unpack(entries + (size_t)i * SM_FORMAT_ID_SIZE, &entry);
        if (entry.lo != lo)
            break;
        if (entry.ordinal >= rows)
            return SM_E_INVALID;
        ids[*count] = (struct sm_trace_id){.hi = entry.hi, .lo = entry.lo};
        ordinals[(*count)++] = entry.ordinal;
    }
    return SM_OK;
}

struct strings {
    const uint8_t *offsets;
    const uint8_t *text;
    size_t text_size;
    uint32_t count;
};

static bool open_strings(struct sm_footer *f, struct strings *s)
{
    size_t size;
    const uint8_t *bytes = section(f, SM_SECTION_STRINGS, &size);
    if (!bytes || size < 8)
        return false;
    s->count = sm_load_le32(bytes);
    uint64_t head = 4 + ((uint64_t)s->count + 1) * 4;
    if (head > size)
        return false;
    s->offsets = bytes + 4;
    s->text = bytes + head;
    s->text_size = size - (size_t)head;
    return true;
}

static bool string_at(const struct strings *s, uint32_t i, struct sm_str *text)
{
    if (i >= s->count)
        return false;
    uint32_t from = sm_load_le32(s->offsets + (size_t)i * 4), to = sm_load_le32(s->offsets + (size_t)i * 4 + 4);
    if (from > to || to > s->text_size)
        return false;
    *text = sm_str(s->text + from, to - from);
    return true;
}

static bool name_term(const struct strings *strings, const struct sm_format_term *entry, struct sm_index_term *term)
{
    bool has_a = entry->type == SM_TERM_SERVICE || entry->type == SM_TERM_OPERATION || entry->type == SM_TERM_REMOTE;
    bool has_b = entry->type == SM_TERM_OPERATION || entry->type == SM_TERM_REMOTE;
    return (!has_a || string_at(strings, entry->a, &term->a)) && (!has_b || string_at(strings, entry->b, &term->b));
}

enum sm_rc sm_footer_terms(struct sm_footer *f, sm_index_term_fn fn, void *ctx)
{
    size_t size;
    struct strings strings;
    const uint8_t *terms = section(f, SM_SECTION_TERMS, &size);
    if (!terms || !open_strings(f, &strings))
        return SM_E_INVALID;
    for (uint32_t i = 0; i < size / SM_FORMAT_TERM_SIZE; i++) {
        struct sm_format_term entry;
        sm_format_term_unpack(terms + (size_t)i * SM_FORMAT_TERM_SIZE, &entry);
        struct sm_index_term term = {.type = entry.type, .kind = entry.kind, .number = i};
        if (!name_term(&strings, &entry, &term))
            return SM_E_INVALID;
        if (entry.posting_size)
            fn(ctx, &term);
    }
    return SM_OK;
}

enum sm_rc sm_footer_posting(struct sm_footer *f, uint32_t number, roaring_bitmap_t **posting)
{
    size_t terms_size, size;
    const uint8_t *terms = section(f, SM_SECTION_TERMS, &terms_size);
    const uint8_t *postings = section(f, SM_SECTION_POSTINGS, &size);
    if (!terms || !postings || number >= terms_size / SM_FORMAT_TERM_SIZE)
        return SM_E_INVALID;
    struct sm_format_term entry;
    sm_format_term_unpack(terms + (size_t)number * SM_FORMAT_TERM_SIZE, &entry);
    if (entry.posting_offset > size || entry.posting_size > size - entry.posting_offset)
        return SM_E_INVALID;
    *posting = sm_posting_read(postings + entry.posting_offset, entry.posting_size, sm_footer_rows(f));
    return *posting ? SM_OK : SM_E_INVALID;
}
