/* Chunks, epochs and the heaviest of a shard's traces. */
#include "pipeline/trace_memory.h"

enum {
    CHUNK_GROWTH = 32, /* a new chunk is at least 1/32 of what the trace holds */
    CHUNK_BYTES_MAX = 16384 - sizeof(struct sm_chunk),
    HEAVY_BYTES = 256 << 10, /* traces above this may be decided early before older ones */
};

void sm_trace_memory_init(struct sm_trace_memory *m, struct sm_epochs *epochs, struct sm_stats *stats)
{
    *m = (struct sm_trace_memory){.slab = sm_slab_new(), .epochs = epochs, .stats = stats};
}

void sm_trace_memory_fini(struct sm_trace_memory *m)
{
    sm_slab_free(m->slab);
}

struct sm_trace *sm_trace_memory_new(struct sm_trace_memory *m, uint16_t source, uint32_t epoch)
{
    uint32_t usable;
    struct sm_trace *t = sm_slab_alloc(m->slab, sizeof *t, &usable);
    if (!t)
        return NULL;
    memset(t, 0, sizeof *t);
    t->memory = usable;
    t->start_ns = UINT64_MAX;
    t->source = source;
    t->epoch = sm_epochs_hold(m->epochs, source, epoch);
    return t;
}

void sm_trace_memory_hold(struct sm_trace_memory *m, struct sm_trace *t, uint16_t source, uint32_t epoch)
{
    for (struct sm_epoch_ref *r = t->more_epochs; r; r = r->next) {
        if (r->source == source)
            return;
    }
    uint32_t usable;
    struct sm_epoch_ref *r = sm_slab_alloc(m->slab, sizeof *r, &usable);
    if (!r)
        return;
    r->source = source;
    r->epoch = sm_epochs_hold(m->epochs, source, epoch);
    r->next = t->more_epochs;
    t->more_epochs = r;
}

static void chunks_free(struct sm_trace_memory *m, struct sm_chunk *chunk)
{
    while (chunk) {
        struct sm_chunk *next = chunk->next;
        sm_slab_release(m->slab, chunk, sizeof *chunk + chunk->size);
        chunk = next;
    }
}

static void epochs_release(struct sm_trace_memory *m, struct sm_trace *t)
{
    sm_epochs_drop(m->epochs, t->source, t->epoch);
    for (struct sm_epoch_ref *r = t->more_epochs; r;) {
        struct sm_epoch_ref *next = r->next;
        sm_epochs_drop(m->epochs, r->source, r->epoch);
        sm_slab_release(m->slab, r, sizeof *r);
        r = next;
    }
}

void sm_trace_memory_free(struct sm_trace_memory *m, struct sm_trace *t)
{
    epochs_release(m, t);
    chunks_free(m, t->chunks);
    sm_slab_release(m->slab, t, sizeof *t);
}

/* Called when a trace that is heavy gets a chunk. */
static void heavy_note(struct sm_trace_memory *m, struct sm_trace *t)
{
    unsigned lightest = 0;
    for (unsigned i = 0; i < m->heavy_count; i++) {
        if (m->heavy[i] == t)
            return;
        if (m->heavy[i]->memory < m->heavy[lightest]->memory)
            lightest = i;
    }
    if (m->heavy_count < SM_TRACE_MEMORY_HEAVY_MAX)
        m->heavy[m->heavy_count++] = t;
    else if (m->heavy[lightest]->memory < t->memory)
        m->heavy[lightest] = t;
}

static struct sm_chunk *chunk_new(struct sm_trace_memory *m, struct sm_trace *t, size_t size)
{
    uint32_t usable;
    struct sm_chunk *chunk = sm_slab_alloc(m->slab, sizeof *chunk + size, &usable);
    if (!chunk)
        return NULL;
    if (SM_UNLIKELY(usable > SM_SLAB_CHUNK_MAX))
        sm_stats_add(m->stats, SM_STAT_BIG_CHUNKS, 1);
    t->memory += usable;
    chunk->size = usable - (uint32_t)sizeof *chunk;
    return chunk;
}

bool sm_trace_memory_grow(struct sm_trace_memory *m, struct sm_trace *t, uint32_t least)
{
    size_t grown = SM_MIN((size_t)t->memory / CHUNK_GROWTH, (size_t)CHUNK_BYTES_MAX);
    size_t size = SM_MIN(SM_MAX((size_t)t->group_size, grown), (size_t)CHUNK_BYTES_MAX);
    struct sm_chunk *chunk = chunk_new(m, t, SM_MAX(size, (size_t)least));
    if (!chunk)
        return false;
    sm_trace_add_chunk(t, chunk);
    if (SM_UNLIKELY(t->memory > HEAVY_BYTES) && !t->parked)
        heavy_note(m, t);
    return true;
}

void sm_trace_memory_close(struct sm_trace_memory *m, const struct sm_trace *t)
{
    if (SM_LIKELY(t->memory <= HEAVY_BYTES))
        return;
    for (unsigned i = 0; i < m->heavy_count; i++) {
        if (m->heavy[i] == t) {
            m->heavy[i] = m->heavy[--m->heavy_count];
            return;
        }
    }
}

struct sm_trace *sm_trace_memory_heaviest(const struct sm_trace_memory *m)
{
    struct sm_trace *t = NULL;
    for (unsigned i = 0; i < m->heavy_count; i++) {
        if (!t || m->heavy[i]->memory > t->memory)
            t = m->heavy[i];
    }
    return t;
}
