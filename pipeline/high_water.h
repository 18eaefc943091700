/* The largest value of the last while: exact over the present period, and that of the period before it. */
#ifndef SM_HIGH_WATER_H
#define SM_HIGH_WATER_H

#include "base/base.h"

/* Zero-initialised at first. */
struct sm_high_water {
    int64_t until_ns; /* when the present period ends */
    uint64_t now, before;
};

/* Notes a value; returns the largest of at least the last period_ns, at most twice that. Time may stand still but not go back. */
SM_INLINE uint64_t sm_high_water(struct sm_high_water *h, uint64_t value, int64_t now_ns, int64_t period_ns)
{
    if (now_ns >= h->until_ns) {
        bool long_ago = now_ns - h->until_ns >= period_ns;
        h->before = long_ago ? 0 : h->now;
        h->now = 0;
        h->until_ns = now_ns + period_ns;
    }
    h->now = SM_MAX(h->now, value);
    return SM_MAX(h->now, h->before);
}

#endif
