/* What `spanmill graph` was asked for: a time range and a format, read from the command line, as a range of a recording
 * or as the query of a request to the daemon. */
#ifndef SM_GRAPH_REQUEST_H
#define SM_GRAPH_REQUEST_H

#include "analysis/graph_out.h"
#include "base/base.h"
#include "base/buf.h"

#define SM_GRAPH_REQUEST_UNSET INT64_MIN

struct sm_graph_request {
    enum sm_graph_format format;
    int64_t start_ns, end_ns, lookback_ns; /* Unix time and a length; SM_GRAPH_REQUEST_UNSET */
};

void sm_graph_request_init(struct sm_graph_request *r);

enum sm_rc sm_graph_request_format(struct sm_graph_request *r, const char *text, struct sm_err *err) SM_MUST_USE;
enum sm_rc sm_graph_request_lookback(struct sm_graph_request *r, const char *text, struct sm_err *err) SM_MUST_USE;
/* RFC 3339, or Unix time whose unit (s, ms, us, ns) its magnitude tells. */
enum sm_rc sm_graph_request_time(const char *text, int64_t *ns, struct sm_err *err) SM_MUST_USE;

/* Do the parts fit together? */
enum sm_rc sm_graph_request_check(const struct sm_graph_request *r, struct sm_err *err) SM_MUST_USE;

/* The range [*start_ns, *end_ns) where time ends at `now_ns`. Without start and lookback it begins at 0. */
void sm_graph_request_range(const struct sm_graph_request *r, int64_t now_ns, int64_t *start_ns, int64_t *end_ns);

/* Appends the URL of the request to the daemon at `base` ("http://host:port", perhaps with a path), terminated. */
void sm_graph_request_url(const struct sm_graph_request *r, const char *base, struct sm_buf *url);

#endif
