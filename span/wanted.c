/* The wanted-key table. */
#include "span/wanted.h"

#include <stdlib.h>

struct sm_wanted *sm_wanted_new(uint32_t version)
{
    static const struct sm_str fixed[] = {
#define SM_WANTED(name, key) {key, sizeof(key) - 1},
#include "span/wanted.def"
#undef SM_WANTED
    };
    struct sm_wanted *w = sm_xcalloc(1, sizeof *w);
    w->version = version;
    for (size_t i = 0; i < SM_ARRAY_LEN(fixed); i++) {
        uint32_t slot;
        enum sm_rc rc = sm_wanted_add(w, fixed[i], &slot);
        SM_ASSERT(rc == SM_OK && slot == i);
    }
    return w;
}

void sm_wanted_free(struct sm_wanted *w)
{
    if (!w)
        return;
    for (uint32_t i = 0; i < w->count; i++)
        free(w->keys[i].key);
    free(w);
}

enum sm_rc sm_wanted_add(struct sm_wanted *w, struct sm_str key, uint32_t *slot)
{
    if (key.len == 0 || key.len > SM_WANTED_KEY_MAX)
        return SM_E_INVALID;
    uint8_t padded[SM_WANTED_KEY_MAX + 8] = {0};
    memcpy(padded, key.ptr, key.len);
    *slot = sm_wanted_find(w, padded, key.len);
    if (*slot != SM_WANTED_NONE)
        return SM_OK;
    if (w->count == SM_WANTED_MAX)
        return SM_E_LIMIT;
    uint32_t i = w->count++;
    struct sm_wanted_key *k = &w->keys[i];
    k->key = sm_xstrndup(key.ptr, key.len);
    k->len = (uint8_t)key.len;
    memcpy(&k->head, padded, 8);
    if (key.len >= 8)
        memcpy(&k->tail, padded + key.len - 8, 8);
    w->next[i] = w->first[key.len];
    w->first[key.len] = (uint8_t)(i + 1);
    *slot = i;
    return SM_OK;
}
