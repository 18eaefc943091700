/* Attribute keys that somebody wants: graph, configured dimensions, rules, search.
 *
 * Codecs match each span attribute key against this table by length and first bytes and leave a side record (slot, offset)
 * behind the span's header for each hit, so that later stages find values without walking the bytes. Slots below
 * SM_SLOT_FIXED_COUNT are built in (span/wanted.def); others are added while configuration loads. The table is frozen
 * before the first span is decoded. */
#ifndef SM_WANTED_H
#define SM_WANTED_H

#include "base/base.h"

enum sm_slot {
#define SM_WANTED(name, key) SM_SLOT_##name,
#include "span/wanted.def"
#undef SM_WANTED
    SM_SLOT_FIXED_COUNT
};

#define SM_WANTED_MAX     200 /* keys in a table; a span has at most one record per slot */
#define SM_WANTED_NONE    UINT32_MAX
#define SM_WANTED_KEY_MAX 255 /* bytes of a key */

struct sm_wanted_key {
    char *key;
    uint64_t head; /* first 8 bytes, zero padded */
    uint64_t tail; /* last 8 bytes; 0 for a shorter key */
    uint8_t len;
};

struct sm_wanted {
    uint32_t version;
    uint32_t count;
    struct sm_wanted_key keys[SM_WANTED_MAX];
    /* chains by key length: first[len] is a slot + 1 or 0; next[slot] likewise */
    uint8_t first[SM_WANTED_KEY_MAX + 1];
    uint8_t next[SM_WANTED_MAX];
};

/* With the built-in keys. */
struct sm_wanted *sm_wanted_new(uint32_t version);
void sm_wanted_free(struct sm_wanted *w);

/* The slot of a key, adding it when it is new. SM_E_LIMIT when the table is full, SM_E_INVALID for an empty or over-long
 * key. */
enum sm_rc sm_wanted_add(struct sm_wanted *w, struct sm_str key, uint32_t *slot) SM_MUST_USE;

/* `key` must be readable for 8 bytes (payload slop grants that). SM_WANTED_NONE when not wanted. */
SM_INLINE uint32_t sm_wanted_find(const struct sm_wanted *w, const uint8_t *key, size_t len)
{
    if (len > SM_WANTED_KEY_MAX)
        return SM_WANTED_NONE;
    uint32_t i = w->first[len];
    if (SM_LIKELY(i == 0))
        return SM_WANTED_NONE;
    uint64_t head, tail = 0;
    memcpy(&head, key, 8);
    if (len < 8)
        head &= (UINT64_C(1) << (len * 8)) - 1;
    else
        memcpy(&tail, key + len - 8, 8);
    do {
        const struct sm_wanted_key *k = &w->keys[i - 1];
        if (k->head == head && k->tail == tail && (len <= 16 || memcmp(k->key + 8, key + 8, len - 16) == 0))
            return i - 1;
        i = w->next[i - 1];
    } while (i);
    return SM_WANTED_NONE;
}

#endif
