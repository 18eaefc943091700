/* Immutable lists of segments. */
#include "store/list.h"

#include <stdlib.h>

struct sm_segment_list *sm_list_new(struct sm_segment *const *segments, uint32_t count)
{
    struct sm_segment_list *list = sm_xmalloc(sizeof *list + count * sizeof list->segments[0]);
    atomic_init(&list->refs, 1);
    list->count = count;
    for (uint32_t i = 0; i < count; i++) {
        sm_segment_ref(segments[i]);
        list->segments[i] = segments[i];
    }
    return list;
}

void sm_list_ref(struct sm_segment_list *list)
{
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
}

void sm_list_put(struct sm_segment_list *list)
{
    if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < list->count; i++)
        sm_segment_put(list->segments[i]);
    free(list);
}
