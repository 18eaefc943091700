/* What the traces of a shard hold: their memory, and epochs of their sources (epochs.h).
 *
 *   struct sm_trace *t = sm_trace_memory_new(m, source, epoch);
 *   if (sm_trace_room(t) < size && !sm_trace_memory_grow(m, t, size)) ...       before sm_trace_put
 *   sm_trace_memory_close(m, t);                                                its window closes
 *   sm_trace_memory_free(m, t);
 *
 * The heaviest traces with an open window are kept at hand, for deciding early what frees most. Used by the shard's thread only.
 * Every sm_trace.memory is what its chunks and itself take from the slab. */
#ifndef SM_TRACE_MEMORY_H
#define SM_TRACE_MEMORY_H

#include "base/base.h"
#include "base/slab.h"
#include "pipeline/epochs.h"
#include "pipeline/stats.h"
#include "span/trace.h"

enum { SM_TRACE_MEMORY_HEAVY_MAX = 64 };

struct sm_trace_memory {
    struct sm_slab *slab;
    struct sm_epochs *epochs; /* borrowed */
    struct sm_stats *stats;   /* borrowed */
    struct sm_trace *heavy[SM_TRACE_MEMORY_HEAVY_MAX];
    unsigned heavy_count;
};

void sm_trace_memory_init(struct sm_trace_memory *m, struct sm_epochs *epochs, struct sm_stats *stats);
/* Every trace must be home. */
void sm_trace_memory_fini(struct sm_trace_memory *m);

/* A trace without spans, zeros but for what is given here, its memory and its start, which is none. It holds the epoch. NULL: no
 * memory. */
struct sm_trace *sm_trace_memory_new(struct sm_trace_memory *m, uint16_t source, uint32_t epoch) SM_MUST_USE;
/* Gives back its chunks, what it holds of epochs, and the trace. */
void sm_trace_memory_free(struct sm_trace_memory *m, struct sm_trace *t);

/* A source beside the trace's own gave it spans: holds the epoch, if it is the first of that source. Without memory for that
 * nothing is held. */
void sm_trace_memory_hold(struct sm_trace_memory *m, struct sm_trace *t, uint16_t source, uint32_t epoch) SM_COLD;

/* A chunk for the spans that the batch being copied has for this trace (t->group_size), larger when the trace is large already.
 * `least` bytes fit in any case. False: no memory. */
bool sm_trace_memory_grow(struct sm_trace_memory *m, struct sm_trace *t, uint32_t least);

/* The window closes: it is not among the heaviest any more. */
void sm_trace_memory_close(struct sm_trace_memory *m, const struct sm_trace *t);
/* Of the traces above 256 KiB with an open window; NULL: there is none. */
struct sm_trace *sm_trace_memory_heaviest(const struct sm_trace_memory *m);

#endif
