/* spanmill demo: the traffic of a small shop, so that there is something to see. */
#include "app/command.h"
#include "app/config_value.h"
#include "app/demo_jaeger.h"
#include "app/fetch.h"
#include "base/clock.h"
#include "base/net/address.h"

#include <netdb.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPTION_OTLP, OPTION_ZIPKIN, OPTION_JAEGER, OPTION_RATE, OPTION_COUNT, OPTION_DURATION, OPTION_SEED };

#define DEFAULT_OTLP   "http://127.0.0.1:4318"
#define DEFAULT_ZIPKIN "http://127.0.0.1:9411"
#define DEFAULT_JAEGER "127.0.0.1:6831"
#define RATE_MIN       0.01
#define RATE_MAX       10000.0

enum { BATCH_TRACES_MAX = 500, REQUEST_TIMEOUT_S = 10 };

#define BATCH_NS (100 * SM_MS) /* traces are sent together that are due within this time */
#define RETRY_NS (500 * SM_MS)
#define SHOW_NS  (500 * SM_MS)

/* Set by SIGINT and SIGTERM; everything ends soon after. */
static volatile sig_atomic_t stopping;

struct target {
    char url[512];
    const char *content_type;
};

struct demo {
    struct target otlp, zipkin;
    double rate;
    uint64_t count_max;  /* 0: no limit */
    int64_t duration_ns; /* 0: no limit */
    struct sm_demo_random random;
    struct sm_demo_encoder *encoder;
    const char *jaeger_address;
    struct sm_demo_jaeger *jaeger;
    int jaeger_socket;
    bool jaeger_warned;
    struct sm_fetch *fetch;
    struct sm_fetch_reply reply;
    bool shows; /* standard error is a terminal */
    int64_t started_ns, waited_ns, shown_ns;
    uint64_t traces, failed_traces, spans_otlp, spans_zipkin, spans_jaeger, waits;
    struct sm_demo_trace trace; /* the one being made */
};

static void on_signal(int number SM_UNUSED)
{
    stopping = 1;
}

/* In short naps: a signal that comes just before one is seen soon. */
static void pause_for(int64_t ns)
{
    int64_t until_ns = sm_clock_mono_ns() + ns;
    for (int64_t left = ns; left > 0 && !stopping; left = until_ns - sm_clock_mono_ns())
        nanosleep(&(struct timespec){.tv_nsec = SM_MIN(left, BATCH_NS)}, NULL);
}

/* Time spent sending, without the time that nobody was there to listen. */
static int64_t elapsed_ns(const struct demo *d)
{
    return sm_clock_mono_ns() - d->started_ns - d->waited_ns;
}

/* ---- terminal ---- */

static void clear_line(const struct demo *d)
{
    if (d->shows)
        fputs("\r\033[K", stderr);
}

static uint64_t all_spans(const struct demo *d)
{
    return d->spans_otlp + d->spans_zipkin + d->spans_jaeger;
}

static void show(struct demo *d)
{
    int64_t now_ns = sm_clock_mono_ns();
    if (!d->shows || now_ns - d->shown_ns < SHOW_NS)
        return;
    d->shown_ns = now_ns;
    double seconds = (double)SM_MAX(elapsed_ns(d), INT64_C(1)) / 1e9;
    clear_line(d);
    fprintf(stderr, "demo: %.0f s, %llu traces (%.1f/s), %llu spans, %llu traces with an error ", seconds,
            (unsigned long long)d->traces, (double)d->traces / seconds,
            (unsigned long long)all_spans(d), (unsigned long long)d->failed_traces);
}

