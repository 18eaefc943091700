/* Kept traces -> ExportTraceServiceRequest (opentelemetry-proto, collector/trace/v1), grouped by resource and scope.
 *
 * The canonical bytes of a span are copied as they are. Three things may differ from what was received:
 *  - where sampling means something, the whole merged tracestate is appended as one more field 3 (in protobuf the last one
 *    wins): `ot` first, th = max(incoming, decided), rv when the randomness came from our hash. A trace that was kept without
 *    a probability (sm_trace.counted_out) loses an incoming th;
 *  - our private field is translated into plain attributes, and a 64-bit trace id that joined one of 128 bits into that one,
 *    unless the other side is spanmill itself;
 *  - enclosing lengths follow.
 * The stored span is never touched. Spans of one scope keep the order in which they lie in the batch.
 *
 * One encoder per sink, used by the sink's thread only; it keeps its scratch memory from call to call. */
#ifndef SM_OTLP_ENCODE_H
#define SM_OTLP_ENCODE_H

#include "base/base.h"
#include "base/buf.h"
#include "pipeline/sink.h"
#include "span/scope.h"

struct sm_otlp_encoder;

/* keep_private: the other side is spanmill. */
struct sm_otlp_encoder *sm_otlp_encoder_new(const struct sm_names *names, const struct sm_scopes *scopes, bool keep_private);
void sm_otlp_encoder_free(struct sm_otlp_encoder *e);

/* Appends one request with spans of the batch to `out`, which must not have a limit. Starts behind the first `skip` spans of
 * the batch and stops before the request would become larger than bytes_max; one span at least is written however large it
 * is. Returns how many spans were written: 0 only when skip reaches the batch's end. */
uint64_t sm_otlp_encode(struct sm_otlp_encoder *e, const struct sm_sink_batch *batch, uint64_t skip, size_t bytes_max,
                        struct sm_buf *out);

#endif
