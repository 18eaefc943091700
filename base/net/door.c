/* What stands between a request's headers and the handler: pages of other sites, credentials. */
#include "base/net/auth.h"
#include "base/net/cors.h"
#include "base/net/grpc.h"
#include "base/net/http_impl.h"

enum { HEADERS_MAX = 8 };

static void add(struct sm_http_response *response, struct sm_http_header *headers, struct sm_str name, struct sm_str value)
{
    headers[response->headers_n++] = (struct sm_http_header){name, value};
    response->headers = headers;
}

/* ---- CORS ---- */

static bool is_preflight(const struct sm_exchange *x)
{
    return sm_str_eq(x->pub.method, SM_STR("OPTIONS")) &&
           sm_http_header(&x->pub, SM_STR("access-control-request-method")).len > 0;
}

/* allow-origin, allow-credentials and vary are added to every reply where they are due. */
static void answer_preflight(struct sm_exchange *x, const struct sm_cors *cors)
{
    struct sm_http_header headers[HEADERS_MAX];
    struct sm_http_response response = {.status = 204};
    bool is_post = sm_str_eq(sm_http_header(&x->pub, SM_STR("access-control-request-method")), SM_STR("POST"));
    if (x->cors == SM_CORS_NO || !is_post) {
        x->cors = SM_CORS_NO;
        sm_http_reply(&x->pub, 403, "text/plain", SM_STR("403 pages of this origin may not do that here\n"));
        return;
    }
    add(&response, headers, SM_STR("access-control-allow-methods"), SM_STR("POST"));
    add(&response, headers, SM_STR("access-control-allow-headers"),
        sm_cors_headers(cors, sm_http_header(&x->pub, SM_STR("access-control-request-headers"))));
    add(&response, headers, SM_STR("access-control-max-age"), sm_cors_max_age(cors));
    sm_http_respond(&x->pub, &response);
}

/* True when it was a preflight, which is answered. */
static bool serve_page(struct sm_exchange *x)
{
    const struct sm_cors *cors = x->server->cors;
    struct sm_str origin = x->pub.known[SM_HTTP_ORIGIN];
    bool asks_first = is_preflight(x);
    if (!cors || !origin.len || (!asks_first && !sm_str_eq(x->pub.method, SM_STR("POST"))))
        return false;
    x->cors = sm_cors_ask(cors, origin);
    if (asks_first)
        answer_preflight(x, cors);
    return asks_first;
}

size_t sm_door_reply_headers(const struct sm_exchange *x, struct sm_http_header headers[SM_DOOR_REPLY_HEADERS_MAX])
{
    size_t n = 0;
    bool named = x->cors == SM_CORS_NAMED;
    headers[n++] = (struct sm_http_header){SM_STR("access-control-allow-origin"),
                                           named ? x->pub.known[SM_HTTP_ORIGIN] : SM_STR("*")};
    if (named)
        headers[n++] = (struct sm_http_header){SM_STR("access-control-allow-credentials"), SM_STR("true")};
    headers[n++] = (struct sm_http_header){SM_STR("vary"), SM_STR("origin")};
    return n;
}

/* ---- credentials ---- */

static bool is_open(const struct sm_exchange *x)
{
    const char *const *paths = x->server->open_paths;
    for (; paths && *paths; paths++) {
        if (sm_str_eq(x->pub.path, sm_str_c(*paths)))
            return true;
    }
    return false;
}

static void refuse_grpc(struct sm_exchange *x, enum sm_auth_answer answer)
{
    bool busy = answer == SM_AUTH_BUSY;
    sm_grpc_reply(&x->pub, busy ? SM_GRPC_UNAVAILABLE : SM_GRPC_UNAUTHENTICATED,
                  busy ? SM_STR("too many wrong passwords, try again later")
                       : answer == SM_AUTH_WRONG ? SM_STR("wrong credentials") : SM_STR("credentials are missing"),
                  SM_STR(""), SM_STR(""));
}

static void refuse_http(struct sm_exchange *x, enum sm_auth_answer answer)
{
    const struct sm_auth_port *auth = x->server->auth;
    struct sm_http_header headers[HEADERS_MAX];
    struct sm_http_response response = {.status = 401, .content_type = SM_STR("text/plain")};
    if (answer == SM_AUTH_BUSY) {
        response.status = 429;
        response.body = SM_STR("429 too many wrong passwords, try again later\n");
        add(&response, headers, SM_STR("retry-after"), SM_STR("1"));
    } else {
        response.body = answer == SM_AUTH_WRONG ? SM_STR("401 wrong credentials\n") : SM_STR("401 credentials are missing\n");
        if (sm_auth_port_takes_tokens(auth))
            add(&response, headers, SM_STR("www-authenticate"), SM_STR("Bearer realm=\"spanmill\""));
        if (sm_auth_port_takes_users(auth))
            add(&response, headers, SM_STR("www-authenticate"), SM_STR("Basic realm=\"spanmill\", charset=\"UTF-8\""));
    }
    sm_http_respond(&x->pub, &response);
}

static void count_refusal(struct sm_http_counters *c, enum sm_auth_answer answer)
{
    sm_http_count(answer == SM_AUTH_MISSING ? &c->credentials_missing
                  : answer == SM_AUTH_WRONG ? &c->credentials_wrong
                                            : &c->credentials_unread,
                  1);
}

bool sm_door_admit(struct sm_exchange *x)
{
    if (serve_page(x))
        return false;
    if (!x->server->auth || is_open(x))
        return true;
    enum sm_auth_answer answer = sm_auth_port_ask(x->server->auth, x->pub.known[SM_HTTP_AUTHORIZATION]);
    if (SM_LIKELY(answer == SM_AUTH_WELCOME))
        return true;
    count_refusal(&x->server->counters, answer);
    if (x->pub.is_grpc)
        refuse_grpc(x, answer);
    else
        refuse_http(x, answer);
    return false;
}
