/* Files of the dependency graph: read without trust, as a file of an hour, as a checkpoint, and as rows. What was read of the
 * file can be appended to and reads the same. */
#include "store/graph_log.h"

#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOUR "2023-11-14T22.graph"

static char dir[64];

static void add(void *ctx, const struct sm_graph_edge *edge)
{
    SM_ASSERT(edge->parent.len <= SM_GRAPH_PART_NAME_MAX && edge->child.len <= SM_GRAPH_PART_NAME_MAX);
    *(uint64_t *)ctx += edge->calls | 1;
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/graph/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    SM_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

/* Whatever hours the input named. */
static void remove_files(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/graph", dir);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/graph/%s", dir, e->d_name);
        unlink(path);
    }
    if (d)
        closedir(d);
}

static void read_rows(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    uint8_t *exact = malloc(size + !size);
    if (size)
        memcpy(exact, data, size);
    (void)sm_graph_part_rows(sm_str(exact, size), UINT32_MAX, add, &sum);
    free(exact);
}

static uint64_t read_all(struct sm_graph_log *log)
{
    uint64_t sum = 0;
    sm_graph_log_read(log, 0, INT64_MAX, 0, add, &sum);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sm_graph_log_options options = {.run = 1, .sync_ns = INT64_MAX};
    struct sm_graph_log *log;
    struct sm_err err;
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "%s/spanmill-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        SM_ASSERT(mkdtemp(dir));
        sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = STDERR_FILENO});
    }
    read_rows(data, size);
    SM_ASSERT(sm_graph_log_open(dir, &options, &log, &err) == SM_OK);
    sm_graph_log_close(log);
    write_file("open.graph", data, size);
    SM_ASSERT(sm_graph_log_open(dir, &options, &log, &err) == SM_OK);
    write_file(HOUR, data, size);
    uint64_t before = read_all(log);
    struct sm_graph_part part = {.key = {.run = 77, .minute = 28333334, .minutes = 1}, .version = UINT32_MAX};
    struct sm_graph_edge edge = {.parent = SM_STR("a"), .child = SM_STR("b"), .calls = 1};
    SM_ASSERT(sm_graph_part_put(&part, &edge));
    SM_ASSERT(sm_graph_log_append(log, &part, &err) == SM_OK);
    SM_ASSERT(read_all(log) == before + 1);
    sm_buf_fini(&part.rows);
    sm_graph_log_close(log);
    remove_files();
    return 0;
}
