/* Positions of followed files, as text. */
#include "ingest/follow_positions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define HEAD "spanmill positions 1\n"

void sm_follow_positions_begin(struct sm_buf *out)
{
    sm_buf_puts(out, HEAD);
}

void sm_follow_positions_put(struct sm_buf *out, const struct sm_follow_position *p, const char *path)
{
    sm_buf_printf(out, "%llu %llu %u %016llx ", (unsigned long long)p->inode, (unsigned long long)p->offset, p->hashed,
                  (unsigned long long)p->hash);
    for (; *path; path++)
        sm_buf_putc(out, (unsigned char)*path < 0x20 ? '?' : *path);
    sm_buf_putc(out, '\n');
}

static bool take_number(const char **p, int base, uint64_t max, uint64_t *n)
{
    char *end;
    errno = 0;
    *n = strtoull(*p, &end, base);
    bool ok = end != *p && **p != '-' && **p != ' ' && *end == ' ' && errno == 0 && *n <= max;
    *p = end + 1;
    return ok;
}

static bool parse_line(const char *line, struct sm_follow_position *p)
{
    uint64_t hashed = 0;
    bool ok = take_number(&line, 10, UINT64_MAX, &p->inode) && take_number(&line, 10, INT64_MAX, &p->offset) &&
              take_number(&line, 10, SM_FOLLOW_HASHED_MAX, &hashed) && take_number(&line, 16, UINT64_MAX, &p->hash);
    p->hashed = (uint32_t)hashed;
    return ok;
}

static enum sm_rc parse_lines(char *text, struct sm_follow_position **positions, size_t *count)
{
    size_t capacity = 0;
    for (char *next, *line = text; *line; line = next) {
        char *newline = strchr(line, '\n');
        if (!newline || *count == SM_FOLLOW_POSITIONS_MAX)
            return SM_E_INVALID;
        *newline = '\0';
        next = newline + 1;
        if (*count == capacity) {
            capacity = SM_MAX(capacity * 2, (size_t)16);
            *positions = sm_xrealloc(*positions, capacity * sizeof **positions);
        }
        if (!parse_line(line, &(*positions)[(*count)++]))
            return SM_E_INVALID;
    }
    return SM_OK;
}

enum sm_rc sm_follow_positions_parse(struct sm_str text, struct sm_follow_position **positions, size_t *count)
{
    size_t head = sizeof HEAD - 1;
    *positions = NULL;
    *count = 0;
    if (text.len < head || memcmp(text.ptr, HEAD, head) != 0 || memchr(text.ptr, '\0', text.len))
        return SM_E_INVALID;
    char *copy = sm_xstrndup(text.ptr + head, text.len - head);
    enum sm_rc rc = parse_lines(copy, positions, count);
    free(copy);
    if (rc == SM_OK)
        return SM_OK;
    free(*positions);
    *positions = NULL;
    *count = 0;
    return rc;
}

static enum sm_rc io_error(const char *path, struct sm_err *err)
{
    return sm_err_set(err, errno == ENOENT ? SM_E_NOTFOUND : SM_E_IO, "%s: %s", path, strerror(errno));
}

enum sm_rc sm_follow_positions_load(const char *path, struct sm_follow_position **positions, size_t *count, struct sm_err *err)
{
    struct sm_buf buf = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *positions = NULL;
    *count = 0;
    if (fd < 0)
        return io_error(path, err);
    enum sm_rc rc = fstat(fd, &st) == 0 && st.st_size <= SM_FOLLOW_BYTES_MAX ? SM_OK : SM_E_INVALID;
    if (rc == SM_OK) {
        sm_buf_reserve(&buf, (size_t)st.st_size + 1);
        ssize_t n = read(fd, buf.data, (size_t)st.st_size);
        buf.size = n > 0 ? (size_t)n : 0;
        rc = sm_follow_positions_parse(sm_buf_str(&buf), positions, count);
    }
    close(fd);
    sm_buf_fini(&buf);
    return rc == SM_OK ? SM_OK : sm_err_set(err, rc, "%s: not a file of positions", path);
}

static bool write_all(int fd, struct sm_str text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return false;
        text = n > 0 ? sm_str(text.ptr + n, text.len - (size_t)n) : text;
    }
    return fdatasync(fd) == 0;
}

enum sm_rc sm_follow_positions_save(const char *path, struct sm_str text, struct sm_err *err)
{
    char other[4200];
    if ((size_t)snprintf(other, sizeof other, "%s.new", path) >= sizeof other)
        return sm_err_set(err, SM_E_LIMIT, "%.100s...: too long a path", path);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return io_error(other, err);
    bool written = write_all(fd, text);
    enum sm_rc rc = written ? SM_OK : io_error(other, err);
    close(fd);
    if (rc == SM_OK && rename(other, path) != 0)
        rc = io_error(path, err);
    return rc;
}

bool sm_follow_positions_hash(int fd, uint32_t n, uint64_t *hash)
{
    uint8_t bytes[SM_FOLLOW_HASHED_MAX];
    n = SM_MIN(n, (uint32_t)sizeof bytes);
    if (pread(fd, bytes, n, 0) != (ssize_t)n)
        return false;
    *hash = XXH3_64bits(bytes, n);
    return true;
}
