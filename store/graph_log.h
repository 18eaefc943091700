/* The dependency graph on disk: files of checksummed records beside the segments (docs/formats/graph.md).
 *
 * A record is a part: the calls of some minutes that one source saw in one run. Parts are summed; a part that is written
 * again replaces what was written before. Parts that are finished are appended to the file of their hour; those that still
 * grow are written together, every time anew, to one more file (the checkpoint). What a former run left in its checkpoint is
 * moved to the files of its hours when the log is opened.
 *
 * Failure. Nothing on disk makes opening fail: torn ends are cut before the file is appended to, damaged records are skipped
 * and counted. A write that failed may be repeated as it is.
 *
 * Threads. One thread opens, appends, checkpoints, tends and closes; any number of others may read and ask for statistics
 * meanwhile. The directory belongs to one process: whoever has the store's lock. */
#ifndef SM_GRAPH_LOG_H
#define SM_GRAPH_LOG_H

#include "base/base.h"
#include "store/graph_part.h"

struct sm_graph_log;

struct sm_graph_log_options {
    uint64_t run;         /* this run's id; 0: recordings, whose parts have no run */
    int64_t sync_ns;      /* what was written is made durable by the first call of sm_graph_log_tend after this time */
    int64_t retention_ns; /* files of hours that ended longer ago are removed; <= 0: never */
    uint64_t bytes_max;   /* files of the oldest hours are removed beyond this size; 0: 1 GiB */
};

/* Opens the log of the store in `dir`; creates its directory. SM_E_IO when that cannot be. */
enum sm_rc sm_graph_log_open(const char *dir, const struct sm_graph_log_options *options, struct sm_graph_log **log,
                             struct sm_err *err) SM_MUST_USE;
void sm_graph_log_close(struct sm_graph_log *log);
uint64_t sm_graph_log_run(const struct sm_graph_log *log);

/* Appends a finished part to the file of its hour. */
enum sm_rc sm_graph_log_append(struct sm_graph_log *log, const struct sm_graph_part *part, struct sm_err *err) SM_MUST_USE;

/* Replaces the checkpoint by these parts, at once; none: removes it. */
enum sm_rc sm_graph_log_checkpoint(struct sm_graph_log *log, const struct sm_graph_part *parts, size_t count, int64_t now_ns,
                                   struct sm_err *err) SM_MUST_USE;

/* Syncs what is due, with `all` everything, and removes what is too old or too much. Problems are logged and counted. */
void sm_graph_log_tend(struct sm_graph_log *log, int64_t now_ns, bool all);

/* Every edge of every part that reaches into [start_ms, end_ms), those of the run `but_run` left out (0: none): parts in no
 * particular order, one call per row, everything borrowed for the call. Any thread. */
void sm_graph_log_read(struct sm_graph_log *log, int64_t start_ms, int64_t end_ms, uint64_t but_run, sm_graph_edge_fn fn,
                       void *ctx);

struct sm_graph_log_stats {
    uint64_t files, bytes; /* as of the last look, at most a minute ago */
    /* since opening */
    uint64_t parts_written, bytes_written, write_errors, syncs;
    uint64_t files_removed;
    uint64_t tails_cut;
    uint64_t damaged; /* records or stretches that could not be read, each time that they were met */
};
void sm_graph_log_stats(const struct sm_graph_log *log, struct sm_graph_log_stats *stats);

#endif
