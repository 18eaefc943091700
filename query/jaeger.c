/* Jaeger's first query API. */
#include "query/jaeger.h"
#include "base/json.h"
#include "base/json_out.h"
#include "query/transform.h"

#include <stdlib.h>
#include <strings.h>

enum { DAY_MS = 86400 * 1000 };
#define SEARCH_DEFAULT_NS (2 * 86400 * SM_SEC)

/* ---- envelope ---- */

static void open_data(struct sm_query_reply *reply)
{
    sm_buf_puts(&reply->body, "{\"data\":[");
}

static void close_data(struct sm_query_reply *reply, uint32_t total)
{
    sm_buf_printf(&reply->body, "],\"total\":%u,\"limit\":0,\"offset\":0,\"errors\":", total);
}

static void close_data_well(struct sm_query_reply *reply, uint32_t total)
{
    close_data(reply, total);
    sm_buf_puts(&reply->body, "null}");
}

static void fail(struct sm_query_reply *reply, uint16_t status, const char *text)
{
    reply->status = status;
    reply->content_type = "application/json";
    sm_buf_printf(&reply->body, "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":%u,\"msg\":", status);
    sm_json_put_string(&reply->body, sm_str_c(text));
    sm_buf_puts(&reply->body, "}]}");
}

static void fail_invalid(struct sm_query_reply *reply, const struct sm_err *err)
{
    fail(reply, 400, err->text);
}

static enum sm_rc bad_param(struct sm_err *err, const char *name, struct sm_str value)
{
    return sm_err_set(err, SM_E_INVALID, "unable to parse param '%s': %.*s", name, (int)SM_MIN(value.len, (size_t)100),
                      value.ptr);
}

/* ---- kinds ---- */

const char *sm_jaeger_kind_name(uint8_t kind)
{
    return kind == SM_KIND_UNSPECIFIED ? "internal" : sm_kind_name((enum sm_kind)kind);
}

bool sm_jaeger_kind_parse(struct sm_str text, int *kind)
{
    *kind = SM_STORE_KIND_ANY;
    if (text.len == 0)
        return true;
    for (int k = SM_KIND_UNSPECIFIED; k <= SM_KIND_CONSUMER; k++) {
        const char *name = sm_kind_name((enum sm_kind)k);
        if (strlen(name) == text.len && strncasecmp(name, text.ptr, text.len) == 0) {
            *kind = k;
            return true;
        }
    }
    return false;
}

/* ---- names ---- */

static void services(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_name_set names = {0};
    (void)r;
    sm_source_services(q->source, &names);
    sm_name_set_sort(&names);
    open_data(reply);
    for (uint32_t i = 0; i < names.count; i++) {
        sm_buf_puts(&reply->body, i ? "," : "");
        sm_json_put_string(&reply->body, names.items[i].name);
    }
    close_data_well(reply, names.count);
    sm_name_set_fini(&names);
}

/* /api/services/{service}/operations: names without kinds. */
static void service_operations(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_name_set names = {0};
    uint32_t count = 0;
    sm_source_operations(q->source, r->segments[2], false, &names);
    sm_name_set_sort(&names);
    open_data(reply);
    for (uint32_t i = 0; i < names.count; i++) {
        if (i && sm_str_eq(names.items[i].name, names.items[i - 1].name))
            continue;
        sm_buf_puts(&reply->body, count++ ? "," : "");
        sm_json_put_string(&reply->body, names.items[i].name);
    }
    close_data_well(reply, count);
    sm_name_set_fini(&names);
}

bool sm_jaeger_kind_fits(int wanted, uint8_t kind)
{
    return wanted == SM_STORE_KIND_ANY || wanted == kind || (wanted == SM_KIND_INTERNAL && kind == SM_KIND_UNSPECIFIED);
}

static void operations(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_str service = sm_query_param(r, "service");
    struct sm_name_set names = {0};
    uint32_t count = 0;
    int kind;
    if (!service.len) {
        fail(reply, 400, "parameter 'service' is required");
        return;
    }
    if (!sm_jaeger_kind_parse(sm_query_param(r, "spanKind"), &kind)) {
        fail(reply, 400, "unsupported span kind");
        return;
    }
    sm_source_operations(q->source, service, false, &names);
    sm_name_set_sort(&names);
    open_data(reply);
    for (uint32_t i = 0; i < names.count; i++) {
        if (!sm_jaeger_kind_fits(kind, names.items[i].kind))
            continue;
        sm_buf_puts(&reply->body, count++ ? ",{\"name\":" : "{\"name\":");
        sm_json_put_string(&reply->body, names.items[i].name);
        sm_buf_printf(&reply->body, ",\"spanKind\":\"%s\"}", sm_jaeger_kind_name(names.items[i].kind));
    }
    close_data_well(reply, count);
    sm_name_set_fini(&names);
}

