/* A sink that keeps a copy of everything it gets: for tests that look at what left the pipeline.
 *
 *   struct capture_sink capture = {0};
 *   struct sm_fanout_sink use = {.name = "capture", .ops = &capture_sink_ops, .sink = &capture, .batch_spans_max = 1};
 *
 * Writes finish at once and never fail. Closing it keeps what was captured; capture_sink_fini frees it. One thread. */
#ifndef CAPTURE_SINK_H
#define CAPTURE_SINK_H

#include "base/buf.h"
#include "pipeline/sink.h"

struct capture_span {
    struct sm_span head;
    const uint8_t *bytes; /* head.size canonical bytes */
    struct sm_str service;
};

struct capture_trace {
    struct sm_trace_id id;
    bool late, counted_out, randomness_derived;
    uint8_t trigger; /* enum sm_trigger */
    uint16_t rule;
    uint64_t threshold, randomness;
    int64_t opened_ns, last_ns, deadline_ns;
    struct capture_span *spans; /* in order of arrival, duplicates left out */
    uint32_t span_count;        /* of spans; `claimed` is what the trace said */
    uint32_t claimed;
    struct sm_str request; /* the trace alone as an OTLP request with private fields */
};

struct capture_sink {
    struct sm_sink_env env;
    struct sm_otlp_encoder *encoder;
    struct capture_trace *traces; /* in order of delivery */
    size_t count, capacity;
    uint64_t spans;
};

extern const struct sm_sink_ops capture_sink_ops;

void capture_sink_fini(struct capture_sink *c);

#endif
