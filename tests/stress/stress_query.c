/* Queries while spans come in: two workers with Zipkin receivers that hand GETs on to the query service, whose thread reads the
 * workers' open windows. Clients post traces and ask for each one as soon as it was taken, while others ask for names and
 * search. Every request is answered, and every trace that was taken is found. For the tsan preset. */
#include "base/log.h"
#include "ingest/receiver.h"
#include "pipeline/pipeline.h"
#include "pipeline/sample/rules.h"
#include "query/service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2, POSTERS = 2, READERS = 2 };

struct daemon {
    struct sm_names *names;
    struct sm_scopes *scopes;
    struct sm_wanted *wanted;
    struct sm_rules *rules;
    struct sm_fanout *fanout;
    struct sm_pipeline *pipeline;
    struct sm_query_service *service;
    struct sm_listener listener;
    struct sm_receiver *receivers[WORKERS];
    char address[32];
    uint16_t port;
};

static void open_pipeline(struct daemon *d)
{
    struct sm_err err = {0};
    struct sm_rules_error rules_error;
    struct sm_rules_config none = {.count = 0};
    d->names = sm_names_new(10000, 1 << 20);
    d->scopes = sm_scopes_new(d->names, 1000, 1 << 20);
    d->wanted = sm_wanted_new(1);
    SM_ASSERT(sm_rules_new(&none, d->wanted, &d->rules, &rules_error) == SM_OK);
    struct sm_fanout_config fanout = {.shards = WORKERS, .names = d->names, .scopes = d->scopes};
    d->fanout = sm_fanout_new(&fanout, &err);
    struct sm_pipeline_config config = {
        .placement = SM_PLACEMENT_THREADS,
        .workers = WORKERS,
        .shards = WORKERS,
        .windows = sm_windows_default,
        .limits = sm_codec_limits_default,
        .kept_decisions_max = 1000,
        .dropped_decisions_max = 1000,
        .names = d->names,
        .scopes = d->scopes,
        .wanted = d->wanted,
        .policy = sm_rules_policy(d->rules),
        .fanout = d->fanout,
    };
    d->pipeline = d->fanout ? sm_pipeline_new(&config, &err) : NULL;
    SM_ASSERT(d->pipeline);
}

static void start(struct daemon *d)
{
    struct sm_err err = {0};
    open_pipeline(d);
    struct sm_query_service_config config = {.env = {.pipeline = d->pipeline, .names = d->names, .scopes = d->scopes}};
    d->service = sm_query_service_new(&config, &err);
    SM_ASSERT(d->service);
    snprintf(d->address, sizeof d->address, "127.0.0.1:0");
    d->listener = (struct sm_listener){.address = d->address,
                                       .http = sm_http_limits_default,
                                       .inflate = sm_inflate_limits_default,
                                       .fallback = sm_query_http_handler(),
                                       .fallback_ctx = d->service};
    for (unsigned i = 0; i < WORKERS; i++) {
        d->receivers[i] = sm_receiver_zipkin.open(&d->listener, sm_pipeline_worker(d->pipeline, i), &d->port, &err);
        SM_ASSERT(d->receivers[i]);
        snprintf(d->address, sizeof d->address, "127.0.0.1:%u", d->port);
    }
    SM_ASSERT(sm_pipeline_start(d->pipeline, &err) == SM_OK);
}

static void stop(struct daemon *d)
{
    sm_query_service_stop(d->service);
    SM_ASSERT(sm_pipeline_drain(d->pipeline, 20 * SM_SEC));
    sm_fanout_stop(d->fanout, SM_SEC);
    sm_pipeline_stop(d->pipeline);
    for (unsigned i = 0; i < WORKERS; i++)
        sm_receiver_zipkin.close(d->receivers[i]);
    sm_pipeline_free(d->pipeline);
    sm_query_service_free(d->service);
    sm_fanout_free(d->fanout);
    sm_rules_free(d->rules);
    sm_wanted_free(d->wanted);
    sm_scopes_free(d->scopes);
    sm_names_free(d->names);
}

struct client {
    struct daemon *daemon;
    unsigned index, requests;
    char reply[1 << 20];
    pthread_t thread;
};

/* One request on a connection of its own; returns the status. */
static int ask(struct client *c, const char *head, const char *body)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(c->daemon->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[2048];
    size_t size = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SM_ASSERT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 30}, sizeof(struct timeval));
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n%s", head,
                     strlen(body), body);
    SM_ASSERT(send(fd, text, (size_t)n, 0) == n);
    for (ssize_t got; (got = recv(fd, c->reply + size, sizeof c->reply - 1 - size, 0)) > 0;)
        size += (size_t)got;
    c->reply[size] = '\0';
    close(fd);
    return size > 12 ? atoi(c->reply + 9) : 0;
}

static void *post_and_ask(void *arg)
{
    struct client *c = arg;
    char body[500], head[100], id[20];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned i = 1; i <= c->requests; i++) {
        snprintf(id, sizeof id, "%08x%08x", c->index + 1, i * 2654435761u);
        snprintf(body, sizeof body,
                 "[{\"traceId\":\"%s\",\"id\":\"1\",\"name\":\"n%u\",\"kind\":\"SERVER\",\"timestamp\":%lld,\"duration\":5,"
                 "\"localEndpoint\":{\"serviceName\":\"s%u\"},\"tags\":{\"k\":\"v\"}}]",
                 id, i % 20, (long long)now.tv_sec * 1000000, i % 5);
        SM_ASSERT(ask(c, "POST /api/v2/spans", body) == 202);
        snprintf(head, sizeof head, "GET /api/v2/trace/%s", id);
        int status = ask(c, head, "");
        if (status != 200)
            fprintf(stderr, "%s: request %u: %s\n", head, i, c->reply);
        SM_ASSERT(status == 200 && strstr(c->reply, id));
    }
    return NULL;
}

static void *look_around(void *arg)
{
    static const char *const heads[] = {"GET /api/services", "GET /api/v2/spans?serviceName=s1", "GET /api/v2/traces?limit=3",
                                        "GET /api/traces?service=s2&tags=%7B%22k%22%3A%22v%22%7D&limit=5",
                                        "GET /api/v3/operations?service=s3"};
    struct client *c = arg;
    for (unsigned i = 0; i < c->requests; i++)
        SM_ASSERT(ask(c, heads[i % SM_ARRAY_LEN(heads)], "") == 200);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct client clients[POSTERS + READERS];
    struct daemon d = {.port = 0};
    unsigned requests = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = 2});
    start(&d);
    for (unsigned i = 0; i < POSTERS + READERS; i++) {
        clients[i].daemon = &d;
        clients[i].index = i;
        clients[i].requests = requests;
        SM_ASSERT(pthread_create(&clients[i].thread, NULL, i < POSTERS ? post_and_ask : look_around, &clients[i]) == 0);
    }
    for (unsigned i = 0; i < POSTERS + READERS; i++)
        pthread_join(clients[i].thread, NULL);
    const struct sm_query_counters *c = sm_query_service_counters(d.service);
    SM_ASSERT(atomic_load(&c->requests) == (POSTERS + READERS) * (uint64_t)requests && !atomic_load(&c->refused));
    SM_ASSERT(!atomic_load(&c->failed) && !atomic_load(&c->queued));
    stop(&d);
    printf("ok\n");
    return 0;
}
