/* Decoding an uploaded document with tables of its own, and writing its traces. */
#include "query/transform.h"

#include <stdlib.h>

enum { NAMES_MAX = 200000, SCOPES_MAX = 100000, TABLE_BYTES_MAX = 64 << 20, POOL_IDLE_BYTES_MAX = 0 };

struct decoding {
    struct sm_decoder d;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_batch batch;
};

static void begin(struct decoding *x)
{
    x->wanted = sm_wanted_new(1);
    x->d.names = sm_names_new(NAMES_MAX, TABLE_BYTES_MAX);
    x->d.names_cache = sm_names_cache_new(x->d.names);
    x->scopes = sm_scopes_new(x->d.names, SCOPES_MAX, TABLE_BYTES_MAX);
    x->d.scopes = sm_scopes_cache_new(x->scopes, x->d.names_cache);
    x->d.wanted = x->wanted;
    x->d.limits = sm_codec_limits_default;
    x->d.pool = sm_payload_pool_new(POOL_IDLE_BYTES_MAX);
}

static void end(struct decoding *x)
{
    sm_batch_fini(&x->batch);
    sm_payload_pool_free(x->d.pool);
    sm_scopes_cache_free(x->d.scopes);
    sm_scopes_free(x->scopes);
    sm_names_cache_free(x->d.names_cache);
    sm_names_free(x->d.names);
    sm_wanted_free(x->wanted);
}

static enum sm_rc decode(struct decoding *x, struct sm_str document, struct sm_err *err)
{
    struct sm_payload *p = sm_payload_new(x->d.pool, document.len);
    if (!p)
        return sm_err_set(err, SM_E_NOMEM, "out of memory");
    if (document.len)
        memcpy(p->data, document.ptr, document.len);
    p->size = document.len;
    enum sm_rc rc = sm_codec_otlp_json.decode(&x->d, p, &x->batch, err);
    sm_payload_put(p);
    if (rc == SM_OK && x->batch.count == 0)
        rc = sm_err_set(err, SM_E_INVALID, "no spans in the document%s%s", x->batch.rejected_total ? ": " : "",
                        x->batch.reject_text);
    return rc;
}

/* A span's place in the batch, sorted by trace, in each trace as they came. */
struct place {
    struct sm_trace_id trace;
    uint32_t at;
};

static int compare(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    int c = sm_trace_id_cmp(a->trace, b->trace);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

static struct sm_encode_span encode_span(const struct decoding *x, uint32_t at)
{
    const struct sm_span *span = sm_batch_span(&x->batch, at);
    const struct sm_scope *scope = sm_scopes_get(x->scopes, span->scope_id);
    return (struct sm_encode_span){.resource = scope->resource->bytes,
                                   .resource_schema_url = scope->resource->schema_url,
                                   .scope = scope->bytes,
                                   .scope_schema_url = scope->schema_url,
                                   .bytes = sm_str(sm_batch_bytes(&x->batch, at), span->size)};
}

static void write_traces(const struct decoding *x, struct sm_jaeger_json *w, struct sm_buf *out)
{
    uint32_t count = x->batch.count;
    struct place *places = sm_xmalloc(count * sizeof *places);
    struct sm_encode_span *spans = sm_xmalloc(count * sizeof *spans);
    for (uint32_t i = 0; i < count; i++)
        places[i] = (struct place){x->batch.items[i].trace, i};
    qsort(places, count, sizeof *places, compare);
    for (uint32_t i = 0; i < count; i++)
        spans[i] = encode_span(x, places[i].at);
    for (uint32_t from = 0, to; from < count && !out->overflow; from = to) {
        for (to = from + 1; to < count && sm_trace_id_cmp(places[to].trace, places[from].trace) == 0; to++)
            ;
        struct sm_source_trace trace = {.id = places[from].trace, .spans = spans + from, .span_count = to - from};
        sm_buf_puts(out, from ? "," : "");
        sm_jaeger_json_put(w, &trace, false, out);
    }
    free(spans);
    free(places);
}

enum sm_rc sm_transform_otlp_json(struct sm_jaeger_json *w, struct sm_str document, struct sm_buf *out, struct sm_err *partly,
                                  struct sm_err *err)
{
    struct decoding x = {.scopes = NULL};
    begin(&x);
    enum sm_rc rc = decode(&x, document, err);
    if (rc == SM_OK)
        write_traces(&x, w, out);
    if (rc == SM_OK && x.batch.rejected_total)
        (void)sm_err_set(partly, SM_E_INVALID, "%u spans left out: %s", x.batch.rejected_total, x.batch.reject_text);
    end(&x);
    return rc;
}
