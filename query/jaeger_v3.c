/* Jaeger's API v3. */
#include "query/jaeger_v3.h"
#include "base/json_out.h"
#include "base/rfc3339.h"
#include "query/jaeger.h"
#include "query/shared_ids.h"
#include "span/attr.h"
#include "span/codec/otlp_encode.h"
#include "span/private.h"

#include <stdlib.h>

static void fail(struct sm_query_reply *reply, uint16_t status, const char *text)
{
    reply->status = status;
    reply->content_type = "application/json";
    sm_buf_clear(&reply->body);
    sm_buf_printf(&reply->body, "{\"error\":{\"httpCode\":%u,\"message\":", status);
    sm_json_put_string(&reply->body, sm_str_c(text));
    sm_buf_puts(&reply->body, "}}");
}

/* ---- parameters ---- */

/* A parameter by its two names. */
struct name {
    const char *camel, *snake;
};

static struct sm_str param(const struct sm_query_request *r, struct name name)
{
    return sm_query_param_either(r, name.camel, name.snake);
}

static enum sm_rc malformed(const struct sm_query_request *r, struct name name, struct sm_err *err)
{
    bool is_camel = sm_query_param(r, name.camel).len > 0;
    struct sm_str value = param(r, name);
    return sm_err_set(err, SM_E_INVALID, "malformed parameter %s: %.*s", is_camel ? name.camel : name.snake,
                      (int)SM_MIN(value.len, (size_t)100), value.ptr);
}

/* Each leaves its result alone without the parameter. */
static enum sm_rc parse_time(const struct sm_query_request *r, struct name name, int64_t *ns, struct sm_err *err)
{
    struct sm_str text = param(r, name);
    return !text.len || sm_rfc3339_parse(text, ns) == SM_OK ? SM_OK : malformed(r, name, err);
}

static enum sm_rc parse_duration(const struct sm_query_request *r, struct name name, uint64_t *ns, struct sm_err *err)
{
    struct sm_str text = param(r, name);
    int64_t v = 0;
    if (!text.len)
        return SM_OK;
    if (sm_query_go_duration(text, &v) != SM_OK || v < 0)
        return malformed(r, name, err);
    *ns = (uint64_t)v;
    return SM_OK;
}

static enum sm_rc parse_bool(const struct sm_query_request *r, struct name name, bool *value, struct sm_err *err)
{
    static const char *const texts[] = {"0", "f", "F", "FALSE", "false", "False", "1", "t", "T", "TRUE", "true", "True"};
    struct sm_str text = param(r, name);
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++) {
        if (sm_str_eq(text, sm_str_c(texts[i]))) {
            *value = i >= SM_ARRAY_LEN(texts) / 2;
            return SM_OK;
        }
    }
    return text.len ? malformed(r, name, err) : SM_OK;
}

static enum sm_rc parse_depth(const struct sm_query_request *r, uint32_t *limit, struct sm_err *err)
{
    struct name name = {"query.searchDepth", "query.search_depth"};
    struct sm_str text;
    int64_t v = 0;
    if (!param(r, name).len)
        name.snake = "query.num_traces";
    text = param(r, name);
    if (text.len && (sm_query_int(text, &v) != SM_OK || v < 0 || v > UINT32_MAX))
        return malformed(r, name, err);
    *limit = v ? (uint32_t)SM_MIN(v, (int64_t)SM_STORE_LIMIT_MAX) : SM_JAEGER_V3_DEPTH_DEFAULT;
    return SM_OK;
}

/* The range is required, its end not part of it. */
static enum sm_rc parse_range(const struct sm_query_request *r, struct name from, struct name to, int64_t *min_ns,
                              int64_t *max_ns, struct sm_err *err)
{
    if (!param(r, from).len || !param(r, to).len)
        return sm_err_set(err, SM_E_INVALID, "%s and %s are required", from.camel, to.camel);
    enum sm_rc rc = parse_time(r, from, min_ns, err);
    if (rc == SM_OK)
        rc = parse_time(r, to, max_ns, err);
    if (rc == SM_OK && *min_ns >= *max_ns)
        rc = sm_err_set(err, SM_E_INVALID, "%s must be before %s", from.camel, to.camel);
    return rc;
}