/* ---- search ---- */

void sm_jaeger_tags_fini(struct sm_jaeger_tags *tags)
{
    free(tags->text);
    tags->text = NULL;
}

bool sm_jaeger_tags_add(struct sm_jaeger_tags *tags, struct sm_str key, struct sm_str value, struct sm_err *err)
{
    if (tags->count == SM_STORE_TERMS_MAX)
        return sm_err_set(err, SM_E_LIMIT, "more than %d tags", SM_STORE_TERMS_MAX) == SM_OK;
    tags->terms[tags->count++] = (struct sm_store_term){.key = key, .value = value};
    return true;
}

/* Reads a string, or the text of another plain value, to *at. */
static bool read_text(struct sm_json *j, uint8_t **at, struct sm_str *text)
{
    struct sm_json_text string;
    switch (sm_json_peek(j)) {
    case SM_JSON_STRING:
        if (!sm_json_string(j, &string))
            return false;
        *text = sm_str(*at, sm_json_unescape(&string, *at));
        *at += text->len;
        return true;
    case SM_JSON_NUMBER:
    case SM_JSON_BOOL:
        return sm_json_raw(j, text);
    default:
        return sm_json_fail(j, "expected a string");
    }
}

bool sm_jaeger_tags_json(struct sm_jaeger_tags *tags, struct sm_str json, struct sm_err *err)
{
    struct sm_json j = sm_json_reader(json.ptr, json.len, 1);
    struct sm_json_text key;
    uint8_t *at = tags->text = sm_xmalloc(json.len + 1);
    for (bool more = sm_json_object(&j, &key); more; more = sm_json_member(&j, &key)) {
        struct sm_str name = sm_str(at, sm_json_unescape(&key, at)), value;
        at += name.len;
        if (read_text(&j, &at, &value) && !sm_jaeger_tags_add(tags, name, value, err))
            return false;
    }
    return sm_json_end(&j, err) == SM_OK;
}

/* tag=key:value, as often as wanted, and tags={"key":"value"}. */
static enum sm_rc parse_tags(const struct sm_query_request *r, struct sm_jaeger_tags *tags, struct sm_err *err)
{
    struct sm_err why = {0};
    struct sm_str json = sm_query_param(r, "tags");
    if (json.len && !sm_jaeger_tags_json(tags, json, &why))
        return sm_err_set(err, SM_E_INVALID, "malformed 'tags' parameter, cannot unmarshal JSON: %s", why.text);
    for (uint32_t i = 0; i < r->param_count; i++) {
        struct sm_str tag = r->params[i].value;
        if (!sm_str_eq(r->params[i].name, SM_STR("tag")))
            continue;
        const char *colon = tag.len ? memchr(tag.ptr, ':', tag.len) : NULL;
        if (!colon)
            return sm_err_set(err, SM_E_INVALID, "malformed 'tag' parameter, expecting key:value, received: %.*s",
                              (int)SM_MIN(tag.len, (size_t)100), tag.ptr);
        size_t n = (size_t)(colon - tag.ptr);
        if (!sm_jaeger_tags_add(tags, sm_str(tag.ptr, n), sm_str(colon + 1, tag.len - n - 1), err))
            return SM_E_LIMIT;
    }
    return SM_OK;
}

/* Leaves *ns alone without the parameter. */
static enum sm_rc parse_time(const struct sm_query_request *r, const char *name, uint64_t *ns, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, name);
    int64_t v;
    if (!text.len)
        return SM_OK;
    if (sm_query_epoch(text, &v) != SM_OK)
        return bad_param(err, name, text);
    *ns = (uint64_t)v;
    return SM_OK;
}

static enum sm_rc parse_duration(const struct sm_query_request *r, const char *name, uint64_t *ns, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, name);
    int64_t v;
    if (!text.len)
        return SM_OK;
    if (sm_query_go_duration(text, &v) != SM_OK || v < 0)
        return bad_param(err, name, text);
    *ns = (uint64_t)v;
    return SM_OK;
}

static enum sm_rc parse_limit(const struct sm_query_request *r, uint32_t *limit, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, "limit");
    int64_t v = 0;
    if (text.len && (sm_query_int(text, &v) != SM_OK || v < 0))
        return bad_param(err, "limit", text);
    *limit = v ? (uint32_t)SM_MIN(v, (int64_t)SM_STORE_LIMIT_MAX) : SM_JAEGER_LIMIT_DEFAULT;
    return SM_OK;
}

