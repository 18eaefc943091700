/* Life of a store: opening with recovery, appending, syncing, sealing, retention. Reading is in read.c and search.c. */
#include "base/hash.h"
#include "base/log.h"
#include "store/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char lock_name[] = "LOCK";

enum { RETENTION_EVERY_S = 10, RETRY_SEAL_S = 10, BLOCK_BYTES_MIN = 512, BLOCK_BYTES_MAX = 8 << 20 };

/* A segment is also full at so many records or blocks. */
enum { SEGMENT_TRACES_MAX = 1 << 20, SEGMENT_BLOCKS_MAX = 1 << 16 };

/* ---- options ---- */

static ssize_t system_write(void *ctx, int fd, const void *bytes, size_t size, uint64_t offset)
{
    (void)ctx;
    return pwrite(fd, bytes, size, (off_t)offset);
}

static int system_sync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd);
}

static uint64_t tenth_of_disk(int dir_fd)
{
    struct statvfs st;
    if (fstatvfs(dir_fd, &st) != 0 || st.f_blocks == 0)
        return UINT64_MAX;
    return (uint64_t)st.f_blocks * st.f_frsize / 10;
}

static void fill_options(struct sm_store *store, const struct sm_store_options *given)
{
    struct sm_store_options *o = &store->options;
    if (given)
        *o = *given;
    if (!o->segment_bytes_max)
        o->segment_bytes_max = 128 * SM_MIB;
    if (!o->segment_age_ns_max)
        o->segment_age_ns_max = 3600 * SM_SEC;
    if (!o->block_bytes)
        o->block_bytes = 64 * SM_KIB;
    o->block_bytes = SM_MAX(SM_MIN(o->block_bytes, (uint32_t)BLOCK_BYTES_MAX), (uint32_t)BLOCK_BYTES_MIN);
    if (!o->dictionary_bytes)
        o->dictionary_bytes = 112 * SM_KIB;
    o->dictionary_bytes = SM_MIN(o->dictionary_bytes, SM_DICTIONARY_BYTES_MAX);
    if (!o->sync_linger_ns)
        o->sync_linger_ns = SM_SEC;
    if (!o->retention_age_ns)
        o->retention_age_ns = 7 * 24 * 3600 * SM_SEC;
    if (!o->io.write)
        o->io.write = system_write;
    if (!o->io.sync)
        o->io.sync = system_sync;
    store->env.io = o->io;
    store->env.read_only = o->read_only;
}

/* ---- directory and lock ---- */

static enum sm_rc open_dir(struct sm_store *store, struct sm_err *err)
{
    if (!store->options.read_only && mkdir(store->dir, 0750) != 0 && errno != EEXIST)
        return sm_err_set(err, SM_E_IO, "cannot create the store's directory %s: %s", store->dir, strerror(errno));
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0)
        return sm_err_set(err, SM_E_IO, "cannot open the store's directory %s: %s", store->dir, strerror(errno));
    return SM_OK;
}

static enum sm_rc held_by_another(struct sm_store *store, struct sm_err *err)
{
    char text[32] = "";
    ssize_t n = pread(store->lock_fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return sm_err_set(err, SM_E_AGAIN, "the store %s is in use by process %ld", store->dir, pid);
    return sm_err_set(err, SM_E_AGAIN, "the store %s is in use by another process", store->dir);
}

static enum sm_rc take_lock(struct sm_store *store, struct sm_err *err)
{
    char text[32];
    store->lock_fd = openat(store->dir_fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (store->lock_fd < 0)
        return sm_err_set(err, SM_E_IO, "cannot open %s/%s: %s", store->dir, lock_name, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return held_by_another(store, err);
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(store->lock_fd, 0) != 0 || pwrite(store->lock_fd, text, (size_t)n, 0) != n)
        sm_log(SM_LOG_WARN, "store_lock_not_written", sm_kv("dir", store->dir), sm_kv("error", strerror(errno)));
    return SM_OK;
}

/* ---- opening segments ---- */

struct found_file {
    uint64_t id, salt;
};

static int compare_files(const void *x, const void *y)
{
    const struct found_file *a = x, *b = y;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->salt > b->salt) - (a->salt < b->salt);
}

/* Segment files of the directory, oldest first; *newest_id counts files set aside, too. */
static struct found_file *list_files(struct sm_store *store, uint32_t *count, uint64_t *newest_id)
{
    struct found_file *files = NULL;
    uint32_t capacity = 0;
    *count = 0;
    *newest_id = 0;
    int fd = dup(store->dir_fd);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return NULL;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct found_file file;
        if (!sm_format_name_parse(entry->d_name, &file.id, &file.salt))
            continue;
        *newest_id = SM_MAX(*newest_id, file.id);
        if (strlen(entry->d_name) != SM_FORMAT_NAME_SIZE - 1)
            continue;
        if (*count == capacity) {
            capacity = SM_MAX(capacity * 2, 64u);
            files = sm_xrealloc(files, capacity * sizeof *files);
        }
        files[(*count)++] = file;
    }
    closedir(dir);
    if (*count)
        qsort(files, *count, sizeof *files, compare_files);
    return files;
}