static enum sm_rc parse_search_times(const struct sm_query_request *r, struct sm_store_query *query, struct sm_err *err)
{
    int64_t min_ns = 0, max_ns = 0;
    enum sm_rc rc = parse_range(r, (struct name){"query.startTimeMin", "query.start_time_min"},
                                (struct name){"query.startTimeMax", "query.start_time_max"}, &min_ns, &max_ns, err);
    query->start_min_ns = (uint64_t)min_ns;
    query->start_max_ns = (uint64_t)max_ns - (rc == SM_OK);
    if (rc == SM_OK)
        rc = parse_duration(r, (struct name){"query.durationMin", "query.duration_min"}, &query->duration_min_ns, err);
    if (rc == SM_OK)
        rc = parse_duration(r, (struct name){"query.durationMax", "query.duration_max"}, &query->duration_max_ns, err);
    if (rc == SM_OK && query->duration_max_ns && query->duration_max_ns < query->duration_min_ns)
        rc = sm_err_set(err, SM_E_INVALID, "query.durationMax must not be less than query.durationMin");
    return rc;
}

/* Conditions that would silently be ignored otherwise. */
static enum sm_rc refuse_unsupported(const struct sm_query_request *r, struct sm_err *err)
{
    static const char *const names[] = {"query.filter", "query.pagination.pageSize", "query.pagination.pageToken"};
    for (size_t i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (sm_query_param(r, names[i]).len)
            return sm_err_set(err, SM_E_UNSUPPORTED, "parameter %s is not supported", names[i]);
    }
    return SM_OK;
}

static enum sm_rc parse_search(const struct sm_query_request *r, struct sm_store_query *query, struct sm_jaeger_tags *tags,
                               bool *raw, struct sm_err *err)
{
    struct sm_err why = {0};
    struct sm_str attributes = sm_query_param(r, "query.attributes");
    *query = sm_store_query_default;
    query->match = SM_STORE_MATCH_SPAN;
    query->service = param(r, (struct name){"query.serviceName", "query.service_name"});
    query->operation = param(r, (struct name){"query.operationName", "query.operation_name"});
    enum sm_rc rc = refuse_unsupported(r, err);
    if (rc == SM_OK)
        rc = parse_search_times(r, query, err);
    if (rc == SM_OK)
        rc = parse_depth(r, &query->limit, err);
    if (rc == SM_OK)
        rc = parse_bool(r, (struct name){"query.rawTraces", "query.raw_traces"}, raw, err);
    if (rc == SM_OK && attributes.len && !sm_jaeger_tags_json(tags, attributes, &why))
        rc = sm_err_set(err, SM_E_INVALID, "malformed parameter query.attributes: %s", why.text);
    query->terms = tags->terms;
    query->term_count = tags->count;
    return rc;
}

/* ---- names ---- */

static void services(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_name_set names = {0};
    (void)r;
    sm_source_services(q->source, &names);
    sm_name_set_sort(&names);
    sm_buf_puts(&reply->body, "{\"services\":[");
    for (uint32_t i = 0; i < names.count; i++) {
        sm_buf_puts(&reply->body, i ? "," : "");
        sm_json_put_string(&reply->body, names.items[i].name);
    }
    sm_buf_puts(&reply->body, "]}");
    sm_name_set_fini(&names);
}

static void put_operations(const struct sm_name_set *names, int kind, struct sm_buf *out)
{
    bool first = true;
    sm_buf_puts(out, "{\"operations\":[");
    for (uint32_t i = 0; i < names->count; i++) {
        if (!sm_jaeger_kind_fits(kind, names->items[i].kind))
            continue;
        sm_buf_puts(out, first ? "{\"name\":" : ",{\"name\":");
        first = false;
        sm_json_put_string(out, names->items[i].name);
        sm_buf_printf(out, ",\"spanKind\":\"%s\"}", sm_jaeger_kind_name(names->items[i].kind));
    }
    sm_buf_puts(out, "]}");
}

