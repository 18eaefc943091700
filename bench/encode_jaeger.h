/* Jaeger's formats by hand (jaeger-idl): thrift as agents and collectors get it, api_v2 protobuf. */
#ifndef BENCH_ENCODE_JAEGER_H
#define BENCH_ENCODE_JAEGER_H

#include "bench/body.h"
#include "bench/gen.h"

enum bench_jaeger_form {
    BENCH_JAEGER_COMPACT, /* the message emitBatch, compact protocol; ids and times take 10 bytes each */
    BENCH_JAEGER_BINARY,  /* the same, binary protocol */
    BENCH_JAEGER_BATCH,   /* the struct Batch by itself, binary protocol */
};

/* One Batch with all spans of the request. */
void bench_encode_jaeger(const struct bench_gen *gen, const struct bench_request *request, enum bench_jaeger_form form,
                         struct bench_buf *out, struct bench_fields *fields);
void bench_encode_jaeger_proto(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out,
                               struct bench_fields *fields);

#endif
