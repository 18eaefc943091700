/* Zipkin v1 thrift in the binary protocol: the bare list of HTTP and Kafka, and the list in Jaeger's emitZipkinBatch. */
#define THRIFT        sm_thrift_reader
#define THRIFT_(verb) sm_thrift_##verb
#define THRIFT_NAME   "TBinary"
#include "span/codec/zipkin_v1_thrift.h"

enum sm_rc sm_zipkin_v1_read_binary(struct sm_decoder *d, struct sm_thrift_reader *t, size_t payload_size,
                                    struct sm_batch *batch, struct sm_err *err)
{
    return read_list(d, t, payload_size, batch, err);
}

static enum sm_rc decode(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err)
{
    struct sm_thrift_reader t = {payload->data, payload->data + payload->size};
    return payload->size ? read_list(d, &t, payload->size, batch, err) : SM_OK;
}

const struct sm_codec sm_codec_zipkin_v1_thrift = {
    .name = "zipkin_v1_thrift",
    .decode = decode,
};
