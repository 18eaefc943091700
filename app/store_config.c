/* Options of the store. */
#include "app/store_config.h"

#include "base/clock.h"
#include "base/log.h"
#include "sinks/store_sink.h"

#include <sys/random.h>
#include <sys/statvfs.h>

/* The dependency graph's part of the store's size. */
enum { GRAPH_SHARE = 16 };

/* Segments of a replay: the same in every run. */
#define REPLAY_SALT UINT64_C(0x7265706c61790002)

/* The share of the file system on which the directory lies or will be made; 0, the store's own default, when nobody knows. */
static uint64_t share_of_disk(const char *dir, double share)
{
    struct statvfs st;
    if (statvfs(dir, &st) != 0 && statvfs(".", &st) != 0)
        return 0;
    return (uint64_t)((double)st.f_blocks * (double)st.f_frsize * share);
}

static uint64_t size_max(const struct sm_config *config)
{
    const struct sm_config_amount *size = &config->store.size_max;
    return size->share > 0 ? share_of_disk(config->store.path, size->share) : size->bytes;
}

enum sm_rc sm_store_config_open(const struct sm_config *config, struct sm_store **store, struct sm_err *err)
{
    struct sm_store_options options = {
        .sync_linger_ns = sm_store_sink_linger_ns(config->store.sync_ns),
        .retention_age_ns = config->store.retention_ns,
        .retention_bytes_max = size_max(config),
    };
    return sm_store_open(config->store.path, &options, sm_clock_wall_ns(), store, err);
}

enum sm_rc sm_store_config_open_replay(const char *dir, struct sm_store **store, struct sm_err *err)
{
    struct sm_store_options options = {
        .sync_linger_ns = INT64_MAX,
        .retention_age_ns = -1,
        .retention_bytes_max = UINT64_MAX,
        .salt = REPLAY_SALT,
    };
    return sm_store_open(dir, &options, 0, store, err);
}

/* Never 0, which is the run of recordings. */
static uint64_t random_run(void)
{
    uint64_t run;
    while (getrandom(&run, sizeof run, 0) != (ssize_t)sizeof run || !run)
        ;
    return run;
}

struct sm_graph_log *sm_store_config_open_graph(const struct sm_config *config)
{
    struct sm_graph_log_options options = {
        .run = random_run(),
        .sync_ns = config->store.sync_ns,
        .retention_ns = config->store.retention_ns,
        .bytes_max = size_max(config) / GRAPH_SHARE,
    };
    struct sm_graph_log *log;
    struct sm_err err;
    if (sm_graph_log_open(config->store.path, &options, &log, &err) == SM_OK)
        return log;
    sm_log(SM_LOG_ERROR, "graph_log_not_opened", sm_kv("error", err.text));
    return NULL;
}

enum sm_rc sm_store_config_open_replay_graph(const char *dir, struct sm_graph_log **log, struct sm_err *err)
{
    struct sm_graph_log_options options = {.sync_ns = INT64_MAX, .bytes_max = UINT64_MAX};
    return sm_graph_log_open(dir, &options, log, err);
}
