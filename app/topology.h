/* The daemon: every part that `spanmill run` starts, wired together from the configuration.
 *
 * This is the one place that knows all parts: receivers, rules, analyzers, sinks, query APIs. Built and stopped by the control
 * thread, which also runs the loop for scrapes and queries. */
#ifndef SM_TOPOLOGY_H
#define SM_TOPOLOGY_H

#include "app/config.h"
#include "app/engine.h"
#include "base/base.h"

struct sm_topology;

/* Builds everything and opens every listener; nothing runs yet. NULL after filling *err. The configuration must outlive it. */
struct sm_topology *sm_topology_new(const struct sm_config *config, struct sm_err *err) SM_MUST_USE;

/* Starts the workers. */
enum sm_rc sm_topology_start(struct sm_topology *t, struct sm_err *err) SM_MUST_USE;

/* Control thread: serves until sm_topology_end. */
void sm_topology_run(struct sm_topology *t);
/* Control thread (a signal's callback): loads certificates and credentials anew. */
void sm_topology_reload(struct sm_topology *t);
/* Control thread (a signal's callback): makes sm_topology_run return. */
void sm_topology_end(struct sm_topology *t);

/* Control thread, after the run: refuses new work, closes every window with a real decision, lets sinks deliver, stops all
 * threads. Metrics are served meanwhile, /-/ready says no. Gives up waiting after timeout_ns; what is left is counted. */
void sm_topology_stop(struct sm_topology *t, int64_t timeout_ns);
/* Stopped, or never started. */
void sm_topology_free(struct sm_topology *t);

/* The control thread's loop, for signals; what it serves. Both live as long as the topology. */
struct sm_loop *sm_topology_loop(struct sm_topology *t);
struct sm_engine *sm_topology_engine(struct sm_topology *t);

/* Listeners, for the lines at the start. False past the last one. */
struct sm_topology_listener {
    const char *name; /* "OTLP gRPC", ... */
    const char *url;  /* "http://127.0.0.1:4318/v1/traces" */
};
bool sm_topology_listener(const struct sm_topology *t, unsigned i, struct sm_topology_listener *listener);

#endif
