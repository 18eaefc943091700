#include "base/net/cells.h"

#include <criterion/criterion.h>

Test(cells, contents_survive_growing)
{
    struct sm_cells cells;
    sm_cells_init(&cells, 1 << 20);
    unsigned char *p = NULL;
    for (size_t size = 1; size < 20000; size = size * 3 / 2 + 1) {
        size_t before = p ? size / 2 : 0;
        p = sm_cells_realloc(&cells, p, size);
        cr_assert(p);
        cr_assert_eq((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < before && i < size * 2 / 3; i++)
            cr_assert_eq(p[i], (unsigned char)i);
        for (size_t i = 0; i < size; i++)
            p[i] = (unsigned char)i;
    }
    sm_cells_free(&cells, p);
    sm_cells_free(&cells, NULL);
    sm_cells_fini(&cells);
}

Test(cells, freed_cells_are_used_again_up_to_the_limit)
{
    struct sm_cells cells;
    sm_cells_init(&cells, 1000);
    void *cell[20];
    for (unsigned i = 0; i < 20; i++)
        cell[i] = sm_cells_malloc(&cells, 100);
    for (unsigned i = 0; i < 20; i++)
        sm_cells_free(&cells, cell[i]);
    cr_assert_leq(cells.idle_bytes, 1000);
#ifndef SM_SANITIZED
    cr_assert_eq(cells.idle_bytes, 7 * 128);
    void *last = cell[6];
    cr_assert_eq(sm_cells_malloc(&cells, 128), last);
    sm_cells_free(&cells, last);
#endif
    sm_cells_fini(&cells);
}

Test(cells, zeroed_and_overflowing)
{
    struct sm_cells cells;
    sm_cells_init(&cells, 1000);
    unsigned char *p = sm_cells_malloc(&cells, 200);
    memset(p, 0xff, 200);
    sm_cells_free(&cells, p);
    p = sm_cells_calloc(&cells, 10, 20);
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(p[i], 0);
    sm_cells_free(&cells, p);
    cr_assert_null(sm_cells_calloc(&cells, SIZE_MAX / 2, 3));
    cr_assert_null(sm_cells_malloc(&cells, SIZE_MAX));
    sm_cells_fini(&cells);
}
