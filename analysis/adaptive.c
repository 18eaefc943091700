/* The control loop of adaptive sampling. */
#include "analysis/adaptive.h"

#include "analysis/table.h"
#include "base/hash.h"

#include <math.h>
#include <stdlib.h>

#define INCREASE_MAX 2.0
/* Traffic is counted in millionths of a trace, so that sums are exact. */
#define TRACE_PARTS UINT64_C(1000000)

struct key {
    uint32_t service, operation; /* names ids */
};

struct operation {
    struct key key;
    double probability;
    double traffic[SM_ADAPTIVE_INTERVALS_MAX]; /* traces per second, newest first */
    uint8_t intervals;                         /* of them that count */
    uint8_t idle;                              /* intervals without a span */
    bool is_known;                             /* `probability` is set */
    bool is_new;                               /* no interval has ended yet */
    /* Since the last interval: */
    bool was_seen;
    bool uses_ours;     /* by the present probability */
    uint64_t parts;     /* traces that the sampled ones stand for */
};

struct sm_adaptive {
    struct sm_adaptive_config config;
    struct sm_table operations;
    int64_t started_ns; /* of the present interval */
    uint64_t overflowed;
    bool is_changed; /* since rates were last made */
};

struct sm_adaptive *sm_adaptive_new(const struct sm_adaptive_config *config, int64_t now_ns)
{
    struct sm_adaptive *a = sm_xcalloc(1, sizeof *a);
    a->config = *config;
    a->started_ns = now_ns;
    a->is_changed = true;
    sm_table_init(&a->operations, sizeof(struct key), sizeof(struct operation), config->operations_max);
    return a;
}

void sm_adaptive_free(struct sm_adaptive *a)
{
    if (!a)
        return;
    sm_table_fini(&a->operations);
    free(a);
}

static uint64_t key_hash(const struct key *key)
{
    return sm_hash_u64((uint64_t)key->service << 32 | key->operation);
}

/* As far as clients write them: they may round. */
static bool same(double a, double b)
{
    return fabs(a - b) < 1e-6;
}

static double clamp(const struct sm_adaptive *a, double probability)
{
    return fmin(1, fmax(a->config.least, probability));
}

static void begin_with(struct sm_adaptive *a, struct operation *o, double probability)
{
    probability = clamp(a, probability);
    if (o->is_known && (!o->is_new || probability >= o->probability))
        return;
    o->is_new = o->is_known = true;
    o->probability = probability;
    a->is_changed = true;
}

static void add(uint64_t *sum, uint64_t parts)
{
    if (__builtin_add_overflow(*sum, parts, sum))
        *sum = UINT64_MAX;
}

void sm_adaptive_seen(struct sm_adaptive *a, uint32_t service, uint32_t operation, uint32_t probability, bool by_bound, uint64_t count)
{
    struct key key = {service, operation};
    struct operation *o = sm_table_add(&a->operations, key_hash(&key), &key, sizeof key);
    uint64_t parts;
    if (!o) {
        a->overflowed += count;
        return;
    }
    double told = (double)probability / SM_ADAPTIVE_UNIT;
    begin_with(a, o, told);
    o->was_seen = true;
    o->uses_ours |= same(told, o->probability);
    if (!by_bound)
        add(&o->parts, __builtin_mul_overflow(count, TRACE_PARTS * SM_ADAPTIVE_UNIT / probability, &parts) ? UINT64_MAX : parts);
}

/* ---- calculation ---- */

static void push_traffic(const struct sm_adaptive *a, struct operation *o, double seconds)
{
    memmove(o->traffic + 1, o->traffic, sizeof o->traffic - sizeof o->traffic[0]);
    o->traffic[0] = (double)o->parts / TRACE_PARTS / seconds;
    o->intervals = (uint8_t)SM_MIN(o->intervals + 1u, a->config.intervals);
}

static double mean_traffic(const struct operation *o)
{
    double sum = 0, weights = 0;
    for (unsigned i = 0; i < o->intervals; i++) {
        double weight = pow(o->intervals - i, 4);
        sum += weight * o->traffic[i];
        weights += weight;
    }
    return sum / weights;
}

static double next_probability(const struct sm_adaptive *a, const struct operation *o)
{
    double target = a->config.target, samples = mean_traffic(o) * o->probability;
    bool is_used = o->uses_ours || same(o->probability, a->config.initial);
    if (!is_used || fabs(samples - target) / target < a->config.tolerance)
        return o->probability;
    double factor = samples > 0 ? target / samples : INCREASE_MAX;
    return clamp(a, o->probability * fmin(factor, INCREASE_MAX));
}

static void end_interval(struct sm_adaptive *a, struct operation *o, double seconds)
{
    if (!o->was_seen) {
        o->idle++;
        return;
    }
    push_traffic(a, o, seconds);
    double next = next_probability(a, o);
    a->is_changed |= next != o->probability;
    o->probability = next;
    o->idle = 0;
    o->is_new = o->was_seen = o->uses_ours = false;
    o->parts = 0;
}

static void forget_idle(struct sm_adaptive *a)
{
    struct sm_table fresh;
    sm_table_init(&fresh, a->operations.key_size, a->operations.entry_size, a->operations.count_max);
    for (uint32_t i = 0; i < a->operations.count; i++) {
        const struct operation *o = sm_table_at(&a->operations, i);
        if (o->idle < SM_ADAPTIVE_INTERVALS_MAX)
            *(struct operation *)sm_table_insert(&fresh, key_hash(&o->key), &o->key) = *o;
    }
    sm_table_fini(&a->operations);
    a->operations = fresh;
    a->is_changed = true;
}

static void calculate(struct sm_adaptive *a, double seconds)
{
    bool any_idle = false;
    for (uint32_t i = 0; i < a->operations.count; i++) {
        struct operation *o = sm_table_at(&a->operations, i);
        end_interval(a, o, seconds);
        any_idle |= o->idle >= SM_ADAPTIVE_INTERVALS_MAX;
    }
    if (any_idle)
        forget_idle(a);
}

bool sm_adaptive_step(struct sm_adaptive *a, int64_t now_ns)
{
    int64_t passed_ns = now_ns - a->started_ns;
    if (passed_ns >= a->config.interval_ns) {
        calculate(a, (double)passed_ns / 1e9);
        a->started_ns = now_ns;
    } else if (passed_ns < 0) { /* the clock was set back */
        a->started_ns = now_ns;
    }
    return a->is_changed;
}

struct sm_rates *sm_adaptive_rates(struct sm_adaptive *a)
{
    uint32_t count = a->operations.count;
    struct sm_rate *rates = sm_xmalloc((count + (size_t)1) * sizeof *rates);
    for (uint32_t i = 0; i < count; i++) {
        const struct operation *o = sm_table_at(&a->operations, i);
        rates[i] = (struct sm_rate){sm_names_get(a->config.names, o->key.service),
                                    sm_names_get(a->config.names, o->key.operation), o->probability};
    }
    struct sm_rates *out = sm_rates_new(a->config.initial, a->config.lower_bound, rates, count);
    free(rates);
    a->is_changed = false;
    return out;
}

uint32_t sm_adaptive_operations(const struct sm_adaptive *a)
{
    return a->operations.count;
}

uint64_t sm_adaptive_overflowed(const struct sm_adaptive *a)
{
    return a->overflowed;
}
