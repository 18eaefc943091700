/* Our own API: GET /, what there is, and GET /api/graph, the dependency graph.
 *
 * format: json (default), dot, csv (analysis/graph_out.h). end: default now. start: default end - lookback. lookback: a Go
 * duration, default 1h. Times are RFC 3339 or epoch milliseconds. Errors are {"error": text}. */
#ifndef SM_QUERY_OWN_H
#define SM_QUERY_OWN_H

#include "query/api.h"

#define SM_OWN_LOOKBACK_DEFAULT_MS INT64_C(3600000)

extern const struct sm_query_api sm_own_api;

#endif
