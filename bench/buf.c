#include "bench/buf.h"

void bench_buf_add_format(struct bench_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    SM_ASSERT(n >= 0);
    vsnprintf((char *)bench_buf_room(b, (size_t)n + 1), (size_t)n + 1, format, again);
    va_end(again);
    b->len += (size_t)n;
}
