/* When a connection writes. The stream is made of memory, and counts its writes. */
#include "base/net/stream.h"
#include "net_peer.h"

#include <criterion/criterion.h>

enum { READ_BYTES = 64 * 1024, REQUEST_BYTES = 64, REQUESTS_PER_READ = READ_BYTES / REQUEST_BYTES };

static struct peer_server s;

static struct memory_stream {
    struct sm_stream stream;
    struct sm_loop_message closing;
    unsigned writes;
    size_t written_bytes;
    bool is_closed;
} m;

static void ignore(struct sm_stream *stream SM_UNUSED)
{
}

static ssize_t try_write(struct sm_stream *stream SM_UNUSED, const struct iovec *parts, size_t n)
{
    size_t taken = 0;
    for (size_t i = 0; i < n; i++)
        taken += parts[i].iov_len;
    m.writes++;
    m.written_bytes += taken;
    return (ssize_t)taken;
}

static enum sm_rc queue_write(struct sm_stream *stream SM_UNUSED, const struct iovec *parts SM_UNUSED, size_t n SM_UNUSED)
{
    return SM_E_CLOSED;
}

static void on_closing(struct sm_loop_message *message SM_UNUSED)
{
    m.is_closed = true;
    m.stream.events->closed(m.stream.ctx);
}

static void close_stream(struct sm_stream *stream SM_UNUSED)
{
    m.closing.fn = on_closing;
    sm_loop_post_message(s.loop, &m.closing);
}

static const struct sm_stream_ops memory_ops = {ignore, ignore, try_write, queue_write, ignore, close_stream};

static void open_memory(void)
{
    peer_server_open(&s, NULL);
    m = (struct memory_stream){.stream.ops = &memory_ops};
    sm_http_server_accept(s.server, &m.stream);
}

static const char request[] = "GET /0123456789 HTTP/1.1\r\nHost: localhost\r\nX-Pad: abcdefghij\r\n\r\n";

/* One read that brings so many requests. */
static void read_requests(size_t n)
{
    uint8_t *at = NULL;
    size_t room = 0;
    cr_assert_eq(sizeof request - 1, REQUEST_BYTES);
    m.stream.events->buffer(m.stream.ctx, &at, &room);
    cr_assert_eq(room, READ_BYTES);
    for (size_t i = 0; i < n; i++)
        memcpy(at + i * REQUEST_BYTES, request, REQUEST_BYTES);
    m.stream.events->bytes(m.stream.ctx, at, n * REQUEST_BYTES);
}

static void close_memory(void)
{
    sm_http_server_free(s.server);
    s.server = NULL;
    while (!m.is_closed)
        sm_loop_poll(s.loop);
    peer_server_close(&s);
}

Test(conn, replies_leave_after_a_read_that_had_room_left)
{
    open_memory();
    read_requests(3);
    cr_assert_eq(s.requests_seen, 3);
    cr_assert_eq(m.writes, 1);
    close_memory();
}

Test(conn, replies_wait_while_more_is_there_to_read)
{
    open_memory();
    read_requests(REQUESTS_PER_READ);
    cr_assert_eq(s.requests_seen, REQUESTS_PER_READ);
    cr_assert_eq(m.writes, 0);
    read_requests(1);
    cr_assert_eq(m.writes, 1);
    cr_assert_geq(m.written_bytes, (REQUESTS_PER_READ + 1) * strlen("HTTP/1.1 202 Accepted\r\n\r\n"));
    sm_loop_poll(s.loop);
    cr_assert_eq(m.writes, 1, "nothing was left to write");
    close_memory();
}

Test(conn, replies_leave_when_nothing_is_left_to_read)
{
    open_memory();
    read_requests(REQUESTS_PER_READ);
    cr_assert_eq(m.writes, 0);
    m.stream.events->drained(m.stream.ctx);
    cr_assert_eq(m.writes, 1);
    m.stream.events->drained(m.stream.ctx);
    sm_loop_poll(s.loop);
    cr_assert_eq(m.writes, 1, "nothing was left to write");
    close_memory();
}

Test(conn, replies_wait_for_no_longer_than_the_turn)
{
    open_memory();
    read_requests(REQUESTS_PER_READ);
    read_requests(REQUESTS_PER_READ);
    cr_assert_eq(m.writes, 0);
    sm_loop_poll(s.loop);
    cr_assert_eq(s.requests_seen, 2 * REQUESTS_PER_READ);
    cr_assert_eq(m.writes, 1);
    close_memory();
}

Test(conn, a_connection_may_break_while_replies_wait)
{
    open_memory();
    read_requests(REQUESTS_PER_READ);
    m.stream.events->ended(m.stream.ctx, SM_E_CLOSED);
    while (!m.is_closed)
        sm_loop_poll(s.loop);
    cr_assert_eq(m.writes, 0);
    peer_server_close(&s);
}

Test(conn, a_server_may_be_freed_while_replies_wait)
{
    open_memory();
    read_requests(REQUESTS_PER_READ);
    close_memory();
    cr_assert_eq(m.writes, 0);
}
