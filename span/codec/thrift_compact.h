/* Thrift's compact protocol, with the rules of thrift_binary.h and its types: what the wire calls true and false are both
 * SM_THRIFT_BOOL. Spec: thrift doc/specs/thrift-compact-protocol.md. */
#ifndef SM_THRIFT_COMPACT_H
#define SM_THRIFT_COMPACT_H

#include "span/codec/thrift_binary.h"

struct sm_thrift_compact {
    const uint8_t *p, *end;
    bool field_bool; /* the value of a bool field is in its header */
};

SM_INLINE bool sm_thrift_compact_has(const struct sm_thrift_compact *t, size_t n)
{
    return SM_LIKELY((size_t)(t->end - t->p) >= n);
}

/* The low seven bits of eight bytes, side by side. */
SM_INLINE uint64_t sm_thrift_compact_join(uint64_t x)
{
    x = (x & UINT64_C(0x007f007f007f007f)) | (x & UINT64_C(0x7f007f007f007f00)) >> 1;
    x = (x & UINT64_C(0x00003fff00003fff)) | (x & UINT64_C(0x3fff00003fff0000)) >> 2;
    return (x & UINT64_C(0x000000000fffffff)) | (x & UINT64_C(0x0fffffff00000000)) >> 4;
}

static inline bool sm_thrift_compact_long_varint(struct sm_thrift_compact *t, uint64_t *v)
{
    if (SM_LIKELY(t->end - t->p >= 10)) { /* ids are random: nine or ten bytes, as a rule */
        uint64_t x = sm_load_le64(t->p), stops = ~x & UINT64_C(0x8080808080808080);
        if (stops) {
            unsigned bits = (unsigned)__builtin_ctzll(stops) + 1; /* of the varint's bytes */
            *v = sm_thrift_compact_join(bits == 64 ? x : x & ((UINT64_C(1) << bits) - 1));
            t->p += bits / 8;
            return true;
        }
        uint8_t ninth = t->p[8], tenth = ninth < 0x80 ? 0 : t->p[9];
        *v = sm_thrift_compact_join(x) | (uint64_t)(ninth & 0x7f) << 56 | (uint64_t)tenth << 63;
        t->p += ninth < 0x80 ? 9 : 10;
        return tenth < 2;
    }
    uint64_t out = 0;
    for (unsigned shift = 0; shift < 64 && t->p < t->end; shift += 7) {
        uint8_t b = *t->p++;
        out |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *v = out;
            return shift < 63 || b < 2;
        }
    }
    return false;
}

SM_INLINE bool sm_thrift_compact_varint(struct sm_thrift_compact *t, uint64_t *v)
{
    if (SM_LIKELY(t->p < t->end && *t->p < 0x80)) {
        *v = *t->p++;
        return true;
    }
    return sm_thrift_compact_long_varint(t, v);
}

SM_INLINE bool sm_thrift_compact_i64(struct sm_thrift_compact *t, int64_t *v)
{
    uint64_t u;
    if (!sm_thrift_compact_varint(t, &u))
        return false;
    *v = (int64_t)(u >> 1 ^ (UINT64_C(0) - (u & 1)));
    return true;
}

SM_INLINE bool sm_thrift_compact_i32(struct sm_thrift_compact *t, int32_t *v)
{
    int64_t wide;
    if (!sm_thrift_compact_i64(t, &wide) || SM_UNLIKELY(wide != (int32_t)wide))
        return false;
    *v = (int32_t)wide;
    return true;
}

SM_INLINE bool sm_thrift_compact_i16(struct sm_thrift_compact *t, int16_t *v)
{
    int64_t wide;
    if (!sm_thrift_compact_i64(t, &wide) || SM_UNLIKELY(wide != (int16_t)wide))
        return false;
    *v = (int16_t)wide;
    return true;
}

/* Of a field, whose header has just been read. */
SM_INLINE bool sm_thrift_compact_bool(struct sm_thrift_compact *t, bool *v)
{
    *v = t->field_bool;
    return true;
}

