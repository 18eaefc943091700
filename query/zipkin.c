/* Zipkin's query API. */
#include "query/zipkin.h"
#include "base/json_out.h"
#include "base/utf8.h"
#include "span/attr.h"
#include "store/match.h"

#include <stdlib.h>

enum { DAY_MS = 86400 * 1000, SERVICES_UNCACHED_MAX = 3, NAMES_MAX_AGE_S = 300, CONFIG_MAX_AGE_S = 600 };

static void fail(struct sm_query_reply *reply, uint16_t status, const char *text)
{
    reply->status = status;
    reply->content_type = "text/plain; charset=utf-8";
    reply->max_age_s = 0;
    sm_buf_clear(&reply->body);
    sm_buf_puts(&reply->body, text);
}

/* ---- parameters ---- */

/* A parameter that must be positive if it is there; leaves *value alone without it. */
static enum sm_rc parse_positive(const struct sm_query_request *r, const char *name, int64_t *value, struct sm_err *err)
{
    struct sm_str text = sm_query_param(r, name);
    if (!text.len)
        return SM_OK;
    if (sm_query_int(text, value) != SM_OK)
        return sm_err_set(err, SM_E_INVALID, "%s is not a number: %.*s", name, (int)SM_MIN(text.len, (size_t)100), text.ptr);
    return *value > 0 ? SM_OK : sm_err_set(err, SM_E_INVALID, "%s should be positive: was %lld", name, (long long)*value);
}

static bool need(const struct sm_query_request *r, const char *name, struct sm_str *value, struct sm_query_reply *reply)
{
    char text[64];
    *value = sm_query_param(r, name);
    if (value->len)
        return true;
    snprintf(text, sizeof text, "parameter %s is required", name);
    fail(reply, 400, text);
    return false;
}

/* Zipkin's units are coarser than ours: the end of a range takes in the whole microsecond. */
#define US_REST_NS 999

static uint64_t to_ns(int64_t value, int64_t unit_ns)
{
    return value > (INT64_MAX - US_REST_NS) / unit_ns ? INT64_MAX - US_REST_NS : (uint64_t)(value * unit_ns);
}

static enum sm_rc parse_window(const struct sm_query_request *r, struct sm_store_query *query, struct sm_err *err)
{
    int64_t end_ms = r->now_ns / SM_MS, lookback_ms = DAY_MS;
    enum sm_rc rc = parse_positive(r, "endTs", &end_ms, err);
    if (rc == SM_OK)
        rc = parse_positive(r, "lookback", &lookback_ms, err);
    query->start_min_ns = to_ns(end_ms - SM_MIN(lookback_ms, end_ms), SM_MS);
    query->start_max_ns = to_ns(end_ms, SM_MS) + US_REST_NS;
    return rc;
}

static enum sm_rc parse_durations(const struct sm_query_request *r, struct sm_store_query *query, struct sm_err *err)
{
    int64_t min_us = 0, max_us = 0;
    enum sm_rc rc = parse_positive(r, "minDuration", &min_us, err);
    if (rc == SM_OK)
        rc = parse_positive(r, "maxDuration", &max_us, err);
    if (rc == SM_OK && max_us && !min_us)
        rc = sm_err_set(err, SM_E_INVALID, "maxDuration is only valid with minDuration");
    if (rc == SM_OK && max_us && max_us < min_us)
        rc = sm_err_set(err, SM_E_INVALID, "maxDuration should be >= minDuration");
    query->duration_min_ns = to_ns(min_us, SM_US);
    query->duration_max_ns = max_us ? to_ns(max_us, SM_US) + US_REST_NS : 0;
    return rc;
}

/* ---- annotationQuery ---- */

/* "error" or "http.method=GET". */
static struct sm_store_term term_of(struct sm_str text)
{
    const char *mark = memchr(text.ptr, '=', text.len);
    size_t n = mark ? (size_t)(mark - text.ptr) : text.len;
    struct sm_str value = mark ? sm_str_trim(sm_str(mark + 1, text.len - n - 1)) : (struct sm_str){NULL, 0};
    return (struct sm_store_term){.key = sm_str_trim(sm_str(text.ptr, n)), .value = value, .any_value = value.len == 0};
}

