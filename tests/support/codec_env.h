/* What decoding needs, for tests of codecs: tables, a decoder, one batch. One per test process. */
#ifndef SM_TEST_CODEC_ENV_H
#define SM_TEST_CODEC_ENV_H

#include "base/buf.h"
#include "span/attr.h"
#include "span/codec/codec.h"
#include "span/names.h"

#include <stdlib.h>

struct codec_env {
    struct sm_decoder d;
    struct sm_scopes *scopes;
    struct sm_batch batch;
    struct sm_err err; /* of the last decode */
    struct sm_buf out; /* of the last encode */
};

static inline void codec_env_init(struct codec_env *e)
{
    memset(e, 0, sizeof *e);
    e->d.names = sm_names_new(1000, 1 << 20);
    e->d.names_cache = sm_names_cache_new(e->d.names);
    e->scopes = sm_scopes_new(e->d.names, 1000, 1 << 20);
    e->d.scopes = sm_scopes_cache_new(e->scopes, e->d.names_cache);
    e->d.wanted = sm_wanted_new(1);
    e->d.limits = sm_codec_limits_default;
    e->d.pool = sm_payload_pool_new(1 << 20);
}

static inline void codec_env_fini(struct codec_env *e)
{
    sm_buf_fini(&e->out);
    sm_batch_fini(&e->batch);
    sm_payload_pool_free(e->d.pool);
    sm_scopes_cache_free(e->d.scopes);
    sm_scopes_free(e->scopes);
    sm_names_cache_free(e->d.names_cache);
    sm_names_free(e->d.names);
    sm_wanted_free((struct sm_wanted *)e->d.wanted);
}

static inline enum sm_rc codec_env_decode(struct codec_env *e, const struct sm_codec *codec, const void *bytes, size_t size)
{
    struct sm_payload *p = sm_payload_new(e->d.pool, size);
    if (size)
        memcpy(p->data, bytes, size);
    p->size = size;
    sm_batch_clear(&e->batch);
    e->err = (struct sm_err){0};
    enum sm_rc rc = codec->decode(&e->d, p, &e->batch, &e->err);
    sm_payload_put(p);
    return rc;
}

static inline enum sm_rc codec_env_decode_text(struct codec_env *e, const struct sm_codec *codec, const char *text)
{
    return codec_env_decode(e, codec, text, strlen(text));
}

static inline const struct sm_span *codec_env_span(const struct codec_env *e, uint32_t i)
{
    return sm_batch_span(&e->batch, i);
}

static inline struct sm_str codec_env_name(const struct codec_env *e, uint32_t i)
{
    return sm_names_get(e->d.names, codec_env_span(e, i)->name_id);
}

static inline const struct sm_resource *codec_env_resource(const struct codec_env *e, uint32_t i)
{
    return sm_scopes_get(e->scopes, codec_env_span(e, i)->scope_id)->resource;
}

static inline struct sm_str codec_env_service(const struct codec_env *e, uint32_t i)
{
    return sm_names_get(e->d.names, codec_env_resource(e, i)->service_id);
}

/* The span's attribute as text in `out`; false when there is none. */
static inline bool codec_env_attribute(struct codec_env *e, uint32_t i, const char *key, const char *expected)
{
    struct sm_value value;
    bool found = sm_attr_find(sm_batch_bytes(&e->batch, i), codec_env_span(e, i)->size, SM_OTLP_ATTRIBUTES, sm_str_c(key), &value);
    sm_buf_clear(&e->out);
    if (found)
        sm_value_text(&value, &e->out);
    return found && sm_str_eq(sm_buf_str(&e->out), sm_str_c(expected));
}

/* All spans of the batch, ready to be encoded; free it. */
static inline struct sm_encode_span *codec_env_spans(const struct codec_env *e)
{
    struct sm_encode_span *spans = sm_xcalloc(e->batch.count + 1, sizeof *spans);
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_scope *scope = sm_scopes_get(e->scopes, codec_env_span(e, i)->scope_id);
        spans[i] = (struct sm_encode_span){.resource = scope->resource->bytes,
                                           .resource_schema_url = scope->resource->schema_url,
                                           .scope = scope->bytes,
                                           .scope_schema_url = scope->schema_url,
                                           .bytes = sm_str(sm_batch_bytes(&e->batch, i), codec_env_span(e, i)->size)};
    }
    return spans;
}

/* The batch by a codec's encoder, as a terminated text. */
static inline const char *codec_env_encode(struct codec_env *e, const struct sm_codec *codec)
{
    struct sm_encode_span *spans = codec_env_spans(e);
    sm_buf_clear(&e->out);
    codec->encode(spans, e->batch.count, &e->out);
    sm_buf_putc(&e->out, '\0');
    free(spans);
    return (const char *)e->out.data;
}

#endif
