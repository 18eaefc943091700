/* Reading files, whole or a part, and noticing that they changed. */
#include "base/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * SM_SEC + t.tv_nsec;
}

struct sm_file_stamp sm_file_stamp(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st))
        return (struct sm_file_stamp){0};
    return (struct sm_file_stamp){
        .device = st.st_dev,
        .inode = st.st_ino,
        .size = (uint64_t)st.st_size,
        .modified_ns = ns_of(st.st_mtim),
        .changed_ns = ns_of(st.st_ctim),
    };
}

bool sm_file_stamp_eq(const struct sm_file_stamp *a, const struct sm_file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified_ns == b->modified_ns &&
           a->changed_ns == b->changed_ns;
}

enum sm_rc sm_file_read(const char *path, size_t size_max, struct sm_buf *out, struct sm_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return sm_err_set(err, SM_E_IO, "%s: %s", path, strerror(errno));
    size_t before = out->size;
    size_t n = 1;
    while (n && out->size - before <= size_max) {
        sm_buf_reserve(out, SM_MIN(size_max + 1, (size_t)8192));
        n = fread(out->data + out->size, 1, out->capacity - out->size, f);
        out->size += n;
    }
    bool failed = ferror(f);
    int error = errno;
    fclose(f);
    if (failed)
        return sm_err_set(err, SM_E_IO, "%s: %s", path, strerror(error));
    if (out->size - before > size_max)
        return sm_err_set(err, SM_E_LIMIT, "%s: is larger than %zu bytes", path, size_max);
    return SM_OK;
}

enum sm_rc sm_file_read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
    for (uint8_t *p = bytes; size;) {
        ssize_t n = pread(fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? SM_E_INVALID : SM_E_IO;
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return SM_OK;
}