static struct sm_store_term *find_term(struct sm_store_term *terms, uint32_t count, struct sm_str key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sm_str_eq(terms[i].key, key))
            return &terms[i];
    }
    return NULL;
}

/* Conditions joined by " and ". As in Zipkin, of a key that is there twice the last value counts. */
static enum sm_rc parse_terms(struct sm_str text, struct sm_store_term *terms, uint32_t *count, struct sm_err *err)
{
    static const char joint[] = " and ";
    const size_t joint_len = sizeof joint - 1;
    *count = 0;
    while (text.len) {
        const char *end = memmem(text.ptr, text.len, joint, joint_len);
        struct sm_str part = sm_str_trim(end ? sm_str(text.ptr, (size_t)(end - text.ptr)) : text);
        text = end ? sm_str(end + joint_len, text.len - (size_t)(end - text.ptr) - joint_len) : (struct sm_str){NULL, 0};
        if (!part.len || part.ptr[0] == '=')
            continue;
        struct sm_store_term term = term_of(part), *same = find_term(terms, *count, term.key);
        if (same && !term.any_value)
            *same = term;
        if (same)
            continue;
        if (*count == SM_STORE_TERMS_MAX)
            return sm_err_set(err, SM_E_LIMIT, "annotationQuery has more than %d conditions", SM_STORE_TERMS_MAX);
        terms[(*count)++] = term;
    }
    return SM_OK;
}

/* ---- names ---- */

/* Writes the names in lower case, each once, sorted; leaves it to caches as Zipkin does. */
static void put_names(struct sm_query *q, const struct sm_name_set *found, struct sm_query_reply *reply)
{
    struct sm_name_set names = {0};
    struct sm_buf lower = {0};
    for (uint32_t i = 0; i < found->count; i++) {
        struct sm_str name = found->items[i].name;
        sm_buf_clear(&lower);
        sm_buf_reserve(&lower, name.len);
        sm_utf8_lower(lower.data, name.ptr, name.len);
        sm_name_set_add(&names, sm_str(lower.data, name.len), SM_KIND_UNSPECIFIED);
    }
    sm_name_set_sort(&names);
    sm_buf_putc(&reply->body, '[');
    for (uint32_t i = 0; i < names.count; i++) {
        sm_buf_puts(&reply->body, i ? "," : "");
        sm_json_put_string(&reply->body, names.items[i].name);
    }
    sm_buf_putc(&reply->body, ']');
    reply->max_age_s = q->service_count > SERVICES_UNCACHED_MAX ? NAMES_MAX_AGE_S : 0;
    sm_buf_fini(&lower);
    sm_name_set_fini(&names);
}

static void services(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_name_set names = {0};
    (void)r;
    sm_source_services(q->source, &names);
    sm_name_set_sort(&names);
    q->service_count = names.count;
    put_names(q, &names, reply);
    sm_name_set_fini(&names);
}

static void names_of_service(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply,
                             void (*list)(struct sm_source *, struct sm_str, bool, struct sm_name_set *))
{
    struct sm_name_set names = {0};
    struct sm_str service;
    if (!need(r, "serviceName", &service, reply))
        return;
    list(q->source, service, true, &names);
    sm_name_set_sort(&names);
    put_names(q, &names, reply);
    sm_name_set_fini(&names);
}

static void span_names(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    names_of_service(q, r, reply, sm_source_operations);
}

static void remote_services(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    names_of_service(q, r, reply, sm_source_remote_services);
}

/* ---- traces ---- */

struct writing {
    struct sm_buf *out;
    uint32_t count;
};

/* One list of spans. A trace of which no span can be written is left out, since clients take its first. */
static bool put_trace(void *ctx, const struct sm_source_trace *trace)
{
    struct writing *w = ctx;
    size_t before = w->out->size;
    sm_buf_puts(w->out, w->count ? "," : "");
    size_t at = w->out->size;
    sm_codec_zipkin_json.encode(trace->spans, trace->span_count, w->out);
    if (w->out->size - at > strlen("[]"))
        w->count++;
    else
        w->out->size = before;
    return !w->out->overflow;
}

static bool put_first_trace(void *ctx, const struct sm_source_trace *trace)
{
    struct writing *w = ctx;
    return put_trace(ctx, trace) && !w->count;
}

