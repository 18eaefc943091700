/* ZeroMQ receivers against libzmq's own sockets: what one look at the descriptor must not miss, holding back, answers. */
#include "ingest_rig.h"

#include "tests/support/msgpack_of.h"

#include <zmq.h>

static struct ingest in;
static void *context, *peer;
static msgpack_sbuffer batch;

#define BATCH                                                                                                                   \
    "{'v': 1, 'resource': {'service.name': 'svc'}, 'spans': [{'trace': '5b8efff798038103d269b633813fc60c', 'id': "              \
    "'eee19b7ec3c1b174'}]}"

static void open_with(const struct sm_receiver_ops *ops, int type)
{
    in.listener.address = "tcp://127.0.0.1:*";
    in.listener.zeromq = (struct sm_zeromq_options){1 << 20, 10, SM_SEC, NULL, NULL};
    ingest_open(&in, ops);
    context = zmq_ctx_new();
    peer = zmq_socket(context, type);
    cr_assert_eq(zmq_connect(peer, ops->endpoint(in.receiver)), 0, "%s", ops->endpoint(in.receiver));
    msgpack_sbuffer_init(&batch);
    msgpack_of(&batch, BATCH);
}

static void open_pull(void)
{
    open_with(&sm_receiver_zeromq_pull, ZMQ_PUSH);
}

static void open_router(void)
{
    open_with(&sm_receiver_zeromq_router, ZMQ_DEALER);
}

static void close_all(void)
{
    zmq_setsockopt(peer, ZMQ_LINGER, &(int){0}, sizeof(int));
    zmq_close(peer);
    ingest_close(&in);
    zmq_ctx_term(context);
    msgpack_sbuffer_destroy(&batch);
}

TestSuite(zeromq_pull, .init = open_pull, .fini = close_all);
TestSuite(zeromq_router, .init = open_router, .fini = close_all);

static void send_batch(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        cr_assert_eq(zmq_send(peer, batch.data, batch.size, 0), (int)batch.size);
}

static bool has_taken(void *arg)
{
    return rig_stat(&in.rig, SM_STAT_PAYLOADS) >= *(unsigned *)arg;
}

static void wait_for(unsigned payloads)
{
    cr_assert(peer_turn_until(&in.peer, has_taken, &payloads), "%u of %u", (unsigned)rig_stat(&in.rig, SM_STAT_PAYLOADS), payloads);
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS), payloads);
}

/* Is there something to receive before so many turns of the loop? */
static bool has_answer(void *arg SM_UNUSED)
{
    return zmq_poll(&(zmq_pollitem_t){.socket = peer, .events = ZMQ_POLLIN}, 1, 0) > 0;
}

static msgpack_object receive(msgpack_unpacked *to)
{
    static char bytes[1024];
    int more;
    size_t n, size = sizeof more;
    cr_assert(peer_turn_until(&in.peer, has_answer, NULL));
    do {
        n = (size_t)zmq_recv(peer, bytes, sizeof bytes, 0);
        zmq_getsockopt(peer, ZMQ_RCVMORE, &more, &size);
    } while (more);
    cr_assert_eq(msgpack_unpack_next(to, bytes, n, NULL), MSGPACK_UNPACK_SUCCESS);
    return to->data;
}

/* The reply as text, as msgpack-c reads it. */
static const char *answer(void)
{
    static char text[1024];
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    msgpack_object_print_buffer(text, sizeof text, receive(&unpacked));
    msgpack_unpacked_destroy(&unpacked);
    return text;
}

/* More than a turn takes at once, after which the descriptor is silent. */
Test(zeromq_pull, many_messages_at_once)
{
    send_batch(1);
    wait_for(1);
    send_batch(500);
    wait_for(501);
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 501);
}

Test(zeromq_pull, one_by_one)
{
    for (unsigned i = 1; i <= 200; i++) {
        send_batch(1);
        wait_for(i);
    }
}

Test(zeromq_pull, frames_before_the_last_are_passed_over)
{
    for (int i = 0; i < 20; i++)
        cr_assert_eq(zmq_send(peer, "topic", 5, ZMQ_SNDMORE), 5);
    send_batch(1);
    wait_for(1);
}