static void set_aside(struct sm_store *store, const struct found_file *file, const char *why)
{
    char name[SM_FORMAT_NAME_SIZE], aside[SM_FORMAT_NAME_SIZE + 8];
    sm_format_name(file->id, file->salt, name);
    snprintf(aside, sizeof aside, "%s.bad", name);
    sm_log(SM_LOG_ERROR, "store_segment_set_aside", sm_kv("segment", (const char *)name), sm_kv("reason", why));
    sm_env_count(&store->env.counters.segments_set_aside, 1);
    if (!store->options.read_only && renameat(store->dir_fd, name, store->dir_fd, aside) != 0)
        sm_log(SM_LOG_WARN, "store_rename_failed", sm_kv("segment", (const char *)name), sm_kv("error", strerror(errno)));
}

static void remove_file(struct sm_store *store, const struct found_file *file)
{
    char name[SM_FORMAT_NAME_SIZE];
    sm_format_name(file->id, file->salt, name);
    if (!store->options.read_only && unlinkat(store->dir_fd, name, 0) != 0)
        sm_log(SM_LOG_WARN, "store_unlink_failed", sm_kv("segment", (const char *)name), sm_kv("error", strerror(errno)));
}

/* A file without any readable block: the newest one was torn at its first block, others are put aside for a person. */
static void give_up_file(struct sm_store *store, const struct found_file *file, bool newest, const struct sm_err *why)
{
    if (why->rc == SM_E_NOTFOUND && newest) {
        sm_env_count(&store->env.counters.tails_cut, 1);
        sm_log(SM_LOG_WARN, "store_tail_cut", sm_kv("reason", why->text));
        remove_file(store, file);
    } else if (why->rc == SM_E_NOTFOUND) {
        set_aside(store, file, why->text);
    } else {
        sm_env_count(&store->env.counters.segments_set_aside, 1);
        sm_log(SM_LOG_ERROR, "store_segment_skipped", sm_kv("reason", why->text));
    }
}

/* Writes a footer and opens the file anew as sealed: a new object, or NULL when that failed (the old one still serves). */
static struct sm_segment *seal_segment(struct sm_store *store, struct sm_segment *segment, struct sm_err *err)
{
    struct sm_segment *sealed;
    if (sm_segment_write_footer(segment, err) != SM_OK)
        return NULL;
    if (sm_segment_open(store->dir_fd, segment->id, segment->salt, &store->env, &sealed, err) != SM_OK)
        return NULL;
    if (!sealed->sealed) {
        sm_segment_put(sealed);
        sm_err_set(err, SM_E_IO, "the footer of segment %s cannot be read back", segment->name);
        return NULL;
    }
    sm_env_count(&store->env.counters.seals, 1);
    return sealed;
}

/* A recovered segment that is not the newest gets the footer that it lacks. */
static struct sm_segment *finish_recovered(struct sm_store *store, struct sm_segment *segment)
{
    struct sm_err err;
    struct sm_segment *sealed = seal_segment(store, segment, &err);
    if (!sealed) {
        sm_log(SM_LOG_WARN, "store_footer_not_written", sm_kv("error", err.text));
        return segment;
    }
    sm_segment_put(segment);
    return sealed;
}

