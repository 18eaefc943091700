/* Arguments of `spanmill graph`. */
#include "app/graph_request.h"

#include "app/config_value.h"
#include "base/rfc3339.h"
#include "query/request.h"

void sm_graph_request_init(struct sm_graph_request *r)
{
    *r = (struct sm_graph_request){SM_GRAPH_JSON, SM_GRAPH_REQUEST_UNSET, SM_GRAPH_REQUEST_UNSET,
                                   SM_GRAPH_REQUEST_UNSET};
}

static const char *const format_names[] = {[SM_GRAPH_JSON] = "json", [SM_GRAPH_DOT] = "dot", [SM_GRAPH_CSV] = "csv"};

enum sm_rc sm_graph_request_format(struct sm_graph_request *r, const char *text, struct sm_err *err)
{
    if (sm_graph_format_parse(sm_str_c(text), &r->format) == SM_OK)
        return SM_OK;
    return sm_err_set(err, SM_E_INVALID, "\"%.40s\" is no format; there are json, dot and csv", text);
}

enum sm_rc sm_graph_request_lookback(struct sm_graph_request *r, const char *text, struct sm_err *err)
{
    enum sm_rc rc = sm_config_value_duration(sm_str_c(text), &r->lookback_ns, err);
    if (rc == SM_OK && r->lookback_ns == 0)
        rc = sm_err_set(err, SM_E_INVALID, "a lookback of 0 has no calls in it");
    return rc;
}

enum sm_rc sm_graph_request_time(const char *text, int64_t *ns, struct sm_err *err)
{
    static const struct {
        int64_t below, unit_ns;
    } units[] = {{INT64_C(100000000000), SM_SEC},
                 {INT64_C(100000000000000), SM_MS},
                 {INT64_C(100000000000000000), SM_US},
                 {INT64_MAX, 1}};
    int64_t v;
    if (sm_rfc3339_parse(sm_str_c(text), ns) == SM_OK)
        return SM_OK;
    if (sm_query_int(sm_str_c(text), &v) == SM_OK && v >= 0) {
        unsigned i = 0;
        while (i + 1 < SM_ARRAY_LEN(units) && v >= units[i].below)
            i++;
        if (!__builtin_mul_overflow(v, units[i].unit_ns, ns))
            return SM_OK;
    }
    return sm_err_set(err, SM_E_INVALID,
                      "\"%.40s\" is not a time; write for example 2026-03-01T12:00:00Z or 1772366400", text);
}

enum sm_rc sm_graph_request_check(const struct sm_graph_request *r, struct sm_err *err)
{
    if (r->start_ns != SM_GRAPH_REQUEST_UNSET && r->lookback_ns != SM_GRAPH_REQUEST_UNSET)
        return sm_err_set(err, SM_E_INVALID, "--start and --lookback both say where the range begins");
    if (r->start_ns != SM_GRAPH_REQUEST_UNSET && r->end_ns != SM_GRAPH_REQUEST_UNSET && r->end_ns <= r->start_ns)
        return sm_err_set(err, SM_E_INVALID, "--end lies not after --start");
    return SM_OK;
}

void sm_graph_request_range(const struct sm_graph_request *r, int64_t now_ns, int64_t *start_ns, int64_t *end_ns)
{
    *end_ns = r->end_ns != SM_GRAPH_REQUEST_UNSET ? r->end_ns : now_ns;
    *start_ns = r->start_ns != SM_GRAPH_REQUEST_UNSET ? r->start_ns : 0;
    if (r->lookback_ns != SM_GRAPH_REQUEST_UNSET)
        *start_ns = SM_MAX(*end_ns - r->lookback_ns, INT64_C(0));
}

static void put_ms(struct sm_buf *url, const char *name, int64_t ns, const char *unit)
{
    if (ns != SM_GRAPH_REQUEST_UNSET)
        sm_buf_printf(url, "&%s=%lld%s", name, (long long)(ns / SM_MS), unit);
}

void sm_graph_request_url(const struct sm_graph_request *r, const char *base, struct sm_buf *url)
{
    size_t n = strlen(base);
    while (n && base[n - 1] == '/')
        n--;
    sm_buf_put(url, base, n);
    sm_buf_printf(url, "/api/graph?format=%s", format_names[r->format]);
    put_ms(url, "start", r->start_ns, "");
    put_ms(url, "end", r->end_ns, "");
    put_ms(url, "lookback", r->lookback_ns, "ms");
    sm_buf_putc(url, '\0');
}
