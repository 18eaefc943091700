/* Jaeger thrift, compact protocol: the message emitBatch as datagrams carry it. */
#include "span/codec/thrift_compact.h"

#define THRIFT        sm_thrift_compact
#define THRIFT_(verb) sm_thrift_compact_##verb
#include "span/codec/jaeger_thrift.h"

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return decode_with(d, payload, batch, err, true);
}

const struct sm_codec sm_codec_jaeger_compact = {
    .name = "jaeger_compact",
    .decode = decode,
};
