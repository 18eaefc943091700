/* What receivers of unary gRPC calls share: taking the message, and replies in gRPC's own terms. */
#ifndef SM_GRPC_INGEST_H
#define SM_GRPC_INGEST_H

#include "base/net/grpc.h"
#include "ingest/http_ingest.h"

/* Inflates the call's message as its flag and grpc-encoding say, and submits it. False when the call has been
 * replied to because the message could not be had: INTERNAL for one that is flagged as compressed without telling
 * how or cannot be inflated. */
bool sm_grpc_ingest_submit(struct sm_receiver *r, struct sm_http_exchange *x, const struct sm_codec *codec,
                           struct sm_submit *result);

/* Replies with a status; retry_after_ns > 0 adds RetryInfo. */
void sm_grpc_ingest_fail(struct sm_http_exchange *x, enum sm_grpc_status status, const char *text,
                         int64_t retry_after_ns);

/* Replies to what was submitted: with `message` on success. */
void sm_grpc_ingest_reply(struct sm_http_exchange *x, const struct sm_submit *result, struct sm_str message);

#endif
