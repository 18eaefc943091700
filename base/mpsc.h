/* A stack onto which any thread pushes and from which one owner takes everything at once: how chunks, traces and messages
 * go home to the thread that may free them.
 *
 * Intrusive: the item brings its link, so that pushing needs no memory. Lock-free; taking everything at once leaves no room
 * for the ABA problem. An item may be on one stack at a time. What was written before a push is visible after the take.
 *
 * Newest first is what the owner wants when it recycles memory (recently touched is still in the cache); use sm_mpsc_reverse
 * where the order of pushing matters. */
#ifndef SM_MPSC_H
#define SM_MPSC_H

#include "base/base.h"

#include <stdatomic.h>

struct sm_mpsc_node {
    struct sm_mpsc_node *next;
};

/* Zero-initialised is empty. Give it a cache line of its own: pushers of other threads write it. */
struct sm_mpsc {
    _Atomic(struct sm_mpsc_node *) top SM_ALIGNED_LINE;
};

/* Any thread. Pushes the list first..last (linked through next) in one step; first becomes the newest. */
SM_INLINE void sm_mpsc_push_list(struct sm_mpsc *s, struct sm_mpsc_node *first, struct sm_mpsc_node *last)
{
    struct sm_mpsc_node *top = atomic_load_explicit(&s->top, memory_order_relaxed);
    do {
        last->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&s->top, &top, first, memory_order_release, memory_order_relaxed));
}

/* Any thread. */
SM_INLINE void sm_mpsc_push(struct sm_mpsc *s, struct sm_mpsc_node *node)
{
    sm_mpsc_push_list(s, node, node);
}

/* Owner. Everything that is there, newest first; NULL when nothing is. A plain load when the stack is empty. */
SM_INLINE struct sm_mpsc_node *sm_mpsc_take(struct sm_mpsc *s)
{
    if (!atomic_load_explicit(&s->top, memory_order_relaxed))
        return NULL;
    return atomic_exchange_explicit(&s->top, NULL, memory_order_acquire);
}

/* Turns a taken list round: oldest first. */
SM_INLINE struct sm_mpsc_node *sm_mpsc_reverse(struct sm_mpsc_node *list)
{
    struct sm_mpsc_node *reversed = NULL;
    while (list) {
        struct sm_mpsc_node *next = list->next;
        list->next = reversed;
        reversed = list;
        list = next;
    }
    return reversed;
}

#endif
