/* A lazy timing wheel of open traces.
 *
 * A trace sits in the bucket of the tick at which its window is looked at next; the true deadline is computed from the trace
 * when the bucket fires, and the trace is put back if it is not due. Adding a span therefore never touches the wheel.
 * Buckets are 100 ms wide; deadlines beyond the horizon wait in the last bucket and are put back from there. */
#ifndef SM_WHEEL_H
#define SM_WHEEL_H

#include "base/base.h"
#include "span/trace.h"

#define SM_TICK_NS       (100 * SM_MS)
#define SM_WHEEL_BUCKETS 2048

struct sm_wheel {
    int64_t tick;       /* this tick fires; earlier ones are empty */
    size_t count;       /* traces inside */
    struct sm_trace *buckets[SM_WHEEL_BUCKETS];
};

/* Time starts at now_ns. */
void sm_wheel_init(struct sm_wheel *w, int64_t now_ns);

/* Puts a trace into the bucket of the first tick at or after deadline_ns (the next tick when that has passed). */
void sm_wheel_add(struct sm_wheel *w, struct sm_trace *t, int64_t deadline_ns);
void sm_wheel_remove(struct sm_wheel *w, struct sm_trace *t);

/* The end of the next tick in ns: fire it when the time is there. */
SM_INLINE int64_t sm_wheel_next_ns(const struct sm_wheel *w)
{
    return (w->tick + 1) * SM_TICK_NS;
}

/* Moves to the next tick. Its traces are then taken out one by one, over as many calls as it takes; traces added meanwhile go
 * to later ticks. */
SM_INLINE void sm_wheel_advance(struct sm_wheel *w)
{
    w->tick++;
}
/* The next trace of the present tick, taken out; NULL when there is none left. */
struct sm_trace *sm_wheel_pop(struct sm_wheel *w);

/* Nothing inside: jumps to the tick of now_ns. */
void sm_wheel_skip(struct sm_wheel *w, int64_t now_ns);

/* The trace that would fire first (any of its bucket), NULL when empty; for eviction of the oldest. Starts to look at
 * `*from` ticks ahead and leaves there how far it came. */
struct sm_trace *sm_wheel_oldest(const struct sm_wheel *w, uint32_t *from);

#endif
