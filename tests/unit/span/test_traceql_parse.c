#include "span/traceql/parse.h"
#include "span/traceql/print.h"

#include <criterion/criterion.h>

/* Each query with the same query fully parenthesised. */
static const struct {
    const char *query, *tree;
} good[] = {
    {"{}", "{ true }"},
    {" {\n} ", "{ true }"},
    {"{ true }", "{ true }"},
    {"{status=error}", "{ (status = error) }"},
    {"{ span:status != ok }", "{ (status != ok) }"},
    {"{ span:kind = server && kind != unspecified }", "{ ((kind = server) && (kind != unspecified)) }"},
    {"{ trace:duration > 500ms }", "{ (traceDuration > 500000000ns) }"},
    {"{ trace:rootName = \"a\" || trace:rootService = `b` }", "{ ((rootName = \"a\") || (rootServiceName = \"b\")) }"},
    {"{ statusMessage =~ `.*refused` }", "{ (statusMessage =~ \".*refused\") }"},
    /* && and || bind alike and to the left, as in Tempo */
    {"{ .a = 1 || .b = 2 && .c = 3 }", "{ (((.a = 1) || (.b = 2)) && (.c = 3)) }"},
    {"{ .a = 1 || (.b = 2 && .c = 3) }", "{ ((.a = 1) || ((.b = 2) && (.c = 3))) }"},
    {"{ !(.a = 1) && !.b }", "{ (!(.a = 1) && !.b) }"},
    {"{ !.a = true }", "{ (!.a = true) }"},
    {"{ !!(true) }", "{ !!true }"},
    {"{ 100ms < duration }", "{ (100000000ns < duration) }"},
    {"{ span.http.status_code >= 500 }", "{ (span.http.status_code >= 500) }"},
    {"{resource.k8s.pod-name!~\"x\"}", "{ (resource.k8s.pod-name !~ \"x\") }"},
    {"{ span.\"odd key\" = 1 }", "{ (span.\"odd key\" = 1) }"},
    {"{ span.a.\"b c\".d = 1 }", "{ (span.\"a.b c.d\" = 1) }"},
    {"{ .\"q\\\"uo\\\\te\" = nil }", "{ (.\"q\\\"uo\\\\te\" = nil) }"},
    {"{ .a/b-c:d@e = 1 }", "{ (.a/b-c:d@e = 1) }"},
    {"{ .span.x = 1 }", "{ (.span.x = 1) }"},
    {"{ span.status = \"a\" }", "{ (span.status = \"a\") }"},
    {"{ .gr\xc3\xb6\xc3\x9f" "e = 1 }", "{ (.gr\xc3\xb6\xc3\x9f" "e = 1) }"},
    {"{ .a = \"\\t\\n\\\"\\\\\\x41\\u00e9\\U0001F600\\101\" }", "{ (.a = \"\\x09\\x0a\\\"\\\\A\xc3\xa9\xf0\x9f\x98\x80" "A\") }"},
    {"{ .a = `raw \\d \"x\"` }", "{ (.a = \"raw \\\\d \\\"x\\\"\") }"},
    {"{ .a = -5 || .a = -1.5 || duration > -1s }", "{ (((.a = -5) || (.a = -1.5)) || (duration > -1000000000ns)) }"},
    {"{ .a = 1e3 }", "{ (.a = 1e+03) }"},
    {"{ .a = .5 }", "{ (.a = 0.5) }"},
    {"{ .a = 2. }", "{ (.a = 2.0) }"},
    {"{ duration > 1m30s }", "{ (duration > 90000000000ns) }"},
    {"{ duration > 1.5s }", "{ (duration > 1500000000ns) }"},
    {"{ duration > 1h1us1ns }", "{ (duration > 3600000001001ns) }"},
    {"{ duration > 2\xc2\xb5s }", "{ (duration > 2000ns) }"},
    {"{ duration < 1d }", "{ (duration < 86400000000000ns) }"},
    {"{ .a = true && .b = false && .c }", "{ (((.a = true) && (.b = false)) && .c) }"},
    {"{ .a = 9223372036854775807 }", "{ (.a = 9223372036854775807) }"},
};

static const char *tree_of(const char *query, struct sm_traceql_error *err)
{
    static char text[512];
    struct sm_traceql_ast ast;
    if (sm_traceql_parse(sm_str_c(query), &ast, err) != SM_OK)
        return err->text;
    sm_traceql_print(&ast, text, sizeof text);
    sm_traceql_ast_fini(&ast);
    return text;
}

