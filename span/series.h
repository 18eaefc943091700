/* A set of time series as plain data: what analyzers hand to scrapes and metrics sinks.
 *
 * All series of a set have the same label names and the same families; one series is one combination of label values
 * with a value in every family. A set is a snapshot: it owns its memory, except label values, which live as long as the
 * process's name tables, or in `text`. */
#ifndef SM_SERIES_H
#define SM_SERIES_H

#include "base/base.h"
#include "base/prom.h"
#include "span/span.h"

enum sm_series_type { SM_SERIES_COUNTER, SM_SERIES_HISTOGRAM };

/* A histogram's bounds double: first, 2 * first, 4 * first, ...; inclusive, as Prometheus' `le` means it. */
#define SM_SERIES_BOUNDS_MAX 15

struct sm_series_family {
    const char *name; /* a counter's ends in "_total" */
    const char *help;
    enum sm_series_type type;
    unsigned at;          /* of sm_series.numbers: a counter's value; a histogram's bound_count + 1 counts, seconds and
                             nanoseconds of its sum */
    unsigned bound_count; /* at most SM_SERIES_BOUNDS_MAX */
    uint64_t first_bound_ns;
    bool exemplars; /* this family is the one that sm_series.exemplars belong to */
};

struct sm_series_exemplar {
    struct sm_trace_id trace; /* zeros: there is none */
    uint64_t value_ns;
    uint64_t time_ns; /* Unix time */
};

struct sm_series {
    const struct sm_str *values; /* one per label name; an empty one is the same as no label */
    const uint64_t *numbers;
    const struct sm_series_exemplar *exemplars; /* bound_count + 1 of them, or NULL */
    uint64_t created_ns;                        /* arrival of the first observation: since when it counts */
    uint64_t updated_ns;                        /* arrival of the last one */
};

/* Start zero-initialised; whoever got it filled frees it with sm_series_set_fini. Series are sorted by their label
 * values. */
struct sm_series_set {
    const struct sm_series_family *families; /* a static table */
    unsigned family_count;
    const struct sm_str *label_names;
    unsigned label_count;
    unsigned number_count;   /* per series */
    const char *trace_label; /* label name of exemplars' trace ids */
    struct sm_series *series;
    size_t count;
    struct sm_str *values;
    uint64_t *numbers;
    struct sm_series_exemplar *exemplars;
    char *text;
};

/* Allocates room for `count` series (set->series[i].values and .numbers point to their place) after the caller filled
 * in families, label_names and counts. */
void sm_series_set_alloc(struct sm_series_set *set, size_t count);
/* Sorts by label values and joins series that have all of them in common. */
void sm_series_set_sort(struct sm_series_set *set);
void sm_series_set_fini(struct sm_series_set *set);

/* Writes all families of a sorted set. */
void sm_series_set_write(const struct sm_series_set *set, struct sm_prom *p);

/* Which of bound_count + 1 buckets holds a duration. first_bound_ns is below 2^53. */
SM_INLINE unsigned sm_series_bucket(uint64_t ns, double first_bound_ns, unsigned bound_count)
{
    /* The quotient is exact on the bounds, which are powers of two times first_bound_ns; one unit in the last place
     * less makes buckets closed above, and the exponent is the bucket. */
    double quotient = (double)(ns ? ns : 1) / first_bound_ns;
    uint64_t bits;
    memcpy(&bits, &quotient, 8);
    int bucket = (int)((bits - 1) >> 52) - 1022;
    return bucket < 0 ? 0 : SM_MIN((unsigned)bucket, bound_count);
}

#endif
