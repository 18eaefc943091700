/* Addresses as users write them: "host:port", "1.2.3.4:port", "[v6]:port", and ":port", "*:port" or "[::]:port" for every IPv4
 * and IPv6 address; and the sockets that are bound to them. */
#ifndef SM_NET_ADDRESS_H
#define SM_NET_ADDRESS_H

#include "base/base.h"

struct addrinfo;

/* `socktype` is SOCK_STREAM or SOCK_DGRAM. Blocks when a name has to be looked up. Free the list with freeaddrinfo. */
enum sm_rc sm_address_resolve(const char *address, int socktype, struct addrinfo **found, struct sm_err *err) SM_MUST_USE;

void sm_address_set_port(const struct addrinfo *where, uint16_t port);

/* A bound, non-blocking socket, or -1 with errno. Shared: with SO_REUSEPORT. IPv6 sockets never take IPv4's place, so that both
 * can be bound. */
int sm_address_bind(const struct addrinfo *where, bool is_shared);
uint16_t sm_address_bound_port(int fd);

/* True for an errno of sm_address_bind that says that this machine lacks the address family. */
bool sm_address_family_is_missing(int error);

/* SM_OK when nobody has bound `address` yet. SO_REUSEPORT would let a second process of the same user take half of the traffic
 * without either noticing; so ask once at start, before the workers bind. */
enum sm_rc sm_address_check_free(const char *address, int socktype, struct sm_err *err) SM_MUST_USE;

#endif