Test(traceql_parse, good_queries)
{
    struct sm_traceql_error err;
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++)
        cr_expect_str_eq(tree_of(good[i].query, &err), good[i].tree, "%s -> %s", good[i].query, tree_of(good[i].query, &err));
}

Test(traceql_parse, printed_text_parses_to_the_same_tree)
{
    struct sm_traceql_error err;
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++)
        cr_expect_str_eq(tree_of(good[i].tree, &err), good[i].tree, "%s", good[i].tree);
}

static const struct {
    const char *query;
    enum sm_rc rc;
    uint32_t line, column;
    const char *says; /* somewhere in the text */
} bad[] = {
    {"", SM_E_INVALID, 1, 1, "{ at the start"},
    {"status = error", SM_E_INVALID, 1, 1, "{ at the start of the query expected, but found status"},
    {"{ status = error", SM_E_INVALID, 1, 17, "} expected, but the query ends here"},
    {"{ status = }", SM_E_INVALID, 1, 12, "a field, a constant, ! or ( expected, but found }"},
    {"{ status = error } }", SM_E_INVALID, 1, 20, "must end"},
    {"{ statsu = error }", SM_E_INVALID, 1, 3, "did you mean status?"},
    {"{ status = eror }", SM_E_INVALID, 1, 12, "did you mean error?"},
    {"{ spann.foo = 1 }", SM_E_INVALID, 1, 3, "did you mean span?"},
    {"{ span:statsu = ok }", SM_E_INVALID, 1, 3, "did you mean span:status?"},
    {"{ http.status_code = 1 }", SM_E_INVALID, 1, 3, "span.KEY, resource.KEY or .KEY"},
    {"{ foo }", SM_E_INVALID, 1, 3, "strings in quotes"},
    {"{ span. = 1 }", SM_E_INVALID, 1, 8, "name of an attribute is expected"},
    {"{ . = 1 }", SM_E_INVALID, 1, 4, "name of an attribute is expected"},
    {"{\n  name = 'x' }", SM_E_INVALID, 2, 10, "double quotes"},
    {"{ name = \"x }", SM_E_INVALID, 1, 10, "no closing \""},
    {"{ name = `x }", SM_E_INVALID, 1, 10, "no closing `"},
    {"{ name = \"\xc3\xa9\" && name = \"\\d\" }", SM_E_INVALID, 1, 25, "unknown escape"},
    {"{ name = \"\\xf\" }", SM_E_INVALID, 1, 11, "2 hex digits"},
    {"{ name = \"\\777\" }", SM_E_INVALID, 1, 11, "at most ff"},
    {"{ name = \"\\ud800\" }", SM_E_INVALID, 1, 11, "name a character"},
    {"{ span.\"a\\n\" = 1 }", SM_E_INVALID, 1, 10, "escapes in an attribute name"},
    {"{ span.\"a }", SM_E_INVALID, 1, 8, "no closing"},
    {"{ duration > 10 ms }", SM_E_INVALID, 1, 17, "unknown name ms"},
    {"{ duration > 10parsec }", SM_E_INVALID, 1, 14, "unit of time"},
    {"{ duration > 10msx }", SM_E_INVALID, 1, 14, "unknown unit"},
    {"{ duration > 1m30 }", SM_E_INVALID, 1, 14, "unit after each number"},
    {"{ duration > 300y }", SM_E_INVALID, 1, 14, "292 years"},
    {"{ .a = 9223372036854775808 }", SM_E_INVALID, 1, 8, "too large"},
    {"{ .a = 99999999999999999999999 }", SM_E_INVALID, 1, 8, "too large"},
    {"{ .a = 1e999 }", SM_E_INVALID, 1, 8, "too large"},
    {"{ (status = error }", SM_E_INVALID, 1, 19, "an operator or ) expected, but found }"},
    {"{ (status = error", SM_E_INVALID, 1, 3, "never closed"},
    {"{ status = error) }", SM_E_INVALID, 1, 17, "an operator or } expected, but found )"},
    {"{ status = error & kind = server }", SM_E_INVALID, 1, 18, "did you mean &&?"},
    {"{ status == error }", SM_E_INVALID, 1, 11, "but found ="},
    {"{ - .a = 1 }", SM_E_INVALID, 1, 5, "a number behind the minus"},
    {"{ -\"x\" = .a }", SM_E_INVALID, 1, 4, "a number behind the minus"},
    {"{ name = @ }", SM_E_INVALID, 1, 10, "unexpected character @"},
    {"{ name = \x01 }", SM_E_INVALID, 1, 10, "unexpected byte 0x01"},
    {"{ duration + 1 > 2 }", SM_E_UNSUPPORTED, 1, 12, "+ is part of TraceQL, but not supported"},
    {"{ status = error } | count() > 1", SM_E_UNSUPPORTED, 1, 20, "pipelines"},
    {"{ status = error } && {}", SM_E_UNSUPPORTED, 1, 20, "pipelines"},
    {"{} >> {}", SM_E_UNSUPPORTED, 1, 4, "pipelines"},
    {"{ parent.x = 1 }", SM_E_UNSUPPORTED, 1, 3, "parent. is part of TraceQL"},
    {"{ event:name = \"x\" }", SM_E_UNSUPPORTED, 1, 3, "event:name is part of TraceQL"},
};

