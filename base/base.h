/* Vocabulary of every file: return codes, errors with a message, borrowed byte views, assertions.
 *
 * Rules: `const T *` borrows, `T **` takes ownership. Functions that can fail return enum sm_rc, which must be used.
 * Broken invariants abort (SM_ASSERT stays in release builds); nothing that came from outside is ever asserted. */
#ifndef SM_BASE_H
#define SM_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SM_MUST_USE      __attribute__((warn_unused_result))
#define SM_PRINTF(f, a)  __attribute__((format(printf, f, a)))
#define SM_NORETURN      __attribute__((noreturn))
#define SM_HOT           __attribute__((hot))
#define SM_COLD          __attribute__((cold, noinline))
#define SM_INLINE        static inline __attribute__((always_inline))
#define SM_UNUSED        __attribute__((unused))
#define SM_LIKELY(x)     __builtin_expect(!!(x), 1)
#define SM_UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define SM_CACHE_LINE    64
#define SM_ALIGNED_LINE  __attribute__((aligned(SM_CACHE_LINE)))

#define SM_ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define SM_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define SM_MAX(a, b)     ((a) > (b) ? (a) : (b))
#define SM_CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

#define SM_US INT64_C(1000)
#define SM_MS INT64_C(1000000)
#define SM_SEC INT64_C(1000000000)
#define SM_KIB (UINT64_C(1) << 10)
#define SM_MIB (UINT64_C(1) << 20)
#define SM_GIB (UINT64_C(1) << 30)

/* What a fallible function returns. */
enum sm_rc {
    SM_OK = 0,
    SM_E_AGAIN,       /* try later: full, would block, overloaded */
    SM_E_LIMIT,       /* a named limit was exceeded; trying again does not help */
    SM_E_INVALID,     /* malformed input or a bad argument from outside */
    SM_E_TRUNCATED,   /* input ended early */
    SM_E_UNSUPPORTED, /* understood, not handled */
    SM_E_NOTFOUND,
    SM_E_CLOSED, /* the other side is gone or shutting down */
    SM_E_IO,     /* the operating system said no; struct sm_err has the text */
    SM_E_NOMEM,
    SM_E_TIMEOUT,
};

const char *sm_rc_name(enum sm_rc rc);

/* Why a cold-path call failed, in words for a person. Owned by the caller, no allocation. */
struct sm_err {
    enum sm_rc rc;
    char text[256];
};

/* Fills *err (may be NULL) and returns rc, so that callers write `return sm_err_set(err, SM_E_INVALID, "...")`. */
enum sm_rc sm_err_set(struct sm_err *err, enum sm_rc rc, const char *format, ...) SM_PRINTF(3, 4);

/* A borrowed view of bytes; not terminated, may hold NULs. {NULL, 0} is the empty view. */
struct sm_str {
    const char *ptr;
    size_t len;
};

#define SM_STR(literal) ((struct sm_str){(literal), sizeof(literal) - 1})
#define SM_STR_ARG(s)   (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct sm_str sm_str(const void *ptr, size_t len)
{
    return (struct sm_str){(const char *)ptr, len};
}

static inline struct sm_str sm_str_c(const char *terminated)
{
    return (struct sm_str){terminated, strlen(terminated)};
}

static inline bool sm_str_eq(struct sm_str a, struct sm_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Byte order, shorter first on a common prefix. */
static inline int sm_str_cmp(struct sm_str a, struct sm_str b)
{
    size_t n = SM_MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Without the spaces and tabs at its ends. */
static inline struct sm_str sm_str_trim(struct sm_str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = sm_str(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts the first line off *rest, which is not empty: without its end ("\n" or "\r\n", or none for the last one), trimmed. */
struct sm_str sm_str_cut_line(struct sm_str *rest);

/* Always on: a broken invariant of ours, never a property of input. */
#define SM_ASSERT(cond)                                                                                                \
    do {                                                                                                               \
        if (SM_UNLIKELY(!(cond)))                                                                                      \
            sm_assert_failed(#cond, __FILE__, __LINE__, __func__);                                                     \
    } while (0)

void sm_assert_failed(const char *cond, const char *file, int line, const char *func) SM_NORETURN SM_COLD;

/* Start-up and cold-path allocation: never returns NULL, aborts with a message when memory is exhausted. The data path
 * uses slabs (base/slab.h). Free with free(). */
void *sm_xmalloc(size_t size) SM_MUST_USE;
void *sm_xcalloc(size_t n, size_t size) SM_MUST_USE;
void *sm_xrealloc(void *p, size_t size) SM_MUST_USE;
char *sm_xstrndup(const char *s, size_t n) SM_MUST_USE;

SM_INLINE uint64_t sm_load_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

SM_INLINE uint64_t sm_load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

SM_INLINE uint32_t sm_load_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

SM_INLINE uint32_t sm_load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

SM_INLINE void sm_store_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

SM_INLINE void sm_store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

SM_INLINE void sm_store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

SM_INLINE void sm_store_le32(void *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

#endif
