/* bench_send: sends generated traffic and says how fast it was taken, and what it cost the process that took it. */
#include "bench/encode.h"
#include "bench/pack.h"
#include "bench/link.h"
#include "bench/options.h"
#include "bench/watch.h"

#include <errno.h>
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_send --to HOST:PORT [options]\n"
    "  --format NAME              otlp-http (default), otlp-http-gzip, otlp-http-zstd, otlp-http-json, otlp-grpc, otlp-grpc-gzip,\n"
    "                             zipkin-json, zipkin-proto, zipkin-thrift, jaeger-http, jaeger-grpc, jaeger-udp (compact)\n"
    "  --spans N                  measure over so many spans (1m)\n"
    "  --warmup-spans N           send so many before (0)\n"
    "  --seconds S, --warmup-seconds S  the same by time\n"
    "  --rate N                   spans per second (as many as are taken)\n"
    "  --conns N, --depth N       connections (4), requests in flight on each (4)\n"
    "  --spans-per-request N      (200); Envoy sends 5\n"
    "  --set-spans N              size of the set that is sent again and again with fresh ids (400k)\n"
    "  --spans-per-second N       rate of the generator's virtual time (100k)\n"
    "  --seed N                   of the traffic (1)\n"
    "  --id-seed N                of the ids of its rounds (another one every time)\n"
    "  --backoff-ms N             pause after 429, 503 or UNAVAILABLE (100)\n"
    "  --patience S               try to connect for so long (10)\n"
    "  --watch PID                what that process used in the measured part\n"
    "  --watch-allocations FILE   bench_malloc_count.so's file of that process\n"
    "  --json                     one line of JSON instead of text\n"
    "Exits with 1 when a reply was wrong or a connection was lost.\n";

struct options {
    char host[256];
    const char *port;
    const char *format;
    struct bench_gen_options gen;
    uint64_t id_seed;
    uint64_t spans;
    uint64_t warmup_spans;
    double seconds; /* 0: by spans */
    double warmup_seconds;
    double rate;
    uint32_t conns;
    uint32_t depth;
    int64_t backoff_ns;
    int64_t patience_ns;
    int watch;
    const char *watch_allocations;
    bool json;
};

struct format {
    const char *name;
    enum bench_encoding encoding;
    const struct bench_protocol *protocol;
    const char *path;
    const char *content_type;
    const char *coding; /* NULL: none */
    uint32_t accepted_status;
};

#define JAEGER_GRPC_PATH "/jaeger.api_v2.CollectorService/PostSpans"
#define GRPC_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

static const struct format formats[] = {
    {"otlp-http", BENCH_ENCODING_OTLP_PROTO, &bench_send_http1, "/v1/traces", "application/x-protobuf", NULL, 200},
    {"otlp-http-gzip", BENCH_ENCODING_OTLP_PROTO, &bench_send_http1, "/v1/traces", "application/x-protobuf", "gzip", 200},
    {"otlp-http-zstd", BENCH_ENCODING_OTLP_PROTO, &bench_send_http1, "/v1/traces", "application/x-protobuf", "zstd", 200},
    {"otlp-http-json", BENCH_ENCODING_OTLP_JSON, &bench_send_http1, "/v1/traces", "application/json", NULL, 200},
    {"otlp-grpc", BENCH_ENCODING_OTLP_PROTO, &bench_send_grpc, GRPC_PATH, "application/grpc", NULL, 0},
    {"otlp-grpc-gzip", BENCH_ENCODING_OTLP_PROTO, &bench_send_grpc, GRPC_PATH, "application/grpc", "gzip", 0},
    {"zipkin-json", BENCH_ENCODING_ZIPKIN_JSON, &bench_send_http1, "/api/v2/spans", "application/json", NULL, 202},
    {"zipkin-proto", BENCH_ENCODING_ZIPKIN_PROTO, &bench_send_http1, "/api/v2/spans", "application/x-protobuf", NULL, 202},
    {"zipkin-thrift", BENCH_ENCODING_ZIPKIN_THRIFT, &bench_send_http1, "/api/v1/spans", "application/x-thrift", NULL, 202},
    {"jaeger-http", BENCH_ENCODING_JAEGER_BATCH, &bench_send_http1, "/api/traces", "application/x-thrift", NULL, 202},
    {"jaeger-grpc", BENCH_ENCODING_JAEGER_PROTO, &bench_send_grpc, JAEGER_GRPC_PATH, "application/grpc", NULL, 0},
    {"jaeger-udp", BENCH_ENCODING_JAEGER_COMPACT, &bench_send_udp, "", "", NULL, 0},
};