Test(traceql_parse, errors_say_what_and_where)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_traceql_ast ast;
        struct sm_traceql_error err = {0};
        enum sm_rc rc = sm_traceql_parse(sm_str_c(bad[i].query), &ast, &err);
        cr_expect_eq(rc, bad[i].rc, "%s: %s %s", bad[i].query, sm_rc_name(rc), err.text);
        cr_expect_eq(err.rc, rc);
        cr_expect(err.line == bad[i].line && err.column == bad[i].column, "%s: at %u:%u: %s", bad[i].query, err.line,
                  err.column, err.text);
        cr_expect(strstr(err.text, bad[i].says), "%s: says: %s", bad[i].query, err.text);
        cr_expect_null(ast.nodes);
    }
}

static enum sm_rc parse_bytes(const char *query, size_t size, struct sm_traceql_error *err)
{
    struct sm_traceql_ast ast;
    enum sm_rc rc = sm_traceql_parse(sm_str(query, size), &ast, err);
    sm_traceql_ast_fini(&ast);
    return rc;
}

Test(traceql_parse, nesting_has_a_limit)
{
    char query[400];
    struct sm_traceql_error err;
    for (int depth = 1; depth <= 100; depth++) {
        size_t n = (size_t)snprintf(query, sizeof query, "{%.*strue%.*s}", depth,
                                    "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((",
                                    depth,
                                    "))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))");
        cr_expect_eq(parse_bytes(query, n, &err), depth < SM_TRACEQL_DEPTH_MAX ? SM_OK : SM_E_LIMIT, "depth %d", depth);
    }
}

Test(traceql_parse, size_and_node_limits)
{
    static char query[SM_TRACEQL_QUERY_SIZE_MAX + 2];
    struct sm_traceql_error err;
    memset(query, ' ', sizeof query);
    query[0] = '{';
    query[SM_TRACEQL_QUERY_SIZE_MAX - 1] = '}';
    cr_expect_eq(parse_bytes(query, SM_TRACEQL_QUERY_SIZE_MAX, &err), SM_OK);
    cr_expect_eq(parse_bytes(query, SM_TRACEQL_QUERY_SIZE_MAX + 1, &err), SM_E_LIMIT);
    size_t at = 1;
    for (int i = 0; i < SM_TRACEQL_NODES_MAX; i++)
        at += (size_t)sprintf(query + at, "%s.a", i ? "||" : "");
    query[at++] = '}';
    cr_expect_eq(parse_bytes(query, at, &err), SM_E_LIMIT);
}

Test(traceql_parse, a_nul_byte_is_not_the_end)
{
    struct sm_traceql_error err;
    cr_expect_eq(parse_bytes("{}\0", 3, &err), SM_E_INVALID);
    cr_expect_eq(err.column, 3);
    cr_expect_eq(parse_bytes("{ .a\0 = 1 }", 11, &err), SM_E_INVALID);
}

Test(traceql_parse, printing_is_cut_not_overrun)
{
    struct sm_traceql_ast ast;
    struct sm_traceql_error err;
    cr_assert_eq(sm_traceql_parse(SM_STR("{ name = \"abc\" }"), &ast, &err), SM_OK);
    char text[8] = "zzzzzzz";
    cr_expect_eq(sm_traceql_print(&ast, text, 6), strlen("{ (name = \"abc\") }"));
    cr_expect_str_eq(text, "{ (na");
    cr_expect_eq(text[6], 'z');
    sm_traceql_ast_fini(&ast);
}