static bool is_full(const struct sm_store *store, struct sm_segment *segment)
{
    struct sm_index *index = atomic_load(&segment->index);
    return atomic_load(&segment->size) >= store->options.segment_bytes_max ||
           sm_index_rows(index) >= SEGMENT_TRACES_MAX || sm_index_zones(index) >= SEGMENT_BLOCKS_MAX;
}

/* Opens one file; NULL when it holds nothing to serve. */
static struct sm_segment *open_segment(struct sm_store *store, const struct found_file *file, bool newest)
{
    struct sm_segment *segment;
    struct sm_err err;
    if (sm_segment_open(store->dir_fd, file->id, file->salt, &store->env, &segment, &err) != SM_OK) {
        give_up_file(store, file, newest, &err);
        return NULL;
    }
    if (sm_segment_view(segment).rows == 0 && !segment->sealed) {
        remove_file(store, file);
        sm_segment_put(segment);
        return NULL;
    }
    if (!segment->sealed && (!newest || segment->footer_damaged))
        sm_env_count(&store->env.counters.footers_rebuilt, 1);
    if (!segment->sealed && !store->options.read_only && (!newest || is_full(store, segment)))
        segment = finish_recovered(store, segment);
    return segment;
}

static uint64_t last_sequence(struct sm_segment *const *segments, uint32_t count)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct sm_segment_view view = sm_segment_view(segments[i]);
        struct sm_format_summary summary;
        sm_segment_summary(&view, &summary);
        if (summary.traces)
            last = SM_MAX(last, summary.last_seq);
    }
    return last;
}

static void open_segments(struct sm_store *store)
{
    uint32_t file_count, count = 0;
    uint64_t newest_id;
    struct found_file *files = list_files(store, &file_count, &newest_id);
    struct sm_segment **segments = sm_xcalloc(SM_MAX(file_count, 1u), sizeof *segments);
    for (uint32_t i = 0; i < file_count; i++) {
        struct sm_segment *segment = open_segment(store, &files[i], i + 1 == file_count);
        if (segment)
            segments[count++] = segment;
    }
    store->list = sm_list_new(segments, count);
    store->next_segment_id = newest_id + 1;
    store->appended = last_sequence(segments, count);
    atomic_store(&store->written, store->appended);
    if (count && !segments[count - 1]->sealed && !store->options.read_only &&
        segments[count - 1]->id == newest_id)
        store->active = segments[count - 1];
    for (uint32_t i = 0; i < count; i++)
        sm_segment_put(segments[i]);
    free(segments);
    free(files);
}

/* What was read back without a footer may not have been synced by the process that wrote it. */
static void sync_recovered(struct sm_store *store)
{
    struct sm_err err;
    for (uint32_t i = 0; i < store->list->count && !store->options.read_only; i++) {
        struct sm_segment *segment = store->list->segments[i];
        if (segment->sealed || sm_segment_sync(segment, &err) == SM_OK)
            continue;
        sm_log(SM_LOG_ERROR, "store_sync_failed", sm_kv("error", err.text));
        store->sync_failed |= segment == store->active;
    }
    if (store->sync_failed)
        return; /* the next sync writes the active segment once more */
    store->synced_size = store->active ? atomic_load(&store->active->size) : 0;
    atomic_store(&store->durable, store->appended);
}

static void store_free(struct sm_store *store)
{
    sm_list_put(store->list);
    while (store->reader_count)
        sm_block_reader_free(store->readers[--store->reader_count]);
    sm_block_writer_free(store->packer);
    sm_record_scratch_fini(&store->scratch);
    sm_buf_fini(&store->block);
    free(store->samples);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    pthread_mutex_destroy(&store->lock);
    free(store->dir);
    free(store);
}

