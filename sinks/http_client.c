/* libcurl's sockets and timer on libuv; replies collected within limits.
 *
 * libcurl before 8.0 (Debian 12 has 7.88) cannot use a connection again that it opened by HTTP/2 prior knowledge: a second
 * request that asks for prior knowledge fails with a framing error (curl issue 10634). A request that asks for HTTP/2 in the
 * ordinary way may share such a connection, but would open a new one with HTTP/1.1. So one request leads (prior knowledge, new
 * connection), all others follow: they ask in the ordinary way and are not allowed to open a socket. A follower that finds no
 * connection leads at once. */
#include "sinks/http_client.h"
#include "base/net/loop.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

enum { UPLOAD_BUFFER_SIZE = 512 * 1024, CONNECTIONS_MAX = 16, KEEPALIVE_S = 60, CURL_8_0 = 0x080000 };

struct sm_http_client {
    CURLM *multi;
    uv_loop_t *uv;
    uv_timer_t timer;
    struct curl_slist *headers;
    char *url;
    char *ca_file, *cert_file, *key_file;
    char *no_proxy; /* hosts that are reached directly */
    enum sm_http_client_version version;
    int64_t timeout_ns;
    bool insecure;
    bool leads_and_follows; /* the way round libcurl's error, above */
    bool connected;         /* somebody led, and no call has failed since */
};

/* A socket of libcurl's that the loop watches. */
struct watch {
    uv_poll_t poll;
    struct sm_http_client *client;
    curl_socket_t fd;
};

struct sm_http_client_call {
    struct sm_http_client *client;
    CURL *easy;
    sm_http_client_done_fn *done;
    void *ctx;
    bool running;
    bool cut;
    bool follows;        /* may not open a connection */
    bool found_nothing;  /* and would have had to */
    struct sm_str posted;
    struct sm_buf body;
    size_t headers_size;
    size_t header_lengths[SM_HTTP_CLIENT_HEADER_COUNT];
    char header_values[SM_HTTP_CLIENT_HEADER_COUNT][SM_HTTP_CLIENT_VALUE_MAX];
    char failure[CURL_ERROR_SIZE];
};

static const char *const header_names[SM_HTTP_CLIENT_HEADER_COUNT] = {
    [SM_HTTP_CLIENT_CONTENT_TYPE] = "content-type",  [SM_HTTP_CLIENT_RETRY_AFTER] = "retry-after",
    [SM_HTTP_CLIENT_GRPC_STATUS] = "grpc-status",    [SM_HTTP_CLIENT_GRPC_MESSAGE] = "grpc-message",
    [SM_HTTP_CLIENT_GRPC_DETAILS] = "grpc-status-details-bin",
};

/* --- events ------------------------------------------------------------------------------------------------------ */

static const char *failure_text(struct sm_http_client_call *call, CURLcode code)
{
    return call->failure[0] ? call->failure : curl_easy_strerror(code);
}

static void call_start(struct sm_http_client_call *call);

/* Lets the next call lead after a failure; true when this one leads now and has not ended. */
static bool lead_instead(struct sm_http_client_call *call, CURLcode code)
{
    if (!call->client->leads_and_follows || code == CURLE_OK)
        return false;
    call->client->connected = false;
    if (!call->found_nothing)
        return false;
    call_start(call);
    return true;
}

static void call_end(struct sm_http_client_call *call, CURLcode code)
{
    curl_multi_remove_handle(call->client->multi, call->easy);
    call->running = false;
    if (lead_instead(call, code))
        return;
    struct sm_http_client_reply reply = {.cut = call->cut};
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &reply.status);
    if (code != CURLE_OK && !call->cut)
        reply.failure = failure_text(call, code);
    if (!call->cut)
        reply.body = sm_buf_str(&call->body);
    for (int i = 0; i < SM_HTTP_CLIENT_HEADER_COUNT; i++)
        reply.headers[i] = sm_str(call->header_values[i], call->header_lengths[i]);
    call->done(call->ctx, &reply);
}

static void finish_calls(struct sm_http_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct sm_http_client_call *call;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_end(call, code);
    }
}

static void on_socket_event(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct sm_http_client *client = w->client; /* the watch may go during the call */
    int flags = 0, running;
    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(client->multi, w->fd, flags, &running);
    finish_calls(client);
}

static void on_timer(uv_timer_t *timer)
{
    struct sm_http_client *client = timer->data;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_calls(client);
}

