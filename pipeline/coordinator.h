/* Coordinator: settles at each tick what needs the traces of all shards: rate limits.
 *
 * Every shard posts its candidates of a tick; the last one to post solves the tick for all of them, on its own thread, and
 * publishes one threshold per limiter. A shard that posted goes on taking spans in and settles its parked traces when the
 * tick is solved; it does not fire its next tick before. Decisions depend neither on the number of shards nor on who solves. */
#ifndef SM_COORDINATOR_H
#define SM_COORDINATOR_H

#include "base/base.h"
#include "pipeline/policy.h"

struct sm_coordinator;

struct sm_coordinator *sm_coordinator_new(const struct sm_policy *policy, unsigned shards);
void sm_coordinator_free(struct sm_coordinator *c);

/* Shard thread, while its tick is open: one more trace asks `limiter`. */
void sm_coordinator_ask(struct sm_coordinator *c, unsigned shard, uint16_t limiter,
                        const struct sm_limiter_candidate *candidate);

/* Shard thread: the tick's candidates are complete. now_ns is the same on every shard. */
void sm_coordinator_post(struct sm_coordinator *c, unsigned shard, int64_t now_ns);

/* Shard thread: true when the tick this shard posted last is solved (or it posted none). */
bool sm_coordinator_solved(const struct sm_coordinator *c, unsigned shard);

/* Shard thread, after solved: does this candidate of the tick pass, and at which threshold? */
bool sm_coordinator_granted(const struct sm_coordinator *c, uint16_t limiter, const struct sm_limiter_candidate *candidate,
                            uint64_t *threshold);

#endif
