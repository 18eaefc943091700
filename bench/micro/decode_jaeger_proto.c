/* Decoding Jaeger protobuf into batches. */
#include "bench/micro/decoder.h"

static void *set_up(struct micro_inputs *inputs)
{
    struct micro_decoder *m = micro_decoder_new(inputs, &sm_codec_jaeger_proto, BENCH_ENCODING_JAEGER_PROTO);
    micro_decoder_run(m);
    SM_ASSERT(m->spans == inputs->gen->spans_n);
    return m;
}

const struct micro_case micro_case_decode_jaeger_proto = {
    "decode_jaeger_proto", "Jaeger protobuf to batches", set_up, micro_decoder_run, micro_decoder_free, BENCH_ENCODING_JAEGER_PROTO};
