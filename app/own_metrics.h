/* spanmill's own metrics: the pipeline's counters and gauges, the rules', the fan-out's, the store's, the query service's. */
#ifndef SM_OWN_METRICS_H
#define SM_OWN_METRICS_H

#include "base/prom.h"
#include "pipeline/pipeline.h"

/* Collectors for sm_prom_registry_add; ctx is the struct sm_pipeline, the struct sm_names, the struct sm_rules, the struct sm_fanout. */
void sm_own_metrics_pipeline(void *ctx, struct sm_prom *p);
void sm_own_metrics_names(void *ctx, struct sm_prom *p);
void sm_own_metrics_rules(void *ctx, struct sm_prom *p);
void sm_own_metrics_fanout(void *ctx, struct sm_prom *p);

/* The store; ctx is the struct sm_store, or the struct sm_store_stats. The query service; ctx is its struct sm_query_counters. */
void sm_own_metrics_store(void *ctx, struct sm_prom *p);
void sm_own_metrics_store_stats(void *ctx, struct sm_prom *p);
void sm_own_metrics_query(void *ctx, struct sm_prom *p);

/* spanmill_build_info, process CPU, memory, descriptors; ctx unused. */
void sm_own_metrics_process(void *ctx, struct sm_prom *p);

#endif