static const struct format *format_of(const char *name)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    bench_options_fail("--format: unknown: %s", name);
}

static void parse_address(struct options *o, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof o->host)
        bench_options_fail("--to: not HOST:PORT: %s", text);
    memcpy(o->host, text, (size_t)(colon - text));
    o->port = colon + 1;
}

enum option_id {
    TO = 256,
    FORMAT,
    SPANS,
    WARMUP_SPANS,
    SECONDS,
    WARMUP_SECONDS,
    RATE,
    CONNS,
    DEPTH,
    SPANS_PER_REQUEST,
    SET_SPANS,
    SPANS_PER_SECOND,
    SEED,
    ID_SEED,
    BACKOFF,
    PATIENCE,
    WATCH,
    WATCH_ALLOCATIONS,
    JSON,
    HELP,
};

static const struct option long_options[] = {{"to", required_argument, NULL, TO},
                                             {"format", required_argument, NULL, FORMAT},
                                             {"spans", required_argument, NULL, SPANS},
                                             {"warmup-spans", required_argument, NULL, WARMUP_SPANS},
                                             {"seconds", required_argument, NULL, SECONDS},
                                             {"warmup-seconds", required_argument, NULL, WARMUP_SECONDS},
                                             {"rate", required_argument, NULL, RATE},
                                             {"conns", required_argument, NULL, CONNS},
                                             {"depth", required_argument, NULL, DEPTH},
                                             {"spans-per-request", required_argument, NULL, SPANS_PER_REQUEST},
                                             {"set-spans", required_argument, NULL, SET_SPANS},
                                             {"spans-per-second", required_argument, NULL, SPANS_PER_SECOND},
                                             {"seed", required_argument, NULL, SEED},
                                             {"id-seed", required_argument, NULL, ID_SEED},
                                             {"backoff-ms", required_argument, NULL, BACKOFF},
                                             {"patience", required_argument, NULL, PATIENCE},
                                             {"watch", required_argument, NULL, WATCH},
                                             {"watch-allocations", required_argument, NULL, WATCH_ALLOCATIONS},
                                             {"json", no_argument, NULL, JSON},
                                             {"help", no_argument, NULL, HELP},
                                             {0}};

static void set_option(struct options *o, enum option_id id, const char *name, const char *value)
{
    switch (id) {
    case TO:
        parse_address(o, value);
        break;
    case FORMAT:
        o->format = value;
        break;
    case SPANS:
        o->spans = bench_options_count(name, value);
        break;
    case WARMUP_SPANS:
        o->warmup_spans = bench_options_count(name, value);
        break;
    case SECONDS:
        o->seconds = bench_options_real(name, value);
        break;
    case WARMUP_SECONDS:
        o->warmup_seconds = bench_options_real(name, value);
        break;
    case RATE:
        o->rate = bench_options_real(name, value);
        break;
    case CONNS:
        o->conns = (uint32_t)bench_options_count(name, value);
        break;
    case DEPTH:
        o->depth = (uint32_t)bench_options_count(name, value);
        break;
    case SPANS_PER_REQUEST:
        o->gen.spans_per_request = (uint32_t)SM_MAX(1, bench_options_count(name, value));
        break;
    case SET_SPANS:
        o->gen.spans = (uint32_t)bench_options_count(name, value);
        break;
    case SPANS_PER_SECOND:
        o->gen.spans_per_second = (uint32_t)SM_MAX(1, bench_options_count(name, value));
        break;
    case SEED:
        o->gen.seed = bench_options_count(name, value);
        break;
    case ID_SEED:
        o->id_seed = bench_options_count(name, value);
        break;
    case BACKOFF:
        o->backoff_ns = (int64_t)bench_options_count(name, value) * SM_MS;
        break;
    case PATIENCE:
        o->patience_ns = (int64_t)(bench_options_real(name, value) * 1e9);
        break;
    case WATCH:
        o->watch = (int)bench_options_count(name, value);
        break;
    case WATCH_ALLOCATIONS:
        o->watch_allocations = value;
        break;
    case JSON:
        o->json = true;
        break;
    case HELP:
        fputs(usage, stdout);
        exit(0);
    }
}

