/* Zipkin's query API (zipkin-api, zipkin2-api.yaml): /api/v2/services, spans, remoteServices, traces, trace/{id}, traceMany,
 * dependencies, autocompleteKeys, autocompleteValues; all of them below /zipkin too, where its UI looks, with /zipkin/config.json;
 * /health and /info.
 *
 * Spans are given as they were stored, halves and parts unmerged: clients merge. Names compare without regard to ASCII case and
 * are listed in lower case. Errors are plain text. As Zipkin's collector does with STRICT_TRACE_ID=false, a 64-bit id that is no
 * trace's whole id finds a trace whose low half it is. */
#ifndef SM_QUERY_ZIPKIN_H
#define SM_QUERY_ZIPKIN_H

#include "query/api.h"

#define SM_ZIPKIN_LIMIT_DEFAULT      10
#define SM_ZIPKIN_IDS_MAX            1000
#define SM_ZIPKIN_AUTOCOMPLETE_TRACES 1000 /* newest ones of the last day whose tags are offered */

extern const struct sm_query_api sm_zipkin_api;

#endif
