#include "base/gzip.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <zlib.h>

/* What zlib makes of a whole gzip member; the caller frees. */
static uint8_t *inflated(const struct sm_buf *in, size_t size_max, size_t *size)
{
    uint8_t *out = malloc(size_max + 1);
    z_stream z = {.next_in = in->data, .avail_in = (uInt)in->size, .next_out = out, .avail_out = (uInt)size_max + 1};
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    cr_assert_eq(z.avail_in, 0, "one member and nothing behind it");
    *size = z.total_out;
    inflateEnd(&z);
    return out;
}

Test(gzip, pieces_come_back_as_one)
{
    enum { SIZE = 3 << 20 };
    char *text = malloc(SIZE);
    unsigned state = 1;
    for (size_t i = 0; i < SIZE; i++) { /* half of it compresses */
        state = state * 1664525 + 1013904223;
        text[i] = i % (1 << 20) < (1 << 19) ? 'a' : (char)(state >> 24);
    }
    struct sm_buf out = {0};
    struct sm_gzip *z = sm_gzip_new();
    size_t pieces[] = {0, 1, 70000, 1, SIZE - 70002}, at = 0;
    for (unsigned i = 0; i < SM_ARRAY_LEN(pieces); at += pieces[i++])
        sm_gzip_put(z, sm_str(text + at, pieces[i]), &out);
    sm_gzip_end(z, &out);
    cr_assert_lt(out.size, SIZE * 6 / 10);
    size_t size;
    uint8_t *back = inflated(&out, SIZE, &size);
    cr_assert_eq(size, SIZE);
    cr_assert_eq(memcmp(back, text, SIZE), 0);
    sm_gzip_free(z);
    sm_buf_fini(&out);
    free(back);
    free(text);
}

Test(gzip, nothing_is_an_empty_member)
{
    struct sm_buf out = {0};
    struct sm_gzip *z = sm_gzip_new();
    sm_gzip_end(z, &out);
    size_t size;
    free(inflated(&out, 10, &size));
    cr_assert_eq(size, 0);
    sm_gzip_free(z);
    sm_buf_fini(&out);
}
