/* Sockets in the file system. */
#include "base/net/unix_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

struct sm_unix_socket {
    int fd;
    char path[SM_UNIX_PATH_MAX + 1];
    dev_t device; /* of the file that we made */
    ino_t inode;
};

const char *sm_unix_path(const char *address)
{
    if (strncmp(address, "unix:", 5) != 0)
        return NULL;
    const char *path = address + 5;
    return strncmp(path, "///", 3) == 0 ? path + 2 : path;
}

static int open_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof address.sun_path > SM_UNIX_PATH_MAX, "room for the longest path");
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

/* 0 when somebody answers, else the errno. */
static int try_connect(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = open_socket();
    if (fd < 0)
        return errno;
    int error = connect(fd, (struct sockaddr *)&address, sizeof address) ? errno : 0;
    close(fd);
    return error;
}

enum sm_rc sm_unix_check_free(const char *path, struct sm_err *err)
{
    struct stat st;
    if (!*path || strlen(path) > SM_UNIX_PATH_MAX)
        return sm_err_set(err, SM_E_INVALID, "cannot listen on \"unix:%s\": a path has 1 to %d bytes", path, SM_UNIX_PATH_MAX);
    if (lstat(path, &st))
        return errno == ENOENT ? SM_OK : sm_err_set(err, SM_E_IO, "cannot listen on \"unix:%s\": %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return sm_err_set(err, SM_E_IO, "cannot listen on \"unix:%s\": something else than a socket is there", path);
    int error = try_connect(path);
    if (error == ECONNREFUSED)
        return SM_OK;
    return sm_err_set(err, SM_E_IO, "cannot listen on \"unix:%s\": %s", path,
                      error == 0 || error == EAGAIN ? strerror(EADDRINUSE) : strerror(error));
}

/* The mode is set before the file appears, as far as the umask lets, so that it is never wider than wanted. */
static bool bind_to(struct sm_unix_socket *s, unsigned mode)
{
    struct sockaddr_un address = address_of(s->path);
    struct stat st;
    bool ok = s->fd >= 0 && !fchmod(s->fd, mode) && !bind(s->fd, (struct sockaddr *)&address, sizeof address) &&
              !chmod(s->path, mode) && !listen(s->fd, BACKLOG) && !lstat(s->path, &st);
    if (!ok)
        return false;
    s->device = st.st_dev;
    s->inode = st.st_ino;
    return true;
}

struct sm_unix_socket *sm_unix_listen(const char *path, unsigned mode, struct sm_err *err)
{
    if (sm_unix_check_free(path, err) != SM_OK)
        return NULL;
    unlink(path); /* of a process that is gone; when nothing is there, nothing happens */
    struct sm_unix_socket *s = sm_xcalloc(1, sizeof *s);
    snprintf(s->path, sizeof s->path, "%s", path);
    s->fd = open_socket();
    if (bind_to(s, mode))
        return s;
    sm_err_set(err, SM_E_IO, "cannot listen on \"unix:%s\": %s", path, strerror(errno));
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return NULL;
}

int sm_unix_fd(const struct sm_unix_socket *s)
{
    return s->fd;
}

void sm_unix_close(struct sm_unix_socket *s)
{
    struct stat st;
    if (!s)
        return;
    if (!lstat(s->path, &st) && st.st_dev == s->device && st.st_ino == s->inode)
        unlink(s->path);
    close(s->fd);
    free(s);
}