static int64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * SM_SEC + t.tv_nsec;
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.format = "otlp-http",
                        .gen = BENCH_GEN_DEFAULTS,
                        .id_seed = (uint64_t)wall_ns(),
                        .spans = 1000000,
                        .conns = 4,
                        .depth = 4,
                        .backoff_ns = 100 * SM_MS,
                        .patience_ns = 10 * SM_SEC};
    int c, index = 0;
    while ((c = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (c == '?') {
            fputs(usage, stderr);
            exit(2);
        }
        set_option(&o, (enum option_id)c, long_options[index].name, optarg);
    }
    if (optind < argc)
        bench_options_fail("unknown argument: %s", argv[optind]);
    if (!o.port)
        bench_options_fail("--to HOST:PORT is missing");
    if (o.conns < 1 || o.conns > 256 || o.depth < 1 || o.depth > BENCH_LINK_FLIGHTS_MAX)
        bench_options_fail("--conns is 1 to 256, --depth 1 to %d", BENCH_LINK_FLIGHTS_MAX);
    return o;
}

/* What was true at one moment of the run. */
struct mark {
    struct bench_watch watched;
    struct rusage own;
    uint64_t accepted;
    int64_t now_ns;
};

struct run {
    struct options o;
    const struct format *format;
    struct bench_body *bodies;
    uint32_t bodies_n;
    struct bench_feed feed;
    struct bench_link *links;
    int epoll;
    struct mark warm;
    struct mark end;
    bool is_warm;
    bool is_over;
    const char *failure;
};

static void compress_bodies(struct run *r, uint32_t spans_per_set, int64_t set_ns)
{
    uint32_t rounds = (uint32_t)((r->o.warmup_spans + r->o.spans) / spans_per_set + 1);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct bench_body *packed =
        bench_pack_rounds(r->bodies, r->bodies_n, rounds, r->o.id_seed, wall_ns() - BENCH_ENCODE_EPOCH_NS, set_ns,
                          (uint32_t)SM_MAX(1, cores), r->format->coding);
    bench_encode_free(r->bodies, r->bodies_n);
    r->bodies = packed;
    r->bodies_n *= rounds;
}

static void prepare_bodies(struct run *r)
{
    if (r->format->coding && r->o.seconds > 0)
        bench_options_fail("compressed bodies are made beforehand: use --spans, not --seconds");
    struct bench_gen *gen = bench_gen_new(&r->o.gen);
    r->bodies = bench_encode_all(gen, r->format->encoding);
    r->bodies_n = gen->requests_n;
    if (r->format->coding)
        compress_bodies(r, gen->spans_n, gen->length_ns);
    bench_gen_free(gen);
    struct bench_feed_options f = {
        .bodies = r->bodies,
        .bodies_n = r->bodies_n,
        .once = r->format->coding != NULL,
        .seed = r->o.id_seed,
        .spans_max = r->o.seconds > 0 ? 0 : r->o.warmup_spans + r->o.spans,
        .spans_per_second = r->o.rate,
        .backoff_ns = r->o.backoff_ns,
    };
    bench_feed_init(&r->feed, &f, bench_link_now_ns());
}

static void open_links(struct run *r)
{
    static char authority[300];
    snprintf(authority, sizeof authority, "%s:%s", r->o.host, r->o.port);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->links = sm_xcalloc(r->o.conns, sizeof *r->links);
    for (uint32_t i = 0; i < r->o.conns; i++) {
        struct bench_link *link = &r->links[i];
        link->protocol = r->format->protocol;
        link->feed = &r->feed;
        link->authority = authority;
        link->path = r->format->path;
        link->content_type = r->format->content_type;
        link->coding = r->format->coding;
        link->accepted_status = r->format->accepted_status;
        link->depth = r->o.depth;
        if (bench_link_open(link, r->o.host, r->o.port, r->o.patience_ns) != SM_OK)
            bench_options_fail("%s", link->error);
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = link};
        SM_ASSERT(epoll_ctl(r->epoll, EPOLL_CTL_ADD, link->fd, &e) == 0);
    }
    r->feed.started_ns = bench_link_now_ns();
}

