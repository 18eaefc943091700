/* Posting lists as roaring bitmaps: writing, checking, reading. */
#include "store/posting.h"

/* RoaringFormatSpec: cookies, container kinds. */
enum { COOKIE_NO_RUNS = 12346, COOKIE_RUNS = 12347, OFFSETS_FROM = 4, ARRAY_MAX = 4096, BITSET_BYTES = 8192 };

uint32_t sm_posting_write(const uint32_t *ordinals, uint32_t count, struct sm_buf *out)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_of_ptr(count, ordinals);
    SM_ASSERT(bitmap);
    roaring_bitmap_run_optimize(bitmap);
    size_t size = roaring_bitmap_portable_size_in_bytes(bitmap);
    sm_buf_reserve(out, size);
    roaring_bitmap_portable_serialize(bitmap, (char *)out->data + out->size);
    out->size += size;
    roaring_bitmap_free(bitmap);
    return (uint32_t)size;
}

struct cursor {
    const uint8_t *p, *end;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
    if ((size_t)(c->end - c->p) < n)
        return NULL;
    const uint8_t *at = c->p;
    c->p += n;
    return at;
}

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)(p[0] | p[1] << 8);
}

static bool array_valid(struct cursor *c, uint32_t cardinality)
{
    const uint8_t *values = take(c, cardinality * 2u);
    for (uint32_t i = 1; values && i < cardinality; i++) {
        if (le16(values + i * 2) <= le16(values + i * 2 - 2))
            return false;
    }
    return values;
}

static bool bitset_valid(struct cursor *c, uint32_t cardinality)
{
    const uint8_t *words = take(c, BITSET_BYTES);
    uint32_t bits = 0;
    for (uint32_t i = 0; words && i < BITSET_BYTES; i += 8)
        bits += (uint32_t)__builtin_popcountll(sm_load_le64(words + i));
    return words && bits == cardinality;
}

/* Runs of (start, length - 1), ascending, with gaps between them. */
static bool runs_valid(struct cursor *c, uint32_t cardinality)
{
    const uint8_t *head = take(c, 2);
    if (!head)
        return false;
    uint32_t count = le16(head), next = 0, total = 0;
    const uint8_t *runs = take(c, count * 4u);
    for (uint32_t i = 0; runs && i < count; i++) {
        uint32_t start = le16(runs + i * 4), length = le16(runs + i * 4 + 2) + 1;
        if (start < next || start + length > 65536)
            return false;
        next = start + length + 1;
        total += length;
    }
    return runs && total == cardinality;
}

static bool keys_ascend(const uint8_t *descriptions, uint32_t containers)
{
    for (uint32_t i = 1; i < containers; i++) {
        if (le16(descriptions + i * 4) <= le16(descriptions + i * 4 - 4))
            return false;
    }
    return true;
}

static bool containers_valid(struct cursor *c, const uint8_t *descriptions, const uint8_t *run_flags, uint32_t containers)
{
    for (uint32_t i = 0; i < containers; i++) {
        uint32_t cardinality = le16(descriptions + i * 4 + 2) + 1;
        bool is_run = run_flags && run_flags[i / 8] >> (i % 8) & 1;
        bool ok = is_run ? runs_valid(c, cardinality)
                         : (cardinality <= ARRAY_MAX ? array_valid(c, cardinality) : bitset_valid(c, cardinality));
        if (!ok)
            return false;
    }
    return c->p == c->end;
}

bool sm_posting_valid(const uint8_t *bytes, size_t size)
{
    struct cursor c = {bytes, bytes + size};
    const uint8_t *head = take(&c, 4), *run_flags = NULL;
    if (!head)
        return false;
    uint32_t cookie = sm_load_le32(head), containers;
    if ((cookie & 0xffff) == COOKIE_RUNS) {
        containers = (cookie >> 16) + 1;
        run_flags = take(&c, (containers + 7) / 8);
        if (!run_flags)
            return false;
    } else {
        const uint8_t *count = take(&c, 4);
        if (cookie != COOKIE_NO_RUNS || !count)
            return false;
        containers = sm_load_le32(count);
        if (containers > 65536)
            return false;
    }
    const uint8_t *descriptions = take(&c, containers * 4u);
    if (!descriptions || !keys_ascend(descriptions, containers))
        return false;
    if ((!run_flags || containers >= OFFSETS_FROM) && !take(&c, containers * 4u))
        return false;
    return containers_valid(&c, descriptions, run_flags, containers);
}

roaring_bitmap_t *sm_posting_read(const uint8_t *bytes, size_t size, uint32_t limit)
{
    if (!sm_posting_valid(bytes, size))
        return NULL;
    roaring_bitmap_t *bitmap = roaring_bitmap_portable_deserialize_safe((const char *)bytes, size);
    if (bitmap && !roaring_bitmap_is_empty(bitmap) && roaring_bitmap_maximum(bitmap) >= limit) {
        roaring_bitmap_free(bitmap);
        return NULL;
    }
    return bitmap;
}
