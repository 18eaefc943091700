/* bench_micro: times the cases of cases.def. */
#include "bench/micro/micro.h"
#include "bench/options.h"

#include <getopt.h>
#include <time.h>

static const char usage[] = "usage: bench_micro [--filter TEXT] [--spans N] [--seconds S] [--list]\n"
                            "  --filter TEXT   only cases whose name has TEXT in it\n"
                            "  --spans N       spans of the inputs (4k: they fit the second-level cache)\n"
                            "  --seconds S     time to spend on each case (1)\n"
                            "  --seed N        of the inputs (1)\n";

static const struct micro_case *const cases[] = {
#define MICRO_CASE(name) &micro_case_##name,
#include "bench/micro/cases.def"
#undef MICRO_CASE
};

struct options {
    const char *filter;
    double seconds;
    struct bench_gen_options gen;
    bool list;
};

struct bench_body *micro_bodies(struct micro_inputs *inputs, enum bench_encoding encoding)
{
    if (!inputs->bodies[encoding])
        inputs->bodies[encoding] = bench_encode_all(inputs->gen, encoding);
    return inputs->bodies[encoding];
}

uint64_t micro_bytes(struct micro_inputs *inputs, enum bench_encoding encoding)
{
    const struct bench_body *bodies = micro_bodies(inputs, encoding);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < inputs->gen->requests_n; i++)
        bytes += bodies[i].len;
    return bytes;
}

static struct options parse(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"filter", required_argument, NULL, 'f'},  {"spans", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
        {"list", no_argument, NULL, 'l'},          {0}};
    struct options o = {.filter = "", .seconds = 1, .gen = BENCH_GEN_DEFAULTS};
    o.gen.spans = 4000;
    int c;
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (c) {
        case 'f':
            o.filter = optarg;
            break;
        case 'n':
            o.gen.spans = (uint32_t)bench_options_count("spans", optarg);
            break;
        case 't':
            o.seconds = bench_options_real("seconds", optarg);
            break;
        case 's':
            o.gen.seed = bench_options_count("seed", optarg);
            break;
        case 'l':
            o.list = true;
            break;
        default:
            bench_options_fail("%s", usage);
        }
    }
    return o;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SM_SEC + t.tv_nsec;
}

static uint64_t cycles(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

enum { TIMES_MAX = 100000, TIMES_MIN = 5 };

struct timing {
    int64_t ns[TIMES_MAX];
    uint32_t n;
    uint64_t cycles_least; /* of the time-stamp counter */
};

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The first run is not timed: it warms caches and grows what is recycled afterwards. */
static void time_runs(const struct micro_case *c, void *state, double seconds, struct timing *t)
{
    t->n = 0;
    t->cycles_least = UINT64_MAX;
    c->run(state);
    int64_t end_ns = now_ns() + (int64_t)(seconds * 1e9);
    while (t->n < TIMES_MAX && (t->n < TIMES_MIN || now_ns() < end_ns)) {
        int64_t began_ns = now_ns();
        uint64_t began = cycles();
        c->run(state);
        t->cycles_least = SM_MIN(t->cycles_least, cycles() - began);
        t->ns[t->n++] = now_ns() - began_ns;
    }
    qsort(t->ns, t->n, sizeof t->ns[0], by_time);
}

static void run_case(const struct micro_case *c, struct micro_inputs *inputs, double seconds)
{
    static struct timing t;
    double spans = inputs->gen->spans_n, bytes = (double)micro_bytes(inputs, c->encoding);
    void *state = c->set_up(inputs);
    time_runs(c, state, seconds, &t);
    c->tear_down(state);
    printf("%-20s %9.1f %9.1f %9.1f %7.2f %7u  %s\n", c->name, (double)t.ns[0] / spans, (double)t.ns[t.n / 2] / spans,
           (double)t.cycles_least / spans, bytes / (double)t.ns[0], t.n, c->help);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct bench_gen *gen = bench_gen_new(&o.gen);
    struct micro_inputs inputs = {.gen = gen};
    printf("%-20s %9s %9s %9s %7s %7s\n", "case", "ns/span", "median", "cycles", "GB/s", "runs");
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        if (!strstr(cases[i]->name, o.filter))
            continue;
        if (o.list)
            printf("%-20s %s\n", cases[i]->name, cases[i]->help);
        else
            run_case(cases[i], &inputs, o.seconds);
    }
    for (size_t e = 0; e < SM_ARRAY_LEN(inputs.bodies); e++) {
        if (inputs.bodies[e])
            bench_encode_free(inputs.bodies[e], gen->requests_n);
    }
    bench_gen_free(gen);
    return 0;
}
