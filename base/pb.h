/* Protobuf wire primitives: bounds-checked reading with a cursor, writing into a caller's buffer. Nothing allocates.
 *
 * Reading: a cursor is a [p, end) pair; every function returns false (or NULL) at malformed or truncated input and never
 * reads past `end`. Writing: the caller guarantees the room that the *_size functions tell. */
#ifndef SM_PB_H
#define SM_PB_H

#include "base/base.h"

enum sm_pb_wire { SM_PB_VARINT = 0, SM_PB_FIXED64 = 1, SM_PB_BYTES = 2, SM_PB_GROUP = 3, SM_PB_ENDGROUP = 4, SM_PB_FIXED32 = 5 };

#define SM_PB_VARINT_SIZE_MAX 10
#define SM_PB_TAG(field, wire) (((uint32_t)(field) << 3) | (uint32_t)(wire))

/* The end of `size` bytes at p, which may be NULL when there are none. */
SM_INLINE const uint8_t *sm_pb_end(const void *p, size_t size)
{
    return size ? (const uint8_t *)p + size : (const uint8_t *)p;
}

/* Returns the position after the varint or NULL. Values beyond 64 bits are malformed. */
SM_INLINE const uint8_t *sm_pb_varint(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    if (SM_LIKELY(p < end && *p < 0x80)) {
        *value = *p;
        return p + 1;
    }
    uint64_t v = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t b = *p++;
        if (shift == 63 && b > 1)
            return NULL;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *value = v;
            return p;
        }
    }
    return NULL;
}

/* One field of a message. */
struct sm_pb_field {
    uint32_t number;
    enum sm_pb_wire wire;
    uint64_t value;       /* VARINT, FIXED64 (as bits), FIXED32 (as bits) */
    const uint8_t *bytes; /* BYTES: `size` bytes, inside the message */
    size_t size;
};

/* Reads the next field and moves *p behind it. False at the end (then *p == end) and at malformed input (then *p < end or
 * *p is NULL). Groups and field number 0 are malformed. */
static inline bool sm_pb_next(const uint8_t **p, const uint8_t *end, struct sm_pb_field *f)
{
    if (*p >= end)
        return false;
    const uint8_t *at = *p;
    uint64_t tag, v;
    const uint8_t *q = sm_pb_varint(at, end, &tag);
    if (!q || tag > UINT32_MAX || tag >> 3 == 0)
        goto malformed;
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum sm_pb_wire)(tag & 7);
    f->bytes = NULL;
    f->size = 0;
    f->value = 0;
    switch (f->wire) {
    case SM_PB_VARINT:
        q = sm_pb_varint(q, end, &f->value);
        if (!q)
            goto malformed;
        break;
    case SM_PB_FIXED64:
        if (end - q < 8)
            goto malformed;
        f->value = sm_load_le64(q);
        q += 8;
        break;
    case SM_PB_FIXED32:
        if (end - q < 4)
            goto malformed;
        f->value = sm_load_le32(q);
        q += 4;
        break;
    case SM_PB_BYTES:
        q = sm_pb_varint(q, end, &v);
        if (!q || v > (uint64_t)(end - q))
            goto malformed;
        f->bytes = q;
        f->size = (size_t)v;
        q += v;
        break;
    default:
        goto malformed;
    }
    *p = q;
    return true;
malformed:
    *p = NULL;
    return false;
}

/* The last length-delimited field of this number in a message, as protobuf takes scalars that come twice; {NULL, 0} when there is
 * none. What follows malformed bytes is not looked at. */
static inline struct sm_str sm_pb_last_bytes(struct sm_str message, uint32_t number)
{
    const uint8_t *p = (const uint8_t *)message.ptr, *end = sm_pb_end(p, message.len);
    struct sm_pb_field f;
    struct sm_str found = {NULL, 0};
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == number && f.wire == SM_PB_BYTES)
            found = sm_str(f.bytes, f.size);
    }
    return found;
}

SM_INLINE unsigned sm_pb_varint_size(uint64_t v)
{
    return (unsigned)((63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

SM_INLINE uint8_t *sm_pb_put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/* A length-delimited field: tag, length, bytes. */
static inline uint8_t *sm_pb_put_bytes(uint8_t *p, uint32_t field, const void *bytes, size_t size)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_BYTES));
    p = sm_pb_put_varint(p, size);
    if (size)
        memcpy(p, bytes, size);
    return p + size;
}

static inline size_t sm_pb_bytes_size(uint32_t field, size_t size)
{
    return sm_pb_varint_size(SM_PB_TAG(field, SM_PB_BYTES)) + sm_pb_varint_size(size) + size;
}

static inline uint8_t *sm_pb_put_uint(uint8_t *p, uint32_t field, uint64_t v)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_VARINT));
    return sm_pb_put_varint(p, v);
}

static inline uint8_t *sm_pb_put_fixed64(uint8_t *p, uint32_t field, uint64_t v)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_FIXED64));
    sm_store_le64(p, v);
    return p + 8;
}

static inline uint8_t *sm_pb_put_fixed32(uint8_t *p, uint32_t field, uint32_t v)
{
    p = sm_pb_put_varint(p, SM_PB_TAG(field, SM_PB_FIXED32));
    sm_store_le32(p, v);
    return p + 4;
}

#endif
