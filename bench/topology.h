/* The forty services that the traffic comes from, and who calls whom: fixed, so that the dependency graph of a run is
 * known. */
#ifndef BENCH_TOPOLOGY_H
#define BENCH_TOPOLOGY_H

#include "base/base.h"

enum {
    BENCH_TOPOLOGY_SERVICES = 40,
    BENCH_TOPOLOGY_ENTRIES = 4, /* services [0, 4) receive traffic from outside */
    BENCH_TOPOLOGY_OPERATIONS = 5,
    BENCH_TOPOLOGY_DATABASES = 4,
    BENCH_TOPOLOGY_CALLEES_MAX = 4,
    BENCH_TOPOLOGY_INSTANCES = 3,
};

struct bench_service {
    const char *name;
    const char *noun; /* what its routes, tables and methods are named after */
    const char *language;
    bool rpc; /* is called by RPC rather than HTTP */
};

struct bench_database {
    const char *system; /* db.system.name */
    const char *host;
    int port;
};

extern const struct bench_service bench_topology_services[BENCH_TOPOLOGY_SERVICES];
extern const struct bench_database bench_topology_databases[BENCH_TOPOLOGY_DATABASES];
extern const char *const bench_topology_verbs[BENCH_TOPOLOGY_OPERATIONS];
extern const char *const bench_topology_methods[BENCH_TOPOLOGY_OPERATIONS]; /* HTTP methods of the operations */

/* Number of services that `service` calls; callee k < that number. */
uint32_t bench_topology_callees(uint32_t service);
uint32_t bench_topology_callee(uint32_t service, uint32_t k);
/* The database that a service uses. */
uint32_t bench_topology_database(uint32_t service);
/* The service that consumes what `service` produces; `service` itself when it produces nothing. */
uint32_t bench_topology_consumer(uint32_t service);

#endif
