/* A ZeroMQ socket on an event loop.
 *
 * The descriptor that libzmq gives out (ZMQ_FD) says that something happened inside, not that there is a message: it is quiet again
 * once the socket has looked, whatever is left to receive, and any call on the socket looks. Hence `turn` is called until it has
 * found nothing, in portions that leave other sockets their time. Belongs to the loop's thread. */
#ifndef SM_ZEROMQ_WATCH_H
#define SM_ZEROMQ_WATCH_H

#include "base/net/loop.h"

struct sm_zeromq_watch;

/* Receives one message without waiting; false when there was none (EAGAIN), or after sm_zeromq_watch_pause. */
typedef bool sm_zeromq_turn(void *ctx);

/* `socket` stays the caller's, who closes it after the watch. NULL after filling *err. */
struct sm_zeromq_watch *sm_zeromq_watch_new(struct sm_loop *loop, void *socket, sm_zeromq_turn *turn, void *ctx,
                                            struct sm_err *err) SM_MUST_USE;
/* No turns until resumed; what has arrived is looked at then. */
void sm_zeromq_watch_pause(struct sm_zeromq_watch *w);
void sm_zeromq_watch_resume(struct sm_zeromq_watch *w);
/* Its handles close in a later turn of the loop. NULL is allowed. */
void sm_zeromq_watch_free(struct sm_zeromq_watch *w);

#endif
