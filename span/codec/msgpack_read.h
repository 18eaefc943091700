/* A cursor over msgpack (github.com/msgpack/msgpack, spec.md): one value at a time, no tree, no allocation.
 *
 * The first error sticks; from then on every function answers false at once. Arrays and maps give their count, what is in them
 * follows; a count that the bytes which are left cannot hold is an error, so that loops over it end. Texts point into the
 * document. */
#ifndef SM_MSGPACK_READ_H
#define SM_MSGPACK_READ_H

#include "base/base.h"

enum sm_msgpack_type {
    SM_MSGPACK_NIL,
    SM_MSGPACK_BOOL,
    SM_MSGPACK_UINT, /* not negative */
    SM_MSGPACK_INT,  /* negative */
    SM_MSGPACK_DOUBLE,
    SM_MSGPACK_STR,
    SM_MSGPACK_BIN,
    SM_MSGPACK_ARRAY,
    SM_MSGPACK_MAP,
    SM_MSGPACK_EXT, /* any extension, its type is passed over */
};

struct sm_msgpack_value {
    enum sm_msgpack_type type;
    uint32_t count; /* of elements, of pairs */
    union {
        bool b;
        uint64_t u;
        int64_t i;
        double d;
        struct sm_str text; /* str, bin, ext */
    };
};

struct sm_msgpack {
    const uint8_t *p, *end;
    const char *error; /* a static text; NULL while all is well */
    bool truncated;    /* the error is that the bytes end early */
};

SM_INLINE struct sm_msgpack sm_msgpack_reader(const void *bytes, size_t size)
{
    const uint8_t *p = (const uint8_t *)bytes;
    return (struct sm_msgpack){.p = p, .end = p + size};
}

/* Records the first error; answers false. */
bool sm_msgpack_fail(struct sm_msgpack *m, const char *text) SM_COLD;

/* Any value but the short ones below. */
bool sm_msgpack_next_slow(struct sm_msgpack *m, struct sm_msgpack_value *v);

/* The next value; of an array or a map its head. */
SM_INLINE bool sm_msgpack_next(struct sm_msgpack *m, struct sm_msgpack_value *v)
{
    if (SM_LIKELY(m->p < m->end && *m->p >> 5 == 5)) { /* a text of up to 31 bytes */
        size_t n = *m->p & 31;
        if (SM_LIKELY((size_t)(m->end - m->p) > n && !m->error)) {
            v->type = SM_MSGPACK_STR;
            v->text = sm_str(m->p + 1, n);
            m->p += 1 + n;
            return true;
        }
    }
    return sm_msgpack_next_slow(m, v);
}

/* Passes over what is in a value whose head was just read. */
bool sm_msgpack_skip_rest(struct sm_msgpack *m, const struct sm_msgpack_value *v);
/* Passes over the next value, however deep it is. */
bool sm_msgpack_skip(struct sm_msgpack *m);

#endif
