#include "base/crc32c.h"

#include <criterion/criterion.h>

Test(crc32c, known_values)
{
    uint8_t zeros[32] = {0}, ones[32], rising[32];
    memset(ones, 0xff, sizeof ones);
    for (unsigned i = 0; i < sizeof rising; i++)
        rising[i] = (uint8_t)i;
    cr_assert_eq(sm_crc32c(0, "123456789", 9), 0xe3069283);
    cr_assert_eq(sm_crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    cr_assert_eq(sm_crc32c(0, ones, 32), 0x62a8ab43);
    cr_assert_eq(sm_crc32c(0, rising, 32), 0x46dd794e);
    cr_assert_eq(sm_crc32c(0, NULL, 0), 0);
}

Test(crc32c, scalar_twin_agrees_at_every_length_and_offset)
{
    uint8_t bytes[80];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (unsigned from = 0; from < 9; from++) {
        for (unsigned n = 0; from + n <= sizeof bytes; n++)
            cr_assert_eq(sm_crc32c(7, bytes + from, n), sm_crc32c_scalar(7, bytes + from, n));
    }
}

Test(crc32c, pieces_chain)
{
    cr_assert_eq(sm_crc32c(sm_crc32c(0, "12345", 5), "6789", 4), 0xe3069283);
}
