/* Traces for the tests of sinks: built span by span, with interned resources and scopes. */
#ifndef TEST_SINKS_TRACES_H
#define TEST_SINKS_TRACES_H

#include "base/buf.h"
#include "pipeline/sink.h"
#include "span/scope.h"
#include "span/trace.h"

struct traces {
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_names_cache *names_cache;
    struct sm_scopes_cache *cache;
};

void traces_init(struct traces *t);
void traces_fini(struct traces *t);

/* A scope of the resource whose service.name this is. */
uint32_t traces_scope(struct traces *t, const char *service, const char *scope);

struct sm_trace *trace_new(uint64_t id);
/* Appends a span; tracestate may be NULL. `private` is appended to the bytes as it is. */
void trace_add(struct sm_trace *trace, uint32_t scope_id, uint64_t span_id, const char *name, const char *tracestate,
               struct sm_str private);
void trace_free(struct sm_trace *trace);

/* A batch of these traces. */
struct sm_sink_batch batch_of(const struct sm_trace **traces, uint32_t count);

#endif
