/* Live counts per source and epoch, in one ring per source that is used; a ring grows with the range of what lives. */
#include "pipeline/epochs.h"

#include <stdlib.h>

enum { RING_CAPACITY = 512 }; /* at first; a power of two, as SM_EPOCHS_LIVE_MAX is */

struct source {
    uint32_t oldest; /* first epoch of the ring that may count something */
    uint32_t newest; /* last one; outside of the two all counts are 0 */
    uint32_t live;
    uint32_t capacity; /* of counts, by epoch % capacity */
    uint32_t *counts;
};

struct sm_epochs {
    struct source *sources[SM_EPOCH_SOURCES_MAX];
    _Atomic uint32_t low[SM_EPOCH_SOURCES_MAX]; /* SM_EPOCH_NONE: source never seen */
    _Atomic uint32_t low_all;
    unsigned source_count; /* highest source seen + 1 */
};

struct sm_epochs *sm_epochs_new(void)
{
    struct sm_epochs *e = sm_xcalloc(1, sizeof *e);
    for (unsigned i = 0; i < SM_EPOCH_SOURCES_MAX; i++)
        atomic_init(&e->low[i], SM_EPOCH_NONE);
    return e;
}

void sm_epochs_free(struct sm_epochs *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < SM_EPOCH_SOURCES_MAX; i++) {
        if (e->sources[i])
            free(e->sources[i]->counts);
        free(e->sources[i]);
    }
    free(e);
}

static struct source *source_of(struct sm_epochs *e, uint16_t source)
{
    SM_ASSERT(source < SM_EPOCH_SOURCES_MAX);
    if (SM_UNLIKELY(!e->sources[source])) {
        struct source *s = sm_xcalloc(1, sizeof *s);
        s->capacity = RING_CAPACITY;
        s->counts = sm_xcalloc(s->capacity, sizeof *s->counts);
        e->sources[source] = s;
        e->source_count = SM_MAX(e->source_count, source + 1u);
    }
    return e->sources[source];
}

static uint32_t *count_at(const struct source *s, uint32_t epoch)
{
    return &s->counts[epoch % s->capacity];
}

static void pass_empty(struct source *s)
{
    while (s->oldest < s->newest && *count_at(s, s->oldest) == 0)
        s->oldest++;
}

static SM_COLD void grow(struct source *s, uint32_t epochs)
{
    struct source bigger = *s;
    while (bigger.capacity < epochs)
        bigger.capacity *= 2;
    bigger.counts = sm_xcalloc(bigger.capacity, sizeof *bigger.counts);
    for (uint32_t epoch = s->oldest; epoch <= s->newest; epoch++)
        *count_at(&bigger, epoch) = *count_at(s, epoch);
    free(s->counts);
    *s = bigger;
}

/* The epoch itself, as a rule. Where something so old lives that the ring cannot hold both, new things count as older than they
 * are, which only delays; old ones, beside something so new, cannot (no source goes back half an hour). */
static uint32_t that_fits(const struct source *s, uint32_t epoch)
{
    if (epoch > s->newest)
        return SM_MIN(epoch, s->oldest + (SM_EPOCHS_LIVE_MAX - 1));
    uint32_t least = s->newest >= SM_EPOCHS_LIVE_MAX ? s->newest - (SM_EPOCHS_LIVE_MAX - 1) : 0;
    return SM_MAX(epoch, least);
}

uint32_t sm_epochs_hold(struct sm_epochs *e, uint16_t source, uint32_t epoch)
{
    struct source *s = source_of(e, source);
    if (s->live == 0)
        s->oldest = s->newest = epoch;
    epoch = that_fits(s, epoch);
    uint32_t oldest = SM_MIN(s->oldest, epoch), newest = SM_MAX(s->newest, epoch);
    if (SM_UNLIKELY(newest - oldest >= s->capacity))
        grow(s, newest - oldest + 1);
    s->oldest = oldest;
    s->newest = newest;
    ++*count_at(s, epoch);
    s->live++;
    if (epoch < atomic_load_explicit(&e->low[source], memory_order_relaxed))
        atomic_store_explicit(&e->low[source], epoch, memory_order_release);
    return epoch;
}

void sm_epochs_drop(struct sm_epochs *e, uint16_t source, uint32_t epoch)
{
    struct source *s = e->sources[source];
    uint32_t *count = count_at(s, epoch);
    SM_ASSERT(*count > 0 && s->live > 0);
    --*count;
    s->live--;
    pass_empty(s);
}

uint32_t sm_epochs_oldest(const struct sm_epochs *e, uint16_t source)
{
    const struct source *s = e->sources[source];
    return s && s->live ? s->oldest : SM_EPOCH_NONE;
}

void sm_epochs_publish(struct sm_epochs *e, uint32_t current)
{
    uint32_t all = current;
    for (unsigned i = 0; i < e->source_count; i++) {
        const struct source *s = e->sources[i];
        if (!s)
            continue;
        uint32_t low = s->live ? s->oldest : current;
        atomic_store_explicit(&e->low[i], low, memory_order_release);
        all = SM_MIN(all, low);
    }
    atomic_store_explicit(&e->low_all, all, memory_order_release);
}

uint32_t sm_epochs_low(const struct sm_epochs *e, uint16_t source)
{
    return atomic_load_explicit(&e->low[source], memory_order_acquire);
}

uint32_t sm_epochs_low_all(const struct sm_epochs *e)
{
    return atomic_load_explicit(&e->low_all, memory_order_acquire);
}