static int on_timer_wanted(CURLM *multi SM_UNUSED, long timeout_ms, void *arg)
{
    struct sm_http_client *client = arg;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void watch_end(struct watch *w)
{
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, free_handle);
}

static struct watch *watch_start(struct sm_http_client *client, curl_socket_t fd)
{
    struct watch *w = sm_xcalloc(1, sizeof *w);
    w->client = client;
    w->fd = fd;
    w->poll.data = w;
    if (uv_poll_init_socket(client->uv, &w->poll, fd)) {
        free(w);
        return NULL;
    }
    curl_multi_assign(client->multi, fd, w);
    return w;
}

static int on_socket_wanted(CURL *easy SM_UNUSED, curl_socket_t fd, int what, void *arg, void *watch)
{
    struct sm_http_client *client = arg;
    struct watch *w = watch;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(client->multi, fd, NULL);
            watch_end(w);
        }
        return 0;
    }
    if (!w)
        w = watch_start(client, fd);
    if (!w)
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_socket_event) ? -1 : 0;
}

/* --- client ------------------------------------------------------------------------------------------------------ */

static void global_init(void)
{
    SM_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static enum sm_rc check_url(const char *url, struct sm_err *err)
{
    enum sm_rc rc = SM_E_INVALID;
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    SM_ASSERT(parsed);
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0))
        rc = SM_OK;
    curl_free(scheme);
    curl_url_cleanup(parsed);
    return rc == SM_OK ? rc : sm_err_set(err, rc, "not an http or https URL: \"%.100s\"", url);
}

static char *copied(const char *s)
{
    return s ? sm_xstrndup(s, strlen(s)) : NULL;
}

char *sm_http_client_no_proxy(void)
{
    const char *set = getenv("no_proxy");
    if (!set)
        set = getenv("NO_PROXY");
    struct sm_buf list = {0};
    sm_buf_printf(&list, "localhost,127.0.0.1,::1,[::1]%s%s", set ? "," : "", set ? set : "");
    sm_buf_putc(&list, '\0');
    return (char *)list.data;
}

static void header_append(struct sm_http_client *client, const char *line)
{
    client->headers = curl_slist_append(client->headers, line);
    SM_ASSERT(client->headers);
}

static bool is_tls(const struct sm_http_client *client)
{
    return strncasecmp(client->url, "https", 5) == 0;
}

static void multi_set_up(struct sm_http_client *client)
{
    client->multi = curl_multi_init();
    SM_ASSERT(client->multi);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
}

enum sm_rc sm_http_client_new(struct sm_loop *loop, const struct sm_http_client_config *config,
                              struct sm_http_client **client, struct sm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    enum sm_rc rc = check_url(config->url, err);
    if (rc != SM_OK)
        return rc;
    struct sm_http_client *c = sm_xcalloc(1, sizeof *c);
    c->uv = sm_loop_uv(loop);
    c->url = copied(config->url);
    c->ca_file = copied(config->ca_file);
    c->cert_file = copied(config->cert_file);
    c->key_file = copied(config->key_file);
    c->no_proxy = sm_http_client_no_proxy();
    c->version = config->version;
    c->timeout_ns = config->timeout_ns;
    c->insecure = config->insecure;
    c->leads_and_follows = c->version == SM_HTTP_CLIENT_VERSION_H2C && !is_tls(c) &&
                           curl_version_info(CURLVERSION_NOW)->version_num < CURL_8_0;
    header_append(c, "Expect:"); /* no waiting for 100-continue */
    for (const char *const *h = config->headers; h && *h; h++)
        header_append(c, *h);
    uv_timer_init(c->uv, &c->timer);
    c->timer.data = c;
    multi_set_up(c);
    *client = c;
    return SM_OK;
}

static void client_destroy(uv_handle_t *timer)
{
    struct sm_http_client *client = timer->data;
    for (struct curl_slist *h = client->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data)); /* tokens */
    curl_slist_free_all(client->headers);
    free(client->url);
    free(client->ca_file);
    free(client->cert_file);
    free(client->key_file);
    free(client->no_proxy);
    free(client);
}

void sm_http_client_free(struct sm_http_client *client)
{
    if (!client)
        return;
    curl_multi_cleanup(client->multi); /* closes idle connections and thereby ends their watches */
    uv_close((uv_handle_t *)&client->timer, client_destroy);
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

/* Too much body ends the transfer; what counts then is the status. */
static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct sm_http_client_call *call = arg;
    sm_buf_put(&call->body, bytes, size * n);
    call->cut = call->body.overflow;
    return call->cut ? 0 : size * n;
}

