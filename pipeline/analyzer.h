/* Analyzer: learns something from every trace, before sampling: the dependency graph, span metrics, critical paths.
 *
 * Each shard has its own state and observes each of its traces exactly once, with the verdict known. Changes reach the
 * global state as deltas: at its tick the shard ships them, the control thread merges what was shipped. Only the global
 * state is read by scrapes, exports and queries; it is guarded by the analyzer's own mutex, which the data path never takes.
 *
 *   shard thread:   observe, observe, ..., ship                 (no lock, no allocation per span or trace in steady state)
 *   control thread: merge (every shard)                          then readers take the mutex
 *
 * The usual shape is two delta tables per shard: observe writes one while the control thread drains the other; ship swaps
 * them if the other came back, else goes on with the same one. Sums are integers, so that the result does not depend on the
 * number of shards. */
#ifndef SM_ANALYZER_H
#define SM_ANALYZER_H

#include "base/base.h"
#include "span/view.h"
#include "span/wanted.h"

struct sm_analyzer_env {
    const struct sm_names *names;
    struct sm_scopes *scopes;
};

struct sm_analyzer_ops {
    const char *name;
    void *(*shard_new)(void *global, unsigned shard);
    void (*shard_free)(void *shard);
    /* One sealed trace. view->trace->verdict is KEPT or DROPPED; source and arrival times are in view->trace. `scratch` is
     * the one the view was built in (names, lookup by id). For late spans of a decided trace the view holds only them. */
    void (*observe)(void *shard, const struct sm_view *view, const struct sm_view_scratch *scratch);
    void (*ship)(void *shard);
    void (*merge)(void *global, void *shard);
};

struct sm_analyzer {
    const struct sm_analyzer_ops *ops;
    void *global;
};

#endif
