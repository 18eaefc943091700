/* Files of the dependency graph: records, hours, the checkpoint, retention. */
#include "store/graph_log.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "base/log.h"
#include "store/open_at.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define HEADER_SIZE 64
#define MAGIC       UINT32_C(0x31475053) /* "SPG1" */
#define HOUR_NS     (3600 * SM_SEC)
#define LOOK_NS     (60 * SM_SEC)
/* A part starts in its file's hour and is at most a day long. */
#define DAY_HOURS  24
#define MINUTE_MAX (UINT32_C(1) << 31)

enum { LEVEL = 1, UNSYNCED_MAX = 64, SEARCH_BYTES = 1 << 16, NAME_SIZE = 32 };

static const char checkpoint_name[] = "open.graph";
static const char checkpoint_new_name[] = "open.new";

struct record {
    struct sm_graph_part_key key;
    uint32_t version, edges, raw_size, size, crc;
    uint64_t offset; /* of the payload */
    uint32_t order;  /* later records count more */
    int fd;
};

struct records {
    struct record *items;
    uint32_t count, capacity;
};

struct sm_graph_log {
    struct sm_graph_log_options options;
    int dir_fd;
    uint64_t end_hour, end; /* the hour appended to last, and where its records end */
    uint64_t unsynced[UNSYNCED_MAX]; /* hours */
    unsigned unsynced_count;
    bool dir_dirty;
    bool left_over; /* the checkpoint is that of a former run */
    int64_t synced_ns, checkpoint_synced_ns, looked_ns;
    _Atomic uint64_t files, bytes, parts_written, bytes_written, write_errors, syncs, files_removed, tails_cut, damaged;
};

static bool is_due(int64_t now_ns, int64_t last_ns, int64_t every_ns)
{
    return now_ns < last_ns || now_ns - last_ns >= every_ns;
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- records ---- */

static void put_record(const struct sm_graph_part *part, struct sm_buf *out)
{
    size_t bound = ZSTD_compressBound(part->rows.size);
    sm_buf_reserve(out, HEADER_SIZE + bound);
    uint8_t *h = out->data + out->size;
    size_t size = ZSTD_compress(h + HEADER_SIZE, bound, part->rows.data, part->rows.size, LEVEL);
    SM_ASSERT(!ZSTD_isError(size));
    memset(h, 0, HEADER_SIZE);
    sm_store_le32(h, MAGIC);
    sm_store_le64(h + 8, part->key.source);
    sm_store_le64(h + 16, part->key.run);
    sm_store_le32(h + 24, part->key.minute);
    sm_store_le32(h + 28, part->key.minutes);
    sm_store_le32(h + 32, part->key.number);
    sm_store_le32(h + 36, part->version);
    sm_store_le32(h + 40, part->edges);
    sm_store_le32(h + 44, (uint32_t)part->rows.size);
    sm_store_le32(h + 48, (uint32_t)size);
    sm_store_le32(h + 52, sm_crc32c(0, h + HEADER_SIZE, size));
    sm_store_le32(h + 4, sm_crc32c(0, h + 8, HEADER_SIZE - 8));
    out->size += HEADER_SIZE + size;
}

/* A header at `offset` of a file of `file_size` bytes, whose payload must lie in the file. */
static bool get_header(const uint8_t *h, uint64_t offset, uint64_t file_size, struct record *r)
{
    if (sm_load_le32(h) != MAGIC || sm_load_le32(h + 4) != sm_crc32c(0, h + 8, HEADER_SIZE - 8))
        return false;
    *r = (struct record){
        .key = {sm_load_le64(h + 8), sm_load_le64(h + 16), sm_load_le32(h + 24), sm_load_le32(h + 28), sm_load_le32(h + 32)},
        .version = sm_load_le32(h + 36),
        .edges = sm_load_le32(h + 40),
        .raw_size = sm_load_le32(h + 44),
        .size = sm_load_le32(h + 48),
        .crc = sm_load_le32(h + 52),
        .offset = offset + HEADER_SIZE,
    };
    return r->size <= file_size - r->offset && r->raw_size <= SM_GRAPH_PART_ROWS_MAX && r->key.minute <= MINUTE_MAX &&
           r->key.minutes <= DAY_HOURS * 60;
}

/* The next good header from `offset` on. */
static bool search_header(int fd, uint64_t offset, uint64_t file_size, struct record *r)
{
    uint8_t bytes[SEARCH_BYTES];
    while (offset + HEADER_SIZE <= file_size) {
        size_t n = (size_t)SM_MIN((uint64_t)sizeof bytes, file_size - offset);
        if (sm_file_read_at(fd, bytes, n, offset) != SM_OK)
            return false;
        for (size_t i = 0; i + HEADER_SIZE <= n; i++)
            if (get_header(bytes + i, offset + i, file_size, r))
                return true;
        offset += n - HEADER_SIZE + 1;
    }
    return false;
}

/* Adds all records of a file; *end is where the last one ends. Returns the stretches in between that are none. */
static uint64_t scan(int fd, struct records *to, uint64_t *end)
{
    struct stat st;
    uint64_t damaged = 0;
    *end = 0;
    if (fstat(fd, &st) != 0)
        return 0;
    for (uint64_t size = (uint64_t)st.st_size, at = 0; size - at >= HEADER_SIZE; at = *end) {
        uint8_t header[HEADER_SIZE];
        struct record r;
        if (sm_file_read_at(fd, header, sizeof header, at) != SM_OK || !get_header(header, at, size, &r)) {
            if (!search_header(fd, at + 1, size, &r))
                break;
            damaged++;
        }
        *end = r.offset + r.size;
        if (to->count == to->capacity) {
            to->capacity = SM_MAX(2 * to->capacity, 64u);
            to->items = sm_xrealloc(to->items, to->capacity * sizeof *to->items);
        }
        r.fd = fd;
        r.order = to->count;
        to->items[to->count++] = r;
    }
    return damaged;
}

/* ---- names ---- */

/* "2026-03-01T12.graph" */
static void hour_name(uint64_t hour, char name[NAME_SIZE])
{
    time_t seconds = (time_t)(hour * 3600);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || strftime(name, NAME_SIZE, "%Y-%m-%dT%H.graph", &tm) == 0)
        snprintf(name, NAME_SIZE, "none");
}

