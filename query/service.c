/* The queue between loops and the query thread. */
#include "query/service.h"
#include "base/header.h"
#include "sinks/compress.h"

#include <pthread.h>
#include <stdlib.h>

enum { QUEUE_MAX_DEFAULT = 64, COMPRESS_BYTES_MIN = 4096 };

/* A deferred exchange and its reply. Made and freed on its loop's thread, the query thread's in between. */
struct job {
    struct sm_http_exchange *x;
    struct job *next;
    int64_t now_ns;
    struct sm_payload *body; /* NULL: a GET */
    _Atomic bool aborted;
    struct sm_query_reply reply;
    struct sm_buf packed; /* the body, compressed */
    char cache_control[48];
    struct sm_http_header headers[3];
};

struct sm_query_service {
    struct sm_query *query;
    const char *base_path; /* for the loops' threads, which leave `query` alone */
    struct sm_compress *gzip;
    uint32_t queue_max;
    struct sm_query_counters counters;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ready;
    struct job *first, **last;
    uint32_t count;
    bool stopping;
    bool running; /* the thread has to be joined */
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* ---- replies ---- */

/* The job's reply as a response whose parts live as long as the job. */
static struct sm_http_response response_of(struct job *job, bool packed)
{
    const struct sm_query_reply *r = &job->reply;
    struct sm_http_response response = {.status = r->status,
                                        .content_type = r->content_type ? sm_str_c(r->content_type) : SM_STR(""),
                                        .headers = job->headers,
                                        .body = sm_buf_str(packed ? &job->packed : &r->body)};
    job->headers[response.headers_n++] = (struct sm_http_header){SM_STR("vary"), SM_STR("accept-encoding")};
    if (packed)
        job->headers[response.headers_n++] = (struct sm_http_header){SM_STR("content-encoding"), SM_STR("gzip")};
    if (r->max_age_s) {
        int n = snprintf(job->cache_control, sizeof job->cache_control, "max-age=%u, must-revalidate", r->max_age_s);
        job->headers[response.headers_n++] =
            (struct sm_http_header){SM_STR("cache-control"), sm_str(job->cache_control, (size_t)n)};
    }
    return response;
}

static void free_job(void *arg)
{
    struct job *job = arg;
    sm_buf_fini(&job->reply.body);
    sm_buf_fini(&job->packed);
    if (job->body)
        sm_payload_put(job->body);
    free(job);
}

/* ---- the query thread ---- */

static struct job *next_job(struct sm_query_service *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping)
        pthread_cond_wait(&s->ready, &s->lock);
    struct job *job = s->first;
    if (job) {
        s->first = job->next;
        s->count--;
        if (!s->first)
            s->last = &s->first;
    }
    pthread_mutex_unlock(&s->lock);
    return job;
}

static void run(struct sm_query_service *s, struct job *job)
{
    if (atomic_load_explicit(&job->aborted, memory_order_relaxed)) {
        add(&s->counters.abandoned, 1);
        sm_query_fail(job->x->path, 503, "the client has gone", &job->reply);
    } else if (job->body) {
        sm_query_post(s->query, job->x->path, job->x->query, sm_str(job->body->data, job->body->size), job->now_ns, &job->reply);
    } else {
        sm_query_answer(s->query, job->x->path, job->x->query, job->now_ns, &job->reply);
    }
    add(&s->counters.failed, job->reply.status >= 400);
    bool packed = job->reply.body.size >= COMPRESS_BYTES_MIN && sm_header_accepts_gzip(job->x->known[SM_HTTP_ACCEPT_ENCODING]);
    if (packed)
        sm_compress_append(s->gzip, sm_buf_str(&job->reply.body), &job->packed);
    struct sm_http_response response = response_of(job, packed);
    response.release = free_job;
    response.release_arg = job;
    sm_http_complete(job->x, &response);
}

static void *thread_main(void *arg)
{
    struct sm_query_service *s = arg;
    for (struct job *job; (job = next_job(s));) {
        atomic_fetch_sub_explicit(&s->counters.queued, 1, memory_order_relaxed);
        run(s, job);
    }
    return NULL;
}

/* ---- the loops' threads ---- */

/* `header` may be NULL. */
static void refuse(struct sm_http_exchange *x, uint16_t status, const char *text, const struct sm_http_header *header)
{
    struct sm_query_reply reply = {0};
    sm_query_fail(x->path, status, text, &reply);
    struct sm_http_response response = {.status = status,
                                        .content_type = sm_str_c(reply.content_type),
                                        .headers = header,
                                        .headers_n = header != NULL,
                                        .body = sm_buf_str(&reply.body)};
    sm_http_respond(x, &response);
    sm_buf_fini(&reply.body);
}

