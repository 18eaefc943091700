/* The service behind a real server on a real socket: one loop, turned by the test, and the query thread. */
#include "query/service.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer {
    struct sm_loop *loop;
    struct sm_payload_pool *pool;
    struct sm_http_server *server;
    struct sm_query_service *service;
    uint16_t port;
    sem_t gate; /* the graph waits for it */
    struct sm_graph_edge edges[100];
};

/* Waits for the gate when asked for the minute 0, else gives many edges. */
static bool give_graph(void *ctx, int64_t start_ms, int64_t end_ms, struct sm_graph *graph)
{
    struct peer *p = ctx;
    if (end_ms == 60000)
        sem_wait(&p->gate);
    graph->start_ms = start_ms;
    graph->end_ms = end_ms;
    graph->count = SM_ARRAY_LEN(p->edges);
    graph->edges = malloc(sizeof p->edges);
    memcpy(graph->edges, p->edges, sizeof p->edges);
    return true;
}

static void open_peer(struct peer *p, uint32_t queue_max)
{
    struct sm_err err = {0};
    memset(p, 0, sizeof *p);
    sem_init(&p->gate, 0, 0);
    for (size_t i = 0; i < SM_ARRAY_LEN(p->edges); i++)
        p->edges[i] = (struct sm_graph_edge){.parent = SM_STR("a"), .child = SM_STR("b"), .calls = 1};
    struct sm_query_service_config config = {.env = {.graph = give_graph, .graph_ctx = p, .base_path = "/jaeger"}, .queue_max = queue_max};
    p->service = sm_query_service_new(&config, &err);
    cr_assert(p->service, "%s", err.text);
    p->loop = sm_loop_new(NULL, &err);
    p->pool = sm_payload_pool_new(1 << 20);
    p->server = sm_http_server_new(p->loop, NULL, p->pool, sm_query_http_handler(), p->service);
    cr_assert_eq(sm_http_server_listen(p->server, "127.0.0.1:0", &p->port, &err), SM_OK, "%s", err.text);
}

static void close_peer(struct peer *p)
{
    sm_query_service_stop(p->service);
    sm_http_server_free(p->server);
    sm_loop_free(p->loop);
    sm_query_service_free(p->service);
    sm_payload_pool_free(p->pool);
    sem_destroy(&p->gate);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A connection with one request on it, which the server closes behind its reply. */
static int send_request(struct peer *p, const char *head, const char *body)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(p->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[4096];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n", head);
    n += body ? snprintf(text + n, sizeof text - (size_t)n, "content-length: %zu\r\n\r\n%s", strlen(body), body)
              : snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    cr_assert_eq(send(fd, text, (size_t)n, 0), n);
    return fd;
}

/* The whole reply, terminated; static memory. */
static const char *receive(struct peer *p, int fd)
{
    static char reply[1 << 16];
    size_t size = 0;
    int64_t deadline = now_ms() + 5000;
    for (ssize_t n = -1; n != 0 && now_ms() < deadline; size += n > 0 ? (size_t)n : 0) {
        sm_loop_poll(p->loop);
        n = recv(fd, reply + size, sizeof reply - 1 - size, MSG_DONTWAIT);
    }
    reply[size] = '\0';
    close(fd);
    return reply;
}

static const char *ask(struct peer *p, const char *head, const char *body)
{
    return receive(p, send_request(p, head, body));
}

static bool status_is(const char *reply, const char *status)
{
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 && strncmp(reply + 9, status, 3) == 0;
}

Test(service, answers)
{
    struct peer p;
    open_peer(&p, 0);
    const char *reply = ask(&p, "GET /jaeger/api/services", NULL);
    cr_assert(status_is(reply, "200") && strstr(reply, "{\"data\":[],\"total\":0"), "%s", reply);
    cr_assert(strstr(reply, "content-type: application/json\r\n"));
    cr_assert(!strstr(reply, "access-control-allow-origin"));
    reply = ask(&p, "GET /zipkin/config.json", NULL);
    cr_assert(strstr(reply, "cache-control: max-age=600, must-revalidate\r\n"), "%s", reply);
    reply = ask(&p, "HEAD /health", NULL);
    cr_assert(status_is(reply, "200") && !strstr(reply, "UP"), "%s", reply);
    cr_assert_eq(atomic_load(&sm_query_service_counters(p.service)->requests), 3);
    reply = ask(&p, "GET /nothing", NULL);
    cr_assert(status_is(reply, "404"), "%s", reply);
    cr_assert_eq(atomic_load(&sm_query_service_counters(p.service)->failed), 1);
    close_peer(&p);
}

Test(service, methods)
{
    static const struct {
        const char *head, *status, *allow;
    } cases[] = {
        {"OPTIONS /api/services", "204", "allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS /api/transform", "204", "allow: POST, OPTIONS\r\n"},
        {"OPTIONS /nothing", "404", ""},
        {"POST /api/services", "405", "allow: GET, HEAD, OPTIONS\r\n"},
        {"PUT /api/v2/trace/1", "405", "allow: GET, HEAD, OPTIONS\r\n"},
        {"GET /api/transform", "405", "allow: POST, OPTIONS\r\n"},
        {"DELETE /nothing", "404", ""},
    };
    struct peer p;
    open_peer(&p, 0);
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        const char *reply = ask(&p, cases[i].head, NULL);
        cr_assert(status_is(reply, cases[i].status) && strstr(reply, cases[i].allow), "%s: %s", cases[i].head, reply);
    }
    close_peer(&p);
}

