/* Sampling thresholds and randomness: the 56-bit algebra of OpenTelemetry's consistent probability sampling.
 *
 * A trace with randomness R is kept by threshold T iff T <= R. T = 0 keeps everything (SM_THRESHOLD_ALWAYS), T = 2^56 nothing
 * (SM_THRESHOLD_NEVER); the probability is (2^56 - T) / 2^56 and each kept trace stands for its inverse. Every stage that
 * samples by the same R agrees with the others: a later stage may raise T, never lower it. To keep a trace that any of two
 * policies wants take the smaller T, to keep one that both want the larger.
 * Spec: opentelemetry-specification trace/tracestate-probability-sampling.md. Pure functions, any thread. */
#ifndef SM_THRESHOLD_H
#define SM_THRESHOLD_H

#include "base/base.h"
#include "span/trace.h"

#define SM_THRESHOLD_DIGITS    14 /* hex digits of a full threshold */
#define SM_THRESHOLD_PRECISION 4  /* hex digits that a configured ratio gets, as in the OpenTelemetry Collector */
#define SM_THRESHOLD_TEXT_SIZE 15 /* digits and a NUL */

/* The threshold that keeps `ratio` of all traces. `precision` 1-14: significant hex digits (small and near-one ratios get as
 * many more as they need); the ratio really applied is sm_threshold_ratio of the result. Ratios >= 1 give ALWAYS; those <= 0,
 * NaN or below 2^-57 NEVER. */
uint64_t sm_threshold_from_ratio(double ratio, unsigned precision);

/* The share of traces that a threshold keeps, 0..1. */
double sm_threshold_ratio(uint64_t threshold);

/* How many traces each kept one stands for; 0 for NEVER. */
double sm_threshold_adjusted_count(uint64_t threshold);

/* What remains when a stage keeps `ratio` of what an earlier stage with `incoming` let through. */
uint64_t sm_threshold_multiply(uint64_t incoming, double ratio);

/* The `th` text: hex without trailing zeros, "0" for ALWAYS. Returns its length; 0 (and an empty text) for NEVER, which has
 * no text. */
size_t sm_threshold_text(uint64_t threshold, char out[SM_THRESHOLD_TEXT_SIZE]);
/* 1-14 lower-case hex digits. */
enum sm_rc sm_threshold_parse(struct sm_str text, uint64_t *threshold) SM_MUST_USE;

SM_INLINE bool sm_threshold_keeps(uint64_t threshold, uint64_t randomness)
{
    return threshold <= randomness;
}

#define SM_RANDOMNESS_MASK ((UINT64_C(1) << 56) - 1)

/* R of a trace whose context carries none: the id's low 56 bits where its maker says that they are random, else a hash of
 * its low 64 bits (head samplers often keep low ids, so that the raw bits behind them are not uniform). The hash is the same
 * in every process and release, since processes have to agree. */
uint64_t sm_randomness_of_id(struct sm_trace_id id, bool id_is_random);

#endif