static void refuse_method(struct sm_http_exchange *x, enum sm_query_method allowed)
{
    static const struct sm_http_header get = {{"allow", 5}, {"GET, HEAD, OPTIONS", 18}};
    static const struct sm_http_header post = {{"allow", 5}, {"POST, OPTIONS", 13}};
    const struct sm_http_header *allow = allowed == SM_QUERY_POST ? &post : &get;
    if (allowed == SM_QUERY_NONE)
        refuse(x, 404, "no such page", NULL);
    else if (sm_str_eq(x->method, SM_STR("OPTIONS")))
        sm_http_respond(x, &(struct sm_http_response){.status = 204, .headers = allow, .headers_n = 1});
    else
        refuse(x, 405, "method not allowed", allow);
}

/* Paths that are not there are left to the query thread when a GET asks for them, like all that is wrong with a GET. */
static bool on_headers(void *ctx, struct sm_http_exchange *x)
{
    struct sm_query_service *s = ctx;
    bool is_get = sm_str_eq(x->method, SM_STR("GET")) || sm_str_eq(x->method, SM_STR("HEAD"));
    enum sm_query_method allowed = sm_query_method(s->base_path, x->path);
    struct sm_str encoding = x->known[SM_HTTP_CONTENT_ENCODING];
    if (is_get && allowed != SM_QUERY_POST)
        return true;
    if (allowed != SM_QUERY_POST || !sm_str_eq(x->method, SM_STR("POST"))) {
        refuse_method(x, allowed);
        return false;
    }
    if (encoding.len && !sm_str_eq(encoding, SM_STR("identity"))) {
        refuse(x, 415, "bodies must not be compressed here", NULL);
        return false;
    }
    return true;
}

/* Defers before the query thread can see the exchange. */
static bool enqueue(struct sm_query_service *s, struct job *job)
{
    pthread_mutex_lock(&s->lock);
    bool taken = !s->stopping && s->count < s->queue_max;
    if (taken) {
        sm_http_defer(job->x);
        *s->last = job;
        s->last = &job->next;
        s->count++;
        atomic_fetch_add_explicit(&s->counters.queued, 1, memory_order_relaxed);
        pthread_cond_signal(&s->ready);
    }
    pthread_mutex_unlock(&s->lock);
    return taken;
}

static void on_request(void *ctx, struct sm_http_exchange *x)
{
    static const struct sm_http_header retry = {{"retry-after", 11}, {"1", 1}};
    struct sm_query_service *s = ctx;
    struct job *job = sm_xcalloc(1, sizeof *job);
    job->x = x;
    job->now_ns = sm_http_wall_ns(x);
    bool is_post = sm_str_eq(x->method, SM_STR("POST"));
    job->body = is_post ? sm_http_take_body(x) : NULL;
    x->user = job;
    add(&s->counters.requests, 1);
    if ((job->body || !is_post) && enqueue(s, job))
        return;
    x->user = NULL;
    free_job(job);
    add(&s->counters.refused, 1);
    refuse(x, 503, "too many queries are waiting, try again later", &retry);
}

static void on_abort(void *ctx, struct sm_http_exchange *x)
{
    struct job *job = x->user;
    (void)ctx;
    if (job)
        atomic_store_explicit(&job->aborted, true, memory_order_relaxed);
}

const struct sm_http_handler *sm_query_http_handler(void)
{
    static const struct sm_http_handler handler = {on_headers, on_request, on_abort};
    return &handler;
}

/* ---- life ---- */

struct sm_query_service *sm_query_service_new(const struct sm_query_service_config *config, struct sm_err *err)
{
    struct sm_query_service *s = sm_xcalloc(1, sizeof *s);
    s->query = sm_query_new(&config->env);
    s->base_path = config->env.base_path;
    s->queue_max = config->queue_max ? config->queue_max : QUEUE_MAX_DEFAULT;
    s->last = &s->first;
    SM_ASSERT(sm_compress_new("gzip", &s->gzip) == SM_OK);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ready, NULL);
    int rc = pthread_create(&s->thread, NULL, thread_main, s);
    s->running = rc == 0;
    if (s->running)
        return s;
    sm_err_set(err, SM_E_IO, "cannot start the query thread: %s", strerror(rc));
    sm_query_service_free(s);
    return NULL;
}

void sm_query_service_stop(struct sm_query_service *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->ready);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

void sm_query_service_free(struct sm_query_service *s)
{
    if (!s)
        return;
    sm_query_service_stop(s);
    sm_query_free(s->query);
    sm_compress_free(s->gzip);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->ready);
    free(s);
}

const struct sm_query_counters *sm_query_service_counters(const struct sm_query_service *s)
{
    return &s->counters;
}
