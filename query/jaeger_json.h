/* A trace as Jaeger's UI reads it: the JSON of its first query API (spans with references, tags, logs; processes).
 *
 * Spans follow OpenTelemetry's mapping to Jaeger: kind, status and scope become tags, events logs, links references. The private
 * field is read and its addresses become tags (span/private.h).
 *
 * Unless `raw`, traces are adjusted as Jaeger does when reading: the server half of a span that shares its id with its client
 * (B3) gets an id of its own and becomes the client's child, and so do the children of the two; spans are sorted by start; links
 * without ids are left out; addresses that are numbers get their dotted form; of spans that are their own ancestors the earliest
 * becomes a root, with a warning; an error tag "false" becomes a bool. Clocks are not corrected.
 *
 * Warnings about the trace are given with the trace and, as the UI shows only those of spans, with its first span.
 *
 * A writer keeps its scratch memory from trace to trace; one thread at a time. */
#ifndef SM_QUERY_JAEGER_JSON_H
#define SM_QUERY_JAEGER_JSON_H

#include "base/base.h"
#include "base/buf.h"
#include "query/source.h"

#define SM_JAEGER_UNKNOWN_SERVICE "unknown_service"
#define SM_JAEGER_OPEN_WARNING                                                                                         \
    "this trace is still open: more spans may come, and sampling rules have not decided whether it is kept"
#define SM_JAEGER_PARTIAL_WARNING "this trace is incomplete: limits or memory pressure cut it short"
#define SM_JAEGER_RING_WARNING    "this span was its own ancestor: the reference to its parent is left out"

struct sm_jaeger_json;

struct sm_jaeger_json *sm_jaeger_json_new(void) SM_MUST_USE;
void sm_jaeger_json_free(struct sm_jaeger_json *w);

/* Appends the trace's object. */
void sm_jaeger_json_put(struct sm_jaeger_json *w, const struct sm_source_trace *trace, bool raw, struct sm_buf *out);

/* A trace id as Jaeger prints it: 16 digits when the high half is 0, else 32. Terminated. */
void sm_jaeger_trace_id(struct sm_trace_id id, char out[SM_TRACE_ID_HEX_SIZE]);

#endif
