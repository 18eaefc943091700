/* The timing wheel: buckets of doubly linked traces. */
#include "pipeline/wheel.h"

void sm_wheel_init(struct sm_wheel *w, int64_t now_ns)
{
    *w = (struct sm_wheel){.tick = now_ns / SM_TICK_NS};
}

void sm_wheel_add(struct sm_wheel *w, struct sm_trace *t, int64_t deadline_ns)
{
    int64_t tick = (deadline_ns + SM_TICK_NS - 1) / SM_TICK_NS;
    tick = SM_MAX(tick, w->tick + 1);
    tick = SM_MIN(tick, w->tick + SM_WHEEL_BUCKETS - 1);
    t->bucket = (uint32_t)(tick & (SM_WHEEL_BUCKETS - 1));
    struct sm_trace **head = &w->buckets[t->bucket];
    t->prev = NULL;
    t->next = *head;
    if (*head)
        (*head)->prev = t;
    *head = t;
    w->count++;
}

void sm_wheel_remove(struct sm_wheel *w, struct sm_trace *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        w->buckets[t->bucket] = t->next;
    if (t->next)
        t->next->prev = t->prev;
    w->count--;
}

struct sm_trace *sm_wheel_pop(struct sm_wheel *w)
{
    struct sm_trace *t = w->buckets[w->tick & (SM_WHEEL_BUCKETS - 1)];
    if (t)
        sm_wheel_remove(w, t);
    return t;
}

void sm_wheel_skip(struct sm_wheel *w, int64_t now_ns)
{
    SM_ASSERT(w->count == 0);
    w->tick = SM_MAX(w->tick, now_ns / SM_TICK_NS);
}

struct sm_trace *sm_wheel_oldest(const struct sm_wheel *w, uint32_t *from)
{
    for (; *from < SM_WHEEL_BUCKETS; (*from)++) {
        struct sm_trace *t = w->buckets[(w->tick + *from) & (SM_WHEEL_BUCKETS - 1)];
        if (t)
            return t;
    }
    return NULL;
}