static enum sm_rc parse_search(const struct sm_query_request *r, struct sm_store_query *query, struct sm_store_term *terms,
                               struct sm_err *err)
{
    int64_t limit = SM_ZIPKIN_LIMIT_DEFAULT;
    struct sm_str name = sm_query_param(r, "spanName");
    *query = sm_store_query_default;
    query->match = SM_STORE_MATCH_TRACE;
    query->fold_case = true;
    query->service = sm_query_param(r, "serviceName");
    query->remote_service = sm_query_param(r, "remoteServiceName");
    query->operation = sm_match_name(name, SM_STR("all"), true) ? (struct sm_str){NULL, 0} : name;
    query->terms = terms;
    enum sm_rc rc = parse_window(r, query, err);
    if (rc == SM_OK)
        rc = parse_durations(r, query, err);
    if (rc == SM_OK)
        rc = parse_positive(r, "limit", &limit, err);
    if (rc == SM_OK)
        rc = parse_terms(sm_query_param(r, "annotationQuery"), terms, &query->term_count, err);
    query->limit = (uint32_t)SM_MIN(limit, (int64_t)SM_STORE_LIMIT_MAX);
    return rc;
}

static void traces(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_store_term terms[SM_STORE_TERMS_MAX];
    struct sm_store_query query;
    struct sm_err err = {0};
    struct writing w = {.out = &reply->body};
    sm_buf_putc(&reply->body, '[');
    if (parse_search(r, &query, terms, &err) != SM_OK)
        fail(reply, 400, err.text);
    else if (sm_source_search(q->source, &query, put_trace, &w, NULL) != SM_OK)
        fail(reply, 400, "the search is beyond the limits of the store");
    else
        sm_buf_putc(&reply->body, ']');
}

static bool take_id(struct sm_str text, struct sm_trace_id *id, struct sm_query_reply *reply)
{
    char message[128];
    text = sm_str_trim(text);
    if (sm_trace_id_parse(text, id) == SM_OK)
        return true;
    snprintf(message, sizeof message, "%.*s should be a 1 to 32 character lower-hex string with no prefix",
             (int)SM_MIN(text.len, (size_t)40), text.ptr);
    fail(reply, 400, message);
    return false;
}

static void trace(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct writing w = {.out = &reply->body};
    char hex[SM_TRACE_ID_HEX_SIZE], message[SM_TRACE_ID_HEX_SIZE + 16];
    struct sm_trace_id id;
    if (!take_id(r->segments[r->segment_count - 1], &id, reply))
        return;
    if (sm_source_get(q->source, id, put_first_trace, &w) == SM_OK && (w.count || reply->body.overflow))
        return;
    sm_jaeger_trace_id(id, hex); /* which is how Zipkin prints ids too */
    snprintf(message, sizeof message, "%s not found", hex);
    fail(reply, 404, message);
}

static int compare_ids(const void *a, const void *b)
{
    const struct sm_trace_id *x = a, *y = b;
    return sm_trace_id_cmp(*x, *y);
}

