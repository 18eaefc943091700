/* Syntax tree -> TraceQL text, for explain output, error messages and tests. Cold path, any thread, no allocation. */
#ifndef SM_TRACEQL_PRINT_H
#define SM_TRACEQL_PRINT_H

#include "span/traceql/parse.h"

/* Each writes terminated text, cut to `size` bytes with its NUL, and returns the length that the whole text has. Printed text
 * parses to the same tree: all parentheses are explicit, durations are in ns, keys are quoted where they must be. */
size_t sm_traceql_print(const struct sm_traceql_ast *ast, char *out, size_t size);
size_t sm_traceql_print_field(const struct sm_traceql_field *field, char *out, size_t size);
size_t sm_traceql_print_value(const struct sm_traceql_value *value, char *out, size_t size);

const char *sm_traceql_print_op(enum sm_traceql_op op);
/* With its article: "a string". */
const char *sm_traceql_print_type(enum sm_traceql_type type);

#endif
