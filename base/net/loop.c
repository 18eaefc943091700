/* The event loop over libuv: mailbox, sleep announcement, turn hook, timers, cached wall clock. */
#include "base/net/loop.h"

#include "base/clock.h"
#include "base/wake.h"

#include <stdlib.h>
#include <uv.h>

struct sm_loop {
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t busy; /* active only while there is work left: keeps the poll from blocking */
    uv_poll_t doorbell;
    struct sm_loop_clock clock;
    int64_t wall_ns;
    bool wall_is_fresh;
    bool (*hook)(void *arg);
    void *hook_arg;
    struct sm_loop_timer *timers;
    atomic_bool stop_wanted;
    struct sm_mpsc mailbox;
    struct sm_wake wake;
};

struct sm_loop_timer {
    uv_timer_t uv;
    struct sm_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct sm_loop_timer *next, **link;
};

struct posted_call {
    struct sm_loop_message message;
    void (*fn)(void *arg);
    void *arg;
};

static int64_t system_wall_ns(void *ctx SM_UNUSED)
{
    return sm_clock_wall_ns();
}

static bool mailbox_deliver(struct sm_loop *loop)
{
    struct sm_mpsc_node *node = sm_mpsc_reverse(sm_mpsc_take(&loop->mailbox));
    bool any = node != NULL;
    while (node) {
        struct sm_loop_message *message = SM_CONTAINER_OF(node, struct sm_loop_message, node);
        node = node->next;
        message->fn(message);
    }
    return any;
}

static bool take_turn(struct sm_loop *loop)
{
    bool delivered = mailbox_deliver(loop);
    bool worked = loop->hook && loop->hook(loop->hook_arg);
    return delivered || worked;
}

static void on_busy(uv_idle_t *handle SM_UNUSED)
{
}

static bool stop_is_wanted(const struct sm_loop *loop)
{
    return atomic_load_explicit(&loop->stop_wanted, memory_order_acquire);
}

/* Decides whether the coming poll may block: only when a second look, after announcing the sleep, finds nothing either
 * (base/wake.h says why nothing is missed). */
static void on_before_poll(uv_prepare_t *handle)
{
    struct sm_loop *loop = handle->data;
    loop->wall_is_fresh = false;
    bool busy = take_turn(loop);
    if (!busy) {
        sm_wake_prepare(&loop->wake);
        busy = take_turn(loop);
        if (busy)
            sm_wake_cancel(&loop->wake);
    }
    if (stop_is_wanted(loop))
        uv_stop(&loop->uv); /* the poll of this turn does not block any more */
    if (busy)
        uv_idle_start(&loop->busy, on_busy);
    else
        uv_idle_stop(&loop->busy);
    loop->wall_is_fresh = false;
}

static void on_after_poll(uv_check_t *handle)
{
    struct sm_loop *loop = handle->data;
    sm_wake_cancel(&loop->wake);
    take_turn(loop);
}

static void on_doorbell(uv_poll_t *handle, int status SM_UNUSED, int events SM_UNUSED)
{
    struct sm_loop *loop = handle->data;
    sm_wake_acknowledge(&loop->wake);
}

static enum sm_rc start_handles(struct sm_loop *loop, struct sm_err *err)
{
    enum sm_rc rc = sm_wake_init(&loop->wake, err);
    if (rc != SM_OK)
        return rc;
    int failed = uv_poll_init(&loop->uv, &loop->doorbell, loop->wake.fd);
    if (failed) {
        sm_wake_fini(&loop->wake);
        return sm_err_set(err, SM_E_IO, "event loop: %s", uv_strerror(failed));
    }
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_check_init(&loop->uv, &loop->after_poll);
    uv_idle_init(&loop->uv, &loop->busy);
    loop->doorbell.data = loop->before_poll.data = loop->after_poll.data = loop;
    uv_poll_start(&loop->doorbell, UV_READABLE, on_doorbell);
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_check_start(&loop->after_poll, on_after_poll);
    return SM_OK;
}

