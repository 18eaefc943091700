/* Replaying recordings. */
#include "app/replay.h"

#include "base/clock.h"
#include "base/hash.h"
#include "ingest/file.h"
#include "ingest/file_list.h"
#include "pipeline/epochs.h"
#include "pipeline/worker.h"

#include <stdlib.h>
#include <unistd.h>

/* Progress is shown this often. */
#define PROGRESS_NS (200 * SM_MS)
/* Time for sinks to finish at the end. */
#define FINISH_NS (60 * SM_SEC)

/* Analyzers' changes are merged after so many records. */
enum { TEND_RECORDS = 256 };

/* Names of sources in the graph's log follow from it, too: with another one, what was replayed before would count twice. */
#define HASH_SEED UINT64_C(0x7265706c61790001)

struct replay {
    struct sm_engine *engine;
    struct sm_worker *worker;
    struct sm_recorded_clock clock;
    struct sm_replay_totals *totals;
    bool progress;
    int64_t started_ns, shown_ns;
    size_t file_count;
    const char *path; /* of the file at hand */
    uint64_t record;  /* of the file at hand, from 1 */
    uint16_t source;  /* of the file at hand */
    uint64_t content; /* hash of its records so far */
    uint64_t names[SM_EPOCH_SOURCES_MAX]; /* of sources, as far as they are known */
};

static void show_progress(struct replay *r, const struct sm_file *file)
{
    int64_t now_ns = sm_clock_mono_ns();
    if (!r->progress || now_ns - r->shown_ns < PROGRESS_NS)
        return;
    r->shown_ns = now_ns;
    uint64_t read_bytes, size_bytes;
    sm_file_progress(file, &read_bytes, &size_bytes);
    double seconds = (double)(now_ns - r->started_ns) / 1e9;
    char share[128] = "";
    if (size_bytes) {
        double done = (double)read_bytes / (double)size_bytes;
        int bars = SM_MIN((int)(done * 30), 30);
        snprintf(share, sizeof share, "[%.*s%.*s] %3u%%  ", bars, "##############################", 30 - bars,
                 "..............................", (unsigned)(done * 100) % 1000);
    }
    fprintf(stderr, "\r%sfile %llu/%zu  %llu spans  %.0f spans/s ", share, (unsigned long long)r->totals->files + 1,
            r->file_count, (unsigned long long)r->totals->spans, (double)r->totals->spans / seconds);
}

static void note_problem(struct replay *r, const char *text)
{
    if (!r->totals->first_problem[0])
        snprintf(r->totals->first_problem, sizeof r->totals->first_problem, "%s", text);
}

/* The codec knows the record only. */
static void note_record(struct replay *r, const char *text)
{
    char placed[sizeof r->totals->first_problem];
    snprintf(placed, sizeof placed, "%.150s: record %llu: %s", r->path, (unsigned long long)r->record, text);
    note_problem(r, placed);
}

static void submit(struct replay *r, const struct sm_codec *codec, struct sm_payload **payload)
{
    struct sm_submit result;
    if (r->engine->graph_kept)
        r->content = sm_hash_combine(r->content, sm_hash_bytes((*payload)->data, (*payload)->size));
    sm_worker_replay(r->worker, codec, r->source, payload, &r->clock, &result);
    if (++r->totals->records % TEND_RECORDS == 0)
        sm_pipeline_tend(r->engine->pipeline);
    r->totals->spans += result.accepted;
    r->totals->spans_rejected += result.rejected;
    if (result.rc != SM_OK)
        r->totals->records_refused++;
    if (result.text[0])
        note_record(r, result.text);
}

/* JSON of another kind has no member that is ours, which reads as nothing. */
static void warn_of_nothing(const struct replay *r, const char *path, const struct sm_replay_totals *before)
{
    const struct sm_replay_totals *t = r->totals;
    if (t->spans == before->spans && t->spans_rejected == before->spans_rejected && t->records_refused == before->records_refused)
        fprintf(stderr, "%s: there are no spans in it\n", path);
}

