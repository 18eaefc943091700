/* Opening windows: what becomes of a span whose trace is not open. Nothing is known of the trace, or it was decided and the
 * span is late: then it follows the decision, linked to what the trace left behind (decided.h, skeletons.h). Private to the
 * shard, on its thread. */
#ifndef SM_OPEN_H
#define SM_OPEN_H

#include "base/base.h"
#include "span/batch.h"
#include "span/view.h"

struct sm_shard;

/* The trace of a span whose id is not open: a new window, in map and wheel. NULL: the span needs none (it is late and its trace
 * was dropped) or there is no memory; it is counted. `hash` is the map's, of the id. */
struct sm_trace *sm_open_window(struct sm_shard *s, uint64_t hash, struct sm_trace_id id, const struct sm_span *span,
                                const struct sm_batch *b) SM_COLD;

/* Reads the heads of a sealed trace whose skeleton is still there into s->context, valid until the next call; false, and *count
 * as it was, when it is not. */
bool sm_open_context(struct sm_shard *s, struct sm_trace_id id, int64_t now_ns, uint32_t *count);

/* Late spans follow a drop, unless one among them would have opened a window of its own, had it come first. The view is of the
 * late trace, with its context, and the last one built. */
bool sm_open_has_news(const struct sm_shard *s, const struct sm_trace *t, const struct sm_view *v);

#endif
