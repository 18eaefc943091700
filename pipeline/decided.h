/* What was decided about traces that are gone: late spans follow it.
 *
 * Kept traces: an exact cache of bounded size, oldest out first. Dropped traces: two generations of a cuckoo filter with
 * 32-bit fingerprints (false positives below 1e-8); when the young one is full the old one is forgotten. They start small
 * and double, so that at any time at least half of the limit, or a third of what was added, is remembered. 64-bit and 128-bit
 * forms of one id meet here: filters know the low halves only; kept ids of 128 bits are told apart. One per shard, used by its
 * thread only. */
#ifndef SM_DECIDED_H
#define SM_DECIDED_H

#include "base/base.h"
#include "span/trace.h"

struct sm_decided;

/* What a late span of a kept trace needs to follow it. */
struct sm_decision {
    uint64_t threshold;
    uint64_t randomness;
    uint16_t rule;
    bool counted_out;
    bool randomness_derived;
    uint64_t id_hi; /* filled by sm_decided_find: high half of the kept trace's id */
};

enum sm_decided_state { SM_DECIDED_NONE, SM_DECIDED_KEPT, SM_DECIDED_DROPPED };

/* Limits are numbers of traces; 0 turns that cache off. */
struct sm_decided *sm_decided_new(uint32_t kept_max, uint32_t dropped_max);
void sm_decided_free(struct sm_decided *d);

void sm_decided_add_kept(struct sm_decided *d, struct sm_trace_id id, const struct sm_decision *decision);
void sm_decided_add_dropped(struct sm_decided *d, struct sm_trace_id id);

/* Fetches what a later find or add_dropped of this id will read. */
void sm_decided_prefetch(const struct sm_decided *d, struct sm_trace_id id);

/* *decision is filled for SM_DECIDED_KEPT. */
enum sm_decided_state sm_decided_find(const struct sm_decided *d, struct sm_trace_id id, struct sm_decision *decision);

#endif
