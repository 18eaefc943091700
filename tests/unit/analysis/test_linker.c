#include "analysis/linker.h"
#include "trace_builder.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct trace_builder tb;
static struct sm_names *nodes;
static struct sm_linker *linker;

static void setup(void)
{
    tb_init(&tb);
    nodes = sm_names_new(10000, 1 << 20);
    linker = sm_linker_new(&(struct sm_linker_config){.peer_addresses = true}, tb.names, nodes);
}

static void teardown(void)
{
    sm_linker_free(linker);
    sm_names_free(nodes);
    tb_fini(&tb);
}

TestSuite(linker, .init = setup, .fini = teardown);

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

typedef char line_text[128];

/* Sorts lines and joins equal ones with a count: "a>b", "a>b x2". */
static void summarise(line_text *lines, unsigned count, char *out, size_t size)
{
    qsort(lines, count, sizeof *lines, compare_lines);
    *out = 0;
    for (unsigned i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && strcmp(lines[i], lines[i + n]) == 0;)
            n++;
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s", used ? "; " : "", lines[i]);
        if (n > 1)
            snprintf(out + strlen(out), size - strlen(out), " x%u", n);
    }
}

#define NAME(node) SM_STR_ARG(sm_names_get(nodes, node))

static void links_text(const struct sm_linked *linked, char *out, size_t size)
{
    line_text lines[64];
    unsigned count = 0;
    for (uint32_t i = 0; i < linked->link_count; i++) {
        const struct sm_link *l = &linked->links[i];
        snprintf(lines[count++], sizeof *lines, "%.*s>%.*s%s", NAME(l->parent), NAME(l->child),
                 l->error ? " error" : "");
    }
    summarise(lines, count, out, size);
}

static void milliseconds(uint64_t ns, char out[32])
{
    if (ns == SM_LINKER_NO_TIME)
        strcpy(out, "-");
    else
        snprintf(out, 32, "%g", (double)ns / 1e6);
}

static void calls_text(const struct sm_linked *linked, char *out, size_t size)
{
    line_text lines[64];
    for (uint32_t i = 0; i < linked->call_count; i++) {
        const struct sm_call *c = &linked->calls[i];
        const char *type = sm_connection_name((enum sm_connection)c->connection);
        char client[32], server[32];
        milliseconds(c->client_ns, client);
        milliseconds(c->server_ns, server);
        snprintf(lines[i], sizeof *lines, "%.*s>%.*s %s%s%s%s,%s", NAME(c->client), NAME(c->server), type,
                 *type ? " " : "", c->failed ? "failed " : "", client, server);
    }
    summarise(lines, linked->call_count, out, size);
}

struct link_case {
    const char *what, *trace, *expected;
};

