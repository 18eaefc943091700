/* Messages in whatever format they are: told by their bytes, for topics to which several kinds of producers write.
 *
 * What begins with a bracket is JSON: a list is Zipkin's, an object with resourceSpans is OTLP, another object is a span of Jaeger's.
 * A newline is the tag of protobuf's field 1, so JSON may have other white space in front only. Thrift begins with its list's type.
 * The rest is protobuf. At the top, requests and Zipkin's lists have field 1 only, a span of Jaeger's has more. What field 1
 * holds is told apart by its own fields: ResourceSpans has messages in 1 and 2 and a text in 3 (and 1000, of old), Zipkin's span has
 * ids in 1 to 3 and the rest from 4 on. A request of Jaeger's holds a batch, which looks like ResourceSpans until one looks into its
 * field 1: a span has its ids there, a resource messages and a number. */
#include "base/pb.h"
#include "span/codec/zipkin.h"

enum { THRIFT_STRUCT = 12, RESOURCE_SPANS_LAST = 3, OLD_SCOPE_SPANS = 1000 };

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static bool has_size_of_id(const struct sm_pb_field *f)
{
    return f->size == 8 || (f->number == 1 && f->size == 16);
}

/* Whether the bytes are a span of Jaeger's: field 2 is its id. */
static bool is_jaeger_span(const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 2)
            return f.wire == SM_PB_BYTES && f.size == 8;
    }
    return false;
}

/* The first member of ListOfSpans or of a request. One with fields 1 to 3 only is a span if all of them could be ids. */
static const struct sm_codec *codec_of_member(const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f;
    bool ids = true, id = false, batch = false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == OLD_SCOPE_SPANS)
            return &sm_codec_otlp_proto;
        if (f.number > RESOURCE_SPANS_LAST)
            return &sm_codec_zipkin_proto;
        ids &= f.wire == SM_PB_BYTES && has_size_of_id(&f);
        id |= f.number == 3;
        batch |= f.number == 1 && f.wire == SM_PB_BYTES && is_jaeger_span(f.bytes, sm_pb_end(f.bytes, f.size));
    }
    if (batch && !id)
        return &sm_codec_jaeger_proto;
    return ids && id ? &sm_codec_zipkin_proto : &sm_codec_otlp_proto;
}

static const struct sm_codec *codec_of_protobuf(const uint8_t *p, const uint8_t *end)
{
    struct sm_pb_field f, member = {0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 1)
            return &sm_codec_jaeger_span;
        if (!member.number)
            member = f;
    }
    if (member.wire != SM_PB_BYTES)
        return &sm_codec_otlp_proto;
    return codec_of_member(member.bytes, sm_pb_end(member.bytes, member.size));
}

static bool names_resource_spans(const uint8_t *p, const uint8_t *end)
{
    size_t n = (size_t)(end - p);
    return memmem(p, n, "\"resourceSpans\"", 15) || memmem(p, n, "\"resource_spans\"", 16);
}

static const struct sm_codec *codec_of(const uint8_t *p, const uint8_t *end)
{
    if (p == end)
        return &sm_codec_otlp_proto; /* no bytes at all: no spans */
    const uint8_t *first = *p == '\n' ? p : skip_space(p, end);
    if (first < end && *first == '{')
        return names_resource_spans(first, end) ? &sm_codec_otlp_json : &sm_codec_jaeger_json;
    if (first < end && *first == '[')
        return &sm_codec_zipkin_any;
    return *p == THRIFT_STRUCT ? &sm_codec_zipkin_v1_thrift : codec_of_protobuf(p, end);
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return codec_of(payload->data, payload->data + payload->size)->decode(d, payload, batch, err);
}

const struct sm_codec sm_codec_any = {.name = "auto", .decode = decode};
