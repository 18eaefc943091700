/* Segment files: creating, recovering, appending, and reading through index or footer. */
#include "store/segment.h"
#include "base/log.h"
#include "store/open_at.h"
#include "store/record.h"
#include "store/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BAD_BLOCKS_MAX = 4096 };

static struct sm_segment *segment_new(uint64_t id, uint64_t salt, struct sm_store_env *env)
{
    struct sm_segment *s = sm_xcalloc(1, sizeof *s);
    s->id = id;
    s->salt = salt;
    s->env = env;
    s->fd = -1;
    sm_format_name(id, salt, s->name);
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->refs, 1);
    return s;
}

void sm_segment_ref(struct sm_segment *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void sm_segment_put(struct sm_segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    sm_footer_close(&s->footer);
    sm_index_free(atomic_load(&s->index));
    sm_dictionary_free(atomic_load(&s->dictionary));
    if (s->fd >= 0)
        close(s->fd);
    free(s->bad_blocks);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum sm_rc sm_segment_create(int dir_fd, uint64_t id, uint64_t salt, struct sm_store_env *env, struct sm_segment **segment,
                             struct sm_err *err)
{
    struct sm_segment *s = segment_new(id, salt, env);
    s->fd = sm_open_at(dir_fd, s->name, O_RDWR | O_CREAT | O_EXCL);
    if (s->fd < 0) {
        enum sm_rc rc = sm_err_set(err, SM_E_IO, "cannot create segment %s: %s", s->name, strerror(errno));
        sm_segment_put(s);
        return rc;
    }
    uint8_t header[SM_FORMAT_FILE_HEADER_SIZE];
    sm_format_file_pack(&(struct sm_format_file){.id = id, .salt = salt, .version = SM_FORMAT_VERSION}, header);
    enum sm_rc rc = sm_segment_write(s, header, sizeof header, err);
    if (rc != SM_OK) {
        unlinkat(dir_fd, s->name, 0);
        sm_segment_put(s);
        return rc;
    }
    atomic_store(&s->index, sm_index_new());
    atomic_store(&s->dictionary_loaded, true);
    *segment = s;
    return SM_OK;
}

/* ---- opening ---- */

/* A damaged header loses nothing (the name says it all), unless it is good and tells of another version. */
static enum sm_rc check_version(struct sm_segment *s, struct sm_err *err)
{
    uint8_t header[SM_FORMAT_FILE_HEADER_SIZE];
    uint32_t version;
    if (pread(s->fd, header, sizeof header, 0) != (ssize_t)sizeof header)
        return SM_OK;
    if (!sm_format_file_unpack(header, s->id, s->salt, &version)) {
        sm_env_count(&s->env->counters.damaged_ranges, 1);
        sm_env_count(&s->env->counters.damaged_bytes, sizeof header);
        sm_log(SM_LOG_WARN, "store_segment_header_damaged", sm_kv("segment", s->name));
        return SM_OK;
    }
    if (version != SM_FORMAT_VERSION)
        return sm_err_set(err, SM_E_UNSUPPORTED, "segment %s has format version %u, this build knows %u", s->name, version,
                          SM_FORMAT_VERSION);
    return SM_OK;
}

static void log_damage(void *ctx, uint64_t offset, uint64_t size)
{
    const struct sm_segment *s = ctx;
    sm_log(SM_LOG_WARN, "store_segment_damaged", sm_kv("segment", s->name), sm_kv("offset", offset), sm_kv("bytes", size));
}

/* Rebuilds an index from the blocks; *end is where they end, *footers how many footers were stepped over. */
static struct sm_index *scan(struct sm_segment *s, uint64_t file_size, uint64_t *end, uint64_t *footers)
{
    struct sm_index *index = sm_index_new();
    struct sm_scan run = {
        .fd = s->fd, .file_size = file_size, .salt = s->salt, .index = index, .damage = log_damage, .ctx = s};
    sm_scan_run(&run);
    sm_env_count(&s->env->counters.damaged_ranges, run.damaged_ranges);
    sm_env_count(&s->env->counters.damaged_bytes, run.damaged_bytes);
    sm_env_count(&s->env->counters.names_overflowed, sm_index_overflowed(index));
    *end = run.end;
    *footers = run.footers;
    if (atomic_load(&s->dictionary))
        sm_dictionary_free(run.dictionary);
    else
        atomic_store(&s->dictionary, run.dictionary);
    atomic_store_explicit(&s->dictionary_loaded, true, memory_order_release);
    return index;
}

static void cut_tail(struct sm_segment *s, uint64_t end, uint64_t file_size)
{
    if (end == file_size)
        return;
    sm_log(SM_LOG_WARN, "store_tail_cut", sm_kv("segment", s->name), sm_kv("offset", end), sm_kv("bytes", file_size - end));
    sm_env_count(&s->env->counters.tails_cut, 1);
    sm_env_count(&s->env->counters.tail_bytes_cut, file_size - end);
    if (!s->env->read_only && ftruncate(s->fd, (off_t)end) != 0)
        sm_log(SM_LOG_ERROR, "store_truncate_failed", sm_kv("segment", s->name), sm_kv("error", strerror(errno)));
}

static enum sm_rc recover(struct sm_segment *s, uint64_t file_size, struct sm_err *err)
{
    uint64_t end, footers;
    struct sm_index *index = scan(s, file_size, &end, &footers);
    atomic_store(&s->index, index);
    s->footer_damaged = footers > 0;
    if (sm_index_rows(index) == 0 && file_size > SM_FORMAT_FILE_HEADER_SIZE)
        return sm_err_set(err, SM_E_NOTFOUND, "segment %s has no readable block", s->name);
    cut_tail(s, end, file_size);
    atomic_store(&s->size, end);
    atomic_store(&s->footer_wanted, true);
    return SM_OK;
}

static enum sm_rc open_file(struct sm_segment *s, int dir_fd, struct sm_err *err)
{
    struct stat st;
    s->fd = sm_open_at(dir_fd, s->name, s->env->read_only ? O_RDONLY : O_RDWR);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return sm_err_set(err, SM_E_IO, "cannot open segment %s: %s", s->name, strerror(errno));
    enum sm_rc rc = check_version(s, err);
    if (rc != SM_OK)
        return rc;
    uint64_t file_size = (uint64_t)st.st_size;
    if (sm_footer_open(&s->footer, s->fd, file_size, s->salt) != SM_OK)
        return recover(s, file_size, err);
    s->sealed = true;
    atomic_store(&s->size, file_size);
    return SM_OK;
}

enum sm_rc sm_segment_open(int dir_fd, uint64_t id, uint64_t salt, struct sm_store_env *env, struct sm_segment **segment,
                           struct sm_err *err)
{
    struct sm_segment *s = segment_new(id, salt, env);
    enum sm_rc rc = open_file(s, dir_fd, err);
    if (rc != SM_OK) {
        sm_segment_put(s);
        return rc;
    }
    *segment = s;
    return SM_OK;
}

/* ---- writing ---- */

static enum sm_rc write_failed(struct sm_segment *s, const char *why, struct sm_err *err)
{
    sm_env_count(&s->env->counters.write_errors, 1);
    return sm_err_set(err, SM_E_IO, "writing segment %s: %s", s->name, why);
}

static enum sm_rc write_at(struct sm_segment *s, const uint8_t *p, size_t size, uint64_t offset, struct sm_err *err)
{
    const struct sm_store_io *io = &s->env->io;
    while (size) {
        ssize_t n = io->write(io->ctx, s->fd, p, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return write_failed(s, n < 0 ? strerror(errno) : "nothing was written", err);
        sm_env_count(&s->env->counters.written_bytes, (uint64_t)n);
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return SM_OK;
}

enum sm_rc sm_segment_write(struct sm_segment *s, const void *bytes, size_t size, struct sm_err *err)
{
    uint64_t offset = atomic_load(&s->size);
    enum sm_rc rc = write_at(s, bytes, size, offset, err);
    if (rc == SM_OK)
        atomic_store(&s->size, offset + size);
    else if (ftruncate(s->fd, (off_t)offset) != 0)
        sm_log(SM_LOG_WARN, "store_truncate_failed", sm_kv("segment", s->name), sm_kv("error", strerror(errno)));
    return rc;
}

enum sm_rc sm_segment_set_dictionary(struct sm_segment *s, struct sm_str content, struct sm_err *err)
{
    struct sm_dictionary *d = sm_dictionary_new(content, s->salt);
    if (!d)
        return SM_OK; /* does without */
    struct sm_buf twice = {0};
    sm_buf_put_str(&twice, sm_buf_str(&d->chunk));
    sm_buf_put_str(&twice, sm_buf_str(&d->chunk));
    enum sm_rc rc = sm_segment_write(s, twice.data, twice.size, err);
    sm_buf_fini(&twice);
    if (rc == SM_OK)
        atomic_store_explicit(&s->dictionary, d, memory_order_release);
    else
        sm_dictionary_free(d);
    return rc;
}

enum sm_rc sm_segment_sync(struct sm_segment *s, struct sm_err *err)
{
    const struct sm_store_io *io = &s->env->io;
    sm_env_count(&s->env->counters.syncs, 1);
    return io->sync(io->ctx, s->fd) == 0 ? SM_OK : write_failed(s, strerror(errno), err);
}

enum sm_rc sm_segment_rewrite(struct sm_segment *s, uint64_t from, struct sm_err *err)
{
    uint8_t bytes[65536];
    uint64_t end = atomic_load(&s->size);
    while (from < end) {
        ssize_t n = pread(s->fd, bytes, (size_t)SM_MIN((uint64_t)sizeof bytes, end - from), (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return write_failed(s, n < 0 ? strerror(errno) : "file is shorter than written", err);
        enum sm_rc rc = write_at(s, bytes, (size_t)n, from, err);
        if (rc != SM_OK)
            return rc;
        from += (uint64_t)n;
    }
    return SM_OK;
}

enum sm_rc sm_segment_write_footer(struct sm_segment *s, struct sm_err *err)
{
    struct sm_buf footer = {0};
    uint64_t before = atomic_load(&s->size);
    sm_footer_build(atomic_load(&s->index), atomic_load(&s->dictionary), s->salt, before, &footer);
    enum sm_rc rc = sm_segment_write(s, footer.data, footer.size, err);
    sm_buf_fini(&footer);
    if (rc == SM_OK)
        rc = sm_segment_sync(s, err);
    return rc;
}

/* ---- views ---- */

struct sm_segment_view sm_segment_view(struct sm_segment *s)
{
    struct sm_segment_view v = {.segment = s, .index = atomic_load_explicit(&s->index, memory_order_acquire)};
    v.rows = v.index ? sm_index_rows(v.index) : sm_footer_rows(&s->footer);
    v.zones = v.index ? sm_index_zones(v.index) : sm_footer_zones(&s->footer);
    return v;
}

void sm_segment_repair(struct sm_segment_view *view)
{
    struct sm_segment *s = view->segment;
    pthread_mutex_lock(&s->lock);
    if (!atomic_load(&s->index)) {
        uint64_t end, footers;
        sm_log(SM_LOG_WARN, "store_footer_damaged", sm_kv("segment", s->name));
        struct sm_index *index = scan(s, atomic_load(&s->size), &end, &footers);
        sm_env_count(&s->env->counters.footers_rebuilt, 1);
        atomic_store(&s->footer_wanted, true);
        atomic_store_explicit(&s->index, index, memory_order_release);
    }
    pthread_mutex_unlock(&s->lock);
    *view = sm_segment_view(s);
}

static bool load_dictionary(struct sm_segment *s)
{
    struct sm_dictionary *d;
    pthread_mutex_lock(&s->lock);
    if (!atomic_load(&s->dictionary_loaded) && sm_footer_dictionary(&s->footer, s->salt, &d) == SM_OK) {
        atomic_store_explicit(&s->dictionary, d, memory_order_release);
        atomic_store_explicit(&s->dictionary_loaded, true, memory_order_release);
    }
    pthread_mutex_unlock(&s->lock);
    return atomic_load(&s->dictionary_loaded);
}

bool sm_segment_usable(const struct sm_segment_view *view)
{
    struct sm_format_row row;
    struct sm_format_zone zone;
    if (!atomic_load_explicit(&view->segment->dictionary_loaded, memory_order_acquire) && !load_dictionary(view->segment))
        return false;
    return (!view->rows || sm_segment_row(view, 0, &row) == SM_OK) &&
           (!view->zones || sm_segment_zone(view, 0, &zone) == SM_OK);
}

void sm_segment_summary(const struct sm_segment_view *view, struct sm_format_summary *summary)
{
    if (view->index)
        sm_index_summary(view->index, summary);
    else
        *summary = view->segment->footer.directory.summary;
}

enum sm_rc sm_segment_row(const struct sm_segment_view *view, uint32_t i, struct sm_format_row *row)
{
    SM_ASSERT(i < view->rows);
    if (!view->index)
        return sm_footer_row(&view->segment->footer, i, row);
    sm_index_row(view->index, i, row);
    return SM_OK;
}

enum sm_rc sm_segment_zone(const struct sm_segment_view *view, uint32_t i, struct sm_format_zone *zone)
{
    SM_ASSERT(i < view->zones);
    if (!view->index)
        return sm_footer_zone(&view->segment->footer, i, zone);
    sm_index_zone(view->index, i, zone);
    return SM_OK;
}

enum sm_rc sm_segment_find(const struct sm_segment_view *view, uint64_t lo, struct sm_trace_id *ids, uint32_t *ordinals,
                           uint32_t max, uint32_t *count)
{
    if (!view->index)
        return sm_footer_find(&view->segment->footer, lo, ids, ordinals, max, count);
    uint32_t found = sm_index_find(view->index, lo, ids, ordinals, max), kept = 0;
    for (uint32_t i = 0; i < found; i++) { /* newer than the view: not ours */
        if (ordinals[i] >= view->rows)
            continue;
        ids[kept] = ids[i];
        ordinals[kept++] = ordinals[i];
    }
    *count = kept;
    return SM_OK;
}

enum sm_rc sm_segment_terms(const struct sm_segment_view *view, sm_index_term_fn fn, void *ctx)
{
    if (!view->index)
        return sm_footer_terms(&view->segment->footer, fn, ctx);
    sm_index_terms(view->index, fn, ctx);
    return SM_OK;
}

enum sm_rc sm_segment_posting(const struct sm_segment_view *view, uint32_t term, roaring_bitmap_t **posting)
{
    if (!view->index)
        return sm_footer_posting(&view->segment->footer, term, posting);
    *posting = sm_index_posting(view->index, term);
    return SM_OK;
}

/* ---- blocks ---- */

static bool is_bad(struct sm_segment *s, uint32_t block)
{
    if (atomic_load_explicit(&s->bad_count, memory_order_relaxed) == 0)
        return false;
    bool bad = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < atomic_load(&s->bad_count) && !bad; i++)
        bad = s->bad_blocks[i] == block;
    pthread_mutex_unlock(&s->lock);
    return bad;
}

static void note_bad(struct sm_segment *s, uint32_t block, uint64_t offset)
{
    sm_env_count(&s->env->counters.damaged_blocks, 1);
    sm_log(SM_LOG_WARN, "store_block_damaged", sm_kv("segment", s->name), sm_kv("offset", offset));
    pthread_mutex_lock(&s->lock);
    if (!s->bad_blocks)
        s->bad_blocks = sm_xmalloc(BAD_BLOCKS_MAX * sizeof *s->bad_blocks);
    uint32_t n = atomic_load(&s->bad_count);
    if (n < BAD_BLOCKS_MAX) {
        s->bad_blocks[n] = block;
        atomic_store(&s->bad_count, n + 1);
    }
    pthread_mutex_unlock(&s->lock);
}

enum sm_rc sm_segment_block(const struct sm_segment_view *view, struct sm_block_reader *reader, uint32_t block,
                            struct sm_str *records, bool *fresh)
{
    struct sm_segment *s = view->segment;
    struct sm_format_zone zone;
    *fresh = false;
    if (block >= view->zones)
        return SM_E_INVALID;
    enum sm_rc rc = sm_segment_zone(view, block, &zone);
    if (rc != SM_OK)
        return rc;
    if (is_bad(s, block))
        return SM_E_IO;
    struct sm_block_file file = {.fd = s->fd,
                                 .segment_id = s->id,
                                 .salt = s->salt,
                                 .dictionary = atomic_load_explicit(&s->dictionary, memory_order_acquire)};
    rc = sm_block_read(reader, &file, block, &zone, records, fresh);
    if (rc == SM_E_INVALID)
        note_bad(s, block, zone.offset);
    return rc == SM_OK ? SM_OK : SM_E_IO;
}

enum sm_rc sm_segment_record(const struct sm_segment_view *view, struct sm_block_reader *reader, uint32_t ordinal,
                             struct sm_str *record, bool *fresh)
{
    struct sm_format_row row;
    struct sm_format_zone zone;
    struct sm_str records;
    *fresh = false;
    enum sm_rc rc = sm_segment_row(view, ordinal, &row);
    if (rc != SM_OK)
        return rc;
    rc = sm_segment_block(view, reader, row.block, &records, fresh);
    if (rc != SM_OK)
        return rc;
    rc = sm_segment_zone(view, row.block, &zone);
    if (rc != SM_OK || ordinal < zone.first || ordinal - zone.first >= zone.traces)
        return SM_E_INVALID;
    const uint8_t *p = (const uint8_t *)records.ptr, *end = p + records.len;
    for (uint32_t skip = ordinal - zone.first;; skip--) {
        uint32_t size = sm_record_size(p, (size_t)(end - p));
        if (!size)
            return SM_E_IO;
        if (skip == 0) {
            *record = sm_str(p, size);
            return SM_OK;
        }
        p += size;
    }
}