static bool has_twice(const struct sm_trace_id *ids, uint32_t count)
{
    struct sm_trace_id *sorted = sm_xmalloc(SM_MAX(count, 1u) * sizeof *sorted);
    bool twice = false;
    memcpy(sorted, ids, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_ids);
    for (uint32_t i = 1; i < count; i++)
        twice |= compare_ids(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    return twice;
}

/* Comma-separated ids, at least two, no two alike; false after a failure. */
static bool parse_ids(struct sm_str text, struct sm_trace_id ids[SM_ZIPKIN_IDS_MAX], uint32_t *count,
                      struct sm_query_reply *reply)
{
    for (*count = 0; text.len;) {
        const char *comma = memchr(text.ptr, ',', text.len);
        struct sm_str part = comma ? sm_str(text.ptr, (size_t)(comma - text.ptr)) : text;
        text = comma ? sm_str(comma + 1, text.len - part.len - 1) : (struct sm_str){NULL, 0};
        if (*count == SM_ZIPKIN_IDS_MAX) {
            fail(reply, 400, "traceIds parameter has more than 1000 trace IDs");
            return false;
        }
        if (!take_id(part, &ids[(*count)++], reply))
            return false;
    }
    if (*count < 2)
        fail(reply, 400, *count ? "Use /api/v2/trace endpoint to retrieve a single trace ID" : "traceIds parameter is empty");
    else if (has_twice(ids, *count))
        fail(reply, 400, "redundant trace ID in the traceIds parameter");
    else
        return true;
    return false;
}

static void trace_many(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_trace_id ids[SM_ZIPKIN_IDS_MAX];
    struct writing w = {.out = &reply->body};
    uint32_t count;
    if (!parse_ids(sm_query_param(r, "traceIds"), ids, &count, reply))
        return;
    sm_buf_putc(&reply->body, '[');
    for (uint32_t i = 0; i < count && !reply->body.overflow; i++)
        (void)!sm_source_get(q->source, ids[i], put_trace, &w); /* those that are not there are left out */
    sm_buf_putc(&reply->body, ']');
}

/* ---- dependencies ---- */

/* A call between services whose names are in lower case. */
struct link {
    struct sm_str parent, child;
    uint64_t calls, errors;
};

static int compare_links(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    int c = sm_str_cmp(x->parent, y->parent);
    return c ? c : sm_str_cmp(x->child, y->child);
}

static struct sm_str put_lower(uint8_t **at, struct sm_str name)
{
    uint8_t *lower = *at;
    sm_utf8_lower(lower, name.ptr, name.len);
    *at += name.len;
    return sm_str(lower, name.len);
}

/* Adds up what differs in letter case alone. Returns how many links are left. */
static size_t sum_links(struct link *links, size_t count)
{
    size_t n = 0;
    qsort(links, count, sizeof *links, compare_links);
    for (size_t i = 1; i < count; i++) {
        if (compare_links(&links[n], &links[i]) != 0) {
            links[++n] = links[i];
            continue;
        }
        links[n].calls += links[i].calls;
        links[n].errors += links[i].errors;
    }
    return count ? n + 1 : 0;
}

static void put_link(struct sm_buf *out, const struct link *l)
{
    sm_buf_puts(out, "{\"parent\":");
    sm_json_put_string(out, l->parent);
    sm_buf_puts(out, ",\"child\":");
    sm_json_put_string(out, l->child);
    sm_buf_printf(out, ",\"callCount\":%llu", (unsigned long long)l->calls);
    if (l->errors)
        sm_buf_printf(out, ",\"errorCount\":%llu", (unsigned long long)l->errors);
    sm_buf_putc(out, '}');
}

/* Names of services have no case in Zipkin; spans of other formats keep theirs. */
static void put_links(const struct sm_graph *graph, struct sm_buf *out)
{
    size_t bytes = 0, count = graph->count;
    for (size_t i = 0; i < count; i++)
        bytes += graph->edges[i].parent.len + graph->edges[i].child.len;
    struct link *links = sm_xmalloc(count * sizeof *links + bytes + 1);
    uint8_t *at = (uint8_t *)(links + count);
    for (size_t i = 0; i < count; i++) {
        const struct sm_graph_edge *e = &graph->edges[i];
        links[i] = (struct link){put_lower(&at, e->parent), put_lower(&at, e->child), e->calls, e->errors};
    }
    count = sum_links(links, count);
    sm_buf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            sm_buf_putc(out, ',');
        put_link(out, &links[i]);
    }
    sm_buf_putc(out, ']');
    free(links);
}

static void dependencies(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct sm_graph graph = {0};
    struct sm_err err = {0};
    struct sm_str required;
    int64_t end_ms = 0, lookback_ms = DAY_MS;
    if (!need(r, "endTs", &required, reply))
        return;
    if (parse_positive(r, "endTs", &end_ms, &err) != SM_OK || parse_positive(r, "lookback", &lookback_ms, &err) != SM_OK) {
        fail(reply, 400, err.text);
        return;
    }
    if (!sm_query_graph(q, end_ms - SM_MIN(lookback_ms, end_ms), end_ms, &graph)) {
        fail(reply, 503, "the dependency graph is not available now");
        return;
    }
    put_links(&graph, &reply->body);
    sm_graph_fini(&graph);
}

/* ---- autocompletion ---- */

static void autocomplete_keys(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)r;
    sm_buf_putc(&reply->body, '[');
    for (const char *const *key = q->env.autocomplete_keys; key && *key; key++) {
        sm_buf_puts(&reply->body, key == q->env.autocomplete_keys ? "" : ",");
        sm_json_put_string(&reply->body, sm_str_c(*key));
    }
    sm_buf_putc(&reply->body, ']');
}