/* Dependency links by Zipkin's rules. */
static const struct link_case link_cases[] = {
    {"client and server with ids of their own", "client web 1; server app 2/1", "web>app"},
    {"the order of arrival does not matter", "server app 2/1; client web 1", "web>app"},
    {"client and server share an id", "client web 1; server app 1 shared", "web>app"},
    {"a server behind its client becomes shared without saying so", "client web 1; server app 1", "web>app"},
    {"server before client in arrival", "server app 1 shared; client web 1", "web>app"},
    {"a shared server without parent id takes its client's, and no error",
     "client front 9 error; client back 1/9 error; server app 1 shared", "back>app"},
    {"chain", "client a 1; server b 2/1; client b 3/2; server c 4/3", "a>b; b>c"},
    {"chain of shared ids", "client a 1; server b 1 shared; client b 2/1; server c 2/1 shared", "a>b; b>c"},
    {"local spans between", "client a 1; server b 2/1; local b 3/2; local b 4/3; client b 5/4; server c 6/5",
     "a>b; b>c"},
    {"a client without children names its peer", "client a 1 peer=mysql", "a>mysql"},
    {"a client without children and without peer", "client a 1", ""},
    {"a client with children leaves the word to them", "client a 1 peer=wrong; server b 2/1", "a>b"},
    {"even when they are local", "client a 1 peer=db; local a 2/1", ""},
    {"kindless span with both sides is a client", "none a 1 peer=b", "a>b"},
    {"also with children", "none a 1 peer=b; local a 2/1", "a>b"},
    {"kindless span with one side", "none a 1; local b 2/1", ""},
    {"the root server's caller is its peer", "server app 1 peer=phone", "phone>app"},
    {"a root server alone", "server app 1", ""},
    {"a server's ancestor goes before its peer", "server a 1; client a 2/1; server b 3/2 peer=other", "a>b"},
    {"two servers in a row", "server a 1; server b 2/1", "a>b"},
    {"a server in itself", "server a 1; server a 2/1", "a>a"},
    {"a server without service", "client a 1; server - 2/1", ""},
    {"an ancestor without service is no parent", "client - 1; server b 2/1", ""},
    {"then the peer is", "client - 1; server b 2/1 peer=x", "x>b"},
    {"a client without service takes its ancestor's", "server a 1; client - 2/1 peer=db", "a>db"},
    {"a client in another service than its ancestor shows a link", "server a 1; client b 2/1 peer=c", "a>b; b>c"},
    {"also when the client has no peer", "server a 1; client b 2/1", "a>b"},
    {"a link that was found that way has no error", "server a 1; client b 2/1 peer=c error", "a>b; b>c error"},
    {"error of the server", "client a 1; server b 2/1 error", "a>b error"},
    {"error of the client counts for the server", "client a 1 error; server b 2/1", "a>b error"},
    {"but not over a local span", "client a 1 error; local a 2/1; server b 3/2", "a>b"},
    {"nor for a shared half", "client a 1 error; server b 1 shared", "a>b"},
    {"nor from a server", "server a 1 error; server b 2/1", "a>b"},
    {"status error is an error", "client a 1; server b 2/1 failed", "a>b error"},
    {"messages link to the broker", "producer a 1 peer=kafka; consumer b 2/1 peer=kafka", "a>kafka; kafka>b"},
    {"producer and consumer are not linked with each other", "producer a 1; consumer b 2/1", ""},
    {"a producer with children still links", "producer a 1 peer=kafka error; consumer b 2/1", "a>kafka error"},
    {"a consumer does not look up for its broker", "server a 1; consumer b 2/1", ""},
    {"server below a consumer", "consumer a 1 peer=kafka; client a 2/1; server b 3/2", "a>b; kafka>a"},
    {"orphans hang on the root", "server a 1; server b 3/99", "a>b"},
    {"a root client with an orphan has a child", "client a 1 peer=db; server b 3/99", "a>b"},
    {"no root: servers without ancestors", "server a 2/77; server b 3/88", ""},
    {"no root: the peer helps", "server a 2/77 peer=x; client a 3/2; server b 4/3", "a>b; x>a"},
    {"the root is the smallest id without parent", "server b 2; server a 1", "a>b"},
    {"parent of itself is a root", "server a 1/1; client a 2/1 peer=db", "a>db"},
    {"circle without root", "server a 1/2; server b 2/1", ""},
    {"circle beside a tree", "server a 1; client a 2/1 peer=db; server x 5/6; server y 6/5; server z 7/6", "a>db"},
    {"child of a shared server goes to the half in its own service",
     "client a 1; server b 1 shared; server c 1 shared; client c 2/1 peer=db", "a>b; a>c; c>db"},
    {"the same service at another port is another endpoint",
     "client a 1 zipkin; server b 1 shared zipkin port=80; client b 2/1 zipkin port=81 peer=db", "a>b x2; b>db"},
    {"two servers with one id at two addresses are two",
     "client a 1 zipkin; server b 1 shared zipkin ip=10.0.0.1; server b 1 shared zipkin ip=10.0.0.2", "a>b x2"},
    {"pieces of one server are one",
     "client a 1 zipkin; server b 1 shared zipkin ip=10.0.0.1; server b 1 shared zipkin ip=10.0.0.1 error; "
     "server - 1 shared zipkin port=80",
     "a>b error"},
    {"pieces: the first peer counts", "client a 1 zipkin; none a 1 zipkin peer=one; none a 1 zipkin peer=two", "a>one"},
    {"of two clients with one id the last by service has the place",
     "server r 1; client x 2/1 peer=p; client y 2/1 peer=q", "r>y; y>q"},
    {"a second root with the first one's id takes its children away", "server a 1; server b 1; client b 2/1 peer=db",
     ""},
    {"child in another format than a shared server: the half in its own service is its parent, addresses or not",
     "client a 1 zipkin ip=10.0.0.1; server b 1 shared zipkin ip=10.0.0.2; server b 2/1", "a>b; b>b"},
    {"else any shared server is, which is its proxy", "client a 1 zipkin; server p 1 shared zipkin ip=10.0.0.2; server b 2/1",
     "a>p; p>b"},
    {"unless it is in the client's service",
     "client a 1 zipkin; server b 1 shared zipkin ip=10.0.0.2; client a 2/1 peer=db", "a>b; a>db"},
    {"a server in another format that took over its client's id is one with its proxy",
     "client a 1 zipkin; server b 1 shared zipkin ip=10.0.0.2; server b 1; client b 2/1 peer=db", "a>b; b>db"},
    {"Zipkin's own spans go by address", "client a 1 zipkin; server b 1 shared zipkin ip=10.0.0.2; server b 2/1 zipkin",
     "a>b x2"},
    {"zipkin: addresses are no names", "client a 1 zipkin server.address=db.example net.peer.name=x db.system=mysql",
     ""},
    {"zipkin: peer.service is the remote endpoint", "client a 1 zipkin peer=b", "a>b"},
    {"peer: service.peer.name goes first", "client a 1 peer=old service.peer.name=new", "a>new"},
    {"peer: a database by address", "client a 1 server.address=db1 db.system=mysql db.name=shop", "a>db1"},
    {"peer: a database by network address",
     "client a 1 network.peer.address=10.0.0.9 network.peer.port=3306 db.name=shop", "a>10.0.0.9:3306"},
    {"peer: a database by name", "client a 1 db.system=mysql db.name=shop", "a>shop"},
    {"peer: a database by system", "client a 1 db.system.name=redis", "a>redis"},
    {"peer: a broker", "producer a 1 messaging.system=kafka messaging.destination.name=orders server.address=k1",
     "a>kafka/orders"},
    {"peer: an address", "client a 1 server.address=api.example", "a>api.example"},
    {"peer: an older address", "client a 1 net.peer.name=api.example", "a>api.example"},
    {"peer: a server's own address is not one", "server a 1 server.address=me", ""},
};

