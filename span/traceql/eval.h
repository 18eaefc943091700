/* Running programs over the view of a trace (span/view.h).
 *
 * No allocation, no lock. What depends on a name or a resource alone is remembered in the scratch, from trace to trace, so
 * that a regular expression on `name` runs once per distinct name, not once per span. Tests of the trace that stand first
 * run once per trace, tests of the header do not touch the span's bytes. Semantics: docs/traceql.md. */
#ifndef SM_TRACEQL_EVAL_H
#define SM_TRACEQL_EVAL_H

#include "base/base.h"
#include "span/traceql/compile.h"
#include "span/view.h"

struct sm_traceql_scratch;

/* One per thread and set, made after the set's last compilation. Names and resources must come from the same tables
 * (span/names.h, span/scope.h) for the life of the scratch. */
struct sm_traceql_scratch *sm_traceql_scratch_new(const struct sm_traceql_set *set);
void sm_traceql_scratch_free(struct sm_traceql_scratch *scratch);

/* Does at least one span of the trace match? */
bool sm_traceql_match_trace(const struct sm_traceql_prog *prog, const struct sm_view *view,
                            const struct sm_view_scratch *names, struct sm_traceql_scratch *scratch);

/* Does this span (index below view->count) match? */
bool sm_traceql_match_span(const struct sm_traceql_prog *prog, const struct sm_view *view, uint32_t index,
                           const struct sm_view_scratch *names, struct sm_traceql_scratch *scratch);

/* Regular expressions given up by their match limit (both =~ and !~ were false), since the scratch was made. */
uint64_t sm_traceql_regex_limits(const struct sm_traceql_scratch *scratch);

#endif
