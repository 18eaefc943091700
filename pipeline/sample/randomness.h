/* The randomness R of a trace, and the threshold it arrived with.
 *
 * R is the first of: rv of the root span's tracestate; the low 56 bits of the trace id, when W3C's random flag or a th says
 * that they are random; a hash of the id's low 64 bits, to be written out as rv. A trace whose root carries no tracestate (or
 * is missing) is asked through its other spans: the smallest rv and th among them, so that the order of arrival does not
 * matter. A th above R contradicts itself (the trace would not be here) and is ignored. Pure, any thread, no allocation. */
#ifndef SM_RANDOMNESS_H
#define SM_RANDOMNESS_H

#include "base/base.h"
#include "span/view.h"

struct sm_randomness {
    uint64_t value;    /* R, 56 bits */
    uint64_t arriving; /* threshold of earlier samplers; SM_THRESHOLD_ALWAYS when unknown */
    bool derived;      /* R is our hash */
};

struct sm_randomness sm_randomness_of(const struct sm_view *view);

#endif
