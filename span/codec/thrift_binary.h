/* Thrift's binary protocol: bounds-checked reading with a cursor. Nothing allocates, nothing reads past `end`; every function
 * is false at malformed or truncated input, and the cursor is then of no further use.
 *
 * Sizes are checked against the bytes that are left before they are believed: every element of a container takes at least one
 * byte. Spec: thrift doc/specs/thrift-binary-protocol.md. */
#ifndef SM_THRIFT_BINARY_H
#define SM_THRIFT_BINARY_H

#include "base/base.h"

/* Nesting of what is skipped. */
#define SM_THRIFT_DEPTH_MAX 16

enum sm_thrift_type {
    SM_THRIFT_STOP = 0,
    SM_THRIFT_BOOL = 2,
    SM_THRIFT_BYTE = 3,
    SM_THRIFT_DOUBLE = 4,
    SM_THRIFT_I16 = 6,
    SM_THRIFT_I32 = 8,
    SM_THRIFT_I64 = 10,
    SM_THRIFT_STRING = 11, /* or binary */
    SM_THRIFT_STRUCT = 12,
    SM_THRIFT_MAP = 13,
    SM_THRIFT_SET = 14,
    SM_THRIFT_LIST = 15,
    SM_THRIFT_UUID = 16,
};

/* What kind of message an envelope holds. */
enum sm_thrift_message { SM_THRIFT_CALL = 1, SM_THRIFT_REPLY = 2, SM_THRIFT_EXCEPTION = 3, SM_THRIFT_ONEWAY = 4 };

struct sm_thrift_reader {
    const uint8_t *p, *end;
};

SM_INLINE bool sm_thrift_has(const struct sm_thrift_reader *t, size_t n)
{
    return SM_LIKELY((size_t)(t->end - t->p) >= n);
}

SM_INLINE bool sm_thrift_byte(struct sm_thrift_reader *t, uint8_t *v)
{
    if (!sm_thrift_has(t, 1))
        return false;
    *v = *t->p++;
    return true;
}

SM_INLINE bool sm_thrift_bool(struct sm_thrift_reader *t, bool *v)
{
    if (!sm_thrift_has(t, 1))
        return false;
    *v = *t->p++ != 0;
    return true;
}

SM_INLINE bool sm_thrift_i16(struct sm_thrift_reader *t, int16_t *v)
{
    if (!sm_thrift_has(t, 2))
        return false;
    *v = (int16_t)(uint16_t)(t->p[0] << 8 | t->p[1]);
    t->p += 2;
    return true;
}

SM_INLINE bool sm_thrift_i32(struct sm_thrift_reader *t, int32_t *v)
{
    if (!sm_thrift_has(t, 4))
        return false;
    *v = (int32_t)sm_load_be32(t->p);
    t->p += 4;
    return true;
}

SM_INLINE bool sm_thrift_i64(struct sm_thrift_reader *t, int64_t *v)
{
    if (!sm_thrift_has(t, 8))
        return false;
    *v = (int64_t)sm_load_be64(t->p);
    t->p += 8;
    return true;
}

SM_INLINE bool sm_thrift_double(struct sm_thrift_reader *t, double *v)
{
    int64_t bits;
    if (!sm_thrift_i64(t, &bits))
        return false;
    memcpy(v, &bits, sizeof *v);
    return true;
}

/* A string or binary: a view into the input. */
SM_INLINE bool sm_thrift_bytes(struct sm_thrift_reader *t, struct sm_str *v)
{
    int32_t size;
    if (!sm_thrift_i32(t, &size) || SM_UNLIKELY(size < 0) || !sm_thrift_has(t, (size_t)size))
        return false;
    *v = sm_str(t->p, (size_t)size);
    t->p += size;
    return true;
}

/* The header of a struct's next field; *type is SM_THRIFT_STOP at the struct's end. */
SM_INLINE bool sm_thrift_field(struct sm_thrift_reader *t, uint8_t *type, int16_t *id)
{
    *id = 0;
    if (!sm_thrift_byte(t, type))
        return false;
    return *type == SM_THRIFT_STOP || sm_thrift_i16(t, id);
}

/* Takes the header of this very field, which follows the field `before` (0: none); false, with nothing taken, for any other. For
 * constants. */