static bool is_autocomplete_key(const struct sm_query *q, struct sm_str name)
{
    for (const char *const *key = q->env.autocomplete_keys; key && *key; key++) {
        if (sm_str_eq(sm_str_c(*key), name))
            return true;
    }
    return false;
}

struct values {
    struct sm_str key;
    struct sm_name_set set;
    struct sm_buf text;
};

static bool note_values(void *ctx, const struct sm_source_trace *trace)
{
    struct values *v = ctx;
    struct sm_value value;
    for (uint32_t i = 0; i < trace->span_count; i++) {
        struct sm_str span = trace->spans[i].bytes;
        if (!sm_attr_find(span.ptr, span.len, SM_OTLP_ATTRIBUTES, v->key, &value))
            continue;
        sm_buf_clear(&v->text);
        sm_value_text(&value, &v->text);
        sm_name_set_add(&v->set, sm_buf_str(&v->text), SM_KIND_UNSPECIFIED);
    }
    return true;
}

/* Values in the newest traces of the last day; none for a key that is not configured. */
static void find_values(struct sm_query *q, const struct sm_query_request *r, struct values *v)
{
    struct sm_store_term term = {.key = v->key, .any_value = true};
    struct sm_store_query query = sm_store_query_default;
    query.match = SM_STORE_MATCH_TRACE;
    query.terms = &term;
    query.term_count = 1;
    query.limit = SM_ZIPKIN_AUTOCOMPLETE_TRACES;
    query.start_min_ns = (uint64_t)SM_MAX(r->now_ns - DAY_MS * SM_MS, INT64_C(0));
    if (is_autocomplete_key(q, v->key))
        (void)!sm_source_search(q->source, &query, note_values, v, NULL);
}

static void autocomplete_values(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    struct values v = {.key = {NULL, 0}};
    if (!need(r, "key", &v.key, reply))
        return;
    find_values(q, r, &v);
    sm_name_set_sort(&v.set);
    sm_buf_putc(&reply->body, '[');
    for (uint32_t i = 0; i < v.set.count; i++) {
        sm_buf_puts(&reply->body, i ? "," : "");
        sm_json_put_string(&reply->body, v.set.items[i].name);
    }
    sm_buf_putc(&reply->body, ']');
    sm_name_set_fini(&v.set);
    sm_buf_fini(&v.text);
}

/* ---- about the server ---- */

static void health(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    sm_buf_puts(&reply->body, "{\"status\":\"UP\",\"zipkin\":{\"status\":\"UP\",\"details\":{}}}");
}

static void info(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    sm_buf_puts(&reply->body, "{\"spanmill\":{\"version\":\"" SM_VERSION "\"}}");
}

/* What Zipkin's UI asks first. */
static void config(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply)
{
    (void)q;
    (void)r;
    reply->max_age_s = CONFIG_MAX_AGE_S;
    sm_buf_puts(&reply->body,
                "{\"environment\":\"\",\"queryLimit\":10,\"defaultLookback\":900000,\"searchEnabled\":true,\"logsUrl\":null,"
                "\"supportUrl\":null,\"archivePostUrl\":null,\"archiveUrl\":null,"
                "\"dependency\":{\"enabled\":true,\"lowErrorRate\":0.5,\"highErrorRate\":0.75}}");
}

#define TWICE(path, handler) {path, handler}, {"zipkin/" path, handler}

static const struct sm_query_route routes[] = {
    TWICE("api/v2/services", services),
    TWICE("api/v2/spans", span_names),
    TWICE("api/v2/remoteServices", remote_services),
    TWICE("api/v2/traces", traces),
    TWICE("api/v2/trace/*", trace),
    TWICE("api/v2/traceMany", trace_many),
    TWICE("api/v2/dependencies", dependencies),
    TWICE("api/v2/autocompleteKeys", autocomplete_keys),
    TWICE("api/v2/autocompleteValues", autocomplete_values),
    {"zipkin/config.json", config},
    {"health", health},
    {"actuator/health", health},
    {"info", info},
};

const struct sm_query_api sm_zipkin_api = {routes, SM_ARRAY_LEN(routes), "/api/v2/", fail};
