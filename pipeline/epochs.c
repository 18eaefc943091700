/* Live counts per source and epoch, in one ring per source that is used. */
#include "pipeline/epochs.h"

#include <stdlib.h>

struct source {
    uint32_t oldest; /* first epoch of the ring that may count something */
    uint32_t newest; /* last one */
    uint32_t live;
    uint32_t counts[SM_EPOCHS_LIVE_MAX];
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
    for (unsigned i = 0; i < SM_EPOCH_SOURCES_MAX; i++)
        free(e->sources[i]);
    free(e);
}

static struct source *source_of(struct sm_epochs *e, uint16_t source, uint32_t epoch)
{
    SM_ASSERT(source < SM_EPOCH_SOURCES_MAX);
    if (!e->sources[source]) {
        e->sources[source] = sm_xcalloc(1, sizeof(struct source));
        e->sources[source]->oldest = e->sources[source]->newest = epoch;
        e->source_count = SM_MAX(e->source_count, source + 1u);
    }
    return e->sources[source];
}

static uint32_t *count_at(struct source *s, uint32_t epoch)
{
    return &s->counts[epoch % SM_EPOCHS_LIVE_MAX];
}

static void pass_empty(struct source *s)
{
    while (s->oldest < s->newest && *count_at(s, s->oldest) == 0)
        s->oldest++;
}

uint32_t sm_epochs_hold(struct sm_epochs *e, uint16_t source, uint32_t epoch)
{
    struct source *s = source_of(e, source, epoch);
    if (s->live == 0)
        s->oldest = s->newest = epoch;
    if (epoch < s->oldest)
        epoch = s->oldest;
    /* Something older than the ring still lives: new things count with the newest epoch that fits. Only delays. */
    if (epoch - s->oldest >= SM_EPOCHS_LIVE_MAX)
        epoch = s->oldest + SM_EPOCHS_LIVE_MAX - 1;
    s->newest = SM_MAX(s->newest, epoch);
    ++*count_at(s, epoch);
    s->live++;
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
