/* The query service: one thread that answers the query APIs for every listener.
 *
 * The handler is put on any sm_http_server, on any loop, and behind the Zipkin receivers (struct sm_listener.fallback). On a loop's
 * thread it only looks at method and path, defers the exchange and queues it; the query thread reads store and windows and
 * completes it, so that a slow search holds up no loop. Requests wait in one queue; beyond its limit they get 503. Replies above some size
 * are compressed for clients that accept gzip.
 *
 * Order at the end: sm_query_service_stop before the pipeline's threads end (the query thread asks them for open windows) and
 * before the store closes; sm_query_service_free after the last server that uses the handler is gone. */
#ifndef SM_QUERY_SERVICE_H
#define SM_QUERY_SERVICE_H

#include "base/net/http.h"
#include "query/api.h"

#include <stdatomic.h>

struct sm_query_service;

struct sm_query_service_config {
    struct sm_query_env env;
    uint32_t queue_max; /* requests that wait; 0: 64 */
};

/* Any thread may read. All but `queued` only grow. */
struct sm_query_counters {
    _Atomic uint64_t requests;
    _Atomic uint64_t refused;  /* the queue was full */
    _Atomic uint64_t failed;   /* replies with a status of 400 or more */
    _Atomic uint64_t abandoned; /* the client was gone before its turn came */
    _Atomic uint64_t queued;   /* now */
};

/* Starts the thread. The environment's texts and objects must outlive the service. */
struct sm_query_service *sm_query_service_new(const struct sm_query_service_config *config, struct sm_err *err) SM_MUST_USE;
/* Answers what is queued, refuses what comes, ends the thread. */
void sm_query_service_stop(struct sm_query_service *service);
/* Stops it if need be. NULL is allowed. */
void sm_query_service_free(struct sm_query_service *service);

const struct sm_query_counters *sm_query_service_counters(const struct sm_query_service *service);

/* For sm_http_server_new and struct sm_listener; ctx is the service. */
const struct sm_http_handler *sm_query_http_handler(void);

#endif
