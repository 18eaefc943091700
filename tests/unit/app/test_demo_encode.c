/* The demo's requests as the daemon's own codecs read them. */
#include "app/demo_encode.h"
#include "tests/support/codec_env.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TRACES = 200 };

static struct sm_demo_encoder *encoder;
static struct sm_demo_trace traces[TRACES];

static void setup(void)
{
    struct sm_demo_random random = {5};
    encoder = sm_demo_encoder_new();
    for (unsigned i = 0; i < TRACES; i++) {
        sm_demo_trace_make(&traces[i], &random, i, INT64_C(1772366400) * SM_SEC);
        sm_demo_encoder_add(encoder, &traces[i]);
    }
}

static void teardown(void)
{
    sm_demo_encoder_free(encoder);
}

TestSuite(demo_encode, .init = setup, .fini = teardown);

static const struct sm_demo_span *find(const struct sm_batch *b, uint32_t i, bool zipkin)
{
    const struct sm_span *s = sm_batch_span(b, i);
    for (unsigned t = 0; t < TRACES; t++)
        for (unsigned k = 0; k < traces[t].count && sm_trace_id_eq(traces[t].id, b->items[i].trace); k++) {
            const struct sm_demo_span *made = &traces[t].spans[k];
            if (made->id == s->span_id && sm_demo_span_is_zipkin(made) == zipkin && made->kind == sm_span_kind(s))
                return made;
        }
    return NULL;
}

static void check_spans(struct codec_env *e, bool zipkin)
{
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_span *s = sm_batch_span(&e->batch, i);
        const struct sm_demo_span *made = find(&e->batch, i, zipkin);
        cr_assert_not_null(made);
        cr_assert_eq(s->parent_id, made->parent_id);
        cr_assert_eq(!!(s->flags & SM_SPAN_SHARED), made->shared);
        cr_assert_eq(sm_span_status(s) == SM_STATUS_ERROR, made->failed);
        cr_assert(sm_str_eq(codec_env_service(e, i), sm_str_c(sm_demo_services[made->service].name)));
        cr_assert(sm_str_eq(codec_env_name(e, i), sm_str_c(made->name)));
        int64_t rounding_ns = zipkin ? SM_US : 1;
        cr_assert(llabs((int64_t)s->start_ns - made->start_ns) < rounding_ns);
        cr_assert(llabs((int64_t)s->duration_ns - (made->end_ns - made->start_ns)) < 2 * rounding_ns);
    }
}

static size_t count_spans(bool zipkin)
{
    size_t n = 0;
    for (unsigned t = 0; t < TRACES; t++)
        for (unsigned k = 0; k < traces[t].count; k++)
            n += sm_demo_span_is_zipkin(&traces[t].spans[k]) == zipkin;
    return n;
}

Test(demo_encode, both_requests_hold_every_span)
{
    struct sm_demo_request otlp, zipkin;
    struct codec_env e;
    codec_env_init(&e);
    sm_demo_encoder_finish(encoder, &otlp, &zipkin);
    cr_assert_eq(otlp.spans, count_spans(false));
    cr_assert_eq(zipkin.spans, count_spans(true));
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, otlp.body.ptr, otlp.body.len), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, otlp.spans);
    check_spans(&e, false);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, zipkin.body.ptr, zipkin.body.len), SM_OK, "%s",
                 e.err.text);
    cr_assert_eq(e.batch.count, zipkin.spans);
    check_spans(&e, true);
    codec_env_fini(&e);
}

Test(demo_encode, starts_again_after_a_request)
{
    struct sm_demo_request otlp, zipkin;
    sm_demo_encoder_finish(encoder, &otlp, &zipkin);
    sm_demo_encoder_finish(encoder, &otlp, &zipkin);
    cr_expect(otlp.spans == 0 && otlp.body.len == 0 && zipkin.spans == 0 && zipkin.body.len == 0);
    sm_demo_encoder_add(encoder, &traces[0]);
    sm_demo_encoder_finish(encoder, &otlp, &zipkin);
    cr_expect(otlp.spans == traces[0].count && zipkin.spans == 0);
}