Test(service, bodies)
{
    struct peer p;
    open_peer(&p, 0);
    const char *reply = ask(&p, "POST /api/transform",
                            "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"000000000000000000000000000000aa\","
                            "\"spanId\":\"0000000000000001\",\"name\":\"x\"}]}]}]}");
    cr_assert(status_is(reply, "200") && strstr(reply, "\"operationName\":\"x\""), "%s", reply);
    reply = ask(&p, "POST /api/transform", NULL);
    cr_assert(status_is(reply, "400"), "%s", reply);
    reply = ask(&p, "POST /api/transform HTTP/1.1\r\ncontent-encoding: gzip\r\nx:", "{}");
    cr_assert(status_is(reply, "415"), "%s", reply);
    close_peer(&p);
}

Test(service, compresses_for_those_who_accept_it)
{
    static const struct {
        const char *accept;
        bool packed;
    } cases[] = {{"gzip", true},           {"deflate, GZIP;q=0.5", true}, {"br;q=1, gzip;q=1.0", true}, {"identity", false},
                 {"gzip;q=0", false},      {"gzip; q=0.000", false},      {"", false},                  {"gzipped", false}};
    struct peer p;
    open_peer(&p, 0);
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char head[200];
        snprintf(head, sizeof head, "GET /api/graph HTTP/1.1\r\naccept-encoding: %s\r\nx:", cases[i].accept);
        const char *reply = ask(&p, head, NULL);
        cr_assert(status_is(reply, "200"), "%s", reply);
        cr_assert_eq(strstr(reply, "content-encoding: gzip\r\n") != NULL, cases[i].packed, "%s", cases[i].accept);
        cr_assert_eq(strstr(reply, "\"parent\"") == NULL, cases[i].packed, "%s", cases[i].accept);
        cr_assert(strstr(reply, "vary: accept-encoding\r\n"));
    }
    close_peer(&p);
}

static void turn_until_queued(struct peer *p, uint64_t requests, uint64_t queued)
{
    const struct sm_query_counters *c = sm_query_service_counters(p->service);
    int64_t deadline = now_ms() + 5000;
    while ((atomic_load(&c->requests) != requests || atomic_load(&c->queued) != queued) && now_ms() < deadline)
        sm_loop_poll(p->loop);
    cr_assert_eq(atomic_load(&c->requests), requests);
    cr_assert_eq(atomic_load(&c->queued), queued);
}

Test(service, a_full_queue_refuses)
{
    struct peer p;
    open_peer(&p, 1);
    int slow = send_request(&p, "GET /api/graph?start=0&end=60000", NULL);
    turn_until_queued(&p, 1, 0); /* the query thread has it */
    int waits = send_request(&p, "GET /health", NULL);
    turn_until_queued(&p, 2, 1);
    const char *reply = ask(&p, "GET /health", NULL);
    cr_assert(status_is(reply, "503") && strstr(reply, "retry-after: 1\r\n"), "%s", reply);
    cr_assert_eq(atomic_load(&sm_query_service_counters(p.service)->refused), 1);
    sem_post(&p.gate);
    cr_assert(status_is(receive(&p, slow), "200"));
    cr_assert(status_is(receive(&p, waits), "200"));
    close_peer(&p);
}

Test(service, who_has_gone_is_not_answered)
{
    struct peer p;
    open_peer(&p, 0);
    int slow = send_request(&p, "GET /api/graph?start=0&end=60000", NULL);
    turn_until_queued(&p, 1, 0);
    int gone = send_request(&p, "GET /health", NULL);
    turn_until_queued(&p, 2, 1);
    struct linger hard = {.l_onoff = 1};
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(gone);
    const struct sm_http_counters *c = sm_http_server_counters(p.server);
    int64_t deadline = now_ms() + 5000;
    while (!atomic_load(&c->aborted) && now_ms() < deadline)
        sm_loop_poll(p.loop);
    sem_post(&p.gate);
    cr_assert(status_is(receive(&p, slow), "200"));
    turn_until_queued(&p, 2, 0);
    deadline = now_ms() + 5000;
    while (!atomic_load(&sm_query_service_counters(p.service)->abandoned) && now_ms() < deadline)
        sm_loop_poll(p.loop);
    cr_assert_eq(atomic_load(&sm_query_service_counters(p.service)->abandoned), 1);
    close_peer(&p);
}

Test(service, stops_with_requests_in_its_queue)
{
    struct peer p;
    open_peer(&p, 0);
    int slow = send_request(&p, "GET /api/graph?start=0&end=60000", NULL);
    turn_until_queued(&p, 1, 0);
    int waits = send_request(&p, "GET /health", NULL);
    turn_until_queued(&p, 2, 1);
    sem_post(&p.gate);
    sm_query_service_stop(p.service);
    cr_assert(status_is(receive(&p, slow), "200"));
    cr_assert(status_is(receive(&p, waits), "200"));
    cr_assert(status_is(ask(&p, "GET /health", NULL), "503"));
    close_peer(&p);
}
