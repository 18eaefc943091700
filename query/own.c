/* Our own API. */
#include "query/own.h"
#include "analysis/graph_out.h"
#include "base/json_out.h"
#include "base/rfc3339.h"

static void fail(struct sm_query_reply *reply, uint16_t status, const char *text)
{
    reply->status = status;
    reply->content_type = "application/json";
    sm_buf_clear(&reply->body);
    sm_buf_puts(&reply->body, "{\"error\":");
    sm_json_put_string(&reply->body, sm_str_c(text));
    sm_buf_puts(&reply->body, "}\n");
}

/* Leaves *ms alone without the parameter. */
static enum sm_rc parse_time(const struct sm_query_request *r, const char *name, int64_t *ms, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, name);
    int64_t v = 0;
    if (!text.len || (sm_query_int(text, ms) == SM_OK && *ms >= 0))
        return SM_OK;
    if (sm_rfc3339_parse(text, &v) != SM_OK)
        return sm_err_set(err, SM_E_INVALID, "%s is neither RFC 3339 nor epoch milliseconds: %.*s", name,
                          (int)SM_MIN(text.len, (size_t)100), text.ptr);
    *ms = v / SM_MS;
    return SM_OK;
}

static enum sm_rc parse_lookback(const struct sm_query_request *r, int64_t *ms, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, "lookback");
    int64_t ns = 0;
    if (!text.len)
        return SM_OK;
    if (sm_query_go_duration(text, &ns) != SM_OK || ns < SM_MS)
        return sm_err_set(err, SM_E_INVALID, "lookback is not a duration such as 1h or 30m: %.*s",
                          (int)SM_MIN(text.len, (size_t)100), text.ptr);
    *ms = ns / SM_MS;
    return SM_OK;
}

static enum sm_rc parse_range(const struct sm_query_request *r, int64_t *start_ms, int64_t *end_ms, struct sm_err *err)
{
    int64_t lookback_ms = SM_OWN_LOOKBACK_DEFAULT_MS;
    *end_ms = r->now_ns / SM_MS;
    enum sm_rc rc = parse_time(r, "end", end_ms, err);
    if (rc == SM_OK)
        rc = parse_lookback(r, &lookback_ms, err);
    *start_ms = SM_MAX(*end_ms - lookback_ms, INT64_C(0));
    if (rc == SM_OK)
        rc = parse_time(r, "start", start_ms, err);
    if (rc == SM_OK && *start_ms >= *end_ms)
        rc = sm_err_set(err, SM_E_INVALID, "start must be before end");
    return rc;
}

static void graph(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_str name = sm_query_param(r, "format");
    enum sm_graph_format format = SM_GRAPH_JSON;
    struct sm_graph g = {0};
    struct sm_err err = {0};
    int64_t start_ms, end_ms;
    if (name.len && sm_graph_format_parse(name, &format) != SM_OK) {
        fail(reply, 400, "unknown format: expected json, dot or csv");
        return;
    }
    if (parse_range(r, &start_ms, &end_ms, &err) != SM_OK) {
        fail(reply, 400, err.text);
        return;
    }
    if (!sm_query_graph(q, start_ms, end_ms, &g)) {
        fail(reply, 503, "the dependency graph is not available now");
        return;
    }
    reply->content_type = sm_graph_content_type(format);
    sm_graph_write(&g, format, &reply->body);
    sm_graph_fini(&g);
}

/* For people who open a listener's address in a browser. */
static void index_page(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    reply->content_type = "text/plain; charset=utf-8";
    sm_buf_puts(&reply->body,
                "spanmill " SM_VERSION "\n"
                "\n"
                "/api/services, /api/traces?service=NAME           Jaeger; Grafana with its data source Jaeger\n"
                "/api/v3/services, /api/v3/trace-summaries         Jaeger v3; Jaeger UI\n"
                "/api/v2/services, /api/v2/traces?serviceName=NAME Zipkin; Grafana with its data source Zipkin\n"
                "/api/graph?format=dot                             who calls whom: json, dot, csv\n");
}

static const struct sm_query_route routes[] = {
    {"", index_page},
    {"api/graph", graph},
};

const struct sm_query_api sm_own_api = {routes, SM_ARRAY_LEN(routes), "/api/graph", fail};
