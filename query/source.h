/* Reading traces for the query APIs: the store and the open windows as one.
 *
 * A trace may lie in the store (whole, or in parts), in an open window, on its way from there to the store, or in several of these (late
 * spans). It is given once, with all its spans, spans that are there twice left out, and marked `open` while a window holds some
 * of it. They are read in the order in which a trace goes through them, so that none is missed.
 *
 * Open windows live on the workers' threads. They are looked at there and copied, within bounds: how many traces are looked at,
 * how many spans and bytes are copied. Above SM_SOURCE_OPEN_MAX open traces search and name lists leave the windows out
 * altogether; a trace by id is always found.
 *
 * A source belongs to one thread, which must not be a worker's. */
#ifndef SM_QUERY_SOURCE_H
#define SM_QUERY_SOURCE_H

#include "base/base.h"
#include "pipeline/pipeline.h"
#include "query/name_set.h"
#include "store/store.h"

#define SM_SOURCE_OPEN_MAX        200000
#define SM_SOURCE_SCAN_SPANS_MAX  500000                 /* spans looked at in one search of the open windows */
#define SM_SOURCE_COPY_TRACES_MAX 2000                   /* traces copied in one search */
#define SM_SOURCE_COPY_BYTES_MAX  (UINT64_C(16) << 20)   /* by a search */
#define SM_SOURCE_TRACE_BYTES_MAX (UINT64_C(256) << 20)  /* by id */

struct sm_source;

/* Each may be NULL: then it has nothing. names and scopes are the pipeline's and needed with it. */
struct sm_source_config {
    struct sm_store *store;
    struct sm_pipeline *pipeline;
    const struct sm_names *names;
    const struct sm_scopes *scopes;
};

struct sm_source *sm_source_new(const struct sm_source_config *config) SM_MUST_USE;
void sm_source_free(struct sm_source *source);

/* A trace as found. Everything is borrowed for the callback. */
struct sm_source_trace {
    struct sm_trace_id id;
    const struct sm_encode_span *spans;
    uint32_t span_count;
    uint32_t error_count;
    uint64_t start_ns, end_ns; /* 0: no span has a start */
    struct sm_str root_service, root_operation;
    bool open;                        /* a window holds some of it: more may come, and rules have not decided yet */
    bool partial;                     /* known to be incomplete */
    uint32_t open_spans;              /* how many of the spans are not stored yet */
    const struct sm_store_meta *meta; /* of what is stored; NULL when nothing is */
};

/* Returns false to stop. */
typedef bool (*sm_source_trace_fn)(void *ctx, const struct sm_source_trace *trace);

/* The trace with this id. For a 64-bit id that is no trace's whole id, every trace whose low half it is; one call each.
 * SM_E_NOTFOUND when there is none. */
enum sm_rc sm_source_get(struct sm_source *source, struct sm_trace_id id, sm_source_trace_fn fn, void *ctx) SM_MUST_USE;

/* Newest first by start, at most query->limit. Stored and open parts of a trace are matched apart: a trace that only both
 * together match is not found, and one of which the window's part does not match is given as it is stored. SM_E_INVALID for a
 * query beyond the store's limits. *truncated (may be NULL): limits of the search were reached, so that matching traces may be
 * missing. */
enum sm_rc sm_source_search(struct sm_source *source, const struct sm_store_query *query, sm_source_trace_fn fn, void *ctx,
                            bool *truncated) SM_MUST_USE;

/* Adds names to a set; nothing is sorted yet. Kinds are those of spans for operations, SM_KIND_UNSPECIFIED for the others. */
void sm_source_services(struct sm_source *source, struct sm_name_set *names);
void sm_source_operations(struct sm_source *source, struct sm_str service, bool fold_case, struct sm_name_set *names);
void sm_source_remote_services(struct sm_source *source, struct sm_str service, bool fold_case, struct sm_name_set *names);

#endif
