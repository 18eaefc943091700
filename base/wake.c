/* Wake-up by eventfd, paid for only when the consumer said that it is about to sleep. */
#include "base/wake.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum sm_rc sm_wake_init(struct sm_wake *w, struct sm_err *err)
{
    atomic_init(&w->asleep, 0);
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->fd < 0)
        return sm_err_set(err, SM_E_IO, "eventfd: %s", strerror(errno));
    return SM_OK;
}

void sm_wake_fini(struct sm_wake *w)
{
    close(w->fd);
    w->fd = -1;
}

static void signal_fd(struct sm_wake *w)
{
    uint64_t one = 1;
    ssize_t n = write(w->fd, &one, sizeof one);
    SM_ASSERT(n == sizeof one || errno == EAGAIN); /* EAGAIN: 2^64 - 2 signals unread; it is readable then */
}

void sm_wake_notify(struct sm_wake *w)
{
    if (SM_LIKELY(atomic_fetch_add_explicit(&w->asleep, 0, memory_order_acq_rel) == 0))
        return;
    if (atomic_exchange_explicit(&w->asleep, 0, memory_order_acq_rel) == 1)
        signal_fd(w);
}

void sm_wake_prepare(struct sm_wake *w)
{
    atomic_exchange_explicit(&w->asleep, 1, memory_order_acq_rel);
}

void sm_wake_cancel(struct sm_wake *w)
{
    atomic_exchange_explicit(&w->asleep, 0, memory_order_acq_rel); /* a plain store would cut the chain that prepare relies on */
}

void sm_wake_acknowledge(struct sm_wake *w)
{
    uint64_t count;
    ssize_t n = read(w->fd, &count, sizeof count);
    SM_ASSERT(n == sizeof count || errno == EAGAIN || errno == EINTR);
    sm_wake_cancel(w);
}

static int timeout_ms(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return -1;
    int64_t ms = timeout_ns / SM_MS + (timeout_ns % SM_MS != 0);
    return (int)SM_MIN(ms, INT_MAX);
}

void sm_wake_wait(struct sm_wake *w, int64_t timeout_ns)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    int n = poll(&p, 1, timeout_ms(timeout_ns));
    SM_ASSERT(n >= 0 || errno == EINTR);
    sm_wake_acknowledge(w);
}
