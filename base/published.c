/* Hazard pointers with one publisher. A reader says what it is about to use and then looks again: if the value is still
 * the current one, the publisher cannot have searched for readers of it before. Both sides need one order of all their
 * accesses to `current` and `held`, so these are sequentially consistent. */
#include "base/published.h"

#include <stdatomic.h>
#include <stdlib.h>

struct sm_published_reader {
    _Atomic(void *) held;
    struct sm_published *published;
    struct sm_published_reader *next;
};

struct replaced {
    void *value;
    struct replaced *next;
};

struct sm_published {
    _Atomic(void *) current;
    void (*free_value)(void *value);
    struct sm_published_reader *readers; /* the publisher's, as all below */
    struct replaced *replaced;
};

struct sm_published *sm_published_new(void (*free_value)(void *value))
{
    struct sm_published *p = sm_xcalloc(1, sizeof *p);
    p->free_value = free_value;
    return p;
}

struct sm_published_reader *sm_published_join(struct sm_published *p)
{
    struct sm_published_reader *r = sm_xcalloc(1, sizeof *r);
    r->published = p;
    r->next = p->readers;
    p->readers = r;
    return r;
}

static bool is_held(const struct sm_published *p, const void *value)
{
    for (struct sm_published_reader *r = p->readers; r; r = r->next) {
        if (atomic_load(&r->held) == value)
            return true;
    }
    return false;
}

static void free_unheld(struct sm_published *p)
{
    for (struct replaced **at = &p->replaced, *one; (one = *at) != NULL;) {
        if (is_held(p, one->value)) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        p->free_value(one->value);
        free(one);
    }
}

void sm_published_set(struct sm_published *p, void *value)
{
    struct replaced *one = sm_xmalloc(sizeof *one);
    *one = (struct replaced){atomic_exchange(&p->current, value), p->replaced};
    if (one->value)
        p->replaced = one;
    else
        free(one);
    free_unheld(p);
}

void sm_published_free(struct sm_published *p)
{
    if (!p)
        return;
    sm_published_set(p, NULL);
    SM_ASSERT(!p->replaced);
    for (struct sm_published_reader *r = p->readers, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(p);
}

const void *sm_published_hold(struct sm_published_reader *r)
{
    void *value = atomic_load(&r->published->current), *again;
    while (atomic_store(&r->held, value), (again = atomic_load(&r->published->current)) != value)
        value = again;
    return value;
}

void sm_published_let_go(struct sm_published_reader *r)
{
    atomic_store(&r->held, NULL);
}