static bool parse_hour(const char *name, uint64_t *hour)
{
    struct tm tm = {0};
    char again[NAME_SIZE];
    const char *end = strptime(name, "%Y-%m-%dT%H.graph", &tm);
    time_t seconds = end && !*end ? timegm(&tm) : -1;
    if (seconds < 0)
        return false;
    *hour = (uint64_t)seconds / 3600;
    hour_name(*hour, again);
    return strcmp(name, again) == 0;
}

static int compare_hours(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Hours that have a file, oldest first. */
static uint64_t *list_hours(const struct sm_graph_log *log, uint32_t *n)
{
    uint64_t *hours = NULL, hour;
    uint32_t capacity = 0;
    *n = 0;
    int fd = sm_open_at(log->dir_fd, ".", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!parse_hour(e->d_name, &hour))
            continue;
        if (*n == capacity) {
            capacity = SM_MAX(2 * capacity, 256u);
            hours = sm_xrealloc(hours, capacity * sizeof *hours);
        }
        hours[(*n)++] = hour;
    }
    if (dir)
        closedir(dir);
    if (*n)
        qsort(hours, *n, sizeof *hours, compare_hours);
    return hours;
}

static int open_hour(const struct sm_graph_log *log, uint64_t hour, int flags)
{
    char name[NAME_SIZE];
    hour_name(hour, name);
    return sm_open_at(log->dir_fd, name, flags);
}

/* ---- writing ---- */

static enum sm_rc failed(struct sm_graph_log *log, const char *what, struct sm_err *err)
{
    const char *why = strerror(errno);
    count(&log->write_errors, 1);
    return sm_err_set(err, SM_E_IO, "%s of the dependency graph: %s", what, why);
}

