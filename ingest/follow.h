/* Following files that others append to: what the collector's file exporter writes, OTLP JSON lines or OTLP protobuf messages with a
 * 4-byte big-endian length before each, plain; a line may be another document of file_json.h as well. Documents over several lines and
 * compressed files cannot be followed; of files that are neither that is said once.
 *
 * Patterns (glob) are looked at again and again. A file is known by its number on the file system, so that one that is renamed is
 * read to its end and goes on where it was, and the new one under its name starts at its beginning. One that became shorter
 * starts again. A file that no pattern finds any more is read to its end and let go of a while later. The last line is taken when its
 * newline has come, or when the file is gone.
 *
 * Positions are acknowledged as offsets of Kafka are (offsets.h): what is in front of one is decided and, where kept, durable. They
 * are kept in a file, so that a restart, also after a crash, goes on there and reads again what was not through: each span is taken at
 * least once, and once when nothing crashed. Reading stops while the worker is overloaded or what is kept is not written
 * as fast as it comes.
 *
 * Threads: everything on the worker's loop, except the functions that say otherwise. Reads are blocking. */
#ifndef SM_FOLLOW_H
#define SM_FOLLOW_H

#include "base/net/loop.h"
#include "ingest/offsets.h"
#include "pipeline/worker.h"

#define SM_FOLLOW_FILES_MAX 1000 /* open at a time; further ones wait */

struct sm_follow_pattern {
    const char *glob;
    bool from_start; /* of files that were there before anything was followed; others start at their beginning */
};

struct sm_follow_options {
    const struct sm_follow_pattern *patterns; /* borrowed for as long as it lives */
    size_t pattern_count;
    const char *positions; /* path; NULL: kept nowhere */
    size_t record_bytes_max;
    uint16_t source; /* of the worker alone */
    struct sm_durable durable;
    struct sm_loop *saver; /* whose thread writes positions */
};

struct sm_follow;

/* Before the loops run. Positions that cannot be read are as none, which is logged. NULL after filling *err. */
struct sm_follow *sm_follow_open(const struct sm_follow_options *options, struct sm_worker *worker, struct sm_err *err) SM_MUST_USE;

/* Any thread: reads no more; returns when that is so, or after timeout_ns. */
void sm_follow_drain(struct sm_follow *f, int64_t timeout_ns);

/* Any thread, after draining: writes the last positions; `all_delivered`: everything that was read is decided and durable. */
void sm_follow_finish(struct sm_follow *f, bool all_delivered);

/* While no loop runs. NULL is allowed. */
void sm_follow_close(struct sm_follow *f);

#endif
