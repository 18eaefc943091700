/* A growing byte buffer for start-up work (encoding the traffic before it is sent). Owned by whoever initialised it
 * with zeroes; bench_buf_free gives the memory back. Allocation failure aborts. */
#ifndef BENCH_BUF_H
#define BENCH_BUF_H

#include "base/base.h"

#include <stdlib.h>

struct bench_buf {
    uint8_t *ptr;
    size_t len;
    size_t capacity;
};

static inline uint8_t *bench_buf_room(struct bench_buf *b, size_t n)
{
    if (b->len + n > b->capacity) {
        b->capacity = SM_MAX(b->capacity * 2, b->len + n + 256);
        b->ptr = sm_xrealloc(b->ptr, b->capacity);
    }
    return b->ptr + b->len;
}

static inline void bench_buf_add(struct bench_buf *b, const void *bytes, size_t n)
{
    if (n) {
        memcpy(bench_buf_room(b, n), bytes, n);
        b->len += n;
    }
}

static inline void bench_buf_add_c(struct bench_buf *b, const char *terminated)
{
    bench_buf_add(b, terminated, strlen(terminated));
}

static inline void bench_buf_add_byte(struct bench_buf *b, uint8_t byte)
{
    *bench_buf_room(b, 1) = byte;
    b->len++;
}

void bench_buf_add_format(struct bench_buf *b, const char *format, ...) SM_PRINTF(2, 3);

static inline void bench_buf_clear(struct bench_buf *b)
{
    b->len = 0;
}

static inline void bench_buf_free(struct bench_buf *b)
{
    free(b->ptr);
    *b = (struct bench_buf){0};
}

#endif
