/* Texts of a JSON document without their escapes, and what base64 in them means: room for those of one object at a time.
 *
 *     struct sm_json_room room = sm_json_room(pool, payload->size);
 *     per object: room.used = 0; what was given before is void
 *         sm_json_room_plain(&room, &text, &plain) ...
 *     sm_json_room_fini(&room);
 *
 * It is one payload of the decoder's pool, taken when the first text needs it. One worker. */
#ifndef SM_JSON_ROOM_H
#define SM_JSON_ROOM_H

#include "base/json.h"
#include "base/payload.h"

struct sm_json_room {
    struct sm_payload_pool *pool;
    size_t document_size;
    struct sm_payload *payload; /* NULL until there is something in it */
    size_t used;
    bool no_memory; /* why there was no room */
};

static inline struct sm_json_room sm_json_room(struct sm_payload_pool *pool, size_t document_size)
{
    return (struct sm_json_room){.pool = pool, .document_size = document_size};
}

void sm_json_room_fini(struct sm_json_room *room);

/* n bytes, readable SM_PAYLOAD_SLOP bytes beyond. NULL: no memory, or more than twice the document is in use, which takes
 * members that come more than once. */
uint8_t *sm_json_room_take(struct sm_json_room *room, size_t n);

/* What a string means: where it stands when it has no escapes. False: there is no room. */
bool sm_json_room_plain(struct sm_json_room *room, const struct sm_json_text *text, struct sm_str *plain);

#endif
