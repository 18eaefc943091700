/* The ring of skeletons and its index. */
#include "pipeline/skeletons.h"

#include "base/hash.h"

#include <stdlib.h>

/* In the ring, in front of `count` heads. */
struct skeleton {
    struct sm_trace_id id;
    int64_t sealed_ns;
    uint64_t position; /* of itself, in bytes ever written: tells whether an index entry still means it */
    uint64_t older;    /* index entry of the skeleton before it with this slot; 0: none */
    uint32_t count;
    uint32_t size; /* with this header */
};

struct sm_skeletons {
    uint8_t *ring;
    size_t size;
    uint64_t written; /* bytes ever written, gaps at the ring's end included */
    int64_t grace_ns;
    uint64_t *index; /* by hash of the id: position + 1 of the newest skeleton with this slot, which leads to older ones */
    uint32_t index_mask;
};

enum { SPANS_PER_INDEX_SLOT = 8, CHAIN_MAX = 64 };

struct sm_skeletons *sm_skeletons_new(size_t bytes_max, int64_t grace_ns)
{
    struct sm_skeletons *s = sm_xcalloc(1, sizeof *s);
    s->grace_ns = grace_ns;
    if (!bytes_max || !grace_ns)
        return s;
    s->size = bytes_max & ~(size_t)15;
    s->ring = sm_xmalloc(s->size);
    uint32_t slots = 64;
    while (slots < s->size / sizeof(struct sm_span) / SPANS_PER_INDEX_SLOT)
        slots *= 2;
    s->index = sm_xcalloc(slots, sizeof *s->index);
    s->index_mask = slots - 1;
    return s;
}

void sm_skeletons_free(struct sm_skeletons *s)
{
    if (!s)
        return;
    free(s->ring);
    free(s->index);
    free(s);
}

static uint64_t *slot_of(const struct sm_skeletons *s, uint64_t lo)
{
    return &s->index[sm_hash_u64(lo) & s->index_mask];
}

/* Room for `size` bytes in one piece; returns its position. */
static uint64_t reserve(struct sm_skeletons *s, size_t size)
{
    size_t at = s->written % s->size;
    if (s->size - at < size)
        s->written += s->size - at;
    uint64_t position = s->written;
    s->written += size;
    return position;
}

/* What an index entry means; NULL when the ring has moved over it. */
static struct skeleton *skeleton_at(const struct sm_skeletons *s, uint64_t entry)
{
    if (entry == 0 || s->written - (entry - 1) > s->size)
        return NULL;
    struct skeleton *k = (struct skeleton *)(s->ring + (entry - 1) % s->size);
    return k->position == entry - 1 ? k : NULL;
}

/* The newest skeleton of an id and the entry that leads to it; NULL when there is none. */
static struct skeleton *find(const struct sm_skeletons *s, struct sm_trace_id id, uint64_t **entry)
{
    *entry = slot_of(s, id.lo);
    struct skeleton *k = skeleton_at(s, **entry);
    for (unsigned walked = 0; k && !sm_trace_id_meets(k->id, id); walked++) {
        *entry = &k->older;
        k = walked < CHAIN_MAX ? skeleton_at(s, k->older) : NULL;
    }
    return k;
}

/* Takes out what an id had and widens it by that; returns when that was sealed, or now_ns. */
static int64_t replace(struct sm_skeletons *s, struct sm_trace_id *id, int64_t now_ns)
{
    uint64_t *entry;
    const struct skeleton *k = find(s, *id, &entry);
    if (!k)
        return now_ns;
    *entry = k->older;
    id->hi |= k->id.hi; /* they are equal unless one is 0 */
    return k->sealed_ns;
}

void sm_skeletons_add(struct sm_skeletons *s, const struct sm_view *view, int64_t now_ns)
{
    size_t size = sizeof(struct skeleton) + view->count * sizeof(struct sm_span);
    if (!s->ring || size > s->size / 4)
        return;
    struct sm_trace_id id = view->trace->id;
    int64_t before_ns = replace(s, &id, now_ns);
    int64_t sealed_ns = view->context ? before_ns : now_ns;
    uint64_t position = reserve(s, size);
    struct skeleton *k = (struct skeleton *)(s->ring + position % s->size);
    uint64_t *slot = slot_of(s, id.lo);
    *k = (struct skeleton){id, sealed_ns, position, *slot, view->count, (uint32_t)size};
    struct sm_span *heads = (struct sm_span *)(k + 1);
    for (uint32_t i = 0; i < view->count; i++) {
        heads[i] = *view->spans[i].span;
        heads[i].n_wanted = 0;
        heads[i].flags &= (uint16_t)~SM_SPAN_PRIVATE; /* it is in the bytes, which are gone */
    }
    *slot = position + 1;
}

const struct sm_span *sm_skeletons_find(const struct sm_skeletons *s, struct sm_trace_id id, int64_t now_ns, uint32_t *count)
{
    if (!s->ring)
        return NULL;
    uint64_t *at;
    const struct skeleton *k = find(s, id, &at);
    if (!k || now_ns - k->sealed_ns > s->grace_ns)
        return NULL;
    *count = k->count;
    return (const struct sm_span *)(k + 1);
}
