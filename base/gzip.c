/* A deflate stream of zlib, and what Accept-Encoding says of it. */
#include "base/gzip.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

enum { ROOM_BYTES = 16 << 10, GZIP_WINDOW_BITS = 15 + 16 };

struct sm_gzip {
    z_stream stream;
};

struct sm_gzip *sm_gzip_new(void)
{
    struct sm_gzip *z = calloc(1, sizeof *z);
    if (z && deflateInit2(&z->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(z);
        return NULL;
    }
    return z;
}

void sm_gzip_free(struct sm_gzip *z)
{
    if (!z)
        return;
    deflateEnd(&z->stream);
    free(z);
}

/* Until the stream has taken all input and holds back what it may. */
static void run(struct sm_gzip *z, int flush, struct sm_buf *out)
{
    do {
        if (!sm_buf_reserve(out, ROOM_BYTES))
            return;
        z->stream.next_out = out->data + out->size;
        z->stream.avail_out = ROOM_BYTES;
        (void)deflate(&z->stream, flush);
        out->size += ROOM_BYTES - z->stream.avail_out;
    } while (z->stream.avail_out == 0);
}

void sm_gzip_put(struct sm_gzip *z, struct sm_str bytes, struct sm_buf *out)
{
    while (bytes.len) {
        size_t n = SM_MIN(bytes.len, (size_t)SM_MIB);
        z->stream.next_in = (Bytef *)(uintptr_t)bytes.ptr;
        z->stream.avail_in = (uInt)n;
        run(z, Z_NO_FLUSH, out);
        bytes = sm_str(bytes.ptr + n, bytes.len - n);
    }
}

void sm_gzip_end(struct sm_gzip *z, struct sm_buf *out)
{
    z->stream.next_in = NULL;
    z->stream.avail_in = 0;
    run(z, Z_FINISH, out);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct sm_str trim(struct sm_str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = sm_str(s.ptr + 1, s.len - 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static struct sm_str cut(struct sm_str *rest, char separator)
{
    const char *at = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct sm_str part = sm_str(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    size_t skip = part.len + (at != NULL);
    *rest = sm_str(rest->ptr + skip, rest->len - skip);
    return trim(part);
}

static bool equals(struct sm_str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

/* "q=0", "q=0.0": not wanted. */
static bool refuses(struct sm_str weight)
{
    weight = trim(weight);
    if (weight.len < 3 || (weight.ptr[0] | 0x20) != 'q' || weight.ptr[1] != '=' || weight.ptr[2] != '0')
        return false;
    for (size_t i = 3; i < weight.len; i++) {
        if (weight.ptr[i] != '.' && weight.ptr[i] != '0')
            return false;
    }
    return true;
}

bool sm_gzip_accepted(struct sm_str accept_encoding)
{
    bool any = false;
    while (accept_encoding.len) {
        struct sm_str weight = cut(&accept_encoding, ',');
        struct sm_str coding = cut(&weight, ';');
        if (equals(coding, "gzip") || equals(coding, "x-gzip"))
            return !refuses(weight);
        any |= equals(coding, "*") && !refuses(weight);
    }
    return any;
}
