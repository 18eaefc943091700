/* What left, whatever the settings: whole traces, the bytes that came in, and the tracestate that was appended. */
#include "sim.h"

#include "base/pb.h"
#include "span/attr.h"
#include "span/tracestate.h"

#include <stdlib.h>

static bool broken(struct sm_buf *text, const struct capture_trace *t, const char *what)
{
    char id[SM_TRACE_ID_HEX_SIZE];
    sm_trace_id_hex(t->id, id);
    sm_buf_printf(text, "trace %s: %s\n", id, what);
    return false;
}

static bool was_sent(const struct sim_traffic *traffic, const struct capture_trace *t, const struct capture_span *s)
{
    for (uint32_t i = 0; i < traffic->span_count; i++) {
        const struct sim_span *sent = &traffic->spans[i];
        if (sent->span_id == s->head.span_id && sent->id.lo == t->id.lo && sent->head.size == s->head.size &&
            memcmp(sent->bytes, s->bytes, s->head.size) == 0)
            return true;
    }
    return false;
}

/* A span as it is written: what is kept, and perhaps one more field 3. */
static bool wire_span_ok(const struct capture_trace *t, struct sm_str wire)
{
    for (uint32_t i = 0; i < t->span_count; i++) {
        size_t size = t->spans[i].head.size;
        if (wire.len < size || memcmp(wire.ptr, t->spans[i].bytes, size) != 0)
            continue;
        const uint8_t *p = (const uint8_t *)wire.ptr + size, *end = (const uint8_t *)wire.ptr + wire.len;
        struct sm_pb_field f;
        if (p == end && t->threshold == SM_THRESHOLD_ALWAYS)
            return true;
        if (p < end && (!sm_pb_next(&p, end, &f) || f.number != SM_OTLP_TRACE_STATE || f.wire != SM_PB_BYTES || p != end))
            continue;
        struct sm_tracestate before, now;
        sm_tracestate_parse(sm_tracestate_of_span(t->spans[i].bytes, (uint32_t)size), &before);
        sm_tracestate_parse(sm_tracestate_of_span((const uint8_t *)wire.ptr, (uint32_t)wire.len), &now);
        uint64_t threshold = t->threshold;
        if (before.threshold != SM_TRACESTATE_UNSET)
            threshold = SM_MAX(threshold, before.threshold);
        if (now.threshold == threshold)
            return true;
    }
    return false;
}

static bool walk_scope(const struct capture_trace *t, struct sm_str scope, uint32_t *spans)
{
    struct sm_pb_field f;
    const uint8_t *p = (const uint8_t *)scope.ptr, *end = p + scope.len;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != 2)
            continue;
        (*spans)++;
        if (!wire_span_ok(t, sm_str(f.bytes, f.size)))
            return false;
    }
    return p == end;
}

static bool request_ok(const struct capture_trace *t, uint32_t *spans)
{
    struct sm_pb_field resource, scope;
    const uint8_t *p = (const uint8_t *)t->request.ptr, *end = sm_pb_end(p, t->request.len);
    while (sm_pb_next(&p, end, &resource)) {
        const uint8_t *q = resource.bytes, *q_end = sm_pb_end(q, resource.size);
        while (sm_pb_next(&q, q_end, &scope)) {
            if (scope.number == 2 && !walk_scope(t, sm_str(scope.bytes, scope.size), spans))
                return false;
        }
    }
    return p == end;
}

static bool trace_ok(const struct sim_run *run, const struct capture_trace *t, struct sm_buf *text)
{
    uint32_t wire_spans = 0;
    if (t->claimed != t->span_count || !t->span_count)
        return broken(text, t, "the number of spans is not what the trace says");
    if (t->threshold > t->randomness && !t->late)
        return broken(text, t, "kept, but its threshold is above its randomness");
    for (uint32_t i = 0; i < t->span_count; i++) {
        if (!was_sent(run->traffic, t, &t->spans[i]))
            return broken(text, t, "a delivered span was never sent");
    }
    if (!request_ok(t, &wire_spans))
        return broken(text, t, "the OTLP request has other bytes than were sent");
    if (wire_spans != t->span_count)
        return broken(text, t, "the OTLP request has another number of spans");
    return true;
}

/* ---- One fate ---- */

/* It, or one with the same head: late spans are duplicates of what went before by their heads. */
static bool delivered(const struct sim_run *run, const struct sim_span *s)
{
    for (size_t i = 0; i < run->truth.count; i++) {
        const struct capture_trace *t = &run->truth.traces[i];
        for (uint32_t k = 0; t->id.lo == s->id.lo && k < t->span_count; k++) {
            if (t->spans[k].head.span_id == s->span_id && t->spans[k].head.size == s->head.size &&
                t->spans[k].head.duration_ns == s->head.duration_ns)
                return true;
        }
    }
    return false;
}

/* Traces without errors and debug spans, which may open a second window: all or nothing of what was taken in. */
static bool one_fate(const struct sim_run *run, struct sm_buf *text)
{
    const struct sim_traffic *traffic = run->traffic;
    enum { UNKNOWN, ALL, NOTHING, EXCUSED };
    uint8_t *fates = sm_xcalloc(traffic->trace_count, 1);
    bool ok = true;
    for (uint32_t i = 0; i < traffic->span_count; i++) {
        const struct sim_span *s = &traffic->spans[i];
        if ((s->head.flags & (SM_SPAN_ERROR | SM_SPAN_DEBUG)) || traffic->traces[s->trace].clash)
            fates[s->trace] = EXCUSED;
    }
    for (uint32_t i = 0; i < traffic->payload_count && ok; i++) {
        for (uint32_t k = 0; run->taken[i] && k < traffic->payloads[i].count && ok; k++) {
            const struct sim_span *s = &traffic->spans[traffic->payloads[i].spans[k]];
            uint8_t *fate = &fates[s->trace], this_one;
            if (*fate == EXCUSED)
                continue;
            this_one = delivered(run, s) ? ALL : NOTHING;
            ok = *fate == UNKNOWN || *fate == this_one;
            *fate = this_one;
            if (!ok) {
                char id[SM_TRACE_ID_HEX_SIZE];
                sm_trace_id_hex(traffic->traces[s->trace].id, id);
                sm_buf_printf(text, "trace %s is split: span %016llx of payload %u was %s, others were not\n", id,
                              (unsigned long long)s->span_id, i, this_one == ALL ? "delivered" : "dropped");
            }
        }
    }
    free(fates);
    return ok;
}

bool sim_bytes_check(const struct sim_run *run, struct sm_buf *text)
{
    for (size_t i = 0; i < run->truth.count; i++) {
        if (!trace_ok(run, &run->truth.traces[i], text))
            return false;
    }
    return run->plan->memory || !run->plan->caches_hold || one_fate(run, text);
}
