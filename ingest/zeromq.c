/* ZeroMQ receivers: sockets, what they let in, and what they answer. */
#include "ingest/zeromq.h"

#include "base/clock.h"
#include "base/log.h"
#include "ingest/receiver.h"
#include "ingest/zeromq_keys.h"
#include "ingest/zeromq_watch.h"
#include "pipeline/stats.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

enum {
    FRAMES_MAX = 8,       /* in front of the batch: the peer's identity and what it wants to see again */
    FRAME_BYTES_MAX = 256, /* of each of these */
    ZAP_FRAMES = 7,
    DRAIN_MESSAGES_MAX = 1000,
    LINGER_MS = 200, /* for replies that are still to be sent at the end */
};

#define ZAP_ENDPOINT     "inproc://zeromq.zap.01" /* RFC 27 */
#define MONITOR_ENDPOINT "inproc://monitor"
#define CONNECT          "connect:"
#define REFUSALS (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

/* While the worker is overloaded, PULL looks again this often. */
#define LOOK_AGAIN_NS (20 * SM_MS)

struct sm_receiver {
    struct sm_worker *worker;
    void *context, *socket, *zap, *monitor; /* zap: NULL unless clients are checked */
    struct sm_zeromq_watch *socket_watch, *zap_watch, *monitor_watch;
    struct sm_zeromq_keys *clients;
    struct sm_loop_timer *look_again; /* PULL: while it holds back */
    struct sm_payload *held;          /* PULL: received, but there was no room for it */
    char endpoint[300];               /* as bound */
    bool bound;
};

static void count(const struct sm_receiver *r, enum sm_stat stat)
{
    sm_stats_add(sm_worker_stats(r->worker), stat, 1);
}

/* ---- messages ---- */

/* A message as it came: frames, the last of which is the batch. */
struct message {
    zmq_msg_t frames[FRAMES_MAX];
    unsigned count;
    bool too_long; /* more or longer frames than allowed, which are gone */
    zmq_msg_t batch;
};

static void message_close(struct message *m)
{
    for (unsigned i = 0; i < m->count; i++)
        zmq_msg_close(&m->frames[i]);
    zmq_msg_close(&m->batch);
    m->count = 0;
}

static void keep_frame(struct message *m)
{
    if (m->count == FRAMES_MAX || zmq_msg_size(&m->batch) > FRAME_BYTES_MAX) {
        m->too_long = true;
        return;
    }
    zmq_msg_init(&m->frames[m->count]);
    zmq_msg_move(&m->frames[m->count++], &m->batch);
}

/* All frames of the next message; false when there is none. libzmq has either all of them or none. */
static bool message_receive(struct message *m, void *socket)
{
    m->count = 0;
    m->too_long = false;
    zmq_msg_init(&m->batch);
    if (zmq_msg_recv(&m->batch, socket, ZMQ_DONTWAIT) < 0)
        return false;
    while (zmq_msg_more(&m->batch)) {
        keep_frame(m);
        if (zmq_msg_recv(&m->batch, socket, ZMQ_DONTWAIT) < 0) {
            message_close(m);
            return false;
        }
    }
    return true;
}

/* The one copy: libzmq's memory has no bytes to spare behind its end, and comes from its own allocator. NULL without memory. */
static struct sm_payload *payload_of(struct sm_receiver *r, zmq_msg_t *batch)
{
    size_t n = zmq_msg_size(batch);
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(r->worker), n);
    if (!p)
        return NULL;
    memcpy(p->data, zmq_msg_data(batch), n);
    p->size = n;
    p->arrived_ns = sm_loop_wall_ns(sm_worker_loop(r->worker));
    return p;
}

/* What a client keeps doing wrong is said once. */
static void note_refused(const char *text)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&said))
        sm_log(SM_LOG_WARN, "zeromq_refused", sm_kv("reason", text), sm_kv("hint", "further ones are only counted"));
}

/* ---- PULL ---- */

static void on_look_again(void *arg);

static void hold_back(struct sm_receiver *r)
{
    sm_zeromq_watch_pause(r->socket_watch);
    if (!r->look_again)
        r->look_again = sm_loop_timer_new(sm_worker_loop(r->worker), LOOK_AGAIN_NS, on_look_again, r);
}

