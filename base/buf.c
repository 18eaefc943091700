/* Growable byte buffer. */
#include "base/buf.h"

#include <stdlib.h>

void sm_buf_fini(struct sm_buf *b)
{
    free(b->data);
    *b = (struct sm_buf){0};
}

bool sm_buf_reserve(struct sm_buf *b, size_t n)
{
    if (b->overflow)
        return false;
    if (n <= b->capacity - b->size)
        return true;
    if (b->size_max && n > b->size_max - SM_MIN(b->size, b->size_max)) {
        b->overflow = true;
        return false;
    }
    size_t capacity = SM_MAX(b->capacity * 2, (size_t)256);
    while (capacity - b->size < n)
        capacity *= 2;
    b->data = sm_xrealloc(b->data, capacity);
    b->capacity = capacity;
    return true;
}

void sm_buf_put(struct sm_buf *b, const void *bytes, size_t n)
{
    if (n && sm_buf_reserve(b, n)) {
        memcpy(b->data + b->size, bytes, n);
        b->size += n;
    }
}

void sm_buf_printf(struct sm_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n <= 0 || !sm_buf_reserve(b, (size_t)n + 1))
        return;
    va_start(args, format);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, format, args);
    va_end(args);
    b->size += (size_t)n;
}
