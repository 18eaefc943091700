#include "tests/unit/query/fixture.h"
#include "base/json.h"
#include "span/codec/otlp_encode.h"

#include <stdlib.h>

const struct fx_span qx_shop[] = {
    {.service = "gateway", .name = "GET /", .id = 0xa1, .start_us = QX_BASE_US, .duration_us = 1000, .kind = SM_KIND_SERVER,
     .attributes = {"http.request.method", "GET", "http.response.status_code", "#200"}},
    {.service = "gateway", .name = "cart.get", .id = 0xa2, .parent = 0xa1, .start_us = QX_BASE_US + 100, .duration_us = 800,
     .kind = SM_KIND_CLIENT, .attributes = {"peer.service", "cart"}},
    {.service = "cart", .name = "get cart", .id = 0xa3, .parent = 0xa2, .start_us = QX_BASE_US + 200, .duration_us = 600,
     .kind = SM_KIND_SERVER, .status = SM_STATUS_ERROR, .event = "cache miss", .scope = "cartlib"},
};
const uint32_t qx_shop_count = SM_ARRAY_LEN(qx_shop);

static void open_pipeline(struct qx *q)
{
    struct sm_err err = {0};
    struct sm_rules_error error;
    q->names = sm_names_new(1000, 1 << 20);
    q->scopes = sm_scopes_new(q->names, 1000, 1 << 20);
    q->wanted = sm_wanted_new(1);
    struct sm_rules_config none = {.count = 0};
    cr_assert_eq(sm_rules_new(&none, q->wanted, &q->rules, &error), SM_OK);
    struct sm_fanout_config fanout = {
        .shards = 2, .placement = SM_FANOUT_INLINE, .ordered = true, .names = q->names, .scopes = q->scopes};
    q->fanout = sm_fanout_new(&fanout, &err);
    cr_assert(q->fanout, "%s", err.text);
    struct sm_pipeline_config config = {
        .placement = SM_PLACEMENT_INLINE,
        .workers = 1,
        .shards = 2,
        .windows = sm_windows_default,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = 1000,
        .dropped_decisions_max = 1000,
        .start_ns = QX_NOW_NS,
        .names = q->names,
        .scopes = q->scopes,
        .wanted = q->wanted,
        .policy = sm_rules_policy(q->rules),
        .fanout = q->fanout,
    };
    q->pipeline = sm_pipeline_new(&config, &err);
    cr_assert(q->pipeline, "%s", err.text);
}

static void close_pipeline(struct qx *q)
{
    sm_pipeline_close_all(q->pipeline);
    sm_fanout_stop(q->fanout, 0);
    sm_pipeline_free(q->pipeline);
    sm_fanout_free(q->fanout);
    sm_rules_free(q->rules);
    sm_wanted_free(q->wanted);
    sm_scopes_free(q->scopes);
    sm_names_free(q->names);
}

static bool give_graph(void *ctx, int64_t start_ms, int64_t end_ms, struct sm_graph *graph)
{
    struct qx *q = ctx;
    q->graph_start_ms = graph->start_ms = start_ms;
    q->graph_end_ms = graph->end_ms = end_ms;
    if (q->graph_fails)
        return false;
    graph->count = q->edge_count;
    graph->edges = malloc((q->edge_count + 1) * sizeof *graph->edges);
    if (q->edge_count)
        memcpy(graph->edges, q->edges, q->edge_count * sizeof *graph->edges);
    return true;
}

struct qx *qx_open(void)
{
    struct qx *q = calloc(1, sizeof *q);
    q->dir = fx_dir();
    q->store = fx_open(q->dir, NULL);
    open_pipeline(q);
    q->env = (struct sm_query_env){.store = q->store,
                                   .pipeline = q->pipeline,
                                   .names = q->names,
                                   .scopes = q->scopes,
                                   .graph = give_graph,
                                   .graph_ctx = q,
                                   .base_path = "/jaeger"};
    q->query = sm_query_new(&q->env);
    return q;
}

void qx_close(struct qx *q)
{
    sm_query_free(q->query);
    close_pipeline(q);
    sm_store_close(q->store);
    fx_rmdir(q->dir);
    sm_buf_fini(&q->reply.body);
    free(q);
}

void qx_store(struct qx *q, struct sm_trace_id id, const struct fx_span *spans, uint32_t count)
{
    struct fx_trace t = fx_trace(id, spans, count);
    struct sm_err err = {0};
    fx_append(q->store, &t);
    cr_assert_eq(sm_store_commit(q->store, &err), SM_OK, "%s", err.text);
    fx_trace_free(&t);
}

static struct sm_payload *payload_of(struct sm_payload_pool *pool, struct sm_str bytes)
{
    struct sm_payload *p = sm_payload_new(pool, bytes.len);
    memcpy(p->data, bytes.ptr, bytes.len);
    p->size = bytes.len;
    p->arrived_ns = QX_NOW_NS;
    return p;
}

void qx_submit_payload(struct qx *q, const struct sm_codec *codec, struct sm_str payload)
{
    struct sm_submit result;
    struct sm_worker *w = sm_pipeline_worker(q->pipeline, 0);
    struct sm_payload *p = payload_of(sm_worker_payloads(w), payload);
    sm_worker_submit(w, codec, SM_SOURCE_LIVE, &p, &result);
    cr_assert(result.rc == SM_OK && result.rejected == 0, "%s", result.text);
}

