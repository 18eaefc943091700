/* One trace of the demo's traffic as plain data: a walk through the tables of app/demo_shop.h with durations, errors
 * and ids drawn from a seeded generator. The same seed draws the same traces, apart from when they are. */
#ifndef SM_DEMO_TRACE_H
#define SM_DEMO_TRACE_H

#include "app/demo_shop.h"
#include "span/span.h"

enum {
    SM_DEMO_SPANS_MAX = 48,
    SM_DEMO_ATTRIBUTES_MAX = 16,
    SM_DEMO_TEXT_MAX = 16384,
    SM_DEMO_PROXIED_EVERY = 8, /* each trace with this distance comes through Istio's proxies */
};

struct sm_demo_attribute {
    const char *key;
    const char *text; /* NULL: a number */
    int64_t number;
};

struct sm_demo_span {
    enum sm_demo_service_id service;
    unsigned instance;
    uint64_t id, parent_id; /* parent 0: the root */
    enum sm_kind kind;
    const char *name;
    int64_t start_ns, end_ns;
    bool failed, shared;
    bool by_jaeger; /* reported by a Jaeger client */
    const char *error, *message; /* what it raised itself; NULL */
    struct sm_demo_attribute attributes[SM_DEMO_ATTRIBUTES_MAX];
    unsigned attribute_count;
};

struct sm_demo_trace {
    struct sm_trace_id id;
    struct sm_demo_span spans[SM_DEMO_SPANS_MAX];
    unsigned count;
    char text[SM_DEMO_TEXT_MAX]; /* names and values that were made */
    size_t text_size;
};

struct sm_demo_random {
    uint64_t state;
};

/* Trace number `number` (from 0), which ends at end_ns. */
void sm_demo_trace_make(struct sm_demo_trace *t, struct sm_demo_random *random, uint64_t number, int64_t end_ns);

/* Does a proxy report this span (as Zipkin)? */
static inline bool sm_demo_span_is_zipkin(const struct sm_demo_span *s)
{
    return s->service >= SM_DEMO_SHOP_COUNT;
}

#endif
