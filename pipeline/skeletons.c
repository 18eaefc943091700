/* The ring of skeletons and its index. */
#include "pipeline/skeletons.h"

#include "base/hash.h"
#include "base/pb.h"

#include <stdlib.h>

/* In the ring, in front of `count` packed heads. */
struct sm_skeleton {
    struct sm_trace_id id;
    int64_t sealed_ns;
    uint64_t position; /* of itself, in bytes ever written: tells whether an index entry still means it */
    uint64_t older;    /* index entry of the skeleton before it with this slot; 0: none */
    uint32_t count;
    uint64_t base_ns; /* starts are counted from here */
};

struct sm_skeletons {
    uint8_t *ring;
    size_t size;
    uint64_t written; /* bytes ever written, gaps at the ring's end included */
    int64_t grace_ns;
    uint64_t *index; /* by hash of the id: position + 1 of the newest skeleton with this slot, which leads to older ones */
    uint32_t index_mask;
};

enum {
    SPANS_PER_INDEX_SLOT = 8,
    CHAIN_MAX = 64,
    PACKED_SIZE = 28,     /* of a head, mostly */
    RING_SLOP = 16,       /* readable behind the last number */
    PACKED_SIZE_MAX = 64, /* id 8, parent 1 + 8, start and duration 10 each, the others 5 at most */
};

/* How a parent is written: as an index into the skeleton where the parent is there. */
enum { PARENT_NONE, PARENT_ID, PARENT_INDEX };