enum sm_rc sm_store_open(const char *dir, const struct sm_store_options *options, int64_t now_ns, struct sm_store **out,
                         struct sm_err *err)
{
    struct sm_store *store = sm_xcalloc(1, sizeof *store);
    store->dir = sm_xstrndup(dir, strlen(dir));
    store->dir_fd = store->lock_fd = -1;
    store->now_ns = now_ns;
    pthread_mutex_init(&store->lock, NULL);
    fill_options(store, options);
    enum sm_rc rc = open_dir(store, err);
    if (rc == SM_OK && !store->options.read_only)
        rc = take_lock(store, err);
    if (rc != SM_OK) {
        store_free(store);
        return rc;
    }
    store->packer = sm_block_writer_new();
    open_segments(store);
    sync_recovered(store);
    *out = store;
    return SM_OK;
}

void sm_store_close(struct sm_store *store)
{
    struct sm_err err;
    if (!store)
        return;
    if (!store->options.read_only && sm_store_sync(store, NULL, &err) != SM_OK)
        sm_log(SM_LOG_ERROR, "store_close_failed", sm_kv("error", err.text));
    store_free(store);
}

/* ---- the list ---- */

static void replace_list(struct sm_store *store, struct sm_segment *const *segments, uint32_t count)
{
    struct sm_segment_list *list = sm_list_new(segments, count), *old;
    pthread_mutex_lock(&store->lock);
    old = store->list;
    store->list = list;
    pthread_mutex_unlock(&store->lock);
    sm_list_put(old);
}

/* Puts `replacement` in the place of `segment` (NULL: takes it out; segment NULL: appends). */
static void swap_segment(struct sm_store *store, const struct sm_segment *segment, struct sm_segment *replacement)
{
    const struct sm_segment_list *list = store->list; /* only this thread replaces it */
    struct sm_segment **segments = sm_xcalloc(list->count + 1, sizeof *segments);
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        struct sm_segment *s = list->segments[i] == segment ? replacement : list->segments[i];
        if (s)
            segments[count++] = s;
    }
    if (!segment)
        segments[count++] = replacement;
    replace_list(store, segments, count);
    free(segments);
}

/* ---- appending ---- */

