/* Room for texts. */
#include "span/codec/json_room.h"

enum { PIECES = 16 }; /* texts of an object that have their slop, whatever the document's size */

void sm_json_room_fini(struct sm_json_room *room)
{
    if (room->payload)
        sm_payload_put(room->payload);
}

/* A text may need room twice: plain, and as the bytes that its base64 means. */
uint8_t *sm_json_room_take(struct sm_json_room *room, size_t n)
{
    if (!room->payload)
        room->payload = sm_payload_new(room->pool, 2 * room->document_size + PIECES * SM_PAYLOAD_SLOP);
    room->no_memory = !room->payload;
    if (room->no_memory || room->used + n + SM_PAYLOAD_SLOP > room->payload->capacity)
        return NULL;
    uint8_t *at = room->payload->data + room->used;
    room->used += n + SM_PAYLOAD_SLOP;
    return at;
}

bool sm_json_room_plain(struct sm_json_room *room, const struct sm_json_text *text, struct sm_str *plain)
{
    *plain = sm_str(text->ptr, text->len);
    if (SM_LIKELY(!text->escaped))
        return true;
    uint8_t *out = sm_json_room_take(room, text->len);
    if (!out)
        return false;
    *plain = sm_str(out, sm_json_unescape(text, out));
    return true;
}
