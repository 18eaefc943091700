/* The embedded trace store: append-only segment files of compressed blocks of whole traces (docs/formats/segment.md).
 *
 * Threads. One writer thread calls append, commit, sync, tick and close. Any number of other threads may get, search, list and
 * ask for statistics at the same time; they never hold the writer up for longer than it takes to copy some posting lists, and
 * a segment that retention removes stays readable for those who are in it.
 *
 * Visibility and durability. A trace is readable once its block is in the file: when the block is full, at sm_store_commit and
 * at sm_store_sync. It survives a crash of the process from then on, and a crash of the machine from the next sync on. Every
 * trace has a sequence number, counting up over the life of the store; `written` and `durable` tell how far each has come.
 *
 * Failure. Opening repairs by itself: torn tails are cut, damage inside a segment is skipped and counted, missing footers are
 * rebuilt. Only a lock held by another process and an unusable directory make opening fail.
 *
 * Limits. A trace may be any size; beyond SM_STORE_RECORD_BYTES_MAX it is stored in parts, which reading puts together. Parts
 * of one trace that were stored at different times (late spans) are put together in the same way; spans that occur twice with
 * the same bytes are given once. */
#ifndef SM_STORE_H
#define SM_STORE_H

#include "base/base.h"
#include "span/codec/codec.h"
#include "span/span.h"
#include "span/trace.h"

#include <sys/types.h>

struct sm_store;

/* ---- options ---- */

/* The system calls that put bytes on disk, replaceable so that tests can make them fail. NULL members are the system's. */
struct sm_store_io {
    void *ctx;
    ssize_t (*write)(void *ctx, int fd, const void *bytes, size_t size, uint64_t offset); /* as pwrite: may be short */
    int (*sync)(void *ctx, int fd);                                                      /* as fdatasync */
};

/* Zero members take the default. */
struct sm_store_options {
    uint64_t segment_bytes_max;   /* a segment is sealed at this size: 128 MiB */
    int64_t segment_age_ns_max;   /* ... or when its oldest trace was stored this long ago: 1 h */
    uint32_t block_bytes;         /* uncompressed bytes at which a block is closed: 64 KiB */
    uint32_t dictionary_bytes;    /* of the compression dictionary: 112 KiB */
    int64_t sync_linger_ns;       /* sm_store_tick syncs what was written this long ago: 1 s */
    int64_t retention_age_ns;     /* segments whose newest trace is older are removed: 7 days; < 0: never */
    uint64_t retention_bytes_max; /* oldest segments are removed beyond this size: 10 % of the file system */
    bool read_only;               /* take no lock, change nothing on disk; appending is refused */
    uint64_t salt;                /* of new segments, with their number: equal input makes equal files. 0: random */
    struct sm_store_io io;
};

/* ---- what is stored ---- */

/* Marks of a stored trace. */
enum sm_store_mark {
    SM_STORE_OPEN = 1 << 0,        /* a snapshot of a window that was still open */
    SM_STORE_PARTIAL = 1 << 1,     /* known to be incomplete (spans cut by limits, decided under memory pressure) */
    SM_STORE_COUNTED_OUT = 1 << 2, /* kept for a linked trace only: out of adjusted counts */
};

struct sm_store_meta {
    struct sm_trace_id id;
    uint64_t start_ns;   /* smallest span start that is present; 0: none */
    uint64_t end_ns;     /* largest span end; at least start_ns */
    int64_t stored_ns;   /* when it was handed to the store, in the writer's time */
    uint64_t threshold;  /* as in struct sm_trace */
    uint64_t randomness;
    uint32_t span_count;
    uint32_t error_count; /* spans that failed (SM_SPAN_ERROR) */
    uint16_t marks;       /* enum sm_store_mark */
    uint8_t verdict;      /* enum sm_verdict */
    uint8_t trigger;      /* enum sm_trigger */
    struct sm_str rule;   /* name of the rule that decided; at most SM_STORE_RULE_BYTES_MAX are kept */
};

#define SM_STORE_RULE_BYTES_MAX   255
#define SM_STORE_RECORD_BYTES_MAX (UINT32_C(16) << 20)

/* A span with what the index needs of it, so that the store need not parse what the pipeline knows already. Views are borrowed
 * for the call. Spans whose encode views of resource and scope are the same pointers are stored under one resource and scope. */
struct sm_store_span {
    struct sm_encode_span encode;
    struct sm_str service;        /* service.name of the resource; may be empty */
    struct sm_str name;
    struct sm_str remote_service; /* sm_store_describe's rule; may be empty */
    uint64_t parent_id;           /* 0: none */
    uint64_t start_ns;            /* 0: none */
    uint64_t duration_ns;
    uint8_t kind; /* enum sm_kind */
    bool error;   /* SM_SPAN_ERROR */
};

struct sm_store_trace {
    struct sm_store_meta meta; /* span_count of them in spans */
    const struct sm_store_span *spans;
};