static void overload(bool on)
{
    sm_budget_publish(&in.rig.pipeline->budget, 0, on ? UINT64_C(1) << 40 : 0);
}

static bool turns_have_passed(void *arg)
{
    return --*(int *)arg == 0;
}

Test(zeromq_pull, overload_holds_back_and_loses_nothing)
{
    int turns = 1000;
    send_batch(1);
    wait_for(1);
    overload(true);
    send_batch(300);
    cr_assert(peer_turn_until(&in.peer, turns_have_passed, &turns));
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS), 1);
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 0);
    overload(false);
    wait_for(301);
}

/* What is waiting at the end is taken. */
Test(zeromq_pull, drain_takes_what_has_arrived)
{
    send_batch(1);
    wait_for(1);
    send_batch(8); /* as many as may wait */
    cr_assert_eq(zmq_poll(NULL, 0, 100), 0); /* libzmq's thread moves them over */
    sm_receiver_zeromq_pull.drain(in.receiver);
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS), 9);
}

Test(zeromq_router, taken)
{
    send_batch(1);
    cr_assert_str_eq(answer(), "{\"v\"=>1, \"status\"=>\"ok\", \"accepted\"=>1, \"rejected\"=>0}");
}

Test(zeromq_router, refused)
{
    cr_assert_eq(zmq_send(peer, "\xc1", 1, 0), 1);
    cr_assert_str_eq(answer(), "{\"v\"=>1, \"status\"=>\"refused\", \"accepted\"=>0, \"rejected\"=>0, \"text\"=>\"malformed msgpack: the byte "
                               "c1 begins no value\"}");
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 1);
}

Test(zeromq_router, overloaded)
{
    overload(true);
    send_batch(1);
    cr_assert_str_eq(answer(), "{\"v\"=>1, \"status\"=>\"retry\", \"accepted\"=>0, \"rejected\"=>0, \"retry_after_ms\"=>1000, "
                               "\"text\"=>\"overloaded, try again later\"}");
    overload(false);
    send_batch(1);
    cr_assert(strstr(answer(), "\"ok\""));
}

/* Answers are sent between the messages of a turn, which takes commands out of the socket's mailbox unseen. */
Test(zeromq_router, many_on_their_way)
{
    enum { TIMES = 500 };
    for (unsigned i = 0; i < TIMES; i++) {
        cr_assert_eq(zmq_send(peer, &i, sizeof i, ZMQ_SNDMORE), sizeof i);
        send_batch(1);
    }
    for (unsigned i = 0; i < TIMES; i++) {
        unsigned number = 0;
        cr_assert(peer_turn_until(&in.peer, has_answer, NULL), "%u", i);
        cr_assert_eq(zmq_recv(peer, &number, sizeof number, 0), sizeof number);
        cr_assert_eq(number, i);
        cr_assert(strstr(answer(), "\"ok\""));
    }
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_ANSWERS_LOST), 0);
}

/* The peer goes before it is answered. */
Test(zeromq_router, lost_answers_are_counted)
{
    send_batch(8);
    cr_assert_eq(zmq_poll(NULL, 0, 100), 0);
    zmq_close(peer);
    peer = zmq_socket(context, ZMQ_DEALER);
    cr_assert_eq(zmq_poll(NULL, 0, 200), 0);
    wait_for(8);
    cr_assert_eq(rig_stat(&in.rig, SM_STAT_ANSWERS_LOST), 8);
}

Test(zeromq, endpoints)
{
    static const struct {
        const char *text;
        bool is;
    } cases[] = {
        {"tcp://127.0.0.1:5570", true}, {"tcp://*:5570", true},   {"tcp://[::1]:*", true}, {"ipc:///run/x.sock", true},
        {"connect:tcp://a:1", true},    {"connect:", false},      {"tcp://", false},       {"tcp://host", false},
        {"udp://a:1", false},           {"connect:inproc://a", false}, {"127.0.0.1:5570", false}, {"", false},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_assert_eq(sm_zeromq_is_endpoint(sm_str_c(cases[i].text)), cases[i].is, "%s", cases[i].text);
}
