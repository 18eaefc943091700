/* Sampling probabilities that follow the traffic: for every operation that clients start traces with, the probability by
 * which a target number of traces per second is sampled.
 *
 * After Jaeger's adaptive sampling, whose rules per interval (internal/sampling/samplingstrategy/adaptive) are:
 *   - samples per second q under the present probability p, against a target: within the tolerance p stays;
 *   - too many: p * target / q at once; too few: the same, but at most twice p; none at all: twice p; in [least, 1];
 *   - p stays unless clients are seen to use it, or it is the initial one: else they do not ask for rates.
 * Two things differ. Spans tell the probability by which they were sampled, and count by its inverse, so that q is right also
 * while clients change from one probability to the next; Jaeger waits for that, two minutes. And an operation that was never
 * seen begins with the smallest probability that its spans tell, not with the initial one: after a restart
 * clients still have the old rates, and bring them back.
 *
 * Pure: time is an argument. One thread. Counts are integers: their order does not matter. */
#ifndef SM_ADAPTIVE_H
#define SM_ADAPTIVE_H

#include "base/base.h"
#include "span/names.h"
#include "span/rates.h"

#define SM_ADAPTIVE_INTERVALS_MAX 10      /* an operation that was not seen in so many is forgotten */
#define SM_ADAPTIVE_UNIT          1000000000 /* probabilities as integers: 1.0 */

struct sm_adaptive_config {
    const struct sm_names *names;
    double target;      /* sampled traces per second and operation */
    double initial;     /* probability of unknown operations */
    double least;       /* probability */
    double lower_bound; /* traces per second that clients sample in any case */
    double tolerance;   /* of the target, 0..1 */
    int64_t interval_ns;
    unsigned intervals; /* whose traffic counts, newer ones more (the fourth power of their place); 1..INTERVALS_MAX */
    uint32_t operations_max;
};

struct sm_adaptive;

/* Time begins at now_ns. */
struct sm_adaptive *sm_adaptive_new(const struct sm_adaptive_config *config, int64_t now_ns) SM_MUST_USE;
void sm_adaptive_free(struct sm_adaptive *a);

/* `count` root spans of an operation, sampled by this probability (1..SM_ADAPTIVE_UNIT); by_bound: only because of the client's lower
 * bound, so that they say nothing about the traffic. */
void sm_adaptive_seen(struct sm_adaptive *a, uint32_t service, uint32_t operation, uint32_t probability, bool by_bound, uint64_t count);

/* At the end of an interval, probabilities are calculated anew. True when there are rates to be published that are not yet. */
bool sm_adaptive_step(struct sm_adaptive *a, int64_t now_ns);

/* The present rates; the caller frees them. */
struct sm_rates *sm_adaptive_rates(struct sm_adaptive *a) SM_MUST_USE;

uint32_t sm_adaptive_operations(const struct sm_adaptive *a);
/* Root spans of operations beyond operations_max. */
uint64_t sm_adaptive_overflowed(const struct sm_adaptive *a);

#endif