/* Nobody can be told to wait, so that what finds no room is kept and tried again. False: it was. */
static bool submit(struct sm_receiver *r, struct sm_payload *p)
{
    struct sm_submit result;
    sm_payload_ref(p);
    struct sm_payload *given = p;
    sm_worker_submit(r->worker, &sm_codec_msgpack, SM_SOURCE_LIVE, &given, &result);
    if (SM_UNLIKELY(result.rc == SM_E_AGAIN)) {
        r->held = p;
        hold_back(r);
        return false;
    }
    if (SM_UNLIKELY(result.rc != SM_OK))
        note_refused(result.text);
    sm_payload_put(p);
    return true;
}

static void on_look_again(void *arg)
{
    struct sm_receiver *r = arg;
    struct sm_payload *held = r->held;
    if (sm_worker_overloaded(r->worker))
        return;
    r->held = NULL;
    if (held && !submit(r, held))
        return;
    sm_loop_timer_free(r->look_again);
    r->look_again = NULL;
    sm_zeromq_watch_resume(r->socket_watch);
}

static bool pull(void *ctx)
{
    struct sm_receiver *r = ctx;
    struct message m;
    if (SM_UNLIKELY(sm_worker_overloaded(r->worker))) {
        hold_back(r);
        return false;
    }
    if (!message_receive(&m, r->socket))
        return false;
    struct sm_payload *p = payload_of(r, &m.batch);
    message_close(&m);
    if (!p) {
        sm_worker_count_overload(r->worker);
        return true;
    }
    return submit(r, p);
}

/* ---- ROUTER ---- */

struct reply {
    uint8_t bytes[512];
    size_t size;
    msgpack_packer packer;
};

static int append(void *to, const char *bytes, size_t n)
{
    struct reply *reply = to;
    if (n > sizeof reply->bytes - reply->size)
        return -1;
    memcpy(reply->bytes + reply->size, bytes, n);
    reply->size += n;
    return 0;
}

static void put_text(struct reply *reply, const char *text)
{
    size_t n = strlen(text);
    msgpack_pack_str(&reply->packer, n);
    msgpack_pack_str_body(&reply->packer, text, n);
}

static void put_count(struct reply *reply, const char *key, uint64_t n)
{
    put_text(reply, key);
    msgpack_pack_uint64(&reply->packer, n);
}

_Static_assert(sizeof((struct sm_submit *)0)->text == 256, "a reply has room for the text and the rest");

static void put_reply(struct reply *reply, const struct sm_submit *result)
{
    bool ok = result->rc == SM_OK, again = result->rc == SM_E_AGAIN || result->rc == SM_E_NOMEM, text = result->text[0] != '\0';
    reply->size = 0;
    msgpack_packer_init(&reply->packer, reply, append);
    msgpack_pack_map(&reply->packer, 4u + again + text);
    put_count(reply, "v", 1);
    put_text(reply, "status");
    put_text(reply, ok ? "ok" : again ? "retry" : "refused");
    put_count(reply, "accepted", result->accepted);
    put_count(reply, "rejected", result->rejected);
    if (again)
        put_count(reply, "retry_after_ms", (uint64_t)((result->retry_after_ns ? result->retry_after_ns : SM_SEC) / SM_MS));
    if (text) {
        put_text(reply, "text");
        put_text(reply, result->text);
    }
}

/* The frames that came before the batch, then the reply. A peer that is gone, or does not read what it is sent, loses it: whether there is
 * room for it shows with the first frame. */
