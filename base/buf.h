/* A growable byte buffer for cold paths: encoders, exports, HTTP responses, texts. Start zero-initialised; one thread at a time.
 *
 * Growth never fails (base allocation aborts when memory is exhausted), unless a limit was set: past it the buffer stays
 * as it is and `overflow` is set once and for all, so that a writer checks once at the end. */
#ifndef SM_BUF_H
#define SM_BUF_H

#include "base/base.h"

struct sm_buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t size_max; /* 0: no limit */
    bool overflow;
};

/* Frees the bytes and leaves an empty buffer. */
void sm_buf_fini(struct sm_buf *b);

/* Room for n more bytes at data + size; false (and overflow) past the limit. */
bool sm_buf_reserve(struct sm_buf *b, size_t n);

/* Append all or, past the limit, nothing. What is put must not lie in the buffer itself. */
void sm_buf_put(struct sm_buf *b, const void *bytes, size_t n);
void sm_buf_printf(struct sm_buf *b, const char *format, ...) SM_PRINTF(2, 3);

static inline void sm_buf_putc(struct sm_buf *b, char c)
{
    if (b->size < b->capacity)
        b->data[b->size++] = (uint8_t)c;
    else
        sm_buf_put(b, &c, 1);
}

static inline void sm_buf_put_str(struct sm_buf *b, struct sm_str s)
{
    sm_buf_put(b, s.ptr, s.len);
}

static inline void sm_buf_puts(struct sm_buf *b, const char *s)
{
    sm_buf_put(b, s, strlen(s));
}

static inline struct sm_str sm_buf_str(const struct sm_buf *b)
{
    return sm_str(b->data, b->size);
}

/* Empties it, keeps the memory. */
static inline void sm_buf_clear(struct sm_buf *b)
{
    b->size = 0;
    b->overflow = false;
}

#endif
