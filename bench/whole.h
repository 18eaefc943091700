/* Whether every trace arrived whole: spans seen per trace id, against the number that the generator put into the id
 * (body.h). */
#ifndef BENCH_WHOLE_H
#define BENCH_WHOLE_H

#include "base/base.h"

struct bench_whole; /* grows with the number of traces; one thread */

struct bench_whole_result {
    uint64_t traces;
    uint64_t whole;
    uint64_t partial; /* fewer spans than the trace has */
    uint64_t excess;  /* more: duplicates */
    uint64_t missing_spans;
    uint64_t excess_spans;
};

struct bench_whole *bench_whole_new(void) SM_MUST_USE;
void bench_whole_free(struct bench_whole *w);
void bench_whole_add(struct bench_whole *w, uint64_t trace_hi, uint64_t trace_lo);
struct bench_whole_result bench_whole_result(const struct bench_whole *w);

#endif
