/* Packing and unpacking of segment structures. */
#include "store/format.h"
#include "base/crc32c.h"

#include <inttypes.h>

static const char file_magic[8] = {'s', 'p', 'a', 'n', 'm', 'i', 'l', 'l'};

static uint32_t salted_crc(uint64_t salt, const void *bytes, size_t size)
{
    uint8_t seed[8];
    sm_store_le64(seed, salt);
    return sm_crc32c(sm_crc32c(0, seed, sizeof seed), bytes, size);
}

void sm_format_name(uint64_t id, uint64_t salt, char name[SM_FORMAT_NAME_SIZE])
{
    snprintf(name, SM_FORMAT_NAME_SIZE, "%016" PRIx64 "-%016" PRIx64 ".seg", id, salt);
}

static bool parse_hex16(const char *text, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++) {
        char c = text[i];
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *value = *value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    return true;
}

bool sm_format_name_parse(const char *name, uint64_t *id, uint64_t *salt)
{
    size_t size = strlen(name);
    return size >= SM_FORMAT_NAME_SIZE - 1 && parse_hex16(name, id) && name[16] == '-' && parse_hex16(name + 17, salt) &&
           memcmp(name + 33, ".seg", 4) == 0 && (name[37] == '\0' || name[37] == '.');
}

void sm_format_file_pack(const struct sm_format_file *file, uint8_t out[SM_FORMAT_FILE_HEADER_SIZE])
{
    memset(out, 0, SM_FORMAT_FILE_HEADER_SIZE);
    memcpy(out, file_magic, sizeof file_magic);
    sm_store_le32(out + 8, file->version);
    sm_store_le64(out + 16, file->id);
    sm_store_le32(out + 28, salted_crc(file->salt, out, 28));
}

bool sm_format_file_unpack(const uint8_t *in, uint64_t id, uint64_t salt, uint32_t *version)
{
    *version = sm_load_le32(in + 8);
    return memcmp(in, file_magic, sizeof file_magic) == 0 && sm_load_le64(in + 16) == id &&
           sm_load_le32(in + 28) == salted_crc(salt, in, 28);
}

void sm_format_block_pack(const struct sm_format_block *block, uint32_t magic, uint64_t salt,
                          uint8_t out[SM_FORMAT_BLOCK_HEADER_SIZE])
{
    sm_store_le32(out, magic);
    sm_store_le32(out + 8, block->size);
    sm_store_le32(out + 12, block->raw_size);
    sm_store_le32(out + 16, block->crc);
    sm_store_le32(out + 20, block->traces);
    sm_store_le64(out + 24, block->first_seq);
    sm_store_le32(out + 32, block->dictionary);
    sm_store_le32(out + 36, 0);
    sm_store_le32(out + 4, salted_crc(salt, out + 8, SM_FORMAT_BLOCK_HEADER_SIZE - 8));
}

bool sm_format_block_unpack(const uint8_t *in, uint32_t magic, uint64_t salt, struct sm_format_block *block)
{
    if (sm_load_le32(in) != magic ||
        sm_load_le32(in + 4) != salted_crc(salt, in + 8, SM_FORMAT_BLOCK_HEADER_SIZE - 8))
        return false;
    block->size = sm_load_le32(in + 8);
    block->raw_size = sm_load_le32(in + 12);
    block->crc = sm_load_le32(in + 16);
    block->traces = sm_load_le32(in + 20);
    block->first_seq = sm_load_le64(in + 24);
    block->dictionary = sm_load_le32(in + 32);
    return block->raw_size <= SM_FORMAT_BLOCK_RAW_MAX && block->size <= 2 * SM_FORMAT_BLOCK_RAW_MAX;
}

/* The summary's numbers in file order. */
enum { SUMMARY_FIELDS = 11 };

