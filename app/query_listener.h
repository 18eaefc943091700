/* The query service of an engine and its listener on the control loop; the same service stands behind the Zipkin receivers.
 *
 * Control thread. Order at the end as query/service.h says: stop while the pipeline's threads still run, close, free the loop and
 * every receiver that has the service for a fallback, then free; the store closes after that. */
#ifndef SM_QUERY_LISTENER_H
#define SM_QUERY_LISTENER_H

#include "app/engine.h"
#include "ingest/receiver.h"
#include "query/service.h"

struct sm_query_listener;

/* Starts the service. `store` may be NULL: then only open windows are found. */
struct sm_query_listener *sm_query_listener_new(struct sm_engine *engine, struct sm_store *store, struct sm_err *err) SM_MUST_USE;

/* Serves on the loop, with the listener's address, limits and door; *port is what was bound. */
enum sm_rc sm_query_listener_open(struct sm_query_listener *q, struct sm_loop *loop, const struct sm_listener *listener,
                                  uint16_t *port, struct sm_err *err) SM_MUST_USE;
/* After it has been opened. */
const struct sm_http_counters *sm_query_listener_counters(const struct sm_query_listener *q);

struct sm_query_service *sm_query_listener_service(struct sm_query_listener *q);

/* Answers what is queued; no more queries after that. NULL is allowed for each of these. */
void sm_query_listener_stop(struct sm_query_listener *q);
void sm_query_listener_close(struct sm_query_listener *q);
void sm_query_listener_free(struct sm_query_listener *q);

#endif
