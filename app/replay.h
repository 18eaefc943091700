/* Replaying recordings through an inline engine: reading, time, progress, counting what could not be used. */
#ifndef SM_REPLAY_H
#define SM_REPLAY_H

#include "app/engine.h"
#include "base/base.h"

struct sm_replay_totals {
    uint64_t files;
    uint64_t records;         /* messages, lines, documents */
    uint64_t records_refused; /* not understood as a whole; the first reason is in `first_problem` */
    uint64_t spans;           /* accepted */
    uint64_t spans_rejected;  /* refused one by one */
    uint64_t bytes;           /* of files, as read */
    int64_t took_ns;          /* by the monotonic clock */
    int64_t recorded_end_ns;  /* where recorded time ended, Unix time; 0: nothing was recorded */
    char first_problem[512];
};

/* Gives the process a fixed hash seed, so that two replays of one recording write the same bytes. Before anything is built. */
void sm_replay_fix_seed(void);

/* Where kept traces go. */
struct sm_replay_into {
    struct sm_store *store;                          /* NULL: none; must outlive the engine */
    struct sm_graph_log *graph_log;                  /* beside the store: takes the graph; NULL: none, as above */
    struct sm_fanout_sink sinks[SM_ENGINE_SINKS_MAX]; /* taken */
    unsigned sink_count;
};

/* An inline engine for recordings; `into` NULL: nothing is written. NULL after filling *err; freed with sm_engine_free. */
struct sm_engine *sm_replay_engine_new(const struct sm_config *config, unsigned shards, const struct sm_replay_into *into,
                                       struct sm_err *err) SM_MUST_USE;

/* Replays files, and what is in directories (ingest/file_list.h), in order, with one clock, then closes every window, lets the sinks finish, and writes the graph if there is a log.
 * There each file is a source of its own, named after what is in it (compressed or not), so that a file that is replayed again
 * replaces what it said before; a trace counts for the file that it began in. A file that ends inside a record is replayed up to
 * there and noted; one without spans is named on standard error. `progress` shows a line there, when it is a terminal. */
enum sm_rc sm_replay_files(struct sm_engine *e, char *const *paths, size_t count, bool progress,
                           struct sm_replay_totals *totals, struct sm_err *err) SM_MUST_USE;

#endif
