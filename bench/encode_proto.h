/* OTLP protobuf by hand: opentelemetry/proto/trace/v1/trace.proto. */
#ifndef BENCH_ENCODE_PROTO_H
#define BENCH_ENCODE_PROTO_H

#include "bench/body.h"
#include "bench/gen.h"

/* Appends one ResourceSpans with a ScopeSpans for each scope that the request uses. */
void bench_encode_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                        struct bench_fields *fields);

#endif
