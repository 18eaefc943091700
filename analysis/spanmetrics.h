/* Span metrics with the names and labels that Tempo's metrics generator made known:
 *
 *   traces_spanmetrics_calls_total                       spans
 *   traces_spanmetrics_latency{_bucket,_sum,_count}      their durations in seconds, bounds 0.002 * 2^i, 14 of them
 *   traces_spanmetrics_size_total                        bytes of their OTLP encoding
 *   {service, span_name, span_kind="SPAN_KIND_SERVER", status_code="STATUS_CODE_ERROR", configured dimensions ...}
 *
 * A span without a duration is a call, and not in the latency. A span without service.name stands at "unknown_service".
 * Exemplars point to kept traces only: per bucket the newest one by arrival.
 *
 * Limits: past series_max label sets, new ones go to one series with the only label metric_overflow="true"; a series
 * that had no span for stale_ns is forgotten, and starts again at zero (with a new _created) when it comes back. The
 * same traces make the same series whatever the number of shards and the order of merging, as long as no limit is
 * reached.
 *
 * Threads: as pipeline/analyzer.h says. Everything that takes the global state may be called from any thread, apart
 * from merge (the control thread). */
#ifndef SM_SPANMETRICS_H
#define SM_SPANMETRICS_H

#include "analysis/dims.h"
#include "base/base.h"
#include "base/prom.h"
#include "pipeline/analyzer.h"
#include "span/series.h"

struct sm_spanmetrics;

struct sm_spanmetrics_config {
    const struct sm_names *names;
    struct sm_dims dims; /* taken over */
    uint32_t series_max; /* label sets; at most SM_SPANMETRICS_SERIES_MAX */
    uint64_t stale_ns;
    bool exemplars;
    const char *trace_label; /* label name of exemplars' trace ids; static */
};

#define SM_SPANMETRICS_SERIES_MAX (UINT32_C(1) << 20)

/* 20,000 label sets (380,000 Prometheus series), stale after 15 minutes, exemplars with the label "traceID". */
struct sm_spanmetrics_config sm_spanmetrics_config_default(const struct sm_names *names);

/* Adds a dimension to the configuration (analysis/dims.h). */
enum sm_rc sm_spanmetrics_config_dim(struct sm_spanmetrics_config *config, struct sm_wanted *wanted, struct sm_str key,
                                     struct sm_err *err) SM_MUST_USE;

/* Takes config->dims over. Shards (sm_spanmetrics_ops.shard_new) are freed before it. */
struct sm_spanmetrics *sm_spanmetrics_new(struct sm_spanmetrics_config *config);
void sm_spanmetrics_free(struct sm_spanmetrics *m);

extern const struct sm_analyzer_ops sm_spanmetrics_ops;

/* Forgets stale series; called now and then (seconds). `now_ns` is in the same time as arrivals. */
void sm_spanmetrics_expire(struct sm_spanmetrics *m, uint64_t now_ns);

/* All series, sorted. */
void sm_spanmetrics_snapshot(struct sm_spanmetrics *m, struct sm_series_set *set);

/* Collectors for base/prom.h; ctx is the struct sm_spanmetrics. The second one writes the analyzer's own state. */
void sm_spanmetrics_collect(void *ctx, struct sm_prom *p);
void sm_spanmetrics_collect_own(void *ctx, struct sm_prom *p);

#endif