void qx_submit(struct qx *q, struct sm_trace_id id, const struct fx_span *spans, uint32_t count)
{
    struct fx_trace t = fx_trace(id, spans, count);
    struct sm_buf body = {0};
    for (uint32_t i = 0; i < count; i++)
        sm_codec_otlp_proto_encode(&t.spans[i].encode, 1, &body);
    qx_submit_payload(q, &sm_codec_otlp_proto, sm_buf_str(&body));
    sm_buf_fini(&body);
    fx_trace_free(&t);
}

/* The spans of the batch that belong to the trace of its item `first`, unless an earlier item is of that trace. */
static void store_trace_of(struct qx *q, const struct sm_batch *batch, uint32_t first)
{
    struct sm_trace_id id = batch->items[first].trace;
    struct sm_store_span *spans = calloc(batch->count, sizeof *spans);
    struct sm_store_trace trace = {.meta = {.id = id, .verdict = SM_VERDICT_KEPT}, .spans = spans};
    struct sm_err err = {0};
    uint32_t count = 0, i = 0;
    while (i < first && sm_trace_id_cmp(batch->items[i].trace, id) != 0)
        i++;
    for (; i >= first && i < batch->count; i++) {
        const struct sm_scope *scope = sm_scopes_get(q->scopes, sm_batch_span(batch, i)->scope_id);
        struct sm_encode_span encode = {.resource = scope->resource->bytes,
                                        .scope = scope->bytes,
                                        .bytes = sm_str(sm_batch_bytes(batch, i), sm_batch_span(batch, i)->size)};
        if (sm_trace_id_cmp(batch->items[i].trace, id) == 0)
            sm_store_describe(&encode, &spans[count++]);
    }
    sm_store_summarise(spans, count, &trace.meta);
    trace.meta.stored_ns = QX_NOW_NS;
    if (count)
        cr_assert_eq(sm_store_append(q->store, &trace, &err), SM_OK, "%s", err.text);
    cr_assert_eq(sm_store_commit(q->store, &err), SM_OK, "%s", err.text);
    free(spans);
}

void qx_store_payload(struct qx *q, const struct sm_codec *codec, struct sm_str payload)
{
    struct sm_names_cache *names = sm_names_cache_new(q->names);
    struct sm_decoder d = {.names = q->names,
                           .names_cache = names,
                           .scopes = sm_scopes_cache_new(q->scopes, names),
                           .wanted = q->wanted,
                           .limits = sm_codec_limits_default,
                           .pool = sm_payload_pool_new(1 << 20)};
    struct sm_batch batch = {0};
    struct sm_err err = {0};
    struct sm_payload *p = payload_of(d.pool, payload);
    cr_assert_eq(codec->decode(&d, p, &batch, &err), SM_OK, "%s", err.text);
    cr_assert_eq(batch.rejected_total, 0, "%s", batch.reject_text);
    for (uint32_t i = 0; i < batch.count; i++)
        store_trace_of(q, &batch, i);
    sm_payload_put(p);
    sm_batch_fini(&batch);
    sm_payload_pool_free(d.pool);
    sm_scopes_cache_free(d.scopes);
    sm_names_cache_free(names);
}

static void clear_reply(struct qx *q)
{
    sm_buf_fini(&q->reply.body);
    q->reply = (struct sm_query_reply){0};
}

static uint16_t terminate_reply(struct qx *q)
{
    q->reply.body.size_max = 0;
    sm_buf_putc(&q->reply.body, '\0');
    q->reply.body.size--;
    return q->reply.status;
}

uint16_t qx_get(struct qx *q, const char *target)
{
    struct sm_str all = sm_str_c(target);
    const char *mark = strchr(target, '?');
    struct sm_str path = mark ? sm_str(target, (size_t)(mark - target)) : all;
    struct sm_str query = mark ? sm_str_c(mark + 1) : SM_STR("");
    clear_reply(q);
    sm_query_answer(q->query, path, query, QX_NOW_NS, &q->reply);
    return terminate_reply(q);
}

uint16_t qx_post(struct qx *q, const char *path, struct sm_str body)
{
    clear_reply(q);
    sm_query_post(q->query, sm_str_c(path), SM_STR(""), body, QX_NOW_NS, &q->reply);
    return terminate_reply(q);
}

const char *qx_body(const struct qx *q)
{
    return (const char *)q->reply.body.data;
}

bool qx_has(const struct qx *q, const char *text)
{
    return strstr(qx_body(q), text) != NULL;
}

unsigned qx_times(const struct qx *q, const char *text)
{
    unsigned n = 0;
    for (const char *p = qx_body(q); (p = strstr(p, text)); p += strlen(text))
        n++;
    return n;
}

void qx_expect(struct qx *q, const char *target, uint16_t status, const char *body)
{
    uint16_t got = qx_get(q, target);
    cr_assert(got == status && strcmp(qx_body(q), body) == 0, "%s\n got %u %s\nwant %u %s", target, got, qx_body(q), status,
              body);
}

void qx_expect_json(struct qx *q, const char *target, uint16_t status)
{
    struct sm_err err = {0};
    uint16_t got = qx_get(q, target);
    cr_assert_eq(got, status, "%s: got %u %s", target, got, qx_body(q));
    struct sm_json j = sm_json_reader(q->reply.body.data, q->reply.body.size, 100);
    sm_json_skip(&j);
    cr_assert_eq(sm_json_end(&j, &err), SM_OK, "%s: %s in %s", target, err.text, qx_body(q));
}
