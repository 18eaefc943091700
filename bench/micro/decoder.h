/* A decoder with everything that it needs, for cases that run codecs. */
#ifndef BENCH_MICRO_DECODER_H
#define BENCH_MICRO_DECODER_H

#include "bench/micro/micro.h"
#include "span/codec/codec.h"

/* Bodies through one codec, batch after batch; the state of the decode cases. */
struct micro_decoder {
    struct sm_decoder decoder;
    struct sm_scopes *scopes;
    struct sm_batch batch;
    const struct sm_codec *codec;
    struct sm_payload **payloads; /* copies of the bodies, reused by every run */
    uint32_t n;
    uint64_t spans; /* of the last run */
};

struct micro_decoder *micro_decoder_new(struct micro_inputs *inputs, const struct sm_codec *codec,
                                        enum bench_encoding encoding) SM_MUST_USE;
void micro_decoder_run(void *decoder);
void micro_decoder_free(void *decoder);

#endif
