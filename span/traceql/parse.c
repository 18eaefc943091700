/* Precedence climbing over the lexer's tokens; nodes are appended, children before parents. */
#include "span/traceql/parse.h"

#include "span/traceql/lex.h"

#include <stdlib.h>

struct parser {
    struct sm_traceql_lexer lexer;
    struct sm_traceql_token token; /* the one to look at next */
    struct sm_traceql_ast *ast;
    unsigned depth;
};

#define FAIL(parser, rc, offset, ...)                                                                                  \
    sm_traceql_error_set((parser)->lexer.err, rc, (parser)->lexer.query, offset, __VA_ARGS__)

#define TOKEN_PRINT_MAX 40

enum sm_rc sm_traceql_error_set(struct sm_traceql_error *err, enum sm_rc rc, struct sm_str query, uint32_t offset,
                                const char *format, ...)
{
    *err = (struct sm_traceql_error){.rc = rc, .offset = offset, .line = 1, .column = 1};
    for (uint32_t i = 0; i < offset && i < query.len; i++) {
        unsigned char c = (unsigned char)query.ptr[i];
        if (c == '\n') {
            err->line++;
            err->column = 1;
        } else if ((c & 0xc0) != 0x80) {
            err->column++;
        }
    }
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return rc;
}

static enum sm_rc advance(struct parser *p)
{
    return sm_traceql_lex(&p->lexer, &p->token);
}

/* "expected X, found Y", or that Y is not supported. */
static enum sm_rc fail_expected(struct parser *p, const char *expected)
{
    const struct sm_traceql_token *t = &p->token;
    const char *text = p->lexer.query.ptr + t->offset;
    int length = (int)SM_MIN(t->length, TOKEN_PRINT_MAX);
    if (t->kind == SM_TRACEQL_TOK_END)
        return FAIL(p, SM_E_INVALID, t->offset, "%s expected, but the query ends here", expected);
    if (t->kind == SM_TRACEQL_TOK_UNSUPPORTED)
        return FAIL(p, SM_E_UNSUPPORTED, t->offset, "%s expected; %.*s is part of TraceQL, but not supported here",
                    expected, length, text);
    return FAIL(p, SM_E_INVALID, t->offset, "%s expected, but found %.*s", expected, length, text);
}

static enum sm_rc add_node(struct parser *p, struct sm_traceql_node node, uint32_t *index)
{
    struct sm_traceql_ast *ast = p->ast;
    if (ast->n_nodes == SM_TRACEQL_NODES_MAX)
        return FAIL(p, SM_E_LIMIT, node.offset, "the query has more than %d operands and operators",
                    SM_TRACEQL_NODES_MAX);
    if (ast->n_nodes == ast->nodes_capacity) {
        ast->nodes_capacity = ast->nodes_capacity ? ast->nodes_capacity * 2 : 16;
        ast->nodes = sm_xrealloc(ast->nodes, ast->nodes_capacity * sizeof *ast->nodes);
    }
    *index = ast->n_nodes;
    ast->nodes[ast->n_nodes++] = node;
    return SM_OK;
}

static enum sm_rc parse_expression(struct parser *p, int level_min, uint32_t *out);

static enum sm_rc parse_parentheses(struct parser *p, uint32_t *out)
{
    uint32_t open = p->token.offset;
    enum sm_rc rc = advance(p);
    if (!rc)
        rc = parse_expression(p, 0, out);
    if (rc)
        return rc;
    if (p->token.kind == SM_TRACEQL_TOK_END)
        return FAIL(p, SM_E_INVALID, open, "this parenthesis is never closed");
    if (p->token.kind != SM_TRACEQL_TOK_CLOSE_PAREN)
        return fail_expected(p, "an operator or )");
    return advance(p);
}

static enum sm_rc parse_operand(struct parser *p, uint32_t *out);

static enum sm_rc parse_not(struct parser *p, uint32_t *out)
{
    struct sm_traceql_node node = {.kind = SM_TRACEQL_NOT, .right = SM_TRACEQL_NONE, .offset = p->token.offset};
    enum sm_rc rc = advance(p);
    if (!rc)
        rc = parse_operand(p, &node.left);
    return rc ? rc : add_node(p, node, out);
}

static bool negate(struct sm_traceql_value *value)
{
    if (value->type == SM_TRACEQL_FLOAT) {
        value->real = -value->real;
        return true;
    }
    value->integer = -value->integer; /* never INT64_MIN: the lexer reads no signs */
    return value->type == SM_TRACEQL_INT || value->type == SM_TRACEQL_DURATION;
}

static enum sm_rc parse_minus(struct parser *p, uint32_t *out)
{
    uint32_t offset = p->token.offset;
    enum sm_rc rc = advance(p);
    if (rc)
        return rc;
    struct sm_traceql_node node = {.kind = SM_TRACEQL_VALUE, .left = SM_TRACEQL_NONE, .right = SM_TRACEQL_NONE,
                                   .offset = offset, .value = p->token.value};
    if (p->token.kind != SM_TRACEQL_TOK_VALUE || !negate(&node.value))
        return fail_expected(p, "a number behind the minus sign");
    rc = advance(p);
    return rc ? rc : add_node(p, node, out);
}

