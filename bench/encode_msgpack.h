/* The agent protocol (docs/formats/agent-protocol.md), written by msgpack-c. */
#ifndef BENCH_ENCODE_MSGPACK_H
#define BENCH_ENCODE_MSGPACK_H

#include "bench/buf.h"
#include "bench/gen.h"

/* One batch per instrumentation scope, one after the other. Such bodies cannot be moved (body.h). */
void bench_encode_msgpack(const struct bench_gen *gen, const struct bench_request *request, struct bench_buf *out);

#endif