static void operations(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_str service = sm_query_param(r, "service");
    struct sm_name_set names = {0};
    int kind;
    if (!service.len) {
        fail(reply, 400, "parameter service is required");
        return;
    }
    if (!sm_jaeger_kind_parse(sm_query_param_either(r, "spanKind", "span_kind"), &kind)) {
        fail(reply, 400, "malformed parameter spanKind: expected internal, server, client, producer or consumer");
        return;
    }
    sm_source_operations(q->source, service, false, &names);
    sm_name_set_sort(&names);
    put_operations(&names, kind, &reply->body);
    sm_name_set_fini(&names);
}

/* ---- traces ---- */

struct writing {
    struct sm_buf *out;
    bool raw;
    uint32_t count;
};

/* Span ids, kind and times, the last of each. */
static struct sm_shared_span ids_of(struct sm_str span, uint32_t at)
{
    const uint8_t *p = (const uint8_t *)span.ptr, *end = sm_pb_end(p, span.len);
    struct sm_shared_span ids = {.at = at};
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == SM_OTLP_SPAN_ID && f.wire == SM_PB_BYTES && f.size == 8)
            ids.id = sm_load_be64(f.bytes);
        else if (f.number == SM_OTLP_PARENT_SPAN_ID && f.wire == SM_PB_BYTES && f.size == 8)
            ids.parent_id = sm_load_be64(f.bytes);
        else if (f.number == SM_OTLP_KIND && f.wire == SM_PB_VARINT && f.value <= SM_KIND_CONSUMER)
            ids.kind = (enum sm_kind)f.value;
        else if (f.number == SM_OTLP_START && f.wire == SM_PB_FIXED64)
            ids.start_ns = f.value;
        else if (f.number == SM_OTLP_END && f.wire == SM_PB_FIXED64)
            ids.end_ns = f.value;
    }
    return ids;
}

static void put_id_field(struct sm_buf *out, uint32_t number, uint64_t id)
{
    uint8_t field[10] = {(uint8_t)(number << 3 | SM_PB_BYTES), 8};
    sm_store_be64(field + 2, id);
    sm_buf_put(out, field, sizeof field);
}

/* The spans that changed, in plain form with their new ids behind the old ones: in protobuf the last wins. Takes the place of
 * their bytes in `spans`. */
static void rewrite(struct sm_encode_span *spans, const struct sm_shared_span *ids, uint32_t count, struct sm_buf *bytes)
{
    size_t *from = sm_xcalloc(count + 1, sizeof *from);
    for (uint32_t i = 0; i < count; i++) {
        from[i] = bytes->size;
        if (!ids[i].changed)
            continue;
        sm_private_plain(spans[ids[i].at].bytes, bytes);
        put_id_field(bytes, SM_OTLP_SPAN_ID, ids[i].id);
        put_id_field(bytes, SM_OTLP_PARENT_SPAN_ID, ids[i].parent_id);
    }
    from[count] = bytes->size;
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i].changed)
            spans[ids[i].at].bytes = sm_str(bytes->data + from[i], from[i + 1] - from[i]);
    }
    free(from);
}

/* The trace as Jaeger shows it: every span has an id of its own. */
static void put_adjusted(const struct sm_source_trace *trace, struct sm_buf *out)
{
    uint32_t count = trace->span_count;
    struct sm_shared_span *ids = sm_xmalloc(SM_MAX(count, 1u) * sizeof *ids);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = ids_of(trace->spans[i].bytes, i);
    if (!sm_shared_ids_split(ids, count)) {
        sm_otlp_json_put_resource_spans(trace->spans, count, out);
    } else {
        struct sm_buf bytes = {0};
        struct sm_encode_span *spans = sm_xmalloc(count * sizeof *spans);
        memcpy(spans, trace->spans, count * sizeof *spans);
        rewrite(spans, ids, count, &bytes);
        sm_otlp_json_put_resource_spans(spans, count, out);
        sm_buf_fini(&bytes);
        free(spans);
    }
    free(ids);
}

