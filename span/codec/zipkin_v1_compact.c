/* Zipkin v1 thrift in the compact protocol: the list in Jaeger's emitZipkinBatch. */
#include "span/codec/thrift_compact.h"

#define THRIFT        sm_thrift_compact
#define THRIFT_(verb) sm_thrift_compact_##verb
#define THRIFT_NAME   "TCompact"
#include "span/codec/zipkin_v1_thrift.h"

enum sm_rc sm_zipkin_v1_read_compact(struct sm_decoder *d, struct sm_thrift_compact *t, size_t payload_size,
                                     struct sm_batch *batch, struct sm_err *err)
{
    return read_list(d, t, payload_size, batch, err);
}