static enum sm_rc replay_path(struct replay *r, const char *path, struct sm_err *err)
{
    struct sm_file *file = sm_file_open(path, r->engine->config->limits.inflated_bytes_max, err);
    if (!file)
        return err->rc;
    struct sm_replay_totals before = *r->totals;
    enum sm_rc rc;
    r->path = path;
    for (r->record = 1;; r->record++) {
        struct sm_payload *payload;
        const struct sm_codec *codec;
        rc = sm_file_next(file, sm_worker_payloads(r->worker), &payload, &codec, err);
        if (rc == SM_OK) {
            submit(r, codec, &payload);
            show_progress(r, file);
        } else if (rc == SM_E_LIMIT) {
            r->totals->records_refused++;
            note_problem(r, err->text);
        } else {
            break;
        }
    }
    uint64_t read_bytes, size_bytes;
    sm_file_progress(file, &read_bytes, &size_bytes);
    r->totals->bytes += read_bytes;
    sm_file_close(file);
    if (rc == SM_E_TRUNCATED) {
        r->totals->records_refused++;
        note_problem(r, err->text);
        rc = SM_E_CLOSED;
    }
    if (rc == SM_E_CLOSED)
        warn_of_nothing(r, path, &before);
    return rc == SM_E_CLOSED ? SM_OK : rc;
}

/* What else lies in a directory is passed over, and said so. */
static enum sm_rc replay_file(struct replay *r, const struct sm_file_entry *entry, struct sm_err *err)
{
    uint64_t records = r->totals->records;
    enum sm_rc rc = replay_path(r, entry->path, err);
    if (rc == SM_E_INVALID && entry->found && r->totals->records == records) {
        fprintf(stderr, "passed over: %s\n", err->text);
        return SM_OK;
    }
    r->totals->files += rc == SM_OK;
    return rc;
}

/* Files beyond the last source share it. */
static void begin_source(struct replay *r, size_t file)
{
    if (!r->engine->graph_kept)
        return;
    r->source = (uint16_t)SM_MIN(file, (size_t)SM_EPOCH_SOURCES_MAX - 1);
    r->content = r->names[r->source];
}

/* A file that is given twice is two sources. */
static void end_source(struct replay *r)
{
    if (!r->engine->graph_kept)
        return;
    for (uint16_t i = 0; i < r->source; i++)
        if (r->names[i] == r->content)
            r->content = sm_hash_combine(r->content, r->source);
    r->names[r->source] = r->content;
    sm_dependency_name_source(r->engine->dependency, r->source, r->content);
}

void sm_replay_fix_seed(void)
{
    sm_hash_seed = HASH_SEED;
}

struct sm_engine *sm_replay_engine_new(const struct sm_config *config, unsigned shards, const struct sm_replay_into *into,
                                       struct sm_err *err)
{
    struct sm_engine_options options = {
        .placement = SM_PLACEMENT_INLINE,
        .shards = shards,
        .ordered = true,
        .start_ns = 0, /* the first record decides */
        .store = into ? into->store : NULL,
        .graph_log = into ? into->graph_log : NULL,
        .sinks = into ? into->sinks : NULL,
        .sink_count = into ? into->sink_count : 0,
    };
    return sm_engine_new(config, &options, err);
}

static enum sm_rc replay_list(struct sm_engine *e, const struct sm_file_list *list, bool progress, struct sm_replay_totals *totals,
                              struct sm_err *err)
{
    struct replay r = {
        .engine = e,
        .worker = sm_pipeline_worker(e->pipeline, 0),
        .totals = totals,
        .progress = progress && isatty(STDERR_FILENO),
        .started_ns = sm_clock_mono_ns(),
        .file_count = list->count,
    };
    enum sm_rc rc = SM_OK;
    for (size_t i = 0; i < list->count && rc == SM_OK; i++) {
        begin_source(&r, i);
        rc = replay_file(&r, &list->items[i], err);
        end_source(&r);
    }
    sm_pipeline_close_all(e->pipeline);
    sm_fanout_stop(e->fanout, FINISH_NS);
    totals->recorded_end_ns = r.clock.now_ns;
    totals->took_ns = sm_clock_mono_ns() - r.started_ns;
    if (r.progress && r.shown_ns)
        fprintf(stderr, "\r%*s\r", 100, "");
    if (rc == SM_OK)
        rc = sm_engine_flush_graph(e, r.clock.now_ns, err);
    return rc;
}

enum sm_rc sm_replay_files(struct sm_engine *e, char *const *paths, size_t count, bool progress,
                           struct sm_replay_totals *totals, struct sm_err *err)
{
    struct sm_file_list list = {0};
    enum sm_rc rc = SM_OK;
    *totals = (struct sm_replay_totals){0};
    for (size_t i = 0; i < count && rc == SM_OK; i++)
        rc = sm_file_list_add(&list, paths[i], err);
    if (rc == SM_OK)
        rc = replay_list(e, &list, progress, totals, err);
    sm_file_list_fini(&list);
    return rc;
}