Test(linker, links)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(link_cases); i++) {
        const struct link_case *c = &link_cases[i];
        char text[1024];
        links_text(sm_linker_walk(linker, tb_build_text(&tb, c->trace)), text, sizeof text);
        cr_expect_str_eq(text, c->expected, "%s: got '%s', not '%s'", c->what, text, c->expected);
    }
}

/* Two servers with one id and no client. */
static const struct link_case nested_cases[] = {
    {"the one that encloses the other in time is its caller", "server a 1 shared dur=5; server b 1 shared start=1 dur=3", "a>b"},
    {"of several the closest", "server a 1 shared dur=9; server b 1 shared start=1 dur=7; server c 1 shared start=2 dur=3",
     "a>b; b>c"},
    {"of several the closest, though it ends first",
     "server a 1 shared dur=6; server b 1 shared start=1 dur=7; server c 1 shared start=2 dur=9", "a>b; b>c"},
    {"the inner one ends later", "server b 1 shared start=1 dur=5; server z 1 shared dur=5", "z>b"},
    {"and takes longer", "server b 1 shared start=1 dur=9; server z 1 shared dur=5", "z>b"},
    {"both begin together: the longer one is the caller", "server b 1 shared dur=5; server z 1 shared dur=6", "z>b"},
    {"of several that begin together the shortest that is longer",
     "server a 1 shared dur=4; server b 1 shared dur=6; server c 1 shared dur=5", "b>c; c>a"},
    {"one after the other", "server a 1 shared dur=5; server b 1 shared start=5 dur=5", ""},
    {"at the same time", "server a 1 shared dur=5; server b 1 shared dur=5", ""},
    {"of one service", "server a 1 shared dur=5 zipkin ip=10.0.0.1; server a 1 shared dur=3 zipkin ip=10.0.0.2", ""},
    {"without times", "server a 1 shared dur=5; server b 1 shared nodur", ""},
    {"with a client that is its word", "client x 1 dur=9; server a 1 shared dur=5; server b 1 shared start=1 dur=3", "x>a; x>b"},
    {"what hangs on the inner one", "server a 1 shared dur=5; server b 1 shared start=1 dur=3; client b 2/1 peer=db", "a>b; b>db"},
};

Test(linker, nested_servers)
{
    struct sm_linker *nesting = sm_linker_new(&(struct sm_linker_config){.nested_servers = true}, tb.names, nodes);
    for (size_t i = 0; i < SM_ARRAY_LEN(nested_cases); i++) {
        const struct link_case *c = &nested_cases[i];
        char text[1024];
        links_text(sm_linker_walk(nesting, tb_build_text(&tb, c->trace)), text, sizeof text);
        cr_expect_str_eq(text, c->expected, "%s: got '%s', not '%s'", c->what, text, c->expected);
    }
    cr_expect_eq(sm_linker_walk(linker, tb_build_text(&tb, nested_cases[0].trace))->link_count, 0, "Zipkin's way");
    sm_linker_free(nesting);
}

