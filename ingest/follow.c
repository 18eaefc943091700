/* Following files. */
#include "ingest/follow.h"

#include "base/clock.h"
#include "base/log.h"
#include "ingest/file_json.h"
#include "ingest/follow_positions.h"
#include "pipeline/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 256 << 10, TURN_BYTES = 1 << 20, TELL_BYTES = 5, FRAME_HEAD = 4 };

#define POLL_NS (250 * SM_MS)
#define SAVE_NS SM_SEC      /* positions are written at most this often */
#define GONE_NS (5 * SM_SEC) /* a file that no pattern finds is let go of when it was quiet for so long */

enum form { FORM_UNKNOWN, FORM_LINES, FORM_FRAMES, FORM_OTHER };

struct file {
    char *path; /* under which it was found first */
    dev_t device;
    uint64_t inode;
    int fd;
    enum form form;
    bool found;    /* by the last look at the patterns */
    bool skipping; /* to the end of a line that is too long, or began before we did */
    uint64_t at;   /* what lies before it was submitted */
    uint8_t *buffer;
    size_t begin, end, searched, capacity; /* bytes read: [begin, end); no newline in front of `searched` */
    int64_t grown_ns; /* when there was something to read the last time */
    struct sm_offsets offsets;
    uint64_t acknowledged, saved;
    uint64_t hash;
    uint32_t hashed;
};

struct sm_follow {
    struct sm_follow_options options;
    struct sm_worker *worker;
    struct sm_loop_timer *timer;
    struct sm_loop_message more; /* posted while a turn left something to read */
    bool more_posted;
    struct file *files[SM_FOLLOW_FILES_MAX];
    size_t file_count, next; /* whose turn it is */
    struct sm_follow_position *known; /* as loaded, until the first look */
    size_t known_count;
    bool first_look, had_positions, changed;
    int64_t saved_ns;
    struct sm_buf to_save;
    atomic_bool saving; /* to_save is the saver's */
    atomic_bool stopped;
};

static void count(const struct sm_follow *f, enum sm_stat stat, uint64_t n)
{
    sm_stats_add(sm_worker_stats(f->worker), stat, n);
}

/* ---- positions ---- */

/* The bytes in front of a position do not change any more, so they name the file. */
static void hash_file(struct file *file)
{
    uint32_t n = (uint32_t)SM_MIN(file->acknowledged, (uint64_t)SM_FOLLOW_HASHED_MAX);
    if (n > file->hashed && sm_follow_positions_hash(file->fd, n, &file->hash))
        file->hashed = n;
}

static struct sm_buf describe(struct sm_follow *f)
{
    struct sm_buf out = {0};
    sm_follow_positions_begin(&out);
    for (size_t i = 0; i < f->file_count; i++) {
        struct file *file = f->files[i];
        hash_file(file);
        file->saved = file->acknowledged;
        sm_follow_positions_put(&out, &(struct sm_follow_position){file->inode, file->saved, file->hash, file->hashed}, file->path);
    }
    f->changed = false;
    return out;
}

static void save(const struct sm_follow *f, struct sm_buf *text)
{
    struct sm_err err;
    if (sm_follow_positions_save(f->options.positions, sm_buf_str(text), &err) != SM_OK)
        sm_log(SM_LOG_ERROR, "positions_not_saved", sm_kv("error", err.text));
    sm_buf_fini(text);
}

/* The saver's thread. */
static void save_posted(void *arg)
{
    struct sm_follow *f = arg;
    save(f, &f->to_save);
    atomic_store_explicit(&f->saving, false, memory_order_release);
}

static void save_sometimes(struct sm_follow *f, int64_t now_ns)
{
    if (!f->changed || !f->options.positions || now_ns - f->saved_ns < SAVE_NS ||
        atomic_load_explicit(&f->saving, memory_order_acquire))
        return;
    f->to_save = describe(f);
    f->saved_ns = now_ns;
    atomic_store_explicit(&f->saving, true, memory_order_relaxed);
    sm_loop_post(f->options.saver, save_posted, f);
}

