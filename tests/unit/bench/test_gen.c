#include "bench/encode.h"
#include "bench/pack.h"
#include "bench/topology.h"

#include <criterion/criterion.h>
#include <libdeflate.h>

static const struct bench_gen_options small = {
    .seed = 3, .spans = 70000, .spans_per_request = 200, .spans_per_second = 100000};

Test(gen, is_deterministic)
{
    struct bench_gen *a = bench_gen_new(&small), *b = bench_gen_new(&small);
    cr_assert_eq(a->spans_n, b->spans_n);
    cr_assert_eq(a->requests_n, b->requests_n);
    for (uint32_t i = 0; i < 5; i++) {
        struct bench_body x = bench_encode_request(a, &a->requests[i], BENCH_ENCODING_OTLP_PROTO);
        struct bench_body y = bench_encode_request(b, &b->requests[i], BENCH_ENCODING_OTLP_PROTO);
        cr_assert_eq(x.len, y.len);
        cr_assert_arr_eq(x.ptr, y.ptr, x.len);
        bench_body_free(&x);
        bench_body_free(&y);
    }
    bench_gen_free(a);
    bench_gen_free(b);
}

Test(gen, traces_are_whole_trees_and_carry_their_size)
{
    struct bench_gen *gen = bench_gen_new(&small);
    uint32_t largest = 0;
    for (uint32_t i = 0; i < gen->spans_n;) {
        const struct bench_span *root = &gen->spans[i];
        uint32_t n = (uint32_t)(root->trace_hi >> 48);
        largest = SM_MAX(largest, n);
        cr_assert_eq(root->parent, 0);
        for (uint32_t k = 1; k < n; k++) {
            const struct bench_span *s = &root[k];
            cr_assert_eq(s->trace_lo, root->trace_lo);
            cr_assert_neq(s->parent, 0);
            cr_assert_leq(s->start_ns, s->end_ns);
            cr_assert_leq(s->leaves_ns - root->start_ns, SM_SEC);
        }
        i += n;
    }
    cr_assert_eq(largest, BENCH_GEN_TRACE_SPANS_MAX);
    bench_gen_free(gen);
}

Test(gen, a_request_holds_spans_of_one_service_and_every_span_is_sent_once)
{
    struct bench_gen *gen = bench_gen_new(&small);
    uint8_t *seen = calloc(gen->spans_n, 1);
    bool services[BENCH_TOPOLOGY_SERVICES] = {false};
    for (uint32_t r = 0; r < gen->requests_n; r++) {
        const struct bench_request *q = &gen->requests[r];
        services[q->service] = true;
        cr_assert(q->n > 0 && q->n <= small.spans_per_request);
        for (uint32_t i = 0; i < q->n; i++) {
            uint32_t index = gen->order[q->first + i];
            cr_assert_eq(gen->spans[index].service, q->service);
            cr_assert_eq(seen[index]++, 0);
        }
    }
    cr_assert_null(memchr(seen, 0, gen->spans_n));
    for (uint32_t s = 0; s < BENCH_TOPOLOGY_SERVICES; s++)
        cr_assert(services[s], "no span of service %u", s);
    free(seen);
    bench_gen_free(gen);
}

Test(gen, moving_a_body_there_and_back_restores_it)
{
    struct bench_gen *gen = bench_gen_new(&small);
    for (int e = BENCH_ENCODING_OTLP_PROTO; e <= BENCH_ENCODING_ZIPKIN_THRIFT; e++) { /* Jaeger's cannot be moved */
        struct bench_body body = bench_encode_request(gen, &gen->requests[7], (enum bench_encoding)e);
        uint8_t *before = sm_xmalloc(body.len);
        memcpy(before, body.ptr, body.len);
        struct bench_round there = bench_round_make(9, 4, 5 * SM_SEC), back = {0};
        bench_body_move(&body, &there);
        cr_assert_neq(memcmp(before, body.ptr, body.len), 0);
        bench_body_move(&body, &back);
        cr_assert_arr_eq(before, body.ptr, body.len);
        free(before);
        bench_body_free(&body);
    }
    bench_gen_free(gen);
}

Test(gen, compressed_rounds_are_the_moved_bodies)
{
    struct bench_gen_options options = small;
    options.spans = 2000;
    struct bench_gen *gen = bench_gen_new(&options);
    struct bench_body *bodies = bench_encode_all(gen, BENCH_ENCODING_OTLP_PROTO);
    struct bench_body *packed = bench_pack_rounds(bodies, gen->requests_n, 2, 1, 0, SM_SEC, 2, "gzip");
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    for (uint32_t r = 0; r < 2; r++) {
        struct bench_round round = bench_round_make(1, r + 1, r * SM_SEC);
        for (uint32_t i = 0; i < gen->requests_n; i++) {
            const struct bench_body *p = &packed[r * gen->requests_n + i];
            bench_body_move(&bodies[i], &round);
            uint8_t *plain = sm_xmalloc(bodies[i].len);
            size_t n = 0;
            cr_assert_eq(libdeflate_gzip_decompress(d, p->ptr, p->len, plain, bodies[i].len, &n), LIBDEFLATE_SUCCESS);
            cr_assert_eq(n, bodies[i].len);
            cr_assert_arr_eq(plain, bodies[i].ptr, n);
            free(plain);
        }
    }
    libdeflate_free_decompressor(d);
    bench_encode_free(packed, 2 * gen->requests_n);
    bench_encode_free(bodies, gen->requests_n);
    bench_gen_free(gen);
}
