#include "base/slab.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(slab, classes_waste_little_and_chunks_are_disjoint)
{
    struct sm_slab *slab = sm_slab_new();
    for (size_t size = 1; size <= SM_SLAB_CHUNK_MAX; size += 37) {
        uint32_t usable = 0;
        uint8_t *p = sm_slab_alloc(slab, size, &usable);
        cr_assert_not_null(p);
        cr_assert_geq(usable, size);
        cr_assert_eq((uintptr_t)p % 16, 0);
        if (size >= 256 && size <= 4096)
            cr_assert_leq(usable, size + size / 8 + 1, "size %zu got %u", size, usable);
        memset(p, 0xaa, usable);
        sm_slab_release(slab, p, usable);
    }
    cr_assert_eq(sm_slab_bytes_used(slab), 0);
    sm_slab_free(slab);
}

/* Random allocation and release; every chunk keeps its own contents. */
Test(slab, random_use_keeps_contents_and_comes_home)
{
    enum { N = 4000 };
    static uint8_t *chunks[N];
    static uint32_t sizes[N];
    struct sm_slab *slab = sm_slab_new();
    srand(7);
    for (int round = 0; round < 60000; round++) {
        int i = rand() % N;
        if (chunks[i]) {
            for (uint32_t k = 0; k < sizes[i]; k += 61)
                cr_assert_eq(chunks[i][k], (uint8_t)i);
            sm_slab_release(slab, chunks[i], sizes[i]);
            chunks[i] = NULL;
        } else {
            size_t size = 40 + (size_t)(rand() % (rand() % 50 == 0 ? 60000 : 3000));
            chunks[i] = sm_slab_alloc(slab, size, &sizes[i]);
            memset(chunks[i], i, sizes[i]);
        }
    }
    for (int i = 0; i < N; i++) {
        if (chunks[i])
            sm_slab_release(slab, chunks[i], sizes[i]);
    }
    cr_assert_eq(sm_slab_bytes_used(slab), 0);
    sm_slab_trim(slab, 0);
    cr_assert_leq(sm_slab_bytes_held(slab), 64 * SM_MIB, "pages held as current ones pin few blocks");
    sm_slab_free(slab);
}
