/* ZeroMQ sockets under libuv. */
#include "ingest/zeromq_watch.h"

#include <stdlib.h>
#include <uv.h>
#include <zmq.h>

enum { MESSAGES_PER_TURN = 32 };

struct sm_zeromq_watch {
    uv_poll_t poll;
    uv_idle_t more; /* active while there may be messages that the descriptor does not tell of */
    unsigned handles;
    sm_zeromq_turn *turn;
    void *ctx;
    bool paused;
};

static void on_more(uv_idle_t *idle);

static void take_turns(struct sm_zeromq_watch *w)
{
    bool found = true;
    for (unsigned i = 0; i < MESSAGES_PER_TURN && found && !w->paused; i++)
        found = w->turn(w->ctx);
    if (found && !w->paused)
        uv_idle_start(&w->more, on_more);
    else
        uv_idle_stop(&w->more);
}

static void on_more(uv_idle_t *idle)
{
    take_turns(idle->data);
}

static void on_event(uv_poll_t *poll, int status SM_UNUSED, int events SM_UNUSED)
{
    take_turns(poll->data);
}

struct sm_zeromq_watch *sm_zeromq_watch_new(struct sm_loop *loop, void *socket, sm_zeromq_turn *turn, void *ctx,
                                            struct sm_err *err)
{
    struct sm_zeromq_watch *w = sm_xcalloc(1, sizeof *w);
    struct uv_loop_s *uv = sm_loop_uv(loop);
    int fd;
    size_t size = sizeof fd;
    w->turn = turn;
    w->ctx = ctx;
    w->poll.data = w->more.data = w;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0 || uv_poll_init(uv, &w->poll, fd) != 0) {
        (void)sm_err_set(err, SM_E_IO, "ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
        free(w);
        return NULL;
    }
    uv_idle_init(uv, &w->more);
    w->handles = 2;
    w->paused = true;
    sm_zeromq_watch_resume(w);
    return w;
}

void sm_zeromq_watch_pause(struct sm_zeromq_watch *w)
{
    w->paused = true;
    uv_poll_stop(&w->poll);
    uv_idle_stop(&w->more);
}

void sm_zeromq_watch_resume(struct sm_zeromq_watch *w)
{
    if (!w->paused)
        return;
    w->paused = false;
    uv_poll_start(&w->poll, UV_READABLE, on_event);
    uv_idle_start(&w->more, on_more);
}

static void on_closed(uv_handle_t *handle)
{
    struct sm_zeromq_watch *w = handle->data;
    if (--w->handles == 0)
        free(w);
}

void sm_zeromq_watch_free(struct sm_zeromq_watch *w)
{
    if (!w)
        return;
    sm_zeromq_watch_pause(w);
    uv_close((uv_handle_t *)&w->poll, on_closed);
    uv_close((uv_handle_t *)&w->more, on_closed);
}
