/* TraceQL text -> syntax tree. Only syntax: types are checked and names resolved by compile.h.
 *
 * Understood today: one spanset filter, `{ expression }`, as in Grafana Tempo's TraceQL; docs/traceql.md holds the grammar.
 * As there, && and || bind equally and to the left, comparisons bind tighter, `!` and `-` tightest. The tree is made to
 * grow: the root is a spanset node, so that spanset operators and pipelines become further node kinds above it.
 *
 * A tree is a few arrays owned by struct sm_traceql_ast: nodes refer to each other by index, strings point into its text
 * buffer. It holds no pointer into the query text, which may go away after parsing. Cold path: start-up, reload, search
 * requests; any thread. Limits: SM_TRACEQL_*_MAX; a query beyond them is SM_E_LIMIT. */
#ifndef SM_TRACEQL_PARSE_H
#define SM_TRACEQL_PARSE_H

#include "base/base.h"

#define SM_TRACEQL_QUERY_SIZE_MAX 65536 /* bytes of query text */
#define SM_TRACEQL_DEPTH_MAX      64    /* nested parentheses and prefix operators */
#define SM_TRACEQL_NODES_MAX      4096

/* What is wrong with a query and where: for the user who wrote it. */
struct sm_traceql_error {
    enum sm_rc rc;
    uint32_t offset; /* bytes into the query */
    uint32_t line;   /* from 1 */
    uint32_t column; /* from 1, in UTF-8 characters */
    char text[224];  /* one sentence without the position */
};

enum sm_traceql_type {
    SM_TRACEQL_NIL,
    SM_TRACEQL_BOOL,
    SM_TRACEQL_INT,
    SM_TRACEQL_FLOAT,
    SM_TRACEQL_DURATION, /* ns, in .integer */
    SM_TRACEQL_STRING,
    SM_TRACEQL_STATUS, /* OTLP's numbers: unset 0, ok 1, error 2 */
    SM_TRACEQL_KIND,   /* OTLP's numbers: unspecified 0, internal 1, server 2, client 3, producer 4, consumer 5 */
};

struct sm_traceql_value {
    enum sm_traceql_type type;
    union {
        bool boolean;
        int64_t integer; /* int, duration, status, kind */
        double real;
        struct sm_str string;
    };
};

enum sm_traceql_scope {
    SM_TRACEQL_INTRINSIC,
    SM_TRACEQL_SPAN_ATTR,
    SM_TRACEQL_RESOURCE_ATTR,
    SM_TRACEQL_ANY_ATTR, /* `.key`: the span's, else the resource's */
};

enum sm_traceql_intrinsic {
    SM_TRACEQL_STATUS_FIELD,
    SM_TRACEQL_STATUS_MESSAGE,
    SM_TRACEQL_KIND_FIELD,
    SM_TRACEQL_NAME,
    SM_TRACEQL_DURATION_FIELD,
    SM_TRACEQL_TRACE_DURATION,
    SM_TRACEQL_ROOT_NAME,
    SM_TRACEQL_ROOT_SERVICE,
};

struct sm_traceql_field {
    enum sm_traceql_scope scope;
    enum sm_traceql_intrinsic intrinsic; /* scope SM_TRACEQL_INTRINSIC only */
    struct sm_str key;                   /* the other scopes: unquoted, never empty */
};

enum sm_traceql_op {
    SM_TRACEQL_EQ,
    SM_TRACEQL_NE,
    SM_TRACEQL_LT,
    SM_TRACEQL_LE,
    SM_TRACEQL_GT,
    SM_TRACEQL_GE,
    SM_TRACEQL_MATCH,     /* =~ */
    SM_TRACEQL_NOT_MATCH, /* !~ */
};

enum sm_traceql_node_kind {
    SM_TRACEQL_SPANSET, /* left: the filter; SM_TRACEQL_NONE for `{}` */
    SM_TRACEQL_AND,
    SM_TRACEQL_OR,
    SM_TRACEQL_NOT,     /* left */
    SM_TRACEQL_COMPARE, /* op */
    SM_TRACEQL_VALUE,
    SM_TRACEQL_FIELD,
};

#define SM_TRACEQL_NONE UINT32_MAX /* no such node */

struct sm_traceql_node {
    enum sm_traceql_node_kind kind;
    enum sm_traceql_op op;
    uint32_t left, right; /* indexes of nodes */
    uint32_t offset;      /* of the first byte of its operator or operand in the query */
    union {
        struct sm_traceql_value value;
        struct sm_traceql_field field;
    };
};

struct sm_traceql_ast {
    struct sm_traceql_node *nodes;
    uint32_t n_nodes, nodes_capacity;
    uint32_t root;
    char *text; /* unescaped strings and keys */
    size_t text_size;
};

/* SM_OK fills *ast, which the caller releases with sm_traceql_ast_fini. Else *ast is empty and *err (never NULL) says what
 * was expected where: SM_E_INVALID (not TraceQL), SM_E_UNSUPPORTED (TraceQL that is not handled), SM_E_LIMIT. */
enum sm_rc sm_traceql_parse(struct sm_str query, struct sm_traceql_ast *ast, struct sm_traceql_error *err) SM_MUST_USE;
void sm_traceql_ast_fini(struct sm_traceql_ast *ast);

/* Sets *err to a printf-style sentence about the byte at `offset` of `query` and returns rc. */
enum sm_rc sm_traceql_error_set(struct sm_traceql_error *err, enum sm_rc rc, struct sm_str query, uint32_t offset,
                                const char *format, ...) SM_PRINTF(5, 6);

#endif
