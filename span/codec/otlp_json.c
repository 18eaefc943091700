/* OTLP JSON (opentelemetry-proto, JSON Protobuf encoding). Decoding follows with the JSON codec. */
#include "span/codec/codec.h"

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    (void)d;
    (void)payload;
    (void)batch;
    return sm_err_set(err, SM_E_UNSUPPORTED, "OTLP JSON cannot be decoded yet");
}

const struct sm_codec sm_codec_otlp_json = {.name = "otlp_json", .decode = decode};