static enum sm_rc parse_durations(const struct sm_query_request *r, struct sm_store_query *query, struct sm_err *err)
{
    enum sm_rc rc = parse_duration(r, "minDuration", &query->duration_min_ns, err);
    if (rc == SM_OK)
        rc = parse_duration(r, "maxDuration", &query->duration_max_ns, err);
    if (rc == SM_OK && query->duration_max_ns && query->duration_max_ns < query->duration_min_ns)
        rc = sm_err_set(err, SM_E_INVALID, "'maxDuration' should be greater than 'minDuration'");
    return rc;
}

static enum sm_rc parse_search(const struct sm_query_request *r, struct sm_store_query *query, struct sm_jaeger_tags *tags,
                               struct sm_err *err)
{
    *query = sm_store_query_default;
    query->match = SM_STORE_MATCH_SPAN;
    query->service = sm_query_param(r, "service");
    query->operation = sm_query_param(r, "operation");
    query->start_max_ns = (uint64_t)r->now_ns;
    query->start_min_ns = (uint64_t)SM_MAX(r->now_ns - SEARCH_DEFAULT_NS, INT64_C(0));
    if (!query->service.len)
        return sm_err_set(err, SM_E_INVALID, "parameter 'service' is required");
    enum sm_rc rc = parse_time(r, "start", &query->start_min_ns, err);
    if (rc == SM_OK)
        rc = parse_time(r, "end", &query->start_max_ns, err);
    if (rc == SM_OK)
        rc = parse_limit(r, &query->limit, err);
    if (rc == SM_OK)
        rc = parse_durations(r, query, err);
    if (rc == SM_OK)
        rc = parse_tags(r, tags, err);
    query->terms = tags->terms;
    query->term_count = tags->count;
    return rc;
}

/* Where found traces are written. */
struct writing {
    struct sm_query *query;
    struct sm_query_reply *reply;
    bool raw;
    uint32_t count;
};

static bool put_trace(void *ctx, const struct sm_source_trace *trace)
{
    struct writing *w = ctx;
    sm_buf_puts(&w->reply->body, w->count++ ? "," : "");
    sm_jaeger_json_put(w->query->jaeger_json, trace, w->raw, &w->reply->body);
    return !w->reply->body.overflow;
}

static bool wants_raw(const struct sm_query_request *r)
{
    return sm_str_eq(sm_query_param(r, "raw"), SM_STR("true"));
}

static void search(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_store_query query;
    struct sm_jaeger_tags tags = {.count = 0};
    struct sm_err err = {0};
    struct writing w = {.query = q, .reply = reply, .raw = wants_raw(r)};
    bool truncated = false;
    if (parse_search(r, &query, &tags, &err) != SM_OK) {
        fail_invalid(reply, &err);
        sm_jaeger_tags_fini(&tags);
        return;
    }
    open_data(reply);
    if (sm_source_search(q->source, &query, put_trace, &w, &truncated) != SM_OK)
        truncated = true;
    close_data(reply, 0);
    sm_buf_puts(&reply->body,
                truncated ? "[{\"msg\":\"the search was cut short, there may be more: narrow the time range\"}]}" : "null}");
    sm_jaeger_tags_fini(&tags);
}

/* ---- traces by id ---- */

static void put_missing(struct sm_buf *errors, struct sm_trace_id id)
{
    char hex[SM_TRACE_ID_HEX_SIZE];
    sm_jaeger_trace_id(id, hex);
    sm_buf_printf(errors, "%s{\"msg\":\"trace not found\",\"traceID\":\"%s\"}", errors->size ? "," : "", hex);
}

/* ?traceID=...&traceID=...: those that are there, and an error for each that is not. */
static void traces_by_id(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.query = q, .reply = reply, .raw = wants_raw(r)};
    struct sm_buf errors = {0};
    struct sm_trace_id id;
    bool valid = true;
    open_data(reply);
    for (uint32_t i = 0, asked = 0; i < r->param_count && valid; i++) {
        if (!sm_str_eq(r->params[i].name, SM_STR("traceID")))
            continue;
        valid = ++asked <= SM_JAEGER_IDS_MAX && sm_query_trace_id(r->params[i].value, &id) == SM_OK;
        if (valid && sm_source_get(q->source, id, put_trace, &w) != SM_OK)
            put_missing(&errors, id);
    }
    close_data(reply, 0);
    sm_buf_puts(&reply->body, errors.size ? "[" : "null}");
    sm_buf_put_str(&reply->body, sm_buf_str(&errors));
    sm_buf_puts(&reply->body, errors.size ? "]}" : "");
    sm_buf_fini(&errors);
    if (!valid) {
        sm_buf_clear(&reply->body);
        fail(reply, 400, "unable to parse param 'traceID': expected at most 1000 trace ids of 1 to 32 hex digits");
    }
}

static void traces(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    if (sm_query_param(r, "traceID").len)
        traces_by_id(q, r, reply);
    else
        search(q, r, reply);
}