static bool write_at(int fd, const struct sm_buf *b, uint64_t offset)
{
    for (size_t done = 0; done < b->size;) {
        ssize_t n = pwrite(fd, b->data + done, b->size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void sync_hours(struct sm_graph_log *log)
{
    for (unsigned i = 0; i < log->unsynced_count; i++) {
        struct sm_err err;
        int fd = open_hour(log, log->unsynced[i], O_RDWR);
        count(&log->syncs, 1);
        if (fd >= 0 && fdatasync(fd) != 0 && failed(log, "syncing", &err) != SM_OK)
            sm_log(SM_LOG_ERROR, "graph_log_sync_failed", sm_kv("error", err.text));
        if (fd >= 0)
            close(fd);
    }
    if (log->dir_dirty)
        log->dir_dirty = fsync(log->dir_fd) != 0;
    log->unsynced_count = 0;
}

static void note_unsynced(struct sm_graph_log *log, uint64_t hour)
{
    for (unsigned i = 0; i < log->unsynced_count; i++)
        if (log->unsynced[i] == hour)
            return;
    if (log->unsynced_count == UNSYNCED_MAX)
        sync_hours(log);
    log->unsynced[log->unsynced_count++] = hour;
}

/* Where to append: the end of the file's last good record. What lies behind it is cut. */
static enum sm_rc find_end(struct sm_graph_log *log, int fd, uint64_t hour, uint64_t *end, struct sm_err *err)
{
    struct stat st;
    struct records found = {0};
    if (fstat(fd, &st) != 0)
        return failed(log, "looking at a file", err);
    log->dir_dirty |= st.st_size == 0;
    *end = log->end;
    if (hour == log->end_hour && (uint64_t)st.st_size == log->end)
        return SM_OK;
    count(&log->damaged, scan(fd, &found, end));
    free(found.items);
    if (*end == (uint64_t)st.st_size)
        return SM_OK;
    count(&log->tails_cut, 1);
    sm_log(SM_LOG_WARN, "graph_log_tail_cut", sm_kv("bytes", (uint64_t)st.st_size - *end));
    return ftruncate(fd, (off_t)*end) == 0 ? SM_OK : failed(log, "cutting a file", err);
}

static enum sm_rc append_bytes(struct sm_graph_log *log, uint64_t hour, const struct sm_buf *record, struct sm_err *err)
{
    uint64_t end = 0;
    int fd = open_hour(log, hour, O_RDWR | O_CREAT);
    if (fd < 0)
        return failed(log, "opening a file", err);
    enum sm_rc rc = find_end(log, fd, hour, &end, err);
    if (rc == SM_OK && !write_at(fd, record, end)) {
        rc = failed(log, "writing a file", err);
        if (ftruncate(fd, (off_t)end) != 0)
            sm_log(SM_LOG_WARN, "graph_log_truncate_failed", sm_kv("error", strerror(errno)));
    }
    close(fd);
    if (rc != SM_OK)
        return rc;
    count(&log->bytes_written, record->size);
    log->end_hour = hour;
    log->end = end + record->size;
    count(&log->parts_written, 1);
    note_unsynced(log, hour);
    return SM_OK;
}

enum sm_rc sm_graph_log_append(struct sm_graph_log *log, const struct sm_graph_part *part, struct sm_err *err)
{
    struct sm_buf record = {0};
    put_record(part, &record);
    enum sm_rc rc = append_bytes(log, part->key.minute / 60, &record, err);
    sm_buf_fini(&record);
    return rc;
}

/* ---- the checkpoint ---- */

static bool same_part(const struct sm_graph_part_key *a, const struct sm_graph_part_key *b)
{
    return a->source == b->source && a->run == b->run && a->minute == b->minute && a->minutes == b->minutes &&
           a->number == b->number;
}

static enum sm_rc copy_record(struct sm_graph_log *log, const struct record *r, struct sm_err *err)
{
    struct sm_buf bytes = {0};
    enum sm_rc rc = SM_OK;
    size_t size = HEADER_SIZE + (size_t)r->size;
    sm_buf_reserve(&bytes, size);
    bytes.size = size;
    if (sm_file_read_at(r->fd, bytes.data, size, r->offset - HEADER_SIZE) == SM_OK && sm_crc32c(0, bytes.data + HEADER_SIZE, r->size) == r->crc)
        rc = append_bytes(log, r->key.minute / 60, &bytes, err);
    else
        count(&log->damaged, 1);
    sm_buf_fini(&bytes);
    return rc;
}

/* Moves what a former run left in its checkpoint to the files of its hours; what was finished meanwhile is there with a higher
 * version. */
static enum sm_rc take_left_over(struct sm_graph_log *log, struct sm_err *err)
{
    struct records found = {0};
    uint64_t end;
    enum sm_rc rc = SM_OK;
    int fd = sm_open_at(log->dir_fd, checkpoint_name, O_RDONLY);
    if (fd < 0 && errno != ENOENT)
        return failed(log, "opening the checkpoint", err);
    log->left_over = false;
    if (fd < 0)
        return SM_OK;
    count(&log->damaged, scan(fd, &found, &end));
    for (uint32_t i = 0; i < found.count && rc == SM_OK; i++)
        rc = copy_record(log, &found.items[i], err);
    free(found.items);
    close(fd);
    log->left_over = rc != SM_OK;
    if (rc != SM_OK)
        return rc;
    sync_hours(log);
    return unlinkat(log->dir_fd, checkpoint_name, 0) == 0 ? SM_OK : failed(log, "removing the checkpoint", err);
}

static enum sm_rc write_checkpoint(struct sm_graph_log *log, const struct sm_buf *bytes, bool sync, struct sm_err *err)
{
    int fd = sm_open_at(log->dir_fd, checkpoint_new_name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return failed(log, "opening the checkpoint", err);
    bool good = write_at(fd, bytes, 0) && (!sync || fdatasync(fd) == 0);
    count(&log->syncs, sync);
    enum sm_rc rc = good ? SM_OK : failed(log, "writing the checkpoint", err);
    close(fd);
    if (rc == SM_OK && renameat(log->dir_fd, checkpoint_new_name, log->dir_fd, checkpoint_name) != 0)
        rc = failed(log, "renaming the checkpoint", err);
    if (rc == SM_OK)
        count(&log->bytes_written, bytes->size); /* not before a crash would find it */
    return rc;
}

enum sm_rc sm_graph_log_checkpoint(struct sm_graph_log *log, const struct sm_graph_part *parts, size_t n, int64_t now_ns,
                                   struct sm_err *err)
{
    enum sm_rc rc = log->left_over ? take_left_over(log, err) : SM_OK;
    if (rc != SM_OK)
        return rc;
    if (!n)
        return unlinkat(log->dir_fd, checkpoint_name, 0) == 0 || errno == ENOENT
                   ? SM_OK
                   : failed(log, "removing the checkpoint", err);
    struct sm_buf bytes = {0};
    for (size_t i = 0; i < n; i++)
        put_record(&parts[i], &bytes);
    bool sync = is_due(now_ns, log->checkpoint_synced_ns, log->options.sync_ns);
    rc = write_checkpoint(log, &bytes, sync, err);
    if (rc == SM_OK && sync)
        log->checkpoint_synced_ns = now_ns;
    sm_buf_fini(&bytes);
    return rc;
}

/* ---- retention ---- */

static uint64_t size_of_hour(const struct sm_graph_log *log, uint64_t hour)
{
    char name[NAME_SIZE];
    struct stat st;
    hour_name(hour, name);
    return fstatat(log->dir_fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static bool remove_hour(struct sm_graph_log *log, uint64_t hour)
{
    char name[NAME_SIZE];
    hour_name(hour, name);
    if (unlinkat(log->dir_fd, name, 0) != 0)
        return false;
    count(&log->files_removed, 1);
    return true;
}

static void retain(struct sm_graph_log *log, int64_t now_ns)
{
    uint32_t n;
    uint64_t *hours = list_hours(log, &n), bytes = 0, files = n;
    for (uint32_t i = 0; i < n; i++)
        bytes += size_of_hour(log, hours[i]);
    for (uint32_t i = 0; i < n; i++) {
        int64_t age_ns = now_ns - (int64_t)(hours[i] + 1) * HOUR_NS;
        bool old = log->options.retention_ns > 0 && age_ns > log->options.retention_ns;
        uint64_t size = size_of_hour(log, hours[i]);
        if (!old && (bytes <= log->options.bytes_max || i + 1 == n))
            continue;
        if (remove_hour(log, hours[i])) {
            bytes -= SM_MIN(size, bytes);
            files--;
        }
    }
    free(hours);
    atomic_store_explicit(&log->files, files, memory_order_relaxed);
    atomic_store_explicit(&log->bytes, bytes, memory_order_relaxed);
}

void sm_graph_log_tend(struct sm_graph_log *log, int64_t now_ns, bool all)
{
    if (all || is_due(now_ns, log->synced_ns, log->options.sync_ns)) {
        if (log->unsynced_count || log->dir_dirty)
            sync_hours(log);
        log->synced_ns = now_ns;
    }
    if (all || is_due(now_ns, log->looked_ns, LOOK_NS)) {
        log->looked_ns = now_ns;
        retain(log, now_ns);
    }
}

/* ---- life ---- */

enum sm_rc sm_graph_log_open(const char *dir, const struct sm_graph_log_options *options, struct sm_graph_log **out,
                             struct sm_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/graph", dir);
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return sm_err_set(err, SM_E_IO, "cannot create %.200s: %s", path, strerror(errno));
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return sm_err_set(err, SM_E_IO, "cannot open %.200s: %s", path, strerror(errno));
    struct sm_graph_log *log = sm_xcalloc(1, sizeof *log);
    log->options = *options;
    if (!log->options.bytes_max)
        log->options.bytes_max = SM_GIB;
    log->dir_fd = dir_fd;
    struct sm_err why;
    if (take_left_over(log, &why) != SM_OK)
        sm_log(SM_LOG_ERROR, "graph_log_checkpoint_not_read", sm_kv("error", why.text));
    *out = log;
    return SM_OK;
}

void sm_graph_log_close(struct sm_graph_log *log)
{
    if (!log)
        return;
    sync_hours(log);
    close(log->dir_fd);
    free(log);
}

uint64_t sm_graph_log_run(const struct sm_graph_log *log)
{
    return log->options.run;
}

/* ---- reading ---- */

static int compare_records(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = memcmp(&x->key, &y->key, offsetof(struct sm_graph_part_key, number) + sizeof x->key.number);
    if (!order)
        order = (x->version > y->version) - (x->version < y->version);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

struct reader {
    struct sm_graph_log *log;
    int64_t start_ms, end_ms;
    uint64_t but_run;
    sm_graph_edge_fn fn;
    void *ctx;
    struct records records;
    struct sm_buf payload, rows;
};

static bool is_wanted(const struct reader *rd, const struct record *r)
{
    int64_t from_ms = (int64_t)r->key.minute * 60000, to_ms = from_ms + (int64_t)r->key.minutes * 60000;
    return from_ms < rd->end_ms && to_ms > rd->start_ms && (!rd->but_run || r->key.run != rd->but_run);
}

static bool read_record(struct reader *rd, const struct record *r)
{
    sm_buf_clear(&rd->payload);
    sm_buf_clear(&rd->rows);
    sm_buf_reserve(&rd->payload, r->size + (size_t)1);
    sm_buf_reserve(&rd->rows, r->raw_size + (size_t)1);
    if (sm_file_read_at(r->fd, rd->payload.data, r->size, r->offset) != SM_OK || sm_crc32c(0, rd->payload.data, r->size) != r->crc)
        return false;
    size_t n = ZSTD_decompress(rd->rows.data, r->raw_size, rd->payload.data, r->size);
    if (ZSTD_isError(n) || n != r->raw_size)
        return false;
    return sm_graph_part_rows(sm_str(rd->rows.data, n), r->edges, rd->fn, rd->ctx);
}

static void read_file(struct reader *rd, int fd)
{
    uint64_t end;
    struct records *all = &rd->records;
    all->count = 0;
    count(&rd->log->damaged, scan(fd, all, &end));
    if (all->count)
        qsort(all->items, all->count, sizeof *all->items, compare_records);
    for (uint32_t i = 0; i < all->count; i++) {
        const struct record *r = &all->items[i];
        if (i + 1 < all->count && same_part(&r->key, &r[1].key))
            continue; /* replaced */
        if (is_wanted(rd, r) && !read_record(rd, r))
            count(&rd->log->damaged, 1);
    }
}

void sm_graph_log_read(struct sm_graph_log *log, int64_t start_ms, int64_t end_ms, uint64_t but_run, sm_graph_edge_fn fn,
                       void *ctx)
{
    struct reader rd = {.log = log, .start_ms = start_ms, .end_ms = end_ms, .but_run = but_run, .fn = fn, .ctx = ctx};
    uint32_t n;
    uint64_t *hours = list_hours(log, &n);
    for (uint32_t i = 0; i < n; i++) {
        int64_t from_ms = (int64_t)hours[i] * 3600000, to_ms = from_ms + (int64_t)(DAY_HOURS + 1) * 3600000;
        int fd = from_ms < end_ms && to_ms > start_ms ? open_hour(log, hours[i], O_RDONLY) : -1;
        if (fd < 0)
            continue;
        read_file(&rd, fd);
        close(fd);
    }
    sm_buf_fini(&rd.payload);
    sm_buf_fini(&rd.rows);
    free(rd.records.items);
    free(hours);
}

void sm_graph_log_stats(const struct sm_graph_log *log, struct sm_graph_log_stats *s)
{
    *s = (struct sm_graph_log_stats){
        .files = log->files,
        .bytes = log->bytes,
        .parts_written = log->parts_written,
        .bytes_written = log->bytes_written,
        .write_errors = log->write_errors,
        .syncs = log->syncs,
        .files_removed = log->files_removed,
        .tails_cut = log->tails_cut,
        .damaged = log->damaged,
    };
}
