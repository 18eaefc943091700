/* What a reply to an OTLP export means: taken, taken in part, try again, or refused for good.
 *
 * Rules (OTLP specification 1.x, gRPC status codes): over HTTP only 429, 502, 503 and 504 are tried again, over gRPC
 * CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS, and RESOURCE_EXHAUSTED when a RetryInfo comes
 * with it. A failed connection is tried again. A populated partial success never is: its rejected spans are lost and
 * counted. Retry-After (seconds or a date) and google.rpc.RetryInfo say when.
 *
 * Pure functions over hostile bytes: what is malformed reads as absent. */
#ifndef SM_OTLP_REPLY_H
#define SM_OTLP_REPLY_H

#include "base/base.h"
#include "pipeline/sink.h"
#include "sinks/http_client.h"

struct sm_otlp_outcome {
    enum sm_sink_result result;
    uint64_t rejected_spans; /* with SM_SINK_OK: partial success */
    int64_t retry_after_ns;  /* with SM_SINK_AGAIN; 0: not said */
    char why[256];           /* for people; empty when all went well. A warning may come with SM_SINK_OK. */
};

/* now_ns: wall clock, for a Retry-After that is a date. */
void sm_otlp_reply_http(const struct sm_http_client_reply *reply, int64_t now_ns, struct sm_otlp_outcome *outcome);
void sm_otlp_reply_grpc(const struct sm_http_client_reply *reply, struct sm_otlp_outcome *outcome);

#endif
