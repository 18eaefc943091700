/* Waking a thread that sleeps because its queues were empty, without a system call while it is awake.
 *
 * Consumer:                                     Producer:
 *     sm_wake_prepare(w);                           publish to the queue;
 *     if (queues are still empty)                   sm_wake_notify(w);
 *         sm_wake_wait(w, timeout);
 *     else
 *         sm_wake_cancel(w);
 *
 * Why nothing is missed: prepare and notify are both read-modify-write operations on one atomic, so one of them comes first.
 * If prepare does, notify sees the flag and signals. If notify does, prepare reads what notify wrote, and with it
 * everything published before: the look at the queues that follows finds the work. No fence is needed, and
 * ThreadSanitizer understands all of it.
 *
 * One consumer; any number of producers. Only the first notify after a prepare pays for the eventfd. A wait may return
 * without work (a notify that raced with a cancel): always look again. */
#ifndef SM_WAKE_H
#define SM_WAKE_H

#include "base/base.h"

#include <stdatomic.h>

struct sm_wake {
    _Atomic uint32_t asleep SM_ALIGNED_LINE; /* 1 between prepare and the first notify, the wait's end or the cancel */
    int fd;                                  /* non-blocking eventfd; may be watched by an event loop instead of wait */
};

/* SM_E_IO when the kernel has no descriptor left. */
enum sm_rc sm_wake_init(struct sm_wake *w, struct sm_err *err) SM_MUST_USE;
void sm_wake_fini(struct sm_wake *w);

/* Any thread, after publishing. */
void sm_wake_notify(struct sm_wake *w);

/* Consumer. */
void sm_wake_prepare(struct sm_wake *w);
void sm_wake_cancel(struct sm_wake *w);
/* Blocks until notified or for timeout_ns (negative: no limit; rounded up to milliseconds), then is awake. */
void sm_wake_wait(struct sm_wake *w, int64_t timeout_ns);
/* For an event loop that watches fd itself: call when fd became readable. Empties fd and marks the consumer awake. */
void sm_wake_acknowledge(struct sm_wake *w);

#endif
