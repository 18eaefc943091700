#include "ingest_rig.h"

#include "tests/support/jaeger_build.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ingest in;
static int fd;
static struct sockaddr_in to;
static struct sm_buf message;

static void open_udp(void)
{
    struct jaeger_span span = {.low = 1, .id = 2};
    ingest_open(&in, &sm_receiver_jaeger_binary);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(in.peer.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    jaeger_build_message(&message, &(struct jaeger_batch){.service = "svc", .spans = &span, .span_count = 1});
}

static void close_udp(void)
{
    sm_buf_fini(&message);
    close(fd);
    ingest_close(&in);
}

TestSuite(jaeger_udp, .init = open_udp, .fini = close_udp);

static void send_bytes(const void *bytes, size_t n)
{
    cr_assert_eq(sendto(fd, bytes, n, 0, (struct sockaddr *)&to, sizeof to), (ssize_t)n);
}

static void send_good(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        send_bytes(message.data, message.size);
}

static uint64_t seen(void)
{
    static const enum sm_stat stats[] = {SM_STAT_PAYLOADS, SM_STAT_PAYLOADS_UNDECODABLE, SM_STAT_PAYLOADS_OVERLOAD,
                                         SM_STAT_PAYLOADS_TRUNCATED, SM_STAT_PAYLOADS_UNSUPPORTED};
    uint64_t n = 0;
    for (size_t i = 0; i < SM_ARRAY_LEN(stats); i++)
        n += rig_stat(&in.rig, stats[i]);
    return n;
}

static bool has_seen(void *arg)
{
    return seen() >= *(unsigned *)arg;
}

static void wait_for(unsigned datagrams)
{
    cr_assert(peer_turn_until(&in.peer, has_seen, &datagrams), "%u of %u", (unsigned)seen(), datagrams);
    cr_assert_eq(seen(), datagrams);
}

Test(jaeger_udp, many_datagrams_at_once)
{
    send_good(100);
    wait_for(100);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 100);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_DATAGRAMS_LOST), 0);
}

Test(jaeger_udp, what_is_no_batch_is_counted_by_reason)
{
    struct sm_buf other = {0};
    jaeger_put_be(&other, 0x80010004, 4);
    jaeger_put_be(&other, 9, 4);
    sm_buf_puts(&other, "emitNoise");
    jaeger_put_be(&other, 0, 4);
    send_bytes("garbage", 7);
    send_bytes(message.data, message.size - 1);
    send_bytes("", 0);
    send_bytes(other.data, other.size);
    send_good(1);
    wait_for(5);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 3);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNSUPPORTED), 1);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 1);
    sm_buf_fini(&other);
}

Test(jaeger_udp, overload)
{
    ingest_overload(&in);
    send_good(3);
    wait_for(3);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_OVERLOAD), 3);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 0);
}

Test(jaeger_udp, drain_takes_what_has_arrived_and_no_more)
{
    send_good(50);
    in.ops->drain(in.receiver);
    cr_expect_eq(seen(), 50);
    send_good(1);
    peer_turn_until(&in.peer, has_seen, &(unsigned){0});
    sm_loop_poll(in.peer.loop);
    cr_expect_eq(seen(), 50);
}

static void open_small(void)
{
    in.listener.udp = (struct sm_udp_options){512, 4096};
    open_udp();
}

TestSuite(jaeger_udp_small, .init = open_small, .fini = close_udp);

Test(jaeger_udp_small, datagrams_that_are_cut)
{
    uint8_t large[513] = {0};
    send_bytes(large, 513);
    send_bytes(large, 512);
    send_good(1);
    wait_for(3);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_TRUNCATED), 1);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_PAYLOADS_UNDECODABLE), 1);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_SPANS_RECEIVED), 1);
}

/* Without another datagram that would tell of them. */
Test(jaeger_udp_small, datagrams_that_the_kernel_lost)
{
    enum { SENT = 500 };
    unsigned taken = 0;
    for (unsigned turn = 1; turn <= 3; turn++) {
        send_good(SENT);
        cr_assert(peer_turn_until(&in.peer, has_seen, &(unsigned){taken + 1}));
        taken = (unsigned)seen();
        cr_assert(taken < turn * SENT, "the buffer took all");
        cr_expect_eq(rig_stat(&in.rig, SM_STAT_DATAGRAMS_LOST), turn * SENT - taken);
    }
    send_good(SENT);
    in.ops->drain(in.receiver);
    cr_expect_eq(rig_stat(&in.rig, SM_STAT_DATAGRAMS_LOST), 4 * SENT - seen());
}

Test(jaeger_udp, a_port_that_somebody_has_is_not_free)
{
    char address[64];
    struct sm_err err;
    snprintf(address, sizeof address, "127.0.0.1:%u", in.peer.port);
    cr_expect_eq(in.ops->check_free(address, &err), SM_E_IO);
    cr_expect_eq(in.ops->check_free("127.0.0.1:0", &err), SM_OK);
    cr_expect_eq(in.ops->check_free("127.0.0.1", &err), SM_E_INVALID);
}
