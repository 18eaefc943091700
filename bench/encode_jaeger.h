/* Jaeger thrift by hand (jaeger-idl, thrift/jaeger.thrift): the message emitBatch, as agents get it. */
#ifndef BENCH_ENCODE_JAEGER_H
#define BENCH_ENCODE_JAEGER_H

#include "bench/buf.h"
#include "bench/gen.h"

/* One Batch with all spans of the request; compact or binary protocol. Such bodies cannot be moved (body.h). */
void bench_encode_jaeger(const struct bench_gen *gen, const struct bench_request *request, bool compact, struct bench_buf *out);

#endif
