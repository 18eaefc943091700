/* Decisions: a window closes, the trace is laid out and proposed to the rules; what a limit must settle is parked until the
 * tick is solved (coordinator.h); with its verdict a trace is analysed, then freed or offered to the sinks. Private to the
 * shard, on its thread. */
#ifndef SM_DECIDE_H
#define SM_DECIDE_H

#include "base/base.h"
#include "span/trace.h"

struct sm_shard;

/* Closes the window of a trace that is out of the wheel, and takes the trace: it is freed, parked or with the sinks then. */
void sm_decide_seal(struct sm_shard *s, struct sm_trace *t, enum sm_trigger trigger, int64_t now_ns);

/* Posts the tick that ends at now_ns: what parked since the last one asks its limiters. The tick before must be settled. */
void sm_decide_post(struct sm_shard *s, int64_t now_ns);

/* Finishes what was posted once the tick is solved; false while it is not, or nothing was posted. What its limiter refused may
 * park again. */
bool sm_decide_settle(struct sm_shard *s);

#endif
