/* Moving prebuilt bodies from round to round. */
#include "bench/body.h"

#include "bench/random.h"

enum { OFFSET_BITS = 28 };
#define OFFSET_MASK ((UINT32_C(1) << OFFSET_BITS) - 1)

void bench_fields_add(struct bench_fields *f, enum bench_field kind, size_t offset)
{
    SM_ASSERT(offset < BENCH_BODY_BYTES_MAX);
    if (f->n == f->capacity) {
        f->capacity = f->capacity ? f->capacity * 2 : 64;
        f->at = sm_xrealloc(f->at, f->capacity * sizeof *f->at);
    }
    f->at[f->n++] = (uint32_t)kind << OFFSET_BITS | (uint32_t)offset;
}

void bench_fields_append(struct bench_fields *f, const struct bench_fields *from, size_t offset)
{
    for (uint32_t i = 0; i < from->n; i++)
        bench_fields_add(f, (enum bench_field)(from->at[i] >> OFFSET_BITS), (from->at[i] & OFFSET_MASK) + offset);
}

void bench_fields_free(struct bench_fields *f)
{
    free(f->at);
    *f = (struct bench_fields){0};
}

struct bench_round bench_round_make(uint64_t seed, uint64_t index, int64_t shift_ns)
{
    shift_ns -= shift_ns % SM_US;
    if (index == 0)
        return (struct bench_round){.shift_ns = shift_ns};
    struct bench_random r = {seed * UINT64_C(0x2545f4914f6cdd1d) + index};
    return (struct bench_round){
        .trace_hi_mask = bench_random_u64(&r) >> 16,
        .trace_lo_mask = bench_random_u64(&r),
        .span_mask = bench_random_u64(&r),
        .shift_ns = shift_ns,
    };
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* The 8 hex digits of v, one in each byte, the first digit in the lowest byte (where it lies in memory). */
static inline uint64_t spread_digits(uint32_t v)
{
    uint64_t x = __builtin_bswap32(v);
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    return (x >> 4 | x << 8) & EACH_BYTE(0x0f);
}

/* Xors 8 lower-case hex digits with `digits`, all at once: text to values, xor, values to text. */
static inline void xor_hex32(uint8_t *p, uint64_t digits)
{
    uint64_t x = sm_load_le64(p);
    x = (x & EACH_BYTE(0x0f)) + (x >> 6 & EACH_BYTE(1)) * 9;
    x ^= digits;
    uint64_t is_letter = (x + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
    sm_store_le64(p, x + EACH_BYTE('0') + is_letter * ('a' - '0' - 10));
}

static inline void xor_hex64(uint8_t *p, uint64_t mask)
{
    xor_hex32(p, spread_digits((uint32_t)(mask >> 32)));
    xor_hex32(p + 8, spread_digits((uint32_t)mask));
}

static inline uint32_t read_8_digits(const uint8_t *p)
{
    uint64_t x = sm_load_le64(p) - EACH_BYTE('0');
    x = x * 10 + (x >> 8); /* pairs in every second byte */
    uint64_t low = (x & UINT64_C(0x000000ff000000ff)) * (UINT64_C(100) + (UINT64_C(1000000) << 32));
    uint64_t high = (x >> 16 & UINT64_C(0x000000ff000000ff)) * (UINT64_C(1) + (UINT64_C(10000) << 32));
    return (uint32_t)((low + high) >> 32);
}

static inline void write_8_digits(uint8_t *p, uint32_t v)
{
    for (int i = 7; i >= 0; i--, v /= 10)
        p[i] = (uint8_t)('0' + v % 10);
}

/* Adds to a decimal number of `extra` + 16 digits; extra is at most 3. */
static inline void add_decimal(uint8_t *p, int extra, int64_t delta)
{
    int64_t value = 0;
    for (int i = 0; i < extra; i++)
        value = value * 10 + (p[i] - '0');
    value = (value * 100000000 + read_8_digits(p + extra)) * 100000000 + read_8_digits(p + extra + 8) + delta;
    write_8_digits(p + extra + 8, (uint32_t)(value % 100000000));
    value /= 100000000;
    write_8_digits(p + extra, (uint32_t)(value % 100000000));
    value /= 100000000;
    for (int i = extra; i-- > 0; value /= 10)
        p[i] = (uint8_t)('0' + value % 10);
}

static inline void xor_be64(uint8_t *p, uint64_t mask)
{
    sm_store_be64(p, sm_load_be64(p) ^ mask);
}

static inline void put_varint(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i + 1 < bytes; i++, v >>= 7)
        p[i] = (uint8_t)(v | 0x80);
    p[bytes - 1] = (uint8_t)(v & 0x7f);
}

static inline uint64_t get_varint(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 7 | (p[bytes] & 0x7f);
    return v;
}

void bench_body_put_varint10(uint8_t *p, int64_t v)
{
    put_varint(p, (uint64_t)v << 1 ^ (uint64_t)(v >> 63), 10);
}

void bench_body_put_varint5(uint8_t *p, uint32_t v)
{
    put_varint(p, v, 5);
}

static inline uint64_t get_varint10(const uint8_t *p)
{
    uint64_t v = get_varint(p, 10);
    return v >> 1 ^ -(v & 1);
}

static inline void xor_varint10(uint8_t *p, uint64_t mask)
{
    bench_body_put_varint10(p, (int64_t)(get_varint10(p) ^ mask));
}

static inline void add_time_pb(uint8_t *p, int64_t shift_ns)
{
    int64_t ns = (int64_t)get_varint(p, 5) * SM_SEC + (int64_t)get_varint(p + 6, 5) + shift_ns;
    put_varint(p, (uint64_t)(ns / SM_SEC), 5);
    put_varint(p + 6, (uint64_t)(ns % SM_SEC), 5);
}

static inline void move_field(uint8_t *p, enum bench_field kind, const struct bench_round *d)
{
    switch (kind) {
    case BENCH_FIELD_TRACE_ID:
        xor_be64(p, d->trace_hi_mask);
        xor_be64(p + 8, d->trace_lo_mask);
        break;
    case BENCH_FIELD_SPAN_ID:
        xor_be64(p, d->span_mask);
        break;
    case BENCH_FIELD_TIME_NS:
        sm_store_le64(p, sm_load_le64(p) + (uint64_t)d->shift_ns);
        break;
    case BENCH_FIELD_TIME_US:
        sm_store_le64(p, sm_load_le64(p) + (uint64_t)(d->shift_ns / SM_US));
        break;
    case BENCH_FIELD_TIME_US_BE:
        sm_store_be64(p, sm_load_be64(p) + (uint64_t)(d->shift_ns / SM_US));
        break;
    case BENCH_FIELD_TRACE_ID_HI:
        xor_be64(p, d->trace_hi_mask);
        break;
    case BENCH_FIELD_TRACE_ID_LO:
        xor_be64(p, d->trace_lo_mask);
        break;
    case BENCH_FIELD_COMPACT_TRACE_ID_HI:
        xor_varint10(p, d->trace_hi_mask);
        break;
    case BENCH_FIELD_COMPACT_TRACE_ID_LO:
        xor_varint10(p, d->trace_lo_mask);
        break;
    case BENCH_FIELD_COMPACT_SPAN_ID:
        xor_varint10(p, d->span_mask);
        break;
    case BENCH_FIELD_COMPACT_TIME_US:
        bench_body_put_varint10(p, (int64_t)get_varint10(p) + d->shift_ns / SM_US);
        break;
    case BENCH_FIELD_TIME_PB:
        add_time_pb(p, d->shift_ns);
        break;
    case BENCH_FIELD_HEX_TRACE_ID:
        xor_hex64(p, d->trace_hi_mask);
        xor_hex64(p + 16, d->trace_lo_mask);
        break;
    case BENCH_FIELD_HEX_SPAN_ID:
        xor_hex64(p, d->span_mask);
        break;
    case BENCH_FIELD_TEXT_TIME_US:
        add_decimal(p, 0, d->shift_ns / SM_US);
        break;
    case BENCH_FIELD_TEXT_TIME_NS:
        add_decimal(p, 3, d->shift_ns);
        break;
    }
}

void bench_body_move(struct bench_body *body, const struct bench_round *to)
{
    struct bench_round delta = {
        .trace_hi_mask = body->round.trace_hi_mask ^ to->trace_hi_mask,
        .trace_lo_mask = body->round.trace_lo_mask ^ to->trace_lo_mask,
        .span_mask = body->round.span_mask ^ to->span_mask,
        .shift_ns = to->shift_ns - body->round.shift_ns,
    };
    for (uint32_t i = 0; i < body->fields.n; i++) {
        uint32_t at = body->fields.at[i];
        move_field(body->ptr + (at & OFFSET_MASK), (enum bench_field)(at >> OFFSET_BITS), &delta);
    }
    body->round = *to;
}

void bench_body_free(struct bench_body *body)
{
    free(body->ptr);
    bench_fields_free(&body->fields);
    *body = (struct bench_body){0};
}
