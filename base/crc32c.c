/* CRC32C: SSE4.2 or ARMv8 instruction, else eight bytes at a time from tables. */
#include "base/crc32c.h"

#include <pthread.h>

#if defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

enum { POLYNOMIAL_REFLECTED = 0x82f63b78 };

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ (uint32_t)POLYNOMIAL_REFLECTED : c >> 1;
        tables[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
    }
}

uint32_t sm_crc32c_scalar(uint32_t crc, const void *bytes, size_t n)
{
    pthread_once(&tables_once, fill_tables);
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t v = sm_load_le64(p) ^ crc;
        crc = tables[7][v & 0xff] ^ tables[6][v >> 8 & 0xff] ^ tables[5][v >> 16 & 0xff] ^ tables[4][v >> 24 & 0xff] ^
              tables[3][v >> 32 & 0xff] ^ tables[2][v >> 40 & 0xff] ^ tables[1][v >> 48 & 0xff] ^ tables[0][v >> 56];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t c = ~crc;
    for (; n >= 8; n -= 8, p += 8)
        c = __builtin_ia32_crc32di(c, sm_load_le64(p));
    uint32_t c32 = (uint32_t)c;
    for (; n; n--, p++)
        c32 = __builtin_ia32_crc32qi(c32, *p);
    return ~c32;
}

uint32_t sm_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_sse42(crc, bytes, n) : sm_crc32c_scalar(crc, bytes, n);
}

#elif defined(__ARM_FEATURE_CRC32)

uint32_t sm_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t c = ~crc;
    for (; n >= 8; n -= 8, p += 8)
        c = __crc32cd(c, sm_load_le64(p));
    for (; n; n--, p++)
        c = __crc32cb(c, *p);
    return ~c;
}

#else

uint32_t sm_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    return sm_crc32c_scalar(crc, bytes, n);
}

#endif
