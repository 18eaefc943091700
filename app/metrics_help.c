/* Help on metrics, read off the exposition of an engine without traffic. */
#include "app/metrics_help.h"

#include "analysis/graph_keep.h"
#include "app/engine.h"
#include "app/listeners.h"
#include "app/own_metrics.h"
#include "app/sinks_config.h"
#include "ingest/kafka.h"
#include "query/service.h"
#include "span/codec/build.h"

#define SINK "sinks=[{name: NAME, type: otlp_grpc, endpoint: 'http://127.0.0.1:4317'}]"

enum { LABELS_MAX = 4, VALUES_MAX = 16 };

struct label {
    struct sm_str name;
    struct sm_str values[VALUES_MAX];
    unsigned count;
};

struct family {
    struct sm_str name, type, help;
    struct label labels[LABELS_MAX];
    unsigned label_count;
};

/* ---- the exposition ---- */

static void scrape_engine(const struct sm_config *config, struct sm_buf *out)
{
    struct sm_err err;
    struct sm_fanout_sink sink = sm_sinks_config_make(&config->sinks.items[0]);
    struct sm_engine_options options = {.placement = SM_PLACEMENT_INLINE, .shards = 1, .sinks = &sink, .sink_count = 1};
    struct sm_engine *e = sm_engine_new(config, &options, &err);
    SM_ASSERT(e);
    struct sm_store_stats store = {0};
    struct sm_query_counters query = {0};
    struct sm_kafka *consumer = sm_kafka_new(&(struct sm_kafka_options){.name = "NAME"});
    struct sm_kafka_list kafka = {&consumer, 1};
    struct sm_prom_registry *registry = sm_prom_registry_new();
    sm_engine_register_metrics(e, registry);
    sm_prom_registry_add(registry, "store", sm_own_metrics_store_stats, &store);
    sm_prom_registry_add(registry, "graph_log", sm_graph_keep_metrics_sample, NULL);
    sm_prom_registry_add(registry, "kafka", sm_kafka_collect, &kafka);
    sm_prom_registry_add(registry, "query", sm_own_metrics_query, &query);
    sm_prom_registry_add(registry, "listeners", sm_listeners_metrics_sample, NULL);
    sm_prom_registry_scrape(registry, SM_PROM_TEXT, NULL, out);
    sm_prom_registry_free(registry);
    sm_kafka_free(consumer);
    sm_pipeline_close_all(e->pipeline);
    sm_engine_free(e);
}

static void scrape(struct sm_buf *out)
{
    struct sm_config_report report = {0};
    struct sm_config *config = sm_config_new();
    SM_ASSERT(sm_config_set(config, SINK, &report) && sm_config_set(config, "sampling.mode=adaptive", &report));
    scrape_engine(config, out);
    sm_config_free(config);
    sm_config_report_fini(&report);
}

/* ---- reading it: our own writing, so that there is nothing to refuse ---- */

/* What lies in front of `mark`; *rest goes behind it. */
static struct sm_str take(struct sm_str *rest, char mark)
{
    const char *end = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    struct sm_str part = end ? sm_str(rest->ptr, (size_t)(end - rest->ptr)) : *rest;
    *rest = end ? sm_str(end + 1, rest->len - part.len - 1) : sm_str(rest->ptr + rest->len, 0);
    return part;
}

static bool take_prefix(struct sm_str *line, const char *prefix)
{
    size_t n = strlen(prefix);
    if (line->len < n || memcmp(line->ptr, prefix, n) != 0)
        return false;
    *line = sm_str(line->ptr + n, line->len - n);
    return true;
}

static void note_label(struct family *f, struct sm_str name, struct sm_str value)
{
    unsigned i = 0;
    while (i < f->label_count && !sm_str_eq(f->labels[i].name, name))
        i++;
    SM_ASSERT(i < LABELS_MAX);
    if (i == f->label_count)
        f->labels[f->label_count++] = (struct label){.name = name};
    struct label *l = &f->labels[i];
    for (unsigned k = 0; k < l->count; k++) {
        if (sm_str_eq(l->values[k], value))
            return;
    }
    SM_ASSERT(l->count < VALUES_MAX);
    l->values[l->count++] = value;
}

/* name{a="b",c="d"} value */
static void note_sample(struct family *f, struct sm_str line)
{
    if (!memchr(line.ptr, '{', line.len))
        return;
    take(&line, '{');
    while (line.len && *line.ptr != '}') {
        struct sm_str name = take(&line, '=');
        take(&line, '"');
        struct sm_str value = take(&line, '"');
        note_label(f, name, value);
        take_prefix(&line, ",");
    }
}

