/* Copying every body once: the least that touching the bytes costs. */
#include "bench/micro/micro.h"

struct state {
    const struct bench_body *bodies;
    uint32_t n;
    uint8_t *to;
};

static void *set_up(struct micro_inputs *inputs)
{
    struct state *s = sm_xcalloc(1, sizeof *s);
    s->bodies = micro_bodies(inputs, BENCH_ENCODING_OTLP_PROTO);
    s->n = inputs->gen->requests_n;
    size_t largest = 0;
    for (uint32_t i = 0; i < s->n; i++)
        largest = SM_MAX(largest, s->bodies[i].len);
    s->to = sm_xmalloc(largest);
    return s;
}

static void run(void *state)
{
    struct state *s = state;
    for (uint32_t i = 0; i < s->n; i++) {
        memcpy(s->to, s->bodies[i].ptr, s->bodies[i].len);
        micro_use(s->to[0]);
    }
}

static void tear_down(void *state)
{
    struct state *s = state;
    free(s->to);
    free(s);
}

const struct micro_case micro_case_copy = {"copy",    "memcpy of OTLP protobuf bodies", set_up, run,
                                           tear_down, BENCH_ENCODING_OTLP_PROTO};