/* Calls of the service graph: client>server [connection type] [failed] client's ms,server's ms. */
static const struct link_case call_cases[] = {
    {"pair", "client a 1 dur=5; server b 2/1 dur=3", "a>b 5,3"},
    {"pair by a shared id", "client a 1 dur=5; server b 1 shared dur=3", "a>b 5,3"},
    {"client without service", "client - 1; server b 2/1", ""},
    {"failed client", "client a 1 failed; server b 2/1", "a>b failed 1,1"},
    {"failed server", "client a 1; server b 2/1 failed", "a>b failed 1,1"},
    {"an error tag is no status", "client a 1 error; server b 2/1", "a>b 1,1"},
    {"local spans between", "client a 1 dur=5; local a 3/1; server b 2/3 dur=3", "a>b 5,3"},
    {"one client, two servers", "client a 1 dur=5; server b 2/1 dur=1; server b 3/1 dur=2", "a>b 5,1; a>b 5,2"},
    {"server below server of another service", "server a 1; server b 2/1 dur=3", "a>b -,3; user>a virtual_node -,1"},
    {"server below server of the same service", "server a 1 dur=9; server a 2/1 dur=3", "user>a virtual_node -,9"},
    {"root server with a peer", "server a 1 dur=9 peer=phone", "phone>a virtual_node -,9"},
    {"orphan server", "server a 2/1", ""},
    {"shared server without its client", "server a 2 shared", ""},
    {"orphan server with a peer", "server a 2/1 peer=x", "x>a virtual_node -,1"},
    {"database", "client a 1 db.system=mysql db.name=shop dur=2", "a>shop database 2,2"},
    {"database with local children", "client a 1 db.system=mysql dur=2; local a 2/1", "a>mysql database 2,2"},
    {"database below database: the inner one counts",
     "client a 1 db.system=mysql dur=2; client a 2/1 db.system=mysql dur=1", "a>mysql database 1,1"},
    {"database that is instrumented", "client a 1 db.system=mysql peer=db dur=2; server db 2/1 dur=1", "a>db 2,1"},
    {"peer that is not instrumented", "client a 1 peer=pay dur=2 failed", "a>pay virtual_node failed 2,2"},
    {"client without peer", "client a 1", ""},
    {"message", "producer a 1 dur=2; consumer b 2/1 dur=7", "a>b messaging_system 2,7"},
    {"message to nobody seen", "producer a 1 messaging.system=kafka messaging.destination.name=t dur=2",
     "a>kafka/t messaging_system 2,2"},
    {"message from nobody seen", "consumer b 1 messaging.system=kafka dur=7", "kafka>b messaging_system -,7"},
    {"message from nobody known", "consumer b 1", ""},
    {"consumer in a server", "server a 1; consumer a 2/1 peer=kafka",
     "kafka>a messaging_system -,1; user>a virtual_node -,1"},
    {"no durations", "client a 1 nodur; server b 2/1 nodur", "a>b -,-"},
};

Test(linker, calls)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(call_cases); i++) {
        const struct link_case *c = &call_cases[i];
        char text[1024];
        calls_text(sm_linker_walk(linker, tb_build_text(&tb, c->trace)), text, sizeof text);
        cr_expect_str_eq(text, c->expected, "%s: got '%s', not '%s'", c->what, text, c->expected);
    }
}

Test(linker, unpaired_spans_are_counted_by_kind)
{
    const struct sm_linked *l = sm_linker_walk(
        linker,
        tb_build_text(&tb, "client a 1; server b 2/9; consumer c 3/9; producer d 4/9; local e 5/9; client - 6/9"));
    cr_expect_eq(l->unpaired[SM_KIND_CLIENT], 1);
    cr_expect_eq(l->unpaired[SM_KIND_SERVER], 1);
    cr_expect_eq(l->unpaired[SM_KIND_CONSUMER], 1);
    cr_expect_eq(l->unpaired[SM_KIND_PRODUCER], 1);
    cr_expect_eq(l->unpaired[SM_KIND_INTERNAL] + l->unpaired[SM_KIND_UNSPECIFIED], 0);
}

Test(linker, late_spans_are_linked_among_themselves_only)
{
    char text[256];
    tb.trace.late = true;
    const struct sm_view *view = tb_build_text(
        &tb, "client a 1 peer=x; server b 3; client c 4/3; server d 5/4; server e 6/9; consumer f 7 peer=y");
    const struct sm_linked *l = sm_linker_walk(linker, view);
    links_text(l, text, sizeof text);
    cr_expect_str_eq(text, "c>d");
    calls_text(l, text, sizeof text);
    cr_expect_str_eq(text, "c>d 1,1");
    cr_expect_eq(l->unpaired[SM_KIND_CLIENT] + l->unpaired[SM_KIND_SERVER] + l->unpaired[SM_KIND_CONSUMER], 0);
}

