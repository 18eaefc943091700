/* What receivers over gRPC share: statuses of submissions, compression. */
#ifndef SM_GRPC_INGEST_H
#define SM_GRPC_INGEST_H

#include "base/net/grpc.h"
#include "ingest/http_ingest.h"

/* An error; retry_after_ns 0: trying again does not help. */
void sm_grpc_ingest_fail(struct sm_http_exchange *x, enum sm_grpc_status status, const char *text, int64_t retry_after_ns);

/* The status for a submission that was refused (r->rc is not SM_OK). */
void sm_grpc_ingest_refuse(struct sm_http_exchange *x, const struct sm_submit *r);

/* The exchange's message, inflated if need be; the caller puts it. NULL when it cannot be had, which has been replied. */
struct sm_payload *sm_grpc_ingest_take(struct sm_receiver *r, struct sm_http_exchange *x) SM_MUST_USE;

/* Submits the exchange's message. True when it was taken and the reply is owed; otherwise it has been replied to: INTERNAL for a
 * message that is flagged as compressed without telling how, and for one that cannot be inflated. */
bool sm_grpc_ingest_submit(struct sm_receiver *r, struct sm_http_exchange *x, const struct sm_codec *codec,
                           struct sm_submit *result);

#endif
