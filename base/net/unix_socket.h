/* Listening sockets in the file system: "unix:/run/spanmill/otlp.sock". One is shared by every loop that accepts from it, as
 * there is no SO_REUSEPORT for them (tcp.h: "@N"). Cold path; the maker's thread. */
#ifndef SM_NET_UNIX_SOCKET_H
#define SM_NET_UNIX_SOCKET_H

#include "base/base.h"

enum { SM_UNIX_PATH_MAX = 107 };

struct sm_unix_socket;

/* The path in "unix:PATH" (also "unix:///PATH"), within the address; NULL: it is an address of another kind. */
const char *sm_unix_path(const char *address);

/* SM_OK when nobody listens on the path: nothing is there, or the socket of a process that is gone. */
enum sm_rc sm_unix_check_free(const char *path, struct sm_err *err) SM_MUST_USE;

/* Binds and listens. A socket that nobody listens on any more is replaced; anything else at the path is left alone and an
 * error. `mode`: permissions of the file, as for chmod; whoever may write to it may connect. */
struct sm_unix_socket *sm_unix_listen(const char *path, unsigned mode, struct sm_err *err) SM_MUST_USE;
int sm_unix_fd(const struct sm_unix_socket *s);
/* Closes it and removes the file, unless another one stands there by now. NULL is allowed. */
void sm_unix_close(struct sm_unix_socket *s);

#endif