struct sm_loop *sm_loop_new(const struct sm_loop_clock *clock, struct sm_err *err)
{
    struct sm_loop *loop = aligned_alloc(SM_CACHE_LINE, sizeof *loop);
    SM_ASSERT(loop);
    memset(loop, 0, sizeof *loop);
    loop->clock = clock ? *clock : (struct sm_loop_clock){.wall_ns = system_wall_ns};
    int failed = uv_loop_init(&loop->uv);
    if (failed) {
        (void)sm_err_set(err, SM_E_IO, "event loop: %s", uv_strerror(failed));
        free(loop);
        return NULL;
    }
    if (start_handles(loop, err) != SM_OK) {
        uv_loop_close(&loop->uv);
        free(loop);
        return NULL;
    }
    return loop;
}

void sm_loop_run(struct sm_loop *loop)
{
    if (!stop_is_wanted(loop))
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    atomic_store_explicit(&loop->stop_wanted, false, memory_order_relaxed);
}

void sm_loop_poll(struct sm_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_NOWAIT);
}

void sm_loop_stop(struct sm_loop *loop)
{
    atomic_store_explicit(&loop->stop_wanted, true, memory_order_release);
    sm_wake_notify(&loop->wake);
}

void sm_loop_free(struct sm_loop *loop)
{
    if (!loop)
        return;
    while (loop->timers)
        sm_loop_timer_free(loop->timers);
    mailbox_deliver(loop);
    uv_close((uv_handle_t *)&loop->doorbell, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    uv_close((uv_handle_t *)&loop->busy, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT))
        ;
    mailbox_deliver(loop);
    SM_ASSERT(uv_loop_close(&loop->uv) == 0);
    sm_wake_fini(&loop->wake);
    free(loop);
}

int64_t sm_loop_wall_ns(struct sm_loop *loop)
{
    if (!loop->wall_is_fresh) {
        loop->wall_ns = loop->clock.wall_ns(loop->clock.ctx);
        loop->wall_is_fresh = true;
    }
    return loop->wall_ns;
}

uint64_t sm_loop_now_ms(const struct sm_loop *loop)
{
    return uv_now(&loop->uv);
}

void sm_loop_wake(struct sm_loop *loop)
{
    sm_wake_notify(&loop->wake);
}

void sm_loop_post_message(struct sm_loop *loop, struct sm_loop_message *message)
{
    sm_mpsc_push(&loop->mailbox, &message->node);
    sm_wake_notify(&loop->wake);
}

static void run_posted_call(struct sm_loop_message *message)
{
    struct posted_call *call = SM_CONTAINER_OF(message, struct posted_call, message);
    void (*fn)(void *) = call->fn;
    void *arg = call->arg;
    free(call);
    fn(arg);
}

void sm_loop_post(struct sm_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct posted_call *call = sm_xmalloc(sizeof *call);
    *call = (struct posted_call){.message.fn = run_posted_call, .fn = fn, .arg = arg};
    sm_loop_post_message(loop, &call->message);
}

void sm_loop_set_hook(struct sm_loop *loop, bool (*hook)(void *arg), void *arg)
{
    loop->hook = hook;
    loop->hook_arg = arg;
}

static void on_timer(uv_timer_t *handle)
{
    struct sm_loop_timer *timer = handle->data;
    timer->fn(timer->arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct sm_loop_timer *sm_loop_timer_new(struct sm_loop *loop, int64_t period_ns, void (*fn)(void *arg), void *arg)
{
    struct sm_loop_timer *timer = sm_xcalloc(1, sizeof *timer);
    uint64_t period_ms = (uint64_t)SM_MAX((period_ns + SM_MS - 1) / SM_MS, 1);
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    timer->next = loop->timers;
    timer->link = &loop->timers;
    if (timer->next)
        timer->next->link = &timer->next;
    loop->timers = timer;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    uv_timer_start(&timer->uv, on_timer, period_ms, period_ms);
    return timer;
}

void sm_loop_timer_free(struct sm_loop_timer *timer)
{
    if (!timer)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
}

struct uv_loop_s *sm_loop_uv(struct sm_loop *loop)
{
    return &loop->uv;
}
