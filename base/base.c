/* Return-code names, error text, lines, assertion failure and start-up allocation. */
#include "base/base.h"

#include <stdlib.h>

const char *sm_rc_name(enum sm_rc rc)
{
    static const char *const names[] = {"ok",        "again",  "limit", "invalid",       "truncated", "unsupported",
                                        "not_found", "closed", "io",    "out_of_memory", "timeout"};
    return (size_t)rc < SM_ARRAY_LEN(names) ? names[rc] : "unknown";
}

enum sm_rc sm_err_set(struct sm_err *err, enum sm_rc rc, const char *format, ...)
{
    if (!err)
        return rc;
    va_list args;
    va_start(args, format);
    err->rc = rc;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return rc;
}

struct sm_str sm_str_cut_line(struct sm_str *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    struct sm_str line = sm_str(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    size_t cut = line.len + (end != NULL);
    *rest = sm_str(rest->ptr + cut, rest->len - cut);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return sm_str_trim(line);
}

void sm_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "level=fatal event=assertion_failed cond=\"%s\" at=%s:%d func=%s\n", cond, file, line, func);
    abort();
}

static void *checked(void *p, size_t size)
{
    if (SM_UNLIKELY(!p && size)) {
        fprintf(stderr, "level=fatal event=out_of_memory size_bytes=%zu\n", size);
        abort();
    }
    return p;
}

void *sm_xmalloc(size_t size)
{
    return checked(malloc(size), size);
}

void *sm_xcalloc(size_t n, size_t size)
{
    return checked(calloc(n, size), n && size);
}

void *sm_xrealloc(void *p, size_t size)
{
    return checked(realloc(p, size), size);
}

char *sm_xstrndup(const char *s, size_t n)
{
    char *copy = sm_xmalloc(n + 1);
    if (n) /* the empty view has no pointer */
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}
