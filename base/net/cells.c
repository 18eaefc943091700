/* Free lists of power-of-two cells; each cell remembers its size in front of what the caller gets. */
#include "base/net/cells.h"

#include <stdalign.h>
#include <stdlib.h>

struct sm_cell {
    alignas(16) size_t size; /* usable bytes */
    struct sm_cell *next;    /* while idle */
};

_Static_assert(SM_CELLS_SIZE_MIN << (SM_CELLS_CLASSES - 1) == SM_CELLS_SIZE_MAX, "classes cover the sizes");

static struct sm_cell *cell_of(void *p)
{
    return (struct sm_cell *)((char *)p - sizeof(struct sm_cell));
}

static void *memory_of(struct sm_cell *cell)
{
    return cell ? (char *)cell + sizeof *cell : NULL;
}

/* SM_CELLS_CLASSES: not cached. */
static unsigned class_of(size_t size)
{
#ifdef SM_SANITIZED
    (void)size;
    return SM_CELLS_CLASSES;
#else
    if (size > SM_CELLS_SIZE_MAX)
        return SM_CELLS_CLASSES;
    if (size <= SM_CELLS_SIZE_MIN)
        return 0;
    return (unsigned)(__builtin_clz(SM_CELLS_SIZE_MIN - 1) - __builtin_clz((unsigned)size - 1));
#endif
}

static struct sm_cell *cell_new(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct sm_cell))
        return NULL;
    struct sm_cell *cell = malloc(sizeof *cell + size);
    if (cell)
        cell->size = size;
    return cell;
}

void sm_cells_init(struct sm_cells *cells, size_t idle_bytes_max)
{
    memset(cells, 0, sizeof *cells);
    cells->idle_bytes_max = idle_bytes_max;
}

void sm_cells_fini(struct sm_cells *cells)
{
    for (unsigned i = 0; i < SM_CELLS_CLASSES; i++) {
        while (cells->idle[i]) {
            struct sm_cell *cell = cells->idle[i];
            cells->idle[i] = cell->next;
            free(cell);
        }
    }
}

void *sm_cells_malloc(struct sm_cells *cells, size_t size)
{
    unsigned class = class_of(size);
    if (class == SM_CELLS_CLASSES)
        return memory_of(cell_new(size));
    struct sm_cell *cell = cells->idle[class];
    if (!cell)
        return memory_of(cell_new((size_t)SM_CELLS_SIZE_MIN << class));
    cells->idle[class] = cell->next;
    cells->idle_bytes -= cell->size;
    return memory_of(cell);
}

void *sm_cells_calloc(struct sm_cells *cells, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    void *p = sm_cells_malloc(cells, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *sm_cells_realloc(struct sm_cells *cells, void *p, size_t size)
{
    if (p && cell_of(p)->size >= size)
        return p;
    void *larger = sm_cells_malloc(cells, size);
    if (!larger || !p)
        return larger;
    memcpy(larger, p, cell_of(p)->size);
    sm_cells_free(cells, p);
    return larger;
}

void sm_cells_free(struct sm_cells *cells, void *p)
{
    if (!p)
        return;
    struct sm_cell *cell = cell_of(p);
    unsigned class = class_of(cell->size);
    if (class == SM_CELLS_CLASSES || cells->idle_bytes + cell->size > cells->idle_bytes_max) {
        free(cell);
        return;
    }
    cell->next = cells->idle[class];
    cells->idle[class] = cell;
    cells->idle_bytes += cell->size;
}
