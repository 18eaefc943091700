/* Receiving datagrams: many per system call, each into a payload of its own; nothing is ever sent.
 *
 * Every socket is opened with SO_REUSEPORT, so that each worker receives on the same port by itself and the kernel spreads
 * senders over them. What the kernel had to drop because nobody read in time is asked of it (SO_MEMINFO) each time that datagrams
 * were read. Belongs to the loop's thread. */
#ifndef SM_NET_UDP_H
#define SM_NET_UDP_H

#include "base/net/loop.h"
#include "base/payload.h"

struct sm_udp;

struct sm_udp_options {
    size_t datagram_bytes_max;   /* longer ones are cut by the kernel, and refused */
    size_t receive_buffer_bytes; /* SO_RCVBUF; the kernel may grant less (net.core.rmem_max) */
};

/* Called on the loop's thread. */
struct sm_udp_events {
    /* A datagram, with arrived_ns set. May take it (*payload = NULL); otherwise it is reused. */
    void (*datagram)(void *ctx, struct sm_payload **payload);
    void (*truncated)(void *ctx);                /* one that was longer than datagram_bytes_max */
    void (*kernel_drops)(void *ctx, uint32_t n); /* so many more were lost in front of us */
};

/* Address as in base/net/address.h; *port_bound gets the port number. NULL after filling *err. */
struct sm_udp *sm_udp_open(struct sm_loop *loop, const char *address, const struct sm_udp_options *options,
                           struct sm_payload_pool *pool, const struct sm_udp_events *events, void *ctx, uint16_t *port_bound,
                           struct sm_err *err) SM_MUST_USE;

/* As sm_tcp_check_free. */
enum sm_rc sm_udp_check_free(const char *address, struct sm_err *err) SM_MUST_USE;

/* Reads what has arrived and then no more; says what was dropped until then. */
void sm_udp_drain(struct sm_udp *udp);

/* Sockets close in a later turn of the loop; no events any more. NULL is allowed. */
void sm_udp_close(struct sm_udp *udp);

#endif