static void summary_fields(struct sm_format_summary *s, uint64_t *fields[SUMMARY_FIELDS])
{
    uint64_t *const order[SUMMARY_FIELDS] = {
        &s->traces,    &s->spans,     &s->blocks,  &s->bytes_raw,
        &s->first_seq, &s->last_seq,  &s->start_min, &s->start_max,
        &s->end_max,   (uint64_t *)&s->stored_min, (uint64_t *)&s->stored_max};
    memcpy(fields, order, sizeof order);
}

uint32_t sm_format_directory_pack(const struct sm_format_directory *directory, uint8_t *out)
{
    struct sm_format_summary summary = directory->summary;
    uint64_t *fields[SUMMARY_FIELDS];
    summary_fields(&summary, fields);
    memset(out, 0, SM_FORMAT_DIRECTORY_SIZE);
    sm_store_le32(out, SM_FORMAT_VERSION);
    for (unsigned i = 0; i < SUMMARY_FIELDS; i++)
        sm_store_le64(out + 16 + i * 8, *fields[i]);
    uint8_t *p = out + SM_FORMAT_DIRECTORY_SIZE;
    uint32_t count = 0;
    for (uint32_t type = 1; type < SM_SECTION_COUNT; type++) {
        const struct sm_format_range *range = &directory->sections[type];
        if (range->size == 0)
            continue;
        sm_store_le32(p, type);
        sm_store_le32(p + 4, range->crc);
        sm_store_le64(p + 8, range->offset);
        sm_store_le64(p + 16, range->size);
        p += SM_FORMAT_SECTION_SIZE;
        count++;
    }
    sm_store_le32(out + 4, count);
    return (uint32_t)(p - out);
}

bool sm_format_directory_unpack(const uint8_t *in, size_t size, struct sm_format_directory *directory)
{
    *directory = (struct sm_format_directory){0};
    if (size < SM_FORMAT_DIRECTORY_SIZE || sm_load_le32(in) != SM_FORMAT_VERSION)
        return false;
    uint64_t count = sm_load_le32(in + 4);
    if (size != SM_FORMAT_DIRECTORY_SIZE + count * SM_FORMAT_SECTION_SIZE)
        return false;
    uint64_t *fields[SUMMARY_FIELDS];
    summary_fields(&directory->summary, fields);
    for (unsigned i = 0; i < SUMMARY_FIELDS; i++)
        *fields[i] = sm_load_le64(in + 16 + i * 8);
    const uint8_t *p = in + SM_FORMAT_DIRECTORY_SIZE;
    for (uint64_t i = 0; i < count; i++, p += SM_FORMAT_SECTION_SIZE) {
        uint32_t type = sm_load_le32(p);
        if (type == 0 || type >= SM_SECTION_COUNT)
            continue;
        directory->sections[type] = (struct sm_format_range){
            .offset = sm_load_le64(p + 8), .size = sm_load_le64(p + 16), .crc = sm_load_le32(p + 4)};
    }
    return true;
}

void sm_format_footer_pack(uint64_t size, uint64_t salt, uint8_t out[SM_FORMAT_FOOTER_HEADER_SIZE])
{
    sm_store_le32(out, SM_FORMAT_FOOTER_MAGIC);
    sm_store_le64(out + 8, size);
    sm_store_le32(out + 4, salted_crc(salt, out + 8, 8));
}

bool sm_format_footer_unpack(const uint8_t *in, uint64_t salt, uint64_t *size)
{
    *size = sm_load_le64(in + 8);
    return sm_load_le32(in) == SM_FORMAT_FOOTER_MAGIC && sm_load_le32(in + 4) == salted_crc(salt, in + 8, 8);
}

void sm_format_trailer_pack(const struct sm_format_trailer *trailer, uint64_t salt, uint8_t out[SM_FORMAT_TRAILER_SIZE])
{
    sm_store_le64(out, trailer->directory_offset);
    sm_store_le32(out + 8, trailer->directory_size);
    sm_store_le32(out + 12, trailer->directory_crc);
    sm_store_le64(out + 16, trailer->footer_offset);
    sm_store_le32(out + 24, salted_crc(salt, out, 24));
    sm_store_le32(out + 28, SM_FORMAT_TRAILER_MAGIC);
}

