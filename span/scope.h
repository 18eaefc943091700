/* Interned resources and instrumentation scopes.
 *
 * A resource is the content of an OTLP `Resource` message plus its schema URL; a scope is an `InstrumentationScope` message
 * plus schema URL under one resource. Spans hold a scope id. Both are interned by content: per worker over a shared table.
 * Entries are reclaimed when no live epoch can refer to them (sm_scopes_reclaim), because clients that restart make new
 * resources for ever. Ids never leave the process: stored and spilled forms carry the contents. */
#ifndef SM_SCOPE_H
#define SM_SCOPE_H

#include "base/base.h"
#include "span/names.h"

#include <stdatomic.h>

struct sm_resource {
    struct sm_str bytes; /* content of the Resource message; may be empty */
    struct sm_str schema_url;
    uint64_t hash;
    uint32_t id;                 /* dense, below SM_SCOPES_MAX; reused after reclaim */
    uint32_t service_id;         /* names id of service.name; SM_NAME_EMPTY when absent */
    _Atomic uint32_t epoch_last; /* newest epoch of a span that refers to it */
    _Atomic uint32_t dead;
};

struct sm_scope {
    const struct sm_resource *resource;
    struct sm_str bytes; /* content of the InstrumentationScope message; may be empty */
    struct sm_str schema_url;
    uint64_t hash;
    uint32_t id;
    _Atomic uint32_t epoch_last;
    _Atomic uint32_t dead;
};

#define SM_SCOPES_MAX (UINT32_C(1) << 20)

struct sm_scopes;
struct sm_scopes_cache;

struct sm_scopes *sm_scopes_new(struct sm_names *names, uint32_t count_max, size_t bytes_max);
void sm_scopes_free(struct sm_scopes *scopes);

/* Any thread that holds a span of a live epoch with this id. Never NULL for such an id. */
const struct sm_scope *sm_scopes_get(const struct sm_scopes *scopes, uint32_t scope_id);

/* Live entries (resources and scopes) and their bytes. */
void sm_scopes_stats(struct sm_scopes *scopes, uint32_t *count, size_t *bytes);

/* One per worker, used by that worker only. */
struct sm_scopes_cache *sm_scopes_cache_new(struct sm_scopes *scopes, struct sm_names_cache *names);
void sm_scopes_cache_free(struct sm_scopes_cache *cache);

/* Interns by content and marks the entry as used in `epoch`. NULL when the table is at its limit. */
const struct sm_resource *sm_scopes_cache_resource(struct sm_scopes_cache *cache, struct sm_str bytes,
                                                   struct sm_str schema_url, uint32_t epoch);
const struct sm_scope *sm_scopes_cache_scope(struct sm_scopes_cache *cache, const struct sm_resource *resource,
                                             struct sm_str bytes, struct sm_str schema_url, uint32_t epoch);

/* The same for what this cache has met already; NULL for what it has not, which is not interned. Codecs that check contents before they
 * intern them need not check what is found. */
const struct sm_resource *sm_scopes_cache_find_resource(struct sm_scopes_cache *cache, struct sm_str bytes,
                                                        struct sm_str schema_url, uint32_t epoch);
const struct sm_scope *sm_scopes_cache_find_scope(struct sm_scopes_cache *cache, const struct sm_resource *resource,
                                                  struct sm_str bytes, struct sm_str schema_url, uint32_t epoch);

/* Reclaim, in steps that the control thread calls now and then with the oldest epoch that is still live anywhere: marks
 * entries not used since, waits (over calls) until every cache passed sm_scopes_cache_quiescent, then frees those that are
 * still unused. */
void sm_scopes_reclaim(struct sm_scopes *scopes, uint32_t oldest_live_epoch);
/* Worker thread, between batches: drops dead entries from its cache when a reclaim is under way. Cheap otherwise. */
void sm_scopes_cache_quiescent(struct sm_scopes_cache *cache);

#endif
