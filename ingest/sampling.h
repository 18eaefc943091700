/* What receivers tell clients that ask by which rate they shall sample: the rates that follow the traffic, if there are any, for
 * services that the file does not name; else what the file says.
 *
 * One per receiver, on its thread. */
#ifndef SM_SAMPLING_H
#define SM_SAMPLING_H

#include "ingest/grpc_ingest.h"
#include "ingest/strategy.h"

struct sm_sampling;

/* A receiver over HTTP whose `own` is a struct sm_sampling. NULL after filling *err, also when the file is wrong. */
struct sm_receiver *sm_sampling_open_receiver(const struct sm_listener *listener, struct sm_worker *worker,
                                              const struct sm_http_handler *handler, uint16_t *port, struct sm_err *err);
void sm_sampling_close_receiver(struct sm_receiver *r);

/* Appends the reply for a service. */
void sm_sampling_put(struct sm_sampling *s, struct sm_str service, enum sm_strategy_form form, struct sm_buf *out);

/* jaeger.api_v2.SamplingManager/GetSamplingStrategy. */
#define SM_SAMPLING_METHOD "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"
void sm_sampling_reply_grpc(struct sm_sampling *s, struct sm_receiver *r, struct sm_http_exchange *x);

#endif
