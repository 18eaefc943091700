/* Runs of one id, in spans sorted by id. */
#include "query/shared_ids.h"
#include "base/hash.h"
#include "span/nesting.h"

#include <stdlib.h>

/* An id that client and server had in common, and the one that the (first) server got. */
struct split {
    uint64_t old_id, new_id;
};

/* Set of the span ids in use. */
struct ids {
    uint64_t *table;
    uint32_t mask;
    uint64_t last; /* that was given out */
};

static uint64_t *slot_of(const struct ids *ids, uint64_t id)
{
    uint32_t at = (uint32_t)sm_hash_u64(id) & ids->mask;
    while (ids->table[at] && ids->table[at] != id)
        at = (at + 1) & ids->mask;
    return &ids->table[at];
}

/* Room for the new ids on top. */
static void note_ids(struct ids *ids, const struct sm_shared_span *spans, uint32_t count)
{
    uint32_t size = 64;
    while (size < count * 4)
        size *= 2;
    *ids = (struct ids){.table = sm_xcalloc(size, sizeof *ids->table), .mask = size - 1};
    for (uint32_t i = 0; i < count; i++)
        *slot_of(ids, spans[i].id) = spans[i].id;
}

static uint64_t unused_id(struct ids *ids)
{
    uint64_t *slot;
    do
        slot = slot_of(ids, ++ids->last);
    while (*slot);
    return *slot = ids->last;
}

static bool has_client(const struct sm_shared_span *run, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (run[i].kind == SM_KIND_CLIENT)
            return true;
    }
    return false;
}

static bool holds(const struct sm_shared_span *outer, const struct sm_shared_span *inner)
{
    return sm_extent_holds((struct sm_extent){outer->start_ns, outer->end_ns},
                           (struct sm_extent){inner->start_ns, inner->end_ns});
}

/* The server that holds all others of a run; `count` when there is none. */
static uint32_t outer_server(const struct sm_shared_span *run, uint32_t count)
{
    uint32_t outer = count, others = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (run[i].kind == SM_KIND_SERVER && (outer == count || holds(&run[i], &run[outer])))
            outer = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (run[i].kind != SM_KIND_SERVER || i == outer)
            continue;
        others++;
        if (!holds(&run[outer], &run[i]))
            return count;
    }
    return others ? outer : count;
}

/* Gives the server halves of a run, which has one id, ids of their own; false when there are none. */
static bool split_run(struct sm_shared_span *run, uint32_t count, struct ids *ids, struct split *split)
{
    split->new_id = 0;
    bool client = has_client(run, count);
    uint32_t outer = client ? count : outer_server(run, count);
    if (!client && outer == count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (run[i].kind != SM_KIND_SERVER || i == outer)
            continue;
        uint64_t old_id = run[i].id;
        run[i].parent_id = old_id;
        run[i].id = unused_id(ids);
        run[i].changed = true;
        if (!split->new_id)
            *split = (struct split){old_id, run[i].id};
    }
    return split->new_id != 0;
}

static int by_id(const void *x, const void *y)
{
    const struct sm_shared_span *a = x, *b = y;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int by_old_id(const void *x, const void *y)
{
    const struct split *a = x, *b = y;
    return a->old_id != b->old_id ? (a->old_id < b->old_id ? -1 : 1) : 0;
}

/* Halves that were split have their parent already; a span that names itself stays as it is, lest it become its child's child. */
static void move_children(struct sm_shared_span *spans, uint32_t count, const struct split *splits, uint32_t split_count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct split key = {.old_id = spans[i].parent_id};
        const struct split *s = spans[i].changed ? NULL : bsearch(&key, splits, split_count, sizeof *splits, by_old_id);
        if (!s || spans[i].id == s->old_id)
            continue;
        spans[i].parent_id = s->new_id;
        spans[i].changed = true;
    }
}

static bool split_runs(struct sm_shared_span *spans, uint32_t count)
{
    struct split *splits = sm_xmalloc(count * sizeof *splits);
    uint32_t split_count = 0;
    struct ids ids;
    note_ids(&ids, spans, count);
    for (uint32_t from = 0, to; from < count; from = to) {
        uint64_t id = spans[from].id;
        for (to = from + 1; to < count && spans[to].id == id; to++)
            ;
        if (to - from > 1)
            split_count += split_run(spans + from, to - from, &ids, &splits[split_count]);
    }
    if (split_count)
        move_children(spans, count, splits, split_count);
    free(splits);
    free(ids.table);
    return split_count != 0;
}

bool sm_shared_ids_split(struct sm_shared_span *spans, uint32_t count)
{
    bool any = false;
    for (uint32_t i = 0; i < count; i++)
        spans[i].changed = false;
    if (count)
        qsort(spans, count, sizeof *spans, by_id);
    for (uint32_t i = 1; i < count && !any; i++)
        any = spans[i].id == spans[i - 1].id;
    return any && split_runs(spans, count);
}
