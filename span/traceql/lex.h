/* TraceQL text -> tokens; the lower half of parse.h, used by it alone.
 *
 * The lexer reads fields and constants whole (`span."odd key"`, `1m30s`, `span:status`), because what a character means
 * depends on where it stands: `span.a-b` is one key, `2-1` is not. */
#ifndef SM_TRACEQL_LEX_H
#define SM_TRACEQL_LEX_H

#include "span/traceql/parse.h"

enum sm_traceql_token_kind {
    SM_TRACEQL_TOK_END,
    SM_TRACEQL_TOK_OPEN_BRACE,
    SM_TRACEQL_TOK_CLOSE_BRACE,
    SM_TRACEQL_TOK_OPEN_PAREN,
    SM_TRACEQL_TOK_CLOSE_PAREN,
    SM_TRACEQL_TOK_AND,
    SM_TRACEQL_TOK_OR,
    SM_TRACEQL_TOK_NOT,
    SM_TRACEQL_TOK_MINUS,
    SM_TRACEQL_TOK_COMPARE,     /* .op */
    SM_TRACEQL_TOK_VALUE,       /* .value */
    SM_TRACEQL_TOK_FIELD,       /* .field */
    SM_TRACEQL_TOK_UNSUPPORTED, /* an operator of TraceQL that is not handled */
};

struct sm_traceql_token {
    enum sm_traceql_token_kind kind;
    uint32_t offset, length; /* in the query */
    union {
        enum sm_traceql_op op;
        struct sm_traceql_value value;
        struct sm_traceql_field field;
    };
};

/* text: where unescaped strings and keys go, with room for as many bytes as the query has: unescaping never grows. */
struct sm_traceql_lexer {
    struct sm_str query;
    uint32_t at;
    char *text;
    size_t text_size;
    struct sm_traceql_error *err;
};

/* Reads the next token; at the end SM_TRACEQL_TOK_END again and again. On failure *lexer->err is set. */
enum sm_rc sm_traceql_lex(struct sm_traceql_lexer *lexer, struct sm_traceql_token *token) SM_MUST_USE;

#endif