SM_INLINE bool sm_thrift_compact_double(struct sm_thrift_compact *t, double *v)
{
    if (!sm_thrift_compact_has(t, 8))
        return false;
    uint64_t bits = sm_load_le64(t->p);
    memcpy(v, &bits, sizeof *v);
    t->p += 8;
    return true;
}

SM_INLINE bool sm_thrift_compact_bytes(struct sm_thrift_compact *t, struct sm_str *v)
{
    uint64_t size;
    if (!sm_thrift_compact_varint(t, &size) || SM_UNLIKELY(size > (uint64_t)(t->end - t->p)))
        return false;
    *v = sm_str(t->p, (size_t)size);
    t->p += size;
    return true;
}

/* 0xff: no type. */
SM_INLINE uint8_t sm_thrift_compact_type(uint8_t wire)
{
    static const uint8_t types[16] = {
        SM_THRIFT_STOP,   SM_THRIFT_BOOL, SM_THRIFT_BOOL, SM_THRIFT_BYTE, SM_THRIFT_I16,    SM_THRIFT_I32,  SM_THRIFT_I64, SM_THRIFT_DOUBLE,
        SM_THRIFT_STRING, SM_THRIFT_LIST, SM_THRIFT_SET,  SM_THRIFT_MAP,  SM_THRIFT_STRUCT, SM_THRIFT_UUID, 0xff,          0xff,
    };
    return types[wire & 15];
}

/* *id is the id of the field before on entry (0 at first). */
SM_INLINE bool sm_thrift_compact_field(struct sm_thrift_compact *t, uint8_t *type, int16_t *id)
{
    if (!sm_thrift_compact_has(t, 1))
        return false;
    uint8_t head = *t->p++;
    *type = sm_thrift_compact_type(head);
    if (*type == SM_THRIFT_STOP)
        return head == 0;
    t->field_bool = (head & 15) == 1;
    if (SM_LIKELY(head >> 4)) {
        *id = (int16_t)(*id + (head >> 4));
        return true;
    }
    int32_t wide;
    if (!sm_thrift_compact_i32(t, &wide) || wide != (int16_t)wide)
        return false;
    *id = (int16_t)wide;
    return true;
}

/* As sm_thrift_expect; for the short form of headers and the types of Jaeger's tags. */
SM_INLINE bool sm_thrift_compact_expect(struct sm_thrift_compact *t, int16_t before, int16_t id, uint8_t type)
{
    uint8_t delta = (uint8_t)((id - before) << 4);
    if (!sm_thrift_compact_has(t, 1))
        return false;
    uint8_t head = *t->p;
    switch (type) {
    case SM_THRIFT_BOOL:
        t->field_bool = head == (delta | 1);
        if (!t->field_bool && head != (delta | 2))
            return false;
        break;
    case SM_THRIFT_I32:
        if (head != (delta | 5))
            return false;
        break;
    case SM_THRIFT_I64:
        if (head != (delta | 6))
            return false;
        break;
    case SM_THRIFT_STRING:
        if (head != (delta | 8))
            return false;
        break;
    default:
        return false;
    }
    t->p++;
    return true;
}

SM_INLINE bool sm_thrift_compact_expect_stop(struct sm_thrift_compact *t)
{
    if (!sm_thrift_compact_has(t, 1) || *t->p != SM_THRIFT_STOP)
        return false;
    t->p++;
    return true;
}

SM_INLINE bool sm_thrift_compact_list(struct sm_thrift_compact *t, uint8_t *type, uint32_t *count)
{
    if (!sm_thrift_compact_has(t, 1))
        return false;
    uint8_t head = *t->p++;
    uint64_t n = head >> 4;
    if (n == 15 && !sm_thrift_compact_varint(t, &n))
        return false;
    *type = sm_thrift_compact_type(head);
    if (SM_UNLIKELY(n > (uint64_t)(t->end - t->p)))
        return false;
    *count = (uint32_t)n;
    return n <= UINT32_MAX;
}