static void print_summary(const struct demo *d)
{
    clear_line(d);
    printf("demo: sent %llu traces, %llu spans (%llu by OTLP, %llu by Zipkin, %llu by Jaeger) in %.1f s; %llu traces with an error",
           (unsigned long long)d->traces, (unsigned long long)all_spans(d), (unsigned long long)d->spans_otlp,
           (unsigned long long)d->spans_zipkin, (unsigned long long)d->spans_jaeger, (double)elapsed_ns(d) / 1e9,
           (unsigned long long)d->failed_traces);
    if (d->waits)
        printf("; waited %llu time%s for spanmill", (unsigned long long)d->waits, d->waits == 1 ? "" : "s");
    printf("\n");
}

/* ---- sending ---- */

enum answer { ACCEPTED, LATER, NEVER };

/* One attempt; `why` (300 bytes) says what was wrong. */
static enum answer post(struct demo *d, const struct target *t, struct sm_str body, char *why)
{
    struct sm_err err;
    char text[200];
    enum sm_rc rc = sm_fetch_post(d->fetch, t->url, t->content_type, body, &d->reply, &err);
    if (rc != SM_OK) {
        snprintf(why, 300, "%s", err.text);
        return rc == SM_E_INVALID ? NEVER : LATER;
    }
    if (d->reply.status / 100 == 2)
        return ACCEPTED;
    sm_fetch_error_text(&d->reply, text, sizeof text);
    snprintf(why, 300, "%.80s answered %ld%s%s", t->url, d->reply.status, *text ? ": " : "", text);
    return d->reply.status == 429 || d->reply.status >= 500 ? LATER : NEVER;
}

/* Tries until it is accepted. False when it never will be, which was reported, or when it is time to stop. */
static bool deliver(struct demo *d, const struct target *t, struct sm_str body)
{
    char why[300];
    int64_t began_ns = sm_clock_mono_ns();
    unsigned refusals = 0;
    enum answer answer;
    while (!stopping && (answer = post(d, t, body, why)) != ACCEPTED && !stopping) {
        clear_line(d);
        if (answer == NEVER) {
            fprintf(stderr, "spanmill demo: %s\n", why);
            return false;
        }
        if (++refusals == 2) /* a daemon that starts at the same time is no news */
            fprintf(stderr, "spanmill demo: %s; waiting for the daemon (spanmill run)\n", why);
        pause_for(RETRY_NS);
    }
    if (refusals) {
        d->waits++;
        d->waited_ns += sm_clock_mono_ns() - began_ns;
        if (!stopping && refusals > 1)
            fprintf(stderr, "spanmill demo: sending to %s\n", t->url);
    }
    return !stopping;
}

/* Datagrams are not answered; an error is about the one before, so the second attempt tells. */
static void send_datagrams(struct demo *d)
{
    struct sm_demo_request datagram;
    while (sm_demo_jaeger_next(d->jaeger, &datagram)) {
        bool sent = send(d->jaeger_socket, datagram.body.ptr, datagram.body.len, 0) >= 0 ||
                    send(d->jaeger_socket, datagram.body.ptr, datagram.body.len, 0) >= 0;
        d->spans_jaeger += sent ? datagram.spans : 0;
        if (!sent && !d->jaeger_warned) {
            clear_line(d);
            fprintf(stderr, "spanmill demo: udp://%s: %m; further ones are not told\n", d->jaeger_address);
            d->jaeger_warned = true;
        }
    }
}

static bool has_failed(const struct sm_demo_trace *t)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->spans[i].failed)
            return true;
    return false;
}

/* Traces that are due one after the other, the last one now. */
static bool send_batch(struct demo *d, uint64_t count)
{
    int64_t now_ns = sm_clock_wall_ns();
    struct sm_demo_request otlp, zipkin;
    uint64_t failed = 0;
    for (uint64_t i = 0; i < count; i++) {
        int64_t ago_ns = (int64_t)((double)(count - 1 - i) / d->rate * 1e9);
        sm_demo_trace_make(&d->trace, &d->random, d->traces + i, now_ns - ago_ns);
        sm_demo_encoder_add(d->encoder, &d->trace);
        sm_demo_jaeger_add(d->jaeger, &d->trace);
        failed += has_failed(&d->trace);
    }
    sm_demo_encoder_finish(d->encoder, &otlp, &zipkin);
    if (!deliver(d, &d->otlp, otlp.body))
        return false;
    d->spans_otlp += otlp.spans;
    if (zipkin.spans && !deliver(d, &d->zipkin, zipkin.body))
        return false;
    d->spans_zipkin += zipkin.spans;
    send_datagrams(d);
    d->traces += count;
    d->failed_traces += failed;
    return true;
}