static void answer(struct sm_receiver *r, struct message *m, const struct sm_submit *result)
{
    struct reply reply;
    put_reply(&reply, result);
    for (unsigned i = 0; i < m->count; i++) {
        if (zmq_msg_send(&m->frames[i], r->socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
            count(r, SM_STAT_ANSWERS_LOST);
            return;
        }
    }
    (void)zmq_send(r->socket, reply.bytes, reply.size, ZMQ_DONTWAIT);
}

static void take_batch(struct sm_receiver *r, struct message *m, struct sm_submit *result)
{
    *result = (struct sm_submit){.rc = SM_E_INVALID};
    if (m->too_long) {
        snprintf(result->text, sizeof result->text, "more than %d frames before the batch, or one over %d bytes", FRAMES_MAX - 1,
                 FRAME_BYTES_MAX);
        sm_worker_count_undecodable(r->worker);
        return;
    }
    struct sm_payload *p = payload_of(r, &m->batch);
    if (p) {
        sm_worker_submit(r->worker, &sm_codec_msgpack, SM_SOURCE_LIVE, &p, result);
    } else {
        sm_worker_count_overload(r->worker);
        result->rc = SM_E_AGAIN;
    }
}

static bool route(void *ctx)
{
    struct sm_receiver *r = ctx;
    struct message m;
    struct sm_submit result;
    if (!message_receive(&m, r->socket))
        return false;
    take_batch(r, &m, &result);
    answer(r, &m, &result);
    if (SM_UNLIKELY(result.rc != SM_OK && result.rc != SM_E_AGAIN))
        note_refused(result.text);
    message_close(&m);
    return true;
}

/* ---- who is let in ---- */

/* Version, request id, domain, address, identity, mechanism, key. */
static bool is_allowed(struct sm_receiver *r, zmq_msg_t *frames)
{
    static const char mechanism[] = "CURVE";
    return zmq_msg_size(&frames[5]) == sizeof mechanism - 1 &&
           memcmp(zmq_msg_data(&frames[5]), mechanism, sizeof mechanism - 1) == 0 &&
           zmq_msg_size(&frames[6]) == SM_ZEROMQ_KEY_BYTES &&
           sm_zeromq_keys_allow(r->clients, zmq_msg_data(&frames[6]), sm_clock_mono_ns());
}

static void answer_zap(struct sm_receiver *r, zmq_msg_t *request_id, bool allowed)
{
    (void)zmq_send(r->zap, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_msg_send(request_id, r->zap, ZMQ_SNDMORE);
    (void)zmq_send(r->zap, allowed ? "200" : "400", 3, ZMQ_SNDMORE);
    (void)zmq_send(r->zap, allowed ? "OK" : "unknown key", allowed ? 2 : 11, ZMQ_SNDMORE);
    (void)zmq_send(r->zap, "", 0, ZMQ_SNDMORE);
    (void)zmq_send(r->zap, "", 0, 0);
}

/* One request of libzmq's, which waits with the handshake. */
static bool check_client(void *ctx)
{
    struct sm_receiver *r = ctx;
    zmq_msg_t frames[ZAP_FRAMES];
    unsigned n = 0;
    bool more = true;
    for (unsigned i = 0; i < ZAP_FRAMES; i++)
        zmq_msg_init(&frames[i]);
    while (more && zmq_msg_recv(&frames[n], r->zap, ZMQ_DONTWAIT) >= 0) {
        more = zmq_msg_more(&frames[n]);
        n = SM_MIN(n + 1, ZAP_FRAMES - 1u); /* what is too much replaces the last one */
    }
    if (!more)
        answer_zap(r, &frames[1], is_allowed(r, frames));
    for (unsigned i = 0; i < ZAP_FRAMES; i++)
        zmq_msg_close(&frames[i]);
    return !more;
}

/* Handshakes that failed: a wrong or unknown key, no encryption where there should be, something else than ZeroMQ. */
static bool note_event(void *ctx)
{
    struct sm_receiver *r = ctx;
    struct message m;
    if (!message_receive(&m, r->monitor))
        return false;
    count(r, SM_STAT_HANDSHAKES_REFUSED);
    message_close(&m);
    return true;
}

/* ---- opening ---- */

static bool is_bound(struct sm_str text)
{
    return text.len < sizeof CONNECT || memcmp(text.ptr, CONNECT, sizeof CONNECT - 1) != 0;
}

bool sm_zeromq_is_endpoint(struct sm_str text)
{
    static const char tcp[] = "tcp://", ipc[] = "ipc://";
    if (!is_bound(text))
        text = sm_str(text.ptr + sizeof CONNECT - 1, text.len - (sizeof CONNECT - 1));
    if (text.len <= 6 || text.len > 200)
        return false;
    return memcmp(text.ptr, ipc, 6) == 0 || (memcmp(text.ptr, tcp, 6) == 0 && memchr(text.ptr + 6, ':', text.len - 6));
}

static void fail(struct sm_err *err, const char *what)
{
    (void)sm_err_set(err, SM_E_IO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static bool set_int(struct sm_receiver *r, int option, int value)
{
    return zmq_setsockopt(r->socket, option, &value, sizeof value) == 0;
}

static bool set_options(struct sm_receiver *r, const struct sm_zeromq_options *o, struct sm_err *err)
{
    int64_t bytes = (int64_t)o->message_bytes_max;
    bool set = zmq_setsockopt(r->socket, ZMQ_MAXMSGSIZE, &bytes, sizeof bytes) == 0 &&
               set_int(r, ZMQ_RCVHWM, (int)o->queue_messages_max) &&
               set_int(r, ZMQ_HANDSHAKE_IVL, (int)(o->handshake_ns / SM_MS)) && set_int(r, ZMQ_LINGER, LINGER_MS) &&
               set_int(r, ZMQ_TCP_KEEPALIVE, 1);
    if (!set)
        fail(err, "ZeroMQ socket");
    return set;
}

static void warn_of_open_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_mode & (S_IRGRP | S_IROTH))
        sm_log(SM_LOG_WARN, "secret_key_readable", sm_kv("file", path), sm_kv("hint", "others can read it: chmod 600"));
}

/* Whoever binds, this side is CURVE's server. */
static bool set_curve(struct sm_receiver *r, const struct sm_zeromq_options *o, struct sm_err *err)
{
    uint8_t key[SM_ZEROMQ_KEY_BYTES];
    if (!o->secret_key)
        return true;
    warn_of_open_file(o->secret_key);
    if (sm_zeromq_secret_key(o->secret_key, key, err) != SM_OK)
        return false;
    bool set = set_int(r, ZMQ_CURVE_SERVER, 1) && zmq_setsockopt(r->socket, ZMQ_CURVE_SECRETKEY, key, sizeof key) == 0;
    explicit_bzero(key, sizeof key);
    if (!set)
        fail(err, "CURVE");
    return set;
}

/* Before the socket is bound, or libzmq lets everybody in. */
static bool open_zap(struct sm_receiver *r, const struct sm_zeromq_options *o, struct sm_err *err)
{
    if (!o->secret_key || !o->clients)
        return true;
    r->clients = sm_zeromq_keys_new(o->clients, err);
    if (!r->clients)
        return false;
    r->zap = zmq_socket(r->context, ZMQ_REP);
    if (!r->zap || zmq_bind(r->zap, ZAP_ENDPOINT) != 0) {
        fail(err, "ZAP");
        return false;
    }
    r->zap_watch = sm_zeromq_watch_new(sm_worker_loop(r->worker), r->zap, check_client, r, err);
    return r->zap_watch != NULL;
}

static bool open_monitor(struct sm_receiver *r, struct sm_err *err)
{
    if (zmq_socket_monitor(r->socket, MONITOR_ENDPOINT, REFUSALS) == 0 && (r->monitor = zmq_socket(r->context, ZMQ_PAIR)) &&
        zmq_connect(r->monitor, MONITOR_ENDPOINT) == 0) {
        r->monitor_watch = sm_zeromq_watch_new(sm_worker_loop(r->worker), r->monitor, note_event, r, err);
        return r->monitor_watch != NULL;
    }
    fail(err, "monitor");
    return false;
}

static bool attach(struct sm_receiver *r, const char *address, struct sm_err *err)
{
    r->bound = is_bound(sm_str_c(address));
    /* with it, libzmq binds addresses of version 4 as those of version 6, and shows them so */
    (void)set_int(r, ZMQ_IPV6, !r->bound || strchr(address, '[') || strchr(address, '*') == address + strlen("tcp://"));
    const char *endpoint = r->bound ? address : address + sizeof CONNECT - 1;
    size_t size = sizeof r->endpoint;
    if ((r->bound ? zmq_bind(r->socket, endpoint) : zmq_connect(r->socket, endpoint)) != 0) {
        fail(err, address);
        return false;
    }
    return zmq_getsockopt(r->socket, ZMQ_LAST_ENDPOINT, r->endpoint, &size) == 0;
}

static void close_receiver(struct sm_receiver *r)
{
    void *sockets[] = {r->monitor, r->zap, r->socket};
    sm_loop_timer_free(r->look_again);
    if (r->held)
        sm_payload_put(r->held);
    sm_zeromq_watch_free(r->monitor_watch);
    sm_zeromq_watch_free(r->zap_watch);
    sm_zeromq_watch_free(r->socket_watch);
    for (unsigned i = 0; i < SM_ARRAY_LEN(sockets); i++) {
        if (sockets[i])
            zmq_close(sockets[i]);
    }
    if (r->context)
        zmq_ctx_term(r->context);
    sm_zeromq_keys_free(r->clients);
    free(r);
}

/* Answers are small, and libzmq's thread takes them only between two portions of what it reads: with as many of them as of messages some
 * would be lost. */
static bool set_answer_options(struct sm_receiver *r, int type, const struct sm_zeromq_options *o, struct sm_err *err)
{
    int64_t answers = SM_MIN(SM_MAX(INT64_C(1000), 10 * (int64_t)o->queue_messages_max), (int64_t)INT32_MAX);
    bool set = type != ZMQ_ROUTER || (set_int(r, ZMQ_SNDHWM, (int)answers) && set_int(r, ZMQ_ROUTER_MANDATORY, 1));
    if (!set)
        fail(err, "ZeroMQ socket");
    return set;
}

static struct sm_receiver *open_with(const struct sm_listener *listener, struct sm_worker *worker, int type, sm_zeromq_turn *turn,
                                     struct sm_err *err)
{
    struct sm_receiver *r = sm_xcalloc(1, sizeof *r);
    const struct sm_zeromq_options *o = &listener->zeromq;
    r->worker = worker;
    r->context = zmq_ctx_new();
    r->socket = r->context ? zmq_socket(r->context, type) : NULL;
    if (!r->socket)
        fail(err, "ZeroMQ");
    else if (set_options(r, o, err) && set_answer_options(r, type, o, err) && set_curve(r, o, err) && open_zap(r, o, err) && open_monitor(r, err) &&
             attach(r, listener->address, err))
        r->socket_watch = sm_zeromq_watch_new(sm_worker_loop(worker), r->socket, turn, r, err);
    if (r->socket_watch)
        return r;
    close_receiver(r);
    return NULL;
}

static struct sm_receiver *open_pull(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port SM_UNUSED,
                                     struct sm_err *err)
{
    return open_with(listener, worker, ZMQ_PULL, pull, err);
}

static struct sm_receiver *open_router(const struct sm_listener *listener, struct sm_worker *worker, uint16_t *port SM_UNUSED,
                                       struct sm_err *err)
{
    return open_with(listener, worker, ZMQ_ROUTER, route, err);
}

/* libzmq takes over the path of another process's socket without asking; a port that is taken it does report. */
static enum sm_rc check_free(const char *address, struct sm_err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strncmp(address, "ipc://", 6) != 0 || strlen(address + 6) >= sizeof to.sun_path)
        return SM_OK;
    strcpy(to.sun_path, address + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0)
        close(fd);
    return taken ? sm_err_set(err, SM_E_IO, "%s: another process listens there", address) : SM_OK;
}

/* ---- stopping ---- */

/* Nobody new; what has arrived is taken, though not without end, for those who are connected may go on sending. */
static void drain(struct sm_receiver *r, sm_zeromq_turn *turn)
{
    if (r->bound)
        (void)zmq_unbind(r->socket, r->endpoint);
    for (unsigned i = 0; i < DRAIN_MESSAGES_MAX && turn(r); i++)
        ;
    sm_zeromq_watch_pause(r->socket_watch);
}

static void drain_pull(struct sm_receiver *r)
{
    on_look_again(r);
    if (!r->held)
        drain(r, pull);
    sm_zeromq_watch_pause(r->socket_watch);
    sm_loop_timer_free(r->look_again);
    r->look_again = NULL;
}

static void drain_router(struct sm_receiver *r)
{
    drain(r, route);
}

static const char *endpoint(const struct sm_receiver *r)
{
    return r->endpoint;
}

const struct sm_receiver_ops sm_receiver_zeromq_pull = {
    .name = "zeromq_pull",
    .single = true,
    .check_free = check_free,
    .open = open_pull,
    .drain = drain_pull,
    .close = close_receiver,
    .endpoint = endpoint,
};

const struct sm_receiver_ops sm_receiver_zeromq_router = {
    .name = "zeromq_router",
    .single = true,
    .check_free = check_free,
    .open = open_router,
    .drain = drain_router,
    .close = close_receiver,
    .endpoint = endpoint,
};