/* The next family of the exposition; false at the end. */
static bool next_family(struct sm_str *rest, struct family *f)
{
    *f = (struct family){0};
    while (rest->len) {
        struct sm_str at = *rest, line = take(rest, '\n');
        if (take_prefix(&line, "# HELP ")) {
            if (f->name.len) {
                *rest = at;
                return true;
            }
            f->name = take(&line, ' ');
            f->help = line;
        } else if (take_prefix(&line, "# TYPE ")) {
            take(&line, ' ');
            f->type = line;
        } else {
            note_sample(f, line);
        }
    }
    return f->name.len > 0;
}

/* ---- metrics ---- */

/* The first whose prefix fits, the last one fits all. */
static const struct section {
    const char *prefix, *title, *text;
} sections[] = {
    {"traces_", "Span metrics and service graph",
     "Counted over all traces, before sampling. Labels of `traces_spanmetrics_*`: `service`, `span_name`, `span_kind`, `status_code` and\n"
     "the keys of `analysis.span_metrics.dimensions`; of `traces_service_graph_*`: `client`, `server`, `connection_type`. What is over the\n"
     "limit of label sets is counted in a series with `metric_overflow=\"true\"`. Histograms have their buckets in seconds and, in\n"
     "OpenMetrics format, exemplars of traces that were kept."},
    {"spanmill_sink_", "Sinks", "One set per sink; the store is the sink named `store`. At rest: kept = delivered + filtered + rejected + dropped + queued."},
    {"spanmill_kafka_", "Kafka", "One set per consumer, while there are some. `spanmill_kafka_partition_lag` has the labels `topic` and `partition` too."},
    {"spanmill_store_", "Store", NULL},
    {"spanmill_query_", "Queries", NULL},
    {"spanmill_listener_", "Listeners", NULL},
    {"spanmill_tls_", "Listeners", NULL},
    {"spanmill_auth_", "Listeners", NULL},
    {"spanmill_graph_", "Analysis", NULL},
    {"spanmill_service_graph_", "Analysis", NULL},
    {"spanmill_spanmetrics_", "Analysis", NULL},
    {"process_", "Process", NULL},
    {"spanmill_build_info", "Process", NULL},
    {"", "Pipeline",
     "At rest: received + restored = rejected + duplicate + admitted, and admitted = sampled out + dropped + open + kept."},
};

static const char *const titles[] = {"Span metrics and service graph", "Listeners", "Pipeline", "Kafka", "Sinks", "Store", "Analysis", "Queries", "Process"};

static const struct section *section_of(struct sm_str name)
{
    const struct section *s = sections;
    while (name.len < strlen(s->prefix) || memcmp(name.ptr, s->prefix, strlen(s->prefix)) != 0)
        s++;
    return s;
}

/* Values are listed when they are ours and few: not the name of a sink, not a version. */
static void put_labels(const struct family *f, const char *quote, struct sm_buf *out)
{
    for (unsigned i = 0; i < f->label_count; i++) {
        const struct label *l = &f->labels[i];
        sm_buf_printf(out, "%s%s%.*s%s", i ? "; " : "", quote, (int)l->name.len, l->name.ptr, quote);
        if (sm_str_eq(l->name, SM_STR("sink")) || sm_str_eq(l->name, SM_STR("listener")) || sm_str_eq(l->name, SM_STR("consumer")) ||
            sm_str_eq(l->name, SM_STR("version")))
            continue;
        for (unsigned k = 0; k < l->count; k++)
            sm_buf_printf(out, "%s%.*s", k ? ", " : ": ", (int)l->values[k].len, l->values[k].ptr);
    }
}

static void put_family_text(const struct family *f, struct sm_buf *out)
{
    sm_buf_printf(out, "  %.*s (%.*s", (int)f->name.len, f->name.ptr, (int)f->type.len, f->type.ptr);
    if (f->label_count)
        sm_buf_puts(out, "; ");
    put_labels(f, "", out);
    sm_buf_printf(out, ")\n      %.*s\n", (int)f->help.len, f->help.ptr);
}

static void put_family_markdown(const struct family *f, struct sm_buf *out)
{
    sm_buf_printf(out, "| `%.*s` | %.*s | ", (int)f->name.len, f->name.ptr, (int)f->type.len, f->type.ptr);
    put_labels(f, "`", out);
    sm_buf_printf(out, " | %.*s |\n", (int)f->help.len, f->help.ptr);
}

static void put_title(const char *title, bool markdown, struct sm_buf *out)
{
    const struct section *s = sections;
    while (strcmp(s->title, title) != 0)
        s++;
    sm_buf_printf(out, markdown ? "\n## %s\n\n" : "\n%s\n", title);
    if (markdown && s->text)
        sm_buf_printf(out, "%s\n\n", s->text);
    if (markdown)
        sm_buf_puts(out, "| metric | type | labels | meaning |\n|---|---|---|---|\n");
}

