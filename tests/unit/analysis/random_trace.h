/* Random traces for comparing linkers: few ids, services and addresses, so that everything that can clash does. */
#ifndef RANDOM_TRACE_H
#define RANDOM_TRACE_H

#include "trace_builder.h"

#define RANDOM_TRACE_SPANS_MAX 14

/* The same seed makes the same trace. Returns the number of spans, at least 1. Every third trace has spans with ids of
 * their own and nothing shared; the others share, repeat and contradict. All came as Zipkin. */
unsigned random_trace(uint64_t seed, struct tb_span spans[RANDOM_TRACE_SPANS_MAX]);

#endif
