/* Deferred exchanges completed by another thread while the loop runs: what query handlers do. */
#include "base/net/http.h"
#include "base/wake.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 3, REQUESTS = 300 };

struct job {
    struct sm_mpsc_node node;
    struct sm_http_exchange *x; /* NULL: the end */
};

struct world {
    struct sm_loop *loop;
    struct sm_http_server *server;
    uint16_t port;
    struct sm_mpsc jobs;
    struct sm_wake wake;
    atomic_uint clients_done;
    atomic_uint wrong;
};

static void add_job(struct world *w, struct sm_http_exchange *x)
{
    struct job *job = malloc(sizeof *job);
    job->x = x;
    sm_mpsc_push(&w->jobs, &job->node);
    sm_wake_notify(&w->wake);
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    sm_http_defer(x);
    add_job(ctx, x);
}

static const struct sm_http_handler handler = {.on_request = on_request};

static void release(void *arg)
{
    free(arg);
}

/* Replies with the path, from memory that the reply owns. */
static void complete(struct sm_http_exchange *x)
{
    size_t n = x->path.len;
    char *body = malloc(n);
    memcpy(body, x->path.ptr, n);
    struct sm_http_response response = {
        .status = 200, .body = sm_str(body, n), .release = release, .release_arg = body};
    sm_http_complete(x, &response);
}

static void *work(void *arg)
{
    struct world *w = arg;
    for (bool running = true; running;) {
        sm_wake_prepare(&w->wake);
        struct sm_mpsc_node *node = sm_mpsc_take(&w->jobs);
        if (!node) {
            sm_wake_wait(&w->wake, -1);
            continue;
        }
        sm_wake_cancel(&w->wake);
        while (node) {
            struct job *job = SM_CONTAINER_OF(node, struct job, node);
            node = node->next;
            if (job->x)
                complete(job->x);
            else
                running = false;
            free(job);
        }
    }
    return NULL;
}

static bool ask(int fd, const char *path)
{
    char text[256], reply[512];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n\r\n", path);
    if (write(fd, text, (size_t)n) != n)
        return false;
    size_t got = 0;
    for (;;) {
        ssize_t more = read(fd, reply + got, sizeof reply - 1 - got);
        if (more <= 0)
            return false;
        got += (size_t)more;
        reply[got] = '\0';
        const char *end = strstr(reply, "\r\n\r\n");
        if (end && strlen(end + 4) >= strlen(path))
            return strcmp(end + 4, path) == 0;
    }
}

static void *be_client(void *arg)
{
    struct world *w = arg;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        atomic_fetch_add(&w->wrong, 1);
    for (unsigned i = 0; i < REQUESTS; i++) {
        char path[32];
        snprintf(path, sizeof path, "/number/%u", i);
        if (!ask(fd, path))
            atomic_fetch_add(&w->wrong, 1);
    }
    /* leave with a request unanswered: its reply finds nobody */
    if (write(fd, "GET /gone HTTP/1.1\r\n\r\n", 22) != 22)
        atomic_fetch_add(&w->wrong, 1);
    close(fd);
    if (atomic_fetch_add(&w->clients_done, 1) + 1 == CLIENTS)
        sm_loop_stop(w->loop);
    return NULL;
}

Test(http_threads, replies_from_another_thread, .timeout = 60)
{
    struct world w = {.loop = sm_loop_new(NULL, NULL)};
    struct sm_payload_pool *pool = sm_payload_pool_new(1 << 20);
    pthread_t worker, clients[CLIENTS];
    cr_assert_eq(sm_wake_init(&w.wake, NULL), SM_OK);
    w.server = sm_http_server_new(w.loop, NULL, pool, &handler, &w);
    cr_assert_eq(sm_http_server_listen(w.server, "127.0.0.1:0", &w.port, NULL), SM_OK);
    pthread_create(&worker, NULL, work, &w);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, be_client, &w);
    sm_loop_run(w.loop);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    for (unsigned i = 0; i < 10; i++)
        sm_loop_poll(w.loop);
    sm_http_server_free(w.server);
    add_job(&w, NULL);
    pthread_join(worker, NULL);
    cr_assert_eq(w.wrong, 0);
    sm_loop_free(w.loop);
    sm_payload_pool_free(pool);
    sm_wake_fini(&w.wake);
}
