/* Followed files: from configuration to the receiver. */
#include "app/files_config.h"

#include "ingest/follow.h"
#include "pipeline/epochs.h"

#include <stdlib.h>

struct sm_files {
    struct sm_follow *follow;
    struct sm_follow_pattern *patterns;
    char positions[4096];
};

static uint64_t written(void *store)
{
    return sm_store_written(store);
}

static uint64_t durable(void *store)
{
    return sm_store_durable(store);
}

/* The last of the sources that the first worker alone submits for (ingest/kafka_member.c gives them out from the first one on). */
static uint16_t source_of(const struct sm_pipeline *pipeline)
{
    unsigned step = sm_pipeline_worker_count(pipeline);
    return (uint16_t)(1 + (SM_EPOCH_SOURCES_MAX - 2) / step * step);
}

enum sm_rc sm_files_open(const struct sm_config *c, const struct sm_store *store, struct sm_pipeline *pipeline, struct sm_loop *control,
                         struct sm_files **files, struct sm_err *err)
{
    if (c->files.n == 0)
        return SM_OK;
    struct sm_files *f = sm_xcalloc(1, sizeof *f);
    f->patterns = sm_xcalloc(c->files.n, sizeof *f->patterns);
    for (size_t i = 0; i < c->files.n; i++)
        f->patterns[i] = (struct sm_follow_pattern){c->files.items[i].path, c->files.items[i].from == SM_CONFIG_FROM_START};
    struct sm_follow_options o = {
        .patterns = f->patterns,
        .pattern_count = c->files.n,
        .record_bytes_max = c->limits.inflated_bytes_max,
        .source = source_of(pipeline),
        .saver = control,
    };
    if (store) {
        snprintf(f->positions, sizeof f->positions, "%s/files.positions", c->store.path);
        o.positions = f->positions;
        o.durable = (struct sm_durable){written, durable, (void *)(uintptr_t)store};
    }
    f->follow = sm_follow_open(&o, sm_pipeline_worker(pipeline, 0), err);
    *files = f;
    return f->follow ? SM_OK : err->rc;
}

void sm_files_drain(struct sm_files *files, int64_t timeout_ns)
{
    if (files)
        sm_follow_drain(files->follow, timeout_ns);
}

void sm_files_finish(struct sm_files *files, bool all_delivered)
{
    if (files)
        sm_follow_finish(files->follow, all_delivered);
}

void sm_files_close(struct sm_files *files)
{
    if (!files)
        return;
    sm_follow_close(files->follow);
    free(files->patterns);
    free(files);
}
