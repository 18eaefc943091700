/* Jaeger's API v3 over HTTP, which its UI after v2.20 uses: /api/v3/services, operations, traces, traces/{id}, trace-summaries,
 * dependencies.
 *
 * Traces are OTLP JSON in {"result": ...}; errors are {"error":{"httpCode","message"}} with that status. Parameters have their
 * camelCase names and, as Jaeger still takes them, the snake_case ones. Times are RFC 3339. A search of traces that finds none
 * is 404, one of summaries an empty list. The format has no place for marks: open traces look like others. Unless rawTraces
 * is set, halves that share an id are told apart (query/shared_ids.h). */
#ifndef SM_QUERY_JAEGER_V3_H
#define SM_QUERY_JAEGER_V3_H

#include "query/api.h"

#define SM_JAEGER_V3_DEPTH_DEFAULT 100

extern const struct sm_query_api sm_jaeger_v3_api;

#endif
