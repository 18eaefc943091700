/* The shop of `spanmill demo` as tables: its services, what each does when it is asked, the databases and the topic
 * behind them. */
#ifndef SM_DEMO_SHOP_H
#define SM_DEMO_SHOP_H

#include "base/base.h"

enum sm_demo_service_id {
    SM_DEMO_FRONTEND,
    SM_DEMO_CART,
    SM_DEMO_CATALOG,
    SM_DEMO_RECOMMENDATION,
    SM_DEMO_CHECKOUT,
    SM_DEMO_PAYMENT,
    SM_DEMO_SHIPPING,
    SM_DEMO_EMAIL,
    SM_DEMO_SHOP_COUNT,                   /* the eight of the shop, which report by OTLP */
    SM_DEMO_INGRESS = SM_DEMO_SHOP_COUNT, /* Istio's proxies, which report as Zipkin */
    SM_DEMO_SIDECAR,
    SM_DEMO_SERVICE_COUNT
};

enum { SM_DEMO_INSTANCES = 2, SM_DEMO_STEPS_MAX = 5 };

struct sm_demo_service {
    const char *name, *version, *language;
    int port;
};

struct sm_demo_query {
    const char *system, *host, *namespace, *operation, *collection, *text;
    int port;
    double ms, spread; /* duration: log-normal, median and sigma */
    double slow;       /* how often it takes thirty times as long */
};

enum sm_demo_protocol { SM_DEMO_HTTP, SM_DEMO_GRPC, SM_DEMO_TOPIC };

enum sm_demo_step_type { SM_DEMO_NO_STEP, SM_DEMO_CALL, SM_DEMO_QUERY, SM_DEMO_PUBLISH };

struct sm_demo_step {
    enum sm_demo_step_type type;
    unsigned target; /* position in sm_demo_operations or sm_demo_queries */
    double chance;   /* how often it is taken */
    bool optional;   /* its failure does not fail the operation */
};

struct sm_demo_operation {
    enum sm_demo_service_id service;
    enum sm_demo_protocol protocol;
    const char *method; /* HTTP: GET, ...; gRPC: the method; topic: the consumer group */
    const char *route;  /* HTTP: the route; gRPC: the service; topic: its name */
    double ms, spread;           /* own work: log-normal, median and sigma */
    double slow;                 /* how often it takes twenty times as long */
    double fails;                /* how often it fails by itself */
    const char *error, *message; /* type and text of that failure */
    unsigned weight;             /* how often users ask for it, in proportion; 0: never directly */
    struct sm_demo_step steps[SM_DEMO_STEPS_MAX];
};

extern const struct sm_demo_service sm_demo_services[SM_DEMO_SERVICE_COUNT];
extern const struct sm_demo_query sm_demo_queries[];
extern const struct sm_demo_operation sm_demo_operations[];
extern const unsigned sm_demo_operation_count;

/* The operation of the frontend that requests through Istio's proxies end in. */
extern const struct sm_demo_operation sm_demo_proxied;

#endif
