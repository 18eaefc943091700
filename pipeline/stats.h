/* Own counters of the data path: one array per worker, written by that worker only, read by anyone. */
#ifndef SM_STATS_H
#define SM_STATS_H

#include "base/base.h"
#include "span/batch.h"

#include <stdatomic.h>

enum sm_stat {
#define SM_STAT(id, metric, labels, help) SM_STAT_##id,
#include "pipeline/stats.def"
#undef SM_STAT
    SM_STAT_COUNT
};

struct sm_stat_info {
    const char *metric;
    const char *labels; /* Prometheus label pairs without braces, may be empty */
    const char *help;
};

extern const struct sm_stat_info sm_stat_infos[SM_STAT_COUNT];

struct sm_stats {
    _Atomic uint64_t values[SM_STAT_COUNT];
    _Atomic uint64_t rejected[SM_REJECT_COUNT]; /* spanmill_spans_rejected_total{reason} */
} SM_ALIGNED_LINE;

/* The owning worker only: a plain add, no locked instruction. */
SM_INLINE void sm_stats_add(struct sm_stats *s, enum sm_stat id, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&s->values[id], memory_order_relaxed);
    atomic_store_explicit(&s->values[id], v + n, memory_order_relaxed);
}

SM_INLINE void sm_stats_reject(struct sm_stats *s, enum sm_reject reason, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&s->rejected[reason], memory_order_relaxed);
    atomic_store_explicit(&s->rejected[reason], v + n, memory_order_relaxed);
}

/* Any thread. */
SM_INLINE uint64_t sm_stats_get(const struct sm_stats *s, enum sm_stat id)
{
    return atomic_load_explicit(&s->values[id], memory_order_relaxed);
}

#endif
