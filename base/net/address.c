/* Resolving and binding addresses. */
#include "base/net/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whole numbers up to 65535 only: getaddrinfo would take larger ones modulo 65536. */
static bool is_port(const char *text)
{
    unsigned port = 0;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || port > UINT16_MAX)
            return false;
        port = port * 10 + (unsigned)(*at - '0');
    }
    return *text && port <= UINT16_MAX;
}

/* Splits "host:port" and "[v6]:port"; an empty host, "*" or "[::]" means every address. */
static enum sm_rc split_address(const char *address, char *host, size_t host_size, const char **port,
                                struct sm_err *err)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !is_port(colon + 1))
        return sm_err_set(err, SM_E_INVALID, "address \"%s\": expected host:port with a port up to 65535", address);
    struct sm_str name = sm_str(address, (size_t)(colon - address));
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = sm_str(name.ptr + 1, name.len - 2);
    if (sm_str_eq(name, SM_STR("*")) || sm_str_eq(name, SM_STR("::")))
        name.len = 0;
    if (name.len >= host_size)
        return sm_err_set(err, SM_E_INVALID, "address \"%s\": host name too long", address);
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    *port = colon + 1;
    return SM_OK;
}

enum sm_rc sm_address_resolve(const char *address, int socktype, struct addrinfo **found, struct sm_err *err)
{
    char host[256];
    const char *port = NULL;
    enum sm_rc rc = split_address(address, host, sizeof host, &port, err);
    if (rc != SM_OK)
        return rc;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = socktype, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int failed = getaddrinfo(host[0] ? host : NULL, port, &hints, found);
    if (failed)
        return sm_err_set(err, SM_E_INVALID, "address \"%s\": %s", address, gai_strerror(failed));
    return SM_OK;
}

void sm_address_set_port(const struct addrinfo *where, uint16_t port)
{
    struct sockaddr *address = where->ai_addr;
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

uint16_t sm_address_bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len))
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

int sm_address_bind(const struct addrinfo *where, bool is_shared)
{
    int fd = socket(where->ai_family, where->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    bool is_stream = where->ai_socktype == SOCK_STREAM; /* for datagrams SO_REUSEADDR would let anyone take the port over */
    bool ok = (!is_stream || !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) &&
              (!is_shared || !setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on)) &&
              (where->ai_family != AF_INET6 || !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) &&
              !bind(fd, where->ai_addr, where->ai_addrlen);
    if (!ok) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

bool sm_address_family_is_missing(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

enum sm_rc sm_address_check_free(const char *address, int socktype, struct sm_err *err)
{
    struct addrinfo *found = NULL;
    enum sm_rc rc = sm_address_resolve(address, socktype, &found, err);
    for (struct addrinfo *where = found; where && rc == SM_OK; where = where->ai_next) {
        int fd = sm_address_bind(where, false);
        if (fd >= 0)
            close(fd);
        else if (!sm_address_family_is_missing(errno))
            rc = sm_err_set(err, SM_E_IO, "cannot listen on \"%s\": %s", address, strerror(errno));
    }
    if (found)
        freeaddrinfo(found);
    return rc;
}
