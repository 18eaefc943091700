/* Counting the spans of a request without decoding them: one pass that finds each span id, and each trace id when
 * asked. */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include "bench/whole.h"

struct bench_count {
    uint64_t spans;
    uint64_t ids;              /* all span ids xored: proof that they were read */
    struct bench_whole *whole; /* NULL, or told of every span's trace */
};

/* An ExportTraceServiceRequest; false: malformed. */
bool bench_count_otlp(struct bench_count *c, const uint8_t *body, size_t n);
/* A Zipkin v2 JSON array; counts the spans that name their "id", looks at nothing else. */
bool bench_count_zipkin(struct bench_count *c, const uint8_t *body, size_t n);

#endif
