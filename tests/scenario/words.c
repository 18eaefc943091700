/* Values in scenario files. */
#include "words.h"

#include <errno.h>
#include <stdlib.h>

static int64_t unit_ns(const char *unit, size_t size)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},          {"us", SM_US},         {"ms", SM_MS},         {"s", SM_SEC},
                 {"m", 60 * SM_SEC}, {"h", 3600 * SM_SEC}, {"d", 86400 * SM_SEC}};
    for (size_t i = 0; i < SM_ARRAY_LEN(units); i++) {
        if (strlen(units[i].name) == size && strncmp(units[i].name, unit, size) == 0)
            return units[i].ns;
    }
    return 0;
}

bool words_duration(const char *text, int64_t *ns)
{
    const char *p = text + (*text == '-' || *text == '+');
    int64_t sum = 0;
    if (!*p)
        return false;
    while (*p) {
        char *end;
        errno = 0;
        double n = strtod(p, &end);
        size_t size = strcspn(end, "0123456789.");
        int64_t unit = size ? unit_ns(end, size) : 0;
        if (end == p || errno || (!unit && (n != 0 || *end)))
            return false;
        sum += (int64_t)(n * (double)unit);
        p = end + size;
    }
    *ns = *text == '-' ? -sum : sum;
    return true;
}

bool words_number(const char *text, uint64_t *n)
{
    char *end;
    errno = 0;
    *n = strtoull(text, &end, 10);
    if (end == text || errno || *text == '-')
        return false;
    if (strcmp(end, "KiB") == 0)
        *n *= SM_KIB;
    else if (strcmp(end, "MiB") == 0)
        *n *= SM_MIB;
    else if (*end)
        return false;
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t words_hex(const char *text, uint8_t *out, size_t size_max)
{
    size_t n = 0;
    for (; *text; text += 2, n++) {
        int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
        if (low < 0 || n == size_max)
            return SIZE_MAX;
        out[n] = (uint8_t)(high << 4 | low);
    }
    return n;
}
