/* Building canonical spans: what the transcoding codecs share.
 *
 * A builder writes the spans of one payload one after the other into an arena payload and their headers into the batch.
 * The arena may move while it grows: keep offsets, not pointers, over anything that asks for room. Texts that are written
 * must be readable for 16 bytes past their end (payloads and arenas are).
 *
 *     sm_build_open(&b, decoder, batch, payload->size)
 *     per span: sm_build_span(&b); ... attributes and other fields in any order ...; sm_build_commit or sm_build_drop
 *     sm_build_close(&b)
 *
 * In front of each span there is room for SM_BUILD_FRONT bytes, so that fields which become known last can stand first:
 * sm_build_front writes ids, kind and times there. One worker; no allocation except the arena's growth. */
#ifndef SM_BUILD_H
#define SM_BUILD_H

#include "base/pb.h"
#include "span/codec/codec.h"

#define SM_BUILD_FRONT 64

struct sm_build {
    struct sm_decoder *d;
    struct sm_batch *batch;
    struct sm_payload *arena;
    uint8_t *p, *limit;  /* where the next byte goes; end of the arena */
    struct sm_span *head; /* of the span being built */
    uint32_t *wanted;
    size_t body_at;      /* offset of the span's first byte behind its front */
    size_t front_size;   /* bytes in use before body_at */
    uint32_t attributes;
    enum sm_reject reject; /* why the span will be refused; SM_REJECT_COUNT: not so far */
    bool no_memory;
};

enum sm_rc sm_build_open(struct sm_build *b, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint) SM_MUST_USE;
/* Hands the arena to the batch. */
void sm_build_close(struct sm_build *b);

/* Starts a span. False when memory is exhausted (no_memory is set). */
bool sm_build_span(struct sm_build *b) SM_MUST_USE;
/* Forgets its bytes; the header was not committed. */
void sm_build_drop(struct sm_build *b);
/* Commits header and bytes, or counts the span as refused if something marked it so or it is too large. The header's size
 * and side records are filled in here, the rest by the caller. */
void sm_build_commit(struct sm_build *b, struct sm_trace_id trace);

bool sm_build_grow(struct sm_build *b, size_t n); /* not SM_COLD: gcc would take whoever calls sm_build_room for cold, too */

/* Room for n bytes and 32 of slack behind them. */
SM_INLINE bool sm_build_room(struct sm_build *b, size_t n)
{
    return SM_LIKELY((size_t)(b->limit - b->p) >= n + 32) || sm_build_grow(b, n + 32);
}

SM_INLINE void sm_build_refuse(struct sm_build *b, enum sm_reject reason)
{
    if (b->reject == SM_REJECT_COUNT)
        b->reject = reason;
}

SM_INLINE size_t sm_build_offset(const struct sm_build *b)
{
    return (size_t)(b->p - b->arena->data);
}

/* Copies short texts without a call: writes up to 16 bytes past the end, and reads as many. */
SM_INLINE uint8_t *sm_build_copy(uint8_t *p, const void *text, size_t n)
{
    if (SM_LIKELY(n <= 16)) {
        memcpy(p, text, 16);
    } else if (SM_LIKELY(n <= 32)) {
        memcpy(p, text, 16);
        memcpy(p + n - 16, (const uint8_t *)text + n - 16, 16);
    } else {
        memcpy(p, text, n);
    }
    return p + n;
}

SM_INLINE uint8_t *sm_build_length(uint8_t *p, size_t n)
{
    if (SM_LIKELY(n < 0x80)) {
        *p++ = (uint8_t)n;
        return p;
    }
    return sm_pb_put_varint(p, n);
}

SM_INLINE size_t sm_build_length_size(size_t n)
{
    return SM_LIKELY(n < 0x80) ? 1 : sm_pb_varint_size(n);
}

/* Remembers an attribute that somebody wants. `length_at` is where the length of its AnyValue stands. */
void sm_build_record(struct sm_build *b, uint32_t slot, const uint8_t *length_at);
/* Was there an attribute with this wanted key? */
bool sm_build_has(const struct sm_build *b, enum sm_slot slot);

/* Writes the private field, marks the header and records where it stands. False when memory is exhausted. */
struct sm_private;
bool sm_build_private(struct sm_build *b, const struct sm_private *priv);

/* Writes a field with a text: span name, event name, message. Room for the text and 16 bytes must be there. */
SM_INLINE uint8_t *sm_build_text(uint8_t *p, uint32_t field, const void *text, size_t n)
{
    *p++ = (uint8_t)SM_PB_TAG(field, SM_PB_BYTES);
    p = sm_build_length(p, n);
    return sm_build_copy(p, text, n);
}

/* Writes a span attribute with a string value, counts it and records it if it is wanted. False when memory is exhausted. */
bool sm_build_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size);
/* The same for a value that is written already, the content of its AnyValue; key and value must be under the limit on values. */
bool sm_build_any_attribute(struct sm_build *b, const uint8_t *key, size_t key_size, const uint8_t *any, size_t any_size);

/* A nested message whose length is not known yet: opens it and returns where its content begins (an offset), for room that is
 * there (sm_build_room). Closing moves the content when the length needs more than one byte; *moved is by how much. */
SM_INLINE size_t sm_build_open_message(struct sm_build *b, uint32_t field)
{
    *b->p++ = (uint8_t)SM_PB_TAG(field, SM_PB_BYTES);
    *b->p++ = 0;
    return sm_build_offset(b);
}
bool sm_build_close_long_message(struct sm_build *b, size_t at, size_t *moved);
SM_INLINE bool sm_build_close_message(struct sm_build *b, size_t at, size_t *moved)
{
    size_t n = sm_build_offset(b) - at;
    if (SM_UNLIKELY(n >= 0x80))
        return sm_build_close_long_message(b, at, moved);
    b->arena->data[at - 1] = (uint8_t)n;
    *moved = 0;
    return true;
}

/* Ids, kind and times (0: left out), in the header and before the span's body. A kind that is none of enum sm_kind is left out of
 * the header. The header's duration is from start to end; a codec that knows a duration without them sets it afterwards. */
void sm_build_front(struct sm_build *b, struct sm_trace_id trace, uint64_t id, uint64_t parent_id, enum sm_kind kind,
                    uint64_t start_ns, uint64_t end_ns);

/* The span's name in the header: `size` bytes of the arena. Not for spans that will be refused: names are never forgotten. */
SM_INLINE void sm_build_name(struct sm_build *b, size_t at, size_t size)
{
    struct sm_str name = size ? sm_str(b->arena->data + at, size) : (struct sm_str){"", 0};
    b->head->name_id = sm_names_cache_id(b->d->names_cache, name);
}

/* Changes ids that sm_build_front wrote, in the header and in the bytes of a committed span. A span without a parent gets
 * none. */
void sm_build_set_ids(struct sm_batch *batch, uint32_t i, uint64_t id, uint64_t parent_id);

/* The scope without contents under the resource that says no more than the service's name (already as it shall be; at
 * most SM_BUILD_SERVICE_MAX bytes). SM_E_LIMIT when the table of scopes is full. */
#define SM_BUILD_SERVICE_MAX 4096
enum sm_rc sm_build_service_scope(struct sm_build *b, const uint8_t *service, size_t size, uint32_t *scope_id) SM_MUST_USE;

/* The help text of a reason, for sm_batch_reject. */
const char *sm_build_reject_text(enum sm_reject reason);

#endif
