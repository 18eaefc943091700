#include "span/codec/json_room.h"

#include <criterion/criterion.h>

Test(json_room, texts_without_escapes_stay_where_they_are)
{
    struct sm_payload_pool *pool = sm_payload_pool_new(0);
    struct sm_json_room room = sm_json_room(pool, 100);
    struct sm_json_text text = {(const uint8_t *)"plain", 5, false};
    struct sm_str plain;
    cr_expect(sm_json_room_plain(&room, &text, &plain));
    cr_expect(plain.ptr == (const char *)text.ptr && plain.len == 5);
    cr_expect_null(room.payload, "no memory for nothing");
    sm_json_room_fini(&room);
    sm_payload_pool_free(pool);
}

Test(json_room, texts_of_an_object_are_there_side_by_side)
{
    struct sm_payload_pool *pool = sm_payload_pool_new(0);
    struct sm_json_room room = sm_json_room(pool, 100);
    struct sm_json_text text = {(const uint8_t *)"a\\nb", 4, true};
    struct sm_str first, second;
    cr_assert(sm_json_room_plain(&room, &text, &first) && sm_json_room_plain(&room, &text, &second));
    cr_expect(sm_str_eq(first, SM_STR("a\nb")) && sm_str_eq(second, SM_STR("a\nb")));
    cr_expect(second.ptr >= first.ptr + first.len + SM_PAYLOAD_SLOP || first.ptr >= second.ptr + second.len + SM_PAYLOAD_SLOP);
    room.used = 0;
    cr_assert(sm_json_room_plain(&room, &text, &second));
    cr_expect_eq(first.ptr, second.ptr, "begins anew");
    sm_json_room_fini(&room);
    sm_payload_pool_free(pool);
}

Test(json_room, it_has_an_end)
{
    struct sm_payload_pool *pool = sm_payload_pool_new(0);
    struct sm_json_room room = sm_json_room(pool, 1000);
    size_t taken = 0;
    while (sm_json_room_take(&room, 1000)) {
        taken += 1000;
        cr_assert_leq(taken + SM_PAYLOAD_SLOP, room.payload->capacity);
    }
    cr_expect_geq(taken, 2000, "a text and what its base64 means");
    cr_expect_not(room.no_memory);
    sm_json_room_fini(&room);
    sm_payload_pool_free(pool);
}
