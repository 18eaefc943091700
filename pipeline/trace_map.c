/* The map of open traces: 1,024 open-addressing sub-tables. */
#include "pipeline/trace_map.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 16 };

void sm_trace_map_init(struct sm_trace_map *m)
{
    *m = (struct sm_trace_map){.count = 0};
    for (unsigned i = 0; i < SM_TRACE_MAP_TABLES; i++) {
        m->tables[i].entries = sm_xcalloc(CAPACITY_MIN, sizeof(struct sm_trace_map_entry));
        m->tables[i].mask = CAPACITY_MIN - 1;
    }
}

void sm_trace_map_fini(struct sm_trace_map *m)
{
    for (unsigned i = 0; i < SM_TRACE_MAP_TABLES; i++)
        free(m->tables[i].entries);
}

struct sm_trace *sm_trace_map_find(const struct sm_trace_map *m, uint64_t hash, struct sm_trace_id id,
                                   enum sm_trace_match *match)
{
    const struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    struct sm_trace *joinable = NULL;
    unsigned joinable_count = 0;
    bool clash = false;
    for (uint32_t i = (uint32_t)hash & t->mask; t->entries[i].trace; i = (i + 1) & t->mask) {
        if (t->entries[i].lo != id.lo)
            continue;
        if (SM_LIKELY(t->entries[i].hi == id.hi)) {
            *match = SM_TRACE_MATCH_EXACT;
            return t->entries[i].trace;
        }
        clash = true;
        if (id.hi == 0 || t->entries[i].hi == 0) {
            joinable = t->entries[i].trace;
            joinable_count++;
        }
    }
    if (joinable_count == 1) {
        *match = SM_TRACE_MATCH_JOINED;
        return joinable;
    }
    *match = clash ? SM_TRACE_MATCH_CLASH : SM_TRACE_MATCH_NONE;
    return NULL;
}

static void put(struct sm_trace_map_table *t, uint64_t hash, struct sm_trace_map_entry entry)
{
    uint32_t i = (uint32_t)hash & t->mask;
    while (t->entries[i].trace)
        i = (i + 1) & t->mask;
    t->entries[i] = entry;
}

static void grow(struct sm_trace_map_table *t)
{
    struct sm_trace_map_table bigger = {.mask = t->mask * 2 + 1, .used = t->used};
    bigger.entries = sm_xcalloc((size_t)bigger.mask + 1, sizeof *bigger.entries);
    for (uint32_t i = 0; i <= t->mask; i++) {
        if (t->entries[i].trace)
            put(&bigger, sm_trace_map_hash(t->entries[i].lo), t->entries[i]);
    }
    free(t->entries);
    *t = bigger;
}

void sm_trace_map_add(struct sm_trace_map *m, uint64_t hash, struct sm_trace *trace)
{
    struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    if (SM_UNLIKELY(t->used * 4 >= (t->mask + 1) * 3))
        grow(t);
    put(t, hash, (struct sm_trace_map_entry){trace->id.lo, trace->id.hi, trace});
    t->used++;
    m->count++;
}

/* Closes the gap at `hole` by moving later entries of the run back (no tombstones). */
static void close_gap(struct sm_trace_map_table *t, uint32_t hole)
{
    uint32_t i = hole;
    for (;;) {
        i = (i + 1) & t->mask;
        if (!t->entries[i].trace)
            break;
        uint32_t home = (uint32_t)sm_trace_map_hash(t->entries[i].lo) & t->mask;
        if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
            t->entries[hole] = t->entries[i];
            hole = i;
        }
    }
    t->entries[hole].trace = NULL;
}

static uint32_t index_of(const struct sm_trace_map_table *t, uint64_t hash, const struct sm_trace *trace)
{
    uint32_t i = (uint32_t)hash & t->mask;
    while (t->entries[i].trace != trace) {
        SM_ASSERT(t->entries[i].trace);
        i = (i + 1) & t->mask;
    }
    return i;
}

void sm_trace_map_remove(struct sm_trace_map *m, struct sm_trace *trace)
{
    uint64_t hash = sm_trace_map_hash(trace->id.lo);
    struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    close_gap(t, index_of(t, hash, trace));
    t->used--;
    m->count--;
}

void sm_trace_map_widen(struct sm_trace_map *m, struct sm_trace *trace, uint64_t hi)
{
    uint64_t hash = sm_trace_map_hash(trace->id.lo);
    struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    t->entries[index_of(t, hash, trace)].hi = hi;
    trace->id.hi = hi;
}

void sm_trace_map_each_of(const struct sm_trace_map *m, struct sm_trace_id id, void (*fn)(void *ctx, struct sm_trace *trace), void *ctx)
{
    uint64_t hash = sm_trace_map_hash(id.lo);
    const struct sm_trace_map_table *t = &m->tables[hash >> SM_TRACE_MAP_SHIFT];
    for (uint32_t i = (uint32_t)hash & t->mask; t->entries[i].trace; i = (i + 1) & t->mask) {
        if (t->entries[i].lo == id.lo && t->entries[i].hi == id.hi)
            fn(ctx, t->entries[i].trace);
    }
}

void sm_trace_map_each(const struct sm_trace_map *m, void (*fn)(void *ctx, struct sm_trace *trace), void *ctx)
{
    for (unsigned k = 0; k < SM_TRACE_MAP_TABLES; k++) {
        const struct sm_trace_map_table *t = &m->tables[k];
        for (uint32_t i = 0; i <= t->mask; i++) {
            if (t->entries[i].trace)
                fn(ctx, t->entries[i].trace);
        }
    }
}
