/* What the query APIs write of a trace, whatever its spans say: Jaeger's JSON raw and adjusted, Zipkin's, OTLP's. All of it is JSON. */
#include "base/json.h"
#include "query/jaeger_json.h"
#include "tests/support/codec_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_json(struct sm_buf *out)
{
    struct sm_json j = sm_json_reader(out->data, out->size, 200);
    struct sm_err err;
    sm_json_skip(&j);
    SM_ASSERT(sm_json_end(&j, &err) == SM_OK);
    sm_buf_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec_env e;
    static struct sm_jaeger_json *w;
    if (!w) {
        codec_env_init(&e);
        w = sm_jaeger_json_new();
    }
    if (codec_env_decode(&e, &sm_codec_otlp_proto, data, size) != SM_OK || e.batch.count == 0)
        return 0;
    struct sm_encode_span *spans = codec_env_spans(&e);
    struct sm_source_trace trace = {.id = e.batch.items[0].trace, .spans = spans, .span_count = e.batch.count};
    struct sm_buf out = {0};
    for (unsigned raw = 0; raw < 2; raw++) {
        sm_jaeger_json_put(w, &trace, raw, &out);
        check_json(&out);
    }
    sm_codec_zipkin_json.encode(spans, e.batch.count, &out);
    check_json(&out);
    sm_codec_otlp_json.encode(spans, e.batch.count, &out);
    check_json(&out);
    free(spans);
    sm_buf_fini(&out);
    return 0;
}
