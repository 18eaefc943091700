/* Credentials and pages of other sites, in front of a server. */
#include "h2_peer.h"

#include "base/log.h"
#include "base/net/auth.h"
#include "base/net/cors.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

struct world {
    char tokens[64];
    struct sm_auth *auth;
    struct sm_cors *cors;
    struct peer_server server;
};

static const char *const open_paths[] = {"/-/healthy", NULL};

static void world_open(struct world *w, bool guarded, const char *origin)
{
    struct sm_err err = {0};
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = -1});
    *w = (struct world){0};
    snprintf(w->tokens, sizeof w->tokens, "/tmp/spanmill-door-XXXXXX");
    int fd = mkstemp(w->tokens);
    cr_assert_eq(write(fd, "sesame\n", 7), 7);
    close(fd);
    if (guarded)
        w->auth = sm_auth_new(w->tokens, NULL, &err);
    if (origin)
        w->cors = sm_cors_new(&(struct sm_cors_config){.origins = &origin, .origins_n = 1, .max_age_ns = 60 * SM_SEC}, &err);
    cr_assert(!guarded || w->auth, "%s", err.text);
    cr_assert(!origin || w->cors, "%s", err.text);
    peer_server_open_behind(&w->server, NULL, &(struct sm_http_door){.auth = w->auth, .cors = w->cors, .open_paths = open_paths});
}

static void world_close(struct world *w)
{
    peer_server_close(&w->server);
    sm_auth_free(w->auth);
    sm_cors_free(w->cors);
    unlink(w->tokens);
}

static void speak(struct peer_client *c, const char *request, const char *status)
{
    c->in_len = 0;
    cr_assert(peer_send_text(c, request));
    cr_assert(peer_wait_text(c, "\r\n\r\n"));
    c->in[c->in_len] = '\0';
    cr_assert(strncmp(c->in + 9, status, 3) == 0, "%s%s", request, c->in);
}

Test(door, tokens_at_the_headers)
{
    struct world w;
    world_open(&w, true, NULL);
    struct peer_client *c = peer_connect(&w.server);
    /* No body has been read, and 100 Continue is not said. */
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n", "401");
    cr_assert(strstr(c->in, "www-authenticate: Bearer realm=\"spanmill\"\r\n"));
    cr_assert_null(strstr(c->in, "Basic"));
    cr_assert(peer_wait_text(c, "credentials are missing"));
    peer_disconnect(c);
    c = peer_connect(&w.server);
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer open\r\ncontent-length: 3\r\n\r\nabc", "401");
    cr_assert(peer_wait_text(c, "wrong credentials"));
    cr_assert_null(strstr(c->in, "sesame"));
    cr_assert_eq(w.server.headers_seen, 0);
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer sesame\r\ncontent-length: 3\r\n\r\nabc", "202");
    speak(c, "GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n", "202");
    speak(c, "GET /-/healthy/x HTTP/1.1\r\nhost: a\r\n\r\n", "401");
    speak(c, "OPTIONS /x HTTP/1.1\r\nhost: a\r\norigin: https://a\r\naccess-control-request-method: POST\r\n\r\n", "401");
    cr_assert_eq(w.server.headers_seen, 2);
    cr_assert_eq(PEER_COUNTER(&w.server, requests_refused), 4);
    cr_assert_eq(PEER_COUNTER(&w.server, credentials_missing), 3);
    cr_assert_eq(PEER_COUNTER(&w.server, credentials_wrong), 1);
    peer_disconnect(c);
    world_close(&w);
}

Test(door, grpc_without_a_token)
{
    struct world w;
    world_open(&w, true, NULL);
    struct h2_peer *p = h2_connect(&w.server);
    struct h2_stream *refused = h2_grpc(p, "/echo", "\0\0\0\0\1x", 6);
    cr_assert(h2_wait_closed(p, refused));
    cr_assert_str_eq(refused->status, "200");
    cr_assert_str_eq(refused->grpc_status, "16");
    cr_assert(refused->headers_ended_stream);
    nghttp2_nv more[] = {h2_nv("te", "trailers"), h2_nv("authorization", "Bearer sesame")};
    struct h2_stream *taken = h2_request(p, "POST", "/echo", "application/grpc", more, 2, "\0\0\0\0\1x", 6);
    cr_assert(h2_wait_closed(p, taken));
    cr_assert_str_eq(taken->grpc_status, "0");
    struct h2_stream *http = h2_request(p, "GET", "/x", NULL, NULL, 0, NULL, 0);
    cr_assert(h2_wait_closed(p, http));
    cr_assert_str_eq(http->status, "401");
    cr_assert_eq(w.server.headers_seen, 1);
    h2_disconnect(p);
    world_close(&w);
}

