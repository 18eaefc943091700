/* Items between separators, and their weights. */
#include "base/header.h"

#include <strings.h>

struct sm_str sm_header_cut(struct sm_str *rest, char separator)
{
    const char *at = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct sm_str part = sm_str(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    size_t skip = part.len + (at != NULL);
    *rest = sm_str(rest->ptr + skip, rest->len - skip);
    return sm_str_trim(part);
}

bool sm_header_is(struct sm_str word, struct sm_str other)
{
    return word.len == other.len && strncasecmp(word.ptr, other.ptr, word.len) == 0;
}

/* "q=0", "q=0.0": not wanted. */
static bool refuses(struct sm_str weight)
{
    weight = sm_str_trim(weight);
    if (weight.len < 3 || (weight.ptr[0] | 0x20) != 'q' || weight.ptr[1] != '=' || weight.ptr[2] != '0')
        return false;
    for (size_t i = 3; i < weight.len; i++) {
        if (weight.ptr[i] != '.' && weight.ptr[i] != '0')
            return false;
    }
    return true;
}

bool sm_header_accepts_gzip(struct sm_str accept_encoding)
{
    bool any = false;
    while (accept_encoding.len) {
        struct sm_str weight = sm_header_cut(&accept_encoding, ',');
        struct sm_str coding = sm_header_cut(&weight, ';');
        if (sm_header_is(coding, SM_STR("gzip")) || sm_header_is(coding, SM_STR("x-gzip")))
            return !refuses(weight);
        any |= sm_header_is(coding, SM_STR("*")) && !refuses(weight);
    }
    return any;
}
