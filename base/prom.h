/* Writing metrics for Prometheus: text format 0.0.4 and OpenMetrics 1.0, from the same calls.
 *
 *   struct sm_prom p;
 *   sm_prom_begin(&p, &buf, SM_PROM_OPENMETRICS);
 *   sm_prom_family(&p, "spanmill_payloads_total", SM_PROM_COUNTER, "payloads taken in");
 *   sm_prom_uint(&p, SM_STR(""), 7);
 *   sm_prom_end(&p);
 *
 * Names, help texts and label names are ours and are written as they are; label values come from outside and are
 * escaped, bytes that are not UTF-8 become U+FFFD. Labels are passed rendered (`a="b",c="d"`, without braces), because
 * one set often serves many samples: sm_prom_label appends one pair to a buffer.
 *
 * Times and durations are integers of nanoseconds and are printed as exact decimals of seconds, so that two scrapes of
 * the same state are the same bytes.
 *
 * Not thread-safe: one exposition belongs to one thread. Memory: the buffer's, whose limit applies. */
#ifndef SM_PROM_H
#define SM_PROM_H

#include "base/base.h"
#include "base/buf.h"

enum sm_prom_format {
    SM_PROM_TEXT,        /* text/plain; version=0.0.4 */
    SM_PROM_OPENMETRICS, /* application/openmetrics-text; version=1.0.0: adds exemplars, _created, # EOF */
};

enum sm_prom_type { SM_PROM_COUNTER, SM_PROM_GAUGE, SM_PROM_HISTOGRAM };

#define SM_PROM_FAMILIES_MAX 512 /* in one exposition */

struct sm_prom {
    struct sm_buf *out;
    enum sm_prom_format format;
    enum sm_prom_type type; /* of the open family, as is its name */
    const char *name;
    size_t stem_size; /* bytes of the name without a counter's "_total" */
    const char *seen[SM_PROM_FAMILIES_MAX];
    unsigned seen_count;
    const struct sm_prom_drain *drain;
};

/* Takes what has been written, so that a large exposition is never in memory as a whole. */
struct sm_prom_drain {
    size_t size; /* of the buffer, from which on `take` is called between two samples; take empties the buffer */
    void (*take)(void *ctx, struct sm_buf *out);
    void *ctx;
};

/* The value of the Content-Type header. */
const char *sm_prom_content_type(enum sm_prom_format format);
/* What a client prefers by its Accept header (RFC 9110, 12.5.1); text when it does not say or cannot be understood. */
enum sm_prom_format sm_prom_negotiate(struct sm_str accept);

/* Appends name="value" to rendered labels, with a comma if there are some already. */
void sm_prom_label(struct sm_buf *labels, struct sm_str name, struct sm_str value);

void sm_prom_begin(struct sm_prom *p, struct sm_buf *out, enum sm_prom_format format);
/* The end mark that OpenMetrics asks for. */
void sm_prom_end(struct sm_prom *p);

/* Opens a family: writes its HELP and TYPE. Opening the family that is open already does nothing, so that rows of a
 * table with the same name share one; samples of a family must stand together, so opening one again later is a bug of
 * ours and aborts. `name` must outlive the exposition; a counter's name ends in "_total". */
void sm_prom_family(struct sm_prom *p, const char *name, enum sm_prom_type type, const char *help);

/* One sample of the open counter or gauge. */
void sm_prom_uint(struct sm_prom *p, struct sm_str labels, uint64_t value);
void sm_prom_double(struct sm_prom *p, struct sm_str labels, double value);
/* OpenMetrics only: when a counter started at zero (Unix time); nothing in text format. */
void sm_prom_created(struct sm_prom *p, struct sm_str labels, uint64_t created_ns);

struct sm_prom_exemplar {
    struct sm_str labels; /* rendered; empty: there is none */
    uint64_t value_ns;
    uint64_t time_ns; /* Unix time */
};

/* A histogram of durations with its buckets not yet cumulated. */
struct sm_prom_histogram {
    const uint64_t *bounds_ns; /* ascending, inclusive upper bounds */
    const uint64_t *counts;    /* bound_count + 1: the last one is what lies above the last bound */
    unsigned bound_count;
    uint64_t sum_s; /* the sum is sum_s seconds and sum_ns nanoseconds */
    uint64_t sum_ns;
    const struct sm_prom_exemplar
        *exemplars;      /* bound_count + 1, one per bucket, or NULL; only OpenMetrics shows them */
    uint64_t created_ns; /* 0: not said */
};

/* _bucket lines (le in seconds), _sum, _count and _created. */
void sm_prom_write_histogram(struct sm_prom *p, struct sm_str labels, const struct sm_prom_histogram *h);

/* The scrape endpoint's parts: whoever has metrics registers a collector while the process starts. */
struct sm_prom_registry;

struct sm_prom_registry *sm_prom_registry_new(void);
void sm_prom_registry_free(struct sm_prom_registry *r);
/* Collectors run in the order in which they came. Their names differ (one registered twice is a bug of ours and
 * aborts); `name` and `ctx` must outlive the registry. Not while a scrape is under way. */
void sm_prom_registry_add(struct sm_prom_registry *r, const char *name, void (*collect)(void *ctx, struct sm_prom *p),
                          void *ctx);
/* A whole exposition. One thread at a time. drain NULL: all of it stays in `out`; else its end does. */
void sm_prom_registry_scrape(const struct sm_prom_registry *r, enum sm_prom_format format, const struct sm_prom_drain *drain,
                             struct sm_buf *out);

#endif
