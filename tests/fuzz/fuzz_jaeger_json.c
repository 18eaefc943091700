/* Jaeger: sm_codec_jaeger_json. */
#include "tests/fuzz/codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sm_codec *const to[] = {&sm_codec_otlp_proto, &sm_codec_otlp_json, &sm_codec_zipkin_json};
    codec_fuzz_one(&sm_codec_jaeger_json, to, SM_ARRAY_LEN(to), data, size);
    return 0;
}
