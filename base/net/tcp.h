/* Listening sockets that hand out byte streams.
 *
 * Every TCP socket is opened with SO_REUSEPORT, so that each worker listens on the same port by itself and the kernel
 * spreads connections over them: no accept lock, no hand-over between threads. Sockets in the file system (unix_socket.h)
 * cannot do that: one is opened for all, and each worker accepts from it. Belongs to the loop's thread. */
#ifndef SM_NET_TCP_H
#define SM_NET_TCP_H

#include "base/net/loop.h"
#include "base/net/stream.h"

struct sm_tcp_listener;

/* Listens on `address`: "host:port", "1.2.3.4:port", "[v6]:port", or ":port", "*:port" and "[::]:port" for every IPv4 and
 * IPv6 address; or "@N": a listening socket that somebody else has opened, and closes after this listener. Port 0 lets the kernel choose; *port_bound (may be NULL) gets the number in any case. A name with several
 * addresses gets a socket for each. on_accept receives streams that are not reading yet and must set their events. */
struct sm_tcp_listener *sm_tcp_listen(struct sm_loop *loop, const char *address, uint16_t *port_bound,
                                      void (*on_accept)(void *ctx, struct sm_stream *stream), void *ctx,
                                      struct sm_err *err) SM_MUST_USE;

/* SM_OK when nobody listens on `address` ("unix:PATH", too) yet. SO_REUSEPORT would let a second process of the same user take half of the
 * connections without either noticing; so ask once at start, before the workers listen. */
enum sm_rc sm_tcp_check_free(const char *address, struct sm_err *err) SM_MUST_USE;

/* Stops accepting; sockets close in a later turn. Streams accepted before live on. */
void sm_tcp_listener_close(struct sm_tcp_listener *listener);

#endif