static struct mark take_mark(const struct run *r)
{
    struct mark m = {.accepted = r->feed.spans_accepted, .now_ns = bench_link_now_ns()};
    if (r->o.watch && !bench_watch_read(r->o.watch, r->o.watch_allocations, &m.watched))
        bench_options_fail("--watch: no process %d", r->o.watch);
    getrusage(RUSAGE_SELF, &m.own);
    return m;
}

/* Notes the two moments that the measured part lies between. */
static void note_progress(struct run *r)
{
    const struct bench_feed *f = &r->feed;
    uint64_t answered = f->spans_accepted + f->spans_rejected;
    double elapsed = (double)(bench_link_now_ns() - f->started_ns) / 1e9;
    bool by_time = r->o.seconds > 0;
    if (!r->is_warm && (by_time ? elapsed >= r->o.warmup_seconds : answered >= r->o.warmup_spans)) {
        r->warm = take_mark(r);
        r->is_warm = true;
    }
    bool over = by_time ? elapsed >= r->o.warmup_seconds + r->o.seconds : bench_feed_is_done(f);
    if (r->is_warm && over) {
        r->end = take_mark(r);
        r->is_over = true;
    }
}

/* Reads what came; pumps every link, because a reply on one may be what another waits for. */
static void serve(struct run *r, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n && !r->failure; i++) {
        struct bench_link *link = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            link->full = false;
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && bench_link_receive(link) != SM_OK)
            r->failure = link->error;
    }
    for (uint32_t i = 0; i < r->o.conns && !r->failure; i++) {
        if (!r->links[i].full && bench_link_pump(&r->links[i]) != SM_OK)
            r->failure = r->links[i].error;
    }
}

static int64_t next_deadline_ns(const struct run *r)
{
    int64_t now_ns = bench_link_now_ns(), deadline_ns = now_ns + 100 * SM_MS;
    for (uint32_t i = 0; i < r->o.conns; i++)
        deadline_ns = SM_MIN(deadline_ns, r->links[i].wait_until_ns);
    return SM_MAX(deadline_ns - now_ns, 0);
}

static void send_all(struct run *r)
{
    struct epoll_event events[64];
    int n = 0;
    while (!r->is_over && !r->failure) {
        serve(r, events, n);
        note_progress(r);
        struct timespec timeout = {.tv_nsec = next_deadline_ns(r)};
        n = r->is_over ? 0 : epoll_pwait2(r->epoll, events, SM_ARRAY_LEN(events), &timeout, NULL);
        if (n < 0 && errno != EINTR)
            bench_options_fail("epoll: %s", strerror(errno));
        n = SM_MAX(n, 0);
    }
}

/* ---- report ---- */

struct report {
    double seconds, spans, cpu_us, user_us, system_us, own_us, allocations, worker_allocations;
};

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double own_seconds(const struct mark *m)
{
    return seconds_of(m->own.ru_utime) + seconds_of(m->own.ru_stime);
}

static struct report make_report(const struct run *r)
{
    const struct bench_watch *a = &r->warm.watched, *b = &r->end.watched;
    double spans = (double)(r->end.accepted - r->warm.accepted), per = spans > 0 ? spans : 1;
    double ticks = (double)(b->user_ns - a->user_ns + b->system_ns - a->system_ns);
    double cpu_us = (double)(b->cpu_ns - a->cpu_ns) / 1e3 / per;
    double user_share = ticks > 0 ? (double)(b->user_ns - a->user_ns) / ticks : 0;
    return (struct report){
        .seconds = (double)(r->end.now_ns - r->warm.now_ns) / 1e9,
        .spans = spans,
        .cpu_us = cpu_us,
        .user_us = cpu_us * user_share,
        .system_us = cpu_us * (1 - user_share),
        .own_us = (own_seconds(&r->end) - own_seconds(&r->warm)) * 1e6 / per,
        .allocations = (double)(b->allocations - a->allocations) / per,
        .worker_allocations = (double)(b->worker_allocations - a->worker_allocations) / per,
    };
}

static void print_codes(const struct bench_feed *f, const char *format, const char *between)
{
    const char *separator = "";
    for (uint32_t code = 0; code < BENCH_FEED_CODES; code++) {
        if (f->replies_by_code[code]) {
            fputs(separator, stdout);
            printf(format, code, (unsigned long long)f->replies_by_code[code]);
            separator = between;
        }
    }
}

