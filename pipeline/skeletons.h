/* What sealed traces leave behind for a while: the heads of their spans, so that late spans can be told from duplicates and
 * linked to their parents.
 *
 * A ring of bytes: the oldest skeleton makes room for the newest, so memory is fixed and grace is what fits, at most grace_ns. A
 * head is packed into some 28 bytes.
 * One per shard, used by its thread only. */
#ifndef SM_SKELETONS_H
#define SM_SKELETONS_H

#include "base/base.h"
#include "span/view.h"

struct sm_skeletons;
struct sm_skeleton;

/* bytes_max 0: none are kept. */
struct sm_skeletons *sm_skeletons_new(size_t bytes_max, int64_t grace_ns);
void sm_skeletons_free(struct sm_skeletons *s);

/* Remembers the spans of a view. Its context is included, so that a skeleton grows with each late part, but the grace counts
 * from when the trace was first sealed: the heads name scopes, which are kept alive only so long. Traces that might take
 * more than half of the ring leave none. */
void sm_skeletons_add(struct sm_skeletons *s, const struct sm_view *view, int64_t now_ns);

/* The skeleton of a trace that was sealed less than grace_ns ago, and how many spans it has; NULL when there is none. Valid until
 * the next add. A 64-bit id finds the newest of its low half; ids of 128 bits are told apart. */
const struct sm_skeleton *sm_skeletons_find(const struct sm_skeletons *s, struct sm_trace_id id, int64_t now_ns,
                                            uint32_t *count);
/* Their heads, in their order, without side records and leads. */
void sm_skeletons_read(const struct sm_skeleton *skeleton, struct sm_span *heads);

#endif
