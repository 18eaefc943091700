/* Dispatch over the encodings. */
#include "bench/encode.h"

#include "bench/encode_jaeger.h"
#include "bench/encode_json.h"
#include "bench/encode_msgpack.h"
#include "bench/encode_proto.h"
#include "bench/encode_zipkin.h"

struct bench_body bench_encode_request(const struct bench_gen *gen, const struct bench_request *request,
                                       enum bench_encoding encoding)
{
    struct bench_buf out = {0};
    struct bench_fields fields = {0};
    switch (encoding) {
    case BENCH_ENCODING_OTLP_PROTO:
        bench_encode_proto(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_OTLP_JSON:
        bench_encode_json_otlp(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_ZIPKIN_JSON:
        bench_encode_json_zipkin(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_ZIPKIN_PROTO:
        bench_encode_zipkin_proto(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_ZIPKIN_THRIFT:
        bench_encode_zipkin_thrift(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_JAEGER_COMPACT:
        bench_encode_jaeger(gen, request, BENCH_JAEGER_COMPACT, &out, &fields);
        break;
    case BENCH_ENCODING_JAEGER_BINARY:
        bench_encode_jaeger(gen, request, BENCH_JAEGER_BINARY, &out, &fields);
        break;
    case BENCH_ENCODING_JAEGER_BATCH:
        bench_encode_jaeger(gen, request, BENCH_JAEGER_BATCH, &out, &fields);
        break;
    case BENCH_ENCODING_JAEGER_PROTO:
        bench_encode_jaeger_proto(gen, request, &out, &fields);
        break;
    case BENCH_ENCODING_MSGPACK:
        bench_encode_msgpack(gen, request, &out);
        break;
    case BENCH_ENCODINGS:
        break;
    }
    fields.at = sm_xrealloc(fields.at, fields.n * sizeof *fields.at);
    return (struct bench_body){
        .ptr = sm_xrealloc(out.ptr, out.len),
        .len = out.len,
        .spans = request->n,
        .service = request->service,
        .fields = fields,
    };
}

struct bench_body *bench_encode_all(const struct bench_gen *gen, enum bench_encoding encoding)
{
    struct bench_body *bodies = sm_xcalloc(gen->requests_n, sizeof *bodies);
    for (uint32_t i = 0; i < gen->requests_n; i++)
        bodies[i] = bench_encode_request(gen, &gen->requests[i], encoding);
    return bodies;
}

void bench_encode_free(struct bench_body *bodies, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bench_body_free(&bodies[i]);
    free(bodies);
}