static void print_json(const struct run *r)
{
    const struct bench_feed *f = &r->feed;
    struct report p = make_report(r);
    printf("{\"format\":\"%s\",\"seconds\":%.3f,\"spans\":%.0f,\"spans_per_second\":%.0f,\"sender_us_per_span\":%.4f,"
           "\"spans_sent\":%llu,\"spans_accepted\":%llu,\"spans_rejected\":%llu,\"spans_refused\":%llu,"
           "\"wrong_replies\":%llu,\"latency_p50_us\":%.0f,\"latency_p99_us\":%.0f,\"replies\":{",
           r->format->name, p.seconds, p.spans, p.spans / p.seconds, p.own_us, (unsigned long long)f->spans_sent,
           (unsigned long long)f->spans_accepted, (unsigned long long)f->spans_rejected,
           (unsigned long long)f->spans_refused, (unsigned long long)f->replies_wrong, bench_feed_latency_us(f, 0.5),
           bench_feed_latency_us(f, 0.99));
    print_codes(f, "\"%u\":%llu", ",");
    printf("}");
    if (r->o.watch)
        printf(",\"cpu_us_per_span\":%.4f,\"user_us_per_span\":%.4f,\"system_us_per_span\":%.4f,\"cpu_share\":%.3f,"
               "\"rss_bytes_warm\":%llu,\"rss_bytes_end\":%llu,\"rss_bytes_peak\":%llu,\"allocations_per_span\":%.6f,"
               "\"worker_allocations_per_span\":%.6f",
               p.cpu_us, p.user_us, p.system_us, p.cpu_us * p.spans / 1e6 / p.seconds,
               (unsigned long long)r->warm.watched.rss_bytes, (unsigned long long)r->end.watched.rss_bytes,
               (unsigned long long)r->end.watched.rss_peak_bytes, p.allocations, p.worker_allocations);
    printf(",\"failure\":\"%s\"}\n", r->failure ? r->failure : "");
}

static void print_text(const struct run *r)
{
    const struct bench_feed *f = &r->feed;
    struct report p = make_report(r);
    printf("%s: %.0f spans in %.2f s: %.0f spans/s; sender %.3f us/span; reply p50 %.0f us, p99 %.0f us\n",
           r->format->name, p.spans, p.seconds, p.spans / p.seconds, p.own_us, bench_feed_latency_us(f, 0.5),
           bench_feed_latency_us(f, 0.99));
    printf("all: sent %llu, accepted %llu, rejected %llu, refused and sent again %llu, wrong replies %llu; replies ",
           (unsigned long long)f->spans_sent, (unsigned long long)f->spans_accepted,
           (unsigned long long)f->spans_rejected, (unsigned long long)f->spans_refused,
           (unsigned long long)f->replies_wrong);
    print_codes(f, "%u: %llu", ", ");
    printf("\n");
    if (r->o.watch)
        printf("watched: %.3f us/span (user %.3f, system %.3f), %.0f %% of a core, RSS %.1f MB, peak %.1f MB, "
               "allocations per span %.4f\n",
               p.cpu_us, p.user_us, p.system_us, 100 * p.cpu_us * p.spans / 1e6 / p.seconds,
               (double)r->end.watched.rss_bytes / 1e6, (double)r->end.watched.rss_peak_bytes / 1e6, p.allocations);
    if (r->failure)
        printf("failed: %s\n", r->failure);
}

int main(int argc, char **argv)
{
    struct run r = {.o = parse(argc, argv)};
    r.format = format_of(r.o.format);
    prepare_bodies(&r);
    open_links(&r);
    send_all(&r);
    if (r.failure && !r.is_warm)
        r.warm = take_mark(&r);
    if (r.failure)
        r.end = take_mark(&r);
    (r.o.json ? print_json : print_text)(&r);
    bool wrong = r.failure || r.feed.replies_wrong;
    for (uint32_t i = 0; i < r.o.conns; i++)
        bench_link_close(&r.links[i]);
    free(r.links);
    bench_feed_fini(&r.feed);
    bench_encode_free(r.bodies, r.bodies_n);
    close(r.epoll);
    return wrong ? 1 : 0;
}
