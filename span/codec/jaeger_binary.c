/* Jaeger thrift, binary protocol: messages for the agent as datagrams carry them, and the bare Batch of HTTP. */
#include "span/codec/thrift_binary.h"

#define THRIFT        sm_thrift_reader
#define THRIFT_(verb) sm_thrift_##verb
#define READ_ZIPKIN   sm_zipkin_v1_read_binary
#include "span/codec/jaeger_thrift.h"

static enum sm_rc decode_batch(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    return decode_jaeger(d, cursor(payload), payload->size, batch, err, read_batch);
}

const struct sm_codec sm_codec_jaeger_binary = {
    .name = "jaeger_binary",
    .decode = decode_message,
};

const struct sm_codec sm_codec_jaeger_batch = {
    .name = "jaeger_batch",
    .decode = decode_batch,
};
