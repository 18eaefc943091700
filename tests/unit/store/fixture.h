/* Traces and directories for store tests. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "base/buf.h"
#include "store/store.h"

/* A span in words. Names are NUL-terminated; NULL: none. */
struct fx_span {
    const char *service, *name;
    uint64_t id, parent;
    uint64_t start_us, duration_us;
    enum sm_kind kind;
    enum sm_status status;
    const char *status_message;
    const char *attributes[8]; /* key, value, key, value, ...; a value "#7" is the integer 7 */
    const char *event;
    const char *resource_attribute[2];
    const char *scope;
    const char *trace_state;
};

/* A trace with memory of its own. */
struct fx_trace {
    struct sm_store_trace trace;
    struct sm_store_span *spans;
    struct sm_buf *bytes; /* three per span: span, resource, scope */
};

struct fx_trace fx_trace(struct sm_trace_id id, const struct fx_span *spans, uint32_t count);
void fx_trace_free(struct fx_trace *t);

/* A trace of `spans` spans whose content follows from `n`: ids, names of some services, times about n ms after a fixed date. */
struct fx_trace fx_numbered(uint64_t n, uint32_t spans);
struct sm_trace_id fx_id(uint64_t n);
#define FX_BASE_NS UINT64_C(1700000000000000000)

/* A new directory below the system's for temporary files; static memory. fx_rmdir removes it with what is in it. */
const char *fx_dir(void);
void fx_rmdir(const char *dir);

/* The newest segment file in it, full path, static memory. */
const char *fx_segment_path(const char *dir);

struct sm_store *fx_open(const char *dir, const struct sm_store_options *options);
void fx_append(struct sm_store *store, const struct fx_trace *t);
void fx_append_numbered(struct sm_store *store, uint64_t from, uint64_t to, uint32_t spans);

/* True when the store gives the numbered trace back with exactly its spans. */
bool fx_has_numbered(struct sm_store *store, uint64_t n, uint32_t spans);

/* Searches and gives the numbers (low id halves) of what was found, in order; returns the count. */
uint32_t fx_search(struct sm_store *store, const struct sm_store_query *query, uint64_t *numbers, uint32_t max);

/* A file's bytes; written back. */
struct sm_buf fx_read_file(const char *path);
void fx_write_file(const char *path, const void *bytes, size_t size);

#endif
