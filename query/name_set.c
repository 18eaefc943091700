/* Hash set over one text buffer. */
#include "query/name_set.h"
#include "base/hash.h"

#include <stdlib.h>

void sm_name_set_fini(struct sm_name_set *set)
{
    sm_buf_fini(&set->texts);
    free(set->items);
    free(set->table);
    *set = (struct sm_name_set){0};
}

static struct sm_str text_of(const struct sm_name_set *set, const struct sm_name_set_item *item)
{
    return sm_str(set->texts.data + item->at, item->len);
}

static uint32_t *slot_of(const struct sm_name_set *set, struct sm_str name, uint8_t kind)
{
    uint32_t mask = set->table_size - 1;
    uint32_t at = (uint32_t)(sm_hash_bytes(name.ptr, name.len) + kind) & mask;
    for (; set->table[at]; at = (at + 1) & mask) {
        const struct sm_name_set_item *item = &set->items[set->table[at] - 1];
        if (item->kind == kind && sm_str_eq(text_of(set, item), name))
            break;
    }
    return &set->table[at];
}

static void grow(struct sm_name_set *set)
{
    if (set->count == set->capacity) {
        set->capacity = SM_MAX(set->capacity * 2, 64u);
        set->items = sm_xrealloc(set->items, set->capacity * sizeof *set->items);
    }
    if (set->count * 2 < set->table_size)
        return;
    do
        set->table_size = SM_MAX(set->table_size * 2, 256u);
    while (set->table_size <= set->count * 2); /* more than one step after sorting, which drops the table */
    free(set->table);
    set->table = sm_xcalloc(set->table_size, sizeof *set->table);
    for (uint32_t i = 0; i < set->count; i++)
        *slot_of(set, text_of(set, &set->items[i]), set->items[i].kind) = i + 1;
}

void sm_name_set_add(struct sm_name_set *set, struct sm_str name, uint8_t kind)
{
    grow(set);
    uint32_t *slot = slot_of(set, name, kind);
    if (*slot || set->count == SM_NAME_SET_MAX)
        return;
    set->items[set->count] = (struct sm_name_set_item){.at = set->texts.size, .len = name.len, .kind = kind};
    sm_buf_put_str(&set->texts, name);
    *slot = ++set->count;
}

static int compare(const void *x, const void *y)
{
    const struct sm_name_set_item *a = x, *b = y;
    int c = sm_str_cmp(a->name, b->name);
    return c ? c : (int)a->kind - (int)b->kind;
}

void sm_name_set_sort(struct sm_name_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->items[i].name = text_of(set, &set->items[i]);
    if (set->count)
        qsort(set->items, set->count, sizeof *set->items, compare);
    free(set->table); /* positions have changed; the next addition builds it anew */
    set->table = NULL;
    set->table_size = 0;
}