static void put_metrics(bool markdown, struct sm_buf *out)
{
    struct sm_buf text = {0};
    scrape(&text);
    for (size_t i = 0; i < SM_ARRAY_LEN(titles); i++) {
        struct sm_str rest = sm_buf_str(&text);
        struct family f;
        put_title(titles[i], markdown, out);
        while (next_family(&rest, &f)) {
            if (strcmp(section_of(f.name)->title, titles[i]) != 0)
                continue;
            if (markdown)
                put_family_markdown(&f, out);
            else
                put_family_text(&f, out);
        }
    }
    sm_buf_fini(&text);
}

void sm_metrics_help_text(struct sm_buf *out)
{
    sm_buf_puts(out, "The metrics listener (listen.metrics) serves these on /metrics, as text or OpenMetrics.\n");
    put_metrics(false, out);
}

void sm_metrics_help_markdown(struct sm_buf *out)
{
    sm_buf_puts(out, "# Metrics\n"
                     "\n"
                     "Written by `spanmill help metrics --markdown`; do not edit.\n"
                     "\n"
                     "The metrics listener (`listen.metrics`, 127.0.0.1:8888) serves these on `/metrics`, as text or, to a client that asks for it,\n"
                     "as OpenMetrics. What the values of `reason` and `trigger` mean is in [drop-reasons.md](drop-reasons.md).\n");
    put_metrics(true, out);
}

/* ---- reasons ---- */

static const struct reason {
    const char *metric, *value, *meaning;
} reasons[] = {
#define SM_REASON(metric, value, meaning) {metric, value, meaning},
#include "app/reasons.def"
#undef SM_REASON
};

static const char *reject_meaning(struct sm_str value)
{
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++) {
        if (sm_str_eq(value, sm_str_c(sm_reject_name((enum sm_reject)i))))
            return sm_build_reject_text((enum sm_reject)i);
    }
    return NULL;
}

/* A reason without a meaning is a bug of ours, which running this once shows. */
static const char *meaning_of(const struct family *f, struct sm_str value)
{
    const char *meaning = sm_str_eq(f->name, SM_STR("spanmill_spans_rejected_total")) ? reject_meaning(value) : NULL;
    for (size_t i = 0; i < SM_ARRAY_LEN(reasons) && !meaning; i++) {
        if (sm_str_eq(f->name, sm_str_c(reasons[i].metric)) && sm_str_eq(value, sm_str_c(reasons[i].value)))
            meaning = reasons[i].meaning;
    }
    SM_ASSERT(meaning);
    return meaning;
}

static void put_reasons_of(const struct family *f, const struct label *l, bool markdown, struct sm_buf *out)
{
    sm_buf_printf(out, markdown ? "\n## `%.*s`: %.*s\n\n| `%.*s` | meaning |\n|---|---|\n" : "\n%.*s: %.*s, %.*s=\n", (int)f->name.len,
                  f->name.ptr, (int)f->help.len, f->help.ptr, (int)l->name.len, l->name.ptr);
    for (unsigned i = 0; i < l->count; i++)
        sm_buf_printf(out, markdown ? "| `%.*s` | %s |\n" : "  %.*s\n      %s\n", (int)l->values[i].len, l->values[i].ptr,
                      meaning_of(f, l->values[i]));
}

static void put_reasons(bool markdown, struct sm_buf *out)
{
    struct sm_buf text = {0};
    scrape(&text);
    struct sm_str rest = sm_buf_str(&text);
    struct family f;
    while (next_family(&rest, &f)) {
        for (unsigned i = 0; i < f.label_count; i++) {
            if (sm_str_eq(f.labels[i].name, SM_STR("reason")) || sm_str_eq(f.labels[i].name, SM_STR("trigger")))
                put_reasons_of(&f, &f.labels[i], markdown, out);
        }
    }
    sm_buf_fini(&text);
}

void sm_metrics_help_reasons_text(struct sm_buf *out)
{
    sm_buf_puts(out, "No span is lost without a counter. Metrics that count by reason, and what each reason means:\n");
    put_reasons(false, out);
}

void sm_metrics_help_reasons_markdown(struct sm_buf *out)
{
    sm_buf_puts(out, "# Reasons\n"
                     "\n"
                     "Written by `spanmill help reasons --markdown`; do not edit.\n"
                     "\n"
                     "No span is lost without a counter. These metrics count by reason; the keys are those of the\n"
                     "[configuration](configuration.md). Spans that the kernel or a sender dropped before they reached spanmill are not among them.\n");
    put_reasons(true, out);
}
