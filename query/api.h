/* The query APIs, synchronous: a target comes in, a reply goes out. query/service.h puts them behind listeners.
 *
 * Each API is one file that lists its routes; errors are answered in the form of the API that the path belongs to. An instance is
 * used by one thread at a time, which must not be a pipeline worker's. */
#ifndef SM_QUERY_API_H
#define SM_QUERY_API_H

#include "base/base.h"
#include "query/jaeger_json.h"
#include "query/request.h"
#include "query/source.h"
#include "span/graph.h"

#define SM_QUERY_REPLY_BYTES_MAX (UINT64_C(256) << 20) /* longer replies become an error */

/* What the APIs read. Members may be NULL; what they point to must outlive the instance. */
struct sm_query_env {
    struct sm_store *store;
    struct sm_pipeline *pipeline; /* with names and scopes */
    const struct sm_names *names;
    const struct sm_scopes *scopes;
    /* The dependency graph of a time range (Unix ms) into a zero-initialised graph; false when it cannot be had now. Called on the
     * thread that asks. NULL: there is no graph. */
    bool (*graph)(void *ctx, int64_t start_ms, int64_t end_ms, struct sm_graph *graph);
    void *graph_ctx;
    const char *base_path;                /* optional prefix of every path, "/jaeger" */
    const char *const *autocomplete_keys; /* Zipkin: tags whose values are offered; NULL-terminated */
};

struct sm_query {
    struct sm_query_env env;
    struct sm_source *source;
    struct sm_jaeger_json *jaeger_json;
    uint32_t service_count; /* of the last list of services: Zipkin lets caches keep names only where there are some */
};

struct sm_query *sm_query_new(const struct sm_query_env *env) SM_MUST_USE;
void sm_query_free(struct sm_query *q);

/* Answers GET `path`?`query` (as sent, encoded). *reply is zero-initialised; the caller frees its body. */
void sm_query_answer(struct sm_query *q, struct sm_str path, struct sm_str query, int64_t now_ns,
                     struct sm_query_reply *reply);
/* Answers POST with a body. */
void sm_query_post(struct sm_query *q, struct sm_str path, struct sm_str query, struct sm_str body, int64_t now_ns,
                   struct sm_query_reply *reply);

/* What a path answers to; none: there is no such page. Any thread. */
enum sm_query_method { SM_QUERY_NONE, SM_QUERY_GET, SM_QUERY_POST };
enum sm_query_method sm_query_method(const char *base_path, struct sm_str path);

/* The error in the form of the API to which the path belongs. */
void sm_query_fail(struct sm_str path, uint16_t status, const char *text, struct sm_query_reply *reply);

/* ---- for the files of the APIs ---- */

/* The dependency graph of a time range into a zero-initialised graph; an empty one without a source of graphs. False when it
 * cannot be had now. */
bool sm_query_graph(struct sm_query *q, int64_t start_ms, int64_t end_ms, struct sm_graph *graph) SM_MUST_USE;

struct sm_query_route {
    const char *pattern; /* segments; "*" is any one: "api/services/" "*" "/operations"; with "POST " in front: for POST */
    void (*handle)(struct sm_query *q, const struct sm_query_request *r, struct sm_query_reply *reply);
};

struct sm_query_api {
    const struct sm_query_route *routes;
    size_t route_count;
    const char *prefix; /* paths below it get this API's errors */
    void (*fail)(struct sm_query_reply *reply, uint16_t status, const char *text);
};

#endif
