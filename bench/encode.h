/* Requests of generated traffic in the formats that clients send, with the places of ids and times noted (body.h). */
#ifndef BENCH_ENCODE_H
#define BENCH_ENCODE_H

#include "bench/body.h"
#include "bench/gen.h"

enum bench_encoding {
    BENCH_ENCODING_OTLP_PROTO,  /* ExportTraceServiceRequest = TracesData */
    BENCH_ENCODING_OTLP_JSON,   /* the same in JSON, on one line, without a line feed */
    BENCH_ENCODING_ZIPKIN_JSON, /* a v2 array */
    BENCH_ENCODING_ZIPKIN_PROTO,
    BENCH_ENCODING_ZIPKIN_THRIFT, /* v1 */
    BENCH_ENCODING_JAEGER_COMPACT, /* thrift messages */
    BENCH_ENCODING_JAEGER_BINARY,
    BENCH_ENCODING_JAEGER_BATCH, /* without the message around it, binary protocol */
    BENCH_ENCODING_JAEGER_PROTO,
    BENCH_ENCODING_MSGPACK, /* cannot be moved to another round */
    BENCH_ENCODINGS
};

/* Virtual time 0 is this moment (2026-01-01 00:00:00 UTC) in bodies of round 0. */
#define BENCH_ENCODE_EPOCH_NS INT64_C(1767225600000000000)

/* One body per request of `gen`, in order. bench_encode_free frees them. */
struct bench_body *bench_encode_all(const struct bench_gen *gen, enum bench_encoding encoding) SM_MUST_USE;
void bench_encode_free(struct bench_body *bodies, uint32_t n);

/* One body; used by bench_encode_all and by tests. */
struct bench_body bench_encode_request(const struct bench_gen *gen, const struct bench_request *request,
                                       enum bench_encoding encoding) SM_MUST_USE;

#endif