/* start and end are hints where to look, which an index by id does not need; they are checked all the same. */
static void trace(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.query = q, .reply = reply, .raw = wants_raw(r)};
    struct sm_err err = {0};
    struct sm_trace_id id;
    uint64_t ignored;
    if (sm_query_trace_id(r->segments[2], &id) != SM_OK) {
        fail(reply, 400, "malformed trace id: expected 1 to 32 hex digits");
        return;
    }
    if (parse_time(r, "start", &ignored, &err) != SM_OK || parse_time(r, "end", &ignored, &err) != SM_OK) {
        fail_invalid(reply, &err);
        return;
    }
    open_data(reply);
    if (sm_source_get(q->source, id, put_trace, &w) != SM_OK) {
        sm_buf_clear(&reply->body);
        fail(reply, 404, "trace not found");
        return;
    }
    close_data_well(reply, 0);
}

/* ---- dependencies ---- */

static enum sm_rc parse_ms(const struct sm_query_request *r, const char *name, int64_t *ms, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, name);
    if (!text.len)
        return SM_OK;
    return sm_query_int(text, ms) == SM_OK && *ms >= 0 ? SM_OK : bad_param(err, name, text);
}

static bool touches(const struct sm_graph_edge *edge, struct sm_str service)
{
    return !service.len || sm_str_eq(edge->parent, service) || sm_str_eq(edge->child, service);
}

static void put_edges(const struct sm_graph *graph, struct sm_str service, struct sm_buf *out)
{
    bool first = true;
    for (size_t i = 0; i < graph->count; i++) {
        const struct sm_graph_edge *e = &graph->edges[i];
        if (!touches(e, service))
            continue;
        sm_buf_puts(out, first ? "{\"parent\":" : ",{\"parent\":");
        first = false;
        sm_json_put_string(out, e->parent);
        sm_buf_puts(out, ",\"child\":");
        sm_json_put_string(out, e->child);
        sm_buf_printf(out, ",\"callCount\":%llu}", (unsigned long long)e->calls);
    }
}

static void dependencies(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_graph graph = {0};
    struct sm_err err = {0};
    int64_t end_ms = r->now_ns / SM_MS, lookback_ms = DAY_MS;
    if (parse_ms(r, "endTs", &end_ms, &err) != SM_OK || parse_ms(r, "lookback", &lookback_ms, &err) != SM_OK) {
        fail_invalid(reply, &err);
        return;
    }
    if (!sm_query_graph(q, end_ms - SM_MIN(lookback_ms, end_ms), end_ms, &graph)) {
        fail(reply, 503, "the dependency graph is not available now");
        return;
    }
    open_data(reply);
    put_edges(&graph, sm_query_param(r, "service"), &reply->body);
    close_data_well(reply, 0);
    sm_graph_fini(&graph);
}

/* ---- uploads ---- */

/* OTLP JSON becomes what the UI shows: for files that are opened in it. */
static void transform(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_err err = {0};
    struct sm_err partly = {0};
    open_data(reply);
    if (sm_transform_otlp_json(q->jaeger_json, r->body, &reply->body, &partly, &err) != SM_OK) {
        sm_buf_clear(&reply->body);
        fail(reply, 400, err.text);
        return;
    }
    close_data(reply, 0);
    if (partly.rc != SM_OK) {
        sm_buf_puts(&reply->body, "[{\"msg\":");
        sm_json_put_string(&reply->body, sm_str_c(partly.text));
        sm_buf_puts(&reply->body, "}]}");
    } else {
        sm_buf_puts(&reply->body, "null}");
    }
}

/* ---- what is not there ---- */

static bool ignore_trace(void *ctx, const struct sm_source_trace *trace)
{
    (void)ctx;
    (void)trace;
    return false;
}

static void archive(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_trace_id id;
    if (sm_query_trace_id(r->segments[2], &id) != SM_OK)
        fail(reply, 400, "malformed trace id: expected 1 to 32 hex digits");
    else if (sm_source_get(q->source, id, ignore_trace, NULL) != SM_OK)
        fail(reply, 404, "trace not found");
    else
        fail(reply, 501, "archive storage is not configured");
}

static void no_metrics(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    fail(reply, 501, "metrics querying is currently disabled");
}

static const struct sm_query_route routes[] = {
    {"api/services", services},
    {"api/services/*/operations", service_operations},
    {"api/operations", operations},
    {"api/traces", traces},
    {"api/traces/*", trace},
    {"api/dependencies", dependencies},
    {"api/metrics/*", no_metrics},
    {"POST api/transform", transform},
    {"POST api/archive/*", archive},
};

const struct sm_query_api sm_jaeger_api = {routes, SM_ARRAY_LEN(routes), "/api/", fail};