static void acknowledge(struct sm_follow *f)
{
    uint32_t low = sm_worker_low_epoch(f->worker, f->options.source);
    for (size_t i = 0; i < f->file_count; i++) {
        struct file *file = f->files[i];
        int64_t offset = sm_offsets_step(&file->offsets, low, &f->options.durable);
        if (offset == SM_OFFSET_NONE)
            continue;
        file->acknowledged = (uint64_t)offset;
        f->changed |= file->acknowledged != file->saved;
    }
}

/* ---- records ---- */

static size_t unread(const struct file *file)
{
    return file->end - file->begin;
}

static void consume(struct file *file, size_t n)
{
    file->begin += n;
    file->at += n;
    file->searched = file->begin;
}

static void note_refused(const struct file *file, const char *text)
{
    sm_log(SM_LOG_WARN, "file_record_refused", sm_kv("file", file->path), sm_kv("offset", file->at), sm_kv("reason", text));
}

/* False: there is no room for it now; it stays where it is. */
static bool submit(struct sm_follow *f, const struct file *file, const uint8_t *bytes, size_t n)
{
    struct sm_str record = sm_str(bytes, n);
    const struct sm_codec *codec = file->form == FORM_LINES ? sm_file_json_codec(&record) : &sm_codec_otlp_proto;
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(f->worker), record.len);
    struct sm_submit result;
    if (!p)
        return false;
    memcpy(p->data, record.ptr, record.len);
    p->size = record.len;
    p->arrived_ns = sm_loop_wall_ns(sm_worker_loop(f->worker));
    sm_worker_submit(f->worker, codec, f->options.source, &p, &result);
    if (result.rc == SM_E_AGAIN)
        return false;
    if (result.rc != SM_OK)
        note_refused(file, result.text);
    return true;
}

/* Submits `size` bytes from `skip` on and consumes `whole`. */
static bool take_record(struct sm_follow *f, struct file *file, size_t skip, size_t size, size_t whole)
{
    if (size && !submit(f, file, file->buffer + file->begin + skip, size))
        return false;
    consume(file, whole);
    sm_offsets_note(&file->offsets, sm_worker_epoch(f->worker), (int64_t)file->at);
    return true;
}

static size_t trimmed(const uint8_t *line, size_t n)
{
    while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    return n;
}

enum step { STEP_TAKEN, STEP_MORE, STEP_LATER }; /* a record; bytes are missing; no room */

/* Without its end in sight: it is passed over until then. */
static enum step pass_over_line(struct sm_follow *f, struct file *file)
{
    if (!file->skipping)
        count(f, SM_STAT_PAYLOADS_TRUNCATED, 1);
    file->skipping = true;
    consume(file, unread(file));
    return STEP_MORE;
}

static enum step take_line(struct sm_follow *f, struct file *file)
{
    const uint8_t *line = file->buffer + file->begin, *newline = memchr(file->buffer + file->searched, '\n', file->end - file->searched);
    if (!newline) {
        file->searched = file->end;
        return file->skipping || unread(file) > f->options.record_bytes_max ? pass_over_line(f, file) : STEP_MORE;
    }
    size_t n = (size_t)(newline - line);
    if (!take_record(f, file, 0, file->skipping ? 0 : trimmed(line, n), n + 1))
        return STEP_LATER;
    file->skipping = false;
    return STEP_TAKEN;
}

static enum step take_frame(struct sm_follow *f, struct file *file)
{
    if (unread(file) < FRAME_HEAD)
        return STEP_MORE;
    size_t n = sm_load_be32(file->buffer + file->begin);
    if (n > f->options.record_bytes_max) {
        file->form = FORM_OTHER; /* there is no way to find the next one */
        count(f, SM_STAT_PAYLOADS_TRUNCATED, 1);
        note_refused(file, "a message length makes no sense; the rest of the file is left out");
        return STEP_MORE;
    }
    if (unread(file) < FRAME_HEAD + n)
        return STEP_MORE;
    return take_record(f, file, FRAME_HEAD, n, FRAME_HEAD + n) ? STEP_TAKEN : STEP_LATER;
}

static enum step take_next(struct sm_follow *f, struct file *file)
{
    if (unread(file) == 0)
        return STEP_MORE;
    if (file->form == FORM_LINES)
        return take_line(f, file);
    if (file->form == FORM_FRAMES)
        return take_frame(f, file);
    consume(file, unread(file));
    return STEP_MORE;
}