/* Fills *span from canonical bytes, for spans that do not come from the pipeline (replay of a store, tests). remote_service is
 * the first non-empty of the attributes service.peer.name and peer.service. */
void sm_store_describe(const struct sm_encode_span *encode, struct sm_store_span *span);

/* Fills start, end, span_count and error_count of *meta from the described spans. */
void sm_store_summarise(const struct sm_store_span *spans, uint32_t count, struct sm_store_meta *meta);

/* ---- life, writer thread ---- */

/* Opens or creates the store in `dir` (created if absent, parents not). SM_E_AGAIN when another process has it: err names its
 * pid. `now_ns` is the writer's clock. */
enum sm_rc sm_store_open(const char *dir, const struct sm_store_options *options, int64_t now_ns, struct sm_store **store,
                         struct sm_err *err) SM_MUST_USE;

/* Commits, syncs, closes. Readers must be gone. The active segment stays as it is; the next open goes on with it. */
void sm_store_close(struct sm_store *store);

/* Takes a trace into the current block. When it cannot be written (disk full, I/O error): SM_E_IO, and every trace after
 * sm_store_written() is forgotten, this one included; the caller appends those again when it tries again. */
enum sm_rc sm_store_append(struct sm_store *store, const struct sm_store_trace *trace, struct sm_err *err) SM_MUST_USE;

/* Writes the current block as it is, so that everything appended is readable. Fails as append does. */
enum sm_rc sm_store_commit(struct sm_store *store, struct sm_err *err) SM_MUST_USE;

/* Commits, makes it durable, and tells the sequence number up to which every trace is durable now. */
enum sm_rc sm_store_sync(struct sm_store *store, uint64_t *durable, struct sm_err *err) SM_MUST_USE;

/* Housekeeping, to be called about once a second and after each batch: syncs after the linger, seals by age, removes what
 * retention says, renews damaged footers. Cheap when there is nothing to do. Problems are logged and counted. */
void sm_store_tick(struct sm_store *store, int64_t now_ns);

/* Seals the active segment now (tests, `spanmill store`). */
enum sm_rc sm_store_seal(struct sm_store *store, struct sm_err *err) SM_MUST_USE;

/* Sequence number of the newest record that was appended; equal to sm_store_written() when nothing waits in the current block.
 * Writer thread. */
uint64_t sm_store_appended(const struct sm_store *store);

/* Sequence number of the newest record that is in a file, and of the newest that is durable. Any thread. */
uint64_t sm_store_written(const struct sm_store *store);
uint64_t sm_store_durable(const struct sm_store *store);

/* ---- reading, any thread ---- */

/* A trace as found: all its stored parts together. Everything is borrowed for the callback. */
struct sm_store_found {
    struct sm_store_meta meta; /* times, counts and marks over all parts; verdict, rule etc. of the oldest part */
    const struct sm_encode_span *spans; /* meta.span_count of them, grouped by resource and scope */
    struct sm_str root_service, root_operation; /* of the span without parent (the earliest of several); else of the earliest */
    uint32_t parts;
    uint32_t duplicates; /* spans left out because another part has them with the same bytes */
};

/* Returns false to stop. */
typedef bool (*sm_store_found_fn)(void *ctx, const struct sm_store_found *trace);

enum sm_store_id_match {
    SM_STORE_ID_EXACT,
    SM_STORE_ID_LOW64, /* every trace whose low 64 bits are those of the id, whatever the high ones; one call per full id */
};

/* SM_E_NOTFOUND when there is none (or it could not be read; counted). */
enum sm_rc sm_store_get(struct sm_store *store, struct sm_trace_id id, enum sm_store_id_match match, sm_store_found_fn fn,
                        void *ctx) SM_MUST_USE;

/* Whose conditions must hold where. */
enum sm_store_match {
    /* Jaeger: one span meets everything: service, operation, kind, remote service, all terms, duration, error, and a start
     * within [start_min_ns, start_max_ns]. */
    SM_STORE_MATCH_SPAN,
    /* Zipkin: each condition is met by some span of the service (any span if no service is given). The trace's time (start of
     * the first span without parent, else the earliest start) lies within [start_min_ns, start_max_ns]. */
    SM_STORE_MATCH_TRACE,
};

/* A condition on tags. The key is looked for among the attributes of span, resource, scope, events and links; a value matches
 * as text (numbers in shortest form, true/false, arrays and maps as JSON). These are understood beside what is stored:
 *   error          true/false: the span failed or not; the message of a failed span's status and a stored attribute `error`
 *                  with that value match too
 *   span.kind      internal, server, client, producer, consumer
 *   span.status, otel.status_code   unset, ok, error (any case)
 *   otel.status_description         message of the status
 *   scope.name, otel.scope.name, otel.library.name, scope.version, otel.scope.version, otel.library.version
 *   event          name of an event
 *   resource.K     attribute K of the resource only
 * With any_value (Zipkin's bare words) it is enough that the key is there, or that an event has it for a name. */
