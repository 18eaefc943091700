/* Fuzzing a codec: decodes the input, checks what every batch promises, encodes it with every encoder that there is. */
#ifndef SM_CODEC_FUZZ_H
#define SM_CODEC_FUZZ_H

#include "tests/support/codec_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void codec_fuzz_check(const struct codec_env *e)
{
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_span *s = codec_env_span(e, i);
        struct sm_value value;
        SM_ASSERT(s->span_id != 0);
        SM_ASSERT(e->batch.items[i].trace.hi || e->batch.items[i].trace.lo);
        SM_ASSERT(s->size <= SM_SPAN_SIZE_MAX);
        for (unsigned k = 0; k < s->n_wanted; k++)
            SM_ASSERT(sm_value_at(sm_batch_bytes(&e->batch, i), s->size, sm_span_wanted(s)[k], &value));
    }
}

/* The decoded batch through `to`, and what that wrote through `to` again: both must be taken. */
static inline void codec_fuzz_one(const struct sm_codec *codec, const struct sm_codec *const *to, size_t to_count,
                                  const uint8_t *data, size_t size)
{
    static struct codec_env e;
    static bool ready;
    if (!ready) {
        codec_env_init(&e);
        ready = true;
    }
    if (codec_env_decode(&e, codec, data, size) != SM_OK)
        return;
    codec_fuzz_check(&e);
    struct sm_encode_span *spans = codec_env_spans(&e);
    uint32_t count = e.batch.count;
    for (size_t i = 0; i < to_count; i++) {
        struct sm_buf encoded = {0};
        struct codec_env again;
        to[i]->encode(spans, count, &encoded);
        codec_env_init(&again);
        SM_ASSERT(codec_env_decode(&again, to[i], encoded.data, encoded.size) == SM_OK);
        SM_ASSERT(again.batch.count + again.batch.rejected_total == count);
        codec_fuzz_check(&again);
        codec_env_fini(&again);
        sm_buf_fini(&encoded);
    }
    free(spans);
}

#endif