SM_INLINE bool sm_thrift_expect(struct sm_thrift_reader *t, int16_t before SM_UNUSED, int16_t id, uint8_t type)
{
    if (!sm_thrift_has(t, 3) || t->p[0] != type || (int16_t)(t->p[1] << 8 | t->p[2]) != id)
        return false;
    t->p += 3;
    return true;
}

/* The same for a struct's end. */
SM_INLINE bool sm_thrift_expect_stop(struct sm_thrift_reader *t)
{
    if (!sm_thrift_has(t, 1) || *t->p != SM_THRIFT_STOP)
        return false;
    t->p++;
    return true;
}

/* The header of a list or set. */
SM_INLINE bool sm_thrift_list(struct sm_thrift_reader *t, uint8_t *type, uint32_t *count)
{
    int32_t n;
    if (!sm_thrift_byte(t, type) || !sm_thrift_i32(t, &n) || SM_UNLIKELY(n < 0) || !sm_thrift_has(t, (size_t)n))
        return false;
    *count = (uint32_t)n;
    return true;
}

/* The envelope of a message, strict (with a version) or as it was before versions. */
static inline bool sm_thrift_message(struct sm_thrift_reader *t, struct sm_str *name, uint8_t *type)
{
    int32_t first, sequence;
    if (!sm_thrift_i32(t, &first))
        return false;
    if (first < 0) {
        if (((uint32_t)first & 0xffffff00) != 0x80010000)
            return false;
        *type = (uint8_t)first;
        return sm_thrift_bytes(t, name) && sm_thrift_i32(t, &sequence);
    }
    t->p -= 4;
    return sm_thrift_bytes(t, name) && sm_thrift_byte(t, type) && sm_thrift_i32(t, &sequence);
}

static inline bool sm_thrift_skip(struct sm_thrift_reader *t, uint8_t type, unsigned depth);

static inline bool sm_thrift_skip_struct(struct sm_thrift_reader *t, unsigned depth)
{
    uint8_t type;
    int16_t id;
    do {
        if (!sm_thrift_field(t, &type, &id) || (type != SM_THRIFT_STOP && !sm_thrift_skip(t, type, depth)))
            return false;
    } while (type != SM_THRIFT_STOP);
    return true;
}

static inline bool sm_thrift_skip_map(struct sm_thrift_reader *t, unsigned depth)
{
    uint8_t key, value;
    int32_t n;
    if (!sm_thrift_byte(t, &key) || !sm_thrift_byte(t, &value) || !sm_thrift_i32(t, &n) || n < 0 ||
        !sm_thrift_has(t, 2 * (size_t)n))
        return false;
    for (int32_t i = 0; i < n; i++) {
        if (!sm_thrift_skip(t, key, depth) || !sm_thrift_skip(t, value, depth))
            return false;
    }
    return true;
}

static inline bool sm_thrift_skip_list(struct sm_thrift_reader *t, unsigned depth)
{
    uint8_t type;
    uint32_t n;
    if (!sm_thrift_list(t, &type, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!sm_thrift_skip(t, type, depth))
            return false;
    }
    return true;
}

/* Passes over a value of a field or element of this type; `depth` is that of what it lies in, 0 at the top. */
static inline bool sm_thrift_skip(struct sm_thrift_reader *t, uint8_t type, unsigned depth)
{
    static const uint8_t sizes[] = {
        [SM_THRIFT_BOOL] = 1, [SM_THRIFT_BYTE] = 1, [SM_THRIFT_DOUBLE] = 8, [SM_THRIFT_I16] = 2,
        [SM_THRIFT_I32] = 4,  [SM_THRIFT_I64] = 8,  [SM_THRIFT_UUID] = 16,
    };
    struct sm_str text;
    if (type < SM_ARRAY_LEN(sizes) && sizes[type]) {
        if (!sm_thrift_has(t, sizes[type]))
            return false;
        t->p += sizes[type];
        return true;
    }
    if (type == SM_THRIFT_STRING)
        return sm_thrift_bytes(t, &text);
    if (depth == SM_THRIFT_DEPTH_MAX)
        return false;
    switch (type) {
    case SM_THRIFT_STRUCT:
        return sm_thrift_skip_struct(t, depth + 1);
    case SM_THRIFT_MAP:
        return sm_thrift_skip_map(t, depth + 1);
    case SM_THRIFT_SET:
    case SM_THRIFT_LIST:
        return sm_thrift_skip_list(t, depth + 1);
    default:
        return false;
    }
}

#endif
