/* Sampling rates for clients that ask for one, as plain data: what analysis/ finds and ingest/ hands out.
 *
 * A table is built once and read-only afterwards. */
#ifndef SM_RATES_H
#define SM_RATES_H

#include "base/base.h"

struct sm_rate {
    struct sm_str service, operation;
    double probability;
};

struct sm_rates {
    double initial;     /* probability of what has no rate of its own */
    double lower_bound; /* traces per second of an operation that a client samples in any case */
    uint32_t count;
    struct sm_rate *rates; /* sorted by service, then operation */
    char *texts;
};

/* Copies `rates`, which are put in order, each operation of a service once. */
struct sm_rates *sm_rates_new(double initial, double lower_bound, struct sm_rate *rates, uint32_t count) SM_MUST_USE;
void sm_rates_free(void *rates);

/* The rates of a service: *count of them, 0 when there are none. */
const struct sm_rate *sm_rates_find(const struct sm_rates *rates, struct sm_str service, uint32_t *count);

#endif