static enum sm_rc parse_leaf(struct parser *p, uint32_t *out)
{
    struct sm_traceql_node node = {.left = SM_TRACEQL_NONE, .right = SM_TRACEQL_NONE, .offset = p->token.offset};
    if (p->token.kind == SM_TRACEQL_TOK_VALUE) {
        node.kind = SM_TRACEQL_VALUE;
        node.value = p->token.value;
    } else if (p->token.kind == SM_TRACEQL_TOK_FIELD) {
        node.kind = SM_TRACEQL_FIELD;
        node.field = p->token.field;
    } else {
        return fail_expected(p, "a field, a constant, ! or (");
    }
    enum sm_rc rc = advance(p);
    return rc ? rc : add_node(p, node, out);
}

static enum sm_rc parse_operand(struct parser *p, uint32_t *out)
{
    if (p->depth == SM_TRACEQL_DEPTH_MAX)
        return FAIL(p, SM_E_LIMIT, p->token.offset, "nested deeper than %d levels", SM_TRACEQL_DEPTH_MAX);
    p->depth++;
    enum sm_rc rc;
    if (p->token.kind == SM_TRACEQL_TOK_OPEN_PAREN)
        rc = parse_parentheses(p, out);
    else if (p->token.kind == SM_TRACEQL_TOK_NOT)
        rc = parse_not(p, out);
    else if (p->token.kind == SM_TRACEQL_TOK_MINUS)
        rc = parse_minus(p, out);
    else
        rc = parse_leaf(p, out);
    p->depth--;
    return rc;
}

/* How tightly a binary operator binds: && and || alike, comparisons tighter; -1 when the token is none. */
static int binary_level(const struct sm_traceql_token *token)
{
    if (token->kind == SM_TRACEQL_TOK_COMPARE)
        return 1;
    return token->kind == SM_TRACEQL_TOK_AND || token->kind == SM_TRACEQL_TOK_OR ? 0 : -1;
}

static struct sm_traceql_node binary_node(const struct sm_traceql_token *token, uint32_t left)
{
    struct sm_traceql_node node = {.kind = SM_TRACEQL_COMPARE, .left = left, .offset = token->offset};
    if (token->kind == SM_TRACEQL_TOK_AND)
        node.kind = SM_TRACEQL_AND;
    else if (token->kind == SM_TRACEQL_TOK_OR)
        node.kind = SM_TRACEQL_OR;
    else
        node.op = token->op;
    return node;
}

static enum sm_rc parse_expression(struct parser *p, int level_min, uint32_t *out)
{
    enum sm_rc rc = parse_operand(p, out);
    while (!rc && binary_level(&p->token) >= level_min) {
        struct sm_traceql_node node = binary_node(&p->token, *out);
        int level = binary_level(&p->token);
        rc = advance(p);
        if (!rc)
            rc = parse_expression(p, level + 1, &node.right);
        if (!rc)
            rc = add_node(p, node, out);
    }
    return rc;
}

/* `{}` or `{ expression }`. */
static enum sm_rc parse_spanset(struct parser *p, uint32_t *out)
{
    struct sm_traceql_node node = {.kind = SM_TRACEQL_SPANSET, .left = SM_TRACEQL_NONE, .right = SM_TRACEQL_NONE,
                                   .offset = p->token.offset};
    if (p->token.kind != SM_TRACEQL_TOK_OPEN_BRACE)
        return fail_expected(p, "{ at the start of the query");
    enum sm_rc rc = advance(p);
    if (!rc && p->token.kind != SM_TRACEQL_TOK_CLOSE_BRACE)
        rc = parse_expression(p, 0, &node.left);
    if (rc)
        return rc;
    if (p->token.kind != SM_TRACEQL_TOK_CLOSE_BRACE)
        return fail_expected(p, "an operator or }");
    rc = advance(p);
    return rc ? rc : add_node(p, node, out);
}

static enum sm_rc parse_query(struct parser *p)
{
    enum sm_rc rc = advance(p);
    if (!rc)
        rc = parse_spanset(p, &p->ast->root);
    if (rc)
        return rc;
    if (p->token.kind == SM_TRACEQL_TOK_END)
        return SM_OK;
    return FAIL(p, p->token.kind == SM_TRACEQL_TOK_CLOSE_BRACE ? SM_E_INVALID : SM_E_UNSUPPORTED, p->token.offset,
                "the query must end behind its }: pipelines and operators between spansets are not supported here");
}

enum sm_rc sm_traceql_parse(struct sm_str query, struct sm_traceql_ast *ast, struct sm_traceql_error *err)
{
    *ast = (struct sm_traceql_ast){.root = SM_TRACEQL_NONE};
    if (query.len > SM_TRACEQL_QUERY_SIZE_MAX)
        return sm_traceql_error_set(err, SM_E_LIMIT, query, 0, "the query is longer than %d bytes",
                                    SM_TRACEQL_QUERY_SIZE_MAX);
    ast->text = sm_xmalloc(query.len + 1);
    struct parser p = {.ast = ast, .lexer = {.query = query, .text = ast->text, .err = err}};
    enum sm_rc rc = parse_query(&p);
    ast->text_size = p.lexer.text_size;
    if (rc)
        sm_traceql_ast_fini(ast);
    return rc;
}

void sm_traceql_ast_fini(struct sm_traceql_ast *ast)
{
    free(ast->nodes);
    free(ast->text);
    *ast = (struct sm_traceql_ast){.root = SM_TRACEQL_NONE};
}