static enum step take_all(struct sm_follow *f, struct file *file)
{
    enum step step;
    do
        step = take_next(f, file);
    while (step == STEP_TAKEN);
    return step;
}

/* ---- reading ---- */

static bool may_read(const struct sm_follow *f)
{
    return !sm_worker_overloaded(f->worker) && !sm_worker_sinks_behind(f->worker);
}

/* By its first bytes; blank lines may stand in front. */
static void tell_form(const struct sm_follow *f, struct file *file)
{
    uint8_t head[64];
    ssize_t n = pread(file->fd, head, sizeof head, 0);
    ssize_t at = 0;
    while (at < n && (head[at] == '\n' || head[at] == '\r' || head[at] == ' '))
        at++;
    if (at < n && (head[at] == '{' || head[at] == '['))
        file->form = FORM_LINES;
    else if (n < TELL_BYTES)
        return;
    else if (sm_load_be32(head) <= f->options.record_bytes_max && head[4] == 0x0a)
        file->form = FORM_FRAMES;
    else
        file->form = FORM_OTHER;
    if (file->form == FORM_OTHER)
        sm_log(SM_LOG_WARN, "file_not_followed", sm_kv("file", file->path),
               sm_kv("reason", "neither lines of JSON nor OTLP protobuf with lengths, plain"));
}

/* It was cut, perhaps to be written anew. */
static void start_again(struct sm_follow *f, struct file *file)
{
    sm_log(SM_LOG_INFO, "file_restarted", sm_kv("file", file->path), sm_kv("offset", file->at));
    count(f, SM_STAT_FILES_RESTARTED, 1);
    sm_offsets_fini(&file->offsets);
    file->at = file->acknowledged = file->hashed = 0;
    file->begin = file->end = file->searched = 0;
    file->skipping = false;
    file->form = FORM_UNKNOWN;
    f->changed = true;
}

/* For READ_BYTES more. */
static void make_room(struct file *file)
{
    if (file->begin) {
        memmove(file->buffer, file->buffer + file->begin, unread(file));
        file->searched -= file->begin;
        file->end -= file->begin;
        file->begin = 0;
    }
    if (file->capacity - file->end >= READ_BYTES)
        return;
    file->capacity = SM_MAX(file->capacity * 2, (size_t)2 * READ_BYTES);
    file->buffer = sm_xrealloc(file->buffer, file->capacity);
}

/* Memory is for those who have half a record. */
static void drop_room(struct file *file)
{
    if (unread(file))
        return;
    free(file->buffer);
    file->buffer = NULL;
    file->begin = file->end = file->searched = file->capacity = 0;
}

/* Takes the records that are there, and reads on once. Returns how many bytes came; 0: the end for now, or no room. */
static size_t read_file(struct sm_follow *f, struct file *file)
{
    struct stat st;
    if (file->form == FORM_UNKNOWN)
        tell_form(f, file);
    if (file->form == FORM_UNKNOWN || take_all(f, file) == STEP_LATER || fstat(file->fd, &st) != 0)
        return 0;
    if ((uint64_t)st.st_size < file->at + unread(file)) {
        start_again(f, file);
        return 0;
    }
    make_room(file);
    ssize_t n = pread(file->fd, file->buffer + file->end, READ_BYTES, (off_t)(file->at + unread(file)));
    if (n <= 0) {
        drop_room(file);
        return 0;
    }
    file->end += (size_t)n;
    file->grown_ns = sm_clock_mono_ns();
    count(f, SM_STAT_FILE_BYTES, (uint64_t)n);
    (void)take_all(f, file);
    return (size_t)n;
}

/* ---- which files ---- */

static void file_free(struct file *file)
{
    close(file->fd);
    sm_offsets_fini(&file->offsets);
    free(file->buffer);
    free(file->path);
    free(file);
}

static struct file *find_file(const struct sm_follow *f, const struct stat *st)
{
    for (size_t i = 0; i < f->file_count; i++) {
        if (f->files[i]->inode == (uint64_t)st->st_ino && f->files[i]->device == st->st_dev)
            return f->files[i];
    }
    return NULL;
}

