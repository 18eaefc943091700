/* The cursor over msgpack. */
#include "span/codec/msgpack_read.h"

bool sm_msgpack_fail(struct sm_msgpack *m, const char *text)
{
    if (!m->error)
        m->error = text;
    return false;
}

static bool ends_early(struct sm_msgpack *m)
{
    m->truncated = !m->error;
    (void)sm_msgpack_fail(m, "the bytes end early");
    return false;
}

SM_INLINE bool has(const struct sm_msgpack *m, size_t n)
{
    return (size_t)(m->end - m->p) >= n;
}

static uint64_t load(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1:
        return *p;
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        return sm_load_be32(p);
    default:
        return sm_load_be64(p);
    }
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static bool take(struct sm_msgpack *m, unsigned size, uint64_t *n)
{
    *n = 0;
    if (SM_UNLIKELY(!has(m, size)))
        return ends_early(m);
    *n = load(m->p, size);
    m->p += size;
    return true;
}

static bool take_bytes(struct sm_msgpack *m, struct sm_msgpack_value *v, enum sm_msgpack_type type, uint64_t n)
{
    if (SM_UNLIKELY(!has(m, n)))
        return ends_early(m);
    v->type = type;
    v->text = sm_str(m->p, n);
    m->p += n;
    return true;
}

static bool take_sized(struct sm_msgpack *m, struct sm_msgpack_value *v, enum sm_msgpack_type type, unsigned length_size)
{
    uint64_t n;
    return take(m, length_size, &n) && take_bytes(m, v, type, n + (type == SM_MSGPACK_EXT));
}

/* Every element takes a byte at least. */
static bool take_many(struct sm_msgpack *m, struct sm_msgpack_value *v, enum sm_msgpack_type type, uint64_t n)
{
    if (SM_UNLIKELY(!has(m, type == SM_MSGPACK_MAP ? 2 * n : n)))
        return ends_early(m);
    v->type = type;
    v->count = (uint32_t)n;
    return true;
}

static bool take_counted(struct sm_msgpack *m, struct sm_msgpack_value *v, enum sm_msgpack_type type, unsigned count_size)
{
    uint64_t n;
    return take(m, count_size, &n) && take_many(m, v, type, n);
}

static bool take_uint(struct sm_msgpack *m, struct sm_msgpack_value *v, unsigned size)
{
    v->type = SM_MSGPACK_UINT;
    return take(m, size, &v->u);
}

static bool take_int(struct sm_msgpack *m, struct sm_msgpack_value *v, unsigned size)
{
    uint64_t n;
    if (!take(m, size, &n))
        return false;
    unsigned unused = 64 - 8 * size;
    v->i = (int64_t)(n << unused) >> unused;
    v->type = v->i < 0 ? SM_MSGPACK_INT : SM_MSGPACK_UINT;
    return true;
}

static bool take_float(struct sm_msgpack *m, struct sm_msgpack_value *v)
{
    uint64_t n;
    if (!take(m, 4, &n))
        return false;
    uint32_t bits = (uint32_t)n;
    float f;
    memcpy(&f, &bits, sizeof f);
    v->type = SM_MSGPACK_DOUBLE;
    v->d = (double)f;
    return true;
}

static bool take_double(struct sm_msgpack *m, struct sm_msgpack_value *v)
{
    uint64_t bits;
    if (!take(m, 8, &bits))
        return false;
    v->type = SM_MSGPACK_DOUBLE;
    memcpy(&v->d, &bits, sizeof bits);
    return true;
}

static bool set_uint(struct sm_msgpack_value *v, uint64_t n)
{
    v->type = SM_MSGPACK_UINT;
    v->u = n;
    return true;
}

static bool set_int(struct sm_msgpack_value *v, int64_t n)
{
    v->type = SM_MSGPACK_INT;
    v->i = n;
    return true;
}

static bool set_bool(struct sm_msgpack_value *v, bool b)
{
    v->type = SM_MSGPACK_BOOL;
    v->b = b;
    return true;
}

static bool set_nil(struct sm_msgpack_value *v)
{
    v->type = SM_MSGPACK_NIL;
    return true;
}

static bool next_of(struct sm_msgpack *m, uint8_t head, struct sm_msgpack_value *v)
{
    switch (head) {
    case 0x00 ... 0x7f:
        return set_uint(v, head);
    case 0x80 ... 0x8f:
        return take_many(m, v, SM_MSGPACK_MAP, head & 15);
    case 0x90 ... 0x9f:
        return take_many(m, v, SM_MSGPACK_ARRAY, head & 15);
    case 0xa0 ... 0xbf:
        return take_bytes(m, v, SM_MSGPACK_STR, head & 31);
    case 0xc0:
        return set_nil(v);
    case 0xc2:
    case 0xc3:
        return set_bool(v, head == 0xc3);
    case 0xc4 ... 0xc6:
        return take_sized(m, v, SM_MSGPACK_BIN, 1u << (head - 0xc4));
    case 0xc7 ... 0xc9:
        return take_sized(m, v, SM_MSGPACK_EXT, 1u << (head - 0xc7));
    case 0xca:
        return take_float(m, v);
    case 0xcb:
        return take_double(m, v);
    case 0xcc ... 0xcf:
        return take_uint(m, v, 1u << (head - 0xcc));
    case 0xd0 ... 0xd3:
        return take_int(m, v, 1u << (head - 0xd0));
    case 0xd4 ... 0xd8:
        return take_bytes(m, v, SM_MSGPACK_EXT, 1 + (UINT64_C(1) << (head - 0xd4)));
    case 0xd9 ... 0xdb:
        return take_sized(m, v, SM_MSGPACK_STR, 1u << (head - 0xd9));
    case 0xdc:
    case 0xdd:
        return take_counted(m, v, SM_MSGPACK_ARRAY, head == 0xdc ? 2 : 4);
    case 0xde:
    case 0xdf:
        return take_counted(m, v, SM_MSGPACK_MAP, head == 0xde ? 2 : 4);
    case 0xe0 ... 0xff:
        return set_int(v, (int8_t)head);
    default:
        return sm_msgpack_fail(m, "the byte c1 begins no value");
    }
}

bool sm_msgpack_next_slow(struct sm_msgpack *m, struct sm_msgpack_value *v)
{
    if (m->error)
        return false;
    if (m->p == m->end)
        return ends_early(m);
    return next_of(m, *m->p++, v);
}

/* Counts what is still to come instead of recursing: no count exceeds the bytes that are left. */
bool sm_msgpack_skip_rest(struct sm_msgpack *m, const struct sm_msgpack_value *v)
{
    struct sm_msgpack_value next = *v;
    uint64_t left = 0;
    for (;;) {
        if (next.type == SM_MSGPACK_ARRAY)
            left += next.count;
        else if (next.type == SM_MSGPACK_MAP)
            left += 2 * (uint64_t)next.count;
        if (left == 0)
            return true;
        if (!sm_msgpack_next(m, &next))
            return false;
        left--;
    }
}

bool sm_msgpack_skip(struct sm_msgpack *m)
{
    struct sm_msgpack_value v;
    return sm_msgpack_next(m, &v) && sm_msgpack_skip_rest(m, &v);
}
