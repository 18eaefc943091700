/* Offsets that may be acknowledged: a ring of entries, one per epoch. */
#include "ingest/offsets.h"

#include <stdlib.h>

enum { CAPACITY_INITIAL = 64 }; /* powers of two, as SM_OFFSETS_ENTRIES_MAX is */

void sm_offsets_init(struct sm_offsets *o)
{
    *o = (struct sm_offsets){.passed = SM_OFFSET_NONE};
}

void sm_offsets_fini(struct sm_offsets *o)
{
    free(o->entries);
    sm_offsets_init(o);
}

static struct sm_offsets_entry *entry_at(const struct sm_offsets *o, uint32_t i)
{
    return &o->entries[(o->first + i) & (o->capacity - 1)];
}

static struct sm_offsets_entry *newest(const struct sm_offsets *o)
{
    return entry_at(o, o->count - 1);
}

static void grow(struct sm_offsets *o)
{
    struct sm_offsets bigger = *o;
    bigger.capacity = o->capacity ? o->capacity * 2 : CAPACITY_INITIAL;
    bigger.first = 0;
    bigger.entries = sm_xcalloc(bigger.capacity, sizeof *bigger.entries);
    for (uint32_t i = 0; i < o->count; i++)
        bigger.entries[i] = *entry_at(o, i);
    free(o->entries);
    *o = bigger;
}

static void append(struct sm_offsets *o)
{
    if (o->count == o->capacity)
        grow(o);
    o->count++;
    *newest(o) = (struct sm_offsets_entry){.id = ++o->next_id};
}

void sm_offsets_note(struct sm_offsets *o, uint32_t epoch, int64_t next)
{
    bool joins = o->count && (newest(o)->epoch == epoch || o->count == SM_OFFSETS_ENTRIES_MAX);
    if (!joins)
        append(o);
    newest(o)->epoch = epoch;
    newest(o)->next = next;
}

uint64_t sm_offsets_copied(struct sm_offsets *o)
{
    newest(o)->letters++;
    return newest(o)->id;
}

/* Ids count up along the ring. */
void sm_offsets_arrived(struct sm_offsets *o, uint64_t id)
{
    if (o->count == 0 || id < entry_at(o, 0)->id || id > newest(o)->id)
        return;
    struct sm_offsets_entry *e = entry_at(o, (uint32_t)(id - entry_at(o, 0)->id));
    e->letters -= e->letters > 0;
}

static bool is_durable(const struct sm_offsets *o, const struct sm_durable *d)
{
    return !d->durable || d->durable(d->ctx) >= o->passed_at;
}

/* The offset behind all entries in front of the mark. */
static int64_t pass(struct sm_offsets *o, uint32_t low)
{
    int64_t next = SM_OFFSET_NONE;
    while (o->count && entry_at(o, 0)->epoch < low && entry_at(o, 0)->letters == 0) {
        next = entry_at(o, 0)->next;
        o->first = (o->first + 1) & (o->capacity - 1);
        o->count--;
    }
    return next;
}

int64_t sm_offsets_step(struct sm_offsets *o, uint32_t low, const struct sm_durable *durable)
{
    int64_t done = SM_OFFSET_NONE;
    if (o->passed != SM_OFFSET_NONE && is_durable(o, durable)) {
        done = o->passed;
        o->passed = SM_OFFSET_NONE;
    }
    if (o->passed != SM_OFFSET_NONE)
        return done;
    o->passed = pass(o, low);
    if (o->passed == SM_OFFSET_NONE)
        return done;
    o->passed_at = durable->written ? durable->written(durable->ctx) : 0;
    if (!is_durable(o, durable))
        return done;
    done = o->passed;
    o->passed = SM_OFFSET_NONE;
    return done;
}

bool sm_offsets_settled(const struct sm_offsets *o)
{
    return o->count == 0 && o->passed == SM_OFFSET_NONE;
}
