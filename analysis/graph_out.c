/* Dependency graphs as JSON, DOT and CSV. */
#include "analysis/graph_out.h"

#include "base/json_out.h"
#include "base/utf8.h"

#include <stdlib.h>

enum sm_rc sm_graph_format_parse(struct sm_str name, enum sm_graph_format *format)
{
    static const char *const names[] = {[SM_GRAPH_JSON] = "json", [SM_GRAPH_DOT] = "dot", [SM_GRAPH_CSV] = "csv"};
    for (unsigned i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (sm_str_eq(name, sm_str_c(names[i]))) {
            *format = (enum sm_graph_format)i;
            return SM_OK;
        }
    }
    return SM_E_INVALID;
}

const char *sm_graph_content_type(enum sm_graph_format format)
{
    static const char *const types[] = {[SM_GRAPH_JSON] = "application/json",
                                        [SM_GRAPH_DOT] = "text/vnd.graphviz; charset=utf-8",
                                        [SM_GRAPH_CSV] = "text/csv; charset=utf-8; header=present"};
    return types[format];
}

/* Milliseconds of an edge's calls: mean, p50, p90, p99. */
struct latency {
    double mean, p50, p90, p99;
};

static struct latency latency_of(const struct sm_graph_edge *e)
{
    const struct sm_hist *h = &e->latency;
    uint64_t mean_ns = h->count ? h->sum_ns / h->count : 0;
    return (struct latency){(double)mean_ns / 1e6, (double)sm_hist_quantile_ns(h, 0.5) / 1e6,
                            (double)sm_hist_quantile_ns(h, 0.9) / 1e6, (double)sm_hist_quantile_ns(h, 0.99) / 1e6};
}

static const struct {
    const char *name;
    size_t offset;
} latency_fields[] = {{"mean", offsetof(struct latency, mean)},
                      {"p50", offsetof(struct latency, p50)},
                      {"p90", offsetof(struct latency, p90)},
                      {"p99", offsetof(struct latency, p99)}};

static double latency_field(const struct latency *l, unsigned i)
{
    return *(const double *)((const char *)l + latency_fields[i].offset);
}

/* ---- nodes ---- */

struct node {
    struct sm_str name;
    uint32_t types_in;  /* of edges to it */
    uint32_t types_out; /* of edges from it */
};

static int compare_nodes(const void *a, const void *b)
{
    return sm_str_cmp(((const struct node *)a)->name, ((const struct node *)b)->name);
}

/* All nodes, sorted, each once; returns how many. */
static size_t collect_nodes(const struct sm_graph *g, struct node *nodes)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        nodes[count++] = (struct node){.name = g->edges[i].parent, .types_out = g->edges[i].types};
        nodes[count++] = (struct node){.name = g->edges[i].child, .types_in = g->edges[i].types};
    }
    qsort(nodes, count, sizeof *nodes, compare_nodes);
    for (size_t i = 0; i < count; i++) {
        if (kept && sm_str_eq(nodes[kept - 1].name, nodes[i].name)) {
            nodes[kept - 1].types_in |= nodes[i].types_in;
            nodes[kept - 1].types_out |= nodes[i].types_out;
        } else {
            nodes[kept++] = nodes[i];
        }
    }
    return kept;
}

enum node_kind { NODE_SERVICE, NODE_DATABASE, NODE_BROKER, NODE_PEER };

static enum node_kind kind_of(const struct node *n)
{
    uint32_t types = n->types_in | n->types_out;
    if (n->types_in == SM_EDGE_DATABASE && !n->types_out)
        return NODE_DATABASE;
    if (types == SM_EDGE_MESSAGING && n->types_in && n->types_out)
        return NODE_BROKER;
    return types == SM_EDGE_PEER && (!n->types_in || !n->types_out) ? NODE_PEER : NODE_SERVICE;
}

/* ---- JSON ---- */

static void json_string(struct sm_buf *out, const char *key, struct sm_str value)
{
    sm_buf_printf(out, "\"%s\":", key);
    sm_json_put_string(out, value);
}

static void json_latency(struct sm_buf *out, const struct sm_graph_edge *e)
{
    struct latency l = latency_of(e);
    sm_buf_puts(out, ",\"latencyMs\":{\"count\":");
    sm_json_put_uint(out, e->latency.count);
    for (unsigned i = 0; i < SM_ARRAY_LEN(latency_fields); i++) {
        sm_buf_printf(out, ",\"%s\":", latency_fields[i].name);
        sm_json_put_double(out, latency_field(&l, i));
    }
    sm_buf_putc(out, '}');
}

static void json_edge(struct sm_buf *out, const struct sm_graph_edge *e)
{
    char types[SM_EDGE_TYPES_SIZE];
    sm_buf_putc(out, '{');
    json_string(out, "parent", e->parent);
    sm_buf_putc(out, ',');
    json_string(out, "child", e->child);
    sm_buf_putc(out, ',');
    json_string(out, "type", sm_str_c(sm_edge_types_text(e->types, types)));
    sm_buf_puts(out, ",\"callCount\":");
    sm_json_put_uint(out, e->calls);
    if (e->errors) {
        sm_buf_puts(out, ",\"errorCount\":");
        sm_json_put_uint(out, e->errors);
    }
    if (e->latency.count)
        json_latency(out, e);
    sm_buf_putc(out, '}');
}

static void json_nodes(struct sm_buf *out, const struct sm_graph *g)
{
    static const char *const names[] = {
        [NODE_SERVICE] = "service", [NODE_DATABASE] = "database", [NODE_BROKER] = "broker", [NODE_PEER] = "peer"};
    struct node *nodes = sm_xcalloc(2 * g->count + 1, sizeof *nodes);
    size_t count = collect_nodes(g, nodes);
    sm_buf_puts(out, ",\"nodes\":[");
    for (size_t i = 0; i < count; i++) {
        sm_buf_puts(out, i ? ",{" : "{");
        json_string(out, "name", nodes[i].name);
        sm_buf_printf(out, ",\"type\":\"%s\"}", names[kind_of(&nodes[i])]);
    }
    sm_buf_putc(out, ']');
    free(nodes);
}

