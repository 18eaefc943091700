#include "bench/count.h"
#include "bench/encode.h"

#include <criterion/criterion.h>

static const struct bench_gen_options options = {
    .seed = 5, .spans = 20000, .spans_per_request = 200, .spans_per_second = 100000};

static struct bench_whole_result count_rounds(enum bench_encoding encoding, uint32_t rounds, uint32_t skipped_requests)
{
    struct bench_gen *gen = bench_gen_new(&options);
    struct bench_body *bodies = bench_encode_all(gen, encoding);
    struct bench_count c = {.whole = bench_whole_new()};
    for (uint32_t r = 0; r < rounds; r++) {
        struct bench_round round = bench_round_make(1, r, 0);
        for (uint32_t i = skipped_requests; i < gen->requests_n; i++) {
            bench_body_move(&bodies[i], &round);
            bool zipkin = encoding == BENCH_ENCODING_ZIPKIN_JSON;
            cr_assert((zipkin ? bench_count_zipkin : bench_count_otlp)(&c, bodies[i].ptr, bodies[i].len));
        }
    }
    if (!skipped_requests)
        cr_assert_eq(c.spans, (uint64_t)rounds * gen->spans_n);
    struct bench_whole_result result = bench_whole_result(c.whole);
    cr_assert_eq(c.spans + result.missing_spans, (uint64_t)rounds * gen->spans_n);
    bench_whole_free(c.whole);
    bench_encode_free(bodies, gen->requests_n);
    bench_gen_free(gen);
    return result;
}

Test(count, traces_of_every_round_are_whole_in_both_formats)
{
    struct bench_whole_result otlp = count_rounds(BENCH_ENCODING_OTLP_PROTO, 3, 0);
    cr_assert_gt(otlp.traces, 1000);
    cr_assert_eq(otlp.whole, otlp.traces);
    struct bench_whole_result zipkin = count_rounds(BENCH_ENCODING_ZIPKIN_JSON, 3, 0);
    cr_assert_eq(zipkin.traces, otlp.traces);
    cr_assert_eq(zipkin.whole, otlp.traces);
}

Test(count, a_missing_request_leaves_traces_partial)
{
    struct bench_whole_result r = count_rounds(BENCH_ENCODING_OTLP_PROTO, 1, 1);
    cr_assert_gt(r.partial, 0);
    cr_assert_eq(r.partial + r.whole, r.traces);
}

Test(count, malformed_bodies_are_refused)
{
    struct bench_gen *gen = bench_gen_new(&options);
    struct bench_body body = bench_encode_request(gen, &gen->requests[0], BENCH_ENCODING_OTLP_PROTO);
    struct bench_count c = {0};
    for (size_t n = 1; n < body.len; n += 97)
        cr_assert_not(bench_count_otlp(&c, body.ptr, n), "cut at %zu", n);
    cr_assert_not(bench_count_zipkin(&c, (const uint8_t *)"[{\"id\":\"12", 10));
    cr_assert(bench_count_otlp(&c, (const uint8_t *)"", 0));
    bench_body_free(&body);
    bench_gen_free(gen);
}
