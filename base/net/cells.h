/* A cache in front of malloc for libraries that allocate per request (nghttp2: some seven times per stream): cells that
 * are freed are kept for the next request, so that steady traffic allocates nothing.
 *
 * One thread. Sizes are rounded up to powers of two; cells above SM_CELLS_SIZE_MAX go to malloc and back. At most
 * idle_bytes_max are kept, the rest is freed. Sanitizer builds keep nothing, so that misuse is seen. */
#ifndef SM_NET_CELLS_H
#define SM_NET_CELLS_H

#include "base/base.h"

enum { SM_CELLS_SIZE_MIN = 64, SM_CELLS_SIZE_MAX = 4096, SM_CELLS_CLASSES = 7 };

struct sm_cells {
    struct sm_cell *idle[SM_CELLS_CLASSES];
    size_t idle_bytes;
    size_t idle_bytes_max;
};

void sm_cells_init(struct sm_cells *cells, size_t idle_bytes_max);
/* Frees what is idle. Cells that are still out must not be freed afterwards. */
void sm_cells_fini(struct sm_cells *cells);

/* Like malloc, calloc, realloc and free; NULL when memory is exhausted. Contents are undefined except with calloc. */
void *sm_cells_malloc(struct sm_cells *cells, size_t size) SM_MUST_USE;
void *sm_cells_calloc(struct sm_cells *cells, size_t n, size_t size) SM_MUST_USE;
void *sm_cells_realloc(struct sm_cells *cells, void *p, size_t size) SM_MUST_USE;
void sm_cells_free(struct sm_cells *cells, void *p);

#endif
