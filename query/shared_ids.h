/* Telling apart the halves of a call that share one span id, as B3 propagation makes them: Jaeger shows every span under an id of
 * its own.
 *
 * The server half gets the smallest id that no span of the trace has, and the client half for a parent; what named the shared id
 * as its parent becomes a child of the (first) server half. Without a client the server that holds all others in time
 * (span/nesting.h) takes its place (Envoys without traffic_direction both say that they serve). Other spans that share an id are
 * left alone. Any thread. */
#ifndef SM_QUERY_SHARED_IDS_H
#define SM_QUERY_SHARED_IDS_H

#include "base/base.h"
#include "span/span.h"

struct sm_shared_span {
    uint64_t id, parent_id; /* in and out */
    enum sm_kind kind;
    uint32_t at;  /* the caller's: which span this is; unique */
    bool changed; /* out */
    uint64_t start_ns, end_ns; /* 0: unknown */
};

/* All spans of a trace; their order changes. True when any has changed. */
bool sm_shared_ids_split(struct sm_shared_span *spans, uint32_t count);

#endif
