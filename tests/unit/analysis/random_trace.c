#include "random_trace.h"

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t v = *state;
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(next_random(state) % n);
}

static void random_span(struct tb_span *s, uint64_t *r, bool plain, unsigned index, unsigned count)
{
    static const char *const services[] = {"a", "b", "c", "d"};
    static const char *const peers[] = {"a", "b", "x", "y"};
    static const enum sm_kind kinds[] = {SM_KIND_CLIENT,   SM_KIND_CLIENT,   SM_KIND_SERVER,     SM_KIND_SERVER,
                                         SM_KIND_PRODUCER, SM_KIND_CONSUMER, SM_KIND_UNSPECIFIED};
    *s = (struct tb_span){.kind = kinds[below(r, SM_ARRAY_LEN(kinds))], .zipkin = true};
    s->id = plain ? index + 1 : below(r, count / 2 + 1) + 1;
    s->parent = below(r, 4) ? below(r, plain ? count + 2 : count / 2 + 2) : 0;
    if (below(r, 6))
        strcpy(s->service, services[below(r, 4)]);
    if (!plain) {
        s->shared = s->kind == SM_KIND_SERVER ? below(r, 2) : below(r, 10) == 0;
        if (below(r, 3) == 0)
            memcpy(s->ip, (const uint8_t[]){10, 0, 0, (uint8_t)(8 + below(r, 3))}, 4);
        if (below(r, 4) == 0)
            s->port = (uint16_t)(80 + below(r, 2));
    }
    s->start_ns = (UINT64_C(1700000000000000) + below(r, 50)) * 1000;
    s->duration_ns = (1 + below(r, 50)) * UINT64_C(1000);
    s->error_tag = below(r, 5) == 0;
    if (below(r, 3) == 0) {
        strcpy(s->attrs[0].key, "peer.service");
        strcpy(s->attrs[0].value, peers[below(r, 4)]);
        s->attr_count = 1;
    }
}

unsigned random_trace(uint64_t seed, struct tb_span spans[RANDOM_TRACE_SPANS_MAX])
{
    uint64_t r = seed;
    unsigned count = 1 + below(&r, RANDOM_TRACE_SPANS_MAX);
    for (unsigned i = 0; i < count; i++)
        random_span(&spans[i], &r, seed % 3 == 0, i, count);
    return count;
}
