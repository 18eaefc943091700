/* Open traces of one shard by trace id.
 *
 * 1,024 sub-tables with open addressing; each doubles on its own, so that growth never stops the shard for long: at ten
 * million open traces the largest step moves some 10,000 entries (bench_map measures it). Looking up many ids at once: prefetch, prefetch, ..., find. Ids
 * hash by their low 64 bits, so that the 64-bit and the 128-bit form of one id meet. Used by the shard's thread only. */
#ifndef SM_TRACE_MAP_H
#define SM_TRACE_MAP_H

#include "base/base.h"
#include "base/hash.h"
#include "span/trace.h"

#define SM_TRACE_MAP_TABLES 1024
#define SM_TRACE_MAP_SHIFT  54 /* the sub-table is the top ten bits of the hash */

struct sm_trace_map_entry {
    uint64_t lo, hi;        /* the trace's id, here so that a look-up does not touch the trace */
    struct sm_trace *trace; /* NULL: free */
};

struct sm_trace_map_table {
    struct sm_trace_map_entry *entries;
    uint32_t mask;
    uint32_t used;
};

struct sm_trace_map {
    struct sm_trace_map_table tables[SM_TRACE_MAP_TABLES];
    size_t count;
};

void sm_trace_map_init(struct sm_trace_map *m);
void sm_trace_map_fini(struct sm_trace_map *m);

SM_INLINE uint64_t sm_trace_map_hash(uint64_t lo)
{
    return sm_hash_u64(lo);
}

SM_INLINE void sm_trace_map_prefetch(const struct sm_trace_map *m, uint64_t hash)
{
    const struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    __builtin_prefetch(&t->entries[hash & t->mask]);
}

/* How an id was found. CLASH: not, though traces with its low half are open. */
enum sm_trace_match { SM_TRACE_MATCH_NONE, SM_TRACE_MATCH_EXACT, SM_TRACE_MATCH_JOINED, SM_TRACE_MATCH_CLASH };

/* The open trace of this id. A 64-bit id joins a 128-bit one with the same low half when exactly one such trace is open, and
 * the other way round; two 128-bit ids never join. */
struct sm_trace *sm_trace_map_find(const struct sm_trace_map *m, uint64_t hash, struct sm_trace_id id,
                                   enum sm_trace_match *match);

/* A trace whose very id is not in the map; `hash` is of its id's low half. The map borrows it until it is removed. */
void sm_trace_map_add(struct sm_trace_map *m, uint64_t hash, struct sm_trace *trace);
void sm_trace_map_remove(struct sm_trace_map *m, struct sm_trace *trace);
/* Gives a trace with a 64-bit id its high half. */
void sm_trace_map_widen(struct sm_trace_map *m, struct sm_trace *trace, uint64_t hi);

/* Calls fn for every trace with this id; more than one when they were added so. fn must not change the map. */
void sm_trace_map_each_of(const struct sm_trace_map *m, struct sm_trace_id id, void (*fn)(void *ctx, struct sm_trace *trace), void *ctx);

/* Calls fn for every trace, in no particular order; fn must not change the map. */
void sm_trace_map_each(const struct sm_trace_map *m, void (*fn)(void *ctx, struct sm_trace *trace), void *ctx);

#endif