static bool put_trace(void *ctx, const struct sm_source_trace *trace)
{
    struct writing *w = ctx;
    sm_buf_puts(w->out, w->count++ ? "," : "{\"result\":{\"resourceSpans\":[");
    if (w->raw)
        sm_otlp_json_put_resource_spans(trace->spans, trace->span_count, w->out);
    else
        put_adjusted(trace, w->out);
    return !w->out->overflow;
}

static void finish_traces(const struct writing *w, struct sm_query_reply *reply)
{
    if (w->count)
        sm_buf_puts(w->out, "]}}");
    else
        fail(reply, 404, "No traces found");
}

/* startTime and endTime are hints where to look, which an index by id does not need; they are checked all the same. */
static void trace(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.out = &reply->body};
    struct sm_err err = {0};
    struct sm_trace_id id;
    int64_t ignored;
    if (sm_query_trace_id(r->segments[3], &id) != SM_OK) {
        fail(reply, 400, "malformed parameter trace_id: expected 1 to 32 hex digits");
        return;
    }
    if (parse_time(r, (struct name){"startTime", "start_time"}, &ignored, &err) != SM_OK ||
        parse_time(r, (struct name){"endTime", "end_time"}, &ignored, &err) != SM_OK ||
        parse_bool(r, (struct name){"rawTraces", "raw_traces"}, &w.raw, &err) != SM_OK) {
        fail(reply, 400, err.text);
        return;
    }
    if (sm_source_get(q->source, id, put_trace, &w) != SM_OK)
        w.count = 0;
    finish_traces(&w, reply);
}

/* Answers a search with what `fn` writes; false after a failure. */
static bool search(struct sm_query *q, const struct sm_query_request *r, sm_source_trace_fn fn, struct writing *w,
                   struct sm_query_reply *reply)
{
    struct sm_store_query query;
    struct sm_jaeger_tags tags = {.count = 0};
    struct sm_err err = {0};
    enum sm_rc rc = parse_search(r, &query, &tags, &w->raw, &err);
    if (rc == SM_OK && sm_source_search(q->source, &query, fn, w, NULL) != SM_OK)
        rc = sm_err_set(&err, SM_E_INVALID, "the search is beyond the limits of the store");
    sm_jaeger_tags_fini(&tags);
    if (rc != SM_OK)
        fail(reply, rc == SM_E_UNSUPPORTED ? 501 : 400, err.text);
    return rc == SM_OK;
}

static void traces(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.out = &reply->body};
    if (search(q, r, put_trace, &w, reply))
        finish_traces(&w, reply);
}

/* ---- summaries ---- */

struct summary_span {
    struct sm_str service;
    uint64_t id, parent_id;
    bool error;
};

static struct sm_str service_name(struct sm_str name)
{
    return name.len ? name : SM_STR(SM_JAEGER_UNKNOWN_SERVICE);
}

static struct summary_span *read_spans(const struct sm_source_trace *trace)
{
    struct summary_span *spans = sm_xmalloc(SM_MAX(trace->span_count, 1u) * sizeof *spans);
    for (uint32_t i = 0; i < trace->span_count; i++) {
        struct sm_store_span s;
        sm_store_describe(&trace->spans[i], &s);
        spans[i] = (struct summary_span){service_name(s.service), ids_of(trace->spans[i].bytes, i).id, s.parent_id, s.error};
    }
    return spans;
}

static int by_id(const void *x, const void *y)
{
    const struct summary_span *a = x, *b = y;
    return a->id != b->id ? (a->id < b->id ? -1 : 1) : 0;
}

static int by_service(const void *x, const void *y)
{
    const struct summary_span *a = x, *b = y;
    return sm_str_cmp(a->service, b->service);
}

/* Spans whose parent is not there. Sorts by id. */
static uint32_t count_orphans(struct summary_span *spans, uint32_t count)
{
    uint32_t n = 0;
    qsort(spans, count, sizeof *spans, by_id);
    for (uint32_t i = 0; i < count; i++) {
        struct summary_span parent = {.id = spans[i].parent_id};
        n += parent.id && !bsearch(&parent, spans, count, sizeof *spans, by_id);
    }
    return n;
}

