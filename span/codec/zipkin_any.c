/* Zipkin lists in whatever format they are: told by their bytes, because content types are wrong or missing, and
 * Kafka's messages have none. After zipkin2's SpanBytesDecoderDetector. */
#include "span/codec/zipkin.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A list as JSON begins: "[{" or "[]", with white space. A newline is the tag of ListOfSpans.spans as well, but
 * then no span can begin with a bracket of either kind. */
static bool is_json(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_space(*p))
        p++;
    if (p == end || *p++ != '[')
        return false;
    while (p < end && is_space(*p))
        p++;
    return p < end && (*p == '{' || *p == ']');
}

static bool contains(struct sm_str body, const char *text)
{
    return memmem(body.ptr, body.len, text, strlen(text)) != NULL;
}

/* Without any of these both versions say the same, but for kind and shared, which version 1 does not have. */
static bool is_version_1(struct sm_str body)
{
    return !contains(body, "Endpoint\"") && !contains(body, "\"tags\"") &&
           (contains(body, "yAnnotations\"") || contains(body, "\"endpoint\""));
}

enum sm_zipkin_form sm_zipkin_form_of(struct sm_str body)
{
    const uint8_t *p = (const uint8_t *)body.ptr, *end = p + body.len;
    if (body.len == 0)
        return SM_ZIPKIN_UNKNOWN;
    if (is_json(p, end) || *p == '[')
        return SM_ZIPKIN_JSON;
    if (*p == '\n' && body.len > 1 && p[1] != 0)
        return SM_ZIPKIN_PROTO;
    return *p <= 16 ? SM_ZIPKIN_THRIFT : SM_ZIPKIN_UNKNOWN;
}

/* What is no format at all is for `otherwise` to refuse. */
static const struct sm_codec *codec_of(const struct sm_payload *payload, const struct sm_codec *json,
                                       const struct sm_codec *otherwise)
{
    switch (sm_zipkin_form_of(sm_str(payload->data, payload->size))) {
    case SM_ZIPKIN_JSON:
        return json;
    case SM_ZIPKIN_PROTO:
        return &sm_codec_zipkin_proto;
    case SM_ZIPKIN_THRIFT:
        return &sm_codec_zipkin_v1_thrift;
    default:
        return otherwise;
    }
}

static enum sm_rc decode_any(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch,
                             struct sm_err *err)
{
    const struct sm_codec *codec = codec_of(payload, NULL, &sm_codec_zipkin_json);
    if (!codec)
        codec = is_version_1(sm_str(payload->data, payload->size)) ? &sm_codec_zipkin_v1_json : &sm_codec_zipkin_json;
    return codec->decode(d, payload, batch, err);
}

static enum sm_rc decode_v1(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch,
                            struct sm_err *err)
{
    return codec_of(payload, &sm_codec_zipkin_v1_json, &sm_codec_zipkin_v1_json)->decode(d, payload, batch, err);
}

static enum sm_rc decode_v2(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch,
                            struct sm_err *err)
{
    return codec_of(payload, &sm_codec_zipkin_json, &sm_codec_zipkin_json)->decode(d, payload, batch, err);
}

const struct sm_codec sm_codec_zipkin_any = {.name = "zipkin", .decode = decode_any};
const struct sm_codec sm_codec_zipkin_any_v1 = {.name = "zipkin_v1", .decode = decode_v1};
const struct sm_codec sm_codec_zipkin_any_v2 = {.name = "zipkin_v2", .decode = decode_v2};