static uint64_t random_salt(void)
{
    uint64_t salt;
    while (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
        ;
    return salt;
}

static uint64_t salt_of(const struct sm_store *store, uint64_t segment_id)
{
    return store->options.salt ? sm_hash_fixed64(segment_id, store->options.salt) : random_salt();
}

static enum sm_rc ensure_active(struct sm_store *store, struct sm_err *err)
{
    struct sm_segment *segment;
    if (store->active)
        return SM_OK;
    enum sm_rc rc = sm_segment_create(store->dir_fd, store->next_segment_id, salt_of(store, store->next_segment_id), &store->env,
                                      &segment, err);
    if (rc != SM_OK)
        return rc;
    store->next_segment_id++;
    store->dir_dirty = true;
    store->synced_size = 0;
    swap_segment(store, NULL, segment);
    store->active = segment;
    sm_segment_put(segment); /* the list holds it */
    return SM_OK;
}

static void forget_block(struct sm_store *store)
{
    if (store->active)
        sm_index_discard(atomic_load(&store->active->index));
    sm_buf_clear(&store->block);
    store->block_spans = 0;
    store->appended = atomic_load(&store->written);
}

static uint32_t sample_size(const struct sm_store *store)
{
    return store->options.dictionary_bytes / SM_STORE_SAMPLES;
}

/* Keeps the beginning of a block for the next dictionary. */
static void take_sample(struct sm_store *store)
{
    uint32_t size = sample_size(store);
    if (store->block.size < size)
        return;
    if (!store->samples)
        store->samples = sm_xmalloc((size_t)size * SM_STORE_SAMPLES);
    memcpy(store->samples + (size_t)store->sample_next * size, store->block.data, size);
    store->sample_next = (store->sample_next + 1) % SM_STORE_SAMPLES;
    store->sample_count = SM_MIN(store->sample_count + 1, (uint32_t)SM_STORE_SAMPLES);
}

static enum sm_rc ensure_dictionary(struct sm_store *store, struct sm_err *err)
{
    struct sm_segment *segment = store->active;
    if (atomic_load(&segment->dictionary) || store->sample_count < SM_STORE_SAMPLES)
        return SM_OK;
    return sm_segment_set_dictionary(segment, sm_str(store->samples, (size_t)sample_size(store) * SM_STORE_SAMPLES), err);
}

static void block_written(struct sm_store *store, uint64_t offset, uint32_t size, uint32_t traces)
{
    sm_index_commit(atomic_load(&store->active->index), offset, size, (uint32_t)store->block.size, store->block_first);
    atomic_store_explicit(&store->written, store->appended, memory_order_release);
    sm_env_count(&store->env.counters.appended_traces, traces);
    sm_env_count(&store->env.counters.appended_spans, store->block_spans);
    take_sample(store);
    sm_buf_clear(&store->block);
    store->block_spans = 0;
}

static enum sm_rc write_block(struct sm_store *store, struct sm_err *err)
{
    struct sm_segment *segment = store->active;
    if (!segment || !store->block.size)
        return SM_OK;
    uint32_t traces = sm_index_staged(atomic_load(&segment->index));
    enum sm_rc rc = ensure_dictionary(store, err);
    uint64_t offset = atomic_load(&segment->size);
    struct sm_str block = sm_block_writer_pack(store->packer, sm_buf_str(&store->block), traces, store->block_first,
                                               segment->salt, atomic_load(&segment->dictionary));
    if (rc == SM_OK)
        rc = sm_segment_write(segment, block.ptr, block.len, err);
    if (rc != SM_OK) {
        forget_block(store);
        return rc;
    }
    block_written(store, offset, (uint32_t)block.len, traces);
    return SM_OK;
}

/* ---- making durable ---- */

static enum sm_rc sync_dir(struct sm_store *store, struct sm_err *err)
{
    if (!store->dir_dirty)
        return SM_OK;
    if (fsync(store->dir_fd) != 0)
        return sm_err_set(err, SM_E_IO, "syncing directory %s: %s", store->dir, strerror(errno));
    store->dir_dirty = false;
    return SM_OK;
}

static void mark_durable(struct sm_store *store)
{
    store->sync_failed = false;
    store->unsynced_since_ns = 0;
    store->synced_size = store->active ? atomic_load(&store->active->size) : 0;
    atomic_store_explicit(&store->durable, atomic_load(&store->written), memory_order_release);
}

/* After a sync that failed the kernel may take pages for clean that never reached the disk, so they are written once more. */
static enum sm_rc write_again(struct sm_store *store, struct sm_err *err)
{
    return store->sync_failed ? sm_segment_rewrite(store->active, store->synced_size, err) : SM_OK;
}

static enum sm_rc sync_active(struct sm_store *store, struct sm_err *err)
{
    if (!store->active)
        return SM_OK;
    enum sm_rc rc = write_again(store, err);
    if (rc == SM_OK) {
        rc = sm_segment_sync(store->active, err);
        store->sync_failed = rc != SM_OK;
    }
    return rc;
}

static enum sm_rc make_durable(struct sm_store *store, struct sm_err *err)
{
    if (atomic_load(&store->durable) == atomic_load(&store->written))
        return SM_OK;
    enum sm_rc rc = sync_active(store, err);
    if (rc == SM_OK)
        rc = sync_dir(store, err);
    if (rc == SM_OK)
        mark_durable(store);
    return rc;
}

enum sm_rc sm_store_commit(struct sm_store *store, struct sm_err *err)
{
    return write_block(store, err);
}

enum sm_rc sm_store_sync(struct sm_store *store, uint64_t *durable, struct sm_err *err)
{
    struct sm_err ignored;
    enum sm_rc written = write_block(store, err);
    enum sm_rc synced = make_durable(store, written == SM_OK ? err : &ignored);
    if (durable)
        *durable = sm_store_durable(store);
    return written != SM_OK ? written : synced;
}

uint64_t sm_store_appended(const struct sm_store *store)
{
    return store->appended;
}

uint64_t sm_store_written(const struct sm_store *store)
{
    return atomic_load_explicit(&store->written, memory_order_acquire);
}

uint64_t sm_store_durable(const struct sm_store *store)
{
    return atomic_load_explicit(&store->durable, memory_order_acquire);
}

/* ---- sealing ---- */

/* Gives the active segment its footer. When that fails it stays the active one. */
static enum sm_rc seal_active(struct sm_store *store, struct sm_err *err)
{
    struct sm_segment *segment = store->active;
    enum sm_rc rc = write_again(store, err);
    struct sm_segment *sealed = rc == SM_OK ? seal_segment(store, segment, err) : NULL;
    if (!sealed) {
        store->seal_not_before_ns = store->now_ns + RETRY_SEAL_S * SM_SEC;
        store->sync_failed = true; /* it may have been the sync of the footer */
        return SM_E_IO;
    }
    sm_env_count(&store->env.counters.names_overflowed, sm_index_overflowed(atomic_load(&segment->index)));
    store->active = NULL;
    swap_segment(store, segment, sealed);
    sm_segment_put(sealed);
    store->sync_failed = false;
    return make_durable(store, err);
}

static void seal_when_full(struct sm_store *store)
{
    struct sm_err err;
    if (!store->active || !is_full(store, store->active) || store->now_ns < store->seal_not_before_ns)
        return;
    if (seal_active(store, &err) != SM_OK)
        sm_log(SM_LOG_ERROR, "store_seal_failed", sm_kv("error", err.text));
}

enum sm_rc sm_store_seal(struct sm_store *store, struct sm_err *err)
{
    enum sm_rc rc = write_block(store, err);
    if (rc != SM_OK || !store->active)
        return rc;
    return seal_active(store, err);
}

/* ---- appending traces ---- */

/* The next record of the trace: `count` of its spans from `from` on. */
static enum sm_rc append_record(struct sm_store *store, const struct sm_store_trace *trace, uint32_t from, uint32_t count,
                                struct sm_err *err)
{
    struct sm_store_meta meta = trace->meta;
    const struct sm_store_span *spans = trace->spans + from;
    enum sm_rc rc = ensure_active(store, err);
    if (rc != SM_OK)
        return rc;
    if (count != meta.span_count)
        sm_store_summarise(spans, count, &meta);
    if (!sm_index_stage(atomic_load(&store->active->index), &meta, spans, count))
        return sm_err_set(err, SM_E_IO, "segment %s is full and cannot be sealed", store->active->name);
    sm_record_encode(&store->scratch, &meta, spans, &store->block);
    store->block_spans += count;
    store->appended++;
    if (sm_index_staged(atomic_load(&store->active->index)) == 1)
        store->block_first = store->appended;
    if (!store->unsynced_since_ns)
        store->unsynced_since_ns = SM_MAX(store->now_ns, INT64_C(1));
    if (store->block.size < store->options.block_bytes)
        return SM_OK;
    rc = write_block(store, err);
    if (rc == SM_OK)
        seal_when_full(store);
    return rc;
}

static bool spans_fit(const struct sm_store_trace *trace)
{
    for (uint32_t i = 0; i < trace->meta.span_count; i++) {
        if (sm_record_fit(&trace->spans[i], 1) == 0)
            return false;
    }
    return true;
}

enum sm_rc sm_store_append(struct sm_store *store, const struct sm_store_trace *trace, struct sm_err *err)
{
    uint32_t left = trace->meta.span_count, from = 0;
    if (store->options.read_only)
        return sm_err_set(err, SM_E_UNSUPPORTED, "the store %s is open for reading only", store->dir);
    if (!spans_fit(trace))
        return sm_err_set(err, SM_E_LIMIT, "a span with its resource is larger than %u bytes", SM_STORE_RECORD_BYTES_MAX);
    do {
        uint32_t count = sm_record_fit(trace->spans + from, left);
        enum sm_rc rc = append_record(store, trace, from, count, err);
        if (rc != SM_OK) {
            forget_block(store);
            return rc;
        }
        from += count;
        left -= count;
    } while (left);
    return SM_OK;
}

/* ---- housekeeping ---- */

static void sync_when_due(struct sm_store *store)
{
    struct sm_err err;
    if (!store->unsynced_since_ns || store->now_ns - store->unsynced_since_ns < store->options.sync_linger_ns)
        return;
    if (sm_store_sync(store, NULL, &err) != SM_OK) {
        store->unsynced_since_ns = store->now_ns; /* next try after another linger */
        sm_log(SM_LOG_ERROR, "store_sync_failed", sm_kv("error", err.text));
    }
}

static void seal_when_old(struct sm_store *store)
{
    struct sm_format_summary summary;
    struct sm_err err;
    if (!store->active || store->now_ns < store->seal_not_before_ns)
        return;
    sm_index_summary(atomic_load(&store->active->index), &summary);
    if (!summary.traces || store->now_ns - summary.stored_min < store->options.segment_age_ns_max)
        return;
    if (sm_store_seal(store, &err) != SM_OK)
        sm_log(SM_LOG_ERROR, "store_seal_failed", sm_kv("error", err.text));
}

/* One segment a call: those whose footer was found missing or damaged get a new one. */
static void renew_footer(struct sm_store *store)
{
    struct sm_err err;
    if (store->now_ns < store->renew_not_before_ns)
        return;
    for (uint32_t i = 0; i < store->list->count; i++) {
        struct sm_segment *segment = store->list->segments[i];
        if (segment == store->active || !atomic_load(&segment->footer_wanted))
            continue;
        struct sm_segment *sealed = seal_segment(store, segment, &err);
        if (sealed) {
            swap_segment(store, segment, sealed);
            sm_segment_put(sealed);
        } else {
            store->renew_not_before_ns = store->now_ns + RETRY_SEAL_S * SM_SEC;
            sm_log(SM_LOG_ERROR, "store_footer_not_written", sm_kv("error", err.text));
        }
        return;
    }
}

static void remove_segment(struct sm_store *store, struct sm_segment *segment, const struct sm_format_summary *summary,
                           const char *why)
{
    if (unlinkat(store->dir_fd, segment->name, 0) != 0 && errno != ENOENT) {
        sm_log(SM_LOG_ERROR, "store_unlink_failed", sm_kv("segment", segment->name), sm_kv("error", strerror(errno)));
        return;
    }
    sm_log(SM_LOG_INFO, "store_segment_removed", sm_kv("segment", segment->name), sm_kv("reason", why),
           sm_kv("traces", summary->traces));
    sm_env_count(&store->env.counters.removed_segments, 1);
    sm_env_count(&store->env.counters.removed_traces, summary->traces);
    swap_segment(store, segment, NULL);
}

static uint64_t total_bytes(const struct sm_store *store)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < store->list->count; i++)
        total += atomic_load(&store->list->segments[i]->size);
    return total;
}

