/* Options of the store. */
#include "app/store_config.h"

#include "base/clock.h"
#include "sinks/store_sink.h"

#include <sys/statvfs.h>

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

enum sm_rc sm_store_config_open(const struct sm_config *config, struct sm_store **store, struct sm_err *err)
{
    const struct sm_config_amount *size = &config->store.size_max;
    struct sm_store_options options = {
        .sync_linger_ns = sm_store_sink_linger_ns(config->store.sync_ns),
        .retention_age_ns = config->store.retention_ns,
        .retention_bytes_max = size->share > 0 ? share_of_disk(config->store.path, size->share) : size->bytes,
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
