/* From configuration to an open store. */
#ifndef SM_STORE_CONFIG_H
#define SM_STORE_CONFIG_H

#include "app/config.h"
#include "base/base.h"
#include "store/graph_log.h"
#include "store/store.h"

/* Opens the configured store for the daemon, repaired if need be. SM_E_AGAIN: another process has it; *err names it. */
enum sm_rc sm_store_config_open(const struct sm_config *config, struct sm_store **store, struct sm_err *err) SM_MUST_USE;

/* Opens the store in `dir` for a replay: nothing is removed, time is that of the recording, and what is written follows from the
 * input alone. */
enum sm_rc sm_store_config_open_replay(const char *dir, struct sm_store **store, struct sm_err *err) SM_MUST_USE;

/* The log of the dependency graph beside the store, which is open: kept as long, a sixteenth of its size. NULL after a line in
 * the log: then the graph ends with the process. */
struct sm_graph_log *sm_store_config_open_graph(const struct sm_config *config);

/* That beside the store of a replay. */
enum sm_rc sm_store_config_open_replay_graph(const char *dir, struct sm_graph_log **log, struct sm_err *err) SM_MUST_USE;

#endif