struct sm_skeletons *sm_skeletons_new(size_t bytes_max, int64_t grace_ns)
{
    struct sm_skeletons *s = sm_xcalloc(1, sizeof *s);
    s->grace_ns = grace_ns;
    if (!bytes_max || !grace_ns)
        return s;
    s->size = bytes_max & ~(size_t)15;
    s->ring = sm_xmalloc(s->size + RING_SLOP);
    uint32_t slots = 64;
    while (slots < s->size / PACKED_SIZE / SPANS_PER_INDEX_SLOT)
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

/* A position with room for `size` bytes in one piece behind it. */
static uint64_t reserve(struct sm_skeletons *s, size_t size)
{
    size_t at = s->written % s->size;
    if (s->size - at < size)
        s->written += s->size - at;
    return s->written;
}

/* What an index entry means; NULL when the ring has moved over it. */
static struct sm_skeleton *skeleton_at(const struct sm_skeletons *s, uint64_t entry)
{
    if (entry == 0 || s->written - (entry - 1) > s->size)
        return NULL;
    struct sm_skeleton *k = (struct sm_skeleton *)(s->ring + (entry - 1) % s->size);
    return k->position == entry - 1 ? k : NULL;
}

/* The newest skeleton of an id and the entry that leads to it; NULL when there is none. */
static struct sm_skeleton *find(const struct sm_skeletons *s, struct sm_trace_id id, uint64_t **entry)
{
    *entry = slot_of(s, id.lo);
    struct sm_skeleton *k = skeleton_at(s, **entry);
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
    const struct sm_skeleton *k = find(s, *id, &entry);
    if (!k)
        return now_ns;
    *entry = k->older;
    id->hi |= k->id.hi; /* they are equal unless one is 0 */
    return k->sealed_ns;
}

static uint64_t zigzag(uint64_t delta)
{
    return delta << 1 ^ (uint64_t)((int64_t)delta >> 63);
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

static uint8_t *put_parent(uint8_t *p, const struct sm_view *view, const struct sm_view_span *e)
{
    uint64_t id = e->span->parent_id;
    if (!id)
        return sm_pb_put_varint(p, PARENT_NONE);
    if (e->parent != SM_VIEW_NONE && view->spans[e->parent].span->span_id == id)
        return sm_pb_put_varint(p, PARENT_INDEX + (uint64_t)e->parent);
    p = sm_pb_put_varint(p, PARENT_ID);
    sm_store_le64(p, id);
    return p + 8;
}

static uint8_t *pack(uint8_t *p, const struct sm_view *view, const struct sm_view_span *e, uint64_t base_ns)
{
    const struct sm_span *s = e->span;
    sm_store_le64(p, s->span_id);
    p = put_parent(p + 8, view, e);
    p = sm_pb_put_varint(p, zigzag(s->start_ns - base_ns));
    p = sm_pb_put_varint(p, s->duration_ns);
    p = sm_pb_put_varint(p, s->name_id);
    p = sm_pb_put_varint(p, s->scope_id);
    p = sm_pb_put_varint(p, s->size);
    p = sm_pb_put_varint(p, s->flags & (uint16_t)~SM_SPAN_PRIVATE); /* it is in the bytes, which are gone */
    *p = s->kind_status;
    return p + 1;
}

/* What pack wrote is read back without bounds: it is ours. */
static uint64_t next(const uint8_t **p)
{
    uint64_t v = 0;
    *p = sm_pb_varint(*p, *p + 10, &v);
    return v;
}

static uint64_t next_id(const uint8_t **p)
{
    uint64_t id = sm_load_le64(*p);
    *p += 8;
    return id;
}

/* Returns the index of the parent if it is told by that, else SM_VIEW_NONE. */
static uint32_t unpack(const uint8_t **p, uint64_t base_ns, struct sm_span *s)
{
    memset(s, 0, sizeof *s);
    s->span_id = next_id(p);
    uint64_t parent = next(p);
    s->parent_id = parent == PARENT_ID ? next_id(p) : 0;
    s->start_ns = base_ns + unzigzag(next(p));
    s->duration_ns = next(p);
    s->name_id = (uint32_t)next(p);
    s->scope_id = (uint32_t)next(p);
    s->size = next(p) & SM_SPAN_SIZE_MAX;
    s->flags = (uint16_t)next(p);
    s->kind_status = *(*p)++;
    return parent >= PARENT_INDEX ? (uint32_t)(parent - PARENT_INDEX) : SM_VIEW_NONE;
}

void sm_skeletons_add(struct sm_skeletons *s, const struct sm_view *view, int64_t now_ns)
{
    size_t size_max = sizeof(struct sm_skeleton) + view->count * (size_t)PACKED_SIZE_MAX;
    if (!s->ring || size_max > s->size / 2)
        return;
    struct sm_trace_id id = view->trace->id;
    int64_t before_ns = replace(s, &id, now_ns);
    int64_t sealed_ns = view->context ? before_ns : now_ns;
    uint64_t position = reserve(s, size_max);
    struct sm_skeleton *k = (struct sm_skeleton *)(s->ring + position % s->size);
    uint64_t *slot = slot_of(s, id.lo);
    *k = (struct sm_skeleton){id, sealed_ns, position, *slot, view->count, view->start_ns};
    uint8_t *p = (uint8_t *)(k + 1);
    for (uint32_t i = 0; i < view->count; i++)
        p = pack(p, view, &view->spans[i], k->base_ns);
    s->written = position + (((size_t)(p - (uint8_t *)k) + 15) & ~(size_t)15);
    *slot = position + 1;
}

const struct sm_skeleton *sm_skeletons_find(const struct sm_skeletons *s, struct sm_trace_id id, int64_t now_ns, uint32_t *count)
{
    if (!s->ring)
        return NULL;
    uint64_t *at;
    const struct sm_skeleton *k = find(s, id, &at);
    if (!k || now_ns - k->sealed_ns > s->grace_ns)
        return NULL;
    *count = k->count;
    return k;
}

void sm_skeletons_read(const struct sm_skeleton *skeleton, struct sm_span *heads)
{
    const uint8_t *p = (const uint8_t *)(skeleton + 1);
    for (uint32_t i = 0; i < skeleton->count; i++) {
        uint32_t parent = unpack(&p, skeleton->base_ns, &heads[i]);
        if (parent == SM_VIEW_NONE)
            continue;
        heads[i].parent_id = parent; /* for now: it may be further on */
        heads[i].n_wanted = 1;
    }
    for (uint32_t i = 0; i < skeleton->count; i++) {
        if (heads[i].n_wanted) {
            heads[i].parent_id = heads[heads[i].parent_id].span_id;
            heads[i].n_wanted = 0;
        }
    }
}