/* How many traces should have been sent by now. */
static uint64_t due(const struct demo *d)
{
    uint64_t n = (uint64_t)((double)elapsed_ns(d) / 1e9 * d->rate) + 1;
    return d->count_max ? SM_MIN(n, d->count_max) : n;
}

static bool is_over(const struct demo *d)
{
    return stopping || (d->count_max && d->traces >= d->count_max) ||
           (d->duration_ns && elapsed_ns(d) >= d->duration_ns);
}

/* False when sending failed for good. */
static bool send_all(struct demo *d)
{
    d->started_ns = d->shown_ns = sm_clock_mono_ns();
    while (!is_over(d)) {
        uint64_t wanted = due(d);
        if (wanted > d->traces) {
            if (!send_batch(d, SM_MIN(wanted - d->traces, (uint64_t)BATCH_TRACES_MAX)))
                return stopping;
            show(d);
            continue;
        }
        int64_t next_ns = (int64_t)((double)d->traces / d->rate * 1e9) - elapsed_ns(d);
        int64_t left_ns = d->duration_ns ? d->duration_ns - elapsed_ns(d) : INT64_MAX;
        pause_for(SM_MIN(SM_MAX(next_ns, BATCH_NS), left_ns));
    }
    return true;
}

static enum sm_rc connect_jaeger(struct demo *d, struct sm_err *err)
{
    struct addrinfo *found;
    enum sm_rc rc = sm_address_resolve(d->jaeger_address, SOCK_DGRAM, &found, err);
    if (rc != SM_OK)
        return rc;
    d->jaeger_socket = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (d->jaeger_socket < 0 || connect(d->jaeger_socket, found->ai_addr, found->ai_addrlen) != 0)
        rc = sm_err_set(err, SM_E_IO, "%s: %m", d->jaeger_address);
    freeaddrinfo(found);
    return rc;
}

static enum sm_exit demo(struct demo *d)
{
    struct sm_err err;
    if (connect_jaeger(d, &err) != SM_OK) {
        fprintf(stderr, "spanmill demo: %s\n", err.text);
        return SM_EXIT_FAILURE;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    d->shows = isatty(STDERR_FILENO);
    d->encoder = sm_demo_encoder_new();
    d->jaeger = sm_demo_jaeger_new();
    d->fetch = sm_fetch_new(REQUEST_TIMEOUT_S * SM_SEC, &stopping);
    bool good = send_all(d);
    print_summary(d);
    sm_fetch_free(d->fetch);
    sm_buf_fini(&d->reply.body);
    sm_demo_encoder_free(d->encoder);
    sm_demo_jaeger_free(d->jaeger);
    close(d->jaeger_socket);
    return good ? SM_EXIT_OK : SM_EXIT_FAILURE;
}

/* ---- arguments ---- */

/* A URL that names only a host gets the protocol's path. */
static enum sm_rc take_url(struct target *t, const char *url, const char *path, struct sm_err *err)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t rest = strcspn(host, "/");
    bool bare = host[rest] == '\0' || host[rest + 1] == '\0';
    int n = bare ? snprintf(t->url, sizeof t->url, "%.*s%s", (int)(host - url) + (int)rest, url, path)
                 : snprintf(t->url, sizeof t->url, "%s", url);
    return n > 0 && (size_t)n < sizeof t->url ? SM_OK : sm_err_set(err, SM_E_INVALID, "the URL is too long");
}

