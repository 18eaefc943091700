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

static inline uint32_t nibble_of(uint8_t hex)
{
    return (hex & 15u) + (hex >> 6) * 9u;
}

/* Xors hex digits with the digits of `mask`, most significant first. */
static void xor_hex64(uint8_t *p, uint64_t mask)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++)
        p[i] = (uint8_t)digits[nibble_of(p[i]) ^ (uint32_t)(mask >> (60 - 4 * i) & 15)];
}

static void add_decimal(uint8_t *p, int digits, int64_t delta)
{
    int64_t value = 0;
    for (int i = 0; i < digits; i++)
        value = value * 10 + (p[i] - '0');
    value += delta;
    for (int i = digits; i-- > 0; value /= 10)
        p[i] = (uint8_t)('0' + value % 10);
}

static inline void xor_be64(uint8_t *p, uint64_t mask)
{
    sm_store_be64(p, sm_load_be64(p) ^ mask);
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
    case BENCH_FIELD_HEX_TRACE_ID:
        xor_hex64(p, d->trace_hi_mask);
        xor_hex64(p + 16, d->trace_lo_mask);
        break;
    case BENCH_FIELD_HEX_SPAN_ID:
        xor_hex64(p, d->span_mask);
        break;
    case BENCH_FIELD_TEXT_TIME_US:
        add_decimal(p, 16, d->shift_ns / SM_US);
        break;
    case BENCH_FIELD_TEXT_TIME_NS:
        add_decimal(p, 19, d->shift_ns);
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
