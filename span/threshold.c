/* Arithmetic on thresholds; doubles only where a ratio comes in or goes out. */
#include "span/threshold.h"

#include "base/hash.h"

#include <math.h>

/* Part of what processes agree on: never change it. */
#define RANDOMNESS_SEED UINT64_C(0x73616d706c652e52)

static const double two_56 = (double)SM_THRESHOLD_NEVER;

/* Hex digits that keep `precision` significant ones: leading f or 0 digits of T carry no precision of the ratio. */
static unsigned digits_for(double ratio, unsigned precision)
{
    int exponent_ratio, exponent_rest;
    (void)frexp(ratio, &exponent_ratio);
    (void)frexp(1 - ratio, &exponent_rest);
    int extra = SM_MAX(-exponent_ratio / 4, -exponent_rest / 4);
    int digits = (int)precision + SM_MAX(extra, 0);
    return (unsigned)SM_MIN(digits, SM_THRESHOLD_DIGITS);
}

static uint64_t round_to_digits(uint64_t threshold, unsigned digits)
{
    unsigned shift = 4 * (SM_THRESHOLD_DIGITS - digits);
    if (shift == 0)
        return threshold;
    uint64_t rounded = (threshold + (UINT64_C(1) << (shift - 1))) >> shift << shift;
    return rounded < SM_THRESHOLD_NEVER ? rounded : threshold;
}

uint64_t sm_threshold_from_ratio(double ratio, unsigned precision)
{
    if (!(ratio > 0))
        return SM_THRESHOLD_NEVER;
    if (ratio >= 1)
        return SM_THRESHOLD_ALWAYS;
    uint64_t kept = (uint64_t)(ratio * two_56 + 0.5);
    if (kept == 0)
        return SM_THRESHOLD_NEVER;
    unsigned digits = digits_for(ratio, SM_MIN(SM_MAX(precision, 1u), (unsigned)SM_THRESHOLD_DIGITS));
    return round_to_digits(SM_THRESHOLD_NEVER - kept, digits);
}

double sm_threshold_ratio(uint64_t threshold)
{
    return threshold >= SM_THRESHOLD_NEVER ? 0 : (double)(SM_THRESHOLD_NEVER - threshold) / two_56;
}

double sm_threshold_adjusted_count(uint64_t threshold)
{
    return threshold >= SM_THRESHOLD_NEVER ? 0 : two_56 / (double)(SM_THRESHOLD_NEVER - threshold);
}

uint64_t sm_threshold_multiply(uint64_t incoming, double ratio)
{
    if (ratio >= 1)
        return incoming;
    return SM_MAX(incoming, sm_threshold_from_ratio(sm_threshold_ratio(incoming) * ratio, SM_THRESHOLD_PRECISION));
}

size_t sm_threshold_text(uint64_t threshold, char out[SM_THRESHOLD_TEXT_SIZE])
{
    size_t n = 0;
    if (threshold < SM_THRESHOLD_NEVER)
        do {
            out[n++] = "0123456789abcdef"[threshold >> 52 & 15];
            threshold = threshold << 4 & SM_RANDOMNESS_MASK;
        } while (threshold);
    out[n] = '\0';
    return n;
}

enum sm_rc sm_threshold_parse(struct sm_str text, uint64_t *threshold)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > SM_THRESHOLD_DIGITS)
        return SM_E_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return SM_E_INVALID;
    }
    *threshold = value << 4 * (SM_THRESHOLD_DIGITS - text.len);
    return SM_OK;
}

uint64_t sm_randomness_of_id(struct sm_trace_id id, bool id_is_random)
{
    return (id_is_random ? id.lo : sm_hash_fixed64(id.lo, RANDOMNESS_SEED)) & SM_RANDOMNESS_MASK;
}
