#include "ingest_rig.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <zlib.h>

void ingest_open(struct ingest *in, const struct sm_receiver_ops *ops)
{
    struct sm_err err = {0};
    sm_log_setup(&(struct sm_log_config){.fd = open("/dev/null", O_WRONLY)});
    in->rig.threads = true;
    in->rig.memory_bytes = 1 << 30;
    rig_open(&in->rig);
    in->ops = ops;
    if (!in->listener.address)
        in->listener.address = "127.0.0.1:0";
    if (!in->listener.http.connections_max)
        in->listener.http = sm_http_limits_default;
    if (!in->listener.inflate.bytes_max)
        in->listener.inflate = sm_inflate_limits_default;
    if (!in->listener.udp.datagram_bytes_max)
        in->listener.udp = (struct sm_udp_options){65535, 1 << 20};
    in->peer.loop = sm_worker_loop(in->rig.worker);
    in->receiver = ops->open(&in->listener, in->rig.worker, &in->peer.port, &err);
    cr_assert_not_null(in->receiver, "%s", err.text);
    in->client = ops->counters ? peer_connect(&in->peer) : NULL;
}

void ingest_close(struct ingest *in)
{
    if (in->client)
        peer_disconnect(in->client);
    in->ops->close(in->receiver);
    rig_close(&in->rig);
}

void ingest_overload(struct ingest *in)
{
    sm_budget_publish(&in->rig.pipeline->budget, 0, in->rig.pipeline->budget.soft_bytes + 1);
}

void ingest_fill(struct ingest *in)
{
    sm_budget_publish(&in->rig.pipeline->budget, 0, in->rig.pipeline->budget.hard_bytes + 1);
}

void ingest_relieve(struct ingest *in)
{
    sm_budget_publish(&in->rig.pipeline->budget, 0, 0);
}

/* Bytes of the reply at the start of what was read: head and body of Content-Length; 0 when it is not all there. */
static size_t reply_bytes(const struct peer_client *c)
{
    const char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *length = memmem(c->in, (size_t)(end - c->in), "content-length: ", 16);
    size_t n = (size_t)(end + 4 - c->in) + (length ? (size_t)strtoul(length + 16, NULL, 10) : 0);
    return n <= c->in_len ? n : 0;
}

static bool has_reply(void *arg)
{
    struct peer_client *c = arg;
    peer_settle(c);
    return reply_bytes(c) || c->eof;
}

unsigned ingest_send(struct ingest *in, const char *method, const char *path, const char *headers, const void *body, size_t n)
{
    char head[1024];
    int size = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", method, path, headers, n);
    struct peer_client *c = in->client;
    c->in_len = 0;
    memset(c->in, 0, 16);
    peer_send(c, head, (size_t)size);
    if (n)
        peer_send(c, body, n);
    cr_assert(peer_turn_until(&in->peer, has_reply, c), "no reply");
    c->in[c->in_len] = '\0';
    return c->in_len > 12 ? (unsigned)strtoul(c->in + 9, NULL, 10) : 0;
}

unsigned ingest_post(struct ingest *in, const char *path, const char *type, const char *more, const void *body, size_t n)
{
    char headers[512];
    snprintf(headers, sizeof headers, "%s%s%s%s", type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", more);
    return ingest_send(in, "POST", path, headers, body, n);
}

unsigned ingest_post_text(struct ingest *in, const char *path, const char *type, const char *text)
{
    return ingest_post(in, path, type, "", text, strlen(text));
}

const char *ingest_body(const struct ingest *in, size_t *n)
{
    const char *end = strstr(in->client->in, "\r\n\r\n");
    cr_assert_not_null(end);
    if (n)
        *n = in->client->in_len - (size_t)(end + 4 - in->client->in);
    return end + 4;
}

bool ingest_has(const struct ingest *in, const char *head_line)
{
    const char *end = strstr(in->client->in, "\r\n\r\n");
    char line[256];
    int n = snprintf(line, sizeof line, "\r\n%s\r\n", head_line);
    return end && memmem(in->client->in, (size_t)(end + 2 - in->client->in), line, (size_t)n);
}

struct sm_buf ingest_gzip(const void *bytes, size_t n)
{
    struct sm_buf out = {0};
    z_stream z = {0};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert(sm_buf_reserve(&out, deflateBound(&z, n) + 64));
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out.data;
    z.avail_out = (uInt)out.capacity;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    deflateEnd(&z);
    return out;
}
