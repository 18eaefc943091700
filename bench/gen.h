/* Deterministic, realistic trace traffic: the same options give the same spans on every run.
 *
 * Forty services in five tiers with a fixed call topology (topology.h). Traces have 1 to 5,000 spans, mean about 20,
 * with a long tail; calls are CLIENT/SERVER pairs over HTTP or RPC, database CLIENT leaves, INTERNAL spans and
 * PRODUCER/CONSUMER pairs. Durations are log-normal; about 3 % of the roots take more than 500 ms; about one trace in
 * twenty holds an error that spreads from a span towards the root (1 to 2 % of the spans).
 *
 * Spans leave their service when they end, at most a second of virtual time after their trace began, and are packed as
 * an SDK's batch processor does: a request holds the spans of one service, of many interleaved traces. */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include "base/base.h"

enum { BENCH_GEN_TRACE_SPANS_MAX = 5000 };

enum bench_span_type {
    BENCH_SPAN_HTTP_SERVER,
    BENCH_SPAN_HTTP_CLIENT,
    BENCH_SPAN_RPC_SERVER,
    BENCH_SPAN_RPC_CLIENT,
    BENCH_SPAN_DB,
    BENCH_SPAN_INTERNAL,
    BENCH_SPAN_PRODUCER,
    BENCH_SPAN_CONSUMER,
    BENCH_SPAN_TYPES
};

struct bench_span {
    uint64_t trace_hi; /* upper 16 bits: spans in the trace (see body.h) */
    uint64_t trace_lo;
    uint64_t id;
    uint64_t parent;  /* 0: the root */
    int64_t start_ns; /* virtual time from 0 */
    int64_t end_ns;
    int64_t leaves_ns; /* when the service hands it to its batch */
    uint32_t seed;     /* everything else about the span follows from it */
    uint8_t service;
    uint8_t peer; /* the other service of a call or a message; the database of a DB span */
    uint8_t type;
    uint8_t operation;
    bool error;
    bool linked; /* carries a span link to its parent */
};

/* Spans [first, first + n) of bench_gen.order, all of one service. */
struct bench_request {
    uint32_t first;
    uint32_t n;
    int64_t leaves_ns;
    uint8_t service;
    uint8_t instance;
};

struct bench_gen_options {
    uint64_t seed;
    uint32_t spans;             /* at least so many; the last trace is finished */
    uint32_t spans_per_request; /* 200: an SDK; 5: Envoy */
    uint32_t spans_per_second;  /* of virtual time: sets how far apart the requests of a trace are */
};

/* Immutable after bench_gen_new. */
struct bench_gen {
    struct bench_gen_options options;
    struct bench_span *spans; /* trace after trace, parents before children */
    uint32_t spans_n;
    uint32_t traces_n;
    uint32_t *order; /* indices of spans, request after request */
    struct bench_request *requests;
    uint32_t requests_n;
    int64_t length_ns; /* virtual time from the first to the last request */
};

#define BENCH_GEN_DEFAULTS                                                                                             \
    ((struct bench_gen_options){.seed = 1, .spans = 400000, .spans_per_request = 200, .spans_per_second = 100000})

struct bench_gen *bench_gen_new(const struct bench_gen_options *options) SM_MUST_USE;
void bench_gen_free(struct bench_gen *gen);

#endif
