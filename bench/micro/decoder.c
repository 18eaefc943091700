#include "bench/micro/decoder.h"

enum { NAMES_MAX = 100000, SCOPES_MAX = 10000 };
#define TEXT_BYTES_MAX (64 * SM_MIB)
#define POOL_BYTES     (64 * SM_MIB)

static struct sm_payload *copy_of(struct sm_payload_pool *pool, const struct bench_body *body)
{
    struct sm_payload *p = sm_payload_new(pool, body->len);
    SM_ASSERT(p);
    memcpy(p->data, body->ptr, body->len);
    p->size = body->len;
    p->arrived_ns = BENCH_ENCODE_EPOCH_NS;
    return p;
}

struct micro_decoder *micro_decoder_new(struct micro_inputs *inputs, const struct sm_codec *codec,
                                        enum bench_encoding encoding)
{
    struct micro_decoder *m = sm_xcalloc(1, sizeof *m);
    struct sm_decoder *d = &m->decoder;
    d->names = sm_names_new(NAMES_MAX, TEXT_BYTES_MAX);
    d->names_cache = sm_names_cache_new(d->names);
    m->scopes = sm_scopes_new(d->names, SCOPES_MAX, TEXT_BYTES_MAX);
    d->scopes = sm_scopes_cache_new(m->scopes, d->names_cache);
    d->wanted = sm_wanted_new(1);
    d->limits = sm_codec_limits_default;
    d->pool = sm_payload_pool_new(POOL_BYTES);
    m->codec = codec;
    m->n = inputs->gen->requests_n;
    m->payloads = sm_xcalloc(m->n, sizeof(struct sm_payload *));
    const struct bench_body *bodies = micro_bodies(inputs, encoding);
    for (uint32_t i = 0; i < m->n; i++)
        m->payloads[i] = copy_of(d->pool, &bodies[i]);
    return m;
}

void micro_decoder_run(void *decoder)
{
    struct micro_decoder *m = decoder;
    struct sm_err err;
    m->spans = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        sm_batch_clear(&m->batch);
        SM_ASSERT(m->codec->decode(&m->decoder, m->payloads[i], &m->batch, &err) == SM_OK);
        m->spans += m->batch.count;
    }
}

void micro_decoder_free(void *decoder)
{
    struct micro_decoder *m = decoder;
    sm_batch_clear(&m->batch);
    sm_batch_fini(&m->batch);
    for (uint32_t i = 0; i < m->n; i++)
        sm_payload_put(m->payloads[i]);
    free(m->payloads);
    sm_payload_pool_free(m->decoder.pool);
    sm_scopes_cache_free(m->decoder.scopes);
    sm_scopes_free(m->scopes);
    sm_names_cache_free(m->decoder.names_cache);
    sm_names_free(m->decoder.names);
    sm_wanted_free((struct sm_wanted *)(uintptr_t)m->decoder.wanted);
    free(m);
}
