/* The service graph's counters, with the names that Tempo's metrics generator made known:
 *
 *   traces_service_graph_request_total            calls
 *   traces_service_graph_request_failed_total     calls with status error on either side
 *   traces_service_graph_request_server_seconds   as the server saw them; bounds 0.1 * 2^i, 8 of them
 *   traces_service_graph_request_client_seconds   as the client saw them
 *   {client, server, connection_type=""|"messaging_system"|"database"|"virtual_node"}
 *
 * A side whose duration is not known is not observed. For databases, brokers and peers without spans the client's
 * duration stands for both. Past the limit of series, calls go to one series with the only label
 * metric_overflow="true".
 *
 * Two tables of the same shape: changes, which a shard fills and ships, and totals. Not thread-safe. */
#ifndef SM_CALLS_H
#define SM_CALLS_H

#include "analysis/linker.h"
#include "analysis/table.h"
#include "base/base.h"
#include "span/series.h"

#define SM_CALLS_BOUNDS 8

/* What a shard ships. */
struct sm_calls_delta {
    struct sm_table changes;
    uint64_t overflowed; /* calls that the full table did not take */
};

struct sm_calls {
    struct sm_table totals;
    uint64_t stale_ns;
    void *overflow;      /* the overflow series; has a total's shape */
    uint64_t overflowed; /* calls in it */
    uint64_t expired;    /* series */
};

void sm_calls_delta_init(struct sm_calls_delta *d);
void sm_calls_delta_fini(struct sm_calls_delta *d);
/* Forgets the changes, keeps the memory. */
void sm_calls_delta_clear(struct sm_calls_delta *d);
/* One call more. The delta is of a fixed size: a call that it has no room for is counted in d->overflowed. */
void sm_calls_delta_add(struct sm_calls_delta *d, const struct sm_call *call, uint64_t arrived_ns);

void sm_calls_init(struct sm_calls *c, uint32_t series_max, uint64_t stale_ns);
void sm_calls_fini(struct sm_calls *c);
/* Adds what a shard shipped; a call's arrival moves the times since when and until when its series counts. */
void sm_calls_merge(struct sm_calls *c, const struct sm_calls_delta *d);
/* Forgets series that had no call for stale_ns. */
void sm_calls_expire(struct sm_calls *c, uint64_t now_ns);
/* All series, not yet sorted. */
void sm_calls_snapshot(const struct sm_calls *c, const struct sm_names *nodes, struct sm_series_set *set);

#endif
