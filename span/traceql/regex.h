/* Regular expressions of TraceQL queries: anchored at both ends, `.` matches every character, case counts.
 *
 * Patterns are PCRE2's (nearly everything of Go's syntax means the same). A pattern that is only a literal, or a literal
 * with `.*` before or behind, becomes a plain comparison of bytes. Others are compiled with JIT and run under a match limit:
 * a pattern that backtracks too long on a value neither matches nor does not match it, and the event is counted.
 * Groups do not capture, so that there are no back references (as in Go).
 *
 * Compiled patterns are immutable and shared by threads; each thread matches with its own scratch. */
#ifndef SM_TRACEQL_REGEX_H
#define SM_TRACEQL_REGEX_H

#include "base/base.h"

#define SM_TRACEQL_REGEX_SIZE_MAX  4096  /* bytes of pattern */
#define SM_TRACEQL_REGEX_STEPS_MAX 20000 /* PCRE2's match limit for one value */
#define SM_TRACEQL_REGEX_HEAP_KIB_MAX 1024 /* of the interpreter, where there is no JIT */

struct sm_traceql_regex;
struct sm_traceql_regex_scratch;

/* SM_E_INVALID or SM_E_LIMIT with the reason in *err (never NULL). */
enum sm_rc sm_traceql_regex_new(struct sm_str pattern, struct sm_traceql_regex **out, struct sm_err *err) SM_MUST_USE;
void sm_traceql_regex_free(struct sm_traceql_regex *regex);

struct sm_traceql_regex_scratch *sm_traceql_regex_scratch_new(void);
void sm_traceql_regex_scratch_free(struct sm_traceql_regex_scratch *scratch);

/* Does the value match (wanted) or not match (!wanted)? False both ways when the limit was hit. No allocation as long as JIT
 * is available. */
bool sm_traceql_regex_holds(const struct sm_traceql_regex *regex, struct sm_traceql_regex_scratch *scratch,
                            struct sm_str value, bool wanted);

/* Matches given up by the limit since the scratch was made. */
uint64_t sm_traceql_regex_given_up(const struct sm_traceql_regex_scratch *scratch);

/* False for patterns that became a comparison of bytes. */
bool sm_traceql_regex_is_costly(const struct sm_traceql_regex *regex);

#endif
