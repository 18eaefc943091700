/* Tracestates are read only where a span's flags say that there is one: mostly the root's alone. */
#include "pipeline/sample/randomness.h"

#include "span/tracestate.h"

static void read_span(const struct sm_view_span *span, struct sm_tracestate *out)
{
    struct sm_str fields = sm_lead_rest(span->span, span->bytes);
    sm_tracestate_parse(sm_tracestate_of_span((const uint8_t *)fields.ptr, fields.len), out);
}

static bool has_tracestate(const struct sm_view_span *span)
{
    return span->span->flags & SM_SPAN_TRACESTATE;
}

static void read_all(const struct sm_view *view, struct sm_tracestate *least)
{
    *least = (struct sm_tracestate){.threshold = SM_TRACESTATE_UNSET, .randomness = SM_TRACESTATE_UNSET};
    for (uint32_t i = 0; i < view->count; i++) {
        struct sm_tracestate one;
        if (!has_tracestate(&view->spans[i]))
            continue;
        read_span(&view->spans[i], &one);
        least->threshold = SM_MIN(least->threshold, one.threshold);
        least->randomness = SM_MIN(least->randomness, one.randomness);
    }
}

static void read_trace(const struct sm_view *view, struct sm_tracestate *out)
{
    if (!(view->trace->span_flags & SM_SPAN_TRACESTATE))
        *out = (struct sm_tracestate){.threshold = SM_TRACESTATE_UNSET, .randomness = SM_TRACESTATE_UNSET};
    else if (view->root < view->count && has_tracestate(&view->spans[view->root]))
        read_span(&view->spans[view->root], out);
    else
        read_all(view, out);
}

struct sm_randomness sm_randomness_of(const struct sm_view *view)
{
    struct sm_tracestate ts;
    read_trace(view, &ts);
    struct sm_randomness r = {.value = ts.randomness};
    if (ts.randomness == SM_TRACESTATE_UNSET) {
        bool random_id = (view->trace->span_flags & SM_SPAN_W3C_RANDOM) || ts.threshold != SM_TRACESTATE_UNSET;
        r.value = sm_randomness_of_id(view->trace->id, random_id);
        r.derived = !random_id;
    }
    bool known = ts.threshold != SM_TRACESTATE_UNSET && sm_threshold_keeps(ts.threshold, r.value);
    r.arriving = known ? ts.threshold : SM_THRESHOLD_ALWAYS;
    return r;
}