static void put_services(struct summary_span *spans, uint32_t count, struct sm_buf *out)
{
    qsort(spans, count, sizeof *spans, by_service);
    for (uint32_t from = 0, to; from < count; from = to) {
        uint32_t errors = 0;
        for (to = from; to < count && sm_str_eq(spans[to].service, spans[from].service); to++)
            errors += spans[to].error;
        sm_buf_puts(out, from ? ",{\"name\":" : "{\"name\":");
        sm_json_put_string(out, spans[from].service);
        sm_buf_printf(out, ",\"spanCount\":%u,\"errorSpanCount\":%u}", to - from, errors);
    }
}

static bool put_summary(void *ctx, const struct sm_source_trace *trace)
{
    struct writing *w = ctx;
    struct sm_buf *out = w->out;
    char hex[SM_TRACE_ID_HEX_SIZE];
    struct summary_span *spans = read_spans(trace);
    sm_trace_id_hex(trace->id, hex);
    sm_buf_printf(out, "%s{\"traceId\":\"%s\",\"rootServiceName\":", w->count++ ? "," : "", hex);
    sm_json_put_string(out, service_name(trace->root_service));
    sm_buf_puts(out, ",\"rootOperationName\":");
    sm_json_put_string(out, trace->root_operation);
    if (trace->start_ns)
        sm_buf_printf(out, ",\"minStartTimeUnixNano\":\"%llu\",\"maxEndTimeUnixNano\":\"%llu\"",
                      (unsigned long long)trace->start_ns, (unsigned long long)trace->end_ns);
    sm_buf_printf(out, ",\"spanCount\":%u,\"errorSpanCount\":%u,\"orphanSpanCount\":%u,\"services\":[", trace->span_count,
                  trace->error_count, count_orphans(spans, trace->span_count));
    put_services(spans, trace->span_count, out);
    sm_buf_puts(out, "]}");
    free(spans);
    return !out->overflow;
}

static void summaries(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.out = &reply->body};
    sm_buf_puts(&reply->body, "{\"summaries\":[");
    if (search(q, r, put_summary, &w, reply))
        sm_buf_puts(&reply->body, "]}");
}

/* ---- dependencies ---- */

static void put_dependencies(const struct sm_graph *graph, struct sm_buf *out)
{
    sm_buf_puts(out, "{\"dependencies\":[");
    for (size_t i = 0; i < graph->count; i++) {
        const struct sm_graph_edge *e = &graph->edges[i];
        sm_buf_puts(out, i ? ",{\"parent\":" : "{\"parent\":");
        sm_json_put_string(out, e->parent);
        sm_buf_puts(out, ",\"child\":");
        sm_json_put_string(out, e->child);
        sm_buf_printf(out, ",\"callCount\":\"%llu\"}", (unsigned long long)e->calls);
    }
    sm_buf_puts(out, "]}");
}

static void dependencies(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_graph graph = {0};
    struct sm_err err = {0};
    int64_t start_ns = 0, end_ns = 0;
    if (parse_range(r, (struct name){"startTime", "start_time"}, (struct name){"endTime", "end_time"}, &start_ns, &end_ns,
                    &err) != SM_OK) {
        fail(reply, 400, err.text);
        return;
    }
    if (!sm_query_graph(q, start_ns / SM_MS, end_ns / SM_MS, &graph)) {
        fail(reply, 503, "the dependency graph is not available now");
        return;
    }
    put_dependencies(&graph, &reply->body);
    sm_graph_fini(&graph);
}

/* ---- what is not there ---- */

static void no_span_search(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    fail(reply, 501, "span search is not supported");
}

static const struct sm_query_route routes[] = {
    {"api/v3/services", services},
    {"api/v3/operations", operations},
    {"api/v3/traces", traces},
    {"api/v3/traces/*", trace},
    {"api/v3/trace-summaries", summaries},
    {"api/v3/dependencies", dependencies},
    {"api/v3/spans", no_span_search},
};

const struct sm_query_api sm_jaeger_v3_api = {routes, SM_ARRAY_LEN(routes), "/api/v3/", fail};
