/* Segment files byte by byte: the fixed structures of docs/formats/segment.md, as plain structs with pack and unpack.
 *
 * Everything is little-endian unless said otherwise. Checksums are CRC32C. Headers that recovery searches for (block, footer,
 * trailer) are checksummed together with the segment's salt, a random number from the file's name: bytes that a client put
 * into a span cannot pass for one of them. Unpacking returns false when magic or checksum is wrong. */
#ifndef SM_STORE_FORMAT_H
#define SM_STORE_FORMAT_H

#include "base/base.h"

#define SM_FORMAT_VERSION UINT32_C(1)

#define SM_FORMAT_FILE_HEADER_SIZE   32
#define SM_FORMAT_BLOCK_HEADER_SIZE  40
#define SM_FORMAT_RECORD_HEADER_SIZE 80
#define SM_FORMAT_FOOTER_HEADER_SIZE 16
#define SM_FORMAT_DIRECTORY_SIZE     104 /* without section entries */
#define SM_FORMAT_SECTION_SIZE       24
#define SM_FORMAT_TRAILER_SIZE       32
#define SM_FORMAT_ROW_SIZE           32
#define SM_FORMAT_ZONE_SIZE          56
#define SM_FORMAT_ID_SIZE            20
#define SM_FORMAT_TERM_SIZE          24

#define SM_FORMAT_BLOCK_RAW_MAX (UINT32_C(32) << 20) /* larger claims are damage */
#define SM_FORMAT_BLOCK_MAGIC   UINT32_C(0x4b4c424d) /* "MBLK" */
#define SM_FORMAT_FOOTER_MAGIC  UINT32_C(0x544f464d) /* "MFOT" */
#define SM_FORMAT_DICTIONARY_MAGIC UINT32_C(0x4349444d) /* "MDIC" */
#define SM_FORMAT_TRAILER_MAGIC UINT32_C(0x444e454d) /* "MEND" */

/* ---- file name and header ---- */

#define SM_FORMAT_NAME_SIZE 38 /* 16 hex digits, '-', 16 hex digits, ".seg", NUL */

struct sm_format_file {
    uint64_t id; /* segments of a store count up */
    uint64_t salt;
    uint32_t version;
};

void sm_format_name(uint64_t id, uint64_t salt, char name[SM_FORMAT_NAME_SIZE]);
/* False when `name` is not that of a segment, perhaps with a further suffix (".bad"). */
bool sm_format_name_parse(const char *name, uint64_t *id, uint64_t *salt);

void sm_format_file_pack(const struct sm_format_file *file, uint8_t out[SM_FORMAT_FILE_HEADER_SIZE]);
/* id and salt must be those of the name. */
bool sm_format_file_unpack(const uint8_t *in, uint64_t id, uint64_t salt, uint32_t *version);

/* ---- blocks and dictionary chunks ---- */

struct sm_format_block {
    uint32_t size;     /* compressed bytes that follow the header */
    uint32_t raw_size; /* of the records when decompressed */
    uint32_t crc;      /* of the compressed bytes */
    uint32_t traces;   /* records */
    uint64_t first_seq; /* sequence number of the first record; the others follow */
    uint32_t dictionary; /* id of the dictionary that it was compressed with, 0: none; a chunk's own id */
};

/* `magic` is SM_FORMAT_BLOCK_MAGIC or SM_FORMAT_DICTIONARY_MAGIC. */
void sm_format_block_pack(const struct sm_format_block *block, uint32_t magic, uint64_t salt,
                          uint8_t out[SM_FORMAT_BLOCK_HEADER_SIZE]);
bool sm_format_block_unpack(const uint8_t *in, uint32_t magic, uint64_t salt, struct sm_format_block *block);

/* ---- footer ---- */

enum sm_format_section {
    SM_SECTION_IDS = 1,      /* sorted trace ids with ordinals */
    SM_SECTION_FILTER = 2,   /* split-block bloom filter over the low 64 bits of trace ids */
    SM_SECTION_ROWS = 3,     /* a row per record, by ordinal */
    SM_SECTION_ZONES = 4,    /* a zone per block */
    SM_SECTION_STRINGS = 5,  /* dictionary */
    SM_SECTION_TERMS = 6,    /* what posting lists are about */
    SM_SECTION_POSTINGS = 7, /* roaring bitmaps of ordinals */
    SM_SECTION_DICTIONARY = 8, /* the dictionary's chunk once more */
    SM_SECTION_COUNT
};