static void write_json(const struct sm_graph *g, struct sm_buf *out)
{
    sm_buf_puts(out, "{\"startMs\":");
    sm_json_put_int(out, g->start_ms);
    sm_buf_puts(out, ",\"endMs\":");
    sm_json_put_int(out, g->end_ms);
    sm_buf_puts(out, ",\"overflowedCalls\":");
    sm_json_put_uint(out, g->calls_overflowed);
    json_nodes(out, g);
    sm_buf_puts(out, ",\"edges\":[");
    for (size_t i = 0; i < g->count; i++) {
        if (i)
            sm_buf_putc(out, ',');
        json_edge(out, &g->edges[i]);
    }
    sm_buf_puts(out, "]}\n");
}

/* ---- CSV ---- */

static void csv_text(struct sm_buf *out, struct sm_str s)
{
    sm_buf_putc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            sm_buf_putc(out, '"');
        sm_buf_putc(out, s.ptr[i]);
    }
    sm_buf_putc(out, '"');
}

static void csv_edge(struct sm_buf *out, const struct sm_graph_edge *e)
{
    char types[SM_EDGE_TYPES_SIZE];
    struct latency l = latency_of(e);
    csv_text(out, e->parent);
    sm_buf_putc(out, ',');
    csv_text(out, e->child);
    sm_buf_printf(out, ",%s,", sm_edge_types_text(e->types, types));
    sm_json_put_uint(out, e->calls);
    sm_buf_putc(out, ',');
    sm_json_put_uint(out, e->errors);
    sm_buf_putc(out, ',');
    sm_json_put_uint(out, e->latency.count);
    for (unsigned i = 0; i < SM_ARRAY_LEN(latency_fields); i++) {
        sm_buf_putc(out, ',');
        if (e->latency.count)
            sm_json_put_double(out, latency_field(&l, i));
    }
    sm_buf_puts(out, "\r\n");
}

static void write_csv(const struct sm_graph *g, struct sm_buf *out)
{
    sm_buf_puts(out, "parent,child,type,calls,errors,latency_count,mean_ms,p50_ms,p90_ms,p99_ms\r\n");
    for (size_t i = 0; i < g->count; i++)
        csv_edge(out, &g->edges[i]);
}

/* ---- DOT ---- */

/* In double quotes, where a quote and a backslash (which would start an escape such as \N) need one; control characters
 * and bytes that are not UTF-8 become '?'. */
static void dot_text(struct sm_buf *out, struct sm_str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr, *end = p + s.len;
    sm_buf_putc(out, '"');
    while (p < end) {
        size_t n = sm_utf8_char(p, end);
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            sm_buf_putc(out, '?');
            p++;
            continue;
        }
        if (*p == '"' || *p == '\\')
            sm_buf_putc(out, '\\');
        sm_buf_put(out, p, n);
        p += n;
    }
    sm_buf_putc(out, '"');
}

static const char *dot_look(enum node_kind kind)
{
    static const char *const looks[] = {[NODE_SERVICE] = "",
                                        [NODE_DATABASE] = " [shape=cylinder]",
                                        [NODE_BROKER] = " [shape=cds]",
                                        [NODE_PEER] = " [style=dashed]"};
    return looks[kind];
}

static void dot_latency(struct sm_buf *out, uint64_t ns)
{
    static const struct {
        double unit_ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    unsigned i = 0;
    while (i + 1 < SM_ARRAY_LEN(units) && (double)ns < units[i].unit_ns)
        i++;
    sm_buf_printf(out, "\\n%.3g %s", (double)ns / units[i].unit_ns, units[i].name);
}

static void dot_edge(struct sm_buf *out, const struct sm_graph_edge *e)
{
    sm_buf_puts(out, "  ");
    dot_text(out, e->parent);
    sm_buf_puts(out, " -> ");
    dot_text(out, e->child);
    sm_buf_printf(out, " [label=\"%llu call%s", (unsigned long long)e->calls, e->calls == 1 ? "" : "s");
    if (e->errors)
        sm_buf_printf(out, "\\n%llu error%s", (unsigned long long)e->errors, e->errors == 1 ? "" : "s");
    if (e->latency.count)
        dot_latency(out, sm_hist_quantile_ns(&e->latency, 0.5));
    sm_buf_puts(out, e->errors ? "\", color=red];\n" : "\"];\n");
}

static void write_dot(const struct sm_graph *g, struct sm_buf *out)
{
    struct node *nodes = sm_xcalloc(2 * g->count + 1, sizeof *nodes);
    size_t count = collect_nodes(g, nodes);
    sm_buf_puts(out, "digraph dependencies {\n  rankdir=LR;\n  node [shape=box];\n");
    for (size_t i = 0; i < count; i++) {
        sm_buf_puts(out, "  ");
        dot_text(out, nodes[i].name);
        sm_buf_printf(out, "%s;\n", dot_look(kind_of(&nodes[i])));
    }
    for (size_t i = 0; i < g->count; i++)
        dot_edge(out, &g->edges[i]);
    sm_buf_puts(out, "}\n");
    free(nodes);
}

void sm_graph_write(const struct sm_graph *g, enum sm_graph_format format, struct sm_buf *out)
{
    if (format == SM_GRAPH_JSON)
        write_json(g, out);
    else if (format == SM_GRAPH_DOT)
        write_dot(g, out);
    else
        write_csv(g, out);
}
