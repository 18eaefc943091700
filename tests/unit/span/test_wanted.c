#include "span/wanted.h"

#include <criterion/criterion.h>

static uint32_t find(const struct sm_wanted *w, const char *key)
{
    uint8_t padded[300] = {0};
    memcpy(padded, key, strlen(key));
    return sm_wanted_find(w, padded, strlen(key));
}

Test(wanted, built_in_and_added_keys_are_found_exactly)
{
    struct sm_wanted *w = sm_wanted_new(1);
    cr_assert_eq(find(w, "peer.service"), SM_SLOT_PEER_SERVICE);
    cr_assert_eq(find(w, "error"), SM_SLOT_ERROR);
    cr_assert_eq(find(w, "errox"), SM_WANTED_NONE);
    cr_assert_eq(find(w, "peer.servicf"), SM_WANTED_NONE);
    uint32_t slot, again;
    cr_assert_eq(sm_wanted_add(w, SM_STR("http.route"), &slot), SM_OK);
    cr_assert_eq(sm_wanted_add(w, SM_STR("http.route"), &again), SM_OK);
    cr_assert_eq(slot, again);
    cr_assert_eq(find(w, "http.route"), slot);
    sm_wanted_free(w);
}

Test(wanted, every_byte_of_a_key_counts)
{
    struct sm_wanted *w = sm_wanted_new(1);
    char key[] = "a.b.c.d.e.f.g.h.i.j.k.l.m";
    for (size_t len = 1; len < sizeof key; len++) {
        uint32_t slot;
        cr_assert_eq(sm_wanted_add(w, sm_str(key, len), &slot), SM_OK);
    }
    for (size_t len = 1; len < sizeof key; len++) {
        uint8_t text[64] = {0};
        memcpy(text, key, len);
        memset(text + len, 'z', 16);
        cr_assert_eq(sm_wanted_find(w, text, len), SM_SLOT_FIXED_COUNT + len - 1);
        for (size_t i = 0; i < len; i++) {
            text[i] ^= 1;
            cr_assert_eq(sm_wanted_find(w, text, len), SM_WANTED_NONE, "%zu of %zu", i, len);
            text[i] ^= 1;
        }
    }
    sm_wanted_free(w);
}

Test(wanted, limits)
{
    struct sm_wanted *w = sm_wanted_new(1);
    uint32_t slot;
    char key[SM_WANTED_KEY_MAX + 2] = {0};
    memset(key, 'k', SM_WANTED_KEY_MAX + 1);
    cr_assert_eq(sm_wanted_add(w, sm_str_c(key), &slot), SM_E_INVALID);
    cr_assert_eq(sm_wanted_add(w, SM_STR(""), &slot), SM_E_INVALID);
    while (w->count < SM_WANTED_MAX) {
        snprintf(key, sizeof key, "key%u", w->count);
        cr_assert_eq(sm_wanted_add(w, sm_str_c(key), &slot), SM_OK);
    }
    cr_assert_eq(sm_wanted_add(w, SM_STR("one more"), &slot), SM_E_LIMIT);
    sm_wanted_free(w);
}