static enum sm_rc take_rate(struct demo *d, const char *text, struct sm_err *err)
{
    char *end;
    d->rate = strtod(text, &end);
    if (*text && !*end && d->rate >= RATE_MIN && d->rate <= RATE_MAX)
        return SM_OK;
    return sm_err_set(err, SM_E_INVALID, "--rate takes traces a second, from %g to %g", RATE_MIN, RATE_MAX);
}

static enum sm_rc take_natural(uint64_t *value, const char *name, const char *text, uint64_t least, struct sm_err *err)
{
    char *end;
    *value = strtoull(text, &end, 0);
    if (*text >= '0' && *text <= '9' && !*end && *value >= least)
        return SM_OK;
    return sm_err_set(err, SM_E_INVALID, "--%s takes a whole number%s", name, least ? " above 0" : "");
}

static enum sm_rc take(struct demo *d, int option, const char *value, struct sm_err *err)
{
    switch (option) {
    case OPTION_OTLP:
        return take_url(&d->otlp, value, "/v1/traces", err);
    case OPTION_ZIPKIN:
        return take_url(&d->zipkin, value, "/api/v2/spans", err);
    case OPTION_JAEGER:
        d->jaeger_address = value;
        return SM_OK;
    case OPTION_RATE:
        return take_rate(d, value, err);
    case OPTION_COUNT:
        return take_natural(&d->count_max, "count", value, 1, err);
    case OPTION_DURATION:
        return sm_config_value_duration(sm_str_c(value), &d->duration_ns, err);
    case OPTION_SEED:
        return take_natural(&d->random.state, "seed", value, 0, err);
    default:
        return sm_err_set(err, SM_E_INVALID, "takes no operand");
    }
}

static enum sm_exit run(struct sm_args *args)
{
    static struct demo d = {
        .otlp = {DEFAULT_OTLP "/v1/traces", "application/x-protobuf"},
        .zipkin = {DEFAULT_ZIPKIN "/api/v2/spans", "application/json"},
        .jaeger_address = DEFAULT_JAEGER,
        .rate = 20,
    };
    struct sm_err err;
    int option;
    if (getrandom(&d.random.state, sizeof d.random.state, 0) != sizeof d.random.state)
        d.random.state = (uint64_t)sm_clock_wall_ns();
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR)
            return SM_EXIT_USAGE;
        if (take(&d, option, args->value, &err) != SM_OK)
            return sm_args_usage(args, "%s", err.text);
    }
    return demo(&d);
}

const struct sm_command sm_command_demo = {
    .name = "demo",
    .operands = "",
    .summary = "send the traffic of a small shop, to have something to see",
    .help = "Eight services with two databases and a topic, errors and slow paths; every eighth trace comes\n"
            "through Istio's ingress proxy and sidecar, which report as Zipkin and share one span id, to an\n"
            "application that reports by a Jaeger client. Waits for the daemon, goes on after its restart, and\n"
            "ends with Ctrl-C. SPANMILL_CA, SPANMILL_TOKEN and the like open guarded listeners, as for graph.",
    .options = {[OPTION_OTLP] = {"otlp", 0, "URL", "where OTLP goes (" DEFAULT_OTLP ")"},
                [OPTION_ZIPKIN] = {"zipkin", 0, "URL", "where the proxies' spans go (" DEFAULT_ZIPKIN ")"},
                [OPTION_JAEGER] = {"jaeger", 0, "HOST:PORT", "where the datagrams behind the proxies go (" DEFAULT_JAEGER ")"},
                [OPTION_RATE] = {"rate", 'r', "N", "traces a second (20)"},
                [OPTION_COUNT] = {"count", 'n', "N", "end after N traces"},
                [OPTION_DURATION] = {"duration", 'd', "TIME", "end after 30s, 10m, ..."},
                [OPTION_SEED] = {"seed", 0, "N", "draw the same traces, ids included, each time"}},
    .run = run,
};
