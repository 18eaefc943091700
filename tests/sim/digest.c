/* A run as a text that must not depend on the number of shards. */
#include "sim.h"

#include "base/hash.h"
#include "base/prom.h"

#include <stdlib.h>

static int compare_traces(const void *x, const void *y)
{
    const struct capture_trace *a = *(struct capture_trace *const *)x, *b = *(struct capture_trace *const *)y;
    int order = sm_trace_id_cmp(a->id, b->id);
    if (!order)
        order = (a->deadline_ns > b->deadline_ns) - (a->deadline_ns < b->deadline_ns);
    return order ? order : a->late - b->late;
}

static void put_trace(const struct capture_trace *t, struct sm_buf *out)
{
    char id[SM_TRACE_ID_HEX_SIZE];
    uint64_t bytes = 0;
    sm_trace_id_hex(t->id, id);
    for (uint32_t i = 0; i < t->span_count; i++)
        bytes = bytes * 31 + sm_hash_bytes(t->spans[i].bytes, t->spans[i].head.size);
    sm_buf_printf(out, "%s %s late=%d at=%lld rule=%u T=%llx R=%llx derived=%d spans=%u bytes=%llx request=%llx\n", id,
                  sm_trigger_name((enum sm_trigger)t->trigger), t->late, (long long)t->deadline_ns, t->rule,
                  (unsigned long long)t->threshold, (unsigned long long)t->randomness, t->randomness_derived, t->span_count,
                  (unsigned long long)bytes, (unsigned long long)sm_hash_bytes(t->request.ptr, t->request.len));
}

static void put_traces(const struct sim_run *run, struct sm_buf *out)
{
    const struct capture_trace **sorted = sm_xmalloc((run->truth.count + 1) * sizeof *sorted);
    for (size_t i = 0; i < run->truth.count; i++)
        sorted[i] = &run->truth.traces[i];
    if (!run->plan->ordered)
        qsort(sorted, run->truth.count, sizeof *sorted, compare_traces);
    for (size_t i = 0; i < run->truth.count; i++)
        put_trace(sorted[i], out);
    free(sorted);
}

static void put_graph(const struct sim_run *run, struct sm_buf *out)
{
    struct sm_graph g;
    sm_dependency_snapshot(run->engine->dependency, 0, INT64_C(4000000000000), SM_EDGES_ANY_SOURCE, &g);
    for (size_t i = 0; i < g.count; i++)
        sm_buf_printf(out, "%.*s>%.*s types=%u calls=%llu errors=%llu latency=%llu/%llu\n", SM_STR_ARG(g.edges[i].parent),
                      SM_STR_ARG(g.edges[i].child), g.edges[i].types, (unsigned long long)g.edges[i].calls,
                      (unsigned long long)g.edges[i].errors, (unsigned long long)g.edges[i].latency.count,
                      (unsigned long long)g.edges[i].latency.sum_ns);
    sm_graph_fini(&g);
}

void sim_digest(const struct sim_run *run, struct sm_buf *out)
{
    static const enum sm_stat stats[] = {
        SM_STAT_SPANS_RECEIVED, SM_STAT_SPANS_DUPLICATE,      SM_STAT_SPANS_SAMPLED_OUT, SM_STAT_SPANS_KEPT,
        SM_STAT_SPANS_LATE_KEPT, SM_STAT_SPANS_LATE_DROPPED,  SM_STAT_SPANS_LATE_UNLINKED,
        SM_STAT_TRACES_OPENED,  SM_STAT_TRACES_KEPT,          SM_STAT_TRACES_SAMPLED_OUT,
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(stats); i++)
        sm_buf_printf(out, "%s{%s} %llu\n", sm_stat_infos[stats[i]].metric, sm_stat_infos[stats[i]].labels,
                      (unsigned long long)sm_pipeline_stat(run->engine->pipeline, stats[i]));
    put_traces(run, out);
    put_graph(run, out);
    struct sm_prom p;
    sm_prom_begin(&p, out, SM_PROM_OPENMETRICS);
    sm_spanmetrics_collect(run->engine->span_metrics, &p);
    sm_dependency_collect(run->engine->dependency, &p);
    sm_prom_end(&p);
}