static bool header_is(struct sm_str line, const char *name, struct sm_str *value)
{
    size_t n = strlen(name);
    if (line.len <= n || line.ptr[n] != ':' || strncasecmp(line.ptr, name, n) != 0)
        return false;
    *value = sm_str(line.ptr + n + 1, line.len - n - 1);
    while (value->len && strchr(" \t\r\n", value->ptr[value->len - 1]))
        value->len--;
    while (value->len && strchr(" \t", value->ptr[0])) {
        value->ptr++;
        value->len--;
    }
    return true;
}

/* Headers and trailers. A new status line (after an interim reply) starts anew. */
static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct sm_http_client_call *call = arg;
    struct sm_str line = sm_str(bytes, size * n), value;
    call->headers_size += line.len;
    if (call->headers_size > SM_HTTP_CLIENT_HEADERS_MAX)
        return 0;
    if (line.len >= 5 && memcmp(line.ptr, "HTTP/", 5) == 0)
        memset(call->header_lengths, 0, sizeof call->header_lengths);
    for (int i = 0; i < SM_HTTP_CLIENT_HEADER_COUNT; i++) {
        if (!header_is(line, header_names[i], &value) || value.len > SM_HTTP_CLIENT_VALUE_MAX)
            continue;
        memcpy(call->header_values[i], value.ptr, value.len);
        call->header_lengths[i] = value.len;
    }
    return line.len;
}

static long curl_version_of(const struct sm_http_client *client)
{
    switch (client->version) {
    case SM_HTTP_CLIENT_VERSION_2:
        return CURL_HTTP_VERSION_2TLS;
    case SM_HTTP_CLIENT_VERSION_H2C:
        return is_tls(client) ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    case SM_HTTP_CLIENT_VERSION_1:
        break;
    }
    return CURL_HTTP_VERSION_1_1;
}

static void set_up_tls(CURL *easy, const struct sm_http_client *client)
{
    if (client->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    if (client->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, client->cert_file);
    if (client->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file);
    if (client->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose SM_UNUSED, struct curl_sockaddr *address)
{
    struct sm_http_client_call *call = arg;
    if (call->follows) {
        call->found_nothing = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

struct sm_http_client_call *sm_http_client_call_new(struct sm_http_client *client, sm_http_client_done_fn *done, void *ctx)
{
    struct sm_http_client_call *call = sm_xcalloc(1, sizeof *call);
    CURL *easy = curl_easy_init();
    SM_ASSERT(easy);
    *call = (struct sm_http_client_call){
        .client = client, .easy = easy, .done = done, .ctx = ctx, .body.size_max = SM_HTTP_CLIENT_BODY_MAX};
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_URL, client->url);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, client->no_proxy);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, curl_version_of(client));
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, client->version == SM_HTTP_CLIENT_VERSION_H2C ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "spanmill/" SM_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)SM_MAX(client->timeout_ns / SM_MS, 1));
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->failure);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    set_up_tls(easy, client);
    return call;
}

void sm_http_client_call_free(struct sm_http_client_call *call)
{
    if (!call)
        return;
    sm_http_client_call_abort(call);
    curl_easy_cleanup(call->easy);
    sm_buf_fini(&call->body);
    free(call);
}

static void lead_or_follow(struct sm_http_client_call *call)
{
    struct sm_http_client *client = call->client;
    call->follows = client->connected;
    call->found_nothing = false;
    client->connected = true;
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, call->follows ? 0L : 1L);
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION,
                     call->follows ? (long)CURL_HTTP_VERSION_2_0 : (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
}

static void call_start(struct sm_http_client_call *call)
{
    sm_buf_clear(&call->body);
    call->cut = false;
    call->headers_size = 0;
    call->failure[0] = '\0';
    memset(call->header_lengths, 0, sizeof call->header_lengths);
    if (call->client->leads_and_follows)
        lead_or_follow(call);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->posted.ptr);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->posted.len);
    call->running = true;
    SM_ASSERT(curl_multi_add_handle(call->client->multi, call->easy) == CURLM_OK);
}

void sm_http_client_post(struct sm_http_client_call *call, struct sm_str body)
{
    SM_ASSERT(!call->running);
    call->posted = body;
    call_start(call);
}

void sm_http_client_call_abort(struct sm_http_client_call *call)
{
    if (!call->running)
        return;
    curl_multi_remove_handle(call->client->multi, call->easy);
    call->running = false;
}
