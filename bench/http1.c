#include "bench/http1.h"

#include <stdlib.h>
#include <strings.h>

static bool name_is(const char *line, size_t n, const char *name)
{
    size_t name_n = strlen(name);
    return n > name_n && line[name_n] == ':' && strncasecmp(line, name, name_n) == 0;
}

static struct sm_str value_of(const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    const char *end = line + n, *value = colon + 1;
    while (value < end && *value == ' ')
        value++;
    return sm_str(value, (size_t)(end - value));
}

static bool value_has(struct sm_str value, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= value.len; i++) {
        if (strncasecmp(value.ptr + i, word, n) == 0)
            return true;
    }
    return false;
}

static bool parse_length(struct sm_str value, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9' || *length > UINT32_MAX)
            return false;
        *length = *length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    return value.len > 0;
}

static bool parse_line(const char *line, size_t n, struct bench_http1_head *head)
{
    if (name_is(line, n, "content-length"))
        return parse_length(value_of(line, n), &head->content_length);
    if (name_is(line, n, "transfer-encoding"))
        head->chunked = value_has(value_of(line, n), "chunked");
    else if (name_is(line, n, "content-encoding"))
        head->gzip = value_has(value_of(line, n), "gzip");
    else if (name_is(line, n, "expect"))
        head->expects_continue = value_has(value_of(line, n), "100-continue");
    return true;
}

static bool parse_first_line(const char *line, size_t n, struct bench_http1_head *head)
{
    if (n >= 12 && memcmp(line, "HTTP/1.", 7) == 0) {
        head->status = (uint32_t)strtoul(line + 9, NULL, 10);
        return head->status >= 100 && head->status < 600;
    }
    const char *space = memchr(line, ' ', n);
    const char *second = space ? memchr(space + 1, ' ', n - (size_t)(space + 1 - line)) : NULL;
    if (!second)
        return false;
    head->method = sm_str(line, (size_t)(space - line));
    head->target = sm_str(space + 1, (size_t)(second - space - 1));
    return true;
}

enum sm_rc bench_http1_parse(const uint8_t *bytes, size_t n, struct bench_http1_head *head)
{
    const char *start = (const char *)bytes;
    const char *blank = memmem(start, n, "\r\n\r\n", 4);
    if (!blank)
        return n > 65536 ? SM_E_INVALID : SM_E_TRUNCATED;
    *head = (struct bench_http1_head){.bytes = (size_t)(blank - start) + 4};
    const char *line = start, *end = blank + 2;
    for (bool first = true; line < end; first = false) {
        const char *next = memmem(line, (size_t)(end - line), "\r\n", 2);
        size_t len = (size_t)(next - line);
        if (!(first ? parse_first_line(line, len, head) : parse_line(line, len, head)))
            return SM_E_INVALID;
        line = next + 2;
    }
    return SM_OK;
}
