#include "base/net/snappy.h"

#include "base/buf.h"
#include "base/net/inflate.h"

#include <criterion/criterion.h>
#include <snappy-c.h>
#include <stdlib.h>

#define IDENTIFIER "\xff\x06\x00\x00sNaPpY"

static struct sm_inflater *inflater;
static struct sm_payload_pool *pool;

static void set_up(void)
{
    inflater = sm_inflater_new();
    pool = sm_payload_pool_new(1 << 20);
}

static void tear_down(void)
{
    sm_inflater_free(inflater);
    sm_payload_pool_free(pool);
}

TestSuite(snappy, .init = set_up, .fini = tear_down);

/* Both as python-snappy writes them. */
#define PLAIN_XYZ  "\x01\x07\x00\x00\x1e\x35\x8d\x73xyz"
#define PACKED_XYZ "\x00\x0f\x00\x00\x39\x97\x71\x86\x5a\x08xyz\xfe\x03\x00\x5a\x03\x00" /* thirty times */

static enum sm_rc inflate(const void *bytes, size_t n, struct sm_buf *out)
{
    struct sm_payload *p = NULL;
    enum sm_rc rc = sm_inflate(inflater, SM_CODING_SNAPPY, sm_str(bytes, n), NULL, pool, &p);
    sm_buf_clear(out);
    if (rc == SM_OK) {
        sm_buf_put(out, p->data, p->size);
        sm_payload_put(p);
    }
    return rc;
}

/* The text that comes out, or why none does. */
static void expect(const void *bytes, size_t n, enum sm_rc rc, const char *text, size_t times)
{
    struct sm_buf out = {0};
    cr_assert_eq(inflate(bytes, n, &out), rc);
    cr_assert_eq(out.size, rc == SM_OK ? strlen(text) * times : 0);
    for (size_t i = 0; rc == SM_OK && i < times; i++)
        cr_assert_eq(memcmp(out.data + i * strlen(text), text, strlen(text)), 0);
    sm_buf_fini(&out);
}

#define EXPECT(literal, text, times) expect(literal, sizeof(literal) - 1, SM_OK, text, times)
#define REFUSE(literal, rc)          expect(literal, sizeof(literal) - 1, rc, "", 0)

Test(snappy, a_block)
{
    EXPECT("\x5a\x08xyz\xfe\x03\x00\x5a\x03\x00", "xyz", 30);
    EXPECT("\x03\x08xyz", "xyz", 1);
    EXPECT("\x00", "", 0);
}

Test(snappy, a_block_that_begins_like_a_stream_is_a_block)
{
    char plain[895], packed[2000];
    size_t n = sizeof packed;
    memset(plain, 0, sizeof plain); /* 895 is ff 06 as a varint, a literal of one byte 00 and the byte follow */
    cr_assert_eq(snappy_compress(plain, sizeof plain, packed, &n), SNAPPY_OK);
    cr_assert_eq(memcmp(packed, "\xff\x06\x00\x00", 4), 0);
    struct sm_buf out = {0};
    cr_assert_eq(inflate(packed, n, &out), SM_OK);
    cr_expect_eq(out.size, sizeof plain);
    sm_buf_fini(&out);
}

Test(snappy, chunks)
{
    EXPECT(IDENTIFIER, "", 0);
    EXPECT(IDENTIFIER PLAIN_XYZ, "xyz", 1);
    EXPECT(IDENTIFIER PACKED_XYZ, "xyz", 30);
    EXPECT(IDENTIFIER PLAIN_XYZ PACKED_XYZ PLAIN_XYZ, "xyz", 32);
    EXPECT(IDENTIFIER PLAIN_XYZ IDENTIFIER PLAIN_XYZ, "xyz", 2);
    EXPECT(IDENTIFIER "\xfe\x04\x00\x00pad!" PLAIN_XYZ "\x80\x01\x00\x00s\xfd\x00\x00\x00", "xyz", 1);
}

Test(snappy, chunks_that_are_wrong)
{
    REFUSE(PLAIN_XYZ, SM_E_INVALID);                                           /* no identifier: taken for a block */
    REFUSE(IDENTIFIER "\x01\x07\x00\x00\x1f\x35\x8d\x73xyz", SM_E_INVALID); /* checksum */
    REFUSE(IDENTIFIER "\x00\x0f\x00\x00\x38\x97\x71\x86\x5a\x08xyz\xfe\x03\x00\x5a\x03\x00", SM_E_INVALID);
    REFUSE(IDENTIFIER "\x01\x03\x00\x00\x1e\x35\x8d", SM_E_INVALID); /* no room for one */
    REFUSE(IDENTIFIER "\x02\x01\x00\x00x", SM_E_INVALID);             /* reserved, not to be passed over */
    REFUSE(IDENTIFIER "\x7f\x00\x00\x00", SM_E_INVALID);
    REFUSE(IDENTIFIER "\xff\x06\x00\x00sNaPpX", SM_E_INVALID);
    REFUSE(IDENTIFIER "\xff\x00\x00\x00", SM_E_INVALID);
    REFUSE(IDENTIFIER PLAIN_XYZ "\x01\x07\x00", SM_E_TRUNCATED);
    REFUSE(IDENTIFIER "\x01\x07\x00\x00\x1e\x35\x8d\x73xy", SM_E_TRUNCATED);
}

/* What a block claims is believed as far as its bytes can go: a byte yields 22 at most. */
Test(snappy, false_claims_of_size)
{
    REFUSE("\xff\xff\xff\xff\x0f\x08xyz", SM_E_INVALID);
    REFUSE("\x04\x08xyz", SM_E_INVALID);
    REFUSE("\x02\x08xyz", SM_E_INVALID);
    REFUSE("\xff\xff\xff\xff\xff\x0f", SM_E_INVALID);
    cr_assert_leq(sm_payload_pool_bytes_out(pool), 64 * SM_KIB);
    struct sm_inflate_limits tight = {.bytes_max = 200, .ratio_max = UINT32_MAX};
    struct sm_payload *p = NULL;
    cr_expect_eq(sm_inflate(inflater, SM_CODING_SNAPPY, SM_STR("\xff\x01\x08xyz"), &tight, pool, &p), SM_E_INVALID, "255 of 6");
    cr_expect_eq(sm_inflate(inflater, SM_CODING_SNAPPY, SM_STR("\xff\x01\x08xyzxyzxyz"), &tight, pool, &p), SM_E_LIMIT, "of 12");
}

/* 64 KiB is what a chunk may hold, not a byte more. */
Test(snappy, large_chunks)
{
    struct sm_buf in = {0};
    char *plain = calloc(1, 65537);
    for (size_t n = 65536; n <= 65537; n++) {
        size_t head = sizeof IDENTIFIER - 1 + 8, packed = snappy_max_compressed_length(n);
        sm_buf_clear(&in);
        sm_buf_put(&in, IDENTIFIER, sizeof IDENTIFIER - 1);
        sm_buf_put(&in, "\0\0\0\0\x59\xd0\xcb\x2b", 8); /* checksum of 65,536 zeros */
        char *out = malloc(packed);
        cr_assert_eq(snappy_compress(plain, n, out, &packed), SNAPPY_OK);
        sm_buf_put(&in, out, packed);
        sm_store_le32((char *)in.data + head - 8, (uint32_t)(packed + 4) << 8);
        struct sm_buf got = {0};
        cr_expect_eq(inflate(in.data, in.size, &got), n == 65536 ? SM_OK : SM_E_INVALID, "%zu", n);
        sm_buf_fini(&got);
        free(out);
    }
    sm_buf_fini(&in);
    free(plain);
}
