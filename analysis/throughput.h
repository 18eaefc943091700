/* How many traces clients start, by service and operation, and by which probability they sampled them; from that the rates
 * that they are told when they ask (adaptive.h).
 *
 * Counted are spans without a parent whose client says that it sampled with a probability: tags sampler.type
 * (probabilistic or lowerbound) and sampler.param of Jaeger's clients, jaeger.sampler.type and .param of OpenTelemetry's
 * Jaeger samplers. Others do not ask for rates.
 *
 * Threads: as pipeline/analyzer.h says. The rates are published for readers without locks. */
#ifndef SM_THROUGHPUT_H
#define SM_THROUGHPUT_H

#include "analysis/adaptive.h"
#include "base/base.h"
#include "base/prom.h"
#include "base/published.h"
#include "pipeline/analyzer.h"

enum { SM_THROUGHPUT_FORMS = 2 }; /* pairs of keys, in which clients tell how they sampled */

struct sm_throughput_config {
    struct sm_adaptive_config adaptive;
    uint32_t type_slots[SM_THROUGHPUT_FORMS], param_slots[SM_THROUGHPUT_FORMS];
};

/* Adds the keys to the wanted ones. */
enum sm_rc sm_throughput_config_keys(struct sm_throughput_config *config, struct sm_wanted *wanted, struct sm_err *err) SM_MUST_USE;

struct sm_throughput;
struct sm_throughput *sm_throughput_new(const struct sm_throughput_config *config, int64_t now_ns) SM_MUST_USE;
/* Shards are freed before it; nobody reads the rates any more. */
void sm_throughput_free(struct sm_throughput *t);

extern const struct sm_analyzer_ops sm_throughput_ops;

/* Control thread, about once a second: calculates when it is time, publishes what has changed. */
void sm_throughput_step(struct sm_throughput *t, int64_t now_ns);

/* Values are struct sm_rates; there is always one. */
struct sm_published *sm_throughput_published(struct sm_throughput *t);

/* Collector for base/prom.h; ctx is the struct sm_throughput. */
void sm_throughput_collect(void *ctx, struct sm_prom *p);

#endif