struct sm_format_range {
    uint64_t offset; /* in the file */
    uint64_t size;
    uint32_t crc;
};

/* What is known of a segment as a whole. */
struct sm_format_summary {
    uint64_t traces, spans, blocks;
    uint64_t bytes_raw;
    uint64_t first_seq, last_seq;
    uint64_t start_min, start_max; /* over records with a start; ones more than a day after they were stored left out */
    uint64_t end_max;
    int64_t stored_min, stored_max;
};

struct sm_format_directory {
    struct sm_format_summary summary;
    struct sm_format_range sections[SM_SECTION_COUNT]; /* by type; size 0: absent */
};

/* Packs into SM_FORMAT_DIRECTORY_SIZE + n * SM_FORMAT_SECTION_SIZE bytes, n = the sections that are present; returns the size.
 * Its checksum stands in the trailer. */
#define SM_FORMAT_DIRECTORY_SIZE_MAX (SM_FORMAT_DIRECTORY_SIZE + SM_SECTION_COUNT * SM_FORMAT_SECTION_SIZE)
uint32_t sm_format_directory_pack(const struct sm_format_directory *directory, uint8_t *out);
/* Sections of unknown type are skipped. False when it does not add up. */
bool sm_format_directory_unpack(const uint8_t *in, size_t size, struct sm_format_directory *directory);

/* Stands in front of the sections, so that a scan can step over a footer. `size` is of the whole footer, trailer included. */
void sm_format_footer_pack(uint64_t size, uint64_t salt, uint8_t out[SM_FORMAT_FOOTER_HEADER_SIZE]);
bool sm_format_footer_unpack(const uint8_t *in, uint64_t salt, uint64_t *size);

struct sm_format_trailer {
    uint64_t directory_offset;
    uint32_t directory_size;
    uint32_t directory_crc;
    uint64_t footer_offset;
};

void sm_format_trailer_pack(const struct sm_format_trailer *trailer, uint64_t salt, uint8_t out[SM_FORMAT_TRAILER_SIZE]);
bool sm_format_trailer_unpack(const uint8_t *in, uint64_t salt, struct sm_format_trailer *trailer);

/* ---- entries of sections ---- */

#define SM_FORMAT_TERM_NONE UINT32_MAX

struct sm_format_row {
    uint64_t start;     /* 0: no span has one */
    uint64_t duration;  /* the larger of end - start and the longest span */
    uint32_t root_term; /* the operation of the root span; SM_FORMAT_TERM_NONE */
    uint32_t block;
    uint32_t spans;
    uint32_t errors;
};

void sm_format_row_pack(const struct sm_format_row *row, uint8_t *out);
void sm_format_row_unpack(const uint8_t *in, struct sm_format_row *row);

#define SM_ZONE_ERROR (UINT32_C(1) << 0) /* a span of the block failed */

struct sm_format_zone {
    uint64_t offset; /* of the block header in the file */
    uint64_t start_min, start_max; /* of rows with a start; UINT64_MAX and 0 when none has */
    uint64_t end_max;
    uint64_t duration_max; /* of rows */
    uint32_t size;         /* header and compressed bytes */
    uint32_t first;        /* ordinal of the first record */
    uint32_t traces;
    uint32_t flags;
};

void sm_format_zone_pack(const struct sm_format_zone *zone, uint8_t *out);
void sm_format_zone_unpack(const uint8_t *in, struct sm_format_zone *zone);

struct sm_format_id {
    uint64_t lo, hi;
    uint32_t ordinal;
};

void sm_format_id_pack(const struct sm_format_id *id, uint8_t *out);
void sm_format_id_unpack(const uint8_t *in, struct sm_format_id *id);

enum sm_term_type {
    SM_TERM_SERVICE = 1,   /* a: service */
    SM_TERM_OPERATION = 2, /* a: service, b: span name, kind */
    SM_TERM_REMOTE = 3,    /* a: service, b: remote service */
    SM_TERM_ERROR = 4,     /* some span failed */
    SM_TERM_OVERFLOW = 5,  /* some name did not fit into the dictionary: a candidate for every name */
};

struct sm_format_term {
    uint8_t type; /* enum sm_term_type */
    uint8_t kind; /* enum sm_kind */
    uint32_t a, b; /* string numbers; 0 where unused */
    uint32_t posting_size;
    uint64_t posting_offset; /* in the section of postings */
};

void sm_format_term_pack(const struct sm_format_term *term, uint8_t *out);
void sm_format_term_unpack(const uint8_t *in, struct sm_format_term *term);

#endif
