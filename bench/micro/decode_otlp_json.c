/* Decoding OTLP JSON into batches. */
#include "bench/micro/decoder.h"

static void *set_up(struct micro_inputs *inputs)
{
    struct micro_decoder *m = micro_decoder_new(inputs, &sm_codec_otlp_json, BENCH_ENCODING_OTLP_JSON);
    micro_decoder_run(m);
    SM_ASSERT(m->spans == inputs->gen->spans_n);
    return m;
}

const struct micro_case micro_case_decode_otlp_json = {
    "decode_otlp_json", "OTLP JSON to batches", set_up,
    micro_decoder_run,   micro_decoder_free,         BENCH_ENCODING_OTLP_JSON};
