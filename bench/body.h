/* A prebuilt request body whose ids and times can be changed in place, so that one generated set of traffic can be sent
 * round after round without repeating a trace.
 *
 * A round is a set of masks and a shift: every id is xored with the round's mask, every time moves by the round's
 * shift. All bodies of a set that are moved to the same round agree with each other: equal ids stay equal, different
 * ones stay different, parents still contain their children.
 *
 * The upper 16 bits of a trace id hold the number of spans of the trace and are never masked: whoever receives the
 * spans can tell whether a trace is whole without talking to the sender. The other 112 bits are random.
 *
 * Not thread-safe; a body belongs to one thread. */
#ifndef BENCH_BODY_H
#define BENCH_BODY_H

#include "bench/buf.h"

struct bench_round {
    uint64_t trace_hi_mask; /* upper 16 bits are 0 */
    uint64_t trace_lo_mask;
    uint64_t span_mask;
    int64_t shift_ns;
};

/* How a field is written in the body. */
enum bench_field {
    BENCH_FIELD_TRACE_ID,     /* 16 bytes */
    BENCH_FIELD_SPAN_ID,      /* 8 bytes */
    BENCH_FIELD_TIME_NS,      /* 8 bytes, little endian */
    BENCH_FIELD_HEX_TRACE_ID, /* 32 characters */
    BENCH_FIELD_HEX_SPAN_ID,  /* 16 characters */
    BENCH_FIELD_TEXT_TIME_US, /* 16 digits */
    BENCH_FIELD_TEXT_TIME_NS, /* 19 digits */
    BENCH_FIELD_TIME_US,      /* 8 bytes, little endian */
    BENCH_FIELD_TIME_US_BE,   /* 8 bytes, big endian */
    BENCH_FIELD_TRACE_ID_HI,  /* 8 bytes, when the halves stand apart */
    BENCH_FIELD_TRACE_ID_LO,
    BENCH_FIELD_COMPACT_TRACE_ID_HI, /* 10 bytes: zigzag varints of full length (bench_body_put_varint10) */
    BENCH_FIELD_COMPACT_TRACE_ID_LO,
    BENCH_FIELD_COMPACT_SPAN_ID,
    BENCH_FIELD_COMPACT_TIME_US,
    BENCH_FIELD_TIME_PB, /* seconds and nanoseconds as varints of 5 bytes, one byte between them */
};

/* Where the fields are: offset in the lower 28 bits, enum bench_field above. */
struct bench_fields {
    uint32_t *at;
    uint32_t n;
    uint32_t capacity;
};

enum { BENCH_BODY_BYTES_MAX = 1 << 28 };

struct bench_body {
    uint8_t *ptr;
    size_t len;
    uint32_t spans;
    uint32_t service;
    struct bench_fields fields; /* empty: the body cannot be moved (compressed) */
    struct bench_round round;   /* the one it is in now */
    bool busy;                  /* the sender's: bytes are in flight and must not change */
};

void bench_fields_add(struct bench_fields *f, enum bench_field kind, size_t offset);
/* Appends all of `from`, moved by `offset` bytes. */
void bench_fields_append(struct bench_fields *f, const struct bench_fields *from, size_t offset);
void bench_fields_free(struct bench_fields *f);

/* The masks of round `index` of a seed. Round 0 of every seed masks nothing: ids are as they were built. The shift is
 * cut to whole microseconds, so that formats with coarser times agree with the others. */
struct bench_round bench_round_make(uint64_t seed, uint64_t index, int64_t shift_ns);

/* Rewrites the fields so that the body belongs to `to`. Times must stay within 2001..2286 for the text forms to keep
 * their width. */
void bench_body_move(struct bench_body *body, const struct bench_round *to);

/* Numbers as varints of always the same length, zigzag in the first: readers take them like shorter ones. */
void bench_body_put_varint10(uint8_t *p, int64_t v);
void bench_body_put_varint5(uint8_t *p, uint32_t v);

void bench_body_free(struct bench_body *body);

#endif
