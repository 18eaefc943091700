/* Micro-benchmarks: one case per file, one line per case in cases.def, run by bench_micro.
 *
 * A case prepares its state once; `run` then does the work over all inputs once and is timed again and again. What it
 * leaves behind must not grow from run to run beyond what it recycles. The reported time is that of the fastest run
 * (the median stands beside it: a large gap means that the machine was busy). */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include "bench/encode.h"

/* Generated traffic, shared by all cases. Bodies are encoded when first asked for. */
struct micro_inputs {
    const struct bench_gen *gen;
    struct bench_body *bodies[BENCH_ENCODINGS];
};

/* One body per request of inputs->gen. Owned by the inputs. A case that moves them (body.h) must move all of them. */
struct bench_body *micro_bodies(struct micro_inputs *inputs, enum bench_encoding encoding);
uint64_t micro_bytes(struct micro_inputs *inputs, enum bench_encoding encoding);

struct micro_case {
    const char *name;
    const char *help;
    void *(*set_up)(struct micro_inputs *inputs);
    void (*run)(void *state);
    void (*tear_down)(void *state);
    enum bench_encoding encoding; /* whose bytes GB/s are computed from */
};

#define MICRO_CASE(name) extern const struct micro_case micro_case_##name;
#include "bench/micro/cases.def"
#undef MICRO_CASE

/* Keeps the compiler from throwing away a result. */
static inline void micro_use(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#endif
