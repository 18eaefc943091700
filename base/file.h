/* Small files that are read whole: certificates, tokens; reading a part of any file. Cold path, any thread. */
#ifndef SM_FILE_H
#define SM_FILE_H

#include "base/base.h"
#include "base/buf.h"

/* What tells one content of a path from another without reading it: links are followed, so that a secret that is swapped by
 * a symbolic link counts as changed. All zero: there is no such file. */
struct sm_file_stamp {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};

/* path NULL: all zero. */
struct sm_file_stamp sm_file_stamp(const char *path);
bool sm_file_stamp_eq(const struct sm_file_stamp *a, const struct sm_file_stamp *b);

/* What became of looking at files that may have changed. */
enum sm_reload { SM_RELOAD_NOTHING, SM_RELOAD_DONE, SM_RELOAD_FAILED };

/* Appends the content. SM_E_LIMIT: larger than size_max bytes; SM_E_IO: the system said no; *err names the file. */
enum sm_rc sm_file_read(const char *path, size_t size_max, struct sm_buf *out, struct sm_err *err) SM_MUST_USE;

/* Reads `size` bytes from `offset` on, wherever the file's position is. SM_E_INVALID: it ends before; SM_E_IO: the system said no. */
enum sm_rc sm_file_read_at(int fd, void *bytes, size_t size, uint64_t offset) SM_MUST_USE;

#endif
