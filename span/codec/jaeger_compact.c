/* Jaeger thrift, compact protocol: messages for the agent as datagrams carry them. */
#include "span/codec/thrift_compact.h"

#define THRIFT        sm_thrift_compact
#define THRIFT_(verb) sm_thrift_compact_##verb
#define READ_ZIPKIN   sm_zipkin_v1_read_compact
#include "span/codec/jaeger_thrift.h"

const struct sm_codec sm_codec_jaeger_compact = {
    .name = "jaeger_compact",
    .decode = decode_message,
};
