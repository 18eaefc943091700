/* A bounded set of names with their kinds, each pair once, given out sorted: services, operations, remote services. One thread at
 * a time. Start zero-initialised. */
#ifndef SM_QUERY_NAME_SET_H
#define SM_QUERY_NAME_SET_H

#include "base/base.h"
#include "base/buf.h"

#define SM_NAME_SET_MAX 200000 /* further names are left out */

struct sm_name_set_item {
    struct sm_str name; /* valid after sm_name_set_sort */
    size_t at, len;     /* in texts */
    uint8_t kind;       /* enum sm_kind */
};

struct sm_name_set {
    struct sm_buf texts;
    struct sm_name_set_item *items;
    uint32_t count, capacity;
    uint32_t *table; /* index + 1 */
    uint32_t table_size;
};

void sm_name_set_fini(struct sm_name_set *set);
void sm_name_set_add(struct sm_name_set *set, struct sm_str name, uint8_t kind);

/* By name, then kind; fills in the names' views, which hold until the next change. */
void sm_name_set_sort(struct sm_name_set *set);

#endif