Test(linker, link_times)
{
    static const struct {
        const char *trace;
        double latency_ms; /* -1: not known */
        int64_t start_ms;  /* after the base; -1: not known */
        uint32_t types;
    } cases[] = {
        {"client a 1 start=1 dur=9; server b 2/1 start=3 dur=5", 5, 3, SM_EDGE_RPC},
        {"client a 1 start=1 dur=9; server b 2/1 nostart nodur", 9, 1, SM_EDGE_RPC},
        {"client a 1 start=1 dur=9; server b 1 shared nostart nodur", 9, 1, SM_EDGE_RPC},
        {"client a 1 nostart nodur; server b 2/1 nostart nodur", -1, -1, SM_EDGE_RPC},
        {"client a 1 start=4 dur=2 db.name=x", 2, 4, SM_EDGE_DATABASE},
        {"client a 1 peer=x", 1, 0, SM_EDGE_PEER},
        {"server a 1 peer=x", 1, 0, SM_EDGE_PEER},
        {"producer a 1 start=4 dur=2 peer=x", 2, 4, SM_EDGE_MESSAGING},
        {"server a 1; client b 2/1 start=5 dur=7", -1, 5, SM_EDGE_RPC},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        const struct sm_linked *l = sm_linker_walk(linker, tb_build_text(&tb, cases[i].trace));
        cr_assert_eq(l->link_count, 1, "%s", cases[i].trace);
        uint64_t latency = cases[i].latency_ms < 0 ? SM_LINKER_NO_TIME : (uint64_t)(cases[i].latency_ms * 1e6);
        uint64_t start = cases[i].start_ms < 0 ? 0 : tb.base_ns + (uint64_t)(cases[i].start_ms * SM_MS);
        cr_expect_eq(l->links[0].latency_ns, latency, "%s", cases[i].trace);
        cr_expect_eq(l->links[0].start_ns, start, "%s", cases[i].trace);
        cr_expect_eq(l->links[0].types, cases[i].types, "%s", cases[i].trace);
    }
}

Test(linker, spans_outside_of_the_tree_are_counted)
{
    cr_expect_eq(sm_linker_walk(linker, tb_build_text(&tb, "server a 1/2; server b 2/1; server c 3/1"))->unreachable,
                 3);
    cr_expect_eq(sm_linker_walk(linker, tb_build_text(&tb, "client x 2; client y 2/9; client y 3/9"))->unreachable, 1);
    cr_expect_eq(sm_linker_walk(linker, tb_build_text(&tb, "server a 1; server b 2/1"))->unreachable, 0);
}

Test(linker, names_over_the_limit_are_one_node)
{
    struct sm_names *few = sm_names_new(4, 1000);
    struct sm_linker *l = sm_linker_new(&(struct sm_linker_config){0}, tb.names, few);
    const struct sm_linked *linked = sm_linker_walk(l, tb_build_text(&tb, "client a 1 peer=b"));
    cr_assert_eq(linked->link_count, 1);
    cr_expect_eq(linked->links[0].child, SM_NAME_OVERFLOW);
    sm_linker_free(l);
    sm_names_free(few);
}

/* A chain, a star, one id for all and a circle of 50,000 spans end quickly. */
Test(linker, large_traces, .timeout = 30)
{
    enum { N = 50000 };
    struct tb_span *spans = calloc(N, sizeof *spans);
    for (unsigned shape = 0; shape < 4; shape++) {
        for (unsigned i = 0; i < N; i++) {
            struct tb_span *s = &spans[i];
            *s = (struct tb_span){.kind = i % 2 ? SM_KIND_SERVER : SM_KIND_CLIENT, .service = "a", .id = N - i};
            if (shape == 0) {
                s->parent = s->id - 1;
            } else if (shape == 1) {
                s->parent = 1;
            } else if (shape == 2) {
                s->id = 7;
                s->shared = i % 2;
                s->zipkin = true;
                s->port = (uint16_t)i;
            } else {
                s->kind = SM_KIND_INTERNAL;
                s->parent = s->id % N + 1;
            }
        }
        const struct sm_linked *l = sm_linker_walk(linker, tb_build(&tb, spans, N));
        cr_assert_leq(l->link_count, 2 * N);
        cr_assert_eq(l->unreachable > 0, shape >= 2);
    }
    free(spans);
}
