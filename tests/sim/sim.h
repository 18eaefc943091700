/* The simulation's parts: what one seed stands for, and how they meet.
 *
 *   plan.c     seed -> settings: windows, rules, limits, sinks and their faults
 *   traffic.c  seed -> spans, payloads and the times at which they arrive
 *   drive.c    runs an engine over the traffic on a virtual clock; identities are checked on the way
 *   model.c    windows, duplicates, late spans by plain arrays; compares with what the engine did
 *   digest.c   everything that must not depend on the number of shards, as one text
 *
 * One thread. The first broken invariant ends the seed (sim_broken). */
#ifndef SIM_H
#define SIM_H

#include "app/engine.h"
#include "base/buf.h"
#include "faulty_sink.h"
#include "tests/support/capture_sink.h"

#define SIM_START_NS (INT64_C(1700000000) * SM_SEC)

/* ---- Random numbers ---- */

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t v = r->state;
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static inline uint64_t sim_below(struct sim_random *r, uint64_t n)
{
    return sim_next(r) % n;
}

static inline uint64_t sim_between(struct sim_random *r, uint64_t least, uint64_t most)
{
    return least + sim_below(r, most - least + 1);
}

static inline bool sim_percent(struct sim_random *r, unsigned percent)
{
    return sim_below(r, 100) < percent;
}

/* ---- Plan ---- */

struct sim_plan {
    uint64_t seed;
    bool exact;          /* nothing happens that the model does not know: it must agree to the span */
    bool memory;         /* a small budget with memory triggers */
    bool ordered;        /* as replay: sinks must see one order */
    bool caches_hold;    /* the memory of past decisions is large enough for the run */
    bool limits_split;   /* sizes close windows */
    struct sm_config *config;
    struct faulty_plan faults[3];
    unsigned fault_count;
    struct sm_sink_retry retry;
    uint64_t fault_queue_bytes;
    unsigned traces;
    int64_t span_ns;  /* the traces start within it */
    int64_t late_ns;  /* how long after its trace a late span may come */
    unsigned late_percent, duplicate_percent, delay_ms;
    unsigned tail_ms; /* time that passes before everything is closed */
    uint64_t jump_ns; /* the clock jumps once by so much; 0: not */
};

void sim_plan_make(struct sim_plan *plan, uint64_t seed);
void sim_plan_free(struct sim_plan *plan);

/* ---- Traffic ---- */

enum sim_format { SIM_PROTO, SIM_JSON, SIM_ZIPKIN, SIM_FORMATS };

/* Services come in pools; a trace stays within its pool, so that what happens to one says nothing about another's graph. */
enum { SIM_POOLS = 8, SIM_POOL_SERVICES = 5, SIM_POOL_PEERS = 3 };

struct sim_span {
    uint32_t trace;
    struct sm_trace_id id; /* as this span says it */
    uint64_t span_id, parent_id;
    enum sm_kind kind;
    enum sm_status status;
    bool error_tag, debug, shared;
    int service; /* in its pool; -1: none */
    int peer;    /* -1: not named */
    unsigned name;
    uint8_t address; /* last byte of 10.0.0.x; 0: none */
    uint64_t start_ns, duration_ns;
    enum sim_format format;
    unsigned filler;  /* bytes of an attribute */
    unsigned variant; /* of its text */
    const char *tracestate;
    int64_t wish_ns; /* when it wants to be sent */
    struct sm_buf wire; /* the span in its format */
    struct sm_span head; /* as its codec reads it */
    uint8_t *bytes;      /* canonical: head.size of them */
};

struct sim_trace {
    struct sm_trace_id id;
    unsigned pool;
    bool clash; /* shares its low half with another 128-bit id: the model looks away */
};

struct sim_payload {
    int64_t at_ns;
    enum sim_format format;
    struct sm_buf body;
    uint32_t *spans; /* in order; those that are to be accepted */
    uint32_t count;
    uint32_t rejected; /* further spans that are to be refused */
    bool malformed;
};

struct sim_traffic {
    struct sim_trace *traces;
    uint32_t trace_count;
    struct sim_span *spans;
    uint32_t span_count, span_capacity;
    struct sim_payload *payloads;
    uint32_t payload_count;
};

void sim_traffic_make(struct sim_traffic *t, const struct sim_plan *plan);
void sim_traffic_free(struct sim_traffic *t);
void sim_service_name(const struct sim_traffic *t, const struct sim_span *s, char out[32]); /* empty: none */
void sim_peer_name(const struct sim_traffic *t, const struct sim_span *s, char out[32]);    /* empty: none */
void sim_span_name(const struct sim_span *s, char out[32]);

/* ---- Running ---- */

struct sim_run {
    const struct sim_plan *plan;
    const struct sim_traffic *traffic;
    unsigned shards;
    struct sm_engine *engine;
    struct capture_sink truth; /* gets every kept trace at once */
    struct faulty_sink faulty[3];
    bool *taken;        /* by payload */
    int64_t closed_ns;  /* when everything was closed */
    uint64_t tick_bytes; /* of spans taken since the last tick */
    uint64_t refused;    /* payloads, because memory was short */
};

/* False when an invariant broke; `text` says which. */
bool sim_drive(struct sim_run *run, struct sm_buf *text);
void sim_run_free(struct sim_run *run);

/* Compares a run with the model; false when they differ. */
struct sim_checked {
    uint64_t windows, late_windows, spans, duplicates, graph_calls;
    uint64_t refused, early; /* payloads, windows: because memory was short */
};
bool sim_model_check(const struct sim_run *run, struct sim_checked *sums, struct sm_buf *text);

/* Bytes of what left, whatever the settings. */
bool sim_bytes_check(const struct sim_run *run, struct sm_buf *text);

/* What must be the same with any number of shards. */
void sim_digest(const struct sim_run *run, struct sm_buf *out);

#endif
