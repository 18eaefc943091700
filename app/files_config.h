/* Files to follow, from the configuration (ingest/follow.h). Positions lie in the store's directory; without a store there are none. */
#ifndef SM_FILES_CONFIG_H
#define SM_FILES_CONFIG_H

#include "app/config.h"
#include "pipeline/pipeline.h"
#include "store/store.h"

struct sm_files;

/* *files stays NULL when the configuration names none. They are read on the first worker; `control` is the loop that writes positions. */
enum sm_rc sm_files_open(const struct sm_config *c, const struct sm_store *store, struct sm_pipeline *pipeline, struct sm_loop *control,
                         struct sm_files **files, struct sm_err *err) SM_MUST_USE;

/* As sm_follow_drain, sm_follow_finish and sm_follow_close; NULL is allowed. */
void sm_files_drain(struct sm_files *files, int64_t timeout_ns);
void sm_files_finish(struct sm_files *files, bool all_delivered);
void sm_files_close(struct sm_files *files);

#endif
