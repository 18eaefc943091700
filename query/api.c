/* Routing. */
#include "query/api.h"
#include "base/json_out.h"
#include "query/jaeger.h"
#include "query/jaeger_v3.h"
#include "query/own.h"
#include "query/zipkin.h"

#include <stdlib.h>

/* The first whose prefix fits gives the form of an error; the last fits every path. */
static const struct sm_query_api *const apis[] = {&sm_jaeger_v3_api, &sm_zipkin_api, &sm_own_api, &sm_jaeger_api};

struct sm_query *sm_query_new(const struct sm_query_env *env)
{
    struct sm_query *q = sm_xcalloc(1, sizeof *q);
    q->env = *env;
    q->source = sm_source_new(
        &(struct sm_source_config){.store = env->store, .pipeline = env->pipeline, .names = env->names, .scopes = env->scopes});
    q->jaeger_json = sm_jaeger_json_new();
    return q;
}

void sm_query_free(struct sm_query *q)
{
    if (!q)
        return;
    sm_source_free(q->source);
    sm_jaeger_json_free(q->jaeger_json);
    free(q);
}

bool sm_query_graph(struct sm_query *q, int64_t start_ms, int64_t end_ms, struct sm_graph *graph)
{
    if (q->env.graph)
        return q->env.graph(q->env.graph_ctx, start_ms, end_ms, graph);
    graph->start_ms = start_ms;
    graph->end_ms = end_ms;
    return true;
}

static bool pattern_fits(const char *pattern, const struct sm_query_request *r)
{
    for (unsigned i = 0; i < r->segment_count; i++) {
        size_t n = strcspn(pattern, "/");
        if (n == 0 || !(sm_str_eq(sm_str(pattern, n), SM_STR("*")) || sm_str_eq(sm_str(pattern, n), r->segments[i])))
            return false;
        pattern += n + (pattern[n] == '/');
    }
    return *pattern == '\0';
}

#define POST "POST "

static enum sm_query_method method_of(const struct sm_query_route *route)
{
    return strncmp(route->pattern, POST, strlen(POST)) == 0 ? SM_QUERY_POST : SM_QUERY_GET;
}

static const struct sm_query_route *find_route(const struct sm_query_request *r)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(apis); i++) {
        for (size_t k = 0; k < apis[i]->route_count; k++) {
            const struct sm_query_route *route = &apis[i]->routes[k];
            if (pattern_fits(route->pattern + (method_of(route) == SM_QUERY_POST ? strlen(POST) : 0), r))
                return route;
        }
    }
    return NULL;
}

enum sm_query_method sm_query_method(const char *base_path, struct sm_str path)
{
    struct sm_query_request r;
    if (sm_query_request_init(&r, path, SM_STR(""), base_path, 0) != SM_OK)
        return SM_QUERY_NONE;
    const struct sm_query_route *route = find_route(&r);
    sm_query_request_fini(&r);
    return route ? method_of(route) : SM_QUERY_NONE;
}

static bool contains(struct sm_str path, struct sm_str part)
{
    return part.len == 0 || memmem(path.ptr, path.len, part.ptr, part.len) != NULL;
}

/* Looks at the path as sent, for it may be the path that is broken. */
void sm_query_fail(struct sm_str path, uint16_t status, const char *text, struct sm_query_reply *reply)
{
    size_t i = 0;
    while (i + 1 < SM_ARRAY_LEN(apis) && !contains(path, sm_str_c(apis[i]->prefix)))
        i++;
    sm_buf_clear(&reply->body);
    reply->max_age_s = 0;
    apis[i]->fail(reply, status, text);
}

/* prettyPrint, as the links of Jaeger's UI have it ("Trace JSON"): any value but "false", here for every reply that is JSON. What would
 * be too large with blanks stays without. */
static void indent_if_asked(const struct sm_query_request *r, struct sm_query_reply *reply)
{
    enum { SPACES = 4 };
    struct sm_str wish = sm_query_param(r, "prettyPrint");
    struct sm_buf text = {.size_max = reply->body.size_max};
    if (wish.len == 0 || sm_str_eq(wish, SM_STR("false")) || strcmp(reply->content_type, "application/json") != 0 || reply->body.overflow)
        return;
    sm_json_put_indented(&text, sm_buf_str(&reply->body), SPACES);
    if (text.overflow) {
        sm_buf_fini(&text);
        return;
    }
    sm_buf_fini(&reply->body);
    reply->body = text;
}

static void handle(struct sm_query *q, enum sm_query_method method, struct sm_str path, const struct sm_query_request *r,
                   struct sm_query_reply *reply)
{
    const struct sm_query_route *route = find_route(r);
    if (!route || method_of(route) != method) {
        sm_query_fail(path, route ? 405 : 404, route ? "method not allowed" : "no such page", reply);
        return;
    }
    reply->status = 200;
    reply->content_type = "application/json";
    reply->body.size_max = SM_QUERY_REPLY_BYTES_MAX;
    route->handle(q, r, reply);
    indent_if_asked(r, reply);
    reply->body.size_max = 0;
    if (reply->body.overflow)
        sm_query_fail(path, 500, "the reply would be larger than 256 MiB: ask for fewer traces", reply);
}

static void answer(struct sm_query *q, enum sm_query_method method, struct sm_str path, struct sm_str query,
                   struct sm_str body, int64_t now_ns, struct sm_query_reply *reply)
{
    struct sm_query_request r;
    switch (sm_query_request_init(&r, path, query, q->env.base_path, now_ns)) {
    case SM_OK:
        r.body = body;
        handle(q, method, path, &r, reply);
        sm_query_request_fini(&r);
        return;
    case SM_E_NOTFOUND:
        sm_query_fail(path, 404, "no such page", reply);
        return;
    case SM_E_LIMIT:
        sm_query_fail(path, 400, "too many parameters", reply);
        return;
    default:
        sm_query_fail(path, 400, "the path or query is not percent-encoded UTF-8", reply);
    }
}

void sm_query_answer(struct sm_query *q, struct sm_str path, struct sm_str query, int64_t now_ns,
                     struct sm_query_reply *reply)
{
    answer(q, SM_QUERY_GET, path, query, (struct sm_str){NULL, 0}, now_ns, reply);
}

void sm_query_post(struct sm_query *q, struct sm_str path, struct sm_str query, struct sm_str body, int64_t now_ns,
                   struct sm_query_reply *reply)
{
    answer(q, SM_QUERY_POST, path, query, body, now_ns, reply);
}
