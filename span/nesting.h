/* Which of two spans of one call lies within the other one, where only their times can tell. Pure functions, any thread. */
#ifndef SM_NESTING_H
#define SM_NESTING_H

#include "base/base.h"

struct sm_extent {
    uint64_t start_ns, end_ns; /* 0: unknown */
};

/* Whether `inner` begins within `outer`: after it began, or with it and is shorter. Its end does not matter: a server that had to
 * wait for a processor after its reply was out ends later than its caller. False when both are the same, and when one is unknown
 * or has no length (to Zipkin a duration of 0 is none). Never do two hold each other; of two that hold a third one and are not
 * the same, one holds the other. */
SM_INLINE bool sm_extent_holds(struct sm_extent outer, struct sm_extent inner)
{
    if (!outer.start_ns || !inner.start_ns || inner.end_ns <= inner.start_ns || inner.start_ns >= outer.end_ns)
        return false;
    return outer.start_ns < inner.start_ns || (outer.start_ns == inner.start_ns && outer.end_ns > inner.end_ns);
}

#endif
