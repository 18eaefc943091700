/* Zipkin's binary formats by hand: v2 protobuf (zipkin.proto) and v1 thrift (zipkinCore.thrift). */
#ifndef BENCH_ENCODE_ZIPKIN_H
#define BENCH_ENCODE_ZIPKIN_H

#include "bench/body.h"
#include "bench/gen.h"

void bench_encode_zipkin_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                               struct bench_fields *fields);
/* Kinds and times as core annotations, tags as strings, every one with its endpoint, as reporters of version 1 write them. */
void bench_encode_zipkin_thrift(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                                struct bench_fields *fields);

#endif
