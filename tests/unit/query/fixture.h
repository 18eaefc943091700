/* A store in a new directory, open windows on a virtual clock, a graph, and the query APIs over them. */
#ifndef QUERY_FIXTURE_H
#define QUERY_FIXTURE_H

#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "query/api.h"
#include "tests/unit/store/fixture.h"

#include <criterion/criterion.h>

/* The clock of requests and arrivals: a minute after FX_BASE_NS, where the traces of the tests lie. */
#define QX_NOW_NS ((int64_t)FX_BASE_NS + 60 * SM_SEC)
#define QX_BASE_US (FX_BASE_NS / 1000)

struct qx {
    const char *dir;
    struct sm_store *store;
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_rules *rules;
    struct sm_fanout *fanout;
    struct sm_pipeline *pipeline;
    struct sm_query_env env;
    struct sm_query *query;
    struct sm_query_reply reply;
    const struct sm_graph_edge *edges; /* what the graph callback gives */
    size_t edge_count;
    int64_t graph_start_ms, graph_end_ms; /* what it was asked for */
    bool graph_fails;
};

struct qx *qx_open(void);
void qx_close(struct qx *q);

/* Stores a trace, readable at once. */
void qx_store(struct qx *q, struct sm_trace_id id, const struct fx_span *spans, uint32_t count);
/* Puts spans into open windows. */
void qx_submit(struct qx *q, struct sm_trace_id id, const struct fx_span *spans, uint32_t count);
/* The same with a payload as a client sent it: into open windows, or into the store. */
void qx_submit_payload(struct qx *q, const struct sm_codec *codec, struct sm_str payload);
void qx_store_payload(struct qx *q, const struct sm_codec *codec, struct sm_str payload);

/* GET: returns the status; the body is in qx_body, terminated. */
uint16_t qx_get(struct qx *q, const char *target);
uint16_t qx_post(struct qx *q, const char *path, struct sm_str body);
const char *qx_body(const struct qx *q);
bool qx_has(const struct qx *q, const char *text);
unsigned qx_times(const struct qx *q, const char *text);

/* Asserts status and whole body. */
void qx_expect(struct qx *q, const char *target, uint16_t status, const char *body);
/* Asserts the status, and that the body is one well-formed JSON value. */
void qx_expect_json(struct qx *q, const char *target, uint16_t status);

/* A shop: gateway -> cart (error, slow) and gateway -> stock; ids fx_id(1). Stored by qx_store_shop. */
extern const struct fx_span qx_shop[];
extern const uint32_t qx_shop_count;
#define QX_SHOP_HEX "11112222333344440000000000000001"

#endif
