/* openat for the store's files. Failures are errno's. */
#ifndef SM_OPEN_AT_H
#define SM_OPEN_AT_H

#include "base/base.h"

#include <fcntl.h>
#include <limits.h>

/* As openat, close-on-exec, new files with mode 0640. `name` is a name of ours in the directory. */
static inline int sm_open_at(int dir_fd, const char *name, int flags)
{
    flags |= O_CLOEXEC;
#ifdef SM_SANITIZED
    /* ThreadSanitizer follows descriptors by number. libuv closes sockets behind its back, and openat does not tell it that the
     * number has a new meaning, as open does. */
    char path[64 + NAME_MAX];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    return open(path, flags, 0640);
#else
    return openat(dir_fd, name, flags, 0640);
#endif
}

#endif
