/* What the demo's application behind Istio's proxies reports, in the datagrams of a Jaeger client: thrift compact, emitBatch, one
 * process each. */
#ifndef SM_DEMO_JAEGER_H
#define SM_DEMO_JAEGER_H

#include "app/demo_encode.h"

#define SM_DEMO_DATAGRAM_MAX 65000 /* bytes, as clients have it */

struct sm_demo_jaeger;

struct sm_demo_jaeger *sm_demo_jaeger_new(void);
void sm_demo_jaeger_free(struct sm_demo_jaeger *j);

/* Takes those spans of a trace that go by Jaeger. */
void sm_demo_jaeger_add(struct sm_demo_jaeger *j, const struct sm_demo_trace *t);

/* The next datagram of what was added, until the next call; false when all is given out. */
bool sm_demo_jaeger_next(struct sm_demo_jaeger *j, struct sm_demo_request *datagram);

#endif
