#include "otlp_peer.h"
#include "base/clock.h"
#include "base/pb.h"

#include <criterion/criterion.h>
#include <zlib.h>
#include <zstd.h>

static unsigned count_fields(const uint8_t *p, size_t size, const uint32_t *path, unsigned depth)
{
    const uint8_t *end = p + size;
    struct sm_pb_field f;
    unsigned n = 0;
    if (depth == 0)
        return 1;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == path[0])
            n += count_fields(f.bytes, f.size, path + 1, depth - 1);
    }
    cr_assert_eq(p, end, "request malformed");
    return n;
}

static unsigned count_spans(struct sm_str message)
{
    static const uint32_t path[] = {1, 2, 2};
    return message.len ? count_fields((const uint8_t *)message.ptr, message.len, path, 3) : 0;
}

static size_t inflate_gzip(struct sm_str in, uint8_t *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len, .next_out = out, .avail_out = (uInt)room};
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    return z.total_out;
}

static struct sm_str plain_body(struct otlp_peer *p, struct sm_str body)
{
    static uint8_t plain[1 << 20];
    if (strcmp(p->encoding, "gzip") == 0)
        return sm_str(plain, inflate_gzip(body, plain, sizeof plain));
    if (strcmp(p->encoding, "zstd") == 0) {
        size_t n = ZSTD_decompress(plain, sizeof plain, body.ptr, body.len);
        cr_assert_not(ZSTD_isError(n));
        return sm_str(plain, n);
    }
    return body;
}

static void note(char *out, size_t room, struct sm_str s)
{
    cr_assert_lt(s.len, room);
    memcpy(out, s.ptr ? s.ptr : "", s.len);
    out[s.len] = '\0';
}

static void answer(struct otlp_peer *p, struct sm_http_exchange *x, bool fail)
{
    if (x->is_grpc) {
        if (fail)
            sm_grpc_reply(x, p->grpc_status, SM_STR("as told"), p->grpc_details, p->body);
        else
            sm_grpc_reply(x, SM_GRPC_OK, SM_STR(""), SM_STR(""), SM_STR(""));
        return;
    }
    struct sm_http_response r = {.status = 200};
    if (fail) {
        r = (struct sm_http_response){.status = p->status, .headers = p->headers, .headers_n = p->headers_n, .body = p->body};
        r.content_type = p->content_type ? sm_str_c(p->content_type) : SM_STR("");
    }
    sm_http_respond(x, &r);
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    struct otlp_peer *p = ctx;
    p->requests++;
    note(p->path, sizeof p->path, x->path);
    note(p->type, sizeof p->type, x->known[SM_HTTP_CONTENT_TYPE]);
    note(p->encoding, sizeof p->encoding, x->known[x->is_grpc ? SM_HTTP_GRPC_ENCODING : SM_HTTP_CONTENT_ENCODING]);
    note(p->auth, sizeof p->auth, x->known[SM_HTTP_AUTHORIZATION]);
    note(p->te, sizeof p->te, x->known[SM_HTTP_TE]);
    p->is_http2 = x->is_http2;
    if (p->status == 0) {
        p->deferred[p->deferred_n++] = x;
        sm_http_defer(x);
        return;
    }
    bool fail = !p->fail_at || p->fail_at == p->requests;
    p->spans += count_spans(plain_body(p, sm_http_body(x)));
    answer(p, x, fail);
}

static const struct sm_http_handler handler = {.on_request = on_request};

void otlp_peer_open(struct otlp_peer *p)
{
    struct sm_err err;
    memset(p, 0, sizeof *p);
    p->status = 200;
    p->loop = sm_loop_new(NULL, &err);
    cr_assert_not_null(p->loop);
    p->pool = sm_payload_pool_new(1 << 20);
    p->server = sm_http_server_new(p->loop, NULL, p->pool, &handler, p);
    cr_assert_eq(sm_http_server_listen(p->server, "127.0.0.1:0", &p->port, &err), SM_OK, "%s", err.text);
}

void otlp_peer_close(struct otlp_peer *p)
{
    static const struct sm_http_response gone = {.status = 500};
    for (unsigned i = 0; i < p->deferred_n; i++)
        sm_http_complete(p->deferred[i], &gone);
    sm_http_server_free(p->server);
    sm_loop_free(p->loop);
    sm_payload_pool_free(p->pool);
}

void otlp_peer_restart(struct otlp_peer *p)
{
    struct sm_err err;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", p->port);
    sm_http_server_free(p->server);
    for (int i = 0; i < 10; i++)
        sm_loop_poll(p->loop); /* connections close in later turns */
    p->server = sm_http_server_new(p->loop, NULL, p->pool, &handler, p);
    cr_assert_eq(sm_http_server_listen(p->server, address, NULL, &err), SM_OK, "%s", err.text);
}

bool otlp_peer_turn(struct otlp_peer *p, const unsigned *value, unsigned n)
{
    int64_t deadline = sm_clock_mono_ns() + 10 * SM_SEC;
    while (*value < n) {
        if (sm_clock_mono_ns() > deadline)
            return false;
        sm_loop_poll(p->loop);
    }
    return true;
}
