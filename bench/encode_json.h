/* OTLP JSON and Zipkin v2 JSON by hand. */
#ifndef BENCH_ENCODE_JSON_H
#define BENCH_ENCODE_JSON_H

#include "bench/body.h"
#include "bench/gen.h"

void bench_encode_json_otlp(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                            struct bench_fields *fields);
void bench_encode_json_zipkin(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                              struct bench_fields *fields);

#endif