static const struct sm_follow_position *find_known(const struct sm_follow *f, const struct file *file, uint64_t size)
{
    for (size_t i = 0; i < f->known_count; i++) {
        const struct sm_follow_position *k = &f->known[i];
        uint64_t hash;
        if (k->inode == file->inode && k->offset <= size && sm_follow_positions_hash(file->fd, k->hashed, &hash) &&
            (k->hashed == 0 || hash == k->hash))
            return k;
    }
    return NULL;
}

/* Behind the last message that is whole. */
static uint64_t end_of_frames(const struct sm_follow *f, int fd, uint64_t size)
{
    uint8_t head[FRAME_HEAD];
    uint64_t at = 0;
    while (at + FRAME_HEAD <= size && pread(fd, head, sizeof head, (off_t)at) == FRAME_HEAD) {
        uint64_t n = sm_load_be32(head);
        if (n > f->options.record_bytes_max || at + FRAME_HEAD + n > size)
            break;
        at += FRAME_HEAD + n;
    }
    return at;
}

/* A line that has begun before is left out. */
static void start_at(struct file *file, uint64_t at)
{
    uint8_t last = '\n';
    file->at = at;
    if (file->form == FORM_LINES && at && pread(file->fd, &last, 1, (off_t)at - 1) == 1)
        file->skipping = last != '\n';
}

static void place(struct sm_follow *f, struct file *file, const struct sm_follow_pattern *pattern, uint64_t size)
{
    const struct sm_follow_position *known = f->first_look ? find_known(f, file, size) : NULL;
    tell_form(f, file);
    if (known)
        start_at(file, known->offset);
    else if (f->first_look && !f->had_positions && !pattern->from_start)
        start_at(file, file->form == FORM_FRAMES ? end_of_frames(f, file->fd, size) : size);
    file->acknowledged = file->at;
    f->changed = true;
}

static void add_file(struct sm_follow *f, const char *path, const struct sm_follow_pattern *pattern)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd < 0 && errno != ENOENT)
            sm_log(SM_LOG_WARN, "file_not_followed", sm_kv("file", path), sm_kv("reason", strerror(errno)));
        if (fd >= 0)
            close(fd);
        return;
    }
    struct file *file = sm_xcalloc(1, sizeof *file);
    *file = (struct file){.path = sm_xstrndup(path, strlen(path)),
                          .device = st.st_dev,
                          .inode = (uint64_t)st.st_ino,
                          .fd = fd,
                          .found = true,
                          .grown_ns = sm_clock_mono_ns()};
    sm_offsets_init(&file->offsets);
    place(f, file, pattern, (uint64_t)st.st_size);
    f->files[f->file_count++] = file;
    sm_log(SM_LOG_INFO, "file_followed", sm_kv("file", path), sm_kv("offset", file->at));
}

static void look_at(struct sm_follow *f, const char *path, const struct sm_follow_pattern *pattern)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    struct file *file = find_file(f, &st);
    if (file)
        file->found = true;
    else if (f->file_count < SM_FOLLOW_FILES_MAX)
        add_file(f, path, pattern);
}

static void look(struct sm_follow *f)
{
    for (size_t i = 0; i < f->file_count; i++)
        f->files[i]->found = false;
    for (size_t i = 0; i < f->options.pattern_count; i++) {
        glob_t found;
        if (glob(f->options.patterns[i].glob, 0, NULL, &found) == 0) {
            for (size_t k = 0; k < found.gl_pathc; k++)
                look_at(f, found.gl_pathv[k], &f->options.patterns[i]);
        }
        globfree(&found);
    }
    f->first_look = false;
}

/* A last line without its newline is all there will be of it. False: there is no room for it now. */
static bool take_rest(struct sm_follow *f, struct file *file)
{
    size_t n = unread(file);
    if (n == 0 || file->form != FORM_LINES || file->skipping) {
        count(f, SM_STAT_PAYLOADS_TRUNCATED, n > 0);
        consume(file, n);
        return true;
    }
    return take_record(f, file, 0, trimmed(file->buffer + file->begin, n), n);
}

