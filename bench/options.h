/* Numbers from the command line: "200000", "200k", "1.5m" (thousands and millions). Prints what is wrong and exits
 * with 2. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "base/base.h"

uint64_t bench_options_count(const char *option, const char *text);
double bench_options_real(const char *option, const char *text);
void bench_options_fail(const char *format, ...) SM_PRINTF(1, 2) SM_NORETURN;

#endif
