/* The segments of a store, oldest first, as an immutable reference-counted list: readers take the current one, the writer
 * replaces it. */
#ifndef SM_STORE_LIST_H
#define SM_STORE_LIST_H

#include "base/base.h"
#include "store/segment.h"

struct sm_segment_list {
    _Atomic uint32_t refs;
    uint32_t count;
    struct sm_segment *segments[];
};

/* Takes a reference on each segment; the list has one reference. */
struct sm_segment_list *sm_list_new(struct sm_segment *const *segments, uint32_t count);
void sm_list_ref(struct sm_segment_list *list);
void sm_list_put(struct sm_segment_list *list);

#endif