bool sm_format_trailer_unpack(const uint8_t *in, uint64_t salt, struct sm_format_trailer *trailer)
{
    trailer->directory_offset = sm_load_le64(in);
    trailer->directory_size = sm_load_le32(in + 8);
    trailer->directory_crc = sm_load_le32(in + 12);
    trailer->footer_offset = sm_load_le64(in + 16);
    return sm_load_le32(in + 28) == SM_FORMAT_TRAILER_MAGIC && sm_load_le32(in + 24) == salted_crc(salt, in, 24);
}

void sm_format_row_pack(const struct sm_format_row *row, uint8_t *out)
{
    sm_store_le64(out, row->start);
    sm_store_le64(out + 8, row->duration);
    sm_store_le32(out + 16, row->root_term);
    sm_store_le32(out + 20, row->block);
    sm_store_le32(out + 24, row->spans);
    sm_store_le32(out + 28, row->errors);
}

void sm_format_row_unpack(const uint8_t *in, struct sm_format_row *row)
{
    row->start = sm_load_le64(in);
    row->duration = sm_load_le64(in + 8);
    row->root_term = sm_load_le32(in + 16);
    row->block = sm_load_le32(in + 20);
    row->spans = sm_load_le32(in + 24);
    row->errors = sm_load_le32(in + 28);
}

void sm_format_zone_pack(const struct sm_format_zone *zone, uint8_t *out)
{
    sm_store_le64(out, zone->offset);
    sm_store_le64(out + 8, zone->start_min);
    sm_store_le64(out + 16, zone->start_max);
    sm_store_le64(out + 24, zone->end_max);
    sm_store_le64(out + 32, zone->duration_max);
    sm_store_le32(out + 40, zone->size);
    sm_store_le32(out + 44, zone->first);
    sm_store_le32(out + 48, zone->traces);
    sm_store_le32(out + 52, zone->flags);
}

void sm_format_zone_unpack(const uint8_t *in, struct sm_format_zone *zone)
{
    zone->offset = sm_load_le64(in);
    zone->start_min = sm_load_le64(in + 8);
    zone->start_max = sm_load_le64(in + 16);
    zone->end_max = sm_load_le64(in + 24);
    zone->duration_max = sm_load_le64(in + 32);
    zone->size = sm_load_le32(in + 40);
    zone->first = sm_load_le32(in + 44);
    zone->traces = sm_load_le32(in + 48);
    zone->flags = sm_load_le32(in + 52);
}

void sm_format_id_pack(const struct sm_format_id *id, uint8_t *out)
{
    sm_store_le64(out, id->lo);
    sm_store_le64(out + 8, id->hi);
    sm_store_le32(out + 16, id->ordinal);
}

void sm_format_id_unpack(const uint8_t *in, struct sm_format_id *id)
{
    id->lo = sm_load_le64(in);
    id->hi = sm_load_le64(in + 8);
    id->ordinal = sm_load_le32(in + 16);
}

void sm_format_term_pack(const struct sm_format_term *term, uint8_t *out)
{
    out[0] = term->type;
    out[1] = term->kind;
    out[2] = out[3] = 0;
    sm_store_le32(out + 4, term->a);
    sm_store_le32(out + 8, term->b);
    sm_store_le32(out + 12, term->posting_size);
    sm_store_le64(out + 16, term->posting_offset);
}

void sm_format_term_unpack(const uint8_t *in, struct sm_format_term *term)
{
    term->type = in[0];
    term->kind = in[1];
    term->a = sm_load_le32(in + 4);
    term->b = sm_load_le32(in + 8);
    term->posting_size = sm_load_le32(in + 12);
    term->posting_offset = sm_load_le64(in + 16);
}
