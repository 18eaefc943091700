/* The demo's requests as the daemon's own codecs read them. */
#include "app/demo_jaeger.h"
#include "tests/support/codec_env.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { TRACES = 200 };

/* How a span is sent. */
enum form { OTLP, ZIPKIN, JAEGER };

static struct sm_demo_encoder *encoder;
static struct sm_demo_jaeger *jaeger;
static struct sm_demo_trace traces[TRACES];

static void setup(void)
{
    struct sm_demo_random random = {5};
    encoder = sm_demo_encoder_new();
    jaeger = sm_demo_jaeger_new();
    for (unsigned i = 0; i < TRACES; i++) {
        sm_demo_trace_make(&traces[i], &random, i, INT64_C(1772366400) * SM_SEC);
        sm_demo_encoder_add(encoder, &traces[i]);
        sm_demo_jaeger_add(jaeger, &traces[i]);
    }
}

static void teardown(void)
{
    sm_demo_encoder_free(encoder);
    sm_demo_jaeger_free(jaeger);
}

TestSuite(demo_encode, .init = setup, .fini = teardown);

static enum form form_of(const struct sm_demo_span *s)
{
    return s->by_jaeger ? JAEGER : sm_demo_span_is_zipkin(s) ? ZIPKIN : OTLP;
}

static const struct sm_demo_span *find(const struct sm_batch *b, uint32_t i, enum form form)
{
    const struct sm_span *s = sm_batch_span(b, i);
    for (unsigned t = 0; t < TRACES; t++)
        for (unsigned k = 0; k < traces[t].count && sm_trace_id_eq(traces[t].id, b->items[i].trace); k++) {
            const struct sm_demo_span *made = &traces[t].spans[k];
            if (made->id == s->span_id && form_of(made) == form && made->kind == sm_span_kind(s))
                return made;
        }
    return NULL;
}

static void check_spans(struct codec_env *e, enum form form)
{
    for (uint32_t i = 0; i < e->batch.count; i++) {
        const struct sm_span *s = sm_batch_span(&e->batch, i);
        const struct sm_demo_span *made = find(&e->batch, i, form);
        cr_assert_not_null(made);
        cr_assert_eq(s->parent_id, made->parent_id);
        cr_assert_eq(!!(s->flags & SM_SPAN_SHARED), made->shared);
        cr_assert_eq(sm_span_status(s) == SM_STATUS_ERROR, made->failed);
        cr_assert(sm_str_eq(codec_env_service(e, i), sm_str_c(sm_demo_services[made->service].name)));
        cr_assert(sm_str_eq(codec_env_name(e, i), sm_str_c(made->name)));
        int64_t rounding_ns = form == OTLP ? 1 : SM_US;
        cr_assert(llabs((int64_t)s->start_ns - made->start_ns) < rounding_ns);
        cr_assert(llabs((int64_t)s->duration_ns - (made->end_ns - made->start_ns)) < 2 * rounding_ns);
    }
}

static size_t count_spans(enum form form)
{
    size_t n = 0;
    for (unsigned t = 0; t < TRACES; t++)
        for (unsigned k = 0; k < traces[t].count; k++)
            n += form_of(&traces[t].spans[k]) == form;
    return n;
}

Test(demo_encode, both_requests_hold_every_span)
{
    struct sm_demo_request otlp, zipkin;
    struct codec_env e;
    codec_env_init(&e);
    sm_demo_encoder_finish(encoder, &otlp, &zipkin);
    cr_assert_eq(otlp.spans, count_spans(OTLP));
    cr_assert_eq(zipkin.spans, count_spans(ZIPKIN));
    cr_assert_eq(codec_env_decode(&e, &sm_codec_otlp_proto, otlp.body.ptr, otlp.body.len), SM_OK, "%s", e.err.text);
    cr_assert_eq(e.batch.count, otlp.spans);
    check_spans(&e, OTLP);
    cr_assert_eq(codec_env_decode(&e, &sm_codec_zipkin_json, zipkin.body.ptr, zipkin.body.len), SM_OK, "%s",
                 e.err.text);
    cr_assert_eq(e.batch.count, zipkin.spans);
    check_spans(&e, ZIPKIN);
    codec_env_fini(&e);
}

Test(demo_encode, datagrams_hold_the_spans_behind_the_proxies)
{
    struct sm_demo_request datagram;
    struct codec_env e;
    size_t spans = 0, datagrams = 0;
    codec_env_init(&e);
    for (; sm_demo_jaeger_next(jaeger, &datagram); datagrams++) {
        cr_assert_leq(datagram.body.len, SM_DEMO_DATAGRAM_MAX);
        cr_assert_eq(codec_env_decode(&e, &sm_codec_jaeger_compact, datagram.body.ptr, datagram.body.len), SM_OK, "%s", e.err.text);
        cr_assert_eq(e.batch.count, datagram.spans);
        check_spans(&e, JAEGER);
        spans += datagram.spans;
    }
    cr_expect_eq(datagrams, SM_DEMO_INSTANCES);
    cr_expect_eq(spans, count_spans(JAEGER));
    cr_expect_eq(spans, TRACES / SM_DEMO_PROXIED_EVERY);
    cr_expect_not(sm_demo_jaeger_next(jaeger, &datagram), "all is given out");
    codec_env_fini(&e);
}

Test(demo_encode, datagrams_have_a_limit)
{
    struct sm_demo_request datagram;
    size_t spans = 0, datagrams = 0;
    for (unsigned i = 0; i < 100; i++)
        for (unsigned t = 0; t < TRACES; t++)
            sm_demo_jaeger_add(jaeger, &traces[t]);
    for (; sm_demo_jaeger_next(jaeger, &datagram); datagrams++) {
        cr_assert_leq(datagram.body.len, SM_DEMO_DATAGRAM_MAX);
        spans += datagram.spans;
    }
    cr_expect_eq(spans, 101 * count_spans(JAEGER));
    cr_expect_gt(datagrams, 5);
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
