#include "bench/options.h"

#include <stdlib.h>

void bench_options_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

double bench_options_real(const char *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end != text && (*end == 'k' || *end == 'm'))
        value *= *end++ == 'k' ? 1e3 : 1e6;
    if (end == text || *end || !(value >= 0 && value < 1e15))
        bench_options_fail("--%s: not a number: %s", option, text);
    return value;
}

uint64_t bench_options_count(const char *option, const char *text)
{
    return (uint64_t)bench_options_real(option, text);
}
