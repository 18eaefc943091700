/* Base64 on its way in. */
#include "base/base64.h"

static uint8_t digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : 0xff;
}

uint8_t *sm_base64_decode(struct sm_str text, uint8_t *out)
{
    uint32_t bits = 0;
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    if (text.len % 4 == 1)
        return NULL;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = digit_of(text.ptr[i]);
        if (digit > 63)
            return NULL;
        bits = bits << 6 | digit;
        if (i % 4)
            *out++ = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    return out;
}