static inline bool sm_thrift_compact_message(struct sm_thrift_compact *t, struct sm_str *name, uint8_t *type)
{
    uint64_t sequence;
    if (!sm_thrift_compact_has(t, 2) || t->p[0] != 0x82 || (t->p[1] & 31) != 1)
        return false;
    *type = t->p[1] >> 5;
    t->p += 2;
    return sm_thrift_compact_varint(t, &sequence) && sm_thrift_compact_bytes(t, name);
}

static inline bool sm_thrift_compact_skip_element(struct sm_thrift_compact *t, uint8_t type, unsigned depth);

static inline bool sm_thrift_compact_skip_struct(struct sm_thrift_compact *t, unsigned depth)
{
    uint8_t type;
    int16_t id = 0;
    do {
        if (!sm_thrift_compact_field(t, &type, &id))
            return false;
        bool has_bytes = type != SM_THRIFT_STOP && type != SM_THRIFT_BOOL;
        if (has_bytes && !sm_thrift_compact_skip_element(t, type, depth))
            return false;
    } while (type != SM_THRIFT_STOP);
    return true;
}

static inline bool sm_thrift_compact_skip_list(struct sm_thrift_compact *t, unsigned depth)
{
    uint8_t type;
    uint32_t n;
    if (!sm_thrift_compact_list(t, &type, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!sm_thrift_compact_skip_element(t, type, depth))
            return false;
    }
    return true;
}

static inline bool sm_thrift_compact_skip_map(struct sm_thrift_compact *t, unsigned depth)
{
    uint64_t n;
    if (!sm_thrift_compact_varint(t, &n))
        return false;
    if (n == 0)
        return true;
    if (n > (uint64_t)(t->end - t->p) / 2)
        return false;
    uint8_t types = *t->p++, key = sm_thrift_compact_type(types >> 4), value = sm_thrift_compact_type(types);
    for (uint64_t i = 0; i < n; i++) {
        if (!sm_thrift_compact_skip_element(t, key, depth) || !sm_thrift_compact_skip_element(t, value, depth))
            return false;
    }
    return true;
}

static inline bool sm_thrift_compact_skip_bytes(struct sm_thrift_compact *t, size_t n)
{
    if (!sm_thrift_compact_has(t, n))
        return false;
    t->p += n;
    return true;
}

/* Bools in containers take a byte, unlike those that are fields. */
static inline bool sm_thrift_compact_skip_element(struct sm_thrift_compact *t, uint8_t type, unsigned depth)
{
    struct sm_str text;
    uint64_t number;
    switch (type) {
    case SM_THRIFT_BOOL:
    case SM_THRIFT_BYTE:
        return sm_thrift_compact_skip_bytes(t, 1);
    case SM_THRIFT_DOUBLE:
        return sm_thrift_compact_skip_bytes(t, 8);
    case SM_THRIFT_UUID:
        return sm_thrift_compact_skip_bytes(t, 16);
    case SM_THRIFT_I16:
    case SM_THRIFT_I32:
    case SM_THRIFT_I64:
        return sm_thrift_compact_varint(t, &number);
    case SM_THRIFT_STRING:
        return sm_thrift_compact_bytes(t, &text);
    case SM_THRIFT_STRUCT:
        return depth < SM_THRIFT_DEPTH_MAX && sm_thrift_compact_skip_struct(t, depth + 1);
    case SM_THRIFT_MAP:
        return depth < SM_THRIFT_DEPTH_MAX && sm_thrift_compact_skip_map(t, depth + 1);
    case SM_THRIFT_SET:
    case SM_THRIFT_LIST:
        return depth < SM_THRIFT_DEPTH_MAX && sm_thrift_compact_skip_list(t, depth + 1);
    default:
        return false;
    }
}

/* The value of a field of this type. */
static inline bool sm_thrift_compact_skip(struct sm_thrift_compact *t, uint8_t type, unsigned depth)
{
    return type == SM_THRIFT_BOOL || sm_thrift_compact_skip_element(t, type, depth);
}

#endif