static bool too_old(const struct sm_store *store, const struct sm_format_summary *summary)
{
    return store->options.retention_age_ns > 0 && store->now_ns - summary->stored_max > store->options.retention_age_ns;
}

static void retain(struct sm_store *store)
{
    uint64_t bytes_max = store->options.retention_bytes_max ? store->options.retention_bytes_max : tenth_of_disk(store->dir_fd);
    uint64_t bytes = total_bytes(store);
    struct sm_segment_list *list = sm_store_list(store); /* stays while the current one changes */
    for (uint32_t i = 0; i < list->count; i++) {
        struct sm_segment *segment = list->segments[i];
        struct sm_segment_view view = sm_segment_view(segment);
        struct sm_format_summary summary;
        sm_segment_summary(&view, &summary);
        if (segment == store->active)
            continue;
        if (bytes > bytes_max)
            remove_segment(store, segment, &summary, "size");
        else if (too_old(store, &summary))
            remove_segment(store, segment, &summary, "age");
        else
            continue;
        bytes -= SM_MIN(bytes, atomic_load(&segment->size));
    }
    sm_list_put(list);
}

void sm_store_tick(struct sm_store *store, int64_t now_ns)
{
    store->now_ns = now_ns;
    if (store->options.read_only)
        return;
    sync_when_due(store);
    seal_when_old(store);
    renew_footer(store);
    if (now_ns >= store->retention_next_ns) {
        store->retention_next_ns = now_ns + RETENTION_EVERY_S * SM_SEC;
        retain(store);
    }
}
