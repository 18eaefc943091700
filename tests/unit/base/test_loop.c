#include "base/net/loop.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

enum { SENDERS = 4, POSTS = 20000 };

struct world {
    struct sm_loop *loop;
    unsigned received;
    unsigned last[SENDERS];
    bool out_of_order;
    atomic_uint ring; /* work that only the hook sees */
    unsigned hooked;
    unsigned fired;
    struct sm_loop_timer *timer;
};

struct numbered {
    struct sm_loop_message message;
    struct world *world;
    unsigned sender, number;
};

struct sender {
    struct world *world;
    unsigned id;
    struct numbered *messages;
};

static void on_numbered(struct sm_loop_message *message)
{
    struct numbered *n = SM_CONTAINER_OF(message, struct numbered, message);
    struct world *w = n->world;
    w->out_of_order |= n->number != w->last[n->sender] + 1;
    w->last[n->sender] = n->number;
    if (++w->received == SENDERS * POSTS)
        sm_loop_stop(w->loop);
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        sender->messages[i] =
            (struct numbered){.message.fn = on_numbered, .world = sender->world, .sender = sender->id, .number = i + 1};
        sm_loop_post_message(sender->world->loop, &sender->messages[i].message);
    }
    return NULL;
}

Test(loop, posts_from_many_threads_arrive_once_and_in_order, .timeout = 60)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&w, i, calloc(POSTS, sizeof(struct numbered))};
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    sm_loop_run(w.loop);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        free(senders[i].messages);
    }
    cr_assert_eq(w.received, SENDERS * POSTS);
    cr_assert_not(w.out_of_order);
    sm_loop_free(w.loop);
}

static bool drain_ring(void *arg)
{
    struct world *w = arg;
    unsigned n = atomic_exchange(&w->ring, 0);
    w->hooked += n;
    if (w->hooked == POSTS)
        sm_loop_stop(w->loop);
    return n > 0;
}

static void *fill_ring(void *arg)
{
    struct world *w = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        atomic_fetch_add_explicit(&w->ring, 1, memory_order_release);
        sm_loop_wake(w->loop);
    }
    return NULL;
}

/* A lost wake-up would leave the loop asleep for ever. */
Test(loop, hook_sees_work_of_other_threads, .timeout = 60)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    pthread_t thread;
    sm_loop_set_hook(w.loop, drain_ring, &w);
    pthread_create(&thread, NULL, fill_ring, &w);
    sm_loop_run(w.loop);
    pthread_join(thread, NULL);
    cr_assert_eq(w.hooked, POSTS);
    sm_loop_free(w.loop);
}

static void on_timer(void *arg)
{
    struct world *w = arg;
    if (++w->fired == 3) {
        sm_loop_timer_free(w->timer);
        sm_loop_stop(w->loop);
    }
}

Test(loop, timer_repeats_until_freed, .timeout = 60)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    w.timer = sm_loop_timer_new(w.loop, 1, on_timer, &w);
    sm_loop_run(w.loop);
    cr_assert_eq(w.fired, 3);
    sm_loop_free(w.loop);
}

static void count_call(void *arg)
{
    ++*(unsigned *)arg;
}

Test(loop, free_delivers_what_was_posted)
{
    struct sm_loop *loop = sm_loop_new(NULL, NULL);
    unsigned called = 0;
    sm_loop_post(loop, count_call, &called);
    sm_loop_stop(loop);
    sm_loop_run(loop); /* stopped before it began */
    cr_assert_eq(called, 0);
    sm_loop_post(loop, count_call, &called);
    sm_loop_free(loop);
    cr_assert_eq(called, 2);
}

static int64_t stepping_clock(void *ctx)
{
    return ++*(int64_t *)ctx;
}

Test(loop, wall_clock_is_read_once_per_turn)
{
    int64_t reads = 0;
    struct sm_loop *loop = sm_loop_new(&(struct sm_loop_clock){stepping_clock, &reads}, NULL);
    int64_t first = sm_loop_wall_ns(loop);
    cr_assert_eq(sm_loop_wall_ns(loop), first);
    sm_loop_poll(loop);
    cr_assert_gt(sm_loop_wall_ns(loop), first);
    sm_loop_free(loop);
}