/* Files that are gone. */
static void let_go(struct sm_follow *f)
{
    int64_t now_ns = sm_clock_mono_ns();
    for (size_t i = 0; i < f->file_count; i++) {
        struct file *file = f->files[i];
        if (file->found || now_ns - file->grown_ns < GONE_NS)
            continue;
        if (!take_rest(f, file) || !sm_offsets_settled(&file->offsets))
            continue;
        sm_log(SM_LOG_INFO, "file_ended", sm_kv("file", file->path), sm_kv("offset", file->at));
        file_free(file);
        f->files[i--] = f->files[--f->file_count];
        f->changed = true;
    }
}

/* ---- turns ---- */

/* A portion, spread over the files in turn. True: there may be more. */
static bool read_portion(struct sm_follow *f)
{
    size_t bytes = 0, quiet = 0;
    while (bytes < TURN_BYTES && quiet < f->file_count && may_read(f)) {
        size_t n = read_file(f, f->files[f->next++ % f->file_count]);
        quiet = n ? 0 : quiet + 1;
        bytes += n;
    }
    return bytes >= TURN_BYTES;
}

static void go_on(struct sm_follow *f)
{
    if (!read_portion(f) || f->more_posted)
        return;
    f->more_posted = true;
    sm_loop_post_message(sm_worker_loop(f->worker), &f->more);
}

static bool is_set(atomic_bool *flag)
{
    return atomic_load_explicit(flag, memory_order_acquire);
}

static void on_more(struct sm_loop_message *message)
{
    struct sm_follow *f = SM_CONTAINER_OF(message, struct sm_follow, more);
    f->more_posted = false;
    if (!is_set(&f->stopped))
        go_on(f);
}

static void on_timer(void *arg)
{
    struct sm_follow *f = arg;
    if (is_set(&f->stopped))
        return;
    look(f);
    go_on(f);
    let_go(f);
    acknowledge(f);
    save_sometimes(f, sm_clock_mono_ns());
}

/* ---- life ---- */

static void load(struct sm_follow *f)
{
    struct sm_err err;
    enum sm_rc rc = f->options.positions
                        ? sm_follow_positions_load(f->options.positions, &f->known, &f->known_count, &err)
                        : SM_E_NOTFOUND;
    f->had_positions = rc == SM_OK;
    if (rc != SM_OK && rc != SM_E_NOTFOUND)
        sm_log(SM_LOG_ERROR, "positions_not_read", sm_kv("error", err.text));
}

struct sm_follow *sm_follow_open(const struct sm_follow_options *options, struct sm_worker *worker, struct sm_err *err SM_UNUSED)
{
    struct sm_follow *f = sm_xcalloc(1, sizeof *f);
    f->options = *options;
    f->worker = worker;
    f->more.fn = on_more;
    f->first_look = true;
    load(f);
    look(f); /* now, so that what is written from here on is not taken for old */
    free(f->known);
    f->known = NULL;
    f->known_count = 0;
    f->timer = sm_loop_timer_new(sm_worker_loop(worker), POLL_NS, on_timer, f);
    return f;
}

static void stop(void *arg)
{
    struct sm_follow *f = arg;
    atomic_store_explicit(&f->stopped, true, memory_order_release);
}

/* Waits until the flag is what is wanted; false when that took too long. */
static bool wait_for(atomic_bool *flag, bool wanted, int64_t timeout_ns)
{
    int64_t give_up_ns = sm_clock_mono_ns() + timeout_ns;
    while (is_set(flag) != wanted && sm_clock_mono_ns() < give_up_ns)
        nanosleep(&(struct timespec){.tv_nsec = SM_MS}, NULL);
    return is_set(flag) == wanted;
}

void sm_follow_drain(struct sm_follow *f, int64_t timeout_ns)
{
    sm_loop_post(sm_worker_loop(f->worker), stop, f);
    (void)wait_for(&f->stopped, true, timeout_ns);
}

void sm_follow_finish(struct sm_follow *f, bool all_delivered)
{
    if (!f->options.positions || !is_set(&f->stopped) || !wait_for(&f->saving, false, SM_SEC))
        return;
    for (size_t i = 0; i < f->file_count && all_delivered; i++)
        f->files[i]->acknowledged = f->files[i]->at;
    struct sm_buf text = describe(f);
    save(f, &text);
}

void sm_follow_close(struct sm_follow *f)
{
    if (!f)
        return;
    sm_loop_timer_free(f->timer);
    for (size_t i = 0; i < f->file_count; i++)
        file_free(f->files[i]);
    free(f);
}
