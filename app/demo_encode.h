/* Traces of the demo as requests: one OTLP message and one Zipkin document for all that was added, apart from what goes by Jaeger
 * (demo_jaeger.h). */
#ifndef SM_DEMO_ENCODE_H
#define SM_DEMO_ENCODE_H

#include "app/demo_trace.h"
#include "base/buf.h"

struct sm_demo_encoder;

struct sm_demo_encoder *sm_demo_encoder_new(void);
void sm_demo_encoder_free(struct sm_demo_encoder *e);

void sm_demo_encoder_add(struct sm_demo_encoder *e, const struct sm_demo_trace *t);

/* A request's body, until the next sm_demo_encoder_finish. */
struct sm_demo_request {
    struct sm_str body; /* empty when there are no spans */
    size_t spans;
};

/* Writes both requests and forgets what was added. */
void sm_demo_encoder_finish(struct sm_demo_encoder *e, struct sm_demo_request *otlp, struct sm_demo_request *zipkin);

#endif