Test(door, pages_of_other_sites)
{
    struct world w;
    world_open(&w, true, "https://*.shop.example");
    struct peer_client *c = peer_connect(&w.server);
    /* A preflight carries no credentials. */
    speak(c, "OPTIONS /v1/traces HTTP/1.1\r\nhost: a\r\norigin: https://www.shop.example\r\naccess-control-request-method: POST\r\n"
             "access-control-request-headers: authorization,content-type\r\n\r\n", "204");
    cr_assert(strstr(c->in, "access-control-allow-origin: https://www.shop.example\r\n"));
    cr_assert(strstr(c->in, "access-control-allow-credentials: true\r\n"));
    cr_assert(strstr(c->in, "access-control-allow-methods: POST\r\n"));
    cr_assert(strstr(c->in, "access-control-allow-headers: content-type, content-encoding, authorization\r\n"));
    cr_assert(strstr(c->in, "access-control-max-age: 60\r\n"));
    cr_assert(strstr(c->in, "vary: origin\r\n"));
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\norigin: https://www.shop.example\r\nauthorization: Bearer sesame\r\n"
             "content-length: 0\r\n\r\n", "202");
    cr_assert(strstr(c->in, "access-control-allow-origin: https://www.shop.example\r\n"));
    /* A page may learn that it lacks a token. */
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\norigin: https://www.shop.example\r\ncontent-length: 0\r\n\r\n", "401");
    cr_assert(strstr(c->in, "access-control-allow-origin: https://www.shop.example\r\n"));
    /* Others may not; and nobody reads. */
    speak(c, "OPTIONS /x HTTP/1.1\r\nhost: a\r\norigin: https://evil.example\r\naccess-control-request-method: POST\r\n\r\n", "403");
    cr_assert_null(strstr(c->in, "access-control"));
    speak(c, "OPTIONS /x HTTP/1.1\r\nhost: a\r\norigin: https://www.shop.example\r\naccess-control-request-method: GET\r\n\r\n", "403");
    cr_assert_null(strstr(c->in, "access-control"));
    speak(c, "GET /x HTTP/1.1\r\nhost: a\r\norigin: https://www.shop.example\r\nauthorization: Bearer sesame\r\n\r\n", "202");
    cr_assert_null(strstr(c->in, "access-control"));
    speak(c, "POST /x HTTP/1.1\r\nhost: a\r\norigin: https://evil.example\r\nauthorization: Bearer sesame\r\ncontent-length: 0\r\n\r\n", "202");
    cr_assert_null(strstr(c->in, "access-control"));
    peer_disconnect(c);
    world_close(&w);
}

Test(door, every_page_without_its_cookies)
{
    struct world w;
    world_open(&w, false, "*");
    struct peer_client *c = peer_connect(&w.server);
    speak(c, "OPTIONS /x HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\r\n", "204");
    cr_assert(strstr(c->in, "access-control-allow-origin: *\r\n"));
    cr_assert_null(strstr(c->in, "credentials"));
    peer_disconnect(c);
    world_close(&w);
}

/* Large bodies of replies and the origin's bytes share nothing: the reply of an HTTP/2 request is whole. */
Test(door, pages_over_http2)
{
    struct world w;
    world_open(&w, false, "https://a.example");
    struct h2_peer *p = h2_connect(&w.server);
    nghttp2_nv origin = h2_nv("origin", "https://a.example");
    struct h2_stream *st = h2_request(p, "POST", "/echo", NULL, &origin, 1, "hello", 5);
    cr_assert(h2_wait_closed(p, st));
    cr_assert_str_eq(st->status, "200");
    cr_assert_str_eq(st->allow_origin, "https://a.example");
    cr_assert_eq(st->in_len, 5);
    cr_assert_eq(memcmp(st->in, "hello", 5), 0);
    h2_disconnect(p);
    world_close(&w);
}

/* Without a door a request is not looked at twice: OPTIONS is the handler's. */
Test(door, open_servers)
{
    struct world w;
    world_open(&w, false, NULL);
    struct peer_client *c = peer_connect(&w.server);
    speak(c, "OPTIONS /x HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\naccess-control-request-method: POST\r\n\r\n", "202");
    cr_assert_null(strstr(c->in, "access-control"));
    peer_disconnect(c);
    world_close(&w);
}
