#include "analysis/graph_out.h"

#include <criterion/criterion.h>

static struct sm_graph_edge edges[3];
static struct sm_graph graph;

static void setup(void)
{
    graph = (struct sm_graph){.start_ms = 1000, .end_ms = 2000, .edges = edges, .count = 3, .calls_overflowed = 4};
    sm_hist_pool_init(&graph.pool, 1 << 20);
    edges[0] =
        (struct sm_graph_edge){.parent = SM_STR("a \"x\\N\n"), .child = SM_STR("b"), .calls = 1, .types = SM_EDGE_PEER};
    edges[1] = (struct sm_graph_edge){
        .parent = SM_STR("b"), .child = SM_STR("db"), .calls = 2, .errors = 1, .types = SM_EDGE_DATABASE};
    edges[2] = (struct sm_graph_edge){
        .parent = SM_STR("b"), .child = SM_STR("q"), .calls = 3, .errors = 2, .types = SM_EDGE_RPC | SM_EDGE_MESSAGING};
    sm_hist_observe(&edges[1].latency, &graph.pool, 2 * SM_MS, 1);
    sm_hist_observe(&edges[1].latency, &graph.pool, 4 * SM_MS, 1);
}

static void expect(enum sm_graph_format format, const char *text)
{
    struct sm_buf out = {0};
    setup();
    sm_graph_write(&graph, format, &out);
    sm_buf_putc(&out, 0);
    cr_expect_str_eq((const char *)out.data, text);
    sm_buf_fini(&out);
}

Test(graph_out, json)
{
    expect(SM_GRAPH_JSON,
           "{\"startMs\":1000,\"endMs\":2000,\"overflowedCalls\":4,"
           "\"nodes\":[{\"name\":\"a \\\"x\\\\N\\n\",\"type\":\"peer\"},{\"name\":\"b\",\"type\":\"service\"},"
           "{\"name\":\"db\",\"type\":\"database\"},{\"name\":\"q\",\"type\":\"service\"}],"
           "\"edges\":["
           "{\"parent\":\"a \\\"x\\\\N\\n\",\"child\":\"b\",\"type\":\"peer\",\"callCount\":1},"
           "{\"parent\":\"b\",\"child\":\"db\",\"type\":\"database\",\"callCount\":2,\"errorCount\":1,"
           "\"latencyMs\":{\"count\":2,\"mean\":3,\"p50\":1.921875,\"p90\":3.84375,\"p99\":3.84375}},"
           "{\"parent\":\"b\",\"child\":\"q\",\"type\":\"rpc+messaging\",\"callCount\":3,\"errorCount\":2}]}\n");
}

Test(graph_out, csv)
{
    expect(SM_GRAPH_CSV, "parent,child,type,calls,errors,latency_count,mean_ms,p50_ms,p90_ms,p99_ms\r\n"
                         "\"a \"\"x\\N\n\",\"b\",peer,1,0,0,,,,\r\n"
                         "\"b\",\"db\",database,2,1,2,3,1.921875,3.84375,3.84375\r\n"
                         "\"b\",\"q\",rpc+messaging,3,2,0,,,,\r\n");
}

Test(graph_out, dot)
{
    expect(SM_GRAPH_DOT, "digraph dependencies {\n"
                         "  rankdir=LR;\n"
                         "  node [shape=box];\n"
                         "  \"a \\\"x\\\\N?\" [style=dashed];\n"
                         "  \"b\";\n"
                         "  \"db\" [shape=cylinder];\n"
                         "  \"q\";\n"
                         "  \"a \\\"x\\\\N?\" -> \"b\" [label=\"1 call\"];\n"
                         "  \"b\" -> \"db\" [label=\"2 calls\\n1 error\\n1.92 ms\", color=red];\n"
                         "  \"b\" -> \"q\" [label=\"3 calls\\n2 errors\", color=red];\n"
                         "}\n");
}

Test(graph_out, formats)
{
    enum sm_graph_format format;
    cr_expect_eq(sm_graph_format_parse(SM_STR("csv"), &format), SM_OK);
    cr_expect_eq(format, SM_GRAPH_CSV);
    cr_expect_eq(sm_graph_format_parse(SM_STR("svg"), &format), SM_E_INVALID);
    cr_expect_str_eq(sm_graph_content_type(SM_GRAPH_JSON), "application/json");
}
