/* One event loop per thread: sockets, repeating timers, messages from other threads, and a hook after each batch of
 * I/O.
 *
 * A loop belongs to the thread that calls sm_loop_run (before the first run: to whoever sets it up). Every function
 * here is for that thread, except the four marked "any thread".
 *
 * Sleeping. The loop announces that it is about to block (base/wake.h); only then does a post from another thread cost
 * a system call, and only the first one does. The same rule serves rings that the owner reads in its hook: the producer
 * publishes to the ring, then calls sm_loop_wake.
 *
 * Time is read at most once per turn of the loop (sm_loop_wall_ns); the clock can be replaced in tests. */
#ifndef SM_NET_LOOP_H
#define SM_NET_LOOP_H

#include "base/mpsc.h"

struct sm_loop;
struct sm_loop_timer;
struct uv_loop_s;

/* Where the loop's idea of the wall clock comes from: nanoseconds since 1970, never negative. */
struct sm_loop_clock {
    int64_t (*wall_ns)(void *ctx);
    void *ctx;
};

/* A message that its sender allocates, so that posting needs no memory. It must stay valid until fn has been called; fn
 * may free or re-post it. A node may be in one mailbox at a time. */
struct sm_loop_message {
    void (*fn)(struct sm_loop_message *message);
    struct sm_mpsc_node node;
};

/* clock NULL: the system's wall clock. Returns NULL and fills *err when the kernel refuses (descriptors). */
struct sm_loop *sm_loop_new(const struct sm_loop_clock *clock, struct sm_err *err) SM_MUST_USE;

/* Serves until sm_loop_stop; may be run again afterwards. */
void sm_loop_run(struct sm_loop *loop);

/* One turn without blocking: what is ready now, the mailbox and the hook. For tests and for placing several stages on
 * one thread. */
void sm_loop_poll(struct sm_loop *loop);

/* Any thread. The loop returns from sm_loop_run after the current turn; a stop before the run makes the run return at
 * once. */
void sm_loop_stop(struct sm_loop *loop);

/* Closes timers, delivers what is left in the mailbox and turns until every handle on the loop has closed, so that
 * servers that were told to close (sm_http_server_free) end here. Call it after the run has returned, on the thread
 * that ran it or after joining that thread. NULL is allowed. */
void sm_loop_free(struct sm_loop *loop);

/* Wall clock of this turn: every caller in one turn gets the same value. */
int64_t sm_loop_wall_ns(struct sm_loop *loop);

/* Monotonic milliseconds of this turn, for time-outs. */
uint64_t sm_loop_now_ms(const struct sm_loop *loop);

/* Any thread. fn(arg) runs on the loop's thread, in order per sender. Allocates; for rates above a few thousand per
 * second use sm_loop_post_message. */
void sm_loop_post(struct sm_loop *loop, void (*fn)(void *arg), void *arg);

/* Any thread. Lock-free, no allocation; order is kept per sender. */
void sm_loop_post_message(struct sm_loop *loop, struct sm_loop_message *message);

/* Any thread. Makes the loop take another turn (so call its hook) when it sleeps; nearly free when it does not. The
 * caller must have published its work before. */
void sm_loop_wake(struct sm_loop *loop);

/* One hook per loop. It is called after each batch of I/O and before the loop sleeps, and says whether it found work:
 * while it does, the loop polls instead of sleeping. Keep each call short (a batch, not the whole backlog). NULL
 * removes it. */
void sm_loop_set_hook(struct sm_loop *loop, bool (*hook)(void *arg), void *arg);

/* Calls fn(arg) every period (rounded up to whole milliseconds, at least 1). A late turn fires once, not once per
 * period missed. The timer ends with sm_loop_timer_free, also from within fn. */
struct sm_loop_timer *sm_loop_timer_new(struct sm_loop *loop, int64_t period_ns, void (*fn)(void *arg),
                                        void *arg) SM_MUST_USE;
void sm_loop_timer_free(struct sm_loop_timer *timer);

/* For other files of base/net and for receivers that bring their own descriptors. */
struct uv_loop_s *sm_loop_uv(struct sm_loop *loop);

#endif