struct sm_store_term {
    struct sm_str key;
    struct sm_str value;
    bool any_value;
};

#define SM_STORE_TERMS_MAX  64
#define SM_STORE_KIND_ANY   (-1)
#define SM_STORE_LIMIT_MAX  10000

struct sm_store_query {
    enum sm_store_match match;
    struct sm_str service;        /* empty views and zeros: no condition */
    struct sm_str operation;
    struct sm_str remote_service;
    int kind;                     /* enum sm_kind or SM_STORE_KIND_ANY */
    bool fold_case;               /* names compare without regard to ASCII case (Zipkin) */
    bool error_only;
    const struct sm_store_term *terms;
    uint32_t term_count;          /* at most SM_STORE_TERMS_MAX */
    uint64_t duration_min_ns;
    uint64_t duration_max_ns;
    uint64_t start_min_ns;
    uint64_t start_max_ns;
    uint32_t limit;               /* traces; at most SM_STORE_LIMIT_MAX; 0: 20 */
    uint32_t blocks_max;          /* gives up after decompressing this many blocks; 0: 16,384 */
    /* A further test of a trace that met everything else (a compiled TraceQL program); NULL: none. */
    bool (*accept)(void *ctx, const struct sm_store_found *trace);
    void *accept_ctx;
};

/* Any condition off, kind any. */
extern const struct sm_store_query sm_store_query_default;

struct sm_store_search_stats {
    uint32_t found;
    uint64_t candidates;  /* traces that index and zone maps left over */
    uint64_t blocks_read; /* decompressed */
    bool truncated;       /* blocks_max was reached: there may be more */
};

/* Newest first by start. SM_E_INVALID for a query beyond its limits. `stats` may be NULL. */
enum sm_rc sm_store_search(struct sm_store *store, const struct sm_store_query *query, sm_store_found_fn fn, void *ctx,
                           struct sm_store_search_stats *stats) SM_MUST_USE;

/* Every stored record from the oldest on, in the order in which they were appended, parts not put together. */
void sm_store_iterate(struct sm_store *store, sm_store_found_fn fn, void *ctx);

/* Names in byte order, each once. `service` is compared as stored, or without case. The views are borrowed for the call. */
typedef void (*sm_store_name_fn)(void *ctx, struct sm_str name, enum sm_kind kind);
void sm_store_services(struct sm_store *store, sm_store_name_fn fn, void *ctx); /* kind is always SM_KIND_UNSPECIFIED */
void sm_store_operations(struct sm_store *store, struct sm_str service, bool fold_case, sm_store_name_fn fn, void *ctx);
void sm_store_remote_services(struct sm_store *store, struct sm_str service, bool fold_case, sm_store_name_fn fn, void *ctx);

struct sm_store_stats {
    uint32_t segments;         /* the active one included */
    uint64_t traces;           /* stored records */
    uint64_t spans;
    uint64_t bytes;            /* of segment files */
    uint64_t bytes_raw;        /* of blocks before compression */
    int64_t stored_oldest_ns;  /* 0 when empty */
    int64_t stored_newest_ns;
    uint64_t written;
    uint64_t durable;
    /* since opening */
    uint64_t appended_traces;
    uint64_t appended_spans;
    uint64_t written_bytes;      /* all that was written: blocks and footers */
    uint64_t write_errors;
    uint64_t syncs;
    uint64_t seals;
    uint64_t removed_segments;   /* by retention */
    uint64_t removed_traces;
    uint64_t tails_cut;          /* torn tails, at opening */
    uint64_t tail_bytes_cut;
    uint64_t damaged_ranges;     /* stretches of segment files that are not readable blocks; skipped ever after */
    uint64_t damaged_bytes;
    uint64_t damaged_blocks;     /* blocks whose checksum or content was wrong when read */
    uint64_t footers_rebuilt;
    uint64_t segments_set_aside; /* files without any readable block, renamed to *.bad; unknown versions, left alone */
    uint64_t names_overflowed;   /* spans whose names did not fit into a segment's dictionary (found by scanning) */
};

void sm_store_stats(struct sm_store *store, struct sm_store_stats *stats);

/* One segment, for `spanmill store`. */
struct sm_store_segment_info {
    const char *file;
    bool sealed;
    uint64_t bytes;
    uint64_t traces, spans, blocks;
    uint64_t start_min_ns, start_max_ns;
    int64_t stored_min_ns, stored_max_ns;
};
void sm_store_segments(struct sm_store *store, void (*fn)(void *ctx, const struct sm_store_segment_info *info), void *ctx);

/* Reads and checks every byte of every segment. Damage is reported through `fn` (NULL: not) as text; returns how many
 * damaged places there are. */
uint64_t sm_store_check(struct sm_store *store, void (*fn)(void *ctx, const char *file, uint64_t offset, const char *what),
                        void *ctx);

#endif
