/* The scenarios' sink: sees what an OTLP receiver would see (the requests of sinks/otlp_encode.h, decoded again), keeps it,
 * and misbehaves when it is told to. */
#ifndef SM_SCENARIO_CAPTURE_H
#define SM_SCENARIO_CAPTURE_H

#include "base/buf.h"
#include "pipeline/sink.h"
#include "script.h"

struct sm_otlp_encoder;

struct captured_span {
    struct sm_trace_id trace;
    uint64_t id, parent_id;
    char *name, *service, *tracestate;
    uint32_t kind, status;
    struct sm_str bytes; /* of the Span message, owned */
};

/* One write of one trace. */
struct captured_trace {
    struct sm_trace_id id;
    uint16_t rule;
    uint8_t trigger;
    uint64_t threshold;
};

struct capture {
    char name[32];
    /* what it does with the next writes */
    bool refuse, hold, error_only;
    uint64_t fail, partial; /* so many times AGAIN; so many spans refused of each batch */
    int64_t retry_after_ns;
    /* what it saw */
    uint64_t attempts, batches, flushes;
    struct captured_span *spans;
    size_t span_count;
    struct captured_trace *traces;
    size_t trace_count;
    struct sm_sink_batch **held;
    size_t held_count;
    struct sm_otlp_encoder *encoder;
    bool closed;
};

struct capture *capture_new(const char *name);
/* After the sink was closed. */
void capture_free(struct capture *c);

extern const struct sm_sink_ops capture_ops;

/* For sm_fanout_sink.wants: traces with an error only. */
bool capture_wants_errors(const void *ctx, const struct sm_trace *trace);

/* Ends every held write and stops holding. */
void capture_release(struct capture *c);

#endif
