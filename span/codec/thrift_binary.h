/* Thrift's binary protocol: reading with a cursor, bounds first, nothing built.
 *
 * Every function answers false at malformed or truncated input, and from then on the reader stays where it failed.
 * Texts are views into the input. Containers are checked against the bytes that are left, so that no count makes a
 * loop longer than the input; skipping is capped at SM_THRIFT_DEPTH_MAX levels. */
#ifndef SM_THRIFT_BINARY_H
#define SM_THRIFT_BINARY_H

#include "base/base.h"

#define SM_THRIFT_DEPTH_MAX 16

enum sm_thrift_type {
    SM_THRIFT_STOP = 0,
    SM_THRIFT_BOOL = 2,
    SM_THRIFT_BYTE = 3,
    SM_THRIFT_DOUBLE = 4,
    SM_THRIFT_I16 = 6,
    SM_THRIFT_I32 = 8,
    SM_THRIFT_I64 = 10,
    SM_THRIFT_STRING = 11, /* and binary */
    SM_THRIFT_STRUCT = 12,
    SM_THRIFT_MAP = 13,
    SM_THRIFT_SET = 14,
    SM_THRIFT_LIST = 15,
};

struct sm_thrift_reader {
    const uint8_t *p, *end;
};

SM_INLINE bool sm_thrift_has(const struct sm_thrift_reader *r, size_t n)
{
    return SM_LIKELY((size_t)(r->end - r->p) >= n);
}

SM_INLINE bool sm_thrift_byte(struct sm_thrift_reader *r, uint8_t *value)
{
    if (!sm_thrift_has(r, 1))
        return false;
    *value = *r->p++;
    return true;
}

SM_INLINE bool sm_thrift_i16(struct sm_thrift_reader *r, int16_t *value)
{
    if (!sm_thrift_has(r, 2))
        return false;
    *value = (int16_t)(r->p[0] << 8 | r->p[1]);
    r->p += 2;
    return true;
}

SM_INLINE bool sm_thrift_i32(struct sm_thrift_reader *r, int32_t *value)
{
    if (!sm_thrift_has(r, 4))
        return false;
    *value = (int32_t)sm_load_be32(r->p);
    r->p += 4;
    return true;
}

SM_INLINE bool sm_thrift_i64(struct sm_thrift_reader *r, int64_t *value)
{
    if (!sm_thrift_has(r, 8))
        return false;
    *value = (int64_t)sm_load_be64(r->p);
    r->p += 8;
    return true;
}

SM_INLINE bool sm_thrift_double(struct sm_thrift_reader *r, double *value)
{
    int64_t bits;
    if (!sm_thrift_i64(r, &bits))
        return false;
    memcpy(value, &bits, 8);
    return true;
}

/* A string or binary. */
SM_INLINE bool sm_thrift_bytes(struct sm_thrift_reader *r, struct sm_str *value)
{
    int32_t size;
    if (!sm_thrift_i32(r, &size) || size < 0 || !sm_thrift_has(r, (size_t)size))
        return false;
    *value = sm_str(r->p, (size_t)size);
    r->p += size;
    return true;
}

/* The header of a field. At the end of the struct *type is SM_THRIFT_STOP. */
SM_INLINE bool sm_thrift_field(struct sm_thrift_reader *r, uint8_t *type, int16_t *id)
{
    *id = 0;
    return sm_thrift_byte(r, type) && (*type == SM_THRIFT_STOP || sm_thrift_i16(r, id));
}

/* The header of a list or set. Every element takes a byte or more. */
SM_INLINE bool sm_thrift_list(struct sm_thrift_reader *r, uint8_t *type, uint32_t *count)
{
    int32_t n;
    if (!sm_thrift_byte(r, type) || !sm_thrift_i32(r, &n) || n < 0 || !sm_thrift_has(r, (size_t)n))
        return false;
    *count = (uint32_t)n;
    return true;
}

SM_INLINE bool sm_thrift_pass(struct sm_thrift_reader *r, size_t n)
{
    if (!sm_thrift_has(r, n))
        return false;
    r->p += n;
    return true;
}

/* Passes over a value of this type; `depth` is that of the struct or container it lies in, 0 at the top. */
static inline bool sm_thrift_skip(struct sm_thrift_reader *r, uint8_t type, unsigned depth)
{
    struct sm_str bytes;
    uint8_t key_type, value_type;
    int16_t id;
    uint32_t count;
    switch (type) {
    case SM_THRIFT_BOOL:
    case SM_THRIFT_BYTE:
        return sm_thrift_pass(r, 1);
    case SM_THRIFT_I16:
        return sm_thrift_pass(r, 2);
    case SM_THRIFT_I32:
        return sm_thrift_pass(r, 4);
    case SM_THRIFT_I64:
    case SM_THRIFT_DOUBLE:
        return sm_thrift_pass(r, 8);
    case SM_THRIFT_STRING:
        return sm_thrift_bytes(r, &bytes);
    default:
        break;
    }
    if (depth == SM_THRIFT_DEPTH_MAX)
        return false;
    switch (type) {
    case SM_THRIFT_STRUCT:
        while (sm_thrift_field(r, &value_type, &id)) {
            if (value_type == SM_THRIFT_STOP)
                return true;
            if (!sm_thrift_skip(r, value_type, depth + 1))
                return false;
        }
        return false;
    case SM_THRIFT_LIST:
    case SM_THRIFT_SET:
        if (!sm_thrift_list(r, &value_type, &count))
            return false;
        while (count--) {
            if (!sm_thrift_skip(r, value_type, depth + 1))
                return false;
        }
        return true;
    case SM_THRIFT_MAP:
        if (!sm_thrift_byte(r, &key_type) || !sm_thrift_list(r, &value_type, &count))
            return false;
        while (count--) {
            if (!sm_thrift_skip(r, key_type, depth + 1) || !sm_thrift_skip(r, value_type, depth + 1))
                return false;
        }
        return true;
    default:
        return false;
    }
}

#endif
