/* Writing OTLP, as protobuf or JSON: TracesData, which is also the body of ExportTraceServiceRequest (opentelemetry-proto).
 *
 * Consecutive spans of one resource and scope share a group; the order of spans stays. */
#ifndef SM_OTLP_ENCODE_H
#define SM_OTLP_ENCODE_H

#include "span/codec/codec.h"

/* Appends the message. No spans: nothing, which is an empty message. Spans' bytes are copied as they are, private field
 * included: for receivers other than spanmill put them through sm_private_plain first. */
void sm_codec_otlp_proto_encode(const struct sm_encode_span *spans, size_t count, struct sm_buf *out);

/* Appends {"resourceSpans":[...]}: ids in hex, enums as numbers, 64-bit numbers as strings, members that are zero or empty
 * left out. JSON has no place for the private field, so spans that have one are written in their plain form. */
void sm_codec_otlp_json_encode(const struct sm_encode_span *spans, size_t count, struct sm_buf *out);

/* Only the elements of that list, separated by commas: for documents that hold several traces. */
void sm_otlp_json_put_resource_spans(const struct sm_encode_span *spans, size_t count, struct sm_buf *out);

/* How many spans from the first one on belong to its resource (its scope within that resource). count > 0. */
size_t sm_otlp_resource_run(const struct sm_encode_span *spans, size_t count);
size_t sm_otlp_scope_run(const struct sm_encode_span *spans, size_t count);

#endif
