/* Writing a dependency graph: JSON, DOT (Graphviz), CSV. The same graph is always the same bytes.
 *
 * JSON  {"startMs":0,"endMs":0,"overflowedCalls":0,
 *        "nodes":[{"name":"a","type":"service"}],"edges":[
 *         {"parent":"a","child":"b","type":"rpc","callCount":3,"errorCount":1,
 *          "latencyMs":{"count":3,"mean":1.5,"p50":1.4,"p90":2.1,"p99":2.1}}]}
 *       A node's type is service, database, broker, or peer for one that sent no spans of its own. errorCount is left out
 *       when it is 0, latencyMs when no duration is known.
 * CSV   RFC 4180 with a header line: parent, child, type, calls, errors, latency_count, mean_ms, p50_ms, p90_ms,
 * p99_ms; the last four are empty when no duration is known. DOT   a digraph; edges say calls, errors and median
 * latency, those with errors are red; databases are cylinders, brokers arrows, nodes that sent no spans of their own
 * dashed. Types are those of sm_edge_types_text. Quantiles are estimates (span/hist.h). */
#ifndef SM_GRAPH_OUT_H
#define SM_GRAPH_OUT_H

#include "base/base.h"
#include "base/buf.h"
#include "span/graph.h"

enum sm_graph_format { SM_GRAPH_JSON, SM_GRAPH_DOT, SM_GRAPH_CSV };

/* "json", "dot", "csv"; SM_E_INVALID for another name. */
enum sm_rc sm_graph_format_parse(struct sm_str name, enum sm_graph_format *format) SM_MUST_USE;
const char *sm_graph_content_type(enum sm_graph_format format);

void sm_graph_write(const struct sm_graph *g, enum sm_graph_format format, struct sm_buf *out);

#endif
