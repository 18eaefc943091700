/* Distributions that the generator draws from. */
#include "bench/random.h"

#include <math.h>

double bench_random_exponential(struct bench_random *r, double mean)
{
    return -mean * log(1.0 - bench_random_unit(r));
}

double bench_random_log_normal(struct bench_random *r, double median, double sigma)
{
    double radius = sqrt(-2.0 * log(1.0 - bench_random_unit(r)));
    double angle = 6.283185307179586 * bench_random_unit(r);
    return median * exp(sigma * radius * cos(angle));
}
