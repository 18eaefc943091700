/* A deflate stream of zlib. */
#include "base/gzip.h"

#include <stdlib.h>
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
