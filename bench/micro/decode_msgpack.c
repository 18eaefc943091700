/* Decoding the agent protocol into batches. */
#include "bench/micro/decoder.h"

static void *set_up(struct micro_inputs *inputs)
{
    struct micro_decoder *m = micro_decoder_new(inputs, &sm_codec_msgpack, BENCH_ENCODING_MSGPACK);
    micro_decoder_run(m);
    SM_ASSERT(m->spans == inputs->gen->spans_n);
    return m;
}

const struct micro_case micro_case_decode_msgpack = {
    "decode_msgpack", "msgpack (agent protocol) to batches", set_up, micro_decoder_run, micro_decoder_free, BENCH_ENCODING_MSGPACK};
