/* TraceQL queries -> programs. Types are checked, constants folded, attribute keys resolved to wanted slots
 * (span/wanted.h), and the parts of && and || reordered so that cheap tests come first: the trace's fields, then the span
 * header's, then names and resources (both remembered), then attributes, then regular expressions.
 *
 * Programs are compiled into a set: those of one rule list share slots, remembered results and regular expressions. Compile
 * while configuration loads, or per search request; afterwards a set is immutable and read by any number of threads, each
 * with its own scratch (eval.h). */
#ifndef SM_TRACEQL_COMPILE_H
#define SM_TRACEQL_COMPILE_H

#include "base/base.h"
#include "span/traceql/parse.h"
#include "span/wanted.h"

struct sm_traceql_set;
struct sm_traceql_prog;

/* `wanted` takes the span attribute keys of the queries and must outlive compilation. NULL: spans will come without side
 * records (or with those of an older table), so attributes are found by walking their bytes; a key that does not fit the
 * table is found so too. */
struct sm_traceql_set *sm_traceql_set_new(struct sm_wanted *wanted);
void sm_traceql_set_free(struct sm_traceql_set *set); /* and its programs */

/* SM_OK: *prog, owned by the set, which keeps what it needs of the query. Else *err (never NULL) says what is wrong where
 * and the set is as good as before. */
enum sm_rc sm_traceql_compile(struct sm_traceql_set *set, struct sm_str query, const struct sm_traceql_prog **prog,
                              struct sm_traceql_error *err) SM_MUST_USE;

/* The query as it was understood, with all parentheses; valid as long as the set. */
const char *sm_traceql_prog_text(const struct sm_traceql_prog *prog);

/* One comparison that holds for every span that the program matches: `field op value`, or with type nil, `field != nil`.
 * Strings are valid as long as the set. */
struct sm_traceql_requirement {
    struct sm_traceql_field field;
    enum sm_traceql_op op;
    struct sm_traceql_value value;
};

/* Up to `max` requirements, for readers with an index to look candidates up in. Not complete: what it leaves out is merely
 * not exploited. Returns their number. */
size_t sm_traceql_requirements(const struct sm_traceql_prog *prog, struct sm_traceql_requirement *out, size_t max);

/* True when no span can match, whatever it holds. */
bool sm_traceql_never(const struct sm_traceql_prog *prog);

#endif
