/* Finding the id of every span in OTLP protobuf and nothing else: what bench_sink does, the floor for decoders. */
#include "bench/count.h"
#include "bench/micro/micro.h"

struct state {
    const struct bench_body *bodies;
    uint32_t n;
};

static void *set_up(struct micro_inputs *inputs)
{
    struct state *s = sm_xcalloc(1, sizeof *s);
    s->bodies = micro_bodies(inputs, BENCH_ENCODING_OTLP_PROTO);
    s->n = inputs->gen->requests_n;
    return s;
}

static void run(void *state)
{
    struct state *s = state;
    struct bench_count count = {0};
    for (uint32_t i = 0; i < s->n; i++)
        SM_ASSERT(bench_count_otlp(&count, s->bodies[i].ptr, s->bodies[i].len));
    micro_use(count.ids);
}

const struct micro_case micro_case_find_ids = {
    "find_ids", "span ids of OTLP protobuf bodies, nothing else", set_up, run, free, BENCH_ENCODING_OTLP_PROTO};
